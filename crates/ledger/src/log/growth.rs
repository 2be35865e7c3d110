//! A log that grows: from its right edge and further entries to the files that this makes.

use std::collections::{BTreeMap, BTreeSet};

use super::journal::push_entry;
use super::{LogError, LogFolder};
use crate::files::{self, Access};
use crate::note::{Hash, Head};
use crate::tile::{Row, Tile, WIDTH, right_edge};
use crate::tree::{Frontier, leaf_hash};

/// The right edge of a log: what is needed to go on with it.
#[derive(Debug, Clone, Default)]
pub struct Edge {
    size: u64,
    frontier: Frontier,
    /// The bytes of the partial bundle.
    bundle: Vec<u8>,
}

impl Edge {
    /// Reads the right edge of a log, and checks it against its head.
    pub fn load(folder: &LogFolder, head: &Head) -> Result<Self, LogError> {
        let mut levels: Vec<Vec<_>> = Vec::new();
        let mut bundle = Vec::new();
        let mut leaves = Vec::new();
        for tile in right_edge(head.size) {
            match tile.row {
                Row::Entries => {
                    for entry in folder.bundle(tile.index, tile.width)? {
                        leaves.push(leaf_hash(&entry));
                        push_entry(&mut bundle, &entry);
                    }
                }
                Row::Level(level) => {
                    levels.resize_with(usize::from(level) + 1, Vec::new);
                    if let Some(last) = levels.last_mut() {
                        *last = folder.hashes(tile)?;
                    }
                }
            }
        }
        let tiles = |why: &str| LogError::Tiles {
            folder: folder.path().to_owned(),
            why: format!("{why}; run `hospitium log check` and restore from a copy"),
        };
        if levels.first().is_some_and(|tile| *tile != leaves) {
            return Err(tiles("the last entries do not hash to the last tile"));
        }
        let frontier = Frontier::new(levels);
        if frontier.root() == head.root {
            Ok(Self { size: head.size, frontier, bundle })
        } else {
            Err(tiles("they hash to another root"))
        }
    }

    /// Entries.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root over all of them.
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// Adds entries, each of at most [`ENTRY_LIMIT`](super::ENTRY_LIMIT) bytes; gives the tiles and bundles that this
    /// fills.
    pub fn grow(&mut self, entries: &[impl AsRef<[u8]>]) -> BTreeMap<Tile, Vec<u8>> {
        let mut full = BTreeMap::new();
        for entry in entries {
            let entry = entry.as_ref();
            push_entry(&mut self.bundle, entry);
            let place = self.size / WIDTH;
            self.frontier.push(0, leaf_hash(entry), &mut |filled| {
                let row = Row::Level(filled.level);
                let index = place >> (8 * u32::from(filled.level));
                full.insert(Tile { row, index, width: WIDTH }, filled.bytes);
            });
            self.size += 1;
            if self.size.is_multiple_of(WIDTH) {
                let tile = Tile { row: Row::Entries, index: place, width: WIDTH };
                full.insert(tile, std::mem::take(&mut self.bundle));
            }
        }
        full
    }

    /// The partial tiles and the partial bundle of the edge.
    pub fn partials(&self) -> BTreeMap<Tile, Vec<u8>> {
        let levels: BTreeMap<u8, Vec<u8>> =
            self.frontier.partials().map(|(level, hashes)| (level, hashes.concat())).collect();
        let bytes = |tile: &Tile| match tile.row {
            Row::Entries => self.bundle.clone(),
            Row::Level(level) => levels.get(&level).cloned().unwrap_or_default(),
        };
        right_edge(self.size).into_iter().map(|tile| (tile, bytes(&tile))).collect()
    }
}

/// Reads the entries that a log has beyond a head of before, giving each to `visit`, and computes the root again from that
/// head's edge on: what that costs goes by what is new. True if they lead to the new head; what was visited is the log's only
/// then. Tiles are not compared: entries alone decide.
///
/// # Errors
/// If the log's files at the old head's edge, or the new entries, cannot be read.
pub fn walk_on(
    folder: &LogFolder,
    old: &Head,
    new: &Head,
    mut visit: impl FnMut(u64, &[u8]),
) -> Result<bool, LogError> {
    let mut edge = Edge::load(folder, old)?;
    while edge.size() < new.size {
        let have = edge.size();
        let index = have / WIDTH;
        let entries = folder.bundle(index, (new.size - index * WIDTH).min(WIDTH))?;
        let known = usize::try_from(have % WIDTH).unwrap_or_default();
        let fresh = entries.get(known..).unwrap_or_default();
        if fresh.is_empty() {
            return Ok(false);
        }
        for (index, entry) in (have..).zip(fresh) {
            visit(index, entry);
        }
        edge.grow(fresh);
    }
    Ok(edge.root() == new.root)
}

/// Writes tiles and bundles. When it returns, they are on the medium.
pub fn write(folder: &LogFolder, tiles: &BTreeMap<Tile, Vec<u8>>) -> Result<(), LogError> {
    let mut folders = BTreeSet::new();
    for (tile, bytes) in tiles {
        let path = folder.at(&tile.to_string());
        if let Some(folder) = path.parent() {
            files::make_folder(folder)?;
            folders.insert(folder.to_owned());
        }
        files::put(&path, bytes, Access::Public)?;
    }
    for folder in &folders {
        files::sync_folder(folder)?;
    }
    Ok(())
}

/// Removes the partial tiles in the places of these full ones. Nobody needs them any more; one that stays does no harm.
pub fn tidy<'t>(folder: &LogFolder, full: impl IntoIterator<Item = &'t Tile>) {
    for tile in full {
        let _ = std::fs::remove_dir_all(folder.at(&tile.partials()));
    }
}
