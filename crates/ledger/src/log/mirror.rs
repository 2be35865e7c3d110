//! A copy of another party's log, kept up to date from where that party publishes it.
//!
//! Nothing of what comes is believed: the head has to be one that the policy trusts, and the entries have to hash to its
//! root, from the edge of what is here already, so that a copy only ever grows. Tiles are not fetched but computed. What
//! is new is on the medium before the head takes its place; until then the copy is the one of before.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::folder::{BUNDLE_LIMIT, CHECKPOINT, unpack};
use super::growth::{self, Edge};
use super::{LogError, LogFolder};
use crate::files::{self, Access, FileError};
use crate::head::{HeadError, Trusted};
use crate::kept;
use crate::note::{CHECKPOINT_LIMIT, Checkpoint, NoteError};
use crate::policy::Policy;
use crate::text::shown;
use crate::tile::{Row, Tile, WIDTH};

/// How the names of kept heads begin, after a dot. Copies of earlier releases have older heads, which prove nothing alone.
const OLDER: &str = "older";
const FORK: &str = "fork";
const OTHER: &str = "not-continued";
/// Kept heads that are looked at, at most: a peer may show another one every second.
const MOST_KEPT: usize = 100;
/// Bundles that are fetched before what they fill is written.
const BATCH: u64 = 16;

/// Where the files of a log are to be had.
pub trait Source {
    /// The bytes of a file by its path under the log (`checkpoint`, `tile/entries/000`), or nothing if there is none.
    ///
    /// # Errors
    /// If it cannot be had, or has more than `limit` bytes.
    fn get(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, SourceError>;
}

/// Why a file of a log cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be had")]
pub struct SourceError {
    /// Which file, from where.
    pub what: String,
    /// Why.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl LogFolder {
    /// Opens a file of the log by its path under it, to be read piece by piece, and tells its size in bytes; nothing if
    /// there is none.
    ///
    /// # Errors
    /// If it cannot be opened, is no plain file, or is larger than `limit` bytes.
    pub fn open_file(&self, path: &str, limit: u64) -> Result<Option<(File, u64)>, SourceError> {
        match files::open_bounded(&self.at(path), limit) {
            Ok(opened) => Ok(Some(opened)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(SourceError { what: path.to_owned(), source: error.into() }),
        }
    }
}

impl Source for LogFolder {
    fn get(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, SourceError> {
        let at = self.at(path);
        match files::read(&at, limit) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(SourceError { what: path.to_owned(), source: error.into() }),
        }
    }
}

/// How much is taken at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The most bytes of new entries.
    pub bytes: u64,
}

impl Default for Bounds {
    /// 16 GiB: some four million records.
    fn default() -> Self {
        Self { bytes: 16 << 30 }
    }
}

/// What a copy took in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Entries before; none the first time.
    pub before: Option<u64>,
    /// The head that it has now.
    pub trusted: Trusted,
}

/// Why nothing was taken. The copy is as it was.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// A file.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// No checkpoint where one is due.
    #[error("no log is published there: it has no checkpoint")]
    Absent,
    /// The checkpoint is none.
    #[error("what is published as the log's checkpoint is none")]
    Form(#[from] NoteError),
    /// The head is not trusted.
    #[error("the published head is not believed")]
    Head(#[from] HeadError),
    /// The folder has another log.
    #[error("{folder} holds a copy of the log {found:?}, not of {published:?}; take another folder", folder = folder.display())]
    OtherLog {
        /// The folder.
        folder: PathBuf,
        /// Whose copy it is.
        found: String,
        /// Whose log is published.
        published: String,
    },
    /// A smaller head, which the copy begins with.
    #[error(
        "the log shows a head of {found} entries, and this copy has these and more, {seen} in all: what is shown is stale,          as a cache may show it. The copy stays as it is, and nothing speaks against the log"
    )]
    Stale {
        /// Entries published.
        found: u64,
        /// Entries of the copy.
        seen: u64,
    },
    /// A smaller head, which the copy does not begin with.
    #[error(
        "the log was forked: it has signed a head of {found} entries, and the {seen} entries that this copy has do not begin          with these. Both heads, each with its own signature, are kept in {kept} as proof; nothing of it is taken",
        kept = kept.display()
    )]
    Shorter {
        /// Entries published.
        found: u64,
        /// Entries of the copy.
        seen: u64,
        /// Where both heads are.
        kept: PathBuf,
    },
    /// Another tree of the same size.
    #[error(
        "the log was forked: it has signed two heads of {size} entries. Both, each with its own signature, are kept in \
         {kept} as proof; nothing of it is taken", kept = kept.display()
    )]
    Fork {
        /// Entries of both.
        size: u64,
        /// Where both heads are.
        kept: PathBuf,
    },
    /// Entries that do not hash to the head, from the copy's edge on.
    #[error("the published entries do not hash to the published head{}", match before {
        Some(seen) => format!(
            " as a continuation of the {seen} entries of this copy: the log was forked, or its files are altered. Both heads \
             are kept in {}; nothing of it is taken", kept.as_deref().unwrap_or(Path::new("")).display()),
        None => ": its files are altered, or of another log".to_owned(),
    })]
    Root {
        /// Entries of the copy, if there is one.
        before: Option<u64>,
        /// Where both heads are, if there is a copy.
        kept: Option<PathBuf>,
    },
    /// A bundle that is none.
    #[error("the published {path} is no bundle of entries: {why}")]
    Bundle {
        /// Which.
        path: String,
        /// Why.
        why: String,
    },
    /// More than is taken at once.
    #[error(
        "the log has more than {limit} bytes of new entries, and so many are taken at most; nothing of it is taken"
    )]
    TooMuch {
        /// The bound.
        limit: u64,
    },
    /// The copy.
    #[error("the copy cannot be continued")]
    Copy(#[from] LogError),
    /// A file of the copy.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Brings the copy in this folder up to date; makes it if nothing is there. `progress` is told how many entries there
/// are so far, of how many.
///
/// # Errors
/// If the published head is not trusted, stale, or another; if its entries cannot be had or are not its own; if another
/// process does the same. The copy is as it was then.
pub fn pull(
    folder: &Path,
    source: &dyn Source,
    policy: &Policy,
    now: Timestamp,
    bounds: Bounds,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Pulled, PullError> {
    let published = source.get(CHECKPOINT, CHECKPOINT_LIMIT)?.ok_or(PullError::Absent)?;
    let published = Checkpoint::parse(&published)?;
    let trusted = policy.trusts(&published, now)?;
    files::make_folder(folder)?;
    let in_use = || LogError::InUse { folder: folder.to_owned() };
    let _lock = files::lock(&folder.join(".lock"))?.ok_or_else(in_use)?;
    let copy = LogFolder::new(folder);
    let old = match copy.checkpoint() {
        Err(LogError::Absent { .. }) => None,
        other => Some(other?),
    };
    if let Some(old) = &old {
        compare(folder, old, &published, policy)?;
    }
    let before = old.as_ref().map(|old| old.head().size);
    if old.as_ref().is_some_and(|old| old.as_bytes() == published.as_bytes()) {
        return Ok(Pulled { before, trusted });
    }
    let edge = match &old {
        Some(old) => Edge::load(&copy, old.head())?,
        None => Edge::default(),
    };
    let mut growing = Growing { copy: &copy, source, edge, full: Vec::new(), left: bounds.bytes };
    let taken = growing.take(trusted.head.size, bounds, progress);
    let is_its_own = taken.is_ok() && growing.edge.root() == trusted.head.root;
    if !is_its_own {
        growing.undo();
        taken?;
        let kept = match &old {
            Some(old) => Some(keep(folder, OTHER, old, &published)?),
            None => None,
        };
        return Err(PullError::Root { before, kept });
    }
    growth::write(&copy, &growing.edge.partials())?;
    let path = copy.at(CHECKPOINT);
    files::put_durably(&path, published.as_bytes(), Access::Public)?;
    growth::tidy(&copy, &growing.full);
    Ok(Pulled { before, trusted })
}

/// Holds the published head against the copy's, as far as heads alone say it.
fn compare(
    folder: &Path,
    old: &Checkpoint,
    published: &Checkpoint,
    policy: &Policy,
) -> Result<(), PullError> {
    let (seen, found) = (old.head(), published.head());
    if seen.origin != found.origin {
        let (found, published) = (shown(&seen.origin), shown(&found.origin));
        return Err(PullError::OtherLog { folder: folder.to_owned(), found, published });
    }
    // What is here was verified when it came; a file can be changed since.
    if let Some(key) = policy.log(&seen.origin) {
        old.verify_log(key)
            .map_err(|source| LogError::Checkpoint { folder: folder.to_owned(), source })?;
    }
    if found.size < seen.size {
        // The copy's own tiles say whether it begins with them.
        if LogFolder::new(folder).tree(seen).root_of(found.size)? == found.root {
            return Err(PullError::Stale { found: found.size, seen: seen.size });
        }
        // In this order, so that whoever reads them sees a larger head that does not continue a smaller one.
        let kept = keep(folder, FORK, published, old)?;
        return Err(PullError::Shorter { found: found.size, seen: seen.size, kept });
    }
    if found.size == seen.size && found.root != seen.root {
        let kept = keep(folder, FORK, old, published)?;
        return Err(PullError::Fork { size: found.size, kept });
    }
    Ok(())
}

/// Keeps two heads that do not go together in a file beside the copy, under a name that begins with a dot.
fn keep(
    folder: &Path,
    what: &str,
    old: &Checkpoint,
    new: &Checkpoint,
) -> Result<PathBuf, FileError> {
    kept::keep(folder, &format!(".{what}-{}", new.head().size), old, new, &[])
}

/// What is kept beside a copy of heads that were refused: each the copy's head of then, and the one that was published.
/// Verify them before they are believed.
pub fn refused_heads(copy: &Path) -> Vec<(Checkpoint, Checkpoint)> {
    let Ok(entries) = std::fs::read_dir(copy) else { return Vec::new() };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    let is_kept =
        |name: &str| [OLDER, FORK, OTHER].iter().any(|what| name.starts_with(&format!(".{what}-")));
    let kept = names.iter().filter(|name| name.to_str().is_some_and(is_kept));
    kept.take(MOST_KEPT).filter_map(|name| kept::read(&copy.join(name))).collect()
}

/// A copy on its way to a larger head.
struct Growing<'a> {
    copy: &'a LogFolder,
    source: &'a dyn Source,
    edge: Edge,
    /// Full tiles that were written on the way.
    full: Vec<Tile>,
    /// Bytes that may still come.
    left: u64,
}

impl Growing<'_> {
    fn take(
        &mut self,
        size: u64,
        bounds: Bounds,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), PullError> {
        while self.edge.size() < size {
            let mut filled: BTreeMap<Tile, Vec<u8>> = BTreeMap::new();
            for _ in 0..BATCH {
                let have = self.edge.size();
                if have == size {
                    break;
                }
                let index = have / WIDTH;
                let width = (size - index * WIDTH).min(WIDTH);
                let entries = self.bundle(Tile { row: Row::Entries, index, width }, bounds)?;
                let known = usize::try_from(have % WIDTH).unwrap_or_default();
                filled.extend(self.edge.grow(entries.get(known..).unwrap_or_default()));
            }
            self.full.extend(filled.keys());
            growth::write(self.copy, &filled)?;
            progress(self.edge.size(), size);
        }
        Ok(())
    }

    fn bundle(&mut self, tile: Tile, bounds: Bounds) -> Result<Vec<Vec<u8>>, PullError> {
        let mut path = tile.to_string();
        let mut bytes = self.source.get(&path, BUNDLE_LIMIT)?;
        if bytes.is_none() && !tile.is_full() {
            // The full one has taken its place meanwhile.
            path = tile.full().to_string();
            bytes = self.source.get(&path, BUNDLE_LIMIT)?;
        }
        let missing =
            || PullError::Bundle { path: path.clone(), why: "it is not there".to_owned() };
        let bytes = bytes.ok_or_else(missing)?;
        self.left = self
            .left
            .checked_sub(bytes.len() as u64)
            .ok_or(PullError::TooMuch { limit: bounds.bytes })?;
        unpack(&bytes, tile.width).map_err(|why| PullError::Bundle { path, why })
    }

    /// Takes away what was written on the way to a head that is none.
    fn undo(&self) {
        for tile in &self.full {
            // One that stays is no part of the copy, and the next time it is written again.
            let _ = std::fs::remove_file(self.copy.at(&tile.to_string()));
        }
    }
}

#[cfg(test)]
mod tests;
