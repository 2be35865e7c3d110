//! Makes a readable bundle of what a killed harness left.

use std::fs;
use std::path::{Path, PathBuf};

use hospitium_model::{CellRecord, CheckRecord, PlannedCheck, RunRecord, TimelineEvent, Verdict};
use serde::de::DeserializeOwned;

use crate::WriteError;
use crate::layout::{
    CELL, CELLS, CHECKS, MANIFEST, PARTIAL, PLAN, RUN, TIMELINE, check_cell_name, in_cell, limit,
};
use crate::store::Store;
use crate::writer::write_manifest;

/// Why a run has no end, and a check of it no verdict, if the harness is gone.
const CUT_OFF: &str = "the harness was ended before the run was; what had been finished is kept";
const NOT_REACHED: &str = "the harness was ended before this check was";

/// What a recovery found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Checks that had been finished.
    pub kept: usize,
    /// Checks that had been planned and were not finished; they are `miss` now.
    pub missed: usize,
    /// Cells that had not begun.
    pub not_started: usize,
}

/// Finishes the bundle of a run that was cut off: what was finished is kept as it is, what was
/// planned becomes `miss`, the run's record says that it was cut off, and the manifest is written.
///
/// # Errors
/// [`WriteError::InUse`] if the run still goes on, [`WriteError::Complete`] if there is a manifest,
/// [`WriteError::NoRun`] if no run ever began there; else if it cannot be read or written.
pub fn recover(folder: &Path) -> Result<Recovered, WriteError> {
    if !folder.is_dir() {
        return Err(WriteError::NoRun { folder: folder.into() });
    }
    let store = Store::open(folder)?;
    if store.path(MANIFEST).exists() {
        return Err(WriteError::Complete { folder: folder.into() });
    }
    remove_partial(folder, 0)?;
    close(&store, Some(CUT_OFF), NOT_REACHED)
}

/// Makes a bundle of what a run has finished until now, in `into`, which is to be empty or not
/// there. The run is not touched; as a rule it goes on meanwhile. Then the bundle's record of it has
/// neither an end nor a reason for being cut off. What is planned and has not ended is `miss`.
///
/// # Errors
/// [`WriteError::Complete`] if the run has ended, [`WriteError::NoRun`] if none ever began there;
/// else if it cannot be read or written.
pub fn so_far(folder: &Path, into: &Path) -> Result<Recovered, WriteError> {
    if !folder.is_dir() {
        return Err(WriteError::NoRun { folder: folder.into() });
    }
    // Whoever writes a run's evidence holds its lock.
    let goes_on = match Store::open(folder) {
        Err(WriteError::InUse { .. }) => true,
        opened => opened.map(|_| false)?,
    };
    if folder.join(MANIFEST).exists() {
        return Err(WriteError::Complete { folder: folder.into() });
    }
    let mut files = Vec::new();
    files_of(folder, Path::new(""), 0, &mut files)?;
    // A record is written after the files that it speaks of, so it is copied before them.
    files.sort_by_key(|path| path.extension().is_none_or(|kind| kind != "json"));
    let store = Store::open(into)?;
    for path in files {
        if let Some(parent) = path.parent().and_then(Path::to_str) {
            store.make_folder(parent)?;
        }
        let (from, to) = (folder.join(&path), into.join(&path));
        match fs::copy(&from, &to) {
            // It has been replaced between the listing and now, or was never whole.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            copied => drop(copied.map_err(|e| store.error("copy", &from, e))?),
        }
    }
    match goes_on {
        true => close(&store, None, "this check has not ended yet: the run still goes on"),
        false => close(&store, Some(CUT_OFF), NOT_REACHED),
    }
}

/// The finished files of a run, by their paths within its folder.
fn files_of(
    folder: &Path,
    within: &Path,
    depth: usize,
    files: &mut Vec<PathBuf>,
) -> Result<(), WriteError> {
    let at = folder.join(within);
    let io = |doing| {
        let path = at.clone();
        move |source| WriteError::Io { doing, path, source }
    };
    for entry in fs::read_dir(&at).map_err(io("list"))? {
        let entry = entry.map_err(io("list"))?;
        let kind = entry.file_type().map_err(io("look at an entry of"))?;
        let path = within.join(entry.file_name());
        if kind.is_dir() && depth < limit::DEPTH {
            files_of(folder, &path, depth + 1, files)?;
        } else if kind.is_file() && !entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            files.push(path);
        }
    }
    Ok(())
}

/// Closes a bundle over what is there: what was planned and did not end becomes `miss`, and the
/// manifest is written.
fn close(store: &Store, cut_off: Option<&str>, missed: &str) -> Result<Recovered, WriteError> {
    let no_run = || WriteError::NoRun { folder: store.folder().into() };
    let mut run: RunRecord = read(store, RUN).ok_or_else(no_run)?;
    if run.cells.iter().any(|name| check_cell_name(name).is_err()) {
        return Err(no_run());
    }
    let mut recovered = Recovered::default();
    let (begun, not_started): (Vec<_>, Vec<_>) = run
        .cells
        .iter()
        .cloned()
        .partition(|name| read::<CellRecord>(store, &in_cell(name, CELL)).is_some());
    for name in &not_started {
        // Files of a cell that cannot be told anything about would only be unexplained.
        let at = store.path(&format!("{CELLS}/{name}"));
        if at.is_dir() {
            fs::remove_dir_all(&at).map_err(|e| store.error("remove", &at, e))?;
        }
    }
    for name in &begun {
        close_cell(store, &run, name, missed, &mut recovered)?;
    }
    recovered.not_started = not_started.len();
    run.cells = begun;
    run.not_started = not_started;
    run.ended = None;
    run.cut_off = run.cut_off.or_else(|| cut_off.map(str::to_owned));
    store.put_json(RUN, &run, limit::RECORD)?;
    write_manifest(store)?;
    Ok(recovered)
}

fn close_cell(
    store: &Store,
    run: &RunRecord,
    name: &str,
    missed: &str,
    recovered: &mut Recovered,
) -> Result<(), WriteError> {
    store.make_folder(&in_cell(name, CHECKS))?;
    let mut finished = Vec::new();
    let mut ran = Vec::new();
    let folder = store.path(&in_cell(name, CHECKS));
    let entries = fs::read_dir(&folder).map_err(|e| store.error("list", &folder, e))?;
    for entry in entries {
        let entry = entry.map_err(|e| store.error("list", &folder, e))?;
        let path = in_cell(name, &format!("{CHECKS}/{}", entry.file_name().to_string_lossy()));
        let Some(record) = read::<CheckRecord>(store, &path) else {
            continue;
        };
        if record.verdict.ran() || matches!(record.verdict, Verdict::Skip { .. }) {
            ran.push(record.id.clone());
        }
        finished.push(record.id);
    }
    recovered.kept += finished.len();
    let plan: Vec<PlannedCheck> = read(store, &in_cell(name, PLAN)).unwrap_or_default();
    for planned in plan.into_iter().filter(|planned| !finished.contains(&planned.id)) {
        let path = in_cell(name, &format!("{CHECKS}/{}.json", planned.id.file_name()));
        let reason = missed.into();
        let record = planned.without_run(Verdict::Miss { reason });
        store.put_json(&path, &record, limit::RECORD)?;
        recovered.missed += 1;
    }
    mend_timeline(store, name)?;
    let path = in_cell(name, CELL);
    if let Some(mut cell) = read::<CellRecord>(store, &path) {
        for id in &run.required {
            let ran = ran.iter().any(|ran| ran == id || ran.base() == id.as_str());
            if !ran && !cell.required_not_run.contains(id) {
                cell.required_not_run.push(id.clone());
            }
        }
        store.put_json(&path, &cell, limit::RECORD)?;
    }
    Ok(())
}

/// Cuts off a last line that was not written whole.
fn mend_timeline(store: &Store, name: &str) -> Result<(), WriteError> {
    let path = store.path(&in_cell(name, TIMELINE));
    let Ok(bytes) = fs::read(&path) else {
        return Ok(());
    };
    let mut good = 0;
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        if !line.ends_with(b"\n") || serde_json::from_slice::<TimelineEvent>(line).is_err() {
            break;
        }
        good += line.len();
    }
    if good == bytes.len() {
        return Ok(());
    }
    let file = fs::OpenOptions::new().write(true).open(&path);
    let cut = file.and_then(|file| file.set_len(good as u64));
    cut.map_err(|e| store.error("mend", &path, e))
}

/// Removes what was being written when the harness ended.
fn remove_partial(folder: &Path, depth: usize) -> Result<(), WriteError> {
    let io = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| WriteError::Io { doing, path, source }
    };
    for entry in fs::read_dir(folder).map_err(io("list", folder))? {
        let entry = entry.map_err(io("list", folder))?;
        let kind = entry.file_type().map_err(io("look at", &entry.path()))?;
        if kind.is_dir() && depth < limit::DEPTH {
            remove_partial(&entry.path(), depth + 1)?;
        } else if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            fs::remove_file(entry.path()).map_err(io("remove", &entry.path()))?;
        }
    }
    Ok(())
}

/// A record, if it is there whole. What is broken counts as not there.
fn read<T: DeserializeOwned>(store: &Store, name: &str) -> Option<T> {
    let path = store.path(name);
    let size = fs::symlink_metadata(&path).ok()?.len();
    if size > limit::RECORD {
        return None;
    }
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
