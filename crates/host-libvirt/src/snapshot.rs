//! What a saved machine is on disk, and whether it can be gone on from.

use hospitium_host::local::{self, Input};
use hospitium_host::{HostError, Snapshot};
use hospitium_model::Digest;
use serde::{Deserialize, Serialize};

use crate::xml::parts::Layer;

/// This driver's kind of host.
pub(crate) const KIND: &str = "libvirt";
/// Version of a snapshot's form.
pub(crate) const FORMAT: u32 = 1;
/// Libvirt's file of the machine's state.
pub(crate) const STATE: &str = "state";
/// UEFI variables.
pub(crate) const UEFI_VARS: &str = "uefi-vars.fd";

/// The driver's notes in a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Notes {
    /// The physical machine's boot in which it was saved.
    pub boot: String,
    /// Version of libvirt.
    pub libvirt: String,
    /// The connection that it was on.
    pub uri: String,
    /// Libvirt's name and UUID of the machine, which go on with it.
    pub domain_name: String,
    pub uuid: [u8; 16],
    pub disks: Vec<SavedDisk>,
    pub uefi_vars: bool,
    pub inputs: Vec<Input>,
    pub plugged_vcpus: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedDisk {
    pub disk: hospitium_model::Disk,
    /// Images, the top first; if ours, by their names within the snapshot's folder.
    pub below: Vec<(Layer, bool)>,
    pub size: u64,
}

/// Checks all of a snapshot that is cheap to check.
pub(crate) fn verify(snapshot: &Snapshot, vmm: Digest, libvirt: &str) -> Result<Notes, HostError> {
    let folder = &snapshot.folder;
    let bad = |why: String| HostError::BadSnapshot { folder: folder.clone(), why };
    if snapshot.format != FORMAT || snapshot.host_kind != KIND {
        return Err(bad(format!("it is of {} format {}", snapshot.host_kind, snapshot.format)));
    }
    snapshot.spec.check()?;
    let notes: Notes = serde_json::from_value(snapshot.private.clone())
        .map_err(|e| bad(format!("its notes cannot be read: {e}")))?;
    if snapshot.vmm != vmm || notes.libvirt != libvirt {
        return Err(bad("it was saved by another build of QEMU or of libvirt".into()));
    }
    if notes.boot != local::boot_id() {
        return Err(bad("this computer was restarted since it was saved".into()));
    }
    let ours = notes.disks.iter().flat_map(|disk| &disk.below).filter(|(_, ours)| *ours);
    let ours = ours.map(|(layer, _)| layer.path.to_string_lossy().into_owned());
    let variables = notes.uefi_vars.then(|| UEFI_VARS.to_owned());
    let needed = ours.chain(variables).chain([STATE.to_owned()]);
    local::check_files(snapshot, needed, &notes.inputs)?;
    Ok(notes)
}
