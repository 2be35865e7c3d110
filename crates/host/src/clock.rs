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
}
