//! What changed from one run to another: verdicts, findings, timings and inputs, cell by cell.
//!
//! [`diff`] is a pure function over two bundles that were read. docs/diff.md says what counts as a
//! regression, from where on a time or a measured value counts as changed, and lists the fields of
//! the JSON form.

mod cells;
mod checks;
mod findings;
mod inputs;
mod repetition;
mod timings;
mod words;

use hospitium_evidence::Bundle;
use hospitium_model::{CheckId, Digest, Finding};
use jiff::Timestamp;
use serde::Serialize;

use crate::outcome::{self, Outcome};

pub use timings::{NOISE_FACTOR, NOISE_MS};

/// Version of the JSON form. Fields are added without changing it, never taken away.
pub const DIFF_FORMAT: u32 = 1;

/// What changed from one run to another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diff {
    /// [`DIFF_FORMAT`].
    pub format: u32,
    /// The run that is compared against.
    pub before: Side,
    /// The run that is looked at.
    pub after: Side,
    /// What the runs as a whole were given: version of the harness, seed, required checks.
    pub inputs: Vec<InputChange>,
    /// The cells that are in both, in the order of `after`.
    pub cells: Vec<CellDiff>,
    /// Cells of `before` that have no counterpart.
    pub only_before: Vec<LoneCell>,
    /// Cells of `after` that have no counterpart.
    pub only_after: Vec<LoneCell>,
}

/// A run that is compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    /// Its id.
    pub run: String,
    /// When it began.
    pub started: Timestamp,
    /// Digest of its manifest.
    pub manifest: Digest,
    /// False if something is wrong with its evidence.
    pub sound: bool,
}

/// What changed in a cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CellDiff {
    /// Its name in `before`.
    pub before: String,
    /// Its name in `after`.
    pub after: String,
    /// Guest and host, of `after`.
    pub title: String,
    /// By what the two were taken for the same cell.
    pub matched: Match,
    /// Checks that passed and do not any more.
    pub regressions: Vec<CheckChange>,
    /// Checks that did not pass and do now.
    pub mends: Vec<CheckChange>,
    /// Checks that ended otherwise, where neither end is a pass; new checks; checks that apply now.
    pub others: Vec<CheckChange>,
    /// Findings of checks that passed both times and saw something else.
    pub findings: Vec<FindingChange>,
    /// Times that changed by more than noise.
    pub timings: Vec<TimingChange>,
    /// What went in: pins, guest, host, machine.
    pub inputs: Vec<InputChange>,
    /// Checks that are in both.
    pub compared: usize,
}

/// By what two cells were taken for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Match {
    /// Guest, host and machine are the same.
    Same,
    /// Guest and host are the same, the machine is another.
    OtherMachine,
    /// The host is another, of the same kind.
    OtherHost,
    /// The guest is another, of the same family.
    OtherGuest,
    /// Guest and host are others, of the same family and kind.
    OtherGuestAndHost,
    /// The host is of another kind.
    OtherHostKind,
}

/// A cell without a counterpart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoneCell {
    /// Its name.
    pub name: String,
    /// Guest and host.
    pub title: String,
    /// Checks that passed in it.
    pub passed: usize,
}

/// A check that ended otherwise. A side is absent where it has no such check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckChange {
    /// Which.
    pub check: CheckId,
    /// How it ended before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Outcome>,
    /// How it ends now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Outcome>,
    /// Why it does not pass: the later reason, else the earlier one; empty if there is none.
    pub reason: String,
}

/// A finding of a check that passed both times. A side is absent where it has no such finding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FindingChange {
    /// The check.
    pub check: CheckId,
    /// What was asked.
    pub what: String,
    /// The rule is another: the two passes do not say the same.
    pub rule_changed: bool,
    /// As it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Finding>,
    /// As it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Finding>,
}

/// A time that changed by more than noise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TimingChange {
    /// A check's id, `boot`, `clone` (the median) or `cell`.
    pub what: String,
    /// Milliseconds before.
    pub before_ms: f64,
    /// Milliseconds now.
    pub after_ms: f64,
}

/// Something that went in and is another. A side is absent where nothing of the name went in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InputChange {
    /// What: `kernel`, `vmm`, `machine cpus.cores`.
    pub what: String,
    /// Before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Compares two runs.
///
/// # Errors
/// [`NothingInCommon`] if no cell of one has a counterpart in the other.
pub fn diff(before: &Bundle, after: &Bundle) -> Result<Diff, NothingInCommon> {
    let matched = cells::matched(&before.cells, &after.cells);
    if matched.pairs.is_empty() {
        return Err(NothingInCommon {
            before: cells::titles(&before.cells),
            after: cells::titles(&after.cells),
        });
    }
    let cells = matched.pairs.into_iter().map(|(a, b, how)| {
        let (a, b) = (&before.cells[a], &after.cells[b]);
        let checks = checks::compared(a, b, outcome::goes_on(after));
        CellDiff {
            before: a.record.name.clone(),
            after: b.record.name.clone(),
            title: cells::title(&b.record),
            matched: how,
            regressions: checks.regressions,
            mends: checks.mends,
            others: checks.others,
            findings: checks.findings,
            timings: timings::changed(a, b),
            inputs: inputs::of_cell(&a.record, &b.record),
            compared: checks.compared,
        }
    });
    Ok(Diff {
        format: DIFF_FORMAT,
        before: side(before),
        after: side(after),
        inputs: inputs::of_run(&before.run, &after.run),
        cells: cells.collect(),
        only_before: matched.only_before.into_iter().map(|at| lone(&before.cells[at])).collect(),
        only_after: matched.only_after.into_iter().map(|at| lone(&after.cells[at])).collect(),
    })
}

/// The two runs have no cell in common.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the runs have no guest and host in common: one is of {before}, the other of {after}")]
pub struct NothingInCommon {
    before: String,
    after: String,
}

impl Diff {
    /// How many checks passed and do not any more, those of cells that are gone included.
    pub fn regressions(&self) -> usize {
        let gone: usize = self.only_before.iter().map(|cell| cell.passed).sum();
        gone + self.cells.iter().map(|cell| cell.regressions.len()).sum::<usize>()
    }

    /// How many checks pass now and did not.
    pub fn mends(&self) -> usize {
        self.cells.iter().map(|cell| cell.mends.len()).sum()
    }

    /// True if nothing at all is to be told.
    pub fn is_empty(&self) -> bool {
        let quiet = |cell: &CellDiff| {
            cell.regressions.is_empty()
                && cell.mends.is_empty()
                && cell.others.is_empty()
                && cell.findings.is_empty()
                && cell.timings.is_empty()
                && cell.inputs.is_empty()
        };
        self.inputs.is_empty()
            && self.only_before.is_empty()
            && self.only_after.is_empty()
            && self.cells.iter().all(quiet)
    }
}

fn side(bundle: &Bundle) -> Side {
    Side {
        run: bundle.run.id.clone(),
        started: bundle.run.started,
        manifest: bundle.digest,
        sound: bundle.is_sound(),
    }
}

fn lone(cell: &hospitium_evidence::Cell) -> LoneCell {
    let ends = cell.checks.iter().filter(|check| checks::counts(check));
    let passed = ends.filter(|check| checks::outcome(cell, check) == Outcome::Pass).count();
    LoneCell { name: cell.record.name.clone(), title: cells::title(&cell.record), passed }
}
