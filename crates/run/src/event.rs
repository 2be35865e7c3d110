//! What a run tells while it goes on: for a live view, and one JSON object a line for programs.

use std::path::PathBuf;

use hospitium_model::{CheckId, Repeats, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Something that happened in a run. Times are milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum RunEvent {
    /// What an earlier run that was cut off left behind has been put in order.
    Recovered {
        /// Its evidence, if it could be found.
        run: Option<PathBuf>,
        /// What was done, in words.
        words: String,
    },
    /// The run begins.
    RunStarted {
        /// Its id.
        id: String,
        /// Where its evidence goes.
        folder: PathBuf,
        /// The cells by name, in the order of the matrix.
        cells: Vec<String>,
        /// Checks in all cells together, before any is skipped.
        checks: usize,
        /// Machines at once.
        jobs: usize,
    },
    /// A cell begins.
    CellStarted {
        /// Which.
        cell: String,
        /// The guest's name.
        guest: String,
        /// The host's name.
        host: String,
        /// What runs the guest's instructions, and how that is known.
        accelerator: String,
    },
    /// The guest boots.
    Booting {
        /// Which cell.
        cell: String,
        /// How long it took earlier, if that is known.
        expected_ms: Option<f64>,
    },
    /// A machine is ready to be cloned.
    Ready {
        /// Which cell.
        cell: String,
        /// True if the snapshot was in the cache, so that nothing was booted.
        cached: bool,
        /// When it was booted.
        #[serde(default)]
        booted: Option<Timestamp>,
        /// How long that took.
        took_ms: f64,
    },
    /// Something that a person should know, in words.
    Note {
        /// Which cell.
        cell: String,
        /// The words.
        words: String,
    },
    /// A check's clone is being made.
    CheckStarted {
        /// Which cell.
        cell: String,
        /// Which check.
        id: CheckId,
        /// 1 for the first time, 2 and 3 after a failure.
        attempt: usize,
        /// How long it took earlier, if that is known.
        expected_ms: Option<f64>,
    },
    /// A repetition of a check ended.
    Repetition {
        /// Which cell.
        cell: String,
        /// Which check.
        id: CheckId,
        /// Repetitions that have ended, this one included.
        done: u32,
        /// Repetitions in all, if that is known.
        of: Option<u32>,
        /// Those that failed.
        failed: u32,
    },
    /// A check ended.
    CheckEnded {
        /// Which cell.
        cell: String,
        /// Which check.
        id: CheckId,
        /// How.
        #[serde(flatten)]
        verdict: Verdict,
        /// If attempts differed: how many failed, and of how many.
        flaky: Option<(usize, usize)>,
        /// If it was repeated: how often it passed, and what it took.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        repeats: Option<Repeats>,
        /// How long it took.
        took_ms: f64,
    },
    /// How far the run is. Told when a check ends, and every few seconds.
    Progress {
        /// Checks that ended.
        done: usize,
        /// Checks in all.
        total: usize,
        /// How much longer, as far as earlier runs can tell; what takes longer than usual is not in it.
        left_ms: Option<f64>,
        /// What takes longer than usual.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        slow: Vec<Slow>,
    },
    /// A cell ended.
    CellEnded {
        /// Which.
        cell: String,
        /// Set if it could not be run, or proves nothing.
        failure: Option<String>,
    },
    /// The run ended.
    RunEnded {
        /// Where its evidence is.
        folder: PathBuf,
        /// Why it ended early, if it did.
        cut_off: Option<String>,
        /// How long it took.
        took_ms: f64,
    },
}

/// A check, or a boot, that takes longer than usual. Times are milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slow {
    /// Which cell.
    pub cell: String,
    /// The check's id, or `boot`.
    pub what: String,
    /// How long it has run.
    pub running_ms: f64,
    /// How long it takes usually.
    pub usual_ms: f64,
}

/// Who is told. Called from several tasks at once; must not block for long.
pub trait Observer: Send + Sync {
    /// This happened.
    fn tell(&self, event: &RunEvent);
}

/// Nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl Observer for Nobody {
    fn tell(&self, _: &RunEvent) {}
}

impl<F: Fn(&RunEvent) + Send + Sync> Observer for F {
    fn tell(&self, event: &RunEvent) {
        self(event);
    }
}
