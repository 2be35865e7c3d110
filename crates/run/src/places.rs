//! Where the engine keeps what lives longer than a run.

use std::path::{Path, PathBuf};

use crate::RunError;

/// The folders and files below the cache's folder.
#[derive(Debug, Clone)]
pub struct Places(PathBuf);

impl Places {
    /// Those below `cache`, which is made if it is not there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make(cache: &Path) -> Result<Self, RunError> {
        std::fs::create_dir_all(cache).map_err(RunError::io("make the cache's folder", cache))?;
        let cache = cache.canonicalize().map_err(RunError::io("find", cache))?;
        Ok(Self(cache))
    }

    /// Booted machines.
    pub fn snapshots(&self) -> PathBuf {
        self.0.join("snapshots")
    }

    /// Machines of runs that go on.
    pub fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    /// Unpacked guests.
    pub fn guests(&self) -> PathBuf {
        self.0.join("guests")
    }

    /// What guests and hosts keep that can be made again; held small by the cache's bound.
    pub fn derived(&self) -> [PathBuf; 2] {
        [self.guests().join("kernels"), self.hosts().join("converted")]
    }

    /// Disk images that set-up has built.
    pub fn images(&self) -> PathBuf {
        self.0.join("images")
    }

    /// Packages that guests are made from.
    pub fn debs(&self) -> PathBuf {
        self.0.join("debs")
    }

    /// What is known of VMM binaries.
    pub fn hosts(&self) -> PathBuf {
        self.0.join("hosts")
    }

    /// What is needed to enter runs of this machine again.
    pub fn made(&self) -> PathBuf {
        self.0.join("made")
    }

    /// Digests of files.
    pub fn digests(&self) -> PathBuf {
        self.0.join("digests.json")
    }

    /// How long things took.
    pub fn durations(&self) -> PathBuf {
        self.0.join("durations.json")
    }
}
