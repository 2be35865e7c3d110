//! Whether one run's evidence bears out another's: which differences keep a run from being a repetition.
//!
//! Only `pass` and `fail` say something of the pair, and a flaky check failed. What errored, was not reached or does not
//! apply says nothing of it: there, the second run contradicts nothing unless it fails; and where the second run says nothing,
//! what the first says is not repeated.

use super::{CheckChange, Diff};
use crate::outcome::Outcome;

/// What an end says of the pair, if it says anything.
const fn says(end: Option<Outcome>) -> Option<bool> {
    match end {
        Some(Outcome::Pass) => Some(true),
        Some(Outcome::Fail | Outcome::Flaky) => Some(false),
        Some(Outcome::Error | Outcome::Miss | Outcome::Skip) | None => None,
    }
}

impl CheckChange {
    /// Whether the later run is no repetition of the earlier one by this check.
    pub fn is_unrepeated(&self) -> bool {
        match (says(self.before), says(self.after)) {
            (Some(before), Some(after)) => before != after,
            (Some(_), None) | (None, Some(false)) => true,
            (None, _) => false,
        }
    }
}

impl Diff {
    /// The checks by which the later run is no repetition of the earlier one, each with the name of its cell.
    pub fn unrepeated(&self) -> impl Iterator<Item = (&str, &CheckChange)> {
        self.cells.iter().flat_map(|cell| {
            let changes = cell.regressions.iter().chain(&cell.mends).chain(&cell.others);
            changes
                .filter(|change| change.is_unrepeated())
                .map(|change| (cell.after.as_str(), change))
        })
    }
}
