//! Defects on purpose: what is built differs from what was declared.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::disks::DiskPlan;
use crate::machine::QemuMachine;
use hospitium_host::defect::dead_cables;
use hospitium_host::{Defect, HostError};

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
        for nic in dead_cables(&self.host.defects) {
            let arguments = json!({"name": nic, "up": false});
            self.qmp.call("cutting a cable on purpose", "set_link", arguments).await?;
        }
        Ok(())
    }
}
