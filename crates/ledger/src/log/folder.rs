//! A log's folder, read with distrust: tiles, entries, and proofs made from them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use tlog_tiles::HashReader;

use super::{ENTRY_LIMIT, LogError};
use crate::files::{self, Access, FileError};
use crate::note::{CHECKPOINT_LIMIT, Checkpoint, Hash, Head};
use crate::proof::{check_consistency, check_inclusion};
use crate::tile::{HEIGHT, Row, Tile, WIDTH};
use crate::tree::{empty_root, leaf_hash};

/// Name of the checkpoint's file.
pub const CHECKPOINT: &str = "checkpoint";
/// Name of the file of the head that is shown to others.
const SHOWN: &str = ".shown";
/// The most bytes of a bundle: 256 entries, each with its length.
pub const BUNDLE_LIMIT: u64 = WIDTH * (2 + ENTRY_LIMIT as u64);
/// Bytes of a full tile.
const TILE_LIMIT: u64 = WIDTH * 32;

/// The first `width` entries of a bundle's bytes.
pub fn unpack(bytes: &[u8], width: u64) -> Result<Vec<Vec<u8>>, String> {
    let mut entries = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let cut = || "an entry's length leads beyond its end".to_owned();
        let (length, after) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length).ok_or_else(cut)?;
        entries.push(entry.to_vec());
        rest = after;
    }
    let found = entries.len() as u64;
    if found != width && found != WIDTH {
        return Err(format!("it has {found} entries instead of {width}"));
    }
    entries.truncate(usize::try_from(width).unwrap_or_default());
    Ok(entries)
}

/// The folder of a log, a party's own or a copy of another's.
#[derive(Debug, Clone)]
pub struct LogFolder {
    path: PathBuf,
}

impl LogFolder {
    /// The log in this folder. Nothing is read yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a tile is.
    pub(crate) fn at(&self, tile: &str) -> PathBuf {
        self.path.join(tile)
    }

    /// Its checkpoint, as yet unverified.
    ///
    /// # Errors
    /// If there is none, or it is malformed.
    pub fn checkpoint(&self) -> Result<Checkpoint, LogError> {
        let bytes = match files::read(&self.path.join(CHECKPOINT), CHECKPOINT_LIMIT) {
            Err(error) if error.is_absent() => {
                return Err(LogError::Absent { folder: self.path.clone() });
            }
            other => other?,
        };
        Checkpoint::parse(&bytes)
            .map_err(|source| LogError::Checkpoint { folder: self.path.clone(), source })
    }

    /// The head that was shown to others last, with the cosignatures that it had then; none if there is none that can be
    /// read. As yet unverified.
    pub fn shown(&self) -> Option<Checkpoint> {
        let bytes = files::read(&self.path.join(SHOWN), CHECKPOINT_LIMIT).ok()?;
        Checkpoint::parse(&bytes).ok()
    }

    /// Keeps the head that is shown to others now.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep_shown(&self, checkpoint: &Checkpoint) -> Result<(), FileError> {
        files::put_durably(&self.path.join(SHOWN), checkpoint.as_bytes(), Access::Public)
    }

    /// The first `tile.width` hashes of a tile, unverified: from the partial tile, else the full one
    /// that took its place.
    pub(crate) fn hashes(&self, tile: Tile) -> Result<Vec<Hash>, LogError> {
        let (path, mut bytes) = self.read(tile, TILE_LIMIT)?;
        let width = usize::try_from(tile.width).unwrap_or_default();
        let whole = bytes.len() == 32 * width || (bytes.len() as u64 == TILE_LIMIT);
        if !whole {
            let why = format!("it has {} bytes instead of {}", bytes.len(), 32 * width);
            return Err(LogError::Damaged { path, why });
        }
        bytes.truncate(32 * width);
        Ok(bytes.as_chunks().0.to_vec())
    }

    /// The first `width` entries of a bundle, unverified.
    pub(crate) fn bundle(&self, index: u64, width: u64) -> Result<Vec<Vec<u8>>, LogError> {
        let (path, bytes) = self.read(Tile { row: Row::Entries, index, width }, BUNDLE_LIMIT)?;
        unpack(&bytes, width).map_err(|why| LogError::Damaged { path, why })
    }

    fn read(&self, tile: Tile, limit: u64) -> Result<(PathBuf, Vec<u8>), LogError> {
        let path = self.at(&tile.to_string());
        match files::read(&path, limit) {
            Ok(bytes) => Ok((path, bytes)),
            Err(error) if error.is_absent() && !tile.is_full() => {
                let full = self.at(&tile.full().to_string());
                match files::read(&full, limit) {
                    Ok(bytes) => Ok((full, bytes)),
                    Err(other) if other.is_absent() => Err(error.into()),
                    Err(other) => Err(other.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The tree under a verified head.
    pub const fn tree<'a>(&'a self, head: &'a Head) -> Tree<'a> {
        Tree { folder: self, head }
    }
}

/// The tree that a head commits to. What comes out of here was checked against the head's root: each
/// proof is verified before it is given away, and with it every hash that it was made from. (The
/// reader of `tlog_tiles` 0.2 that authenticates tiles leaves some unchecked where two subtrees of the
/// right edge lie in one tile.)
#[derive(Debug, Clone, Copy)]
pub struct Tree<'a> {
    folder: &'a LogFolder,
    head: &'a Head,
}

impl Tree<'_> {
    /// The proof that the entry of this index is in the tree (RFC 6962 section 2.1.1).
    ///
    /// # Errors
    /// If there is no such entry, or tiles are missing or not those of the head.
    pub fn inclusion(&self, index: u64) -> Result<Vec<Hash>, LogError> {
        let size = self.head.size;
        if index >= size {
            return Err(LogError::Beyond { size, asked: index });
        }
        let tiles = Tiles::new(self);
        let proof = tiles.told(tlog_tiles::prove_record(size, index, &tiles))?;
        let leaf = tiles.node(0, index)?;
        let proof: Vec<Hash> = proof.into_iter().map(|hash| hash.0).collect();
        check_inclusion(&proof, self.head, index, leaf).map_err(|_| self.inconsistent())?;
        Ok(proof)
    }

    /// The proof that the tree begins with the smaller tree of `old` entries (section 2.1.2).
    ///
    /// # Errors
    /// If `old` is larger than the tree, or tiles are missing or not those of the head.
    pub fn consistency(&self, old: u64) -> Result<Vec<Hash>, LogError> {
        Ok(self.old(old)?.1)
    }

    /// The root of the tree's first `old` entries.
    ///
    /// # Errors
    /// As for [`consistency`](Self::consistency).
    pub fn root_of(&self, old: u64) -> Result<Hash, LogError> {
        Ok(self.old(old)?.0)
    }

    /// The root of the first `old` entries, and the proof that the tree begins with them.
    fn old(&self, old: u64) -> Result<(Hash, Vec<Hash>), LogError> {
        let size = self.head.size;
        if old > size {
            return Err(LogError::Beyond { size, asked: old });
        }
        if old == 0 {
            return Ok((empty_root(), Vec::new()));
        }
        let tiles = Tiles::new(self);
        let proof = tiles.told(tlog_tiles::prove_tree(size, old, &tiles))?;
        let root = tiles.told(tlog_tiles::tree_hash(old, &tiles))?.0;
        let proof: Vec<Hash> = proof.into_iter().map(|hash| hash.0).collect();
        let head = Head { size: old, root, origin: self.head.origin.clone() };
        check_consistency(&proof, &head, self.head).map_err(|_| self.inconsistent())?;
        Ok((root, proof))
    }

    /// An entry, checked against the tree.
    ///
    /// # Errors
    /// If there is no such entry, or it is not the one of the tree.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, LogError> {
        let proof = self.inclusion(index)?;
        let bundle = index / WIDTH;
        let width = (self.head.size - bundle * WIDTH).min(WIDTH);
        let mut entries = self.folder.bundle(bundle, width)?;
        let at = usize::try_from(index % WIDTH).unwrap_or(usize::MAX);
        let beyond = LogError::Beyond { size: self.head.size, asked: index };
        if at >= entries.len() {
            return Err(beyond);
        }
        let entry = entries.swap_remove(at);
        check_inclusion(&proof, self.head, index, leaf_hash(&entry)).map_err(|_| {
            let path =
                self.folder.at(&Tile { row: Row::Entries, index: bundle, width }.to_string());
            LogError::Damaged { path, why: format!("entry {index} is not the one of the tree") }
        })?;
        Ok(entry)
    }

    fn inconsistent(&self) -> LogError {
        let why = "they hash to another root; `hospitium log check` names the file".to_owned();
        LogError::Tiles { folder: self.folder.path.clone(), why }
    }
}

/// Gives hashes out of tiles, as yet unverified, to `tlog_tiles`, whose errors cannot carry ours.
struct Tiles<'a> {
    tree: &'a Tree<'a>,
    read: RefCell<BTreeMap<Tile, Vec<Hash>>>,
    failed: RefCell<Option<LogError>>,
}

impl<'a> Tiles<'a> {
    const fn new(tree: &'a Tree<'a>) -> Self {
        Self { tree, read: RefCell::new(BTreeMap::new()), failed: RefCell::new(None) }
    }

    /// The hash over `2^level` entries, the `n`-th of that level.
    fn node(&self, level: u8, n: u64) -> Result<Hash, LogError> {
        let (row, within) = (level / HEIGHT, level % HEIGHT);
        let first = n << within;
        let index = first / WIDTH;
        let all = self.tree.head.size >> (8 * u32::from(row));
        let width = all.saturating_sub(index * WIDTH).min(WIDTH);
        let tile = Tile { row: Row::Level(row), index, width };
        let mut read = self.read.borrow_mut();
        let hashes = match read.entry(tile) {
            Entry::Occupied(hashes) => hashes.into_mut(),
            Entry::Vacant(place) => place.insert(self.tree.folder.hashes(tile)?),
        };
        let start = usize::try_from(first % WIDTH).unwrap_or(usize::MAX);
        let nodes = hashes.get(start..start.saturating_add(1 << within));
        nodes.and_then(crate::tree::over).ok_or(LogError::Beyond { size: all, asked: first })
    }

    /// What `tlog_tiles` made, or what kept it from making it.
    fn told<T>(&self, made: Result<T, tlog_tiles::Error>) -> Result<T, LogError> {
        made.map_err(|error| {
            self.failed.take().unwrap_or_else(|| LogError::Tiles {
                folder: self.tree.folder.path.clone(),
                why: error.to_string(),
            })
        })
    }
}

impl HashReader for Tiles<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        let read = |index: &u64| {
            let (level, n) = tlog_tiles::split_stored_hash_index(*index);
            self.node(level, n).map(tlog_tiles::Hash).map_err(|error| {
                self.failed.replace(Some(error));
                tlog_tiles::Error::InvalidTile
            })
        };
        indexes.iter().map(read).collect()
    }
}
