//! Saving a machine into a folder: libvirt's file of its state, and the images of its disks.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use hospitium_host::local::{INDEX, Input, boot_id, open_left};
use hospitium_host::{Ended, HostError, Machine as _, Snapshot, SnapshotFile};
use hospitium_model::Boot;
use virt::domain::Domain;

use crate::connection::WORK;
use crate::ffi;
use crate::ops::media::take_over;
use crate::running::LibvirtMachine;
use crate::shared::locked;
use crate::snapshot::{FORMAT, KIND, Notes, STATE, SavedDisk, UEFI_VARS};
use crate::xml::parts::Layer;

/// See [`Saving::snapshot`](hospitium_host::Saving::snapshot).
pub(crate) async fn save(machine: &LibvirtMachine, folder: &Path) -> Result<Snapshot, HostError> {
    let io = |what: &str| HostError::io(format!("{what} {}", folder.display()));
    std::fs::create_dir_all(folder).map_err(io("making"))?;
    if std::fs::read_dir(folder).map_err(io("looking into"))?.next().is_some() {
        return Err(io("saving a machine into")(std::io::Error::other("the folder is not empty")));
    }
    let doing = "saving the machine";
    let state = machine.place.files.join(STATE);
    let file = CString::new(state.to_string_lossy().into_owned())
        .map_err(|error| HostError::io(doing)(std::io::Error::other(error)))?;
    machine.watched.expect_end();
    machine.ask_within(doing, WORK, move |domain: &Domain| ffi::save(domain, &file)).await?;
    match machine.ended().await {
        Ended::ByUs => {}
        ended => return Err(HostError::Ended { doing: doing.into(), ended }),
    }
    machine.settle().await?;
    let collecting =
        Collecting { folder: folder.to_owned(), files: Vec::new(), inputs: Vec::new() };
    collecting.collect(machine, &state)
}

struct Collecting {
    folder: PathBuf,
    files: Vec<SnapshotFile>,
    inputs: Vec<Input>,
}

impl Collecting {
    /// Takes a file of the machine into the snapshot.
    fn take(&mut self, from: &Path, name: &str, hashed: bool) -> Result<(), HostError> {
        let to = self.folder.join(name);
        take_over(from, &to)?;
        self.note(name, hashed)
    }

    fn note(&mut self, name: &str, hashed: bool) -> Result<(), HostError> {
        let path = self.folder.join(name);
        let doing = || format!("reading {}", path.display());
        let file = open_left(&path)?;
        self.files.push(SnapshotFile::of(name, file, hashed).map_err(HostError::io(doing()))?);
        Ok(())
    }

    fn collect(mut self, machine: &LibvirtMachine, state: &Path) -> Result<Snapshot, HostError> {
        let mut disks = Vec::new();
        let plans = locked(&machine.disks).clone();
        for plan in plans {
            let mut below = Vec::new();
            for (n, layer) in plan.below.iter().enumerate() {
                // Images of the snapshot that it came from, which may be gone before this one.
                if let Some(name) = machine.host.owned(&layer.path) {
                    let name = format!("{}.{n}.{name}", plan.disk.id);
                    let to = self.folder.join(&name);
                    let doing = format!("keeping {}", layer.path.display());
                    std::fs::hard_link(&layer.path, &to)
                        .or_else(|_| std::fs::copy(&layer.path, &to).map(drop))
                        .map_err(HostError::io(doing))?;
                    self.note(&name, true)?;
                    below.push((Layer { path: name.into(), format: layer.format.clone() }, true));
                } else {
                    self.inputs.push(Input::of(&layer.path)?);
                    below.push((layer.clone(), false));
                }
            }
            if plan.has_own() {
                let name = format!("{}.own.qcow2", plan.disk.id);
                self.take(&plan.own(&machine.place.files), &name, true)?;
                below.insert(0, (Layer { path: name.into(), format: "qcow2".into() }, true));
            }
            disks.push(SavedDisk { disk: plan.disk.clone(), below, size: plan.size });
        }
        let variables = machine.place.files.join(UEFI_VARS);
        let uefi_vars = variables.exists();
        if uefi_vars {
            self.take(&variables, UEFI_VARS, true)?;
        }
        if let Boot::Kernel { kernel, initrd, .. } = &machine.spec.boot {
            for path in std::iter::once(kernel).chain(initrd) {
                self.inputs.push(Input::of(path)?);
            }
        }
        self.take(state, STATE, false)?;
        let notes = Notes {
            boot: boot_id(),
            libvirt: machine.host.version.clone(),
            uri: machine.host.connection.uri.clone(),
            domain_name: machine.domain_name.clone(),
            uuid: machine.uuid,
            disks,
            uefi_vars,
            inputs: self.inputs,
            plugged_vcpus: locked(&machine.plugged_vcpus).clone(),
        };
        let private = serde_json::to_value(notes).map_err(std::io::Error::other);
        let snapshot = Snapshot {
            format: FORMAT,
            host_kind: KIND.into(),
            vmm: machine.host.facts.vmm,
            folder: self.folder.clone(),
            spec: machine.spec.clone(),
            files: self.files,
            private: private.map_err(HostError::io("saving the machine"))?,
        };
        let path = self.folder.join(INDEX);
        let written = serde_json::to_vec(&snapshot)
            .map_err(std::io::Error::other)
            .and_then(|text| std::fs::write(&path, text));
        written.map_err(HostError::io(format!("writing {}", path.display())))?;
        Ok(snapshot)
    }
}
