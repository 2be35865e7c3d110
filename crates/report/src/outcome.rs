//! How a check ended, as reports show it, and how many ended how.

use hospitium_evidence::{Bundle, Cell};
use hospitium_model::{CheckRecord, Subsystem, Verdict};
use serde::Serialize;

/// How a check ended: its verdict, with a flaky one told apart from a pass and from a fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Failed every time.
    Fail,
    /// Gave different verdicts from the same state.
    Flaky,
    /// The harness or the lab failed.
    Error,
    /// Did not get to run.
    Miss,
    /// Passed.
    Pass,
    /// Does not apply.
    Skip,
}

impl Outcome {
    /// All of them, those that want attention first.
    pub const ALL: [Self; 6] =
        [Self::Fail, Self::Flaky, Self::Error, Self::Miss, Self::Pass, Self::Skip];

    /// Of a check's record.
    pub fn of(check: &CheckRecord) -> Self {
        match &check.verdict {
            Verdict::Error { .. } => Self::Error,
            Verdict::Miss { .. } => Self::Miss,
            Verdict::Skip { .. } => Self::Skip,
            _ if check.flaky().is_some() => Self::Flaky,
            Verdict::Pass => Self::Pass,
            Verdict::Fail { .. } => Self::Fail,
        }
    }

    /// One word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Flaky => "flaky",
            Self::Error => "error",
            Self::Miss => "miss",
            Self::Pass => "pass",
            Self::Skip => "skip",
        }
    }

    /// In a sentence, behind a number.
    pub const fn counted(self) -> &'static str {
        match self {
            Self::Fail => "failed",
            Self::Flaky => "flaky",
            Self::Error => "in error",
            Self::Miss => "not run",
            Self::Pass => "passed",
            Self::Skip => "skipped",
        }
    }

    /// A sign of its own shape.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Fail => "✕",
            Self::Flaky => "≈",
            Self::Error => "!",
            Self::Miss => "○",
            Self::Pass => "✓",
            Self::Skip => "–",
        }
    }

    /// True for what a reader has to look at.
    pub const fn wants_attention(self) -> bool {
        !matches!(self, Self::Pass | Self::Skip)
    }
}

/// How many checks ended how. The canary is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally([usize; 6]);

impl Tally {
    /// Of these checks.
    pub fn of<'a>(checks: impl IntoIterator<Item = &'a CheckRecord>) -> Self {
        let mut tally = Self::default();
        for check in checks.into_iter().filter(|check| !is_canary(check)) {
            tally.0[Outcome::of(check) as usize] += 1;
        }
        tally
    }

    /// Of a whole run.
    pub fn of_cells(cells: &[Cell]) -> Self {
        Self::of(cells.iter().flat_map(|cell| &cell.checks))
    }

    /// How many ended like this.
    pub const fn count(&self, outcome: Outcome) -> usize {
        self.0[outcome as usize]
    }

    /// How many there are.
    pub fn all(&self) -> usize {
        self.0.iter().sum()
    }

    /// How many of them apply: all but those skipped.
    pub fn apply(&self) -> usize {
        self.all() - self.count(Outcome::Skip)
    }

    /// The outcome that stands for all: the worst of them.
    pub fn worst(&self) -> Outcome {
        let there = Outcome::ALL.into_iter().find(|outcome| self.count(*outcome) > 0);
        there.unwrap_or(Outcome::Miss)
    }

    /// `138 passed, 1 failed, 2 skipped`, without those that are none.
    pub fn words(&self) -> String {
        let order = [
            Outcome::Pass,
            Outcome::Fail,
            Outcome::Flaky,
            Outcome::Error,
            Outcome::Miss,
            Outcome::Skip,
        ];
        let there = order.into_iter().filter(|outcome| self.count(*outcome) > 0);
        let parts: Vec<_> =
            there.map(|outcome| format!("{} {}", self.count(outcome), outcome.counted())).collect();
        if parts.is_empty() { "no checks".into() } else { parts.join(", ") }
    }
}

/// The canary must fail, so it is counted on its own.
pub fn is_canary(check: &CheckRecord) -> bool {
    check.id.subsystem() == Subsystem::Canary
}

/// True for the evidence of a run that has not ended: neither an end nor a reason for having none.
pub fn goes_on(bundle: &Bundle) -> bool {
    bundle.run.ended.is_none() && bundle.run.cut_off.is_none()
}

/// True for a cell of a run that goes on, some of whose checks have not ended.
pub fn still_runs(bundle: &Bundle, cell: &Cell) -> bool {
    let missed = |check: &CheckRecord| matches!(check.verdict, Verdict::Miss { .. });
    goes_on(bundle) && cell.checks.iter().any(missed)
}

/// How a cell as a whole stands; for one that still runs, how it does until now.
pub fn of_cell(bundle: &Bundle, cell: &Cell) -> Outcome {
    let worst = Tally::of(&cell.checks).worst();
    let record = &cell.record;
    if still_runs(bundle, cell) {
        worst
    } else if record.failure.is_some() || !record.canary_failed {
        worst.min(Outcome::Error)
    } else if !record.required_not_run.is_empty() {
        worst.min(Outcome::Miss)
    } else {
        worst
    }
}
