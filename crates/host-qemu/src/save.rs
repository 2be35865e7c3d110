//! Saving a machine into a folder.

use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use hospitium_files::Access;
use hospitium_model::{Boot, Digest, MachineSpec};

use crate::build::{UEFI_VARS, memory_file};
use crate::command;
use crate::disks::DiskPlan;
use crate::files::take_back;
use crate::hardware::Changes;
use crate::locked::locked;
use crate::machine::QemuMachine;
use crate::setup::Mapping;
use crate::snapshot::{FORMAT, Notes, STATE, SYNCED, SavedDisk, SavedLayer};
use crate::stream::{set_capability, stream_out};
use hospitium_host::local::{INDEX, Input, boot_id, copy_sparse, open_left};
use hospitium_host::{HostError, Machine as _, PowerVerb, Snapshot, SnapshotFile};

/// See [`Saving::snapshot`](hospitium_host::Saving::snapshot).
pub(crate) async fn save(machine: &QemuMachine, folder: &Path) -> Result<Snapshot, HostError> {
    let io = |what: &str| HostError::io(format!("{what} {}", folder.display()));
    std::fs::create_dir_all(folder).map_err(io("making"))?;
    // Clones are handed its files open; no VMM is to come upon those of another machine.
    let closed = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(folder, closed).map_err(io("closing to others"))?;
    if std::fs::read_dir(folder).map_err(io("looking into"))?.next().is_some() {
        return Err(io("saving a machine into")(io::Error::other("the folder is not empty")));
    }
    machine.power(PowerVerb::Pause).await?;
    let shared = matches!(machine.mapping, Mapping::Shared | Mapping::Copied);
    set_capability(machine, "x-ignore-shared", shared).await?;
    let state = folder.join(STATE);
    stream_out(machine, &state).await?;
    // What is still in the VMM's buffers of overlays and variables goes out at its orderly end.
    machine.finish().await?;
    let (plans, changes) = {
        let changes = machine.hardware.changes().clone();
        let plans: Vec<DiskPlan> = locked(&machine.disks).clone();
        (plans, changes)
    };
    let saving = Saving {
        from: machine.folder.clone(),
        folder: folder.to_owned(),
        spec: machine.spec.clone(),
        vmm: machine.host.facts.vmm,
        generation_id: machine.generation_id.clone(),
        shared,
        writable_memory: !machine.host.traits.private_read_only_memory,
    };
    let doing = "saving the machine";
    let saved = tokio::task::spawn_blocking(move || saving.collect(&plans, changes)).await;
    saved.map_err(|e| HostError::io(doing)(io::Error::other(e)))?
}

/// The part of saving that is done with files only.
struct Saving {
    from: PathBuf,
    folder: PathBuf,
    spec: MachineSpec,
    vmm: Digest,
    generation_id: Option<String>,
    shared: bool,
    /// Clones open the memory for writing, although they never write to it.
    writable_memory: bool,
}

impl Saving {
    fn collect(&self, plans: &[DiskPlan], changes: Changes) -> Result<Snapshot, HostError> {
        // A state with the memory in it is no more digested than a file of the memory is.
        let mut files = vec![self.entry(STATE, self.shared)?];
        let mut inputs = Vec::new();
        let mut disks = Vec::new();
        for plan in plans {
            let mut layers = Vec::new();
            for (n, layer) in plan.layers.iter().enumerate() {
                let path = if layer.ours {
                    let name = format!("{}.{n}.qcow2", plan.disk.id);
                    share(&layer.path, &self.folder.join(&name))?;
                    files.push(self.entry(&name, true)?);
                    PathBuf::from(name)
                } else {
                    inputs.push(Input::of(&layer.path)?);
                    layer.path.clone()
                };
                layers.push(SavedLayer { path, driver: layer.driver.clone(), ours: layer.ours });
            }
            if plan.has_overlay() {
                let name = format!("{}.{}.qcow2", plan.disk.id, layers.len());
                take(&self.from.join(plan.overlay()), &self.folder.join(&name))?;
                files.push(self.entry(&name, true)?);
                layers.push(SavedLayer { path: name.into(), driver: "qcow2".into(), ours: true });
            }
            disks.push(SavedDisk { disk: plan.disk.clone(), layers, size: plan.size });
        }
        let uefi_vars = command::is_uefi(&self.spec);
        if uefi_vars {
            take(&self.from.join(UEFI_VARS), &self.folder.join(UEFI_VARS))?;
            files.push(self.entry(UEFI_VARS, true)?);
        }
        if let Boot::Kernel { kernel, initrd, .. } = &self.spec.boot {
            for path in std::iter::once(kernel).chain(initrd) {
                inputs.push(Input::of(path)?);
            }
        }
        let mut memory = Vec::new();
        if self.shared {
            for n in 0..self.spec.memory.nodes.max(1) as usize {
                let name = memory_file(n);
                take(&self.from.join(&name), &self.folder.join(&name))?;
                files.push(self.entry(&name, false)?);
                memory.push(name);
            }
        }
        let notes = Notes {
            boot: boot_id(),
            memory,
            disks,
            uefi_vars,
            generation_id: self.generation_id.clone(),
            inputs,
            plugged: changes.plugged,
            removed: changes.removed,
        };
        let snapshot = Snapshot {
            format: FORMAT,
            host_kind: super::KIND.into(),
            vmm: self.vmm,
            folder: self.folder.clone(),
            spec: self.spec.clone(),
            files,
            private: serde_json::to_value(notes).map_err(|e| self.bad(&e))?,
        };
        self.write_index(&snapshot)?;
        reach_the_disk(self.folder.clone(), &snapshot);
        Ok(snapshot)
    }

    fn bad(&self, error: &dyn std::fmt::Display) -> HostError {
        HostError::BadSnapshot { folder: self.folder.clone(), why: error.to_string() }
    }

    fn write_index(&self, snapshot: &Snapshot) -> Result<(), HostError> {
        let path = self.folder.join(INDEX);
        let doing = || format!("writing {}", path.display());
        let text = serde_json::to_vec_pretty(snapshot).map_err(|e| self.bad(&e))?;
        let written = hospitium_files::replace_durably(&path, &text, Access::Secret);
        written.map_err(HostError::io(doing()))
    }

    /// Takes a file back from the VMM and describes it. Whoever is handed it open may read it.
    fn entry(&self, name: &str, digested: bool) -> Result<SnapshotFile, HostError> {
        let path = self.folder.join(name);
        let file = open_left(&path)?;
        let doing = || format!("reading {}", path.display());
        let mode = if !digested && self.writable_memory { 0o666 } else { 0o444 };
        take_back(&file, mode).map_err(HostError::io(doing()))?;
        SnapshotFile::of(name, file, digested).map_err(HostError::io(doing()))
    }
}

/// Moves a file; over a file system's border it is copied with its holes.
fn take(from: &Path, to: &Path) -> Result<(), HostError> {
    let doing = || format!("moving {} to {}", from.display(), to.display());
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            copy_sparse(open_left(from)?, to).map_err(HostError::io(doing()))?;
            std::fs::remove_file(from).map_err(HostError::io(doing()))
        }
        done => done.map_err(HostError::io(doing())),
    }
}

/// The same file in a second place: a hard link, else a copy.
fn share(from: &Path, to: &Path) -> Result<(), HostError> {
    let doing = || format!("linking {} to {}", from.display(), to.display());
    match std::fs::hard_link(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            copy_sparse(open_left(from)?, to).map_err(HostError::io(doing()))
        }
        done => done.map_err(HostError::io(doing())),
    }
}

/// Writes the files through to the physical disk without making anyone wait, then says so. Until
/// then the snapshot counts only within this boot of the physical machine.
fn reach_the_disk(folder: PathBuf, snapshot: &Snapshot) {
    let names: Vec<String> = snapshot.files.iter().map(|file| file.name.clone()).collect();
    let work = move || -> io::Result<()> {
        for name in &names {
            File::open(folder.join(name))?.sync_all()?;
        }
        File::create(folder.join(SYNCED))?.sync_all()?;
        File::open(&folder)?.sync_all()
    };
    // Without the thread, or if a file is gone by then, the mark is missing, which is what it says.
    let _ = std::thread::Builder::new().name("snapshot-sync".into()).spawn(move || {
        let _ = work();
    });
}
