//! Checks a whole log: every tile computed again from the entries, in one pass over the files.

use std::path::PathBuf;
use std::thread;

use serde::Serialize;

use super::{LogError, LogFolder};
use crate::note::{Hash, Head};
use crate::tile::{Row, Tile, WIDTH, right_edge};
use crate::tree::{Filled, Frontier, leaf_hash};

/// The most problems that are listed; they are counted on.
const LISTED: usize = 100;
/// Bundles that cannot be read after which nothing more is looked for.
const MOST_ABSENT: u64 = 256;
/// Bundles that a thread reads before the results are put in order.
const SHARE: u64 = 8;

/// Something wrong with a log's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "problem", rename_all = "kebab-case")]
pub enum LogProblem {
    /// A file that cannot be read, is absent, or is no tile.
    #[error("{path}: {why}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A tile that is not what the entries hash to.
    #[error("{path} is not what the entries hash to", path = path.display())]
    Tile {
        /// The tile.
        path: PathBuf,
    },
    /// An entry that is not the one that its tile has the hash of.
    #[error("entry {index} is not the one whose hash stands in {path}", path = path.display())]
    Entry {
        /// Its index.
        index: u64,
        /// The tile.
        path: PathBuf,
    },
    /// The check was ended.
    #[error(
        "the log's files are not there: nothing was looked at from entry {entry} on, of {size}"
    )]
    Ended {
        /// The first entry that was not looked at.
        entry: u64,
        /// Entries that the head has.
        size: u64,
    },
    /// The root.
    #[error(
        "the entries hash to another root than the checkpoint says: entries were altered, or \
             this is not the log that was signed"
    )]
    Root,
}

/// What a check found.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    /// Entries that the checkpoint has.
    pub entries: u64,
    /// Bytes of entries that were hashed.
    pub bytes: u64,
    /// Tiles and bundles compared.
    pub files: u64,
    /// What is wrong, the first hundred. Empty for a sound log.
    pub problems: Vec<LogProblem>,
    /// How many problems there are in all.
    pub count: u64,
}

impl Checked {
    /// True if nothing is wrong.
    pub const fn is_sound(&self) -> bool {
        self.count == 0
    }

    fn add(&mut self, problem: LogProblem) {
        self.count += 1;
        if self.problems.len() < LISTED {
            self.problems.push(problem);
        }
    }
}

/// A bundle, read and hashed.
struct Bundle {
    index: u64,
    width: u64,
    entries: Result<Vec<Vec<u8>>, LogError>,
    hashes: Vec<Hash>,
    tile: Result<Vec<Hash>, LogError>,
}

/// Reads every entry under a verified head in order, giving each to `visit`, and computes every
/// tile and the root again. What was visited is the log's only if the result is sound.
///
/// Memory is bounded by a few bundles for each processor.
pub fn walk(folder: &LogFolder, head: &Head, mut visit: impl FnMut(u64, &[u8])) -> Checked {
    let mut checked =
        Checked { entries: head.size, bytes: 0, files: 0, problems: Vec::new(), count: 0 };
    let mut frontier = Frontier::default();
    let bundles = head.size.div_ceil(WIDTH);
    let threads = thread::available_parallelism().map_or(1, |n| n.get().min(16)) as u64;
    let mut next = 0;
    let mut absent = 0;
    while next < bundles {
        let until = (next + threads * SHARE).min(bundles);
        for bundle in read_block(folder, head, next..until, threads) {
            absent += u64::from(bundle.entries.is_err() && bundle.tile.is_err());
            take(folder, bundle, &mut frontier, &mut checked, &mut visit);
        }
        next = until;
        // A head may say that there are 2^40 entries, and no file be there.
        if absent >= MOST_ABSENT && next < bundles {
            checked.add(LogProblem::Ended { entry: next * WIDTH, size: head.size });
            return checked;
        }
    }
    for tile in right_edge(head.size) {
        if let Row::Level(level) = tile.row
            && level > 0
        {
            let ours = frontier.partials().find(|(at, _)| *at == level);
            let ours = ours.map(|(_, hashes)| hashes.concat()).unwrap_or_default();
            compare(folder, tile, &ours, &mut checked);
        }
    }
    if frontier.root() != head.root {
        checked.add(LogProblem::Root);
    }
    checked
}

fn read_block(
    folder: &LogFolder,
    head: &Head,
    range: std::ops::Range<u64>,
    threads: u64,
) -> Vec<Bundle> {
    let read = |index: u64| {
        let width = (head.size - index * WIDTH).min(WIDTH);
        let entries = folder.bundle(index, width);
        let hashes = entries.iter().flatten().map(|entry| leaf_hash(entry)).collect();
        let tile = folder.hashes(Tile { row: Row::Level(0), index, width });
        Bundle { index, width, entries, hashes, tile }
    };
    if threads < 2 || range.end - range.start < 2 {
        return range.map(read).collect();
    }
    thread::scope(|scope| {
        let each = (range.end - range.start).div_ceil(threads).max(1);
        let starts = range.clone().step_by(usize::try_from(each).unwrap_or(1));
        let shares: Vec<_> = starts
            .map(|start| {
                let share = start..(start + each).min(range.end);
                scope.spawn(move || share.map(read).collect::<Vec<_>>())
            })
            .collect();
        shares.into_iter().flat_map(|share| share.join().unwrap_or_default()).collect()
    })
}

/// Puts a bundle into the tree and compares the tiles that it fills.
fn take(
    folder: &LogFolder,
    bundle: Bundle,
    frontier: &mut Frontier,
    checked: &mut Checked,
    visit: &mut impl FnMut(u64, &[u8]),
) {
    let Bundle { index, width, entries, mut hashes, tile } = bundle;
    checked.files += 2;
    let at = |row| Tile { row, index, width };
    let tile = match tile {
        Ok(tile) => Some(tile),
        Err(error) => {
            checked.add(unreadable(folder, at(Row::Level(0)), &error));
            None
        }
    };
    match entries {
        Ok(entries) => {
            for (number, entry) in (index * WIDTH..).zip(&entries) {
                checked.bytes += entry.len() as u64;
                visit(number, entry);
            }
        }
        Err(error) => {
            checked.add(unreadable(folder, at(Row::Entries), &error));
            // The tile stands in, so that what is above it can still be judged.
            hashes = tile.clone().unwrap_or_default();
        }
    }
    if let Some(tile) = tile {
        for ((number, ours), theirs) in (index * WIDTH..).zip(&hashes).zip(&tile) {
            if ours != theirs {
                let path = folder.at(&at(Row::Level(0)).to_string());
                checked.add(LogProblem::Entry { index: number, path });
            }
        }
    }
    let mut filled = Vec::new();
    for hash in hashes {
        frontier.push(0, hash, &mut |tile: Filled| filled.push(tile));
    }
    for Filled { level, bytes } in filled.into_iter().filter(|tile| tile.level > 0) {
        let index = index >> (8 * u32::from(level));
        compare(folder, Tile { row: Row::Level(level), index, width: WIDTH }, &bytes, checked);
    }
}

fn compare(folder: &LogFolder, tile: Tile, ours: &[u8], checked: &mut Checked) {
    checked.files += 1;
    match folder.hashes(tile) {
        Ok(theirs) if theirs.concat() == ours => {}
        Ok(_) => checked.add(LogProblem::Tile { path: folder.at(&tile.to_string()) }),
        Err(error) => checked.add(unreadable(folder, tile, &error)),
    }
}

fn unreadable(folder: &LogFolder, tile: Tile, error: &LogError) -> LogProblem {
    let why = match error {
        LogError::Damaged { why, .. } => why.clone(),
        LogError::File(error) if error.is_absent() => "it is not there".to_owned(),
        other => {
            let source = std::error::Error::source(other);
            source.map_or_else(|| other.to_string(), |source| format!("{other}: {source}"))
        }
    };
    LogProblem::Unreadable { path: folder.at(&tile.to_string()), why }
}
