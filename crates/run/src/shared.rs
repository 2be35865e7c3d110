//! What all cells of a run share.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use hospitium_evidence::WriteError;
use hospitium_host::Isolation;
use hospitium_model::{CheckId, Expectations, InputPin};
use hospitium_suite::Check;
use jiff::Timestamp;

use crate::budget::{Budget, Budgets};
use crate::cache::{Digests, SnapshotCache};
use crate::clock::RunClock;
use crate::durations::Durations;
use crate::plan::PlannedCell;
use crate::progress::Progress;
use crate::repeat::Repeat;
use crate::{Observer, RunEvent, Stop};

/// What all cells of a run share.
pub struct Shared {
    /// Snapshots.
    pub cache: SnapshotCache,
    /// Digests of files.
    pub digests: Arc<Digests>,
    /// CPU and memory of the hosts.
    pub budgets: Budgets,
    /// The time of the run.
    pub clock: RunClock,
    /// Earlier durations.
    pub durations: Durations,
    /// This program.
    pub suite: InputPin,
    /// Who is told.
    pub observer: Arc<dyn Observer>,
    /// The way to end early.
    pub stop: Stop,
    /// The checks to run.
    pub checks: Vec<&'static Check>,
    /// The same in the order in which they begin, if one was asked for.
    pub order: Option<Vec<&'static Check>>,
    /// How often each is run.
    pub repeat: Repeat,
    /// What isolation is asked for, if less than the host can.
    pub isolation: Option<Isolation>,
    /// A repetition of a check has failed.
    pub failed: AtomicBool,
    /// Those that the profile requires.
    pub required: Vec<CheckId>,
    /// What is right.
    pub expectations: Expectations,
    /// Saved machines are to have been booted since then; none to take any.
    pub boots_since: Option<Timestamp>,
    /// Seed of all patterns.
    pub seed: u64,
    /// By which the canary is drawn.
    pub draw: u64,
    /// How far it is.
    pub progress: Progress,
    /// The first record that could not be written.
    pub unwritten: Mutex<Option<WriteError>>,
}

impl Shared {
    /// Takes note of a write that failed, and ends the run: what is not written down did not happen.
    pub fn written(&self, result: Result<(), WriteError>) {
        if let Err(error) = result {
            self.stop.stop(format!("the evidence could not be written: {error}"));
            let mut first = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert(error);
        }
    }

    /// The checks in the order in which they begin; in the suite's order if none was asked for.
    pub fn in_order(&self) -> impl Iterator<Item = &'static Check> {
        self.order.as_ref().unwrap_or(&self.checks).iter().copied()
    }

    /// CPU and memory of a cell's host.
    pub fn budget(&self, cell: &PlannedCell) -> &Budget {
        self.budgets.of_host(cell.place)
    }

    /// Tells an event.
    pub fn tell(&self, event: &RunEvent) {
        self.observer.tell(event);
    }

    /// A check of a cell has ended.
    pub fn ended(&self, cell: &str, id: &str) {
        let event = self.progress.ended(cell, id);
        self.tell(&event);
    }
}
