//! Which alterations a check does not notice.
//!
//! A check is played with one value altered at a time. An alteration is *noticed* if the check no longer passes. It does not
//! count where the check does not read the value: where no alteration of it changes anything that the check reports. Of
//! those that are not noticed, two kinds are none of the check's fault and are told apart by rule: what is only
//! [recorded](Class::Recorded), and what stays within a [tolerance](Class::Tolerated) that the check states. All others
//! are survivors: each has its reason in `survivors.toml`, or shows what a check would let pass.

mod reasons;
mod report;
mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use hospitium_model::{Holds, Observations, Rule};

pub use self::reasons::{Reason, Reasons, ReasonsError};
pub use self::report::summary;
use super::Studio;
use crate::Check;

/// The share of alterations that must be noticed.
pub const BAR: f64 = 0.95;
/// The share of judged findings that must be turned red by something.
pub const COVERED: f64 = 0.97;

/// What kind of thing was altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A value in a reply.
    Value,
    /// A reply as a whole: an error or nothing in its place, it comes late, or twice.
    Reply,
    /// An event.
    Event,
    /// A part of what is on the console.
    Console,
    /// What was known before the check.
    Fact,
}

impl Kind {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Value => "values of replies",
            Self::Reply => "replies: errors, late, lost, repeated",
            Self::Event => "events: altered, dropped, late, repeated",
            Self::Console => "console: lines altered, dropped, late, added",
            Self::Fact => "facts of guest and boot",
        }
    }
}

/// Why an alteration that was not noticed is none of the check's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// The value is kept in the evidence and not judged.
    Recorded,
    /// The value is judged by a range or with a tolerance, and other alterations of it leave that.
    Tolerated,
}

/// An alteration that a check did not notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// Id of the check.
    pub check: &'static str,
    /// Where: the question, its number among the transcript's, and a JSON pointer.
    pub at: String,
    /// What was altered.
    pub how: String,
    /// Why it is none of the check's fault, if a rule says so.
    pub class: Option<Class>,
    /// What it changed of what the check reports.
    pub changed: Vec<String>,
}

impl Survivor {
    /// What it changed, for people.
    pub fn what_changed(&self) -> String {
        if self.changed.is_empty() { "nothing".to_owned() } else { self.changed.join(", ") }
    }
}

/// What became of one check's alterations.
#[derive(Debug, Clone, Default)]
pub struct Score {
    /// Id of the check.
    pub check: &'static str,
    /// Noticed, by kind.
    pub noticed: BTreeMap<Kind, usize>,
    /// Those that were not, of values that the check reads.
    pub survivors: Vec<(Kind, Survivor)>,
    /// Of values that it does not read.
    pub unread: usize,
    /// Of the host's answers, so that these contradicted each other: the cell believes none of them.
    pub disbelieved: usize,
    /// That made it ask what was not recorded: where a name or number is only handed back to whoever gave it.
    pub strays: usize,
    /// Judged findings.
    pub findings: BTreeSet<String>,
    /// Those that some alteration turned red.
    pub red: BTreeSet<String>,
    /// Alterations that broke the check's code.
    pub panics: Vec<String>,
    /// How often it was played.
    pub plays: usize,
}

impl Score {
    /// Alterations that were noticed.
    pub fn noticed(&self) -> usize {
        self.noticed.values().sum()
    }

    /// Survivors that no rule explains.
    pub fn unexplained(&self) -> impl Iterator<Item = &(Kind, Survivor)> {
        self.survivors.iter().filter(|(_, survivor)| survivor.class.is_none())
    }
}

/// The judged findings of what a check saw.
fn judged(seen: &Observations) -> BTreeSet<String> {
    let judged = seen.findings.iter().filter(|finding| finding.rule != Rule::Recorded);
    judged.map(|finding| finding.what.clone()).collect()
}

/// Those of them that do not hold.
fn red(seen: &Observations) -> impl Iterator<Item = String> + '_ {
    let red = seen.findings.iter().filter(|finding| matches!(finding.judge(), Holds::No(_)));
    red.map(|finding| finding.what.clone())
}

/// Alters the transcripts of the checks whose id begins with `only`, on so many threads.
pub fn run(studio: &Studio, only: &str, threads: usize) -> Vec<Score> {
    let checks: Vec<&'static Check> =
        studio.checks().filter(|check| check.id.starts_with(only)).collect();
    let (next, scores) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let hook = std::panic::take_hook();
    // A check that breaks is told of in its score.
    std::panic::set_hook(Box::new(|_| {}));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(check) = checks.get(n) else { break };
                    let score = trial::of(studio, check);
                    if let Ok(mut scores) = scores.lock() {
                        scores.insert(n, score);
                    }
                }
            });
        }
    });
    std::panic::set_hook(hook);
    scores.into_inner().map(|scores| scores.into_values().collect()).unwrap_or_default()
}
