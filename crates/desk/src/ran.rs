//! What a run's evidence says, as whoever attached it read it: enough to judge without unpacking it, and what to type to
//! look for oneself.

use hospitium_evidence::{Bundle, Cell};
use hospitium_model::{CheckRecord, Digest, Subsystem, printable};
use hospitium_report::{Outcome, Tally};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::outcome::Shown;
use crate::text::{LINE_LIMIT, Line, TextError};

/// The most cells that are told of a run, and checks of a cell: a message has room for so many.
const CELLS: usize = 8;
const CHECKS: usize = 16;

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Ran {
    /// Its id.
    pub run: Line,
    /// The name of its evidence: SHA-256 of the bundle's manifest.
    pub evidence: Digest,
    /// When it ended; nothing if it was cut off.
    pub ended: Option<Timestamp>,
    /// Its cells, the first ones.
    pub cells: Vec<RanCell>,
    /// How many more there are.
    #[serde(default)]
    pub more_cells: u32,
}

/// A guest on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RanCell {
    /// Its name in the evidence.
    pub cell: Line,
    /// The guest.
    pub guest: Line,
    /// The host, with its version.
    pub host: Line,
    /// Checks that passed.
    pub passed: u32,
    /// Checks that failed.
    pub failed: u32,
    /// Checks that came to no end: the harness or the lab failed, or they did not get to run.
    pub unfinished: u32,
    /// Checks that do not apply.
    pub skipped: u32,
    /// The first checks that failed.
    pub failures: Vec<RanCheck>,
    /// Why the cell could not be run, if it could not.
    #[serde(default)]
    pub trouble: Option<Line>,
}

/// A check that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RanCheck {
    /// Its id.
    pub check: Line,
    /// Why, cut to a line.
    pub why: Line,
}

fn line(text: &str) -> Result<Line, TextError> {
    let text = printable(text, LINE_LIMIT);
    match text.trim().is_empty() {
        true => "not told".parse(),
        false => text.trim().parse(),
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Ran {
    /// What the evidence of a run says.
    ///
    /// # Errors
    /// If a name in it cannot stand in a case.
    pub fn of(bundle: &Bundle) -> Result<Self, TextError> {
        let cells = bundle.cells.iter().take(CELLS);
        let begun: Result<Vec<_>, TextError> = cells.map(RanCell::of).collect();
        Ok(Self {
            run: line(&bundle.run.id)?,
            evidence: bundle.digest,
            ended: bundle.run.ended,
            cells: begun?,
            more_cells: count(bundle.cells.len().saturating_sub(CELLS)),
        })
    }

    /// What it shows of a fault that its checks look for. A check that failed shows it; that none failed shows the
    /// contrary only where all of them came to an end.
    pub fn shown(&self) -> Shown {
        let sum = |of: fn(&RanCell) -> u32| self.cells.iter().map(of).fold(0, u32::saturating_add);
        let unfinished = self.more_cells > 0
            || self.ended.is_none()
            || sum(|cell| cell.unfinished) > 0
            || self.cells.iter().any(|cell| cell.trouble.is_some());
        match (sum(|cell| cell.failed), sum(|cell| cell.passed), unfinished) {
            (1.., ..) => Shown::Reproduced,
            (0, 1.., false) => Shown::NotReproduced,
            _ => Shown::Inconclusive,
        }
    }

    /// In lines for people.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for cell in &self.cells {
            let RanCell { guest, host, passed, failed, unfinished, skipped, .. } = cell;
            lines.push(format!(
                "{guest} on {host}: {passed} passed, {failed} failed, {unfinished} came to no end, {skipped} do not apply"
            ));
            lines.extend(cell.trouble.iter().map(|why| format!("could not be run: {why}")));
            let failures = cell.failures.iter();
            lines.extend(failures.map(|RanCheck { check, why }| format!("{check} failed: {why}")));
            let more = (*failed as usize).saturating_sub(cell.failures.len());
            lines.extend((more > 0).then(|| format!("{more} more checks failed")));
        }
        lines.extend((self.more_cells > 0).then(|| format!("{} more cells", self.more_cells)));
        if self.ended.is_none() {
            lines.push("the run was cut off".to_owned());
        }
        lines
    }

    /// What to type to be in the state that its first failed check began in, with the evidence in this file.
    pub fn replay(&self, file: &str) -> Option<String> {
        let cell = self.cells.iter().find(|cell| !cell.failures.is_empty())?;
        let check = &cell.failures.first()?.check;
        let which = match self.cells.len() {
            1 if self.more_cells == 0 => String::new(),
            _ => format!(" --cell {}", cell.cell),
        };
        Some(format!("hospitium replay {file} {check}{which} GUEST --on HOST"))
    }
}

impl RanCell {
    fn of(cell: &Cell) -> Result<Self, TextError> {
        let tally = Tally::of(&cell.checks);
        let of = |outcomes: [Outcome; 2]| outcomes.map(|outcome| count(tally.count(outcome)));
        let [passed, skipped] = of([Outcome::Pass, Outcome::Skip]);
        let [failed, flaky] = of([Outcome::Fail, Outcome::Flaky]);
        let [error, miss] = of([Outcome::Error, Outcome::Miss]);
        // The canary has to fail, and says nothing of the pair.
        let bad = |check: &&CheckRecord| {
            check.id.subsystem() != Subsystem::Canary
                && matches!(Outcome::of(check), Outcome::Fail | Outcome::Flaky)
        };
        let failures = cell.checks.iter().filter(bad).take(CHECKS).map(|check| {
            let why = match check.flaky() {
                Some((failed, of)) => {
                    format!("{failed} of {of} times; {}", check.verdict.reason())
                }
                None => check.verdict.reason().to_owned(),
            };
            Ok(RanCheck { check: line(check.id.as_str())?, why: line(&why)? })
        });
        Ok(Self {
            cell: line(&cell.record.name)?,
            guest: line(&cell.record.guest.name)?,
            host: line(&cell.record.host.name)?,
            passed,
            failed: failed.saturating_add(flaky),
            unfinished: error.saturating_add(miss),
            skipped,
            failures: failures.collect::<Result<_, TextError>>()?,
            trouble: cell.record.failure.as_deref().map(line).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::text;

    fn ran(failed: u32, passed: u32, unfinished: u32) -> Ran {
        let failure = RanCheck { check: text("time.monotonic"), why: text("2 s behind") };
        let cell = RanCell {
            cell: text("one"),
            guest: text("Debian 12"),
            host: text("QEMU 7.2"),
            passed,
            failed,
            unfinished,
            skipped: 0,
            failures: (0..failed.min(2)).map(|_| failure.clone()).collect(),
            trouble: None,
        };
        let ended = "2026-03-02T08:00:00Z".parse().ok();
        let evidence = Digest::of(b"manifest");
        Ran { run: text("r-1"), evidence, ended, cells: vec![cell], more_cells: 0 }
    }

    #[test]
    fn a_run_shows_that_a_fault_is_absent_only_where_every_check_came_to_an_end() {
        assert_eq!(ran(1, 0, 3).shown(), Shown::Reproduced);
        assert_eq!(ran(0, 2, 0).shown(), Shown::NotReproduced);
        assert_eq!(ran(0, 2, 1).shown(), Shown::Inconclusive);
        assert_eq!(ran(0, 0, 0).shown(), Shown::Inconclusive, "nothing was looked at");
        assert_eq!(Ran { ended: None, ..ran(0, 2, 0) }.shown(), Shown::Inconclusive);
        assert_eq!(Ran { more_cells: 1, ..ran(0, 2, 0) }.shown(), Shown::Inconclusive);
    }

    #[test]
    fn what_a_run_says_names_the_failed_checks_and_how_to_replay_the_first() {
        let lines = ran(3, 5, 0).lines();
        assert_eq!(lines[1], "time.monotonic failed: 2 s behind");
        assert!(lines.iter().any(|line| line == "1 more checks failed"), "{lines:?}");
        let replay = ran(3, 5, 0).replay("run.tar.zst").expect("something failed");
        assert!(
            replay.starts_with("hospitium replay run.tar.zst time.monotonic GUEST --on HOST"),
            "{replay}"
        );
        assert_eq!(ran(0, 5, 0).replay("run.tar.zst"), None);
    }
}
