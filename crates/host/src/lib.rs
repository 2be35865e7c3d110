//! Hypervisor drivers behind one small seam.
//!
//! In comes a [`MachineSpec`](hospitium_model::MachineSpec), which knows no hypervisor's private
//! notions; out comes a [`Machine`] that can be started, watched, disturbed, saved and looked at
//! from outside. What a hypervisor may or may not be able to do is a question,
//! [`Host::capability`], that answers yes or why not. One driver so far: [`qemu`].

mod seam;

pub mod qemu;

pub use seam::{
    Attachment, ByteStream, CpuFeatureWord, Died, Event, EventKind, Host, HostError, Machine,
    MachineFacts, MachineState, Medium, Place, ProcessFacts, Screenshot, SeenDevice, SeenDisk,
    Snapshot, SnapshotFile,
};
