//! Ending a run early, from anywhere, with the reason.

use std::sync::Arc;

use tokio::sync::watch;

/// Asks a run to end. Clones share it; the first reason counts.
#[derive(Debug, Clone)]
pub struct Stop(Arc<watch::Sender<Option<String>>>);

impl Default for Stop {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Stop {
    /// Ends the run: machines are ended, checks that have not ended become `miss`.
    pub fn stop(&self, reason: impl Into<String>) {
        self.0.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(reason.into());
            }
            first
        });
    }

    /// The reason, once there is one.
    pub fn reason(&self) -> Option<String> {
        self.0.borrow().clone()
    }

    /// Waits for the reason.
    pub async fn stopped(&self) -> String {
        let mut changes = self.0.subscribe();
        loop {
            if let Some(reason) = changes.borrow_and_update().clone() {
                return reason;
            }
            if changes.changed().await.is_err() {
                // Not while this handle lives.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Does `work` unless the run is stopped first.
    ///
    /// # Errors
    /// The reason for stopping. What `work` held is dropped.
    pub async fn unless<T>(&self, work: impl Future<Output = T>) -> Result<T, String> {
        tokio::select! {
            biased;
            reason = self.stopped() => Err(reason),
            done = work => Ok(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_counts_and_work_ends() {
        let stop = Stop::default();
        assert_eq!(stop.unless(async { 5 }).await, Ok(5));
        stop.clone().stop("interrupted");
        stop.stop("later");
        assert_eq!(stop.unless(std::future::pending::<()>()).await, Err("interrupted".into()));
    }
}
