//! How checks ended, and what those that passed saw.

use std::collections::BTreeMap;

use hospitium_evidence::Cell;
use hospitium_model::{CheckId, CheckRecord};

use super::findings::changed;
use super::{CheckChange, FindingChange};
use crate::outcome::{Outcome, is_canary};

/// What changed of a cell's checks.
#[derive(Default)]
pub struct Compared {
    pub regressions: Vec<CheckChange>,
    pub mends: Vec<CheckChange>,
    pub others: Vec<CheckChange>,
    pub findings: Vec<FindingChange>,
    pub compared: usize,
}

/// The checks of both, in the order of `after`, then those that are gone. While `after` goes on, what
/// has not ended in it is left out.
pub fn compared(before: &Cell, after: &Cell, goes_on: bool) -> Compared {
    let by_id = |cell: &'_ Cell| -> BTreeMap<CheckId, usize> {
        let counted = cell.checks.iter().enumerate().filter(|(_, check)| counts(check));
        counted.map(|(at, check)| (check.id.clone(), at)).collect()
    };
    let (old, new) = (by_id(before), by_id(after));
    let mut out = Compared::default();
    let here = after.checks.iter().filter(|check| counts(check)).map(|check| &check.id);
    let gone = before.checks.iter().filter(|check| counts(check)).map(|check| &check.id);
    for id in here.chain(gone.filter(|id| !new.contains_key(*id))) {
        let old = old.get(id).map(|at| &before.checks[*at]);
        let new = new.get(id).map(|at| &after.checks[*at]);
        if goes_on && new.is_none_or(|check| Outcome::of(check) == Outcome::Miss) {
            continue;
        }
        out.compared += usize::from(old.is_some() && new.is_some());
        let (was, is) = (old.map(|it| outcome(before, it)), new.map(|it| outcome(after, it)));
        if was != is {
            out.put(CheckChange {
                check: id.clone(),
                before: was,
                after: is,
                reason: reason(before, old, after, new),
            });
        } else if was == Some(Outcome::Pass)
            && let (Some(old), Some(new)) = (old, new)
        {
            out.findings.extend(changed(id, old, new));
        }
    }
    out
}

impl Compared {
    fn put(&mut self, change: CheckChange) {
        let list = match (change.before, change.after) {
            // What passed and is skipped, or not run at all, was validated and is not any more.
            (Some(Outcome::Pass), _) => &mut self.regressions,
            (Some(Outcome::Flaky), Some(Outcome::Fail)) => &mut self.regressions,
            (Some(before), Some(Outcome::Pass)) if before != Outcome::Skip => &mut self.mends,
            _ => &mut self.others,
        };
        list.push(change);
    }
}

/// The canary must fail, so it is no check of the pair.
pub fn counts(check: &CheckRecord) -> bool {
    !is_canary(check)
}

/// How a check ended. A pass in a cell that proves nothing is none.
pub fn outcome(cell: &Cell, check: &CheckRecord) -> Outcome {
    match Outcome::of(check) {
        Outcome::Pass if void(cell).is_some() => Outcome::Error,
        outcome => outcome,
    }
}

/// Why a cell's passes prove nothing, if they do not.
fn void(cell: &Cell) -> Option<&str> {
    match &cell.record.failure {
        Some(why) => Some(why),
        None if !cell.record.canary_failed => Some("its canary did not fail"),
        None => None,
    }
}

/// Why it does not pass now; else why it did not before.
fn reason(
    before: &Cell,
    old: Option<&CheckRecord>,
    after: &Cell,
    new: Option<&CheckRecord>,
) -> String {
    let of = |cell: &Cell, check: &CheckRecord| {
        let attempts = std::iter::once(&check.verdict).chain(&check.attempts);
        let own = attempts.map(|verdict| verdict.reason()).find(|reason| !reason.is_empty());
        own.map(str::to_owned).or_else(|| {
            let why = void(cell).filter(|_| Outcome::of(check) == Outcome::Pass)?;
            Some(format!("its cell proves nothing: {why}"))
        })
    };
    let said = new.and_then(|check| of(after, check));
    said.or_else(|| old.and_then(|check| of(before, check))).unwrap_or_default()
}
