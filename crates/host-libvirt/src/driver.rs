//! A libvirt as a host: what it is and can do, and how machines come into being on it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use async_trait::async_trait;
use hospitium_host::local::{self, LocalStore, LocalWitness};
use hospitium_host::{
    Cloning, Defect, Destination, Facet, Generation, Host, HostClock, HostError, HostWitness,
    ImageStore, Isolation, Machine, Snapshot, WorkDir,
};
use hospitium_model::{
    Accelerator, AcceleratorProof, Answer, Boot, Capability, Firmware, HostFacts, Inability,
    InputPin, MachineSpec,
};
use virt::domain::Domain;
use virt::sys;

use crate::connection::{Connection, WORK};
use crate::defects;
use crate::firmware::{self, uefi};
use crate::image::DiskPlan;
use crate::ops::hotplug::no_hotplug;
use crate::ops::restore::{Fresh, renewed};
use crate::options::{LibvirtOptions, socket};
use crate::orphans::Note;
use crate::place::Place;
use crate::running::{LibvirtMachine, Parts, locked};
use crate::snapshot::{self, Notes, STATE, UEFI_VARS};
use crate::sockets::Waiting;
use crate::user::User;
use crate::vmm::Vmm;
use crate::watched::Watched;
use crate::xml::capabilities::{DomainCapabilities, default_user};
use crate::xml::domain::{MadeDisk, Setup, domain};
use crate::xml::{live, tree};

/// This driver's kind of host.
pub(crate) const KIND: &str = "libvirt";
/// The oldest libvirt that has all that is asked of it: interfaces that end nowhere came with 8.7
/// (libvirt's release notes).
const OLDEST: u32 = 8_007_000;

/// QEMU machines of a local libvirt, as a host where machines run.
pub struct Libvirt {
    inner: Arc<Inner>,
}

/// What machines share of it.
pub(crate) struct Inner {
    pub(crate) connection: Arc<Connection>,
    /// Libvirt's version.
    pub(crate) version: String,
    pub(crate) facts: HostFacts,
    offered: DomainCapabilities,
    user: User,
    /// Libvirt chooses the VMMs' user, and gives files away to it if it is not told otherwise.
    relabels: bool,
    staging: Option<PathBuf>,
    defects: Vec<Defect>,
    /// Who goes on from which saved machine.
    going_on: Arc<Mutex<Vec<([u8; 16], Weak<Watched>)>>>,
    /// Folders of snapshots that machines of this process go on from.
    owned: Arc<Mutex<Vec<PathBuf>>>,
}

impl Libvirt {
    /// Connects to a libvirt, and finds out what it is and can do.
    ///
    /// # Errors
    /// [`HostError::Unusable`] if it is not there, is too old, or has no QEMU for x86-64.
    pub async fn open(options: LibvirtOptions) -> Result<Self, HostError> {
        let connection = Connection::open(&options.uri).await?;
        let unusable = |why: String, next: &str| HostError::Unusable {
            vmm: format!("libvirt at {}", options.uri),
            why,
            next: next.into(),
        };
        let asked = connection.call("asking what libvirt can do", |connect| {
            let offered = connect.get_domain_capabilities(
                None,
                Some("x86_64"),
                Some("q35"),
                Some("qemu"),
                0,
            )?;
            let versions = (connect.get_lib_version()?, connect.get_hyp_version()?);
            Ok((connect.get_type()?, versions, connect.get_capabilities()?, offered))
        });
        let (kind, (library, qemu), capabilities, offered) = asked.await?;
        if kind != "QEMU" {
            let next =
                "Name one that drives QEMU: libvirt:qemu:///session or libvirt:qemu:///system";
            return Err(unusable(format!("it drives {kind}, not QEMU"), next));
        }
        let version = three(library);
        if library < OLDEST {
            let next = format!("Use {} or later", three(OLDEST));
            return Err(unusable(format!("it is libvirt {version}"), &next));
        }
        let capabilities = live::read("libvirt's capabilities", &capabilities)?;
        let offered =
            DomainCapabilities::read(&live::read("libvirt's domain capabilities", &offered)?);
        let emulator = offered.emulator.clone().ok_or_else(|| {
            unusable(
                "it names no QEMU for x86-64".into(),
                "Install it (Debian: apt install qemu-system-x86 libvirt-daemon-driver-qemu)",
            )
        })?;
        let chosen = default_user(&capabilities).map(|(uid, gid)| User { uid, gid });
        let user = chosen.or_else(|| session_user(&options.uri)).unwrap_or_else(User::own);
        let facts = facts(&version, &three(qemu), &emulator)?;
        let inner = Inner {
            connection,
            version,
            facts,
            offered,
            user,
            relabels: chosen.is_some(),
            staging: options.staging,
            defects: Vec::new(),
            going_on: Arc::default(),
            owned: Arc::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Reads what a folder of [`Saving::snapshot`](hospitium_host::Saving::snapshot) holds, so that it can be
    /// restored by a later run. What it says is checked when it is restored.
    ///
    /// # Errors
    /// [`HostError::BadSnapshot`] if it holds none.
    pub fn load_snapshot(folder: &Path) -> Result<Snapshot, HostError> {
        snapshot::load(folder)
    }
}

/// Libvirt's form of a version: major × 1,000,000 + minor × 1,000 + release.
fn three(version: u32) -> String {
    format!("{}.{}.{}", version / 1_000_000, version / 1_000 % 1_000, version % 1_000)
}

/// Whose the daemon of a session is: who owns its socket.
fn session_user(uri: &str) -> Option<User> {
    let path = socket(uri).or_else(|| {
        let folder = PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR")?).join("libvirt");
        ["virtqemud-sock", "libvirt-sock"]
            .map(|name| folder.join(name))
            .into_iter()
            .find(|path| path.exists())
    });
    User::owner(&path?)
}

fn facts(libvirt: &str, qemu: &str, emulator: &Path) -> Result<HostFacts, HostError> {
    let line = |path: &str, key: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find_map(|line| {
            line.strip_prefix(key)?.split_once(':').map(|(_, value)| value.trim().to_owned())
        });
        line.unwrap_or_default()
    };
    let memory = line("/proc/meminfo", "MemTotal");
    let memory: u64 = memory.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let accelerator = AcceleratorProof {
        used: Accelerator::Tcg,
        how: "this driver has not been tried with KVM; TCG is used".into(),
    };
    let firmware = firmware::digests()?;
    Ok(HostFacts {
        name: format!("libvirt {libvirt}, qemu {qemu} ({})", accelerator.used.name()),
        kind: KIND.into(),
        version: libvirt.to_owned(),
        build: format!("QEMU {qemu}"),
        vmm: snapshot::digest(emulator)?,
        firmware,
        accelerator,
        cpu_model: line("/proc/cpuinfo", "model name"),
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        memory_mib: memory >> 10,
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
    })
}

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
}

impl Inner {
    /// A disk's images as the VMM of a machine finds them.
    pub(crate) fn made(&self, place: &Place, plan: &DiskPlan) -> Result<MadeDisk, HostError> {
        let mut layers = Vec::new();
        if plan.has_own() {
            layers.extend(plan.top(&place.files));
        }
        for (n, layer) in plan.below.iter().enumerate() {
            let name = format!("{}.below-{n}", plan.disk.id);
            let path = place.readable(&layer.path, &name)?;
            layers.push(crate::xml::parts::Layer { path, format: layer.format.clone() });
        }
        let room = plan.room().filter(|_| plan.has_own());
        Ok(MadeDisk { disk: plan.disk.clone(), layers, room })
    }

    /// The name of an image that belongs to a snapshot; none if it is an input.
    pub(crate) fn owned(&self, path: &Path) -> Option<String> {
        let owned = locked(&self.owned).iter().any(|folder| path.parent() == Some(folder));
        owned.then(|| path.file_name().unwrap_or_default().to_string_lossy().into_owned())
    }

    async fn ready(
        &self,
        spec: &MachineSpec,
        dir: &WorkDir,
        mut disks: Vec<DiskPlan>,
        variables: Option<&Path>,
    ) -> Result<Ready, HostError> {
        defects::apply_to_disks(&self.defects, &mut disks);
        let place = Place::make(&dir.folder, self.staging.as_deref(), self.user)?;
        let mut made = Vec::new();
        for plan in &disks {
            plan.make(&place.files, place.user()).await?;
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
        Ok(Ready { place, disks, made, kernel, variables, waiting })
    }

    async fn define(
        self: &Arc<Self>,
        spec: &MachineSpec,
        dir: &WorkDir,
    ) -> Result<LibvirtMachine, HostError> {
        spec.check()?;
        let real = defects::altered(&self.defects, spec)?;
        let mut disks = Vec::new();
        for disk in &spec.disks {
            disks.push(DiskPlan::of(disk).await?);
        }
        let ready = self.ready(spec, dir, disks, None).await?;
        let (uuid, bytes) = new_uuid()?;
        let name = format!("hospitium-{uuid}");
        let kernel = ready.kernel.as_ref().map(|(k, i)| (k.as_path(), i.as_deref()));
        let code = uefi().map(|(code, _)| code);
        let tree = domain(&Setup {
            spec: &real,
            name: &name,
            uuid: &uuid,
            vcpus: defects::vcpus(&self.defects, spec),
            clock_ahead: defects::clock_ahead(&self.defects),
            accelerator: self.facts.accelerator.used,
            disks: &ready.made,
            sockets: &ready.waiting.sockets,
            ports: &ready.waiting.ports,
            dead: &defects::dead_cables(&self.defects),
            kernel,
            uefi: code.zip(ready.variables.as_deref()),
            dac: self.relabels.then_some((self.user.uid, self.user.gid)),
        })?;
        let xml = tree::write(&tree);
        let flags = sys::VIR_DOMAIN_START_PAUSED | sys::VIR_DOMAIN_START_AUTODESTROY;
        let start =
            move |connect: &virt::connect::Connect| Domain::create_xml(connect, &xml, flags);
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
        start: impl FnOnce(&virt::connect::Connect) -> Result<Domain, virt::error::Error>
        + Send
        + 'static,
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
        let end = move |connect: &virt::connect::Connect| {
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
            let _ = tokio::time::timeout(crate::running::END, watched.ended()).await;
        }
        Ok(())
    }

    async fn go_on(
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
            let below = saved.below.iter().map(|(layer, ours)| crate::xml::parts::Layer {
                path: if *ours { folder.join(&layer.path) } else { layer.path.clone() },
                format: layer.format.clone(),
            });
            DiskPlan { disk: saved.disk.clone(), below: below.collect(), size: saved.size }
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
        let start = move |connect: &virt::connect::Connect| {
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

impl Destination for Libvirt {
    fn facts(&self) -> &HostFacts {
        &self.inner.facts
    }
}

#[async_trait]
impl Host for Libvirt {
    fn offers(&self, what: Capability) -> Answer {
        let host = &self.inner;
        let no = |why: &str| Answer::No(why.to_owned());
        let offered = |value: &str, what: &str| match host.offered.has(value) {
            true => Answer::Yes,
            false => Answer::No(format!("this libvirt does not offer {what}")),
        };
        match what {
            Capability::Snapshot
            | Capability::ResizeDisk
            | Capability::Nmi
            | Capability::SendKeys
            | Capability::LinkState
            | Capability::HotplugVcpu
            | Capability::HotplugMemory
            | Capability::HotplugNic
            | Capability::Balloon
            | Capability::Watchdog
            | Capability::PanicNotifier
            | Capability::Sandbox => Answer::Yes,
            Capability::PowerLossLog => {
                no("libvirt has no disks that keep a log of writes and flushes")
            }
            Capability::HotplugDisk(bus) => match no_hotplug(bus) {
                Some(why) => no(why),
                None => {
                    let name = crate::xml::parts::bus_name(bus).map_or("", |(name, _)| name);
                    offered(&format!("disk/bus={name}"), &format!("disks on {}", bus.name()))
                }
            },
            Capability::HotplugUsb => no(
                "libvirt gives input devices no serial number, by which the guest tells them apart",
            ),
            Capability::Screenshot => offered("video/modelType=vga", "a VGA adapter"),
            Capability::RngDevice => {
                offered("rng/backendModel=builtin", "random numbers of the VMM's own")
            }
            Capability::GenerationId => offered("feature=genid", "VM generation ids"),
            Capability::LiveMigration => {
                no("libvirt moves machines from one daemon to another; one daemon is driven here")
            }
            Capability::Uefi => match uefi() {
                Some(_) => Answer::Yes,
                None => no("OVMF is not installed (Debian: apt install ovmf)"),
            },
            Capability::NestedVirtualization => match host.facts.accelerator.used {
                // TCG emulates AMD's SVM for its models that have it, `max` among them.
                Accelerator::Tcg => Answer::Yes,
                _ => no("not measured under KVM"),
            },
        }
    }

    fn isolation(&self) -> Isolation {
        // A machine goes on under its own name and UUID (virDomainRestoreFlags refuses others), and a daemon has
        // one machine of a UUID.
        Isolation::Revert
    }

    async fn clock(&self) -> Result<HostClock, HostError> {
        Ok(local::clock())
    }

    fn witness(&self) -> Facet<'_, dyn HostWitness> {
        Ok(&LocalWitness)
    }

    fn store(&self) -> &dyn ImageStore {
        &LocalStore
    }

    fn inputs(&self, spec: &MachineSpec) -> Vec<InputPin> {
        firmware::inputs(spec.firmware, &self.inner.facts.firmware)
    }

    async fn define(
        &self,
        spec: &MachineSpec,
        dir: &WorkDir,
    ) -> Result<Box<dyn Machine>, HostError> {
        Ok(Box::new(self.inner.define(spec, dir).await?))
    }

    fn cloning(&self) -> Facet<'_, dyn Cloning> {
        Ok(self)
    }

    fn with_defects(&self, defects: &[Defect]) -> Result<Arc<dyn Host>, Inability> {
        if let Some(why) = defects.iter().find_map(defects::impossible) {
            return Err(Inability::of_host(why));
        }
        let host = &self.inner;
        let inner = Inner {
            connection: host.connection.clone(),
            version: host.version.clone(),
            facts: host.facts.clone(),
            offered: host.offered.clone(),
            user: host.user,
            relabels: host.relabels,
            staging: host.staging.clone(),
            defects: defects.to_vec(),
            going_on: host.going_on.clone(),
            owned: host.owned.clone(),
        };
        Ok(Arc::new(Self { inner: Arc::new(inner) }))
    }
}

#[async_trait]
impl Cloning for Libvirt {
    async fn restore(
        &self,
        snapshot: &Snapshot,
        generation: Generation,
        dir: &WorkDir,
    ) -> Result<Box<dyn Machine>, HostError> {
        if generation == Generation::Kept && snapshot.spec.generation_id.is_some() {
            return Err(Inability::of_host(
                "libvirt gives every machine that goes on from a file a new VM generation id",
            )
            .into());
        }
        let host = &self.inner;
        let notes = snapshot::verify(snapshot, host.facts.vmm, &host.version)?;
        Ok(Box::new(host.go_on(snapshot, notes, dir).await?))
    }
}
