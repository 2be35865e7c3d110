//! One virtual machine: the core that every hypervisor has, and the way to its facets.

use std::any::Any;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use hospitium_model::{Answer, HostFacts, Inability, MachineSpec};
use serde::{Deserialize, Serialize};

use crate::facets::{
    Balloon, Confinement, Display, Dump, Facet, Hotplug, Inject, Media, Saving, Wires,
};
use crate::stream::ByteStream;
use crate::{Ended, Event, EventClass, EventKind, HostError, Inspection, Look};

/// Where a machine's files go: a folder of its own, made by the caller, removed by the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkDir {
    /// Name of the machine in logs: `boot`, `clone-7`.
    pub name: String,
    /// For files that live as long as the machine.
    pub folder: PathBuf,
}

/// What is done to a machine's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PowerVerb {
    /// Switches it on, once; the guest's first instruction runs.
    On,
    /// Ends the machine at once, as pulling the plug does. What was not flushed is lost from
    /// disks with a power-loss log; see [`Media::medium`].
    Off,
    /// Presses reset.
    Reset,
    /// Presses the power button.
    Button,
    /// Stops the vCPUs. Of a machine whose vCPUs stand still: nothing.
    Pause,
    /// Lets the vCPUs go on. Of a machine that runs: nothing.
    Resume,
}

/// One virtual machine. All methods take `&self`; a machine can be used from several tasks.
/// Dropping it ends it.
///
/// The facets have no defaults: a driver says of each whether it has it, and a wrapper cannot lose
/// one by forgetting it.
#[async_trait]
pub trait Machine: Send + Sync {
    /// Its name in logs.
    fn name(&self) -> &str;

    /// What it was made from. An expectation, never a witness: what the host sees is [`Machine::look`].
    fn spec(&self) -> &MachineSpec;

    /// Does this to its power.
    async fn power(&self, verb: PowerVerb) -> Result<(), HostError>;

    /// Takes the stream of a serial port or another byte channel by its name. Each can be taken once.
    async fn serial(&self, name: &str) -> Result<Box<dyn ByteStream>, HostError>;

    /// All events so far, oldest first.
    fn events(&self) -> Vec<Event>;

    /// Waits for the first event from the `from`-th on for which `wanted` is true, and returns its
    /// index with it. Raced against the machine's end, which is an error unless `wanted` takes it.
    async fn wait_event(
        &self,
        from: usize,
        what: &str,
        limit: Duration,
        wanted: &(dyn for<'a> Fn(&'a EventKind) -> bool + Send + Sync),
    ) -> Result<(usize, Event), HostError>;

    /// Whether this host tells of events of this class at all. Where it does not, that none came says
    /// nothing.
    fn observes(&self, class: EventClass) -> Answer;

    /// What the host sees of the machine now.
    async fn look(&self) -> Result<Look, HostError>;

    /// What the machine does at this moment, for a person who looks into a hang.
    ///
    /// # Errors
    /// This host does not show it, or the machine has ended.
    async fn inspect(&self) -> Result<Inspection, HostError> {
        let why = "it does not show what vCPUs do".into();
        Err(HostError::Unsupported { what: "a look at the vCPUs".into(), why })
    }

    /// Waits until the machine is no more, and says how it ended.
    async fn ended(&self) -> Ended;

    /// Ends the machine in order, makes sure that it is gone, and says how it ended: of one that had ended
    /// before, how it did then.
    async fn finish(&self) -> Result<Ended, HostError>;

    /// Lines that the hypervisor has written about this machine so far, errors and warnings, escaped; at most a
    /// few thousand.
    ///
    /// # Errors
    /// What it writes is not seen here: that nothing was read says nothing then.
    fn said(&self) -> Result<Vec<String>, Inability>;

    /// The command by which the machine was started, for logs and evidence; empty if there is none.
    fn command(&self) -> Vec<String>;

    /// A way for a person to look: a command that attaches to the machine's display or monitor,
    /// if there is one. Consoles are reached through [`Machine::serial`].
    fn viewer(&self) -> Option<String>;

    /// Devices that come and go.
    fn hotplug(&self) -> Facet<'_, dyn Hotplug>;

    /// Network cables.
    fn wires(&self) -> Facet<'_, dyn Wires>;

    /// Media of disks and drives.
    fn media(&self) -> Facet<'_, dyn Media>;

    /// Display and keyboard.
    fn display(&self) -> Facet<'_, dyn Display>;

    /// What hardware does to a system without its leave.
    fn inject(&self) -> Facet<'_, dyn Inject>;

    /// A memory balloon.
    fn balloon(&self) -> Facet<'_, dyn Balloon>;

    /// The hypervisor's process for it.
    fn confinement(&self) -> Facet<'_, dyn Confinement>;

    /// Saving to files.
    fn saving(&self) -> Facet<'_, dyn Saving>;

    /// Live migration.
    fn moving(&self) -> Facet<'_, dyn Moving>;

    /// Memory as a file.
    fn dump(&self) -> Facet<'_, dyn Dump>;
}

/// A host as the end of a move: who it is, and its driver's own type behind it (`dyn Any`). Every
/// [`Host`](crate::Host) is one. It stands below the host so that a machine, which a host makes,
/// needs not know what a host is.
pub trait Destination: Any + Send + Sync {
    /// What this host is, its accelerator measured.
    fn facts(&self) -> &HostFacts;
}

/// Live migration.
#[async_trait]
pub trait Moving: Send + Sync {
    /// Moves the running machine to a host, which may be the one that it runs on. The source ends.
    /// Streams of channels and frames are to be taken again from the machine that is returned.
    ///
    /// # Errors
    /// [`HostError::Unsupported`] if the driver cannot move machines to such a host.
    async fn migrate(&self, to: &dyn Destination, dir: &WorkDir) -> Result<Moved, HostError>;
}

/// A machine that was moved.
pub struct Moved {
    /// The machine at its destination.
    pub machine: Box<dyn Machine>,
    /// For how long no vCPU ran.
    pub downtime: Duration,
    /// Whether source and destination ran the same build of the hypervisor.
    pub same_vmm: bool,
    /// Whether source and destination are the same host.
    pub same_host: bool,
}
