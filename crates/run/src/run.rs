//! A whole run: its evidence begun, its cells run, its evidence closed.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hospitium_evidence::BundleWriter;
use hospitium_model::{
    CellRecord, CheckRecord, EVIDENCE_FORMAT, RunRecord, STANDARD, Subsystem, Verdict,
};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::budget::Budgets;
use crate::cache::{Digests, SnapshotCache, trim_derived};
use crate::clock::RunClock;
use crate::durations::Durations;
use crate::places::Places;
use crate::progress::Progress;
use crate::shared::Shared;
use crate::usage::ms;
use crate::work::{WorkFolder, recover};
use crate::{Observer, RunError, RunEvent, RunPlan, Stop, cell, lab, made, pins};
use hospitium_model::chain;

/// How a run ended.
#[derive(Debug)]
pub struct RunSummary {
    /// Its record.
    pub run: RunRecord,
    /// The folder of the evidence.
    pub evidence: PathBuf,
    /// The same packed, unless that failed; then why.
    pub archive: Result<PathBuf, String>,
    /// The cells that ran, in the order of the matrix.
    pub cells: Vec<CellSummary>,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
}

/// How a cell ended.
#[derive(Debug)]
pub struct CellSummary {
    /// Its record.
    pub record: CellRecord,
    /// Its checks, the canary left out, in the suite's order.
    pub checks: Vec<CheckRecord>,
    /// What the canary gave, if it has a record.
    pub canary: Option<Verdict>,
}

/// What a run says as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Every check that applies passed, at the first attempt.
    Passed,
    /// A check failed, if only sometimes.
    Failed,
    /// No more can be said: a check or a cell came to no end.
    Unfinished,
}

impl RunSummary {
    /// What it says as a whole. A failure is a failure although other checks came to no end.
    pub fn outcome(&self) -> Outcome {
        let checks = || self.cells.iter().flat_map(|cell| &cell.checks);
        if checks().any(|check| matches!(check.verdict, Verdict::Fail { .. })) {
            return Outcome::Failed;
        }
        let unfinished = |check: &CheckRecord| {
            matches!(check.verdict, Verdict::Error { .. } | Verdict::Miss { .. })
        };
        let cut_off = self.run.cut_off.is_some() || !self.run.not_started.is_empty();
        if cut_off
            || self.cells.iter().any(|cell| cell.record.failure.is_some())
            || checks().any(unfinished)
        {
            Outcome::Unfinished
        } else {
            Outcome::Passed
        }
    }
}

/// Runs the plan. What is finished is written down at once, whatever comes after.
///
/// # Errors
/// If it cannot be begun, or the evidence not be written; what was finished before is kept then.
pub async fn run(
    plan: RunPlan,
    observer: Arc<dyn Observer>,
    stop: Stop,
) -> Result<RunSummary, RunError> {
    let (begun, clock) = (Instant::now(), RunClock::default());
    let places = Places::make(&plan.cache)?;
    let (work, reapers) = (places.work(), plan.reapers.clone());
    let recovered =
        tokio::task::spawn_blocking(move || recover(&work, &reapers)).await.unwrap_or_default();
    recovered.iter().for_each(|event| observer.tell(event));
    let cells = plan.cells();
    if cells.is_empty() {
        return Err(RunError::NoCells);
    }
    let digests = Arc::new(Digests::kept_in(places.digests()));
    let suite = pins::suite(&digests)?;
    let order = plan.order.of(&plan.checks, plan.seed);
    let mut record = RunRecord {
        format: EVIDENCE_FORMAT,
        id: run_id(plan.seed),
        hospitium: env!("CARGO_PKG_VERSION").into(),
        suite: suite.sha256,
        started: clock.began(),
        ended: None,
        seed: plan.seed,
        required: plan.required.clone(),
        profile: (plan.required == crate::select::required()).then(|| STANDARD.into()),
        cells: cells.iter().map(|cell| cell.name.clone()).collect(),
        cut_off: None,
        order: order.iter().flatten().map(|check| check.id()).collect(),
        not_started: Vec::new(),
        definition: plan.definition.clone(),
    };
    let evidence = plan.folder.join("evidence");
    let writer = BundleWriter::create(&evidence, &record)?;
    let folder = plan.folder.canonicalize().map_err(RunError::io("find", &plan.folder))?;
    let evidence = folder.join("evidence");
    let work = WorkFolder::make(&places.work(), &record.id, Some(&evidence))?;
    made::note(&places.made(), &record.id, &cells);
    let cache = match plan.snapshots {
        Some(most) => SnapshotCache::open(&places.snapshots(), most, plan.reapers.clone())?,
        None => SnapshotCache::open(
            &work.path().join("snapshots"),
            hospitium_model::ByteSize::default(),
            plan.reapers.clone(),
        )?,
    };
    let durations = Durations::kept_in(&places.durations());
    let pairs: Vec<_> = cells.iter().map(|cell| (cell.name.clone(), lab::pair(cell))).collect();
    let hosts = plan.hosts.iter().map(|host| (host.host.facts(), host.host.witness()));
    let budgets = Budgets::of(hosts, plan.wanted).await;
    let jobs = budgets.jobs();
    let shared = Arc::new(Shared {
        cache,
        digests,
        budgets,
        clock,
        progress: Progress::of(&pairs, &plan.checks, &durations, plan.repeat, jobs),
        durations,
        suite,
        observer,
        stop,
        checks: plan.checks,
        order,
        repeat: plan.repeat,
        isolation: plan.isolation,
        failed: AtomicBool::new(false),
        required: plan.required,
        expectations: plan.expectations,
        boots_since: plan.fresh_boot.then_some(record.started),
        seed: plan.seed,
        draw: plan.seed ^ drawn(&record.id),
        unwritten: Mutex::new(None),
    });
    shared.tell(&RunEvent::RunStarted {
        id: record.id.clone(),
        folder: folder.clone(),
        cells: record.cells.clone(),
        checks: shared.progress.total(),
        jobs,
    });

    let ticking = tokio::spawn(tick(shared.clone()));
    // More cells at once than can boot at once would only fill the disk.
    let at_once = Arc::new(Semaphore::new(jobs.clamp(1, 4)));
    let writer = Arc::new(writer);
    let mut running = JoinSet::new();
    for (n, cell) in cells.into_iter().enumerate() {
        let (shared, at_once, writer) = (shared.clone(), at_once.clone(), writer.clone());
        let work = work.path().to_owned();
        running.spawn(async move {
            let name = cell.name.clone();
            let begin = async {
                let turn = at_once.acquire_owned().await.ok();
                (turn, writer.cell(&name))
            };
            match shared.stop.unless(begin).await {
                Ok((_turn, Ok(writer))) => {
                    (n, Ok(cell::run(shared.clone(), cell, writer, &work).await))
                }
                Ok((_, Err(error))) => {
                    shared.written(Err(error));
                    (n, Err(name))
                }
                Err(_) => (n, Err(name)),
            }
        });
    }
    let mut ended: Vec<_> = running.join_all().await;
    ticking.abort();
    // It holds a share of what the cells had.
    let _ = ticking.await;
    ended.sort_by_key(|(n, _)| *n);
    let mut summaries = Vec::new();
    for (_, cell) in ended {
        match cell {
            Ok((record, checks)) => summaries.push(summary(record, checks, &shared)),
            Err(name) => {
                record.cells.retain(|cell| *cell != name);
                record.not_started.push(name);
            }
        }
    }
    shared.durations.keep();
    shared.digests.keep();
    record.ended = Some(shared.clock.now());
    record.cut_off = shared.stop.reason();
    let unwritten = shared.unwritten.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(error) = unwritten {
        // Its machines' files make room, so that what was finished can be closed in order: now, or
        // at the next start.
        drop(writer);
        work.leave_to_recovery();
        recover(&places.work(), &plan.reapers).iter().for_each(|event| shared.tell(event));
        return Err(error.into());
    }
    drop(work);
    if let Some(most) = plan.snapshots {
        let kept_small = |words: String| {
            let words = format!("the cache could not be kept small: {words}");
            shared.tell(&RunEvent::Note { cell: String::new(), words });
        };
        if let Err(error) = shared.cache.trim() {
            kept_small(chain(&error));
        }
        for folder in places.derived() {
            if let Err(error) = trim_derived(&folder, most) {
                kept_small(format!("{}: {error}", folder.display()));
            }
        }
    }
    if let Some(writer) = Arc::into_inner(writer) {
        writer.finish(&record)?;
    }
    if let Some(words) = shared.clock.was_set() {
        shared.tell(&RunEvent::Note { cell: String::new(), words });
    }
    let archive = pack(&evidence).await;
    shared.tell(&RunEvent::RunEnded {
        folder,
        cut_off: record.cut_off.clone(),
        took_ms: ms(begun.elapsed()),
    });
    Ok(RunSummary {
        run: record,
        evidence,
        archive,
        cells: summaries,
        took_ms: ms(begun.elapsed()),
    })
}

/// How often it is told how far the run is, besides when a check ends.
const TELLS: Duration = Duration::from_secs(2);

/// Tells how far the run is, until it is ended.
async fn tick(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(TELLS).await;
        shared.tell(&shared.progress.now());
    }
}

/// The checks in the suite's order, without the canary.
fn summary(record: CellRecord, mut checks: Vec<CheckRecord>, shared: &Shared) -> CellSummary {
    let is_canary = |check: &CheckRecord| check.id.subsystem() == Subsystem::Canary;
    let canary = checks.iter().find(|check| is_canary(check)).map(|check| check.verdict.clone());
    checks.retain(|check| !is_canary(check));
    let place = |check: &CheckRecord| shared.checks.iter().position(|c| c.id == check.id.as_str());
    checks.sort_by_key(place);
    CellSummary { record, checks, canary }
}

/// Packs the evidence. That it could not be packed takes nothing from it.
async fn pack(evidence: &std::path::Path) -> Result<PathBuf, String> {
    let evidence = evidence.to_owned();
    match tokio::task::spawn_blocking(move || hospitium_evidence::pack(&evidence)).await {
        Ok(packed) => packed.map_err(|error| chain(&error)),
        Err(error) => Err(error.to_string()),
    }
}

/// A number that follows from the run's id, so that another run most likely draws another canary.
fn drawn(id: &str) -> u64 {
    // FNV-1a (draft-eastlake-fnv-17): no secret, and the same on every machine.
    id.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

/// The start time and a few digits that tell apart two runs of one second.
fn run_id(seed: u64) -> String {
    use std::hash::{BuildHasher, RandomState};
    // Keyed by the system's random numbers.
    let digits = RandomState::new().hash_one(seed) & 0xFF_FFFF;
    format!("{}-{digits:06x}", Timestamp::now().strftime("%Y%m%d-%H%M%S"))
}
