//! One cell, from its plan to its last record.

pub(crate) mod account;
mod canary;
mod jobs;
mod repeat;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hospitium_evidence::CellWriter;
use hospitium_host::Isolation;
use hospitium_model::{
    BOOT_WITHIN, CellRecord, CheckRecord, PlannedCheck, TimelineEvent, TimelineSource, Timings,
    Verdict,
};
use hospitium_suite::{Cell, Check, Lab, LabParts, Origin, Sink, checks};
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::attempt::CloneEnd;
use crate::budget::{Class, Load, Permit};
use crate::durations::Pair;
use crate::lab::{First, Made, MakeError, Maker, clone_memory, declared, pair, whole_memory};
use crate::plan::PlannedCell;
use crate::shared::Shared;
use crate::usage::{ms, own_cpu};
use crate::{RunEvent, pins};
use hospitium_model::chain;

/// A cell while it runs.
pub struct CellRun {
    shared: Arc<Shared>,
    cell: PlannedCell,
    pair: Pair,
    writer: Arc<CellWriter>,
    work: PathBuf,
    sink: Sink,
    start: Instant,
    timings: Mutex<Timings>,
    records: Mutex<Vec<CheckRecord>>,
}

/// A lab with its first machine, which shows that its snapshot works where there is one.
struct Ready {
    lab: Arc<Lab>,
    first: Cell,
    leave: Leave,
    /// What it begins from; a saved machine stays in the cache while this is held.
    made: Made,
}

/// What a job holds while it has a machine: the turn, where one machine at once goes on from a saved one, and the right
/// to CPU and memory.
pub struct Leave {
    _turn: Option<OwnedSemaphorePermit>,
    _permit: Permit,
}

/// Runs a cell and returns its record and its checks', the canary's included.
pub async fn run(
    shared: Arc<Shared>,
    cell: PlannedCell,
    writer: CellWriter,
    work: &Path,
) -> (CellRecord, Vec<CheckRecord>) {
    let start = Instant::now();
    let (out, events) = mpsc::unbounded_channel();
    let work = work.join(&cell.name);
    let this = Arc::new(CellRun {
        pair: pair(&cell),
        sink: Sink::new(start, out),
        timings: Mutex::default(),
        records: Mutex::default(),
        shared,
        cell,
        writer: Arc::new(writer),
        work,
        start,
    });
    let forwarding = tokio::spawn(forward(this.shared.clone(), this.writer.clone(), events));
    let record = this.run().await;
    let records = std::mem::take(&mut *this.records.lock().unwrap_or_else(PoisonError::into_inner));
    // The channel is drained when the last sender is gone; what holds one are this and its labs.
    drop(this);
    if tokio::time::timeout(DRAINED, forwarding).await.is_err() {
        tracing::warn!("the timeline of a cell did not end; its last events may be absent");
    }
    (record, records)
}

/// Clones whose start is kept in a cell's timings.
const MOST_CLONES: usize = 10_000;

/// The longest that the rest of a cell's timeline takes to be written.
const DRAINED: Duration = Duration::from_secs(10);

/// Timeline events that are written down together.
const MOST_AT_ONCE: usize = 256;

/// Writes timeline events down as they come.
async fn forward(
    shared: Arc<Shared>,
    writer: Arc<CellWriter>,
    mut events: mpsc::UnboundedReceiver<TimelineEvent>,
) {
    let mut some = Vec::new();
    while events.recv_many(&mut some, MOST_AT_ONCE).await > 0 {
        shared.written(writer.timeline_of(&some));
        some.clear();
    }
}

impl CellRun {
    async fn run(self: &Arc<Self>) -> CellRecord {
        let mut record = self.first_record();
        self.shared.written(self.writer.record(&record));
        self.shared.written(self.writer.plan(&self.planned()));
        self.shared.tell(&RunEvent::CellStarted {
            cell: self.cell.name.clone(),
            guest: record.guest.name.clone(),
            host: record.host.name.clone(),
            accelerator: format!(
                "{} ({})",
                record.host.accelerator.used.name(),
                record.host.accelerator.how
            ),
        });
        match self.shared.stop.unless(self.ready()).await {
            Ok(Ok(ready)) => {
                self.describe(&mut record, &ready.made);
                self.run_checks(ready).await;
            }
            Ok(Err(error)) => self.could_not(&mut record, &error),
            Err(reason) => {
                record.failure = Some(format!("cut off before the guest had booted: {reason}"));
                self.miss_rest(&reason);
            }
        }
        self.close(&mut record);
        record
    }

    fn first_record(&self) -> CellRecord {
        let guest = &self.cell.guest.guest;
        CellRecord {
            name: self.cell.name.clone(),
            guest: guest.facts().clone(),
            host: self.cell.host.host.facts().clone(),
            machine: declared(&self.cell),
            inputs: pins::all(&**guest, Vec::new(), &self.shared.suite),
            timings: Timings::default(),
            booted: None,
            failure: None,
            canary_failed: false,
            required_not_run: Vec::new(),
            observed: [
                ("guest origin".to_owned(), self.cell.guest.origin.clone()),
                ("host origin".to_owned(), self.cell.host.origin.clone()),
            ]
            .into(),
        }
    }

    fn planned(&self) -> Vec<PlannedCheck> {
        let all = [&checks::CANARY].into_iter().chain(self.shared.checks.iter().copied());
        all.map(planned).collect()
    }

    /// A lab whose first machine answers. A saved machine from the cache that does not
    /// is made anew, once.
    async fn ready(&self) -> Result<Ready, MakeError> {
        let maker = Maker {
            cell: &self.cell,
            isolation: self.isolation(),
            cache: &self.shared.cache,
            digests: &self.shared.digests,
            budget: self.shared.budget(&self.cell),
            clock: &self.shared.clock,
            durations: &self.shared.durations,
            suite: &self.shared.suite,
            sink: &self.sink,
            observer: &|event: &RunEvent| {
                if matches!(event, RunEvent::Booting { .. }) {
                    let expected = self.shared.durations.expected(&self.pair, "boot");
                    self.shared.progress.boots(&self.cell.name, expected);
                }
                self.shared.tell(event);
            },
            since: self.shared.boots_since,
        };
        let mut again = true;
        loop {
            let begun = Instant::now();
            let made = maker.make(declared(&self.cell), &self.work).await;
            self.shared.progress.ready(&self.cell.name);
            let mut made = made?;
            self.timed(|t| t.vmm_cpu_ms += made.vmm_cpu_ms);
            let lab = self.lab(&made);
            lab.expect();
            let took_ms = ms(begun.elapsed());
            let cell = self.cell.name.clone();
            let (cached, booted) = (made.cached, Some(made.booted));
            self.shared.tell(&RunEvent::Ready { cell, cached, booted, took_ms });
            if cached {
                self.tell_age(made.booted);
            }
            let leave = self.leave(&lab, Class::Boot, u64::MAX, Load::Usual).await;
            let first = match made.first.take() {
                Some(First { booted, dir }) => {
                    Ok(lab.take_booted(&checks::CANARY, None, dir, booted, begun.elapsed()))
                }
                None => lab.cell("tier0", &checks::CANARY, None).await,
            };
            match (first, made.held.take()) {
                (Ok(first), held) => {
                    lab.expect();
                    return Ok(Ready { lab, first, leave, made: Made { held, ..made } });
                }
                (Err(error), Some(held)) if made.cached && again => {
                    again = false;
                    let words = format!(
                        "the saved machine in the cache did not answer and is made anew: {}",
                        error.chain()
                    );
                    self.sink.say("boot", TimelineSource::Harness, words.as_str());
                    self.shared.tell(&RunEvent::Note { cell: self.cell.name.clone(), words });
                    self.shared.cache.drop_entry(held).map_err(crate::RunError::from)?;
                }
                (Err(error), _) => {
                    return Err(MakeError::NoClone { why: error.chain() });
                }
            }
        }
    }

    fn lab(&self, made: &Made) -> Arc<Lab> {
        Arc::new(Lab::new(LabParts {
            host: self.cell.host.host.clone(),
            guest: self.cell.guest.guest.clone(),
            declared: made.declared.clone(),
            origin: made.origin.clone(),
            isolation: self.isolation(),
            boot: made.boot.clone(),
            folder: self.work.clone(),
            expectations: self.shared.expectations.clone(),
            seed: self.shared.seed,
            sink: self.sink.clone(),
        }))
    }

    /// Says that the cached boot is too old for a certificate: before the checks run, and not after.
    fn tell_age(&self, booted: Timestamp) {
        let age = self.shared.clock.now().duration_since(booted);
        if age > BOOT_WITHIN {
            let words = format!(
                "the machine in the cache booted {} days ago, and a certificate needs a boot of at \
                 most {} days; --fresh-boot boots anew",
                age.as_hours() / 24,
                BOOT_WITHIN.as_hours() / 24
            );
            self.shared.tell(&RunEvent::Note { cell: self.cell.name.clone(), words });
        }
    }

    /// How checks get machines that no other has touched: as the host can, or less if that was asked for.
    fn isolation(&self) -> Isolation {
        let can = self.cell.host.host.isolation();
        self.shared.isolation.map_or(can, |asked| asked.max(can))
    }

    /// Waits for the turn and then for CPU and memory: who waits for its turn takes nothing from others.
    async fn leave(&self, lab: &Lab, class: Class, urgency: u64, load: Load) -> Leave {
        let turn = lab.turn().await;
        let size = lab.spec().memory.size;
        let (memory, load) = match lab.origin() {
            Origin::Saved(_) => (clone_memory(size), load),
            Origin::Boot { .. } => (whole_memory(size), Load::Works),
        };
        let permit = self.shared.budget(&self.cell).permit(class, urgency, load, memory).await;
        Leave { _turn: turn, _permit: permit }
    }

    /// Writes down what is known once the machine has booted.
    fn describe(&self, record: &mut CellRecord, made: &Made) {
        record.machine = made.declared.clone();
        record.booted = Some(made.booted);
        record.inputs.clone_from(&made.inputs);
        // The suite may be another than the one that booted the machine.
        record.inputs.retain(|pin| pin.role != "suite");
        record.inputs.push(self.shared.suite.clone());
        let boot = &made.boot;
        let key = made.held.as_ref().map(|held| held.entry().key.to_string());
        if !made.cached {
            self.timed(|t| {
                t.boot_ms = Some(boot.ready_ms);
                t.snapshot_ms = key.as_ref().map(|_| boot.snapshot_ms);
            });
        }
        let observed = &mut record.observed;
        observed.insert("kernel".into(), boot.uname.join(" "));
        observed.insert("command".into(), boot.command.join(" "));
        let isolation = match self.isolation() {
            Isolation::Fork => "fork: a clone of the booted machine for every check",
            Isolation::Revert => {
                "revert: the machine goes back to its booted state for every check"
            }
            Isolation::Reboot => "reboot: a boot for every check",
        };
        observed.insert("isolation".into(), isolation.into());
        if let Some(key) = key {
            observed.insert("snapshot".into(), key);
            let cached = "the cache; nothing was booted";
            let from = if made.cached { cached } else { "this run's boot" };
            observed.insert("snapshot from".into(), from.into());
        }
        self.shared.written(self.writer.record(record));
        self.shared.written(self.writer.console(&boot.console_raw));
        if let Some(png) = &made.picture {
            self.shared.written(self.writer.file("screens/booted.png", png));
        }
    }

    /// Writes a check's record down, once and at once.
    fn put(&self, record: CheckRecord) {
        self.shared.written(self.writer.check(&record));
        self.shared.tell(&RunEvent::CheckEnded {
            cell: self.cell.name.clone(),
            id: record.id.clone(),
            verdict: record.verdict.clone(),
            flaky: record.flaky(),
            repeats: record.repeats.clone(),
            took_ms: record.took_ms,
        });
        // Each repetition has been counted as it ended.
        if record.verdict.ran() && record.repeats.is_none() {
            // What failed is run again, twice and side by side.
            let rounds = if record.attempts.is_empty() { 1.0 } else { 2.0 };
            self.shared.durations.took(&self.pair, record.id.as_str(), record.took_ms * rounds);
        }
        self.shared.ended(&self.cell.name, record.id.as_str());
        self.records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }

    fn timed(&self, change: impl FnOnce(&mut Timings)) {
        change(&mut self.timings.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn clone_ended(&self, end: &CloneEnd) {
        let words = format!("ended; its VMM took {:.0} ms of CPU time", ms(end.vmm_cpu));
        self.sink.say(&end.clone, TimelineSource::Harness, words.as_str());
        self.timed(|t| {
            t.vmm_cpu_ms += ms(end.vmm_cpu);
            // A soak makes more of them than a record has room for.
            if t.clones_ms.len() < MOST_CLONES {
                t.clones_ms.extend(end.ready_ms());
            }
        });
    }

    /// A record of a check that saw nothing.
    fn blank(&self, check: &Check, verdict: Verdict) -> CheckRecord {
        let record = planned(check).without_run(verdict);
        CheckRecord { started_ms: ms(self.start.elapsed()), ..record }
    }

    fn close(&self, record: &mut CellRecord) {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        account::close(record, &records, &self.shared.required);
        drop(records);
        record.timings = self.timings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        record.timings.total_ms = ms(self.start.elapsed());
        record.timings.harness_cpu_ms = ms(own_cpu());
        self.shared.written(self.writer.finish(record));
        self.shared.tell(&RunEvent::CellEnded {
            cell: self.cell.name.clone(),
            failure: record.failure.clone(),
        });
    }

    /// The cell could not be made ready.
    fn could_not(&self, record: &mut CellRecord, error: &MakeError) {
        let (words, by_guest) = match error.guest_did_not_come_up() {
            Some(words) => (words, true),
            None => (chain(error), false),
        };
        self.sink.say("boot", TimelineSource::Harness, words.as_str());
        for check in &self.shared.checks {
            if by_guest && check.id == account::REACH_USERLAND {
                self.put(account::did_not_come_up(self.blank(check, Verdict::Pass), &words));
            }
        }
        self.miss_rest("the guest did not boot");
        record.failure = Some(words);
    }

    /// What has no record yet did not get to run.
    fn miss_rest(&self, reason: &str) {
        for check in [&checks::CANARY].into_iter().chain(self.shared.checks.iter().copied()) {
            let id = check.id();
            let known = self
                .records
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
                .any(|record| record.id == id);
            if !known {
                self.put(self.blank(check, Verdict::Miss { reason: reason.to_owned() }));
            }
        }
    }
}

/// A check as the plan and the records name it.
fn planned(check: &Check) -> PlannedCheck {
    PlannedCheck {
        id: check.id(),
        requirement: check.requirement.trim().to_owned(),
        tier: check.tier,
    }
}
