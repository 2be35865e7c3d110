//! How much longer a run takes: what remains of each check, and which take longer than usual.
//!
//! What runs counts for what it is thought to take less the time that it has run, so that the estimate
//! shrinks while long checks run, and not only when one ends. A check that has run past that has
//! nothing left that anybody knows of: it counts for nothing, and is named once it is well past.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hospitium_suite::Check;

use crate::RunEvent;
use crate::durations::{Durations, Pair, left};
use crate::event::Slow;
use crate::repeat::Repeat;
use crate::usage::ms;

/// What a boot is called among the checks of a cell.
const BOOT: &str = "boot";
/// A check takes longer than usual if it takes more than so many times what it usually takes: two runs
/// with nothing changed differ by less in all but single checks (docs/diff.md).
const LONGER: f64 = 2.0;
/// And at least so much longer.
const LONGER_MS: f64 = 3_000.0;

/// What is still to be done.
#[derive(Debug)]
pub struct Progress {
    total: usize,
    jobs: usize,
    repeat: Repeat,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Checks that have not ended, by cell and id.
    checks: BTreeMap<(String, &'static str), Left>,
    /// Boots that have not ended, by cell.
    boots: BTreeMap<String, Left>,
    /// When the first cell's soak began.
    soaks: BTreeMap<String, Instant>,
    /// No round begins any more.
    ending: bool,
}

/// What is left of one thing.
#[derive(Debug)]
struct Left {
    /// How long it is thought to take, once, in milliseconds.
    each_ms: f64,
    /// How often it is still to be done, what runs included.
    times: u32,
    /// Since when it runs.
    running: Vec<Instant>,
}

impl Left {
    const fn of(each_ms: f64, times: u32) -> Self {
        Self { each_ms, times, running: Vec::new() }
    }

    /// What is left in all.
    fn ms(&self, now: Instant) -> f64 {
        let running = u32::try_from(self.running.len()).unwrap_or(u32::MAX);
        let begun = self.running.iter().map(|since| (self.each_ms - run_ms(*since, now)).max(0.0));
        self.each_ms * f64::from(self.times.saturating_sub(running)) + begun.sum::<f64>()
    }

    /// How long it has run, if that is longer than usual.
    fn slow(&self, now: Instant) -> Option<f64> {
        let longest = self.running.iter().map(|since| run_ms(*since, now)).reduce(f64::max)?;
        let usual = self.each_ms;
        (longest > LONGER * usual && longest > usual + LONGER_MS).then_some(longest)
    }
}

fn run_ms(since: Instant, now: Instant) -> f64 {
    ms(now.saturating_duration_since(since))
}

impl Progress {
    /// All checks of all cells are to be done; `pairs` are the cells with their pair.
    pub fn of(
        pairs: &[(String, Pair)],
        checks: &[&'static Check],
        durations: &Durations,
        repeat: Repeat,
        jobs: usize,
    ) -> Self {
        let times = if repeat.soak.is_some() { 1 } else { repeat.times.unwrap_or(1) };
        let mut state = State::default();
        for (cell, pair) in pairs {
            for check in checks {
                let left = Left::of(durations.expected(pair, check.id), times);
                state.checks.insert((cell.clone(), check.id), left);
            }
        }
        Self { total: state.checks.len(), jobs, repeat, state: Mutex::new(state) }
    }

    /// Checks in all.
    pub const fn total(&self) -> usize {
        self.total
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A cell's guest boots, which is thought to take so long.
    pub fn boots(&self, cell: &str, expected_ms: f64) {
        self.with(|state| {
            let mut boot = Left::of(expected_ms, 1);
            boot.running.push(Instant::now());
            state.boots.insert(cell.to_owned(), boot);
        });
    }

    /// A cell's machine is ready; its checks begin.
    pub fn ready(&self, cell: &str) {
        self.with(|state| {
            state.boots.remove(cell);
            state.soaks.insert(cell.to_owned(), Instant::now());
        });
    }

    /// A check runs now, for the first time or again.
    pub fn began(&self, cell: &str, id: &str) {
        self.with(|state| {
            if let Some(left) = state.check(cell, id) {
                left.running.push(Instant::now());
                // An attempt more than was thought, after a failure.
                let running = u32::try_from(left.running.len()).unwrap_or(u32::MAX);
                left.times = left.times.max(running);
            }
        });
    }

    /// An attempt of a check has ended; the check may go on.
    pub fn stopped(&self, cell: &str, id: &str) {
        let soaks = self.repeat.soak.is_some();
        self.with(|state| {
            if let Some(left) = state.check(cell, id) {
                if !left.running.is_empty() {
                    left.running.remove(0);
                }
                // In a soak the time decides, and not a number.
                left.times = if soaks { 0 } else { left.times.saturating_sub(1) };
            }
        });
    }

    /// A check has ended.
    pub fn ended(&self, cell: &str, id: &str) -> RunEvent {
        self.with(|state| {
            state.checks.retain(|(of, check), _| of != cell || *check != id);
        });
        self.now()
    }

    /// No repetition begins any more.
    pub fn ends(&self) {
        self.with(|state| state.ending = true);
    }

    /// How far the run is.
    pub fn now(&self) -> RunEvent {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> RunEvent {
        self.with(|state| {
            let mut slow = Vec::new();
            let booting = state.boots.iter().map(|(cell, boot)| (cell, BOOT, boot));
            let checks = state.checks.iter().map(|((cell, id), left)| (cell, *id, left));
            for (cell, what, left) in booting.chain(checks) {
                if let Some(running_ms) = left.slow(now) {
                    let (cell, usual_ms) = (cell.clone(), left.each_ms);
                    slow.push(Slow { cell, what: what.to_owned(), running_ms, usual_ms });
                }
            }
            RunEvent::Progress {
                done: self.total - state.checks.len(),
                total: self.total,
                left_ms: self.left(state, now),
                slow,
            }
        })
    }

    /// None if nobody can know: without an end, or if all that is left takes longer than it should.
    fn left(&self, state: &State, now: Instant) -> Option<f64> {
        let boot = state.boots.values().map(|boot| boot.ms(now)).fold(0.0, f64::max);
        let checks = left(state.checks.values().map(|left| left.ms(now)), self.jobs);
        let soak = match (self.repeat.soak, state.ending || state.checks.is_empty()) {
            (Some(soak), false) => self.soaks_for(state, soak, now),
            _ => 0.0,
        };
        let endless = self.repeat.until_failure
            && self.repeat.times.is_none()
            && self.repeat.soak.is_none()
            && !state.ending;
        let ms = boot + checks.max(soak);
        let done = state.boots.is_empty() && state.checks.is_empty();
        (!endless && (ms > 0.0 || done)).then_some(ms)
    }

    /// What is left of the soak that ends last.
    fn soaks_for(&self, state: &State, soak: Duration, now: Instant) -> f64 {
        let begun = state.soaks.values().map(|since| (ms(soak) - run_ms(*since, now)).max(0.0));
        begun.reduce(f64::max).unwrap_or_else(|| ms(soak))
    }
}

impl State {
    fn check(&mut self, cell: &str, id: &str) -> Option<&mut Left> {
        let found = self.checks.iter_mut().find(|((of, check), _)| of == cell && *check == id);
        found.map(|(_, left)| left)
    }
}

#[cfg(test)]
mod tests {
    use hospitium_model::GuestKind;
    use hospitium_suite::checks;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn progress(repeat: Repeat, jobs: usize) -> (Progress, Vec<&'static Check>) {
        let durations = Durations::default();
        let pair = Pair { name: "p".into(), kind: GuestKind::Kernel };
        let checks: Vec<_> = checks::all().into_iter().take(3).collect();
        for check in &checks {
            durations.took(&pair, check.id, 10_000.0);
        }
        let progress = Progress::of(&[("c".into(), pair)], &checks, &durations, repeat, jobs);
        (progress, checks)
    }

    fn at(progress: &Progress, seconds: u32) -> (Option<f64>, Vec<String>) {
        match progress.at(Instant::now() + seconds * SECOND) {
            RunEvent::Progress { left_ms, slow, .. } => {
                // To a tenth of a second: the test itself takes time.
                let left = left_ms.map(|ms| (ms / 100.0).round() / 10.0);
                (left, slow.into_iter().map(|slow| slow.what).collect())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_estimate_shrinks_while_checks_run() {
        let (progress, checks) = progress(Repeat::default(), 1);
        assert_eq!(at(&progress, 0).0, Some(30.0));
        progress.began("c", checks[0].id);
        assert_eq!(at(&progress, 4).0, Some(26.0));
        assert_eq!(at(&progress, 10).0, Some(20.0));
        assert_eq!(at(&progress, 15), (Some(20.0), vec![]), "a bit longer is nothing to tell");
        assert_eq!(at(&progress, 21), (Some(20.0), vec![checks[0].id.to_owned()]));
        progress.ended("c", checks[0].id);
        assert_eq!(at(&progress, 0), (Some(20.0), vec![]));
    }

    #[test]
    fn what_is_left_is_unknown_when_only_what_overruns_is_left() {
        let (progress, checks) = progress(Repeat::default(), 3);
        for check in &checks[1..] {
            progress.ended("c", check.id);
        }
        progress.began("c", checks[0].id);
        assert_eq!(at(&progress, 9).0, Some(1.0));
        assert_eq!(at(&progress, 30), (None, vec![checks[0].id.to_owned()]));
        progress.ended("c", checks[0].id);
        assert_eq!(at(&progress, 0).0, Some(0.0));
    }

    #[test]
    fn a_failed_check_is_run_again_and_that_is_counted() {
        let (progress, checks) = progress(Repeat::default(), 1);
        let id = checks[0].id;
        progress.began("c", id);
        progress.stopped("c", id);
        assert_eq!(at(&progress, 0).0, Some(20.0));
        progress.began("c", id);
        progress.began("c", id);
        assert_eq!(at(&progress, 0).0, Some(40.0));
    }

    #[test]
    fn a_boot_comes_before_the_checks() {
        let (progress, _) = progress(Repeat::default(), 3);
        progress.boots("c", 20_000.0);
        assert_eq!(at(&progress, 0).0, Some(30.0));
        assert_eq!(at(&progress, 15).0, Some(15.0));
        assert_eq!(at(&progress, 60), (Some(10.0), vec!["boot".to_owned()]));
        progress.ready("c");
        assert_eq!(at(&progress, 0).0, Some(10.0));
    }

    #[test]
    fn repetitions_count_and_a_soak_takes_its_time() {
        let (progress, checks) = progress(Repeat { times: Some(5), ..Repeat::default() }, 1);
        assert_eq!(at(&progress, 0).0, Some(150.0));
        progress.began("c", checks[0].id);
        progress.stopped("c", checks[0].id);
        assert_eq!(at(&progress, 0).0, Some(140.0));
        let soak = Repeat { soak: Some(100 * SECOND), ..Repeat::default() };
        let (progress, checks) = self::progress(soak, 1);
        progress.ready("c");
        assert_eq!(at(&progress, 40).0, Some(60.0));
        progress.began("c", checks[0].id);
        progress.stopped("c", checks[0].id);
        assert_eq!(at(&progress, 40).0, Some(60.0));
        let until = Repeat { until_failure: true, ..Repeat::default() };
        let (progress, _) = self::progress(until, 1);
        assert_eq!(at(&progress, 0).0, None, "nobody knows");
    }
}
