//! The history of a machine's events: append-only, so that no waiter can miss one.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

use crate::{Event, EventKind, HostError};

/// A guest can cause events without end; past this many only the machine's death is recorded.
const MOST: usize = 100_000;

/// All events of a machine.
#[derive(Debug)]
pub struct History {
    events: Mutex<Vec<Event>>,
    grown: watch::Sender<usize>,
}

impl Default for History {
    fn default() -> Self {
        Self::new()
    }
}

impl History {
    /// Nothing has happened.
    #[must_use]
    pub fn new() -> Self {
        Self { events: Mutex::new(Vec::new()), grown: watch::Sender::new(0) }
    }

    /// Something that was noticed now.
    pub fn push(&self, kind: EventKind) {
        self.push_at(SystemTime::now(), Duration::ZERO, kind);
    }

    /// Something that happened then, within this uncertainty.
    pub fn push_at(&self, host_time: SystemTime, uncertainty: Duration, kind: EventKind) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() >= MOST && !matches!(kind, EventKind::Died(_)) {
            return;
        }
        events.push(Event { host_time, uncertainty, at: Instant::now(), kind });
        self.grown.send_replace(events.len());
    }

    /// All of them, oldest first.
    pub fn all(&self) -> Vec<Event> {
        self.since(0)
    }

    /// Events from the `from`-th on.
    pub fn since(&self, from: usize) -> Vec<Event> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.get(from..).unwrap_or_default().to_vec()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        *self.grown.borrow()
    }

    /// See [`Machine::wait_event`](crate::Machine::wait_event).
    pub async fn wait(
        &self,
        from: usize,
        what: &str,
        limit: Duration,
        wanted: &(dyn for<'a> Fn(&'a EventKind) -> bool + Send + Sync),
    ) -> Result<(usize, Event), HostError> {
        let mut grown = self.grown.subscribe();
        let mut next = from;
        let search = async {
            loop {
                grown.borrow_and_update();
                for event in self.since(next) {
                    if wanted(&event.kind) {
                        return Ok((next, event));
                    }
                    if let EventKind::Died(ended) = event.kind {
                        let doing = format!("waiting for {what}");
                        return Err(HostError::Ended { doing, ended });
                    }
                    next += 1;
                }
                // The sender is in `self`, so this can't fail.
                let _ = grown.changed().await;
            }
        };
        let late = |_| HostError::TimedOut { what: what.to_owned(), limit };
        tokio::time::timeout(limit, search).await.map_err(late)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ended;

    #[tokio::test]
    async fn an_event_before_the_wait_is_not_missed_and_death_ends_it() {
        let history = History::new();
        history.push(EventKind::Paused);
        let second = Duration::from_secs(1);
        let found = history.wait(0, "a pause", second, &|k| *k == EventKind::Paused).await;
        assert_eq!(found.expect("there").0, 0);
        let late = history.wait(1, "x", Duration::from_millis(5), &|_| true).await;
        assert!(matches!(late, Err(HostError::TimedOut { .. })));
        let killed = Ended::Signalled { signal: 9, said: String::new() };
        history.push(EventKind::Died(killed.clone()));
        let dead = history.wait(1, "a reset", second, &|k| *k == EventKind::Paused).await;
        assert!(matches!(dead, Err(HostError::Ended { ended, .. }) if ended == killed));
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_that_never_comes_ends_the_wait_at_its_limit_and_is_named() {
        let history = History::new();
        history.push(EventKind::Paused);
        let limit = Duration::from_secs(90);
        let waiting =
            history.wait(0, "a reset", limit, &|kind| matches!(kind, EventKind::Reset { .. }));
        let told = waiting.await.expect_err("none came");
        assert!(matches!(told, HostError::TimedOut { .. }), "{told}");
        assert_eq!(told.to_string(), "waited 90 s for a reset, and it did not come");
        assert_eq!(history.count(), 1, "what came is kept");
    }
}
