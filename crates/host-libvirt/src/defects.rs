//! Defects on purpose: what is built differs from what was declared.

use std::time::Duration;

use hospitium_host::{Defect, HostError, Wires as _};
use hospitium_model::{ByteSize, MachineSpec};

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

/// The specification of what is really built.
pub(crate) fn altered(defects: &[Defect], spec: &MachineSpec) -> Result<MachineSpec, HostError> {
    let mut real = spec.clone();
    if defects.contains(&Defect::MemoryShort) {
        let mib = real.memory.size.as_mib();
        real.memory.size = ByteSize::mib(mib - mib / 4);
    }
    if defects.contains(&Defect::VcpuShort) && spec.cpus.count() < 2 {
        return Err(HostError::Unsupported {
            what: "a machine that lacks one vCPU".into(),
            why: "it has only one".into(),
        });
    }
    Ok(real)
}

/// vCPUs that are really there from the start.
pub(crate) fn vcpus(defects: &[Defect], spec: &MachineSpec) -> u32 {
    spec.cpus.count() - u32::from(defects.contains(&Defect::VcpuShort))
}

/// Seconds that the hardware clock is ahead.
pub(crate) fn clock_ahead(defects: &[Defect]) -> u64 {
    let each = defects.iter().map(|defect| match defect {
        Defect::ClockAhead { by } => *by,
        _ => Duration::ZERO,
    });
    each.sum::<Duration>().as_secs()
}

/// Interfaces whose cable is dead.
pub(crate) fn dead_cables(defects: &[Defect]) -> Vec<&str> {
    let dead = defects.iter().filter_map(|defect| match defect {
        Defect::DeadCable { nic } => Some(nic.as_str()),
        _ => None,
    });
    dead.collect()
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

#[cfg(test)]
mod tests {
    use hospitium_model::Boot;

    use super::*;

    #[test]
    fn what_is_built_lacks_what_the_defect_takes_and_the_declaration_stays() {
        let spec = MachineSpec::new(ByteSize::mib(256), Boot::Nothing);
        let defects = [Defect::MemoryShort, Defect::VcpuShort];
        assert_eq!(altered(&defects, &spec).expect("altered").memory.size, ByteSize::mib(192));
        assert_eq!((vcpus(&defects, &spec), vcpus(&[], &spec)), (1, 2));
        let mut single = spec;
        single.cpus.cores = 1;
        assert!(matches!(altered(&defects, &single), Err(HostError::Unsupported { .. })));
    }
}
