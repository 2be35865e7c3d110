//! Locks between processes, and between tasks of one, that end with whoever holds them.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::CacheError;

/// How a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// With others.
    Shared,
    /// By nobody else.
    Alone,
}

/// A held lock.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
}

/// How often a lock that another process holds is asked for: flock has no event to wait on.
const ASK_AGAIN: Duration = Duration::from_millis(50);

impl Lock {
    /// Takes the lock if that is possible at once.
    pub fn try_now(path: &Path, mode: Mode) -> Result<Option<Self>, CacheError> {
        loop {
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .read(true)
                .open(path)
                .map_err(CacheError::new("open", path))?;
            let taken = match mode {
                Mode::Shared => file.try_lock_shared(),
                Mode::Alone => file.try_lock(),
            };
            match taken {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(e)) => return Err(CacheError::new("lock", path)(e)),
            }
            // Whoever held it may have removed the file; a lock on a removed file locks nothing.
            let ours = file.metadata().map_err(CacheError::new("look at", path))?;
            if fs::metadata(path)
                .is_ok_and(|now| (now.dev(), now.ino()) == (ours.dev(), ours.ino()))
            {
                return Ok(Some(Self { path: path.to_owned(), file }));
            }
        }
    }

    /// Waits for the lock.
    pub async fn wait(path: &Path, mode: Mode) -> Result<Self, CacheError> {
        loop {
            if let Some(lock) = Self::try_now(path, mode)? {
                return Ok(lock);
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// Goes on holding it, but with others.
    pub fn share(self) -> Result<Self, CacheError> {
        self.file.lock_shared().map_err(CacheError::new("lock", &self.path))?;
        Ok(self)
    }

    /// Notes that what it guards is used now. Only what is removed first depends on it.
    pub fn touch(&self) {
        let _ = self.file.set_modified(SystemTime::now());
    }

    /// Removes the lock's file, while it is held alone.
    pub fn remove(self) {
        // A file that stays is of no harm: the next one to want the lock opens it.
        let _ = fs::remove_file(&self.path);
    }
}
