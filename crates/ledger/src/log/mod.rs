//! The append-only log of a party: static files by c2sp.org/tlog-tiles.
//!
//! ```text
//! LOG/checkpoint             the signed head; put in place by a rename
//! LOG/tile/<L>/<N>[.p/<W>]   hashes
//! LOG/tile/entries/<N>…      entries, each led by its length as a big-endian 16-bit number
//! LOG/.lock, LOG/.journal    the writer's; web servers leave out names that begin with a dot
//! ```

mod check;
mod folder;
mod growth;
mod holds;
mod journal;
mod mirror;
mod writer;

pub use check::{Checked, LogProblem, walk};
pub use folder::{BUNDLE_LIMIT, LogFolder, Tree};
pub use growth::walk_on;
pub(crate) use holds::key_given_up;
pub use mirror::{Bounds, PullError, Pulled, Source, SourceError, pull, refused_heads};
pub use writer::{Appended, Log};

use std::path::PathBuf;

use crate::files::FileError;
use crate::note::NoteError;

/// The most bytes of an entry: its length stands in 16 bits.
pub const ENTRY_LIMIT: usize = 65_535;

/// Why a log could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Another process appends.
    #[error(
        "another process is writing to the log {folder}; wait for it to end",
        folder = folder.display()
    )]
    InUse {
        /// The log's folder.
        folder: PathBuf,
    },
    /// No log is there.
    #[error("{folder} holds no log: it has no checkpoint", folder = folder.display())]
    Absent {
        /// The folder.
        folder: PathBuf,
    },
    /// Tiles without a checkpoint: a head may have been signed over them.
    #[error(
        "{folder} has tiles and no checkpoint; a new head over them could contradict one that \
         others have seen, so put the checkpoint back from a copy",
        folder = folder.display()
    )]
    Headless {
        /// The folder.
        folder: PathBuf,
    },
    /// The log is behind what the party signed.
    #[error(
        "the log {folder} ends at entry {found}, and its party has already signed a head of \
         {signed} entries: an older copy was put in its place. To go on would fork the log; \
         restore the newest copy",
        folder = folder.display()
    )]
    RolledBack {
        /// The folder.
        folder: PathBuf,
        /// Entries by the checkpoint that is there.
        found: u64,
        /// Entries of the head that was signed.
        signed: u64,
    },
    /// The log contradicts what the party signed.
    #[error(
        "the log {folder} is not the one that its party signed last at {size} entries: \
         the two heads cannot both be true. Keep both; restore the right copy",
        folder = folder.display()
    )]
    Forked {
        /// The folder.
        folder: PathBuf,
        /// Entries of the head that was signed.
        size: u64,
    },
    /// A tile, bundle or journal that is not what it has to be.
    #[error("{path} is damaged: {why}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// An entry that cannot be one.
    #[error(
        "entry {number} of those to append has {size} bytes; an entry has 1 to {ENTRY_LIMIT}. \
         Put large things into evidence and record their digest"
    )]
    EntrySize {
        /// Which of those given, from 0.
        number: usize,
        /// Its size.
        size: usize,
    },
    /// An index or size beyond the log's end.
    #[error("the log has {size} entries, and {asked} was asked for")]
    Beyond {
        /// Its size.
        size: u64,
        /// What was asked for.
        asked: u64,
    },
    /// The log is full.
    #[error("the log would have more than 2^40 entries")]
    Full,
    /// The checkpoint.
    #[error("the checkpoint of {folder} is not good", folder = folder.display())]
    Checkpoint {
        /// The log's folder.
        folder: PathBuf,
        /// Why.
        source: NoteError,
    },
    /// A signature line that is no cosignature to accept.
    #[error("the line is not accepted for the checkpoint of {folder}: {why}", folder = folder.display())]
    Cosignature {
        /// The log's folder.
        folder: PathBuf,
        /// Why.
        why: String,
    },
    /// Tiles that do not hash to the checkpoint's root.
    #[error("the tiles of {folder} do not belong to its checkpoint: {why}", folder = folder.display())]
    Tiles {
        /// The log's folder.
        folder: PathBuf,
        /// Which or why.
        why: String,
    },
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;
