//! Defects on purpose: what is built differs from what was declared.

use hospitium_host::defect::dead_cables;
use hospitium_host::{Defect, HostError, Wires as _};

use crate::image::DiskPlan;
use crate::running::LibvirtMachine;

/// Why a machine on libvirt cannot have this defect.
pub(crate) fn impossible(defect: &Defect) -> Option<String> {
    match defect {
        Defect::KeepsMemory => {
            Some("libvirt's machines have memory that goes with their VMM".into())
        }
        Defect::IgnoreFlushes { .. }
        | Defect::SwapDisks { .. }
        | Defect::DeadCable { .. }
        | Defect::VcpuShort
        | Defect::MemoryShort
        | Defect::ClockAhead { .. } => None,
    }
}

/// Pulls the cables that are dead of a machine that goes on.
pub(crate) async fn cut_dead_cables(
    machine: &LibvirtMachine,
    defects: &[Defect],
) -> Result<(), HostError> {
    for nic in dead_cables(defects) {
        machine.set_link(nic, false).await?;
    }
    Ok(())
}

/// Makes disks lie about flushes, or exchanges what they hold.
pub(crate) fn apply_to_disks(defects: &[Defect], plans: &mut [DiskPlan]) {
    for defect in defects {
        if let Defect::IgnoreFlushes { disk } = defect {
            let lying = plans.iter_mut().filter(|plan| plan.disk.id == *disk);
            lying.for_each(|plan| plan.ignore_flushes = true);
        }
        let Defect::SwapDisks { one, other } = defect else { continue };
        let at = |id: &str| plans.iter().position(|plan| plan.disk.id == id);
        let (Some(a), Some(b)) = (at(one), at(other)) else { continue };
        let held = plans[a].below.clone();
        plans[a].below = std::mem::replace(&mut plans[b].below, held);
        let size = plans[a].size;
        plans[a].size = std::mem::replace(&mut plans[b].size, size);
    }
}
