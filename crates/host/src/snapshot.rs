//! A saved machine, as the seam knows it.

use std::path::PathBuf;

use hospitium_model::{Digest, MachineSpec};
use serde::{Deserialize, Serialize};

/// A saved machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Version of the driver's form of it.
    pub format: u32,
    /// Kind of the host that made it.
    pub host_kind: String,
    /// Digest of the VMM that made it.
    pub vmm: Digest,
    /// The folder that holds it. Not written to its file: it is where the file is found.
    #[serde(skip)]
    pub folder: PathBuf,
    /// The machine, its disks' images now those of the snapshot.
    pub spec: MachineSpec,
    /// Its files, so that a partial or altered one is noticed.
    pub files: Vec<SnapshotFile>,
    /// The driver's own notes.
    pub private: serde_json::Value,
}

/// A file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotFile {
    /// Name within the folder.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Digest; none for the memory image, which is checked by its size and by when it was last written to.
    pub sha256: Option<Digest>,
    /// When its bytes last changed, in nanoseconds since the epoch, if it has no digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<i128>,
}

/// How a machine is made from a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Continuation {
    /// What becomes of its VM generation id.
    pub generation: Generation,
    /// Whose memory it begins with.
    pub memory: MemoryFrom,
}

impl From<Generation> for Continuation {
    fn from(generation: Generation) -> Self {
        Self { generation, ..Self::default() }
    }
}

/// Where the memory of a machine that is made from a snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum MemoryFrom {
    /// In the snapshot, until it is written to, where the host can do that. What gives memory back to the host (a
    /// balloon) cannot be used then: it would take the memory from the snapshot, and so from every other clone.
    #[default]
    Snapshot,
    /// In a copy of its own.
    Copy,
}

/// What becomes of the VM generation id of a machine that is made from a snapshot (Microsoft's
/// "Virtual Machine Generation ID": a clone, or a machine set back in time, gets a new one; a machine
/// that was suspended and goes on keeps its own).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Generation {
    /// A new one: the machine is a clone.
    #[default]
    Fresh,
    /// That of the saved machine: the machine is the saved one, which goes on.
    Kept,
}
