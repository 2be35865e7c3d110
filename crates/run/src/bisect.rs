//! What a run says to `git bisect run`: good, bad, or that this revision cannot be judged.

use hospitium_model::{CheckRecord, Verdict};

use crate::cell::account::REACH_USERLAND;
use crate::{CellSummary, RunSummary};

/// What a run says about the revision that it tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// All selected checks that apply passed.
    Good(String),
    /// A selected check failed, in a majority of its attempts.
    Bad(String),
    /// Nothing can be said about this revision; another may do.
    Untestable(String),
    /// Somebody ended the run: no revision is to be tried any more.
    Ended(String),
}

impl Judgement {
    /// The exit code that `git bisect run` takes for it (git-bisect(1)): 125 skips the revision, and
    /// above 127 ends the bisection.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Good(_) => 0,
            Self::Bad(_) => 1,
            Self::Untestable(_) => 125,
            Self::Ended(_) => 130,
        }
    }

    /// The word for it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Good(_) => "good",
            Self::Bad(_) => "bad",
            Self::Untestable(_) => "untestable",
            Self::Ended(_) => "ended",
        }
    }

    /// Why, on one line.
    pub fn why(&self) -> &str {
        match self {
            Self::Good(why) | Self::Bad(why) | Self::Untestable(why) | Self::Ended(why) => why,
        }
    }
}

/// What one check says.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Good,
    Skip,
    Bad(String),
    Nothing(String),
}

/// Judges a run. A failure counts although other checks came to no end; a cell whose canary passed
/// says nothing, and of a guest that did not boot only that it did not.
pub fn judge(summary: &RunSummary) -> Judgement {
    if let Some(why) = &summary.run.cut_off {
        return Judgement::Ended(one_line(why));
    }
    let (mut good, mut skips, mut bad, mut nothing) = (0, Vec::new(), Vec::new(), Vec::new());
    for cell in &summary.cells {
        let name = &cell.record.name;
        let of = if summary.cells.len() > 1 { format!("{name}: ") } else { String::new() };
        if let Some(why) = &cell.record.failure {
            nothing.push(format!("{of}{}", one_line(why)));
        }
        for check in cell.checks.iter().filter(|check| is_proven(cell, check)) {
            match said(check) {
                Said::Good => good += 1,
                Said::Skip => skips.push(one_line(check.verdict.reason())),
                Said::Bad(why) => bad.push(format!("{of}{why}")),
                Said::Nothing(why) => nothing.push(format!("{of}{why}")),
            }
        }
    }
    if good == 0
        && let Some(reason) = skips.first()
    {
        nothing.push(format!("no selected check applies: {reason}"));
    }
    nothing.extend(summary.run.not_started.iter().map(|name| format!("{name} was not run")));
    match (bad.as_slice(), nothing.as_slice()) {
        ([why, more @ ..], _) => Judgement::Bad(with_more(why, more.len())),
        ([], [why, more @ ..]) => Judgement::Untestable(with_more(why, more.len())),
        ([], []) => Judgement::Good(match good {
            1 => "the selected check that applies passed".into(),
            n => format!("all {n} selected checks that apply passed"),
        }),
    }
}

/// Whether a verdict may be believed: its cell's canary failed, as it must. Without a boot there is
/// no canary, and the host's word that the guest did not come up stands by itself.
fn is_proven(cell: &CellSummary, check: &CheckRecord) -> bool {
    match &cell.canary {
        Some(Verdict::Fail { .. }) => true,
        Some(Verdict::Pass) => false,
        _ => check.id.as_str() == REACH_USERLAND,
    }
}

fn said(check: &CheckRecord) -> Said {
    let id = &check.id;
    let reason = one_line(check.verdict.reason());
    match &check.verdict {
        Verdict::Pass => Said::Good,
        Verdict::Skip { .. } => Said::Skip,
        Verdict::Error { .. } => Said::Nothing(format!("{id} came to no end: {reason}")),
        Verdict::Miss { .. } => Said::Nothing(format!("{id} was not run: {reason}")),
        Verdict::Fail { .. } => {
            let (failed, passed, of) = counted(check);
            if 2 * failed > of {
                let times = if of > 1 { format!(" {failed} of {of} times") } else { String::new() };
                Said::Bad(format!("{id} failed{times}: {reason}"))
            } else if 2 * passed > of {
                Said::Good
            } else {
                Said::Nothing(format!("{id} failed {failed} of {of} times, which is no majority"))
            }
        }
    }
}

/// How often a failed check failed and passed, and of how many attempts.
fn counted(check: &CheckRecord) -> (usize, usize, usize) {
    if let Some(repeats) = &check.repeats {
        let [failed, passed, no_end] =
            [repeats.failed, repeats.passed, repeats.no_end].map(|count| count as usize);
        return (failed, passed, failed + passed + no_end);
    }
    let count = |of: fn(&Verdict) -> bool| check.attempts.iter().filter(|v| of(v)).count();
    match check.attempts.len() {
        0 => (1, 0, 1),
        of => (
            count(|verdict| matches!(verdict, Verdict::Fail { .. })),
            count(|verdict| *verdict == Verdict::Pass),
            of,
        ),
    }
}

fn with_more(why: &str, more: usize) -> String {
    if more == 0 { why.to_owned() } else { format!("{why} (and {more} more)") }
}

fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use hospitium_model::{Digest, EVIDENCE_FORMAT, PlannedCheck, RunRecord, SkipReason, Tier};

    use super::*;
    use crate::cell::account::tests::cell;

    fn fail() -> Verdict {
        Verdict::Fail { reason: "guest saw 1, host saw 2".into() }
    }

    fn error() -> Verdict {
        Verdict::Error { reason: "the lab broke".into() }
    }

    fn check(id: &str, verdict: Verdict, attempts: &[Verdict]) -> CheckRecord {
        let id = id.parse().expect("a good id");
        let planned = PlannedCheck { id, requirement: String::new(), tier: Tier::Reads };
        CheckRecord { attempts: attempts.to_vec(), ..planned.without_run(verdict) }
    }

    fn of(checks: Vec<CheckRecord>) -> RunSummary {
        let started = jiff::Timestamp::UNIX_EPOCH;
        RunSummary {
            run: RunRecord {
                format: EVIDENCE_FORMAT,
                id: "id".into(),
                hospitium: String::new(),
                suite: Digest::of(b""),
                started,
                ended: Some(started),
                seed: 0,
                required: vec![],
                profile: None,
                cells: vec![],
                cut_off: None,
                order: Vec::new(),
                not_started: vec![],
                definition: None,
            },
            evidence: "evidence".into(),
            archive: Err(String::new()),
            cells: vec![CellSummary { record: cell(), checks, canary: Some(fail()) }],
            took_ms: 0.0,
        }
    }

    fn code(verdict: Verdict, attempts: &[Verdict]) -> u8 {
        judge(&of(vec![
            check("mem.size", Verdict::Pass, &[]),
            check("cpu.count", verdict, attempts),
        ]))
        .exit_code()
    }

    #[test]
    fn a_failure_is_bad_only_in_a_majority_of_the_attempts() {
        assert_eq!(code(Verdict::Pass, &[]), 0);
        assert_eq!(code(fail(), &[]), 1);
        assert_eq!(code(fail(), &[fail(), fail(), Verdict::Pass]), 1);
        assert_eq!(code(fail(), &[fail(), Verdict::Pass, Verdict::Pass]), 0);
        assert_eq!(code(fail(), &[fail(), Verdict::Pass]), 125, "a half is no majority");
        assert_eq!(code(fail(), &[fail(), error(), error()]), 125);
    }

    #[test]
    fn what_came_to_no_end_is_skipped_unless_something_failed() {
        let miss = Verdict::Miss { reason: "no time".into() };
        assert_eq!(code(error(), &[]), 125);
        assert_eq!(code(miss, &[]), 125);
        let both = of(vec![check("mem.size", error(), &[]), check("cpu.count", fail(), &[])]);
        assert_eq!(
            judge(&both),
            Judgement::Bad("cpu.count failed: guest saw 1, host saw 2".into())
        );
    }

    #[test]
    fn a_skip_is_no_pass_and_no_failure() {
        let skip = Verdict::Skip { why: SkipReason::UnsupportedByHost, reason: "no TPM".into() };
        assert_eq!(code(skip.clone(), &[]), 0, "the other check passed");
        let only = judge(&of(vec![check("cpu.count", skip, &[])]));
        assert_eq!(only, Judgement::Untestable("no selected check applies: no TPM".into()));
    }

    #[test]
    fn a_harness_that_cannot_tell_wrong_from_right_says_nothing() {
        let mut run = of(vec![check("cpu.count", fail(), &[])]);
        run.cells[0].canary = Some(Verdict::Pass);
        run.cells[0].record.failure = Some("the canary passed".into());
        assert_eq!(judge(&run).exit_code(), 125);
    }

    #[test]
    fn a_guest_that_does_not_boot_is_bad_only_if_that_was_asked() {
        let miss = || Verdict::Miss { reason: "the guest did not boot".into() };
        let mut run = of(vec![check("cpu.count", miss(), &[])]);
        run.cells[0].canary = Some(miss());
        run.cells[0].record.failure = Some("the kernel panicked\n  | line".into());
        assert_eq!(judge(&run), Judgement::Untestable("the kernel panicked".into()));
        run.cells[0].checks.push(check(REACH_USERLAND, fail(), &[]));
        assert_eq!(judge(&run).exit_code(), 1);
    }

    #[test]
    fn a_person_who_ends_the_run_ends_the_bisection() {
        let mut run = of(vec![check("cpu.count", fail(), &[])]);
        run.run.cut_off = Some("interrupted by Ctrl-C".into());
        assert_eq!(judge(&run).exit_code(), 130);
    }
}
