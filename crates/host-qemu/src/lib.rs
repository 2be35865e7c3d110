//! QEMU system emulation, through QMP.
//!
//! In comes a [`MachineSpec`]; `command` turns it into arguments and
//! `build` into a running process with everything that it needs open. A machine talks to us over
//! sockets that its process inherits: the control connection, its channels, its network cables and
//! its state, so nothing of it can be reached by name from outside. Inputs are handed over open and
//! for reading only. The process runs as a user without privileges, in its folder, in name spaces of
//! its own where that can be had, under QEMU's seccomp filter, and ends when we end.

mod ahead;
mod attach;
mod build;
mod command;
mod convert;
mod defects;
mod devices;
mod disks;
mod facets;
mod files;
mod firmware;
mod hardware;
mod introspect;
mod keys;
mod kvm;
mod locked;
mod machine;
mod media;
mod medium;
mod migrate;
mod monitor;
mod options;
mod orphans;
mod plugged;
mod process;
mod qcow2;
mod qmp;
mod save;
mod screen;
mod setup;
mod snapshot;
mod stream;
mod tpm;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hospitium_model::{
    Accelerator, AcceleratorProof, Answer, Bus, Capability, Disk, HostFacts, Inability, InputPin,
    MachineSpec,
};

use crate::ahead::Ahead;
use crate::build::Origin;
use crate::disks::DiskPlan;
use crate::introspect::Traits;
use crate::locked::locked;
use crate::options::Programs;
use crate::process::Confinement;
use hospitium_host::local::{self, LocalStore, LocalWitness};
use hospitium_host::{
    Choices, Cloning, Continuation, Defect, Destination, Ended, Facet, Host, HostClock, HostError,
    HostWitness, ImageStore, Isolation, Machine, Snapshot, WorkDir,
};

pub use crate::options::{AcceleratorChoice, OLDEST, QemuOptions, UNPRIVILEGED, USERS};
pub use crate::orphans::QemuReaper;

/// This driver's kind of host.
pub(crate) const KIND: &str = "qemu";

/// A QEMU, as a host where machines run.
pub struct Qemu {
    inner: Arc<Inner>,
    ahead: Ahead,
    isolation: Isolation,
    /// Ends the machine that goes on from a saved one, where that is one at once.
    going_on: Arc<Mutex<Option<EndMachine>>>,
}

/// Ends a machine.
type EndMachine = Box<dyn Fn() + Send>;

/// Why a QEMU that was told so makes no machines from a saved one.
const BOOTS_ANEW: &str = "it was told to boot anew instead of going on from a saved state";

/// What machines share of it.
pub(crate) struct Inner {
    programs: Programs,
    traits: Traits,
    confinement: Confinement,
    facts: HostFacts,
    choices: Choices,
    /// For what can be made again.
    cache: Option<PathBuf>,
    /// Locks on what is used of it.
    held: Mutex<Vec<File>>,
    /// What is wrong on purpose with every machine.
    defects: Vec<Defect>,
}

/// Why a bus takes no disk while the machine runs.
pub(crate) const fn no_hotplug(bus: Bus) -> &'static str {
    match bus {
        Bus::Sata => "QEMU's AHCI controller has no hot plug",
        Bus::Ide => "IDE has no hot plug",
        Bus::Floppy => "a floppy drive has no hot plug",
        _ => "",
    }
}

impl Qemu {
    /// Finds out what a QEMU is and can do, and which accelerator works.
    pub async fn open(options: QemuOptions) -> Result<Self, HostError> {
        let programs = Programs::locate(&options)?;
        let root = rustix::process::geteuid().is_root() && options.user != 0;
        let user = root.then_some(options.user);
        let confinement =
            Confinement { user, group: user.and_then(|_| kvm::group()), namespaces: true };
        let traits = Traits::of(&programs, confinement, options.cache.as_deref()).await?;
        let vmm = traits.digest;
        let trial = async || {
            let proof = AcceleratorProof { used: Accelerator::Kvm, how: "on trial".into() };
            Inner::new(programs.clone(), traits.clone(), confinement, proof, None)
        };
        let proof = kvm::prove(&options, vmm, confinement, trial).await?;
        let inner =
            Inner::new(programs.clone(), traits.clone(), confinement, proof, options.cache)?;
        Ok(Self {
            inner: Arc::new(inner),
            ahead: Ahead::default(),
            isolation: options.isolation,
            going_on: Arc::default(),
        })
    }

    /// The QEMU system emulators for x86-64 on PATH.
    pub fn find() -> Vec<PathBuf> {
        options::find()
    }

    /// Reads what a folder of [`Saving::snapshot`](hospitium_host::Saving::snapshot) holds, so that it can be restored by a later run. What
    /// it says is checked when it is restored.
    pub fn load_snapshot(folder: &Path) -> Result<Snapshot, HostError> {
        local::load(folder)
    }
}

impl Inner {
    fn new(
        programs: Programs,
        traits: Traits,
        confinement: Confinement,
        accelerator: AcceleratorProof,
        cache: Option<PathBuf>,
    ) -> Result<Self, HostError> {
        let (major, minor, micro) = traits.version;
        let version = format!("{major}.{minor}.{micro}");
        let firmware = firmware::digests(&programs)?;
        let line = |path: &str, key: &str| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let line = text.lines().find_map(|line| {
                line.strip_prefix(key)?.split_once(':').map(|(_, v)| v.trim().to_owned())
            });
            line.unwrap_or_default()
        };
        let memory: u64 = line("/proc/meminfo", "MemTotal")
            .split(' ')
            .next()
            .and_then(|kib| kib.parse().ok())
            .unwrap_or(0);
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let facts = HostFacts {
            name: format!("qemu {version} ({})", accelerator.used.name()),
            kind: KIND.into(),
            version,
            build: traits.package.clone(),
            vmm: traits.digest,
            firmware,
            accelerator,
            cpu_model: line("/proc/cpuinfo", "model name"),
            cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
            memory_mib: memory >> 10,
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        };
        let choices = traits.choices(facts.accelerator.used);
        let (held, defects) = (Mutex::default(), Vec::new());
        Ok(Self { programs, traits, confinement, facts, choices, cache, held, defects })
    }

    /// The same QEMU once more, which has used nothing yet.
    fn again(&self) -> Self {
        Self {
            programs: self.programs.clone(),
            traits: self.traits.clone(),
            confinement: self.confinement,
            facts: self.facts.clone(),
            choices: self.choices.clone(),
            cache: self.cache.clone(),
            held: Mutex::default(),
            defects: self.defects.clone(),
        }
    }

    /// A user id for the next machine, so that VMMs can't reach one another; none if we are not root.
    fn next_user(&self) -> Option<u32> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let first = self.confinement.user?;
        Some(first + NEXT.fetch_add(1, Ordering::Relaxed) % USERS)
    }

    /// UEFI code and empty variables.
    fn uefi_files(&self) -> Option<(PathBuf, PathBuf)> {
        firmware::uefi_files(&self.programs)
    }

    /// Finds out of which images a disk is made.
    async fn plan_disk(&self, disk: &Disk) -> Result<DiskPlan, HostError> {
        let mut disk = disk.clone();
        let foreign = disk.format.as_deref().and_then(convert::foreign);
        if let (Some(image), Some(driver)) = (&disk.image, foreign) {
            disk.image = Some(self.converted(image, driver).await?);
            disk.format = Some("qcow2".into());
        }
        DiskPlan::new(&disk, &|path, driver| {
            Err(HostError::Unsupported {
                what: format!("the backing file {}", path.display()),
                why: format!("it is of format {driver}; convert it to qcow2 first"),
            })
        })
    }

    fn lacks(&self, device: &str) -> Answer {
        if self.traits.has(device) {
            Answer::Yes
        } else {
            Answer::No(format!("this QEMU was built without the device {device}"))
        }
    }
}

impl Destination for Qemu {
    fn facts(&self) -> &HostFacts {
        &self.inner.facts
    }
}

#[async_trait]
impl Host for Qemu {
    fn offers(&self, what: Capability) -> Answer {
        let host = &self.inner;
        let tool = |then: Answer| match host.programs.image_tool() {
            Ok(_) => then,
            Err(error) => Answer::No(error.to_string()),
        };
        match what {
            Capability::Snapshot if self.isolation == Isolation::Reboot => {
                Answer::No(BOOTS_ANEW.into())
            }
            Capability::Snapshot
            | Capability::ResizeDisk
            | Capability::Nmi
            | Capability::SendKeys
            | Capability::LiveMigration
            | Capability::LinkState
            | Capability::HotplugVcpu
            | Capability::Sandbox
            | Capability::GrowRoom
            | Capability::KeepGenerationId => Answer::Yes,
            Capability::PowerLossLog => tool(Answer::Yes),
            Capability::HotplugDisk(bus @ (Bus::Sata | Bus::Ide | Bus::Floppy)) => {
                Answer::No(no_hotplug(bus).into())
            }
            Capability::HotplugDisk(Bus::Virtio) => host.lacks("virtio-blk-pci"),
            Capability::HotplugDisk(Bus::VirtioScsi) => host.lacks("virtio-scsi-pci"),
            Capability::HotplugDisk(Bus::Nvme) => host.lacks("nvme"),
            Capability::HotplugDisk(Bus::Usb) => host.lacks("usb-storage"),
            Capability::HotplugNic => host.lacks("virtio-net-pci"),
            Capability::HotplugMemory => host.lacks("pc-dimm"),
            Capability::HotplugUsb => host.lacks("usb-kbd"),
            Capability::Balloon => host.lacks("virtio-balloon-pci"),
            Capability::Screenshot => host.lacks("VGA"),
            Capability::Watchdog => host.lacks("i6300esb"),
            Capability::PanicNotifier => host.lacks("pvpanic"),
            Capability::RngDevice => host.lacks("virtio-rng-pci"),
            Capability::GenerationId => host.lacks("vmgenid"),
            Capability::Tpm => match (host.lacks("tpm-crb"), host.lacks("tpm-tis")) {
                (Answer::Yes, Answer::Yes) => tpm::offered(),
                (Answer::Yes, lacks) | (lacks, _) => lacks,
            },
            Capability::Uefi => match host.uefi_files() {
                Some(_) => Answer::Yes,
                None => Answer::No("OVMF is not installed (Debian: apt install ovmf)".into()),
            },
            Capability::NestedVirtualization => match host.facts.accelerator.used {
                // TCG emulates AMD's SVM for its models that have it, `max` among them.
                Accelerator::Tcg => Answer::Yes,
                _ => Answer::No("not measured under KVM".into()),
            },
        }
    }

    fn choices(&self) -> Facet<'_, Choices> {
        Ok(&self.inner.choices)
    }

    fn isolation(&self) -> Isolation {
        self.isolation
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
        firmware::inputs(&self.inner.programs, spec.firmware, &self.inner.facts.firmware)
    }

    async fn define(
        &self,
        spec: &MachineSpec,
        dir: &WorkDir,
    ) -> Result<Box<dyn Machine>, HostError> {
        spec.check()?;
        self.inner.choices.check(spec)?;
        let mut disks = Vec::new();
        for disk in &spec.disks {
            disks.push(self.inner.plan_disk(disk).await?);
        }
        let machine = self.inner.build(spec, dir, Origin::fresh(spec, disks)).await?;
        Ok(Box::new(machine))
    }

    fn cloning(&self) -> Facet<'_, dyn Cloning> {
        match self.isolation {
            Isolation::Fork | Isolation::Revert => Ok(self),
            Isolation::Reboot => Err(Inability::of_host(BOOTS_ANEW)),
        }
    }

    fn with_defects(&self, defects: &[Defect]) -> Result<Arc<dyn Host>, Inability> {
        let inner = Inner { defects: defects.to_vec(), ..self.inner.again() };
        Ok(Arc::new(Self {
            inner: Arc::new(inner),
            ahead: Ahead::default(),
            isolation: self.isolation,
            going_on: self.going_on.clone(),
        }))
    }
}

#[async_trait]
impl Cloning for Qemu {
    async fn restore(
        &self,
        snapshot: &Snapshot,
        how: Continuation,
        dir: &WorkDir,
    ) -> Result<Box<dyn Machine>, HostError> {
        // Who starts one ahead has looked at the snapshot's files; looking again costs little after that.
        let waiting = if how == Continuation::default() {
            self.ahead.take(snapshot, dir).await?
        } else {
            None
        };
        let notes = self.inner.verify(snapshot)?;
        let waiting = match waiting {
            Some(waiting) => waiting,
            None => self.inner.wait_with(snapshot, notes, how, dir).await?,
        };
        if self.isolation == Isolation::Revert
            && let Some(end) = locked(&self.going_on).take()
        {
            end();
        }
        let machine = waiting.go_on().await?;
        if self.isolation == Isolation::Revert {
            let (kill, prospect) = (machine.process.killer(), machine.process.prospect().clone());
            *locked(&self.going_on) = Some(Box::new(move || {
                prospect.add(Ended::ByUs);
                kill();
            }));
        }
        Ok(Box::new(machine))
    }

    fn intact(&self, snapshot: &Snapshot) -> Result<(), HostError> {
        self.inner.verify(snapshot).map(drop)
    }

    fn expect(&self, snapshot: &Snapshot, folder: &Path) {
        self.ahead.start(&self.inner, snapshot, folder);
    }

    fn forget(&self, snapshot: &Snapshot) {
        self.ahead.end(snapshot);
    }
}
