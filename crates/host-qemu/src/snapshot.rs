//! What a saved machine is, and going on from it.
//!
//! The memory is a file that the running machine maps shared, so saving it is leaving it where it
//! is; what else makes up the machine's state (a few hundred KiB) comes out as a migration stream
//! (capability `x-ignore-shared`). Clones map the memory privately and put overlays over the disks,
//! so a snapshot is never written to. A machine whose memory is private (a clone) is saved with its
//! memory in the stream. A clone that is to give memory back gets a copy of it: QEMU does so by making a hole in the
//! file, also where it is mapped privately, and with it in every other clone.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Inner;
use crate::build::{Origin, UEFI_VARS};
use crate::disks::{DiskPlan, Layer};
use crate::machine::QemuMachine;
use crate::plugged::Plugged;
use crate::stream::arrived;
use hospitium_host::local::{self, Input};
use hospitium_host::{Continuation, Generation, HostError, Snapshot, WorkDir};

/// Version of a snapshot's form.
pub(crate) const FORMAT: u32 = 4;
/// File of the migration stream.
pub(crate) const STATE: &str = "state";
/// File that is made when everything has reached the physical disk.
pub(crate) const SYNCED: &str = "synced";

/// The driver's notes in a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Notes {
    /// The physical machine's boot in which it was saved.
    pub boot: String,
    /// Files of the memory; none if it is in the stream.
    pub memory: Vec<String>,
    pub disks: Vec<SavedDisk>,
    pub uefi_vars: bool,
    /// The VM generation id that it had.
    pub generation_id: Option<String>,
    pub inputs: Vec<Input>,
    pub plugged: Vec<Plugged>,
    pub removed: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedDisk {
    pub disk: hospitium_model::Disk,
    pub layers: Vec<SavedLayer>,
    pub size: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedLayer {
    /// Name in the snapshot's folder if it is ours, else the path of an input.
    pub path: PathBuf,
    pub driver: String,
    pub ours: bool,
}

impl Inner {
    /// Checks all of a snapshot that is cheap to check.
    pub(crate) fn verify(&self, snapshot: &Snapshot) -> Result<Notes, HostError> {
        let folder = &snapshot.folder;
        let bad = |why: String| HostError::BadSnapshot { folder: folder.clone(), why };
        if snapshot.format != FORMAT || snapshot.host_kind != super::KIND {
            return Err(bad(format!("it is of {} format {}", snapshot.host_kind, snapshot.format)));
        }
        if snapshot.vmm != self.facts.vmm {
            return Err(bad("it was saved by another build of QEMU".into()));
        }
        snapshot.spec.check()?;
        let notes: Notes = serde_json::from_value(snapshot.private.clone())
            .map_err(|e| bad(format!("its notes cannot be read: {e}")))?;
        if notes.boot != local::boot_id() && !folder.join(SYNCED).exists() {
            return Err(bad("this machine was restarted before it had reached the disk".into()));
        }
        let ours = notes.disks.iter().flat_map(|disk| &disk.layers).filter(|layer| layer.ours);
        let ours = ours.map(|layer| layer.path.to_string_lossy().into_owned());
        let vars = notes.uefi_vars.then(|| UEFI_VARS.to_owned());
        let needed = ours.chain(notes.memory.iter().cloned()).chain(vars).chain([STATE.to_owned()]);
        local::check_files(snapshot, needed, &notes.inputs)?;
        Ok(notes)
    }

    /// Starts a VMM for a machine that goes on from a snapshot, up to where it takes in the machine's state.
    pub(crate) async fn wait_with(
        self: &Arc<Self>,
        snapshot: &Snapshot,
        notes: Notes,
        how: Continuation,
        dir: &WorkDir,
    ) -> Result<Waiting, HostError> {
        let folder = &snapshot.folder;
        let disks = notes.disks.into_iter().map(|saved| {
            let layers = saved.layers.into_iter().map(|layer| Layer {
                path: if layer.ours { folder.join(layer.path) } else { layer.path },
                driver: layer.driver,
                ours: layer.ours,
            });
            DiskPlan {
                disk: saved.disk,
                layers: layers.collect(),
                size: saved.size,
                ignore_flushes: false,
            }
        });
        let state = local::open_left(&folder.join(STATE))?;
        let origin = Origin {
            disks: disks.collect(),
            memory: notes.memory.iter().map(|name| folder.join(name)).collect(),
            incoming: Some(state.into()),
            overlays: None,
            uefi_vars: notes.uefi_vars.then(|| folder.join(UEFI_VARS)),
            memory_from: how.memory,
            generation_id: match (how.generation, notes.generation_id) {
                (Generation::Fresh, Some(_)) => Some(new_guid()?),
                (_, saved) => saved,
            },
            plugged: notes.plugged,
            removed: notes.removed,
            user: None,
            machine_type: None,
        };
        let (machine, fd) = self.build_waiting(&snapshot.spec, dir, origin).await?;
        let fd = fd.ok_or_else(|| HostError::BadSnapshot {
            folder: folder.clone(),
            why: "its VMM has no way to take it in".into(),
        })?;
        Ok(Waiting { machine, fd })
    }
}

/// A VMM that waits for the state of the machine that it is to be.
pub(crate) struct Waiting {
    pub machine: QemuMachine,
    /// Its number of the file that the state is in.
    fd: i32,
}

impl Waiting {
    /// Has it take in the state. The machine is paused then.
    pub(crate) async fn go_on(self) -> Result<QemuMachine, HostError> {
        let Self { machine, fd } = self;
        machine.take_in(fd).await?;
        arrived(&machine).await?;
        machine.mark_started();
        machine.cut_dead_cables().await?;
        Ok(machine)
    }
}

/// A random GUID of version 4 (RFC 9562).
fn new_guid() -> Result<String, HostError> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/uuid");
    Ok(id.map_err(HostError::io("making a random GUID"))?.trim().to_owned())
}
