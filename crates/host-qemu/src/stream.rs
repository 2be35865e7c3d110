//! A machine's state as a migration stream, from one process to another or to a file.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::build::pair;
use crate::command::Mapping;
use crate::machine::QemuMachine;
use hospitium_host::{EventKind, HostError};
use hospitium_qmp::escape;

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

/// Starts to send the machine's state through a socket.
pub(crate) async fn send_state(machine: &QemuMachine, to: OwnedFd) -> Result<(), HostError> {
    let doing = "sending the machine's state";
    // Bounded only by what takes it in; the default is 128 MiB a second.
    let limits = json!({"max-bandwidth": 1u64 << 40});
    machine.qmp.call(doing, "migrate-set-parameters", limits).await?;
    machine.qmp.call_with(doing, "getfd", json!({"fdname": "x.state"}), Some(to.as_fd())).await?;
    machine.qmp.call(doing, "migrate", json!({"uri": "fd:x.state"})).await.map(drop)
}

/// What `query-migrate` says, once it is over.
pub(crate) async fn sent(machine: &QemuMachine) -> Result<Value, HostError> {
    let doing = "sending the machine's state";
    let started = std::time::Instant::now();
    loop {
        let report = machine.qmp.call(doing, "query-migrate", json!({})).await?;
        match report.get("status").and_then(Value::as_str) {
            Some("completed") => return Ok(report),
            Some(status @ ("failed" | "cancelled")) => {
                let why = report.get("error-desc").and_then(Value::as_str).unwrap_or(status);
                let why = escape(why, 500);
                return Err(HostError::Refused { doing: doing.into(), why });
            }
            _ if started.elapsed() > PATIENCE => {
                return Err(HostError::TimedOut {
                    what: "the machine's state".into(),
                    limit: PATIENCE,
                });
            }
            _ => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
}

/// Writes the machine's state into a file.
pub(crate) async fn stream_out(machine: &QemuMachine, path: &Path) -> Result<(), HostError> {
    let doing = format!("writing {}", path.display());
    let (mut ours, theirs) = pair()?;
    send_state(machine, theirs).await?;
    let mut file = tokio::fs::File::create_new(path).await.map_err(HostError::io(&doing))?;
    let copy = async {
        let mut buffer = vec![0; 1 << 20];
        loop {
            let n = ours.read(&mut buffer).await?;
            if n == 0 {
                return file.flush().await;
            }
            file.write_all(&buffer[..n]).await?;
        }
    };
    let late =
        |_| HostError::TimedOut { what: "the end of the machine's state".into(), limit: PATIENCE };
    tokio::time::timeout(PATIENCE, copy).await.map_err(late)?.map_err(HostError::io(doing))?;
    sent(machine).await.map(drop)
}

impl QemuMachine {
    /// Begins to take in the machine's state from a descriptor that its VMM inherited; memory that is mapped
    /// privately is not in it.
    pub(crate) async fn take_in(&self, fd: i32) -> Result<(), HostError> {
        let doing = "taking in the machine's state";
        let private = matches!(self.mapping, Mapping::Private { .. });
        let capabilities = json!({"capabilities": [
            {"capability": "events", "state": true},
            {"capability": "x-ignore-shared", "state": private},
        ]});
        self.qmp.call(doing, "migrate-set-capabilities", capabilities).await?;
        if private {
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
