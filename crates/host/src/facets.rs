//! The facets of a machine: one trait for each power that a hypervisor may lack.
//!
//! Having a facet means that the hypervisor can do such things at all;
//! [`Host::offers`](crate::Host::offers) says which of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use hospitium_model::{ByteSize, Disk, Inability, Nic};
use serde::{Deserialize, Serialize};

use crate::stream::ByteStream;
use crate::{CpuUse, HostError, Medium, ProcessFacts, Screenshot, Sight, Snapshot};

/// A facet, or why it is not there.
pub type Facet<'a, T> = Result<&'a T, Inability>;

/// Devices that come and go while the machine runs.
#[async_trait]
pub trait Hotplug: Send + Sync {
    /// Plugs in a device.
    async fn attach(&self, what: &Attachment) -> Result<(), HostError>;

    /// Asks the guest to let go of a device by its id;
    /// [`EventKind::DeviceRemoved`](crate::EventKind::DeviceRemoved) tells when it did.
    async fn detach(&self, id: &str) -> Result<(), HostError>;
}

/// Something to plug in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Attachment {
    /// A disk.
    Disk(Disk),
    /// A network interface.
    Nic(Nic),
    /// The next free vCPU socket.
    Vcpu {
        /// Id to detach it by.
        id: String,
    },
    /// Memory.
    Memory {
        /// Id to detach it by.
        id: String,
        /// How much.
        size: ByteSize,
    },
    /// A USB keyboard. Its serial number is its id, by which the guest can tell it from others.
    UsbKeyboard {
        /// Id to detach it by.
        id: String,
    },
}

/// Network cables.
#[async_trait]
pub trait Wires: Send + Sync {
    /// Takes the stream of Ethernet frames of a [`Network::Harness`](hospitium_model::Network::Harness)
    /// interface: each frame is led by its length as a big-endian `u32`. Once each.
    async fn frames(&self, nic: &str) -> Result<Box<dyn ByteStream>, HostError>;

    /// Plugs a network interface's cable in or out.
    async fn set_link(&self, nic: &str, up: bool) -> Result<(), HostError>;
}

/// Media of disks and drives.
#[async_trait]
pub trait Media: Send + Sync {
    /// A disk's content as it is on the medium now, from outside and without asking the hypervisor.
    /// While the machine runs, only what it has flushed. After
    /// [`PowerVerb::Off`](crate::PowerVerb::Off), what a power cut leaves: of disks with a power-loss log,
    /// everything up to the last flush.
    async fn medium(&self, disk: &str) -> Result<Medium, HostError>;

    /// Makes a disk larger while it is in use.
    async fn resize_disk(&self, id: &str, size: ByteSize) -> Result<(), HostError>;

    /// Gives a disk with limited [`room`](Disk::room) more of it.
    async fn grow_backing(&self, id: &str, room: ByteSize) -> Result<(), HostError>;

    /// Puts a disc (a raw image) into a drive, or takes it out.
    async fn change_medium(&self, id: &str, image: Option<&Path>) -> Result<(), HostError>;
}

/// A display and a keyboard.
#[async_trait]
pub trait Display: Send + Sync {
    /// What the display shows.
    async fn screenshot(&self) -> Result<Screenshot, HostError>;

    /// Types a key, by its Linux event code name in lower case (`a`, `enter`, `f1`).
    async fn send_key(&self, key: &str) -> Result<(), HostError>;
}

/// What hardware does to a system without its leave.
#[async_trait]
pub trait Inject: Send + Sync {
    /// Injects a non-maskable interrupt, to vCPU 0 at least.
    async fn nmi(&self) -> Result<(), HostError>;
}

/// A memory balloon.
#[async_trait]
pub trait Balloon: Send + Sync {
    /// Asks the balloon for this much memory in the guest's hands.
    async fn set_balloon(&self, size: ByteSize) -> Result<(), HostError>;
}

/// The hypervisor's process for the machine.
#[async_trait]
pub trait Confinement: Send + Sync {
    /// What the operating system of the host says of it now.
    async fn process(&self) -> Result<ProcessFacts, HostError>;

    /// What it has had of the CPUs so far. A driver that can tell this alone does: memory is costly to count.
    async fn cpu_use(&self) -> Result<CpuUse, HostError> {
        self.process().await.map(CpuUse::from)
    }

    /// Resident memory that it takes besides the guest's own.
    async fn overhead(&self) -> Result<Sight<ByteSize>, HostError>;

    /// CPU time that each thread that runs a vCPU has used, by thread.
    async fn vcpu_times(&self) -> Result<Sight<BTreeMap<u32, Duration>>, HostError>;
}

/// Saving to files.
#[async_trait]
pub trait Saving: Send + Sync {
    /// Saves the whole machine into a folder, which then holds all that
    /// [`Cloning::restore`](crate::Cloning::restore) needs besides read-only inputs. The machine is
    /// ended by it.
    async fn snapshot(&self, folder: &Path) -> Result<Snapshot, HostError>;
}

/// The machine's memory as a file, for a debugger.
#[async_trait]
pub trait Dump: Send + Sync {
    /// Writes the memory and the CPUs' registers as an ELF core file. The machine stands still meanwhile and
    /// goes on after it.
    async fn dump_memory(&self, file: &Path) -> Result<(), HostError>;
}
