//! Time limits that do not run while a machine wants a CPU and gets none.
//!
//! A lab that is busy with other work makes every guest slow. That is no fault of the guest's, so a limit on what
//! the guest does is longer by what its VMM had to wait for a CPU.

use std::time::Duration;

use hospitium_host::Machine;
use tokio::time::Instant;

/// A limit is at most this many times as long as it says: what would take longer comes to no end on this lab.
pub(crate) const MOST: u32 = 4;

/// A limit on what a machine does, from now on.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    begun: Instant,
    limit: Duration,
    waited_before: Duration,
}

impl Patience {
    /// Begins to wait for something that this machine is to do within `limit`.
    pub async fn begin(machine: &dyn Machine, limit: Duration) -> Self {
        Self { begun: Instant::now(), limit, waited_before: cpu_wait(machine).await }
    }

    /// Whether the machine was kept from the CPUs for longer than anybody waits: what did not come until
    /// then, says nothing of the guest.
    pub fn lost(&self) -> bool {
        self.begun.elapsed() >= self.limit * MOST
    }

    /// How much longer; zero when it is over.
    pub async fn left(&self, machine: &dyn Machine) -> Duration {
        let waited = cpu_wait(machine).await.saturating_sub(self.waited_before);
        time_left(self.limit, self.begun.elapsed(), waited)
    }
}

/// How much is left of a limit, after so long a time of which a CPU was waited for so long.
pub fn time_left(limit: Duration, elapsed: Duration, waited: Duration) -> Duration {
    (limit + waited).min(limit * MOST).saturating_sub(elapsed)
}

/// What a machine's VMM has waited for a CPU so far; nothing of one that has ended, and where the host
/// does not show it.
pub(crate) async fn cpu_wait(machine: &dyn Machine) -> Duration {
    let used = match machine.confinement() {
        Ok(confinement) => confinement.cpu_use().await.ok(),
        Err(_) => None,
    };
    used.and_then(|used| used.wait.ok()).map(|seen| seen.value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_without_a_cpu_does_not_count_and_no_limit_is_without_end() {
        let s = Duration::from_secs;
        assert_eq!(time_left(s(10), s(4), s(0)), s(6));
        assert_eq!(time_left(s(10), s(14), s(8)), s(4));
        assert_eq!(time_left(s(10), s(14), s(3)), s(0));
        assert_eq!(time_left(s(10), s(39), s(500)), s(1));
        assert_eq!(time_left(s(10), s(41), s(500)), s(0));
    }
}
