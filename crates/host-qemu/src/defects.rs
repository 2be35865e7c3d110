//! Defects on purpose: what is built differs from what was declared.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hospitium_model::{ByteSize, MachineSpec};
use serde_json::json;

use crate::disks::DiskPlan;
use crate::machine::QemuMachine;
use hospitium_host::{Defect, HostError};

/// The specification of what is really built.
pub(crate) fn altered(defects: &[Defect], spec: &MachineSpec) -> Result<MachineSpec, HostError> {
    let mut real = spec.clone();
    for defect in defects {
        match defect {
            Defect::MemoryShort => {
                let mib = real.memory.size.as_mib();
                real.memory.size = ByteSize::mib(mib - mib / 4);
            }
            Defect::VcpuShort if spec.cpus.count() < 2 => {
                return Err(HostError::Unsupported {
                    what: "a machine that lacks one vCPU".into(),
                    why: "it has only one".into(),
                });
            }
            Defect::VcpuShort
            | Defect::ClockAhead { .. }
            | Defect::IgnoreFlushes { .. }
            | Defect::SwapDisks { .. }
            | Defect::KeepsMemory
            | Defect::DeadCable { .. } => {}
        }
    }
    Ok(real)
}

/// vCPUs that are really there from the start.
pub(crate) fn vcpus(defects: &[Defect], spec: &MachineSpec) -> u32 {
    spec.cpus.count() - u32::from(defects.contains(&Defect::VcpuShort))
}

/// How far the hardware clock is ahead.
pub(crate) fn clock_ahead(defects: &[Defect]) -> Duration {
    let each = defects.iter().map(|defect| match defect {
        Defect::ClockAhead { by } => *by,
        _ => Duration::ZERO,
    });
    each.sum()
}

/// Makes disks lie about flushes, or exchanges what they hold.
pub(crate) fn apply_to_disks(defects: &[Defect], plans: &mut [DiskPlan]) {
    for defect in defects {
        match defect {
            Defect::IgnoreFlushes { disk } => {
                let lying = plans.iter_mut().filter(|plan| plan.disk.id == *disk);
                lying.for_each(|plan| plan.ignore_flushes = true);
            }
            Defect::SwapDisks { one, other } => swap(plans, one, other),
            Defect::DeadCable { .. }
            | Defect::KeepsMemory
            | Defect::VcpuShort
            | Defect::MemoryShort
            | Defect::ClockAhead { .. } => {}
        }
    }
}

/// Where memory is kept for the next machine: beside the machines' folders.
fn kept(file: &Path) -> Option<PathBuf> {
    let name = file.file_name()?.to_string_lossy().into_owned();
    Some(file.ancestors().nth(3)?.join(format!("kept-{name}")))
}

/// Gives a machine the memory that the one before it has left, if this host does so and there is some of this size.
pub(crate) fn take_kept_memory(
    defects: &[Defect],
    file: &Path,
    size: u64,
) -> Result<bool, HostError> {
    let Some(kept) = kept(file).filter(|_| defects.contains(&Defect::KeepsMemory)) else {
        return Ok(false);
    };
    if std::fs::metadata(&kept).ok().map(|meta| meta.len()) != Some(size) {
        return Ok(false);
    }
    std::fs::hard_link(&kept, file).map_err(HostError::io("taking kept memory"))?;
    Ok(true)
}

/// Keeps a machine's memory for the one after it, if this host does so.
pub(crate) fn keep_memory(defects: &[Defect], file: &Path) -> Result<(), HostError> {
    match kept(file).filter(|_| defects.contains(&Defect::KeepsMemory)) {
        Some(kept) => {
            let _ = std::fs::remove_file(&kept);
            std::fs::hard_link(file, kept).map_err(HostError::io("keeping a machine's memory"))
        }
        None => Ok(()),
    }
}

fn swap(plans: &mut [DiskPlan], one: &str, other: &str) {
    let at = |id: &str| plans.iter().position(|plan| plan.disk.id == id);
    let (Some(a), Some(b)) = (at(one), at(other)) else { return };
    let held = plans[a].layers.clone();
    plans[a].layers = std::mem::replace(&mut plans[b].layers, held);
    let size = plans[a].size;
    plans[a].size = std::mem::replace(&mut plans[b].size, size);
}

impl QemuMachine {
    /// Pulls the cables that are dead.
    pub(crate) async fn cut_dead_cables(&self) -> Result<(), HostError> {
        for defect in &self.host.defects {
            if let Defect::DeadCable { nic } = defect {
                let arguments = json!({"name": nic, "up": false});
                self.qmp.call("cutting a cable on purpose", "set_link", arguments).await?;
            }
        }
        Ok(())
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
