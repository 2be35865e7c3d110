//! What a saved machine is on disk, and whether it can be gone on from.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use hospitium_host::{HostError, Snapshot};
use hospitium_model::Digest;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::xml::parts::Layer;

/// This driver's kind of host.
pub(crate) const KIND: &str = "libvirt";
/// Version of a snapshot's form.
pub(crate) const FORMAT: u32 = 1;
/// Libvirt's file of the machine's state.
pub(crate) const STATE: &str = "state";
/// UEFI variables.
pub(crate) const UEFI_VARS: &str = "uefi-vars.fd";
/// File that says what the snapshot is. Written last: without it there is no snapshot.
pub(crate) const INDEX: &str = "snapshot.json";
/// No real index is larger.
const LARGEST_INDEX: u64 = 4 << 20;

/// The driver's notes in a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Notes {
    /// The physical machine's boot in which it was saved.
    pub boot: String,
    /// Version of libvirt.
    pub libvirt: String,
    /// The connection that it was on.
    pub uri: String,
    /// Libvirt's name and UUID of the machine, which go on with it.
    pub domain_name: String,
    pub uuid: [u8; 16],
    pub disks: Vec<SavedDisk>,
    pub uefi_vars: bool,
    pub inputs: Vec<Input>,
    pub plugged_vcpus: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedDisk {
    pub disk: hospitium_model::Disk,
    /// Images, the top first; if ours, by their names within the snapshot's folder.
    pub below: Vec<(Layer, bool)>,
    pub size: u64,
}

/// A read-only input as it was, so that a changed one is noticed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Input {
    path: PathBuf,
    size: u64,
    /// Nanoseconds since the epoch.
    modified: i128,
}

fn modified(meta: &std::fs::Metadata) -> i128 {
    i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec())
}

impl Input {
    pub(crate) fn of(path: &Path) -> Result<Self, HostError> {
        let meta = std::fs::metadata(path);
        let meta = meta.map_err(HostError::io(format!("looking at {}", path.display())))?;
        Ok(Self { path: path.to_owned(), size: meta.len(), modified: modified(&meta) })
    }
}

/// SHA-256 of a file.
pub(crate) fn digest(path: &Path) -> Result<Digest, HostError> {
    let read = || {
        let mut file = std::fs::File::open(path)?;
        let mut hasher = sha2::Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            let got = file.read(&mut buffer)?;
            if got == 0 {
                return Ok(Digest::from_bytes(hasher.finalize().into()));
            }
            hasher.update(&buffer[..got]);
        }
    };
    read().map_err(HostError::io(format!("reading {}", path.display())))
}

/// Reads what a folder says it holds.
pub(crate) fn load(folder: &Path) -> Result<Snapshot, HostError> {
    let bad = |why: String| HostError::BadSnapshot { folder: folder.to_owned(), why };
    let path = folder.join(INDEX);
    let meta = std::fs::metadata(&path).map_err(|e| bad(format!("{INDEX}: {e}")))?;
    if meta.len() > LARGEST_INDEX {
        return Err(bad(format!("{INDEX} is too large")));
    }
    let text = std::fs::read(&path).map_err(|e| bad(format!("{INDEX}: {e}")))?;
    let mut snapshot: Snapshot =
        serde_json::from_slice(&text).map_err(|e| bad(format!("{INDEX} cannot be read: {e}")))?;
    snapshot.folder = folder.to_owned();
    Ok(snapshot)
}

/// Checks all of a snapshot that is cheap to check.
pub(crate) fn verify(snapshot: &Snapshot, vmm: Digest, libvirt: &str) -> Result<Notes, HostError> {
    let folder = &snapshot.folder;
    let bad = |why: String| HostError::BadSnapshot { folder: folder.clone(), why };
    if snapshot.format != FORMAT || snapshot.host_kind != KIND {
        return Err(bad(format!("it is of {} format {}", snapshot.host_kind, snapshot.format)));
    }
    snapshot.spec.check()?;
    let notes: Notes = serde_json::from_value(snapshot.private.clone())
        .map_err(|e| bad(format!("its notes cannot be read: {e}")))?;
    if snapshot.vmm != vmm || notes.libvirt != libvirt {
        return Err(bad("it was saved by another build of QEMU or of libvirt".into()));
    }
    if notes.boot != crate::vmm::boot_id() {
        return Err(bad("this computer was restarted since it was saved".into()));
    }
    for entry in &snapshot.files {
        if Path::new(&entry.name).file_name() != Some(entry.name.as_ref()) {
            return Err(bad(format!("{:?} is no name of a file", entry.name)));
        }
        let path = folder.join(&entry.name);
        let meta =
            std::fs::symlink_metadata(&path).map_err(|e| bad(format!("{}: {e}", entry.name)))?;
        if !meta.is_file() || meta.len() != entry.size {
            return Err(bad(format!("{} has not its {} bytes", entry.name, entry.size)));
        }
        if let Some(wanted) = entry.sha256 {
            check(&path, &meta, wanted).map_err(|why| bad(format!("{}: {why}", entry.name)))?;
        }
    }
    let listed = |name: &str| snapshot.files.iter().any(|file| file.name == name);
    let ours = notes.disks.iter().flat_map(|disk| &disk.below).filter(|(_, ours)| *ours);
    let ours = ours.map(|(layer, _)| layer.path.to_string_lossy().into_owned());
    let variables = notes.uefi_vars.then(|| UEFI_VARS.to_owned());
    for name in ours.chain(variables).chain([STATE.to_owned()]) {
        if !listed(&name) {
            return Err(bad(format!("{name:?} is not among its files")));
        }
    }
    for input in &notes.inputs {
        if Input::of(&input.path).ok().as_ref() != Some(input) {
            return Err(bad(format!("its input {} has changed or is gone", input.path.display())));
        }
    }
    Ok(notes)
}

/// Checks a digest, once for a file as long as this process lives and the file is the same.
fn check(path: &Path, meta: &std::fs::Metadata, wanted: Digest) -> Result<(), String> {
    type Known = BTreeSet<(u64, u64, u64, i128, String)>;
    static KNOWN: Mutex<Known> = Mutex::new(BTreeSet::new());
    let key = (meta.dev(), meta.ino(), meta.len(), modified(meta), wanted.to_string());
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if known().contains(&key) {
        return Ok(());
    }
    let found = digest(path).map_err(|e| e.to_string())?;
    if found != wanted {
        return Err(format!("it has the digest {}, not {}", found.short(), wanted.short()));
    }
    known().insert(key);
    Ok(())
}
