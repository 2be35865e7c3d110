//! The checks of a cell: those that only read together in one clone, every other in its own, in
//! parallel as the budget allows, the longest first or as was asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hospitium_model::{CheckRecord, Tier, TimelineSource, Verdict};
use hospitium_suite::{Cell, Check, Lab, canary, checks};
use tokio::task::JoinSet;

use super::{CellRun, Leave, Ready};
use crate::RunEvent;
use crate::attempt::{Attempt, CloneEnd, finish, in_clone, in_own_clone};
use crate::budget::Class;
use crate::usage::ms;

impl CellRun {
    /// Runs all checks; each has its record when this returns.
    pub(super) async fn run_checks(self: &Arc<Self>, ready: Ready) {
        let Ready { lab, first, leave, made: _made } = ready;
        if let Err(error) = lab.learn(&first).await {
            // Every need is taken for met: what is not given shows as an error.
            let why = error.chain();
            self.sink.say(
                "tier0",
                TimelineSource::Harness,
                format!("what the host gives is not known: {why}"),
            );
        }
        let (mut reads, mut others) = (Vec::new(), Vec::new());
        let once = self.shared.repeat.is_once();
        for check in self.shared.in_order() {
            if let Some(skip) = check.needs.iter().find_map(|need| need.missing(&lab)) {
                self.put(self.blank(check, skip));
            } else if check.tier == Tier::Reads && once {
                reads.push(check);
            } else {
                others.push(check);
            }
        }
        let mut jobs = JoinSet::new();
        let (this, of) = (self.clone(), lab.clone());
        if !once {
            others.sort_by(|a, b| self.longer(a, b));
            jobs.spawn(this.repeated(of, others));
        } else if self.shared.order.is_some() {
            jobs.spawn(async move { this.one_by_one(&of, others).await });
        } else {
            for check in others {
                let (this, lab) = (self.clone(), lab.clone());
                jobs.spawn(async move { this.alone(&lab, check, None).await });
            }
        }
        let candidates = canary::draw(&lab, self.shared.draw);
        let sung = candidates.first().copied().map(|first| {
            let (this, lab) = (self.clone(), lab.clone());
            tokio::spawn(async move { this.canary(&lab, first).await })
        });
        if sung.is_none() {
            reads.insert(0, &checks::CANARY);
        }
        let (this, of) = (self.clone(), lab.clone());
        jobs.spawn(async move { this.together(&of, first, leave, reads).await });
        while let Some(ended) = jobs.join_next().await {
            if let Err(error) = ended {
                // Its checks are told as missed below.
                tracing::error!("a job of {} broke off: {error}", self.cell.name);
            }
        }
        if let Some(sung) = sung
            && let Ok(Some(sung)) = sung.await
        {
            self.settle_canary(&lab, sung, &candidates).await;
        }
        let reason = self.shared.stop.reason();
        self.miss_rest(&reason.unwrap_or_else(|| "the harness broke off; this is a bug".into()));
        drop(lab);
    }

    /// The longer one first, where no order was asked for.
    fn longer(&self, a: &Check, b: &Check) -> std::cmp::Ordering {
        match self.shared.order {
            Some(_) => std::cmp::Ordering::Equal,
            None => self.expected(b).total_cmp(&self.expected(a)),
        }
    }

    /// Begins these checks in this very order: each waits for its turn before the next one asks.
    async fn one_by_one(self: &Arc<Self>, lab: &Arc<Lab>, checks: Vec<&'static Check>) {
        let mut jobs = JoinSet::new();
        for check in checks {
            let Ok(permit) = self.shared.stop.unless(self.permit(lab, check)).await else { break };
            let (this, lab) = (self.clone(), lab.clone());
            jobs.spawn(async move { this.alone(&lab, check, Some(permit)).await });
        }
        jobs.join_all().await;
    }

    /// All checks that only read, one after the other in one clone.
    async fn together(
        self: &Arc<Self>,
        lab: &Arc<Lab>,
        first: Cell,
        leave: Leave,
        reads: Vec<&'static Check>,
    ) {
        let mut failed = Vec::new();
        // The record of the last check: how its machine ends belongs to it.
        let mut held: Option<(&'static Check, CheckRecord)> = None;
        let work = async {
            let mut clone = Some(first);
            for (n, check) in reads.into_iter().enumerate() {
                let mut cell = match clone.take() {
                    Some(cell) => cell,
                    // The check before left the clone in an unknown state.
                    None => match lab.cell(&format!("tier0-{n}"), check, None).await {
                        Ok(cell) => cell,
                        Err(error) => {
                            let reason = format!("no clone could be made: {}", error.chain());
                            self.put(self.blank(check, Verdict::Error { reason }));
                            continue;
                        }
                    },
                };
                cell.next_check(check);
                self.started(check, 1);
                let mut attempt = in_clone(&mut cell, check).await;
                self.stopped(check);
                let console = if attempt.clone_is_good {
                    clone = Some(cell);
                    Vec::new()
                } else {
                    let end = self.end(cell).await;
                    end.judge(&mut attempt.verdict);
                    end.console
                };
                let record = self.record(check, attempt, console);
                if let Some((check, record)) = held.replace((check, record)) {
                    self.put_or_again(check, record, &mut failed);
                }
            }
            if let Some(cell) = clone {
                let end = self.end(cell).await;
                if let Some((_, record)) = &mut held {
                    end.judge(&mut record.verdict);
                }
            }
        };
        let stopped = self.shared.stop.unless(work).await.is_err();
        if let Some((check, record)) = held {
            self.put_or_again(check, record, &mut failed);
        }
        drop(leave);
        if stopped {
            // They failed; that they were not run again takes nothing from it.
            failed.into_iter().for_each(|(_, record)| self.put(record));
        } else {
            let mut jobs = JoinSet::new();
            for (check, record) in failed {
                let (this, lab) = (self.clone(), lab.clone());
                jobs.spawn(async move { this.again(&lab, check, record).await });
            }
            jobs.join_all().await;
        }
    }

    /// Puts a record, unless its check has failed and is to be run again.
    fn put_or_again(
        &self,
        check: &'static Check,
        record: CheckRecord,
        failed: &mut Vec<(&'static Check, CheckRecord)>,
    ) {
        let again = matches!(record.verdict, Verdict::Fail { .. }) && check.id != checks::CANARY.id;
        if again { failed.push((check, record)) } else { self.put(record) }
    }

    /// One check in a clone of its own, run again if it fails.
    async fn alone(self: &Arc<Self>, lab: &Arc<Lab>, check: &'static Check, permit: Option<Leave>) {
        let work = async {
            let permit = match permit {
                Some(permit) => permit,
                None => self.permit(lab, check).await,
            };
            self.started(check, 1);
            let (attempt, end) = in_own_clone(lab, &check.id().file_name(), check, None).await;
            self.stopped(check);
            drop(permit);
            self.clone_ended(&end);
            self.shared.durations.used(&self.pair, check.id, ms(end.vmm_cpu));
            self.record(check, attempt, end.console)
        };
        match self.shared.stop.unless(work).await {
            Ok(record) if matches!(record.verdict, Verdict::Fail { .. }) => {
                self.again(lab, check, record).await;
            }
            Ok(record) => self.put(record),
            // What is stopped has no record, and is told as missed at the end.
            Err(_) => {}
        }
    }

    /// Runs a failed check again, twice, from the same snapshot, and writes down what each attempt
    /// gave. The first failure stays the verdict: a check that sometimes fails does not pass.
    async fn again(
        self: &Arc<Self>,
        lab: &Arc<Lab>,
        check: &'static Check,
        mut record: CheckRecord,
    ) {
        record.attempts.push(record.verdict.clone());
        let once_more = async |n: usize| {
            let work = async {
                let _permit = self.permit(lab, check).await;
                self.started(check, n);
                let name = format!("{}-{n}", check.id().file_name());
                let (attempt, end) = in_own_clone(lab, &name, check, None).await;
                self.stopped(check);
                self.clone_ended(&end);
                let said = format!("{} ended again: {}", check.id, attempt.verdict.word());
                self.sink.say(&name, TimelineSource::Check, said);
                attempt.verdict
            };
            self.shared.stop.unless(work).await.ok()
        };
        let (second, third) = tokio::join!(once_more(2), once_more(3));
        record.attempts.extend([second, third].into_iter().flatten());
        self.put(record);
    }

    pub(super) async fn permit(&self, lab: &Lab, check: &Check) -> Leave {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "durations are bounded and not negative"
        )]
        let urgency = self.expected(check) as u64;
        let load = self.shared.durations.load(&self.pair, check.id);
        self.leave(lab, Class::Check, urgency, load).await
    }

    fn expected(&self, check: &Check) -> f64 {
        self.shared.durations.expected(&self.pair, check.id)
    }

    pub(super) fn stopped(&self, check: &Check) {
        self.shared.progress.stopped(&self.cell.name, check.id);
    }

    pub(super) fn started(&self, check: &Check, attempt: usize) {
        self.shared.progress.began(&self.cell.name, check.id);
        self.shared.tell(&RunEvent::CheckStarted {
            cell: self.cell.name.clone(),
            id: check.id(),
            attempt,
            expected_ms: self.shared.durations.seen(&self.pair, check.id),
        });
    }

    async fn end(&self, cell: Cell) -> CloneEnd {
        let end = finish(cell).await;
        self.clone_ended(&end);
        end
    }

    /// The record of an attempt, its pictures written.
    pub(super) fn record(
        &self,
        check: &Check,
        mut attempt: Attempt,
        console: Vec<String>,
    ) -> CheckRecord {
        let say_at = |at: Instant, text: String| {
            self.sink.say_at(at, &attempt.clone, TimelineSource::Check, text);
        };
        say_at(attempt.began, format!("{} begins", check.id));
        let end = attempt.began.checked_add(attempt.took).unwrap_or(attempt.began);
        say_at(end, format!("{} ended: {}", check.id, attempt.verdict.word()));
        let pictures = std::mem::take(&mut attempt.pictures);
        let mut record = self.record_of(check, attempt, console);
        for (name, png) in pictures {
            let plain: String = name
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
                .take(40)
                .collect();
            let path = format!("screens/{}-{plain}.png", check.id().file_name());
            let written = self.writer.file(&path, &png);
            if written.is_ok() {
                record.artifacts.push(path);
            }
            self.shared.written(written);
        }
        record
    }

    /// The same without pictures, and without a word in the timeline.
    pub(super) fn record_of(
        &self,
        check: &Check,
        attempt: Attempt,
        console: Vec<String>,
    ) -> CheckRecord {
        let mut record = self.blank(check, attempt.verdict);
        record.observations = attempt.observations;
        record.clone = attempt.clone;
        record.started_ms = self.sink.ms(attempt.began);
        record.took_ms = ms(attempt.took.max(Duration::from_micros(1)));
        if !matches!(record.verdict, Verdict::Pass | Verdict::Skip { .. }) {
            record.console = console;
        }
        record
    }
}
