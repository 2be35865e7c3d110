//! Writes a bundle while a run goes on, so that what is finished outlives the harness.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hospitium_model::{
    CellRecord, CheckRecord, EVIDENCE_FORMAT, Manifest, ManifestEntry, PlannedCheck, RunRecord,
    TimelineEvent, TimelineSource,
};

use crate::layout::{
    CELL, CHECKS, CONSOLE_LOG, CONSOLE_RAW, MANIFEST, PLAN, RUN, TIMELINE, check_cell_name,
    check_path, in_cell, limit,
};
use crate::source::Source;
use crate::store::{Appender, Store};
use crate::{ConsoleText, WriteError, escape_line};

/// Writes one bundle. Its folder is locked for as long as this or a [`CellWriter`] of it lives.
#[derive(Debug)]
pub struct BundleWriter {
    store: Arc<Store>,
    closed: Arc<AtomicBool>,
}

/// Writes one cell of a bundle. All methods take `&self`: checks end on several threads at once.
#[derive(Debug)]
pub struct CellWriter {
    store: Arc<Store>,
    closed: Arc<AtomicBool>,
    name: String,
    timeline: Mutex<Timeline>,
    console: Mutex<Console>,
}

/// Room kept for the line that says that a timeline is full.
const TIMELINE_RESERVE: u64 = 1024;

#[derive(Debug)]
struct Timeline {
    appender: Appender,
    full: bool,
}

/// The start and the end of a console.
#[derive(Debug)]
struct Console {
    raw: Appender,
    log: Appender,
    text: ConsoleText,
    tail: VecDeque<u8>,
    dropped: u64,
}

impl BundleWriter {
    /// Begins a bundle in `folder`, which is made if it is not there and must be empty, and writes
    /// down how the run began. [`finish`](Self::finish) ends it.
    ///
    /// # Errors
    /// If another run writes there, something is there already, or it cannot be written.
    pub fn create(folder: &Path, run: &RunRecord) -> Result<Self, WriteError> {
        let store = Store::open(folder)?;
        let mut entries = fs::read_dir(folder).map_err(|source| WriteError::Io {
            doing: "list",
            path: folder.into(),
            source,
        })?;
        if entries.next().is_some() {
            return Err(WriteError::NotEmpty { folder: folder.into() });
        }
        named(&run.id)?;
        store.put_json(RUN, run, limit::RECORD)?;
        Ok(Self { store: Arc::new(store), closed: Arc::default() })
    }

    /// The bundle's folder.
    pub fn folder(&self) -> &Path {
        self.store.folder()
    }

    /// Begins a cell. `name` is one of [`RunRecord::cells`].
    ///
    /// # Errors
    /// If the name is not accepted, or the cell's files cannot be made.
    pub fn cell(&self, name: &str) -> Result<CellWriter, WriteError> {
        named(name)?;
        open(&self.closed, &self.store)?;
        self.store.make_folder(&in_cell(name, CHECKS))?;
        let console = Console {
            raw: self.store.append(&in_cell(name, CONSOLE_RAW))?,
            log: self.store.append(&in_cell(name, CONSOLE_LOG))?,
            text: ConsoleText::default(),
            tail: VecDeque::new(),
            dropped: 0,
        };
        Ok(CellWriter {
            store: Arc::clone(&self.store),
            closed: Arc::clone(&self.closed),
            name: name.to_owned(),
            timeline: Mutex::new(Timeline {
                appender: self.store.append(&in_cell(name, TIMELINE))?,
                full: false,
            }),
            console: Mutex::new(console),
        })
    }

    /// Ends the bundle: writes the run's record anew, then the manifest, and sees to it that all
    /// is on the medium. Cells must have been [finished](CellWriter::finish) before.
    ///
    /// # Errors
    /// If it cannot be written. What was finished is kept, and can be [recovered](crate::recover).
    pub fn finish(self, run: &RunRecord) -> Result<(), WriteError> {
        self.closed.store(true, Ordering::SeqCst);
        self.store.put_json(RUN, run, limit::RECORD)?;
        write_manifest(&self.store)
    }
}

impl CellWriter {
    /// The cell's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes down which checks are to run, before the first one does.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn plan(&self, checks: &[PlannedCheck]) -> Result<(), WriteError> {
        self.put_json(PLAN, &checks.to_vec())
    }

    /// Writes the cell's record as far as it is known. To be called as soon as guest and host are
    /// known, so that a run that is cut off can tell what it ran on; a later call replaces it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn record(&self, record: &CellRecord) -> Result<(), WriteError> {
        self.put_json(CELL, record)
    }

    /// Writes a check's record. Once this returns, it outlives the harness.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn check(&self, record: &CheckRecord) -> Result<(), WriteError> {
        self.put_json(&format!("{CHECKS}/{}.json", record.id.file_name()), record)
    }

    /// Appends to the timeline. Past [`limit::TIMELINE`] a last line says so, and no more come.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn timeline(&self, event: &TimelineEvent) -> Result<(), WriteError> {
        self.timeline_of(std::slice::from_ref(event))
    }

    /// The same with several events at once. Of those behind one that cannot be written none is.
    ///
    /// # Errors
    /// As [`timeline`](Self::timeline).
    pub fn timeline_of(&self, events: &[TimelineEvent]) -> Result<(), WriteError> {
        open(&self.closed, &self.store)?;
        let timeline = &mut *lock(&self.timeline);
        let mut lines = Vec::new();
        let mut unreadable = None;
        for event in events {
            if timeline.full {
                break;
            }
            let mut line = match self.line(event) {
                Ok(line) => line,
                Err(error) => {
                    unreadable = Some(error);
                    break;
                }
            };
            let size = timeline.appender.size() + (lines.len() + line.len()) as u64;
            if size + TIMELINE_RESERVE > limit::TIMELINE {
                timeline.full = true;
                line = self.line(&TimelineEvent {
                    at_ms: event.at_ms,
                    machine: "harness".into(),
                    source: TimelineSource::Harness,
                    text: "the timeline is full; what follows is not in it".into(),
                })?;
            }
            lines.append(&mut line);
        }
        timeline.appender.push(&self.store, &lines)?;
        unreadable.map_or(Ok(()), Err)
    }

    fn line(&self, event: &TimelineEvent) -> Result<Vec<u8>, WriteError> {
        let unreadable = |source| {
            let path = self.store.path(&in_cell(&self.name, TIMELINE));
            WriteError::NotReadable { path, source }
        };
        let mut event = event.clone();
        event.text = bounded_line(&event.text);
        event.machine = bounded_line(&event.machine);
        let mut line = serde_json::to_vec(&event).map_err(unreadable)?;
        if !event.at_ms.is_finite() {
            // The one value that JSON cannot carry.
            serde_json::from_slice::<TimelineEvent>(&line).map_err(unreadable)?;
        }
        line.push(b'\n');
        Ok(line)
    }

    /// Appends what the guest printed on its console. The first [`limit::CONSOLE_HEAD`] and the
    /// last [`limit::CONSOLE_TAIL`] bytes are kept, however much it prints.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn console(&self, bytes: &[u8]) -> Result<(), WriteError> {
        open(&self.closed, &self.store)?;
        let console = &mut *lock(&self.console);
        let room = limit::CONSOLE_HEAD.saturating_sub(console.raw.size());
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        if !head.is_empty() {
            console.raw.push(&self.store, head)?;
            let text = console.text.push(head);
            console.log.push(&self.store, text.as_bytes())?;
        }
        console.tail.extend(rest);
        let over = console.tail.len().saturating_sub(limit::CONSOLE_TAIL);
        console.tail.drain(..over);
        console.dropped += over as u64;
        Ok(())
    }

    /// Writes another file of the cell, such as `screens/boot.png`.
    ///
    /// # Errors
    /// If the name is not accepted or is a record's, or it cannot be written.
    pub fn file(&self, name: &str, bytes: &[u8]) -> Result<(), WriteError> {
        let path = in_cell(&self.name, name);
        check_path(&path).map_err(|fault| WriteError::Name { name: name.into(), fault })?;
        let first = name.split('/').next().unwrap_or_default();
        if [CELL, PLAN, TIMELINE, CONSOLE_LOG, CONSOLE_RAW, CHECKS].contains(&first) {
            return Err(WriteError::Reserved { name: name.into() });
        }
        open(&self.closed, &self.store)?;
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.store.make_folder(folder)?;
        }
        self.store.put(&path, bytes, limit::FILE)
    }

    /// Ends the cell: the end of the console, and the cell's record as it stands now.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(&self, record: &CellRecord) -> Result<(), WriteError> {
        open(&self.closed, &self.store)?;
        {
            let console = &mut *lock(&self.console);
            let mut end = console.text.finish();
            if console.dropped > 0 {
                end += &format!("\n[{} bytes of the console are not kept here]\n", console.dropped);
            }
            let tail = std::mem::take(&mut console.tail);
            end += &crate::escape_bytes(&Vec::from(tail));
            console.dropped = 0;
            if !end.is_empty() {
                console.log.push(&self.store, end.as_bytes())?;
            }
        }
        self.record(record)
    }

    fn put_json<T>(&self, name: &str, record: &T) -> Result<(), WriteError>
    where
        T: serde::Serialize + serde::de::DeserializeOwned,
    {
        open(&self.closed, &self.store)?;
        self.store.put_json(&in_cell(&self.name, name), record, limit::RECORD)
    }
}

/// Lists and digests all that is there, flushes it, and writes the manifest last.
pub fn write_manifest(store: &Store) -> Result<(), WriteError> {
    let source = Source::Folder(store.folder().to_owned());
    let listing = source.list()?;
    let mut files = BTreeMap::new();
    let mut folders = BTreeSet::new();
    for path in listing.into_keys().filter(|path| path != MANIFEST) {
        let at = store.path(&path);
        let synced = crate::source::open(&at).and_then(|file| file.sync_all());
        synced.map_err(|e| store.error("flush", &at, e))?;
        let (sha256, size) = source.digest(&path)?;
        folders
            .extend(at.ancestors().skip(1).map(PathBuf::from).take_while(|p| p != store.folder()));
        files.insert(path, ManifestEntry { sha256, size });
    }
    store.sync(&folders.into_iter().collect::<Vec<_>>())?;
    store.put_json(MANIFEST, &Manifest { format: EVIDENCE_FORMAT, files }, limit::MANIFEST)?;
    let path = store.path(MANIFEST);
    let synced = crate::source::open(&path).and_then(|file| file.sync_all());
    synced.map_err(|e| store.error("flush", &path, e))?;
    store.sync(&[])
}

fn open(closed: &AtomicBool, store: &Store) -> Result<(), WriteError> {
    if closed.load(Ordering::SeqCst) {
        return Err(WriteError::Complete { folder: store.folder().to_owned() });
    }
    Ok(())
}

fn named(name: &str) -> Result<(), WriteError> {
    check_cell_name(name).map_err(|fault| WriteError::Name { name: name.into(), fault })
}

/// Escaped, and at most as long as leaves room for the rest of its line.
fn bounded_line(text: &str) -> String {
    // JSON may double every byte of it (`\` becomes `\\`); machine and text share the line.
    let most = limit::TIMELINE_LINE / 5;
    let start = &text[..text.floor_char_boundary(most)];
    let mut line = escape_line(start);
    if start.len() < text.len() || line.len() > most {
        line.truncate(line.floor_char_boundary(most));
        line.push('…');
    }
    line
}

/// A writer that panicked left its file as it was before or after its piece; both are good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
