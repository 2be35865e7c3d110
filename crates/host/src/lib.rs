//! The seam between everything else and a hypervisor.
//!
//! In comes a [`MachineSpec`](hospitium_model::MachineSpec), which knows no hypervisor's private
//! notions; out comes a [`Machine`] that can be switched on, watched, disturbed, saved and looked at
//! from outside. The core is small. Everything that a hypervisor may lack is a *facet*: a trait
//! object that is there, or an [`Inability`](hospitium_model::Inability) with its reason. What the
//! host sees of a machine is a [`Look`]: each value with the source that it was read at, or the
//! reason why it is unseen. Drivers are crates of their own; only the command line depends on them.
//!
//! Layers, from the ground up: `ended`, `error` · `choices`, `event`, `look`, `process`, `clock`, `medium`, `defect`,
//! `snapshot` (types) · `history` · `facets` (one trait each) · `machine` · `host` · `local` (what drivers of
//! the harness's own computer share) · `conformance` (what every driver's tests call).

mod choices;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod defect;
mod ended;
mod error;
mod event;
mod facets;
mod history;
mod host;
mod inspect;
pub mod local;
mod look;
mod machine;
mod medium;
mod process;
mod snapshot;
mod stream;

pub use choices::{Choices, CpuChoice, MachineChoice};
pub use clock::HostClock;
pub use defect::Defect;
pub use ended::Ended;
pub use error::HostError;
pub use event::{Event, EventClass, EventKind};
pub use facets::{
    Attachment, Balloon, Confinement, Display, Dump, Facet, Hotplug, Inject, Media, Saving, Wires,
};
pub use history::History;
pub use host::{
    Cloning, Host, HostWitness, ImageRef, ImageStore, Isolation, Load, Orphan, PhysicalCpu, Reaper,
    Reapers,
};
pub use inspect::{Inspection, VcpuState};
pub use look::{
    CpuFeatureWord, Look, MachineState, SeenDevice, SeenDisk, SeenNic, SeenNode, SeenSmbios,
    SeenTpm, Sight, alter,
};
pub use machine::{Destination, Machine, Moved, Moving, PowerVerb, WorkDir};
pub use medium::{Medium, Screenshot};
pub use process::{CpuUse, ProcessFacts};
pub use snapshot::{Continuation, Generation, MemoryFrom, Snapshot, SnapshotFile};
pub use stream::ByteStream;
