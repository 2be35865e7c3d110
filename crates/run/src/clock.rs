//! The time of a run: that of the wall clock when it began, and from there on by a clock that nobody sets.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// A wall clock that differs by more from the time of the run was set, and did not only drift.
const SET: SignedDuration = SignedDuration::from_secs(1);

/// What tells the time.
pub trait Clock: Send + Sync {
    /// The wall clock, which may be set at any moment.
    fn wall(&self) -> Timestamp;
    /// A clock that runs evenly, since a moment of its own.
    fn even(&self) -> Duration;
}

/// The clocks of this computer.
#[derive(Debug)]
pub struct OwnClock(Instant);

impl Default for OwnClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for OwnClock {
    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    fn even(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The time of a run. Whoever sets the wall clock while it goes on does not change what its records say came first, nor
/// how long anything took.
pub struct RunClock {
    clock: Box<dyn Clock>,
    began: Timestamp,
    even: Duration,
}

impl Default for RunClock {
    fn default() -> Self {
        Self::by(Box::new(OwnClock::default()))
    }
}

impl RunClock {
    /// A run that begins now by this clock.
    pub fn by(clock: Box<dyn Clock>) -> Self {
        let (began, even) = (clock.wall(), clock.even());
        Self { clock, began, even }
    }

    /// When it began.
    pub const fn began(&self) -> Timestamp {
        self.began
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        let passed = self.clock.even().saturating_sub(self.even);
        let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
        self.began.saturating_add(passed).unwrap_or(Timestamp::MAX)
    }

    /// In words, by how much the wall clock was set while the run went on, if it was.
    pub fn was_set(&self) -> Option<String> {
        let by = self.clock.wall().duration_since(self.now());
        let how = if by.is_negative() { "back" } else { "forward" };
        (by.abs() > SET).then(|| {
            format!(
                "the clock of this computer was set {how} by {:#} while the run went on; its records keep the time by \
                 which it began",
                SignedDuration::from_secs(by.abs().as_secs())
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A clock that a test sets.
    #[derive(Clone)]
    struct Set(Arc<Mutex<(Timestamp, Duration)>>);

    impl Clock for Set {
        fn wall(&self) -> Timestamp {
            self.0.lock().expect("whole").0
        }

        fn even(&self) -> Duration {
            self.0.lock().expect("whole").1
        }
    }

    impl Set {
        fn run() -> (Self, RunClock) {
            let began = Timestamp::from_second(1_800_000_000).expect("a time");
            let set = Self(Arc::new(Mutex::new((began, Duration::from_secs(77)))));
            (set.clone(), RunClock::by(Box::new(set)))
        }

        /// Time passes, and somebody sets the wall clock by so many seconds.
        fn passes(&self, seconds: u64, set_by: i64) {
            let mut now = self.0.lock().expect("whole");
            now.1 += Duration::from_secs(seconds);
            let wall = SignedDuration::from_secs(seconds.cast_signed() + set_by);
            now.0 = now.0.saturating_add(wall).expect("a time");
        }
    }

    #[test]
    fn a_clock_that_is_set_while_a_run_goes_on_changes_neither_order_nor_lengths() {
        for by in [3_600, -3_600, 90 * 86_400, -90 * 86_400] {
            let (set, run) = Set::run();
            set.passes(10, 0);
            let before = run.now();
            set.passes(5, by);
            assert_eq!(run.now().duration_since(before), SignedDuration::from_secs(5), "{by}");
            assert_eq!(run.now().duration_since(run.began()), SignedDuration::from_secs(15));
        }
    }

    #[test]
    fn that_a_clock_was_set_is_told_with_how_far_and_drift_is_not() {
        let told = |by| {
            let (set, run) = Set::run();
            set.passes(5, by);
            run.was_set()
        };
        let forward = told(3_600).expect("is told");
        assert!(
            forward.contains("set forward by 1h") && forward.contains("keep the time"),
            "{forward}"
        );
        assert!(told(-90).expect("is told").contains("set back by 1m 30s"));
        assert_eq!(told(0), None);
        assert_eq!(told(1), None);
    }
}
