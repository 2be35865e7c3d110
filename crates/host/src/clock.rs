//! The clocks of a host, beside ours.

use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant, SystemTime};

/// A reading of a host's clocks. For a local host they are our own: no offset, no uncertainty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HostClock {
    /// When they were read, by this process's monotonic clock: the middle of the question's round trip.
    #[serde(skip, default = "Instant::now")]
    pub read: Instant,
    /// The host's wall clock then.
    pub wall: SystemTime,
    /// The host's monotonic clock then, since a moment of its own.
    pub monotonic: Duration,
    /// The host's wall clock ahead of ours, in nanoseconds.
    pub offset_ns: i64,
    /// How exactly the offset is known: half the round trip.
    pub uncertainty: Duration,
}

impl HostClock {
    /// Nanoseconds since 1970-01-01 UTC by the host's wall clock, as it was read.
    pub fn unix_ns(&self) -> i128 {
        match self.wall.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i128::try_from(since.as_nanos()).unwrap_or(i128::MAX),
            Err(before) => -i128::try_from(before.duration().as_nanos()).unwrap_or(i128::MAX),
        }
    }

    /// By how many seconds the host's wall clock was set since an earlier reading, back if less than zero; none if it
    /// ran on. Clocks that are brought right slowly run up to a twelfth too fast or slow (chrony.conf(5), `maxslewrate`).
    pub fn set_since(&self, earlier: &Self) -> Option<f64> {
        let passed = self.monotonic.as_secs_f64() - earlier.monotonic.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a difference of two times of one run")]
        let wall = (self.unix_ns() - earlier.unix_ns()) as f64 / 1e9;
        let set = wall - passed;
        (set.abs() > 0.5 + passed.abs() / 12.0).then_some(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(monotonic: f64, wall: f64) -> HostClock {
        HostClock {
            read: Instant::now(),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs_f64(1.8e9 + wall),
            monotonic: Duration::from_secs_f64(monotonic),
            offset_ns: 0,
            uncertainty: Duration::ZERO,
        }
    }

    #[test]
    fn a_wall_clock_that_was_set_is_told_from_one_that_is_brought_right_slowly() {
        let first = clock(100.0, 0.0);
        let about = |set: Option<f64>, by: f64| set.is_some_and(|set| (set - by).abs() < 1e-3);
        assert!(about(clock(110.0, 3610.0).set_since(&first), 3600.0));
        assert!(about(clock(110.0, -3590.0).set_since(&first), -3600.0));
        for (monotonic, wall) in [(110.0, 10.0), (110.0, 10.4), (160.0, 65.0), (100.0, 0.0)] {
            assert_eq!(clock(monotonic, wall).set_since(&first), None, "{monotonic} {wall}");
        }
    }
}
