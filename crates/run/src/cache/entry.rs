//! One booted machine in the cache: what it is, whether it is whole, how it is made.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use hospitium_files::Access;
use hospitium_host::{Snapshot, SnapshotFile, local};
use hospitium_model::{Boot, Digest, InputPin, MachineSpec};
use hospitium_suite::BootFacts;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::lock::Lock;
use super::{CacheError, KeyParts};

const ENTRY: &str = "entry.json";
const BOOT: &str = "boot";
const SNAPSHOT: &str = "snapshot";
const PICTURE: &str = "booted.png";
/// An entry's description is some tens of KiB; the console in it is bounded.
const LARGEST: u64 = 64 << 20;

/// What `entry.json` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The key.
    pub key: Digest,
    /// What the key was made from.
    pub parts: KeyParts,
    /// The machine as declared, without boot media.
    pub declared: MachineSpec,
    /// Everything that went in.
    pub inputs: Vec<InputPin>,
    /// When it was booted.
    pub booted: Timestamp,
    /// What was seen while it booted.
    pub boot: BootFacts,
    /// The saved machine.
    pub snapshot: Snapshot,
    /// Files of the entry besides the snapshot's own that it depends on, by path within the entry.
    pub files: Vec<SnapshotFile>,
}

/// An entry in use: it stays while this lives.
#[derive(Debug)]
pub struct Held {
    folder: PathBuf,
    entry: Entry,
    _lock: Lock,
}

/// The right to make an entry. Dropped without [`keep`](Reservation::keep), what was made is a
/// partial entry, which the next one to come removes.
#[derive(Debug)]
pub struct Reservation {
    folder: PathBuf,
    key: Digest,
    lock: Lock,
}

impl Entry {
    /// Reads the description of the entry in `folder`.
    pub(super) fn read(folder: &Path, key: Digest) -> Result<Self, String> {
        let path = folder.join(ENTRY);
        let size = fs::metadata(&path).map_err(|_| "it was never finished".to_owned())?.len();
        if size > LARGEST {
            return Err(format!("its description has {size} bytes"));
        }
        let bytes = fs::read(&path).map_err(|e| format!("its description cannot be read: {e}"))?;
        let mut entry: Self = serde_json::from_slice(&bytes)
            .map_err(|e| format!("its description is broken: {e}"))?;
        let parts =
            entry.parts.digest().map_err(|e| format!("its key cannot be made again: {e}"))?;
        if entry.key != key || parts != key {
            return Err("it is not what its name says".into());
        }
        entry.snapshot.folder = folder.join(SNAPSHOT);
        Ok(entry)
    }

    /// Checks that every file is there and is what it was.
    pub(super) fn verify(&self, folder: &Path) -> Result<(), String> {
        let own = self.files.iter().map(|file| (folder.to_owned(), file));
        let snapshot = self.snapshot.files.iter().map(|file| (folder.join(SNAPSHOT), file));
        for (folder, file) in own.chain(snapshot) {
            let plain = Path::new(&file.name)
                .components()
                .all(|part| matches!(part, std::path::Component::Normal(_)));
            if !plain {
                return Err(format!("it names a file {:?} outside itself", file.name));
            }
            let path = folder.join(&file.name);
            let size = fs::symlink_metadata(&path)
                .map_err(|e| format!("its file {} cannot be looked at: {e}", file.name))?
                .len();
            if size != file.size {
                return Err(format!("its file {} has {size} bytes, not {}", file.name, file.size));
            }
            if let Some(expected) = file.sha256 {
                let found = File::open(&path)
                    .and_then(local::digest)
                    .map_err(|e| format!("its file {} cannot be read: {e}", file.name))?;
                if found != expected {
                    return Err(format!("its file {} was altered", file.name));
                }
            }
        }
        Ok(())
    }
}

impl Held {
    pub(super) const fn new(folder: PathBuf, entry: Entry, lock: Lock) -> Self {
        Self { folder, entry, _lock: lock }
    }

    /// What it is.
    pub const fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A picture of the booted machine as PNG, if one was taken.
    pub fn picture(&self) -> Option<Vec<u8>> {
        fs::read(self.folder.join(PICTURE)).ok()
    }
}

impl Reservation {
    pub(super) fn make(folder: PathBuf, key: Digest, lock: Lock) -> Result<Self, CacheError> {
        for name in [BOOT, SNAPSHOT] {
            let path = folder.join(name);
            fs::create_dir_all(&path).map_err(CacheError::new("make", &path))?;
        }
        Ok(Self { folder, key, lock })
    }

    /// For the files of the machine that boots. They stay with the snapshot.
    pub fn boot_folder(&self) -> PathBuf {
        self.folder.join(BOOT)
    }

    /// Where the snapshot is to be saved.
    pub fn snapshot_folder(&self) -> PathBuf {
        self.folder.join(SNAPSHOT)
    }

    /// Completes the entry: from here on it is found.
    ///
    /// # Errors
    /// It cannot be written; what is there stays partial.
    pub async fn keep(
        self,
        mut entry: Entry,
        picture: Option<Vec<u8>>,
    ) -> Result<Held, CacheError> {
        let work = tokio::task::spawn_blocking(move || {
            entry.key = self.key;
            entry.files = self.dependencies(&entry.snapshot.spec)?;
            entry.snapshot.folder = self.snapshot_folder();
            self.write(&entry, picture.as_deref())?;
            let lock = self.lock.share()?;
            lock.touch();
            Ok(Held::new(self.folder, entry, lock))
        });
        match work.await {
            Ok(done) => done,
            Err(e) => {
                Err(CacheError::new("complete an entry", Path::new(""))(std::io::Error::other(e)))
            }
        }
    }

    /// Files made for the boot that the saved machine still names.
    fn dependencies(&self, spec: &MachineSpec) -> Result<Vec<SnapshotFile>, CacheError> {
        let mut paths: Vec<&Path> = spec.disks.iter().filter_map(|d| d.image.as_deref()).collect();
        if let Boot::Kernel { kernel, initrd, .. } = &spec.boot {
            paths.push(kernel);
            paths.extend(initrd.as_deref());
        }
        let boot = self.boot_folder();
        let mut files = Vec::new();
        for path in paths.into_iter().filter(|path| path.starts_with(&boot)) {
            let error = || CacheError::new("read", path);
            let file = File::open(path).map_err(error())?;
            let within = path.strip_prefix(&self.folder).unwrap_or(path);
            files.push(SnapshotFile::of(&within.to_string_lossy(), file, true).map_err(error())?);
        }
        Ok(files)
    }

    fn write(&self, entry: &Entry, picture: Option<&[u8]>) -> Result<(), CacheError> {
        if let Some(png) = picture {
            let path = self.folder.join(PICTURE);
            fs::write(&path, png).map_err(CacheError::new("write", &path))?;
        }
        let path = self.folder.join(ENTRY);
        let error = || CacheError::new("write", &path);
        let bytes = serde_json::to_vec(entry).map_err(|e| error()(e.into()))?;
        hospitium_files::replace_durably(&path, &bytes, Access::Public).map_err(error())
    }
}
