//! Enters the state that a check of an earlier run began in.
//!
//! The saved machine is taken from the cache; if it is gone it is made again, from inputs that must
//! have the same digests as those that the evidence pins.

use std::sync::Arc;
use std::time::Instant;

use hospitium_host::Reapers;
use hospitium_model::{Boot, CellRecord, Expectations};
use hospitium_suite::{Cell, Check, EXPECTATIONS, Lab, LabParts, Sink};
use jiff::Timestamp;

use crate::budget::{Budget, Limits, Wanted};
use crate::cache::{Digests, Held, SnapshotCache};
use crate::clock::RunClock;
use crate::durations::Durations;
use crate::lab::{First, MakeError, Maker};
use crate::plan::PlannedCell;
use crate::work::WorkFolder;
use crate::{Observer, Places, PlannedGuest, PlannedHost, RunError, pins};

/// A clone in the state that a check began in. Dropping it ends the machine.
pub struct Replay {
    /// The clone, the probe and the console.
    pub cell: Cell,
    /// The check.
    pub check: &'static Check,
    /// True if the machine had to be booted again, so that the state is a like one, and not the same.
    pub made_again: bool,
    // After the clone, in this order: fields are dropped as they stand.
    _held: Option<Held>,
    _work: WorkFolder,
}

/// Why the state cannot be entered.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The guest is not what it was.
    #[error(
        "the guest is not the one that the run had: its digest is {found}, the evidence has {expected}"
    )]
    OtherGuest {
        /// Of the evidence.
        expected: hospitium_model::Digest,
        /// Of what was opened.
        found: hospitium_model::Digest,
    },
    /// The hypervisor is not what it was.
    #[error("the hypervisor is not the one that the run had: {found}, the evidence has {expected}")]
    OtherHost {
        /// Of the evidence: name and digest.
        expected: String,
        /// Of what was opened.
        found: String,
    },
    /// The evidence was not made by a run.
    #[error(
        "the evidence's machine names files of its own, which no run's does; it is not entered"
    )]
    NamesFiles,
    /// The saved machine cannot be had.
    #[error("the machine that the check began in cannot be had")]
    Make(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The clone does not answer.
    #[error("no clone of it answers: {0}")]
    Clone(String),
    /// A folder or the cache.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// What is to be entered.
pub struct ReplayPlan<'a> {
    /// The cell, from the evidence.
    pub record: &'a CellRecord,
    /// Seed of the run.
    pub seed: u64,
    /// The check.
    pub check: &'static Check,
    /// The guest, opened anew.
    pub guest: PlannedGuest,
    /// The host, opened anew.
    pub host: PlannedHost,
    /// Where the caches are.
    pub places: &'a Places,
    /// End what killed runs left running.
    pub reapers: Reapers,
}

/// Enters it.
///
/// # Errors
/// If guest or host are not what the run had, or the machine can neither be taken from the cache nor be
/// made again.
pub async fn enter(plan: ReplayPlan<'_>, observer: &dyn Observer) -> Result<Replay, ReplayError> {
    let ReplayPlan { record, seed, check, guest, host, places, reapers } = plan;
    let (found, expected) = (guest.guest.facts().digest, record.guest.digest);
    if found != expected {
        return Err(ReplayError::OtherGuest { expected, found });
    }
    // Its boot media come from the guest; a file that foreign evidence names is not opened.
    let machine = &record.machine;
    if machine.boot != Boot::Nothing || machine.disks.iter().any(|disk| disk.image.is_some()) {
        return Err(ReplayError::NamesFiles);
    }
    let facts = host.host.facts();
    if facts.vmm != record.host.vmm {
        let named =
            |facts: &hospitium_model::HostFacts| format!("{} ({})", facts.name, facts.vmm.short());
        return Err(ReplayError::OtherHost { expected: named(&record.host), found: named(facts) });
    }
    let digests = Arc::new(Digests::kept_in(places.digests()));
    let suite = pins::suite(&digests).map_err(RunError::from)?;
    let id = format!("replay-{}-{}", Timestamp::now().as_millisecond(), std::process::id());
    let work = WorkFolder::make(&places.work(), &id, None)?;
    let cache = SnapshotCache::open(&places.snapshots(), crate::cache::DEFAULT_SIZE, reapers)
        .map_err(RunError::from)?;
    let cell = PlannedCell { name: record.name.clone(), guest, host, place: 0 };
    let isolation = cell.host.host.isolation();
    let wanted = Wanted { jobs: Some(1), memory: None };
    let limits = Limits::of(cell.host.host.facts(), cell.host.host.witness(), wanted).await;
    let maker = Maker {
        cell: &cell,
        isolation,
        cache: &cache,
        digests: &digests,
        budget: &Budget::new(limits),
        clock: &RunClock::default(),
        durations: &Durations::kept_in(&places.durations()),
        suite: &suite,
        sink: &Sink::nowhere(),
        observer,
        since: None,
    };
    let make = |error: MakeError| ReplayError::Make(Box::new(error));
    let begun = Instant::now();
    let made = maker.make(record.machine.clone(), work.path()).await.map_err(make)?;
    digests.keep();
    observer.tell(&crate::RunEvent::Ready {
        cell: record.name.clone(),
        cached: made.cached,
        booted: Some(made.booted),
        took_ms: crate::usage::ms(begun.elapsed()),
    });
    let lab = Arc::new(Lab::new(LabParts {
        host: cell.host.host.clone(),
        guest: cell.guest.guest.clone(),
        declared: made.declared,
        origin: made.origin,
        isolation,
        boot: made.boot,
        folder: work.path().to_owned(),
        expectations: Expectations::from_toml(EXPECTATIONS).map_err(RunError::from)?,
        seed,
        sink: Sink::nowhere(),
    }));
    let cell = match made.first {
        Some(First { booted, dir }) => lab.take_booted(check, None, dir, booted, begun.elapsed()),
        None => {
            let cell = lab.cell("replay", check, None).await;
            cell.map_err(|error| ReplayError::Clone(error.chain()))?
        }
    };
    Ok(Replay { cell, check, made_again: !made.cached, _held: made.held, _work: work })
}

impl Replay {
    /// Runs the check here and says what it gave. The clone may be of no use afterwards.
    pub async fn run_check(&mut self) -> (hospitium_model::Verdict, hospitium_model::Observations) {
        let attempt = crate::attempt::in_clone(&mut self.cell, self.check).await;
        (attempt.verdict, attempt.observations)
    }
}
