//! A machine's state as a migration stream, from one process to another or to a file.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::machine::QemuMachine;
use crate::setup::Mapping;
use hospitium_host::{EventKind, HostError};
use hospitium_model::escaped;

/// Saving or loading a stream with a few GiB of memory in it takes no longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whether memory that is mapped shared is left out of the stream.
pub(crate) async fn set_capability(
    machine: &QemuMachine,
    name: &str,
    on: bool,
) -> Result<(), HostError> {
    let capabilities = json!({"capabilities": [{"capability": name, "state": on}]});
    machine
        .qmp
        .call("preparing the machine's state", "migrate-set-capabilities", capabilities)
        .await
        .map(drop)
}

/// Starts to send the machine's state into a socket or a file. QEMU tells by events how far it is.
pub(crate) async fn send_state(machine: &QemuMachine, to: OwnedFd) -> Result<(), HostError> {
    let doing = "sending the machine's state";
    // Bounded only by what takes it in; the default is 128 MiB a second.
    let limits = json!({"max-bandwidth": 1u64 << 40});
    machine.qmp.call(doing, "migrate-set-parameters", limits).await?;
    set_capability(machine, "events", true).await?;
    machine.qmp.call_with(doing, "getfd", json!({"fdname": "x.state"}), Some(to.as_fd())).await?;
    machine.qmp.call(doing, "migrate", json!({"uri": "fd:x.state"})).await.map(drop)
}

/// What `query-migrate` says, once a state of which the sending began after the first `from` events has been sent.
pub(crate) async fn sent(machine: &QemuMachine, from: usize) -> Result<Value, HostError> {
    let doing = "sending the machine's state";
    let over = |kind: &EventKind| {
        let EventKind::Other { name } = kind else { return false };
        matches!(&**name, "MIGRATION completed" | "MIGRATION failed" | "MIGRATION cancelled")
    };
    machine.history.wait(from, "the machine's state to be sent", PATIENCE, &over).await?;
    let report = machine.qmp.call(doing, "query-migrate", json!({})).await?;
    match report.get("status").and_then(Value::as_str) {
        Some("completed") => Ok(report),
        status => {
            let why = report.get("error-desc").and_then(Value::as_str).or(status);
            let why = escaped(why.unwrap_or("it tells no reason"), 500);
            Err(HostError::Refused { doing: doing.into(), why })
        }
    }
}

/// Has the VMM write the machine's state into a new file.
pub(crate) async fn stream_out(machine: &QemuMachine, path: &Path) -> Result<(), HostError> {
    let doing = format!("writing {}", path.display());
    let file = std::fs::File::create_new(path).map_err(HostError::io(doing))?;
    let from = machine.history.count();
    send_state(machine, file.into()).await?;
    sent(machine, from).await.map(drop)
}

impl QemuMachine {
    /// Begins to take in the machine's state from a descriptor that its VMM inherited; memory that a
    /// snapshot has in files is not in it.
    pub(crate) async fn take_in(&self, fd: i32) -> Result<(), HostError> {
        let doing = "taking in the machine's state";
        let from_files = matches!(self.mapping, Mapping::Private { .. } | Mapping::Copied);
        let capabilities = json!({"capabilities": [
            {"capability": "events", "state": true},
            {"capability": "x-ignore-shared", "state": from_files},
        ]});
        self.qmp.call(doing, "migrate-set-capabilities", capabilities).await?;
        if from_files {
            // A machine out of a snapshot has not moved, so there is no switch to tell where it is now. Left to
            // itself QEMU tells it for a second, and has the guest tell it (virtio-net's announcement, on which a
            // Linux 6.12 that takes the interface down hangs; docs/guests-and-hosts.md). Once is the least: told
            // never to, QEMU 7.2 dies when the guest is next reset.
            let once = json!({"announce-rounds": 1});
            self.qmp.call(doing, "migrate-set-parameters", once).await?;
        }
        self.qmp.call(doing, "migrate-incoming", json!({"uri": format!("fd:{fd}")})).await.map(drop)
    }
}

/// Waits until a machine's state has come in. If it can't be taken in, the VMM ends.
pub(crate) async fn arrived(machine: &QemuMachine) -> Result<(), HostError> {
    let over = |kind: &EventKind| matches!(kind, EventKind::Other { name } if name == "MIGRATION completed");
    let what = "the machine's state to be taken in";
    machine.history.wait(0, what, PATIENCE, &over).await.map(drop)
}
