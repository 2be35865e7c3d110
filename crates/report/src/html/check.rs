//! One check: its requirement, both observations, and how to get back to where it failed.

use hospitium_model::{CheckRecord, Holds, Verdict};

use super::picture::{Picture, Pictures};
use crate::outcome::Outcome;
use crate::words::{self, visible};

/// Findings, notes and console lines of one check that are shown.
const ROWS: usize = 200;

/// What `check.html` shows.
#[derive(Clone)]
pub struct CheckView {
    pub anchor: String,
    pub id: String,
    pub requirement: String,
    pub outcome: Outcome,
    /// `pass`, `flaky 1 of 3`.
    pub badge: String,
    pub reason: String,
    /// The first thing observed, for the line that is always there.
    pub glance: Option<Glance>,
    pub findings: Vec<FindingView>,
    pub findings_left: usize,
    pub one_witness: Option<String>,
    pub notes: Vec<String>,
    pub attempts: Vec<(Outcome, String)>,
    /// How often it passed and what that took, if it was repeated.
    pub repeated: Option<Repeated>,
    pub console: Vec<String>,
    pub pictures: Vec<Picture>,
    pub artifacts: Vec<String>,
    pub tier: &'static str,
    pub tier_number: u8,
    pub clone: String,
    pub took: String,
    pub replay: String,
    /// Of when the boot is that it judged, if that is not of this run.
    pub judged_boot: Option<String>,
}

/// A check that was repeated.
#[derive(Clone)]
pub struct Repeated {
    pub asked: String,
    pub words: String,
    pub took: String,
}

#[derive(Clone)]
pub struct Glance {
    pub what: String,
    pub guest: String,
    pub host: String,
    pub more: usize,
}

#[derive(Clone)]
pub struct FindingView {
    pub what: String,
    pub guest: String,
    /// Where the guest's value was read; empty if the evidence does not say.
    pub guest_source: String,
    pub host: String,
    /// Where the host's value was read.
    pub host_source: String,
    pub rule: String,
    /// `holds`, `does not hold`, `not judged`.
    pub holds: &'static str,
    pub class: &'static str,
    pub sign: &'static str,
}

impl CheckView {
    pub fn of(
        check: &CheckRecord,
        cell: usize,
        replay: String,
        judged_boot: Option<String>,
        cell_name: &str,
        pictures: &mut Pictures<'_>,
    ) -> Self {
        let outcome = Outcome::of(check);
        let seen = &check.observations;
        let findings: Vec<FindingView> = seen.findings.iter().take(ROWS).map(finding).collect();
        let mut shown = Vec::new();
        let mut artifacts = Vec::new();
        for path in check.artifacts.iter().take(ROWS) {
            match pictures.take(cell_name, path) {
                Some(picture) => shown.push(picture),
                None => artifacts.push(visible(path, 220)),
            }
        }
        Self {
            anchor: format!("c{cell}-{}", check.id.file_name()),
            id: check.id.to_string(),
            requirement: visible(&check.requirement, 600),
            outcome,
            badge: badge(check, outcome),
            reason: reason(&check.verdict, 1_500),
            glance: glance(check),
            findings_left: seen.findings.len() - findings.len(),
            findings,
            one_witness: seen.one_witness.as_deref().map(|why| visible(why, 400)),
            notes: seen.notes.iter().take(ROWS).map(|note| visible(note, 600)).collect(),
            attempts: attempts(check),
            repeated: check.repeats.as_ref().map(|repeats| Repeated {
                asked: visible(&repeats.asked, 100),
                words: words::repeated(repeats),
                took: words::repetitions_took(repeats),
            }),
            console: check.console.iter().rev().take(40).rev().map(|l| visible(l, 400)).collect(),
            pictures: shown,
            artifacts,
            tier: words::tier(check.tier),
            tier_number: check.tier.number(),
            clone: visible(&check.clone, 40),
            took: words::duration(check.took_ms),
            replay,
            judged_boot,
        }
    }

    /// True if the check stands open when the page does.
    pub const fn open(&self) -> bool {
        self.outcome.wants_attention()
    }
}

fn badge(check: &CheckRecord, outcome: Outcome) -> String {
    let word = outcome.word();
    match (check.flaky().filter(|_| outcome == Outcome::Flaky), &check.repeats) {
        (Some((failed, of)), _) => format!("{word} {failed} of {of}"),
        (None, Some(repeats)) if repeats.ended() > 0 => format!("{word} ×{}", repeats.ended()),
        _ => word.to_owned(),
    }
}

/// The attempts; of repetitions those that did not pass.
fn attempts(check: &CheckRecord) -> Vec<(Outcome, String)> {
    let shown = |it: &&Verdict| check.repeats.is_none() || **it != Verdict::Pass;
    let attempts = check.attempts.iter().filter(shown).take(ROWS);
    attempts.map(|it| attempt(it, &check.verdict)).collect()
}

fn glance(check: &CheckRecord) -> Option<Glance> {
    let findings = &check.observations.findings;
    let wrong = findings.iter().find(|finding| matches!(finding.judge(), Holds::No(_)));
    let finding = wrong.or_else(|| findings.iter().find(|f| f.judge() == Holds::Yes))?;
    let short = |value| {
        let text = words::value(value, &finding.unit);
        if text.chars().count() > 26 {
            text.chars().take(24).collect::<String>() + "…"
        } else {
            text
        }
    };
    Some(Glance {
        what: visible(&finding.what, 80),
        guest: short(finding.guest.as_ref()),
        host: short(finding.host.as_ref()),
        more: findings.len() - 1,
    })
}

fn finding(finding: &hospitium_model::Finding) -> FindingView {
    let (holds, class, sign) = match finding.judge() {
        Holds::Yes => ("holds", "pass", "✓"),
        Holds::No(_) => ("does not hold", "fail", "✕"),
        Holds::NotJudged => ("not judged", "skip", "–"),
    };
    FindingView {
        what: visible(&finding.what, 300),
        guest: words::value(finding.guest.as_ref(), &finding.unit),
        guest_source: words::source(finding.guest_source),
        host: words::value(finding.host.as_ref(), &finding.unit),
        host_source: words::source(finding.host_source),
        rule: words::rule(finding),
        holds,
        class,
        sign,
    }
}

fn reason(verdict: &Verdict, most: usize) -> String {
    words::short_digests(&visible(verdict.reason(), most))
}

/// An attempt, without its reason if that is the check's own.
fn attempt(attempt: &Verdict, verdict: &Verdict) -> (Outcome, String) {
    let outcome = match attempt {
        Verdict::Pass => Outcome::Pass,
        Verdict::Fail { .. } => Outcome::Fail,
        Verdict::Skip { .. } => Outcome::Skip,
        Verdict::Error { .. } => Outcome::Error,
        Verdict::Miss { .. } => Outcome::Miss,
    };
    let why = if attempt == verdict { String::new() } else { reason(attempt, 600) };
    (outcome, why)
}
