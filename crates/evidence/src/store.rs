//! A locked folder in which files appear whole or not at all.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use hospitium_files::{Access, Begun};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::WriteError;
use crate::layout::limit;

/// The folder. Locked (`flock` on the folder itself) for as long as this lives.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    lock: File,
    finished: AtomicUsize,
}

impl Store {
    /// Opens the folder, makes it if it is not there, and locks it.
    pub fn open(folder: &Path) -> Result<Self, WriteError> {
        let io = |doing| move |source| WriteError::Io { doing, path: folder.into(), source };
        fs::create_dir_all(folder).map_err(io("make the folder"))?;
        let lock = File::open(folder).map_err(io("open the folder"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(WriteError::InUse { folder: folder.into() });
            }
            Err(TryLockError::Error(error)) => return Err(io("lock the folder")(error)),
        }
        Ok(Self { folder: folder.into(), lock, finished: AtomicUsize::new(0) })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What went wrong with `path`, told apart by whether there was no room.
    pub fn error(&self, doing: &'static str, path: &Path, source: io::Error) -> WriteError {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let path = path.to_owned();
        match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => {
                WriteError::Full { path, kept: self.finished.load(Ordering::Relaxed), source }
            }
            _ => WriteError::Io { doing, path, source },
        }
    }

    pub fn make_folder(&self, name: &str) -> Result<(), WriteError> {
        let path = self.path(name);
        fs::create_dir_all(&path).map_err(|e| self.error("make the folder", &path, e))
    }

    /// Writes a file whole or not at all: under another name first, then renamed. What was there
    /// before is replaced.
    pub fn put(&self, name: &str, bytes: &[u8], limit: u64) -> Result<(), WriteError> {
        let path = self.path(name);
        let size = bytes.len() as u64;
        if size > limit {
            return Err(WriteError::TooLarge { path, size, limit });
        }
        let written = Begun::alone(&path, Access::Public)
            .and_then(|mut begun| begun.write_all(bytes).and_then(|()| begun.place()));
        written.map_err(|source| self.error("write", &path, source))?;
        self.finished.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Writes a record as JSON, once it is sure that it can be read back.
    pub fn put_json<T>(&self, name: &str, record: &T, limit: u64) -> Result<(), WriteError>
    where
        T: Serialize + DeserializeOwned,
    {
        let unreadable = |source| WriteError::NotReadable { path: self.path(name), source };
        let mut json = serde_json::to_vec_pretty(record).map_err(unreadable)?;
        json.push(b'\n');
        serde_json::from_slice::<T>(&json).map_err(unreadable)?;
        self.put(name, &json, limit)
    }

    /// Opens a file to append to.
    pub fn append(&self, name: &str) -> Result<Appender, WriteError> {
        let path = self.path(name);
        let opened = OpenOptions::new().create(true).append(true).open(&path);
        let file = opened.map_err(|e| self.error("open", &path, e))?;
        let size = file.metadata().map_err(|e| self.error("look at", &path, e))?.len();
        Ok(Appender { path, file, size })
    }

    /// Sees to it that the folder's own entries are on the medium.
    pub fn sync(&self, folders: &[PathBuf]) -> Result<(), WriteError> {
        for path in folders {
            let synced = File::open(path).and_then(|folder| folder.sync_all());
            synced.map_err(|e| self.error("flush", path, e))?;
        }
        self.lock.sync_all().map_err(|e| self.error("flush", &self.folder, e))
    }
}

/// A file that grows by whole pieces.
#[derive(Debug)]
pub struct Appender {
    path: PathBuf,
    file: File,
    size: u64,
}

impl Appender {
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends all of it, or leaves the file as it was.
    pub fn push(&mut self, store: &Store, bytes: &[u8]) -> Result<(), WriteError> {
        let size = self.size + bytes.len() as u64;
        if size > limit::FILE {
            return Err(WriteError::TooLarge { path: self.path.clone(), size, limit: limit::FILE });
        }
        if let Err(source) = self.file.write_all(bytes) {
            // Best effort: the first error is the one to tell.
            let _ = self.file.set_len(self.size);
            return Err(store.error("append to", &self.path, source));
        }
        self.size = size;
        Ok(())
    }
}
