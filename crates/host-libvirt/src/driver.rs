//! A libvirt as a host: what it is and can do, and how machines come into being on it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use hospitium_host::local::{self, LocalStore, LocalWitness};
use hospitium_host::{
    Choices, Cloning, Continuation, Defect, Destination, Facet, Generation, Host, HostClock,
    HostError, HostWitness, ImageStore, Isolation, Machine, Snapshot, WorkDir,
};
use hospitium_model::{
    Accelerator, AcceleratorProof, Answer, Capability, HostFacts, Inability, InputPin, MachineSpec,
};

use crate::connection::Connection;
use crate::defects;
use crate::firmware::{self, uefi};
use crate::ops::hotplug::{NO_NIC, no_hotplug};
use crate::ops::media::NO_ROOM;
use crate::options::{LibvirtOptions, socket};
use crate::shared::Shared;
use crate::snapshot::{self, KIND};
use crate::user::User;
use crate::xml::capabilities::{DomainCapabilities, choices, default_user};
use crate::xml::live;
use crate::xml::parts::bus_name;

/// The oldest libvirt that has all that is asked of it: interfaces that end nowhere came with 8.7
/// (libvirt's release notes).
const OLDEST: u32 = 8_007_000;

/// Why no machine keeps its generation id.
const NEW_ID: &str = "libvirt gives every machine that goes on from a file a new VM generation id";

/// QEMU machines of a local libvirt, as a host where machines run.
pub struct Libvirt {
    shared: Arc<Shared>,
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
        let offered = live::read("libvirt's domain capabilities", &offered)?;
        let choices = choices(&capabilities, &offered);
        let offered = DomainCapabilities::read(&offered);
        let emulator = offered.emulator.clone().ok_or_else(|| {
            unusable(
                "it names no QEMU for x86-64".into(),
                "Install it (Debian: apt install qemu-system-x86 libvirt-daemon-driver-qemu)",
            )
        })?;
        let chosen = default_user(&capabilities).map(|(uid, gid)| User { uid, gid });
        let user = chosen.or_else(|| session_user(&options.uri)).unwrap_or_else(User::own);
        let facts = facts(&version, &three(qemu), &emulator)?;
        let shared = Shared {
            connection,
            version,
            facts,
            offered,
            choices,
            user,
            relabels: chosen.is_some(),
            staging: options.staging,
            defects: Vec::new(),
            going_on: Arc::default(),
            owned: Arc::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Reads what a folder of [`Saving::snapshot`](hospitium_host::Saving::snapshot) holds, so that it can be
    /// restored by a later run. What it says is checked when it is restored.
    ///
    /// # Errors
    /// [`HostError::BadSnapshot`] if it holds none.
    pub fn load_snapshot(folder: &Path) -> Result<Snapshot, HostError> {
        local::load(folder)
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
        vmm: local::digest_of(emulator)?,
        firmware,
        accelerator,
        cpu_model: line("/proc/cpuinfo", "model name"),
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        memory_mib: memory >> 10,
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
    })
}

impl Destination for Libvirt {
    fn facts(&self) -> &HostFacts {
        &self.shared.facts
    }
}

#[async_trait]
impl Host for Libvirt {
    fn offers(&self, what: Capability) -> Answer {
        let host = &self.shared;
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
            | Capability::PowerLossLog
            | Capability::Balloon
            | Capability::Watchdog
            | Capability::PanicNotifier
            | Capability::Sandbox => Answer::Yes,
            Capability::HotplugDisk(bus) => match no_hotplug(bus) {
                Some(why) => no(why),
                None => {
                    let name = bus_name(bus).map_or("", |(name, _)| name);
                    offered(&format!("disk/bus={name}"), &format!("disks on {}", bus.name()))
                }
            },
            Capability::GrowRoom => no(NO_ROOM),
            Capability::KeepGenerationId => no(NEW_ID),
            Capability::HotplugNic => no(NO_NIC),
            Capability::HotplugUsb => no(
                "libvirt gives input devices no serial number, by which the guest tells them apart",
            ),
            Capability::Screenshot => offered("video/modelType=vga", "a VGA adapter"),
            Capability::RngDevice => {
                offered("rng/backendModel=builtin", "random numbers of the VMM's own")
            }
            Capability::Tpm => offered(
                "tpm/backendModel=emulator",
                "TPM emulators (Debian: apt install swtpm swtpm-tools)",
            ),
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

    fn choices(&self) -> Facet<'_, Choices> {
        Ok(&self.shared.choices)
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
        firmware::inputs(spec.firmware, &self.shared.facts.firmware)
    }

    async fn define(
        &self,
        spec: &MachineSpec,
        dir: &WorkDir,
    ) -> Result<Box<dyn Machine>, HostError> {
        Ok(Box::new(self.shared.define(spec, dir).await?))
    }

    fn cloning(&self) -> Facet<'_, dyn Cloning> {
        Ok(self)
    }

    fn with_defects(&self, defects: &[Defect]) -> Result<Arc<dyn Host>, Inability> {
        if let Some(why) = defects.iter().find_map(defects::impossible) {
            return Err(Inability::of_host(why));
        }
        let host = &self.shared;
        let shared = Shared {
            connection: host.connection.clone(),
            version: host.version.clone(),
            facts: host.facts.clone(),
            offered: host.offered.clone(),
            choices: host.choices.clone(),
            user: host.user,
            relabels: host.relabels,
            staging: host.staging.clone(),
            defects: defects.to_vec(),
            going_on: host.going_on.clone(),
            owned: host.owned.clone(),
        };
        Ok(Arc::new(Self { shared: Arc::new(shared) }))
    }
}

#[async_trait]
impl Cloning for Libvirt {
    async fn restore(
        &self,
        snapshot: &Snapshot,
        how: Continuation,
        dir: &WorkDir,
    ) -> Result<Box<dyn Machine>, HostError> {
        if how.generation == Generation::Kept && snapshot.spec.generation_id.is_some() {
            return Err(Inability::of_host(NEW_ID).into());
        }
        let host = &self.shared;
        let notes = snapshot::verify(snapshot, host.facts.vmm, &host.version)?;
        Ok(Box::new(host.go_on(snapshot, notes, dir).await?))
    }

    fn intact(&self, snapshot: &Snapshot) -> Result<(), HostError> {
        snapshot::verify(snapshot, self.shared.facts.vmm, &self.shared.version).map(drop)
    }
}
