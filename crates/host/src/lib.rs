//! The seam between everything else and a hypervisor.
//!
//! In comes a [`MachineSpec`](hospitium_model::MachineSpec), which knows no hypervisor's private
//! notions; out comes a [`Machine`] that can be started, watched, disturbed, saved and looked at
//! from outside. What a hypervisor may or may not be able to do is a question,
//! [`Host::capability`], that answers yes or why not. Drivers are crates of their own; only the command line
//! depends on them.

mod seam;

pub use seam::{
    Attachment, ByteStream, CpuFeatureWord, Died, Event, EventKind, Host, HostError, Machine,
    MachineFacts, MachineState, Medium, Orphan, Place, ProcessFacts, Reaper, Reapers, Screenshot,
    SeenDevice, SeenDisk, Snapshot, SnapshotFile,
};
