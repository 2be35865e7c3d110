//! Looks at a run's folder. What was read and cannot change is not read again; of what grows, only
//! what is new. Everything is bounded: the folder's content is not trusted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use hospitium_evidence::check_cell_name;
use hospitium_model::{
    CellRecord, CheckRecord, PlannedCheck, RunRecord, TimelineEvent, TimelineSource,
};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::state::{CellState, Ended, RunState, Stage};

/// Bytes of one record.
const RECORD: u64 = 4 << 20;
/// Bytes of a timeline that are read at a time; the rest comes with the next look.
const TIMELINE: u64 = 4 << 20;
/// Bytes of one line of it.
const LINE: usize = 64 << 10;
/// Bytes of the console's end that are shown.
const CONSOLE: u64 = 8 << 10;
/// Lines of it.
const LINES: usize = 30;
/// Characters of one.
const COLUMNS: usize = 200;
/// Cells of a run that are shown.
const CELLS: usize = 100;
/// Checks of a cell that are shown.
const CHECKS: usize = 2_000;
/// Runs of a folder that are listed.
const RUNS: usize = 500;
/// Checks that have to be done before it is told how long the rest takes.
const ENOUGH: usize = 5;

/// The evidence in a run's folder: `evidence` in it, or the folder itself.
pub fn evidence_of(run: &Path) -> Option<PathBuf> {
    let inner = run.join("evidence");
    [inner, run.to_owned()].into_iter().find(|folder| folder.join("run.json").is_file())
}

/// The report beside the evidence.
pub fn report_of(evidence: &Path) -> Option<PathBuf> {
    let beside = evidence.parent()?.join("report.html");
    (evidence.ends_with("evidence") && beside.is_file()).then_some(beside)
}

/// A run in a list.
#[derive(Debug, Clone)]
pub struct Listed {
    pub name: String,
    pub stage: Stage,
    pub record: RunRecord,
}

/// The runs of a folder, the newest first.
pub fn list(runs: &Path) -> Vec<Listed> {
    let Ok(entries) = fs::read_dir(runs) else { return Vec::new() };
    let mut listed: Vec<Listed> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            check_cell_name(&name).ok()?;
            let evidence = evidence_of(&entry.path())?;
            let record: RunRecord = json(&evidence.join("run.json"))?;
            Some(Listed { name, stage: stage(&evidence, &record), record })
        })
        .take(RUNS)
        .collect();
    listed.sort_by(|a, b| (b.record.started, &b.name).cmp(&(a.record.started, &a.name)));
    listed
}

/// A file, if it is one and not too large.
pub fn bounded(path: &Path, most: u64) -> Option<Vec<u8>> {
    let meta = fs::metadata(path).ok()?;
    if !meta.is_file() || meta.len() > most {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(most + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= most).then_some(bytes)
}

fn json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&bounded(path, RECORD)?).ok()
}

/// A run that goes on holds a lock on its folder, which ends with its process, however that ends.
fn stage(evidence: &Path, record: &RunRecord) -> Stage {
    if evidence.join("manifest.json").is_file() {
        return match record.cut_off {
            Some(_) => Stage::CutOff,
            None => Stage::Finished,
        };
    }
    let Ok(folder) = File::open(evidence) else { return Stage::Killed };
    match folder.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Stage::Running,
        // The manifest may have been written in between.
        _ if evidence.join("manifest.json").is_file() => Stage::Finished,
        _ => Stage::Killed,
    }
}

/// What is known of a run's folder by now.
pub struct Look {
    evidence: PathBuf,
    name: String,
    cells: BTreeMap<String, Cell>,
    /// How long the rest takes, told when so many were done; told anew when more are.
    told: (usize, Option<u64>),
}

#[derive(Default)]
struct Cell {
    state: CellState,
    planned: Vec<String>,
    seen: BTreeSet<String>,
    /// How far the timeline was read.
    read: u64,
    machines: BTreeSet<String>,
}

impl Look {
    pub fn new(evidence: PathBuf, name: String) -> Self {
        Self { evidence, name, cells: BTreeMap::new(), told: (0, None) }
    }

    /// Looks once. None if there is no run.
    pub fn look(&mut self) -> Option<RunState> {
        // Asked first: what is written after is in the next look.
        let record: RunRecord = json(&self.evidence.join("run.json"))?;
        let stage = stage(&self.evidence, &record);
        let mut states = Vec::new();
        let (mut done, mut planned) = (0, 0);
        let begun = record.cells.iter().chain(&record.not_started);
        for name in begun.filter(|name| check_cell_name(name).is_ok()).take(CELLS) {
            let cell = self.cells.entry(name.clone()).or_default();
            cell.look(&self.evidence.join("cells").join(name), name);
            let mut state = cell.state.clone();
            if stage != Stage::Running {
                state.running.clear();
            }
            done += state.ended.len();
            planned += state.planned;
            states.push(state);
        }
        let left = planned.saturating_sub(done) as u64;
        if done != self.told.0 {
            let took = since(record.started).saturating_mul(left) / (done as u64).max(1);
            self.told = (done, (done >= ENOUGH && left > 0).then_some(took));
        }
        let left_s = self.told.1.filter(|_| stage == Stage::Running);
        let line = |text: &str| hospitium_model::printable(text, 300);
        Some(RunState {
            name: self.name.clone(),
            id: line(&record.id),
            stage,
            started: record.started,
            ended: record.ended,
            cut_off: record.cut_off.as_deref().map(line),
            done,
            planned,
            left_s,
            cells: states,
            report: report_of(&self.evidence).is_some(),
        })
    }
}

impl Cell {
    fn look(&mut self, folder: &Path, name: &str) {
        let line = |text: &str| hospitium_model::printable(text, 300);
        name.clone_into(&mut self.state.name);
        self.state.begun = folder.is_dir();
        if !self.state.begun {
            return;
        }
        if self.planned.is_empty() {
            let plan: Vec<PlannedCheck> = json(&folder.join("plan.json")).unwrap_or_default();
            self.planned = plan.iter().map(|check| check.id.to_string()).collect();
            self.state.planned = self.planned.len();
        }
        if let Some(record) = json::<CellRecord>(&folder.join("cell.json")) {
            let host = format!("{} {}", record.host.kind, record.host.version);
            self.state.pair = Some((line(&record.guest.name), line(&host)));
            self.state.failure =
                record.failure.map(|failure| hospitium_model::printable(&failure, 2000));
        }
        self.checks(&folder.join("checks"));
        self.timeline(&folder.join("timeline.jsonl"));
        let at_work = |id: &&String| {
            let file = id.replace('/', "+");
            self.machines.contains(id.as_str()) || self.machines.contains(&file)
        };
        let ended: BTreeSet<&str> = self.state.ended.iter().map(|e| e.id.as_str()).collect();
        let running = self.planned.iter().filter(at_work);
        self.state.running =
            running.filter(|id| !ended.contains(id.as_str())).take(CHECKS).cloned().collect();
        self.state.console = console(&folder.join("console.log"));
    }

    fn checks(&mut self, folder: &Path) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let Ok(file) = entry.file_name().into_string() else { continue };
            let full = self.state.ended.len() >= CHECKS;
            if full
                || !file.ends_with(".json")
                || file.starts_with('.')
                || self.seen.contains(&file)
            {
                continue;
            }
            let Some(record) = json::<CheckRecord>(&entry.path()) else { continue };
            self.seen.insert(file);
            let (at_ms, took_ms) =
                (whole(record.started_ms + record.took_ms), whole(record.took_ms));
            let ended =
                Ended { id: record.id.to_string(), verdict: record.verdict, at_ms, took_ms };
            self.state.ended.push(ended);
        }
        self.state.ended.sort_by(|a, b| (a.at_ms, &a.id).cmp(&(b.at_ms, &b.id)));
    }

    /// Takes in what was appended, up to the last whole line.
    fn timeline(&mut self, path: &Path) {
        let Some(bytes) = appended(path, self.read) else { return };
        let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            // A line that never ends is stepped over.
            if bytes.len() as u64 >= TIMELINE {
                self.read += bytes.len() as u64;
            }
            return;
        };
        let (whole, _) = bytes.split_at(end + 1);
        self.read += whole.len() as u64;
        for line in whole.split(|byte| *byte == b'\n').filter(|line| line.len() <= LINE) {
            let Ok(event) = serde_json::from_slice::<TimelineEvent>(line) else { continue };
            let ended = event.source == TimelineSource::Harness && event.text.starts_with("ended");
            match ended {
                true => {
                    self.machines.remove(&event.machine);
                }
                false if self.machines.len() < CHECKS => {
                    self.machines.insert(event.machine.clone());
                }
                false => {}
            }
            if event.source == TimelineSource::Harness {
                let words = format!("{}: {}", event.machine, event.text);
                self.state.doing = hospitium_model::printable(&words, 200);
            }
        }
    }
}

fn appended(path: &Path, from: u64) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut bytes = Vec::new();
    file.take(TIMELINE).read_to_end(&mut bytes).ok()?;
    (!bytes.is_empty()).then_some(bytes)
}

/// The end of the console, which is escaped as it is written, and again here.
fn console(path: &Path) -> Vec<String> {
    let Ok(mut file) = File::open(path) else { return Vec::new() };
    let Ok(size) = file.metadata().map(|meta| meta.len()) else { return Vec::new() };
    let from = size.saturating_sub(CONSOLE);
    let mut bytes = Vec::new();
    if file.seek(SeekFrom::Start(from)).is_err()
        || file.take(CONSOLE).read_to_end(&mut bytes).is_err()
    {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<&str> = text.lines().collect();
    // The first may be the end of one.
    if from > 0 && !lines.is_empty() {
        lines.remove(0);
    }
    let skip = lines.len().saturating_sub(LINES);
    let shown = |line: &str| hospitium_report::words::visible(line, COLUMNS);
    lines.into_iter().skip(skip).map(shown).collect()
}

/// Milliseconds from outside as a whole number; what is none, is 0.
fn whole(ms: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts saturate")]
    let whole = ms.max(0.0) as u64;
    whole.min(1 << 40)
}

/// How long ago something was, in seconds.
fn since(then: Timestamp) -> u64 {
    let seconds = jiff::Timestamp::now().as_second().saturating_sub(then.as_second());
    u64::try_from(seconds).unwrap_or_default()
}
