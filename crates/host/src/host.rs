//! A place where virtual machines run.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hospitium_model::{Answer, ByteSize, Capability, Inability, InputPin, MachineSpec};
use serde::{Deserialize, Serialize};

use crate::facets::Facet;
use crate::machine::{Destination, Machine, WorkDir};
use crate::{Choices, Continuation, Defect, HostClock, HostError, Sight, Snapshot};

/// A place where virtual machines run. What it is, is told by [`Destination::facts`].
#[async_trait]
pub trait Host: Destination {
    /// Can it do this? Decides skips before anything runs.
    fn offers(&self, what: Capability) -> Answer;

    /// CPU models and machine types by its hypervisor's own names. A machine that names another is refused by
    /// [`Host::define`].
    fn choices(&self) -> Facet<'_, Choices>;

    /// How a check gets a machine that no other check has touched.
    fn isolation(&self) -> Isolation;

    /// Reads the host's clocks.
    async fn clock(&self) -> Result<HostClock, HostError>;

    /// The operating system and the hardware of the computer that this host is.
    fn witness(&self) -> Facet<'_, dyn HostWitness>;

    /// Where images go so that machines can use them.
    fn store(&self) -> &dyn ImageStore;

    /// Files of the host's own that go into the boot of such a machine, besides its program: the firmware's code, and
    /// the variables that it begins with, as `firmware KIND` with the digests of [`Destination::facts`]. None where
    /// the host does not know them.
    fn inputs(&self, _spec: &MachineSpec) -> Vec<InputPin> {
        Vec::new()
    }

    /// Makes a machine ready to be switched on. Nothing runs yet.
    async fn define(
        &self,
        spec: &MachineSpec,
        dir: &WorkDir,
    ) -> Result<Box<dyn Machine>, HostError>;

    /// Machines that go on from a saved one.
    fn cloning(&self) -> Facet<'_, dyn Cloning>;

    /// The same host with these defects: whatever machine is made on it has them, and its specification does
    /// not say so. For tests of checks, and for the canary.
    fn with_defects(&self, defects: &[Defect]) -> Result<Arc<dyn Host>, Inability>;
}

/// How a check gets a machine that no other check has touched. In order: a host that can do one can do what comes after
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Isolation {
    /// Any number of machines go on from one saved machine at once.
    Fork,
    /// One machine at once goes on from a saved machine: it is set back between checks.
    Revert,
    /// Every check boots a machine of its own.
    Reboot,
}

/// Machines that go on from a saved one.
#[async_trait]
pub trait Cloning: Send + Sync {
    /// Makes a machine that goes on from the snapshot. It is paused until
    /// [`PowerVerb::Resume`](crate::PowerVerb::Resume); `On` has been done. The snapshot is not changed.
    /// On a host that [forks](Isolation::Fork), any number of machines may be made from it at once;
    /// on one that reverts, the machine that was made before ends.
    async fn restore(
        &self,
        snapshot: &Snapshot,
        how: Continuation,
        dir: &WorkDir,
    ) -> Result<Box<dyn Machine>, HostError>;

    /// Whether a snapshot from which machines go on is still what was saved. To be asked after they have run: what
    /// one of them changes in it, all others see. Cheap: nothing large is read.
    ///
    /// # Errors
    /// [`HostError::BadSnapshot`] says what changed.
    fn intact(&self, snapshot: &Snapshot) -> Result<(), HostError>;

    /// Another clone will be made from the snapshot: the host may begin to make ready what it needs, in a
    /// folder of its own within `folder`. Returns at once; what goes wrong is told by
    /// [`Cloning::restore`].
    fn expect(&self, _snapshot: &Snapshot, _folder: &Path) {}

    /// No more machines will be made from the snapshot: what was made ready is let go.
    fn forget(&self, _snapshot: &Snapshot) {}
}

/// What the operating system of a host's computer says of that computer.
#[async_trait]
pub trait HostWitness: Send + Sync {
    /// How busy it is.
    async fn load(&self) -> Load;

    /// Its CPU.
    async fn cpu(&self) -> Sight<PhysicalCpu>;

    /// The state of each known CPU vulnerability, by the kernel's name of it.
    async fn vulnerabilities(&self) -> Sight<BTreeMap<String, String>>;

    /// Memory that is free for new machines.
    async fn free_memory(&self) -> Sight<ByteSize>;

    /// Which computer it is, in its present boot: two hosts of which it is the same share CPUs and memory.
    async fn computer(&self) -> Sight<String>;

    /// Whether a process of this number is there.
    async fn has_process(&self, pid: u32) -> Sight<bool>;
}

/// How busy a computer is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// For how long, since its start, something that could have run has waited for a CPU.
    pub short_of_cpu: Sight<Duration>,
    /// Load average of the last minute.
    pub average: Sight<f64>,
}

/// A computer's CPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhysicalCpu {
    /// Its name.
    pub model: String,
    /// Its features, by the kernel's names.
    pub flags: Vec<String>,
}

/// Files there where the machines run, which may be another computer. It is the one way by which a file of the harness
/// comes to a host.
#[async_trait]
pub trait ImageStore: Send + Sync {
    /// Hands over a file, and says how a specification names it from now on. A store on another computer knows files by
    /// their digest, sends none twice, and keeps it as it was handed over; one on this computer names the file itself, which
    /// nobody writes to while a machine has it.
    async fn put(&self, file: &Path) -> Result<ImageRef, HostError>;
}

/// An image as a specification names it to its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRef {
    /// The path on the host.
    pub path: PathBuf,
}

/// A machine of a process of ours that is no more, found running and ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Process id of its VMM.
    pub pid: u32,
    /// The folder of its machine.
    pub folder: PathBuf,
}

/// Ends machines of one driver that a killed process of ours left running. It needs no open host: the VMM that
/// made them may be gone.
pub trait Reaper: fmt::Debug + Send + Sync {
    /// Ends every machine of this driver whose folder lies in `folder`, up to four levels below, and no other.
    fn end_orphans(&self, folder: &Path) -> Vec<Orphan>;
}

/// The reapers of all drivers.
pub type Reapers = Arc<[Box<dyn Reaper>]>;
