//! A saved machine as files in a folder of this computer: what drivers keep alike.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hospitium_model::Digest;
use serde::{Deserialize, Serialize};

use super::files::{digest, open_left};
use crate::{HostError, Snapshot, SnapshotFile};

/// File that says what the snapshot is. Written last: without it there is no snapshot.
pub const INDEX: &str = "snapshot.json";
/// No real index is larger.
const LARGEST_INDEX: u64 = 4 << 20;

/// A read-only input as it was, so that a changed one is noticed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input {
    path: PathBuf,
    size: u64,
    /// Nanoseconds since the epoch.
    modified: i128,
}

fn modified(meta: &Metadata) -> i128 {
    i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec())
}

impl Input {
    /// As it is now.
    ///
    /// # Errors
    /// It is not there.
    pub fn of(path: &Path) -> Result<Self, HostError> {
        let meta = std::fs::metadata(path);
        let meta = meta.map_err(HostError::io(format!("looking at {}", path.display())))?;
        Ok(Self { path: path.to_owned(), size: meta.len(), modified: modified(&meta) })
    }
}

impl SnapshotFile {
    /// A file of a snapshot that nobody writes to any more, as it is now.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(name: &str, file: File, digested: bool) -> io::Result<Self> {
        let meta = file.metadata()?;
        let sha256 = if digested { Some(digest_saved(file)?) } else { None };
        let modified = (!digested).then(|| modified(&meta));
        Ok(Self { name: name.to_owned(), size: meta.len(), sha256, modified })
    }
}

/// Reads what a folder says it holds.
///
/// # Errors
/// It holds no snapshot, or one that cannot be read.
pub fn load(folder: &Path) -> Result<Snapshot, HostError> {
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

/// Checks that each file is there and is what it was, that those that are `needed` are among them, and that no input has
/// changed.
///
/// # Errors
/// It is not so, and what is not.
pub fn check_files(
    snapshot: &Snapshot,
    needed: impl IntoIterator<Item = String>,
    inputs: &[Input],
) -> Result<(), HostError> {
    let folder = &snapshot.folder;
    let bad = |why: String| HostError::BadSnapshot { folder: folder.clone(), why };
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
        if entry.modified.is_some_and(|then| then != modified(&meta)) {
            return Err(bad(format!("{} was written to after it was saved", entry.name)));
        }
        if let Some(wanted) = entry.sha256 {
            check_digest(&path, &meta, wanted)
                .map_err(|why| bad(format!("{}: {why}", entry.name)))?;
        }
    }
    for name in needed {
        if !snapshot.files.iter().any(|file| file.name == name) {
            return Err(bad(format!("{name:?} is not among its files")));
        }
    }
    for input in inputs {
        if Input::of(&input.path).ok().as_ref() != Some(input) {
            return Err(bad(format!("its input {} has changed or is gone", input.path.display())));
        }
    }
    Ok(())
}

/// A file as it was when this process digested it: device, inode, size, when anything of the inode changed (no
/// program can set that), digest.
type Known = (u64, u64, u64, i64, i64, Digest);

static KNOWN: Mutex<BTreeSet<Known>> = Mutex::new(BTreeSet::new());

fn known() -> MutexGuard<'static, BTreeSet<Known>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn as_it_is(meta: &Metadata, digest: Digest) -> Known {
    (meta.dev(), meta.ino(), meta.len(), meta.ctime(), meta.ctime_nsec(), digest)
}

/// The digest of a file that goes into a saved machine and that nobody else writes to any more. A
/// [check](check_files) by this process does not read it again.
///
/// # Errors
/// It cannot be read.
pub fn digest_saved(file: File) -> io::Result<Digest> {
    let meta = file.metadata()?;
    let digest = digest(file)?;
    known().insert(as_it_is(&meta, digest));
    Ok(digest)
}

/// Checks a digest, once for a file as long as this process lives and the file is the same.
fn check_digest(path: &Path, meta: &Metadata, wanted: Digest) -> Result<(), String> {
    if known().contains(&as_it_is(meta, wanted)) {
        return Ok(());
    }
    let found = open_left(path).map_err(|e| e.to_string())?;
    let found = digest_saved(found).map_err(|e| e.to_string())?;
    if found != wanted {
        return Err(format!("it has the digest {}, not {}", found.short(), wanted.short()));
    }
    Ok(())
}
