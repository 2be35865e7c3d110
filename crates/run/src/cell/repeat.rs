//! The checks of a cell over and over: each repetition in a clone of its own, in rounds, so that none is
//! repeated more often than another, whatever it takes.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hospitium_model::{CheckRecord, Growth, Repeats, TimelineSource, Verdict, median};
use hospitium_suite::{Check, Lab};
use tokio::task::JoinSet;

use super::CellRun;
use crate::RunEvent;
use crate::attempt::{Attempt, Held, in_own_clone_seen};
use crate::usage::ms;

/// The repetitions of one check so far.
#[derive(Default)]
struct Kept {
    /// The attempt that the record shows, with its console: the first that failed, else the first
    /// that came to no end, else the first.
    shown: Option<(Attempt, Vec<String>)>,
    attempts: Vec<Verdict>,
    passed: u32,
    failed: u32,
    no_end: u32,
    took_ms: Vec<f64>,
    held: Vec<Held>,
    written: Option<Instant>,
}

/// How long a repeated check's record stands before it is written again: a harness that is killed in
/// a soak of hours loses no more than this.
const STANDS: Duration = Duration::from_secs(10);

/// How much a verdict says against a pass.
const fn weight(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Pass => 0,
        Verdict::Fail { .. } => 2,
        _ => 1,
    }
}

impl Kept {
    fn add(&mut self, attempt: Attempt, console: Vec<String>, held: Option<Held>) {
        let count = match &attempt.verdict {
            Verdict::Pass => &mut self.passed,
            Verdict::Fail { .. } => &mut self.failed,
            _ => &mut self.no_end,
        };
        *count = count.saturating_add(1);
        if attempt.verdict.ran() {
            self.took_ms.push(ms(attempt.took));
        }
        if self.attempts.len() < CheckRecord::MOST_ATTEMPTS {
            self.attempts.push(attempt.verdict.clone());
        }
        self.held.extend(held);
        let more = |(shown, _): &(Attempt, _)| weight(&attempt.verdict) > weight(&shown.verdict);
        if self.shown.as_ref().is_none_or(more) {
            self.shown = Some((attempt, console));
        }
    }

    const fn count(&self) -> u32 {
        self.passed.saturating_add(self.failed).saturating_add(self.no_end)
    }

    fn repeats(&self, asked: String) -> Repeats {
        let grown = |of: fn(&Held) -> Option<f64>| {
            Growth::of(&self.held.iter().filter_map(of).collect::<Vec<_>>())
        };
        Repeats {
            passed: self.passed,
            failed: self.failed,
            no_end: self.no_end,
            asked,
            slowest_ms: self.took_ms.iter().copied().fold(0.0, f64::max),
            median_ms: median(&self.took_ms).unwrap_or_default(),
            pss_kib: grown(|held| Some(held.pss_kib)),
            rss_kib: grown(|held| Some(held.rss_kib)),
            descriptors: grown(|held| held.descriptors),
        }
    }
}

impl CellRun {
    /// Repeats these checks as the plan asks, and writes down what came of each. What a stop cuts off
    /// does not count; what was finished before does.
    pub(super) async fn repeated(self: Arc<Self>, lab: Arc<Lab>, checks: Vec<&'static Check>) {
        let repeat = self.shared.repeat;
        let kept: Arc<Vec<Mutex<Kept>>> =
            Arc::new(checks.iter().map(|_| Mutex::default()).collect());
        let begun = Instant::now();
        let mut jobs = JoinSet::new();
        'rounds: for round in 0_u32.. {
            for (at, check) in checks.iter().copied().enumerate() {
                let Ok(permit) = self.shared.stop.unless(self.permit(&lab, check)).await else {
                    break 'rounds;
                };
                // Looked at here, since waiting for the permit may have taken long. With several
                // cells, a failure in one ends them all.
                let failed = self.shared.failed.load(Ordering::SeqCst);
                if !repeat.goes_on(round, begun.elapsed(), failed) {
                    break 'rounds;
                }
                let (this, lab, kept) = (self.clone(), lab.clone(), kept.clone());
                jobs.spawn(async move {
                    let work = this.once(&lab, check, round, &kept[at]);
                    let verdict = this.shared.stop.unless(work).await;
                    drop(permit);
                    if matches!(verdict, Ok(Verdict::Fail { .. })) {
                        this.shared.failed.store(true, Ordering::SeqCst);
                    }
                });
                while jobs.try_join_next().is_some() {}
            }
            if checks.is_empty() {
                break;
            }
        }
        self.shared.progress.ends();
        jobs.join_all().await;
        for (check, kept) in checks.into_iter().zip(kept.iter()) {
            let kept = std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner));
            if let Some(record) = self.repeated_record(check, kept) {
                self.put(record);
            } else if self.shared.stop.reason().is_none() {
                let reason = "another check failed first, and the run was to end there".to_owned();
                self.put(self.blank(check, Verdict::Miss { reason }));
            }
        }
    }

    async fn once(
        &self,
        lab: &Arc<Lab>,
        check: &'static Check,
        round: u32,
        kept: &Mutex<Kept>,
    ) -> Verdict {
        match round {
            0 => self.started(check, 1),
            _ => self.shared.progress.began(&self.cell.name, check.id),
        }
        let name = format!("{}-{}", check.id().file_name(), u64::from(round) + 1);
        let (attempt, end, held) = in_own_clone_seen(lab, &name, check, None, true).await;
        self.stopped(check);
        self.clone_ended(&end);
        self.shared.durations.used(&self.pair, check.id, ms(end.vmm_cpu));
        if attempt.verdict.ran() {
            self.shared.durations.took(&self.pair, check.id, ms(attempt.took));
        }
        let verdict = attempt.verdict.clone();
        if verdict != Verdict::Pass {
            let said = format!("{} ended: {}: {}", check.id, verdict.word(), verdict.reason());
            self.sink.say(&name, TimelineSource::Check, said);
        }
        let (done, failed) = {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.add(attempt, end.console, held);
            if kept.written.is_none_or(|at| at.elapsed() >= STANDS) {
                kept.written = Some(Instant::now());
                self.write_so_far(check, &kept);
            }
            (kept.count(), kept.failed)
        };
        self.shared.tell(&RunEvent::Repetition {
            cell: self.cell.name.clone(),
            id: check.id(),
            done,
            of: self.shared.repeat.times,
            failed,
        });
        verdict
    }

    /// The record of a check's repetitions; none if there is not one.
    fn repeated_record(&self, check: &'static Check, mut kept: Kept) -> Option<CheckRecord> {
        let (attempt, console) = kept.shown.take()?;
        Some(self.with_numbers(self.record(check, attempt, console), &kept))
    }

    /// Writes down what there is until now; what comes later takes its place.
    fn write_so_far(&self, check: &'static Check, kept: &Kept) {
        let Some((attempt, console)) = &kept.shown else { return };
        let mut attempt = attempt.clone();
        attempt.pictures.clear();
        let record = self.record_of(check, attempt, console.clone());
        self.shared.written(self.writer.check(&self.with_numbers(record, kept)));
    }

    fn with_numbers(&self, mut record: CheckRecord, kept: &Kept) -> CheckRecord {
        if let Verdict::Error { reason } = &record.verdict {
            let of = kept.count();
            let reason = format!("{} of {of} repetitions came to no end: {reason}", kept.no_end);
            record.verdict = Verdict::Error { reason };
        }
        record.attempts.clone_from(&kept.attempts);
        record.repeats = Some(kept.repeats(self.shared.repeat.words()));
        record
    }
}

#[cfg(test)]
mod tests {
    use hospitium_model::Observations;

    use super::*;

    fn attempt(verdict: Verdict, took: u64) -> Attempt {
        Attempt {
            verdict,
            observations: Observations::new(),
            failed_by_itself: false,
            pictures: Vec::new(),
            clone: took.to_string(),
            began: Instant::now(),
            took: Duration::from_millis(took),
            clone_is_good: true,
        }
    }

    #[test]
    fn the_first_failure_is_shown_and_all_are_counted() {
        let mut kept = Kept::default();
        let fail = |why: &str| Verdict::Fail { reason: why.into() };
        let error = Verdict::Error { reason: "e".into() };
        let all = [Verdict::Pass, error, Verdict::Pass, fail("one"), Verdict::Pass, fail("two")];
        for (n, verdict) in all.into_iter().enumerate() {
            let held = Held { pss_kib: n as f64, rss_kib: 1.0, descriptors: None };
            kept.add(attempt(verdict, n as u64 * 10), vec![], Some(held));
        }
        let repeats = kept.repeats("6 times".into());
        assert_eq!((repeats.passed, repeats.failed, repeats.no_end), (3, 2, 1));
        assert_eq!(
            (repeats.slowest_ms, repeats.median_ms),
            (50.0, 30.0),
            "the error's time is none"
        );
        assert_eq!(repeats.descriptors, None);
        assert_eq!(repeats.pss_kib.map(|growth| growth.most), Some(5.0));
        assert_eq!(kept.shown.expect("is kept").0.verdict.reason(), "one");
    }

    #[test]
    fn a_long_soak_names_only_the_first_attempts() {
        let mut kept = Kept::default();
        for _ in 0..CheckRecord::MOST_ATTEMPTS + 5 {
            kept.add(attempt(Verdict::Pass, 1), vec![], None);
        }
        assert_eq!(kept.attempts.len(), CheckRecord::MOST_ATTEMPTS);
        assert_eq!(kept.count() as usize, CheckRecord::MOST_ATTEMPTS + 5);
    }
}
