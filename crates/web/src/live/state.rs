//! What is known of a run at a moment.

use hospitium_model::{Digest, Verdict};
use jiff::Timestamp;
use serde::Serialize;

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// It goes on.
    Running,
    /// It is over, and its evidence is complete.
    Finished,
    /// It was cut off, and said so itself.
    CutOff,
    /// Nobody writes its evidence any more, and it was not brought to an end.
    Killed,
}

/// A run at a moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunState {
    /// The name of its folder.
    pub name: String,
    /// Its id.
    pub id: String,
    /// How it stands.
    pub stage: Stage,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Why it ended early, if it did.
    pub cut_off: Option<String>,
    /// Checks that ended, of all cells.
    pub done: usize,
    /// Checks in all, as far as cells have begun.
    pub planned: usize,
    /// How much longer, in seconds, if the rest goes as fast as what is done; none if too little is.
    pub left_s: Option<u64>,
    /// Its cells, in the order of the matrix.
    pub cells: Vec<CellState>,
    /// Whether a report lies beside the evidence.
    pub report: bool,
}

/// A cell at a moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CellState {
    /// Its name.
    pub name: String,
    /// Whether it has begun.
    pub begun: bool,
    /// The guest and the host, once they are known.
    pub pair: Option<(String, String)>,
    /// What the harness did last, in words.
    pub doing: String,
    /// Checks that it is to run.
    pub planned: usize,
    /// Checks that ended, in the order in which they did.
    pub ended: Vec<Ended>,
    /// Checks whose machine is at work.
    pub running: Vec<String>,
    /// Why it could not be run, if it could not.
    pub failure: Option<String>,
    /// The last lines of the console, fit for a page.
    pub console: Vec<String>,
}

/// A check that ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ended {
    /// Which.
    pub id: String,
    /// How.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// When, in milliseconds from the start of the cell.
    pub at_ms: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl RunState {
    /// Whether nothing changes any more.
    pub const fn is_over(&self) -> bool {
        !matches!(self.stage, Stage::Running)
    }

    /// A mark of this state: the id of its event.
    pub fn mark(&self) -> String {
        let mut mark = Digest::of(&serde_json::to_vec(self).unwrap_or_default()).to_string();
        mark.truncate(24);
        mark
    }
}
