//! Booted machines, kept from one run to the next.
//!
//! An entry is a folder named by its key: `boot/` with the files made for booting, `snapshot/` with
//! the saved machine, and `entry.json`, which is written last and renamed into place, so that an
//! entry without it is known to be partial. Beside it lies `<key>.lock`: held shared by who uses
//! the entry, alone by who makes or removes it; its time of change is the time of last use.

mod derived;
mod entry;
mod key;
mod lock;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hospitium_host::Reapers;
use hospitium_model::{ByteSize, Digest};

pub use derived::{room_of_derived, trim_derived};
pub use entry::{Entry, Held, Reservation};
pub use key::{Digests, FileError, KeyParts};
use lock::{Lock, Mode};

/// How much the cache may take unless told otherwise.
pub const DEFAULT_SIZE: ByteSize = ByteSize::gib(8);

/// The cache's folder and bound.
#[derive(Debug, Clone)]
pub struct SnapshotCache {
    folder: PathBuf,
    most: ByteSize,
    reapers: Reapers,
}

/// What the cache has for a key.
#[derive(Debug)]
pub enum Found {
    /// A whole entry, locked so that it stays.
    Hit(Box<Held>),
    /// None, and the right to make it.
    Miss {
        /// Where to make it.
        reservation: Reservation,
        /// Why an entry that was there has been dropped.
        dropped: Option<String>,
    },
}

/// An entry as a list shows it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its key.
    pub key: Digest,
    /// Room that it takes.
    pub size: ByteSize,
    /// When it was last used.
    pub used: SystemTime,
    /// What it is, unless it is partial.
    pub entry: Option<Box<Entry>>,
    /// Some process uses it now.
    pub in_use: bool,
}

/// The cache's folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {} in the snapshot cache; `hospitium run --no-cache` does without it", path.display())]
pub struct CacheError {
    /// What was being done.
    pub doing: &'static str,
    /// To what.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl CacheError {
    fn new(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { doing, path: path.to_owned(), source }
    }
}

impl SnapshotCache {
    /// The cache in this folder, which is made if it is not there. `reapers` end what a killed run left running
    /// in an entry.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(folder: &Path, most: ByteSize, reapers: Reapers) -> Result<Self, CacheError> {
        fs::create_dir_all(folder).map_err(CacheError::new("make", folder))?;
        let folder = folder.canonicalize().map_err(CacheError::new("find", folder))?;
        Ok(Self { folder, most, reapers })
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Looks an entry up and verifies it; if there is none that is whole, the right to make it.
    /// While another process makes it, waits for that.
    ///
    /// # Errors
    /// The cache's folder cannot be used.
    pub async fn find(&self, key: Digest) -> Result<Found, CacheError> {
        let folder = self.folder.join(key.to_string());
        let path = self.lock_path(key);
        let lock = Lock::wait(&path, Mode::Shared).await?;
        if let Ok(held) = verified(&folder, key, &lock).await {
            lock.touch();
            return Ok(Found::Hit(Box::new(Held::new(folder, held, lock))));
        }
        drop(lock);
        let lock = Lock::wait(&path, Mode::Alone).await?;
        // Somebody may have made it in between.
        let dropped = match verified(&folder, key, &lock).await {
            Ok(entry) => {
                let lock = lock.share()?;
                lock.touch();
                return Ok(Found::Hit(Box::new(Held::new(folder, entry, lock))));
            }
            Err(why) => why,
        };
        self.remove(&folder)?;
        let reservation = Reservation::make(folder, key, lock)?;
        Ok(Found::Miss { reservation, dropped })
    }

    /// Drops an entry that turned out not to work, if nobody else uses it.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn drop_entry(&self, held: Held) -> Result<(), CacheError> {
        let (folder, key) = (held.folder().to_owned(), held.entry().key);
        drop(held);
        if Lock::try_now(&self.lock_path(key), Mode::Alone)?.is_some() {
            self.remove(&folder)?;
        }
        Ok(())
    }

    /// Removes what is partial, and then what was used longest ago until the rest is small enough.
    /// What is in use stays. Returns how many entries went.
    ///
    /// # Errors
    /// The folder cannot be read, or an entry not removed.
    pub fn trim(&self) -> Result<usize, CacheError> {
        self.shrink(self.most)
    }

    /// Removes everything that is not in use. Returns how many entries went.
    ///
    /// # Errors
    /// The folder cannot be read, or an entry not removed.
    pub fn clear(&self) -> Result<usize, CacheError> {
        self.shrink(ByteSize::default())
    }

    fn shrink(&self, most: ByteSize) -> Result<usize, CacheError> {
        let mut entries = self.list()?;
        entries.sort_by_key(|listed| (listed.entry.is_some(), listed.used));
        let mut total: u64 = entries.iter().map(|listed| listed.size.as_bytes()).sum();
        let mut gone = 0;
        for listed in entries {
            if listed.entry.is_some() && total <= most.as_bytes() {
                break;
            }
            let path = self.lock_path(listed.key);
            let Some(lock) = Lock::try_now(&path, Mode::Alone)? else {
                continue;
            };
            self.remove(&self.folder.join(listed.key.to_string()))?;
            lock.remove();
            total -= listed.size.as_bytes();
            gone += 1;
        }
        Ok(gone)
    }

    /// What is there, in no order.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, CacheError> {
        let error = || CacheError::new("list", &self.folder);
        let mut all = Vec::new();
        for item in fs::read_dir(&self.folder).map_err(error())? {
            let item = item.map_err(error())?;
            let Ok(key) = item.file_name().to_string_lossy().parse::<Digest>() else {
                continue;
            };
            let path = self.lock_path(key);
            let in_use = Lock::try_now(&path, Mode::Alone)?.is_none();
            let used = fs::metadata(&path).and_then(|meta| meta.modified());
            all.push(Listed {
                key,
                size: ByteSize::bytes(taken(&item.path())),
                used: used.unwrap_or(SystemTime::UNIX_EPOCH),
                entry: Entry::read(&item.path(), key).ok().map(Box::new),
                in_use,
            });
        }
        Ok(all)
    }

    /// Removes an entry's files, and first ends a machine of a killed run that may still boot in it.
    fn remove(&self, folder: &Path) -> Result<(), CacheError> {
        for reaper in self.reapers.iter() {
            reaper.end_orphans(folder);
        }
        match fs::remove_dir_all(folder) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(CacheError::new("remove", folder)(e))
            }
            _ => Ok(()),
        }
    }

    fn lock_path(&self, key: Digest) -> PathBuf {
        self.folder.join(format!("{key}.lock"))
    }
}

/// Reads and verifies an entry. The error is why one that is there cannot be used, or `None` if
/// there is none. Done off the runtime's threads: it reads whole files.
async fn verified(folder: &Path, key: Digest, _locked: &Lock) -> Result<Entry, Option<String>> {
    let folder = folder.to_owned();
    let work = tokio::task::spawn_blocking(move || {
        if !folder.exists() {
            return Err(None);
        }
        let entry = Entry::read(&folder, key).map_err(Some)?;
        entry.verify(&folder).map_err(Some)?;
        Ok(entry)
    });
    work.await.unwrap_or_else(|e| Err(Some(format!("verifying it failed: {e}"))))
}

/// Bytes that a folder takes on the disk: holes do not count.
fn taken(folder: &Path) -> u64 {
    let Ok(items) = fs::read_dir(folder) else {
        return 0;
    };
    items
        .flatten()
        .filter_map(|item| {
            let meta = item.metadata().ok()?;
            Some(if meta.is_dir() { taken(&item.path()) } else { meta.blocks() * 512 })
        })
        .sum()
}

#[cfg(test)]
mod tests;
