//! How machines come into being: their files are made, libvirt starts their VMM, and the VMM connects.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use hospitium_disk::Disk as Lossy;
use hospitium_host::defect;
use hospitium_host::{HostError, Snapshot, WorkDir};
use hospitium_model::{Boot, Firmware, MachineSpec};
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error;
use virt::sys;

use crate::connection::WORK;
use crate::defects;
use crate::firmware::uefi;
use crate::image::DiskPlan;
use crate::ops::restore::{Fresh, renewed};
use crate::orphans::Note;
use crate::place::Place;
use crate::running::{END, LibvirtMachine, Parts};
use crate::shared::{Shared, locked};
use crate::snapshot::{Notes, STATE, UEFI_VARS};
use crate::sockets::Waiting;
use crate::vmm::Vmm;
use crate::watched::Watched;
use crate::xml::domain::{MadeDisk, Setup, domain};
use crate::xml::parts::Layer;
use crate::xml::{live, tree};

/// The domain of a UUID.
fn lookup(connect: &virt::connect::Connect, uuid: [u8; 16]) -> Result<Domain, virt::error::Error> {
    let text = uuid.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Domain::lookup_by_uuid_string(connect, &text)
}

/// A random UUID of version 4 (RFC 9562), as text and as bytes.
fn new_uuid() -> Result<(String, [u8; 16]), HostError> {
    let doing = "making a random UUID";
    let text =
        std::fs::read_to_string("/proc/sys/kernel/random/uuid").map_err(HostError::io(doing))?;
    let text = text.trim().to_owned();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let bytes = u128::from_str_radix(&digits, 16)
        .map_err(|error| HostError::io(doing)(std::io::Error::other(error)))?;
    Ok((text, bytes.to_be_bytes()))
}

/// How a machine's files are made ready before its VMM starts.
struct Ready {
    place: Place,
    disks: Vec<DiskPlan>,
    made: Vec<MadeDisk>,
    kernel: Option<(PathBuf, Option<PathBuf>)>,
    variables: Option<PathBuf>,
    waiting: Waiting,
    lossy: BTreeMap<String, Arc<Lossy>>,
}

impl Shared {
    async fn ready(
        &self,
        spec: &MachineSpec,
        dir: &WorkDir,
        mut disks: Vec<DiskPlan>,
        variables: Option<&Path>,
    ) -> Result<Ready, HostError> {
        defects::apply_to_disks(&self.defects, &mut disks);
        let place = Place::make(&dir.folder, self.staging.as_deref(), self.user)?;
        let (mut made, mut lossy) = (Vec::new(), BTreeMap::new());
        for plan in &disks {
            plan.make(&place.files, place.user()).await?;
            if let Some(disk) = plan.lossy(&place, &dir.folder)? {
                lossy.insert(plan.disk.id.clone(), Arc::new(disk));
            }
            made.push(self.made(&place, plan)?);
        }
        let kernel = match &spec.boot {
            Boot::Kernel { kernel, initrd, .. } => {
                let kernel = place.readable(kernel, "kernel")?;
                let initrd = initrd.as_ref().map(|path| place.readable(path, "initrd"));
                Some((kernel, initrd.transpose()?))
            }
            _ => None,
        };
        let variables = match (spec.firmware, variables, uefi()) {
            (Firmware::Bios, ..) => None,
            (Firmware::Uefi, Some(from), _) | (Firmware::Uefi, None, Some((_, from))) => {
                let path = place.files.join(UEFI_VARS);
                std::fs::copy(from, &path)
                    .map_err(HostError::io(format!("copying {}", from.display())))?;
                place.user().give(&path)?;
                Some(path)
            }
            (Firmware::Uefi, None, None) => {
                return Err(HostError::Unsupported {
                    what: "UEFI".into(),
                    why: "OVMF is not installed; install it (Debian: apt install ovmf)".into(),
                });
            }
        };
        let waiting = Waiting::open(&place, &spec.channels, &spec.nics).await?;
        Ok(Ready { place, disks, made, kernel, variables, waiting, lossy })
    }

    /// Makes a machine whose vCPUs stand still.
    pub(crate) async fn define(
        self: &Arc<Self>,
        spec: &MachineSpec,
        dir: &WorkDir,
    ) -> Result<LibvirtMachine, HostError> {
        spec.check()?;
        self.choices.check(spec)?;
        let real = defect::altered_by(&self.defects, spec)?;
        let mut disks = Vec::new();
        for disk in &spec.disks {
            disks.push(DiskPlan::of(disk).await?);
        }
        let ready = self.ready(spec, dir, disks, None).await?;
        let (uuid, bytes) = new_uuid()?;
        let name = format!("hospitium-{uuid}");
        let kernel = ready.kernel.as_ref().map(|(k, i)| (k.as_path(), i.as_deref()));
        let code = uefi().map(|(code, _)| code);
        let dead: Vec<&str> = defect::dead_cables(&self.defects).collect();
        let tree = domain(&Setup {
            spec: &real,
            name: &name,
            uuid: &uuid,
            vcpus: defect::vcpus_of(&self.defects, spec),
            clock_ahead: defect::clock_ahead(&self.defects).as_secs(),
            accelerator: self.facts.accelerator.used,
            disks: &ready.made,
            sockets: &ready.waiting.sockets,
            ports: &ready.waiting.ports,
            dead: &dead,
            kernel,
            uefi: code.zip(ready.variables.as_deref()),
            dac: self.relabels.then_some((self.user.uid, self.user.gid)),
        })?;
        let xml = tree::write(&tree);
        let flags = sys::VIR_DOMAIN_START_PAUSED | sys::VIR_DOMAIN_START_AUTODESTROY;
        let start = move |connect: &Connect| Domain::create_xml(connect, &xml, flags);
        self.start(spec, dir, ready, (name, bytes), false, start).await
    }

    /// Has libvirt start the VMM, and connects to it.
    async fn start(
        self: &Arc<Self>,
        spec: &MachineSpec,
        dir: &WorkDir,
        ready: Ready,
        (domain_name, uuid): (String, [u8; 16]),
        started: bool,
        start: impl FnOnce(&Connect) -> Result<Domain, Error> + Send + 'static,
    ) -> Result<LibvirtMachine, HostError> {
        let note = Note::new(&self.connection.uri, uuid, ready.place.outside());
        note.write(&dir.folder)?;
        let watched = Arc::new(Watched::new());
        self.connection.watch(uuid, &watched);
        let doing = format!("starting the VMM of the machine {}", dir.name);
        let domain = match self.connection.call_within(&doing, WORK, start).await {
            Ok(domain) => domain,
            Err(error) => {
                self.connection.unwatch(&uuid, &watched);
                return Err(error);
            }
        };
        let mut parts = Parts {
            host: self.clone(),
            name: dir.name.clone(),
            spec: spec.clone(),
            outside: dir.folder.clone(),
            place: ready.place,
            domain_name,
            uuid,
            domain,
            watched,
            vmm: None,
            channels: Default::default(),
            cables: Default::default(),
            disks: ready.disks,
            lossy: ready.lossy,
            vcpus: Vec::new(),
            started,
        };
        // From here on the machine ends when it is dropped.
        let connected = match ready.waiting.accept(self.user.uid).await {
            Ok(connected) => connected,
            Err(error) => {
                drop(LibvirtMachine::new(parts));
                return Err(error);
            }
        };
        parts.vmm = connected.pid.and_then(Vmm::of);
        note.with(parts.vmm.clone()).write(&dir.folder)?;
        (parts.channels, parts.cables) = (connected.channels, connected.cables);
        Ok(LibvirtMachine::new(parts))
    }

    /// Ends the machine of ours that goes on from this saved one, if there is one, and waits until it is gone.
    async fn end_before(&self, uuid: [u8; 16]) -> Result<(), HostError> {
        let before: Vec<Weak<Watched>> = {
            let mut all = locked(&self.going_on);
            let (of_it, others) = all.drain(..).partition(|(other, _)| *other == uuid);
            *all = others;
            let of_it: Vec<([u8; 16], Weak<Watched>)> = of_it;
            of_it.into_iter().map(|(_, watched)| watched).collect()
        };
        let ours = !before.is_empty();
        let before: Vec<_> = before.iter().filter_map(Weak::upgrade).collect();
        before.iter().for_each(|watched| watched.expect_end());
        let doing = "ending the machine that went on before";
        let end = move |connect: &Connect| {
            let there = lookup(connect, uuid);
            if let Some(domain) = there.as_ref().ok().filter(|_| ours) {
                // One that ends meanwhile is ended.
                let _ = domain.destroy();
                return Ok(lookup(connect, uuid).is_ok());
            }
            Ok(there.is_ok())
        };
        if self.connection.call_within(doing, WORK, end).await? {
            return Err(HostError::Refused {
                doing: "going on from a saved machine".into(),
                why:
                    "a machine of another process goes on from it; libvirt lets one do so at a time"
                        .into(),
            });
        }
        for watched in before {
            let _ = tokio::time::timeout(END, watched.ended()).await;
        }
        Ok(())
    }

    /// Makes the machine that goes on from a saved one.
    pub(crate) async fn go_on(
        self: &Arc<Self>,
        snapshot: &Snapshot,
        notes: Notes,
        dir: &WorkDir,
    ) -> Result<LibvirtMachine, HostError> {
        let folder = &snapshot.folder;
        let spec = &snapshot.spec;
        locked(&self.owned).push(folder.clone());
        self.end_before(notes.uuid).await?;
        let disks = notes.disks.iter().map(|saved| {
            let below = saved.below.iter().map(|(layer, ours)| Layer {
                path: if *ours { folder.join(&layer.path) } else { layer.path.clone() },
                format: layer.format.clone(),
            });
            DiskPlan {
                disk: saved.disk.clone(),
                below: below.collect(),
                size: saved.size,
                ignore_flushes: false,
            }
        });
        let variables = notes.uefi_vars.then(|| folder.join(UEFI_VARS));
        let ready = self.ready(spec, dir, disks.collect(), variables.as_deref()).await?;
        let state = ready.place.readable(&folder.join(STATE), STATE)?;
        let state = state.to_string_lossy().into_owned();
        let doing = "reading the saved machine's definition";
        let file = state.clone();
        let text = self
            .connection
            .call(doing, move |connect| Domain::save_image_get_xml_desc(connect, &file, 0));
        let saved = live::read("the saved machine's definition", &text.await?)?;
        let fresh = Fresh {
            disks: &ready.made,
            sockets: spec
                .channels
                .iter()
                .map(|channel| channel.name.clone())
                .zip(ready.waiting.sockets.iter().cloned())
                .collect(),
            ports: ready.waiting.ports.iter().cloned().collect(),
            kernel: ready.kernel.as_ref().map(|(k, i)| (k.as_path(), i.as_deref())),
            variables: ready.variables.as_deref(),
        };
        let xml = tree::write(&renewed(saved, &fresh)?);
        let uuid = notes.uuid;
        let start = move |connect: &Connect| {
            let flags = sys::VIR_DOMAIN_SAVE_PAUSED;
            Domain::domain_restore_flags(connect, &state, Some(&xml), flags)?;
            lookup(connect, uuid)
        };
        let machine =
            self.start(spec, dir, ready, (notes.domain_name.clone(), uuid), true, start).await?;
        *locked(&machine.plugged_vcpus) = notes.plugged_vcpus;
        locked(&self.going_on).push((uuid, Arc::downgrade(&machine.watched)));
        defects::cut_dead_cables(&machine, &self.defects).await?;
        Ok(machine)
    }
}
