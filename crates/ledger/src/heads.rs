//! Heads of others' logs that were seen, remembered: what comes later has to continue them. A copy that
//! is smaller, older or another is refused, and both heads, each with the log's own signature, are kept.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hospitium_model::Digest;

use crate::files::{self, Access, FileError};
use crate::kept;
use crate::log::{LogError, LogFolder};
use crate::note::{CHECKPOINT_LIMIT, Checkpoint, Head, NoteError};
use crate::proof::check_consistency;
use crate::vkey::VerifierKey;

/// How long a lock is waited for that another process has.
const WAITS: Duration = Duration::from_secs(10);

/// The heads that are remembered in a folder.
#[derive(Debug, Clone)]
pub struct Heads {
    folder: PathBuf,
    /// Whether a log's key is a part of the name under which it is remembered.
    by_key: bool,
}

/// Why a head is not taken.
#[derive(Debug, thiserror::Error)]
pub enum HeadsError {
    /// An older head.
    #[error(
        "the log {origin:?} shows {found} entries, and a head of {seen} entries was seen before: an \
         older copy is not taken, for what was said since is missing from it. Get the newest copy. \
         Both heads are kept in {kept}",
        kept = kept.display()
    )]
    Older {
        /// The log.
        origin: String,
        /// Entries shown.
        found: u64,
        /// Entries seen before.
        seen: u64,
        /// Where both are kept.
        kept: PathBuf,
    },
    /// A fork.
    #[error(
        "the log {origin:?} was forked: its head of {size} entries does not continue the head of \
         {seen} entries that was seen before. Both heads, each with the log's own signature, are \
         kept in {kept} as proof; nothing of it is taken",
        kept = kept.display()
    )]
    Fork {
        /// The log.
        origin: String,
        /// Entries of the new head.
        size: u64,
        /// Entries of the head seen before.
        seen: u64,
        /// Where both are kept.
        kept: PathBuf,
    },
    /// What was remembered.
    #[error("what was remembered of this log, {path}, cannot be trusted", path = path.display())]
    Memory {
        /// The file.
        path: PathBuf,
        /// Why.
        source: NoteError,
    },
    /// Another process.
    #[error("another process looks at this log; try again")]
    InUse,
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Heads {
    /// Heads of logs, each under its key, in this folder; it is made when there is one to remember.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), by_key: true }
    }

    /// A witness's, under the logs' names.
    pub(crate) fn of_witness(folder: PathBuf) -> Self {
        Self { folder, by_key: false }
    }

    fn path(&self, log: &VerifierKey, what: &str) -> PathBuf {
        self.folder.join(self.name(log, what))
    }

    fn name(&self, log: &VerifierKey, what: &str) -> String {
        let name = if self.by_key { log.to_string() } else { log.name().to_owned() };
        format!("{}.{what}", Digest::of(name.as_bytes()).short())
    }

    /// The last head of this log that was remembered.
    ///
    /// # Errors
    /// If it is there and cannot be trusted.
    pub fn seen(&self, log: &VerifierKey) -> Result<Option<Checkpoint>, HeadsError> {
        let path = self.path(log, "checkpoint");
        let bytes = match files::read(&path, CHECKPOINT_LIMIT) {
            Err(error) if error.is_absent() => return Ok(None),
            other => other?,
        };
        let read = Checkpoint::parse(&bytes).and_then(|checkpoint| {
            checkpoint.verify_log(log)?;
            Ok(checkpoint)
        });
        read.map(Some).map_err(|source| HeadsError::Memory { path, source })
    }

    /// Takes a log's verified head, if it continues what was seen, and remembers it; gives how many
    /// entries were seen before.
    ///
    /// # Errors
    /// If it is older or does not continue what was seen: both heads are kept then.
    pub fn meet(
        &self,
        folder: &LogFolder,
        log: &VerifierKey,
        checkpoint: &Checkpoint,
    ) -> Result<Option<u64>, HeadsError> {
        let _lock = self.lock(log)?;
        let before = self.compare(folder, log, checkpoint)?;
        if before.is_none_or(|before| before < checkpoint.head().size) {
            self.remember(log, checkpoint)?;
        }
        Ok(before)
    }

    /// Holds a certificate's verified head, which comes without its log, against what was seen.
    ///
    /// # Errors
    /// If both are of one size and differ: both are kept then.
    pub fn meet_alone(&self, log: &VerifierKey, checkpoint: &Checkpoint) -> Result<(), HeadsError> {
        let Some(seen) = self.seen(log)? else { return Ok(()) };
        let (old, new) = (seen.head(), checkpoint.head());
        if old.size != new.size || old.root == new.root {
            return Ok(());
        }
        files::make_folder(&self.folder)?;
        Err(self.fork(log, &seen, checkpoint, &[])?)
    }

    pub(crate) fn lock(&self, log: &VerifierKey) -> Result<files::Lock, HeadsError> {
        files::make_folder(&self.folder)?;
        // It is held for moments: whoever only reads a log beside another waits for it.
        let until = Instant::now() + WAITS;
        loop {
            if let Some(lock) = files::lock(&self.path(log, "lock"))? {
                return Ok(lock);
            }
            if Instant::now() >= until {
                return Err(HeadsError::InUse);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn compare(
        &self,
        folder: &LogFolder,
        log: &VerifierKey,
        checkpoint: &Checkpoint,
    ) -> Result<Option<u64>, HeadsError> {
        let Some(seen) = self.seen(log)? else { return Ok(None) };
        let (old, new) = (seen.head(), checkpoint.head());
        match continues(folder, old, new)? {
            Continues::Yes => Ok(Some(old.size)),
            Continues::Older => {
                let what = format!("older-{}", new.size);
                let kept = self.keep(log, &what, &seen, checkpoint, &[])?;
                let origin = log.name().to_owned();
                Err(HeadsError::Older { origin, found: new.size, seen: old.size, kept })
            }
            Continues::No(proof) => Err(self.fork(log, &seen, checkpoint, &proof)?),
        }
    }

    pub(crate) fn remember(
        &self,
        log: &VerifierKey,
        checkpoint: &Checkpoint,
    ) -> Result<(), HeadsError> {
        let path = self.path(log, "checkpoint");
        Ok(files::put_durably(&path, checkpoint.as_bytes(), Access::Public)?)
    }

    pub(crate) fn fork(
        &self,
        log: &VerifierKey,
        old: &Checkpoint,
        new: &Checkpoint,
        proof: &[[u8; 32]],
    ) -> Result<HeadsError, HeadsError> {
        let kept = self.keep(log, &format!("fork-{}", new.head().size), old, new, proof)?;
        let origin = log.name().to_owned();
        Ok(HeadsError::Fork { origin, size: new.head().size, seen: old.head().size, kept })
    }

    fn keep(
        &self,
        log: &VerifierKey,
        what: &str,
        old: &Checkpoint,
        new: &Checkpoint,
        proof: &[[u8; 32]],
    ) -> Result<PathBuf, FileError> {
        kept::keep(&self.folder, &self.name(log, what), old, new, proof)
    }
}

/// Whether a head continues another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Continues {
    /// It does, or is the same.
    Yes,
    /// It is smaller.
    Older,
    /// It does not: what the files give as the proof that does not hold.
    No(Vec<[u8; 32]>),
}

/// Whether the head of a log whose files are here continues one that was seen before.
///
/// # Errors
/// If its files cannot be read.
pub fn continues(folder: &LogFolder, old: &Head, new: &Head) -> Result<Continues, LogError> {
    if new.size < old.size {
        return Ok(Continues::Older);
    }
    // Of one size, the roots say it: no file is needed, and a damaged one is another matter.
    if new.size == old.size {
        return Ok(if new.root == old.root { Continues::Yes } else { Continues::No(Vec::new()) });
    }
    let proof = folder.tree(new).consistency(old.size)?;
    Ok(match check_consistency(&proof, old, new) {
        Ok(()) => Continues::Yes,
        Err(_) => Continues::No(proof),
    })
}
