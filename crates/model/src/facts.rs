//! What is known about a guest and about a host.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// What runs the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the accelerators' own names")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Accelerator {
    Tcg,
    Kvm,
    XenHvm,
    XenPv,
    HyperV,
}

impl Accelerator {
    /// Its usual name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcg => "TCG",
            Self::Kvm => "KVM",
            Self::XenHvm => "Xen HVM",
            Self::XenPv => "Xen PV",
            Self::HyperV => "Hyper-V",
        }
    }

    /// True if guest instructions run on the processor's virtualization extensions.
    pub const fn is_hardware(self) -> bool {
        !matches!(self, Self::Tcg)
    }
}

/// How it is known which accelerator runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceleratorProof {
    /// The accelerator that really ran something.
    pub used: Accelerator,
    /// What was tried and seen, in words: "KVM: /dev/kvm is not there; TCG is used".
    pub how: String,
}

/// A host: where virtual machines run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Name for people and matrices: `qemu 7.2.22 (TCG)`.
    pub name: String,
    /// Hypervisor kind: `qemu`.
    pub kind: String,
    /// Version as it states itself: `7.2.22`.
    pub version: String,
    /// Build or package: `Debian 1:7.2+dfsg-7+deb12u18`.
    pub build: String,
    /// The VMM's binary.
    pub vmm: Digest,
    /// Firmware images by kind (`bios`, `uefi`).
    #[serde(default)]
    pub firmware: Vec<(String, Digest)>,
    /// What runs guest instructions, measured.
    pub accelerator: AcceleratorProof,
    /// CPU model of the physical machine.
    pub cpu_model: String,
    /// Physical CPUs online.
    pub cpus: u32,
    /// Physical memory in MiB.
    pub memory_mib: u64,
    /// Kernel of the physical machine.
    pub kernel: String,
}

/// What sort of guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuestKind {
    /// A kernel with the probe as its init.
    Kernel,
    /// A whole system on a disk.
    Disk,
}

/// Operating-system family of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the families' own names")]
pub enum OperatingSystem {
    Linux,
    Windows,
}

/// A guest: something bootable made ready for validation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestFacts {
    /// Name for people and matrices: `linux 6.1.0-50-amd64`.
    pub name: String,
    /// Kind.
    pub kind: GuestKind,
    /// Family.
    pub os: OperatingSystem,
    /// Product id from osinfo-db where known: `http://debian.org/debian/12`.
    #[serde(default)]
    pub product: Option<String>,
    /// Version: of the kernel for a kernel guest, of the distribution for a disk guest;
    /// [`UNDECLARED`] if nobody says which.
    pub version: String,
    /// Digest of what boots: the image, or the kernel.
    pub digest: Digest,
    /// Has udev or the like, which loads modules and names devices by itself.
    pub manages_devices: bool,
}

/// The version of a guest of which nobody says which it is.
pub const UNDECLARED: &str = "unknown";

impl GuestFacts {
    /// Whether somebody says which version it is, so that it can be compared.
    pub fn tells_version(&self) -> Answer {
        match self.version.as_str() {
            UNDECLARED => Answer::No(
                "nobody says which version this guest is; `version` in a definition of it \
                 (guests/NAME.toml) does"
                    .into(),
            ),
            _ => Answer::Yes,
        }
    }
}

/// Something optional that a host may be able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Capability {
    Snapshot,
    PowerLossLog,
    HotplugDisk(crate::Bus),
    HotplugNic,
    HotplugVcpu,
    HotplugMemory,
    HotplugUsb,
    ResizeDisk,
    Nmi,
    Balloon,
    Screenshot,
    SendKeys,
    Watchdog,
    PanicNotifier,
    RngDevice,
    GenerationId,
    LiveMigration,
    Uefi,
    LinkState,
    NestedVirtualization,
    Sandbox,
    Tpm,
    /// A disk with limited room gets more of it while the machine runs.
    GrowRoom,
    /// A machine that goes on from a saved one can keep its VM generation id.
    KeepGenerationId,
}

/// The answer to a capability query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It can.
    Yes,
    /// It cannot, and why.
    No(String),
}

impl Answer {
    /// True for yes.
    pub const fn is_yes(&self) -> bool {
        matches!(self, Self::Yes)
    }
}

/// Why something cannot be done or seen here, and on whose account: what a skip says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inability {
    /// On whose account.
    pub by: Unable,
    /// Why, in words: "no driver for virtio-blk is built in".
    pub why: String,
}

/// On whose account something cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unable {
    /// The host cannot do it.
    Host,
    /// The machine is configured without it.
    Machine,
    /// The guest cannot do it.
    Guest,
}

impl Inability {
    /// The host cannot do it.
    pub fn of_host(why: impl Into<String>) -> Self {
        Self { by: Unable::Host, why: why.into() }
    }

    /// The machine is configured without it.
    pub fn of_machine(why: impl Into<String>) -> Self {
        Self { by: Unable::Machine, why: why.into() }
    }

    /// The guest cannot do it.
    pub fn of_guest(why: impl Into<String>) -> Self {
        Self { by: Unable::Guest, why: why.into() }
    }

    /// The skip that follows from it.
    pub fn skip(self) -> crate::Verdict {
        let why = match self.by {
            Unable::Host => crate::SkipReason::UnsupportedByHost,
            Unable::Machine => crate::SkipReason::NotRequired,
            Unable::Guest => crate::SkipReason::UnsupportedByGuest,
        };
        crate::Verdict::Skip { why, reason: self.why }
    }
}

impl fmt::Display for Inability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            Unable::Host => "the host cannot",
            Unable::Machine => "the machine is configured without it",
            Unable::Guest => "the guest cannot",
        };
        write!(f, "{by}: {}", self.why)
    }
}

impl std::error::Error for Inability {}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes => f.write_str("yes"),
            Self::No(why) => write!(f, "no: {why}"),
        }
    }
}
