//! Live migration: the running machine goes on in a second process, on the same host or on another QEMU.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::Inner;
use crate::build::Origin;
use crate::disks::DiskPlan;
use crate::locked::locked;
use crate::machine::QemuMachine;
use crate::stream::{arrived, send_state, sent, set_capability};
use hospitium_host::{EventKind, HostError, Machine as _, MemoryFrom, Moved, PowerVerb, WorkDir};

/// How long a destination that gave up takes to end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// See [`Moving::migrate`](hospitium_host::Moving::migrate). Both processes have the same overlays open; QEMU
/// lets only one of them be active. A power-loss log ends with the source: it could not be told
/// where the destination's begins.
pub(crate) async fn migrate(
    machine: &QemuMachine,
    host: &Arc<Inner>,
    dir: &WorkDir,
) -> Result<Moved, HostError> {
    let mut disks: Vec<DiskPlan> = locked(&machine.disks).clone();
    disks.iter_mut().for_each(|plan| plan.disk.power_loss_log = false);
    let changes = machine.hardware.changes().clone();
    let (out, theirs) =
        std::os::unix::net::UnixStream::pair().map_err(HostError::io("making a socket pair"))?;
    let origin = Origin {
        disks,
        memory: Vec::new(),
        memory_from: MemoryFrom::default(),
        incoming: Some(theirs.into()),
        overlays: Some(machine.folder.clone()),
        uefi_vars: None,
        generation_id: machine.generation_id.clone(),
        plugged: changes.plugged,
        removed: changes.removed,
        user: machine.confinement.user,
        machine_type: Some(machine.machine_type().await?),
    };
    let mut spec = machine.spec.clone();
    spec.disks.iter_mut().for_each(|disk| disk.power_loss_log = false);
    let destination = host.build(&spec, dir, origin).await?;
    let running = machine.status().await? == "running";
    // A clone has it on from its own beginning.
    set_capability(machine, "x-ignore-shared", false).await?;
    let from = machine.history.count();
    send_state(machine, out.into()).await?;
    let report = match sent(machine, from).await {
        Ok(report) => report,
        Err(error) => {
            // If the destination refused what came, the cause is in its last words.
            let refusal = tokio::time::timeout(LAST_WORDS, destination.ended()).await;
            destination.finish().await?;
            // A source that failed to send goes on.
            if running {
                machine.power(PowerVerb::Resume).await?;
            }
            return Err(match refusal {
                Ok(ended) => {
                    HostError::Ended { doing: "taking in the machine's state".into(), ended }
                }
                Err(_) => error,
            });
        }
    };
    arrived(&destination).await?;
    if running {
        destination.power(PowerVerb::Resume).await?;
    }
    let seen = match running {
        true => stood_still(machine, from),
        false => Duration::ZERO,
    };
    let counted = report.get("downtime").and_then(Value::as_u64).unwrap_or_default();
    machine.finish().await?;
    destination.mark_started();
    let (from, to) = (&machine.host.facts, &host.facts);
    Ok(Moved {
        machine: Box::new(destination),
        downtime: Duration::from_millis(counted).max(seen),
        same_vmm: from.vmm == to.vmm,
        same_host: from == to,
    })
}

/// How long no vCPU has run: since the source said that they stopped. The source counts the same,
/// but has often not done so by the time that it says that it has completed, and its count ends before
/// the destination goes on.
fn stood_still(machine: &QemuMachine, from: usize) -> Duration {
    let events = machine.history.since(from);
    let stopped = events.iter().rfind(|event| event.kind == EventKind::Paused);
    stopped.map(|event| event.at.elapsed()).unwrap_or_default()
}
