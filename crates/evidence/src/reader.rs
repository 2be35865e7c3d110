//! Reads a bundle that may have been made by anyone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use hospitium_model::{
    CellRecord, CheckRecord, Digest, EVIDENCE_FORMAT, Manifest, ManifestEntry, RunRecord,
    TimelineEvent,
};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, Visitor};

use crate::archive::{ZSTD_MAGIC, unpack};
use crate::layout::{
    CELL, CELLS, CONSOLE_LOG, MANIFEST, RUN, TIMELINE, check_cell_name, check_path, in_cell, limit,
    shown,
};
use crate::source::{Listing, Source};
use crate::{Problem, ReadError};

mod checks;

/// A bundle, read. What is wrong with it is in `problems`; a verdict that its observations do not
/// bear out, or whose record is damaged, is an `error` in `cells`, never a pass.
#[derive(Debug)]
pub struct Bundle {
    /// The run.
    pub run: RunRecord,
    /// Its cells, in the order of the matrix.
    pub cells: Vec<Cell>,
    /// Everything that is wrong with the bundle. Empty for a sound one.
    pub problems: Vec<Problem>,
    /// Digest of `manifest.json`, which pins all the rest: the name of this evidence.
    pub digest: Digest,
    pub(crate) manifest: Manifest,
    pub(crate) source: Source,
}

/// A cell, read.
#[derive(Debug)]
pub struct Cell {
    /// Its record.
    pub record: CellRecord,
    /// Its checks: those planned, in that order, then any others by id.
    pub checks: Vec<CheckRecord>,
    /// Its timeline, as far as it is sound.
    pub timeline: Vec<TimelineEvent>,
}

/// Reads a packed bundle from memory. Never panics, whatever the bytes are.
///
/// # Errors
/// If there is no bundle in it, or one that breaks a bound or a rule of the format.
pub fn read_bytes(bytes: &[u8]) -> Result<Bundle, ReadError> {
    if !bytes.starts_with(&ZSTD_MAGIC) {
        return Err(ReadError::NotABundle);
    }
    load(Source::Memory(unpack(bytes)?))
}

impl Bundle {
    /// Reads a bundle's folder, or its `.tar.zst`.
    ///
    /// # Errors
    /// If it cannot be read, is no bundle, or breaks a bound or a rule of the format. What is wrong
    /// with single files is in [`problems`](Self::problems) instead.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let io =
            |doing| move |source: io::Error| ReadError::Io { doing, path: path.to_owned(), source };
        let meta = std::fs::metadata(path).map_err(io("open"))?;
        if meta.is_dir() {
            return load(Source::Folder(path.to_owned()));
        }
        if !meta.is_file() {
            return Err(ReadError::NotABundle);
        }
        if meta.len() > limit::PACKED {
            return Err(ReadError::TooLarge { limit: limit::PACKED });
        }
        let mut file = File::open(path).map_err(io("open"))?;
        let mut magic = [0; 4];
        match file.read_exact(&mut magic) {
            Ok(()) if magic == ZSTD_MAGIC => {}
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                return Err(io("read")(error));
            }
            _ => return Err(ReadError::NotABundle),
        }
        let whole = magic.chain(file.take(limit::PACKED));
        load(Source::Memory(unpack(BufReader::new(whole))?))
    }

    /// The format that it was written in.
    pub const fn format(&self) -> u32 {
        self.manifest.format
    }

    /// True if its observations say where they were read. In format 1 they do not.
    pub const fn names_sources(&self) -> bool {
        self.manifest.format >= 2
    }

    /// True if nothing is wrong with it.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    /// The cell of this name.
    pub fn cell(&self, name: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.record.name == name)
    }

    /// Paths of the bundle's files by its manifest.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.manifest.files.keys().map(String::as_str)
    }

    /// A file of a cell (`screens/boot.png`), if it is what the manifest says.
    ///
    /// # Errors
    /// If it is not listed, not there, larger than `limit` bytes, or altered.
    pub fn read(&self, cell: &str, name: &str, limit: u64) -> Result<Vec<u8>, ReadError> {
        let path = in_cell(cell, name);
        check_path(&path).map_err(|fault| ReadError::Name { path: shown(&path), fault })?;
        read_listed(&self.source, &self.manifest, &path, limit)
    }

    /// The escaped text of a cell's console; empty if it is not there as it should be.
    pub fn console(&self, cell: &str) -> String {
        let bytes = self.read(cell, CONSOLE_LOG, limit::FILE).unwrap_or_default();
        crate::escape_bytes(&bytes)
    }
}

fn read_listed(
    source: &Source,
    manifest: &Manifest,
    path: &str,
    limit: u64,
) -> Result<Vec<u8>, ReadError> {
    let not_listed = || ReadError::NotListed { path: shown(path) };
    let expected = manifest.files.get(path).ok_or_else(not_listed)?;
    if expected.size > limit {
        return Err(ReadError::FileTooLarge { path: path.to_owned(), limit });
    }
    let bytes = source.read(path, limit)?;
    if Digest::of(&bytes) == expected.sha256 { Ok(bytes) } else { Err(not_listed()) }
}

fn load(source: Source) -> Result<Bundle, ReadError> {
    // Before the list: a folder in which a run still goes on has files of passing names.
    if !source.has(MANIFEST) {
        return Err(ReadError::Unfinished);
    }
    let listing = source.list()?;
    let (manifest, digest) = read_manifest(&source)?;
    let mut problems = verify(&source, &listing, &manifest)?;

    let run: RunRecord = needed(&source, &manifest, RUN, &problems)?;
    let damaged = |path: &str, problems: &[Problem]| ReadError::Damaged {
        path: path.to_owned(),
        problems: problems.to_vec(),
    };
    if run.format != manifest.format {
        let why = format!("it is of format {}, the manifest of {}", run.format, manifest.format);
        problems.push(Problem::malformed(RUN, why));
    }
    let names: BTreeSet<&String> = run.cells.iter().collect();
    if run.cells.len() > limit::CELLS || names.len() != run.cells.len() {
        return Err(damaged(RUN, &problems));
    }
    for name in run.cells.iter().chain(&run.not_started).chain([&run.id]) {
        check_cell_name(name).map_err(|fault| ReadError::Name { path: shown(name), fault })?;
    }
    for path in manifest.files.keys() {
        let cell = path.strip_prefix("cells/").and_then(|rest| rest.split('/').next());
        if cell.is_some_and(|cell| !run.cells.iter().any(|name| name == cell)) {
            problems.push(Problem::malformed(path, "it belongs to no cell of the run"));
        }
    }
    let mut cells = Vec::new();
    for name in &run.cells {
        let path = in_cell(name, CELL);
        let mut record: CellRecord = needed(&source, &manifest, &path, &problems)?;
        if record.name != *name {
            let why = format!("it names its cell {:?}", shown(&record.name));
            problems.push(Problem::malformed(&path, why));
            record.name.clone_from(name);
        }
        let files = checks::Files { source: &source, manifest: &manifest, run: &run };
        let checks = checks::read(&files, &record, &mut problems)?;
        let timeline = read_timeline(&source, &manifest, name, &mut problems);
        cells.push(Cell { record, checks, timeline });
    }
    Ok(Bundle { run, cells, problems, digest, manifest, source })
}

/// A record without which there is nothing to show.
fn needed<T: DeserializeOwned>(
    source: &Source,
    manifest: &Manifest,
    path: &str,
    problems: &[Problem],
) -> Result<T, ReadError> {
    let damaged = || ReadError::Damaged { path: path.to_owned(), problems: problems.to_vec() };
    let bytes = match read_listed(source, manifest, path, limit::RECORD) {
        Ok(bytes) => bytes,
        Err(ReadError::NotListed { .. } | ReadError::Io { .. }) => return Err(damaged()),
        Err(other) => return Err(other),
    };
    if path == RUN {
        check_version(path, &bytes)?;
    }
    serde_json::from_slice(&bytes)
        .map_err(|source| ReadError::Json { path: path.to_owned(), source })
}

/// Compares every file with the manifest.
fn verify(
    source: &Source,
    listing: &Listing,
    manifest: &Manifest,
) -> Result<Vec<Problem>, ReadError> {
    let mut problems = Vec::new();
    for (path, expected) in &manifest.files {
        if !listing.contains_key(path) {
            problems.push(Problem::Absent { path: path.clone() });
            continue;
        }
        let (found, size) = source.digest(path)?;
        if found != expected.sha256 || size != expected.size {
            let path = path.clone();
            problems.push(Problem::Altered { path, expected: expected.sha256, found });
        }
    }
    let unlisted = listing.keys().filter(|p| *p != MANIFEST && !manifest.files.contains_key(*p));
    problems.extend(unlisted.map(|path| Problem::Unlisted { path: path.clone() }));
    Ok(problems)
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// Looks at nothing but the version, so that a later format is told from a broken one.
fn check_version(path: &str, bytes: &[u8]) -> Result<(), ReadError> {
    let json = |source| ReadError::Json { path: path.to_owned(), source };
    let Version { format } = serde_json::from_slice(bytes).map_err(json)?;
    if format > EVIDENCE_FORMAT {
        return Err(ReadError::Newer { found: format, ours: EVIDENCE_FORMAT });
    }
    if format == 0 {
        return Err(json(serde_json::Error::custom("there is no format 0")));
    }
    Ok(())
}

fn read_manifest(source: &Source) -> Result<(Manifest, Digest), ReadError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Raw {
        format: u32,
        #[serde(deserialize_with = "pairs")]
        files: Vec<(String, ManifestEntry)>,
    }
    let bytes = source.read(MANIFEST, limit::MANIFEST)?;
    check_version(MANIFEST, &bytes)?;
    let raw: Raw = serde_json::from_slice(&bytes)
        .map_err(|source| ReadError::Json { path: MANIFEST.into(), source })?;
    if raw.files.len() > limit::FILES {
        return Err(ReadError::TooManyFiles { limit: limit::FILES });
    }
    let mut files = BTreeMap::new();
    for (path, entry) in raw.files {
        check_path(&path).map_err(|fault| ReadError::Name { path: shown(&path), fault })?;
        if path == MANIFEST || files.insert(path.clone(), entry).is_some() {
            return Err(ReadError::Twice { path });
        }
    }
    let known = |path: &str| path == RUN || path.starts_with(&format!("{CELLS}/"));
    if let Some(path) = files.keys().find(|path| !known(path)) {
        let source = serde_json::Error::custom(format!("{path:?} has no place in a bundle"));
        return Err(ReadError::Json { path: MANIFEST.into(), source });
    }
    Ok((Manifest { format: raw.format, files }, Digest::of(&bytes)))
}

/// The pairs of a JSON object, in which a key that comes twice can still be seen.
fn pairs<'de, D, V>(deserializer: D) -> Result<Vec<(String, V)>, D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de>,
{
    struct Pairs<V>(std::marker::PhantomData<V>);
    impl<'de, V: Deserialize<'de>> Visitor<'de> for Pairs<V> {
        type Value = Vec<(String, V)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = map.next_entry()? {
                pairs.push(pair);
            }
            Ok(pairs)
        }
    }
    deserializer.deserialize_map(Pairs(std::marker::PhantomData))
}

/// The lines of a timeline up to the first that is not sound.
fn read_timeline(
    source: &Source,
    manifest: &Manifest,
    cell: &str,
    problems: &mut Vec<Problem>,
) -> Vec<TimelineEvent> {
    let path = in_cell(cell, TIMELINE);
    // Absent or altered is among the problems already.
    let bytes = match read_listed(source, manifest, &path, limit::TIMELINE) {
        Ok(bytes) => bytes,
        Err(ReadError::FileTooLarge { .. }) => {
            problems.push(Problem::malformed(&path, "it is too large"));
            return Vec::new();
        }
        Err(_) => return Vec::new(),
    };
    let mut events = Vec::new();
    for (number, line) in bytes.split(|b| *b == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let event = if line.len() > limit::TIMELINE_LINE {
            Err("a line is too long".to_owned())
        } else {
            serde_json::from_slice(line).map_err(|e| e.to_string())
        };
        match event {
            Ok(event) => events.push(event),
            Err(why) => {
                problems.push(Problem::malformed(&path, format!("line {}: {why}", number + 1)));
                break;
            }
        }
    }
    events
}
