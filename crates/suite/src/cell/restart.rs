//! A cell's guest restarts: how its next boot is told from the one before, and waited for.

use std::time::Duration;

use hospitium_guest::GuestError;
use hospitium_host::{EventKind, Screenshot};
use hospitium_system::{SessionError, SystemError, diagnose};

use super::Cell;
use crate::CheckError;
use crate::patience::{MOST, Patience};

impl Cell {
    /// Which boot of its system the guest is in: another text after every restart.
    pub async fn boot_id(&self) -> Result<String, CheckError> {
        Ok(self.system.boot_id().await?.value)
    }

    /// Waits until the probe answers in another boot than `before`, and returns that boot's id; none if
    /// none answers within the limit, though the machine had the CPUs that it wanted: a guest that does
    /// not come up again is a finding. Where the probe does not start by itself, the guest is entered again.
    pub async fn wait_restarted(
        &mut self,
        before: &str,
        limit: Duration,
    ) -> Result<Option<String>, CheckError> {
        let now = tokio::select! {
            biased;
            now = self.another_boot(before, limit) => now?,
            // Whoever waits for the probe decides how long.
            error = self.enter_again(limit * MOST) => return Err(error.into()),
        };
        if now.is_none() {
            let seen = diagnose(&*self.machine, &self.console).await.without_console();
            if let Some(Ok(png)) = seen.display().map(Screenshot::png) {
                self.keep_picture("not-up-again", png);
            }
            seen.to_string().lines().for_each(|line| self.say(line.trim_start_matches("; ")));
        }
        self.boot_events = self.events_so_far();
        Ok(now)
    }

    /// Asks until another boot than `before` answers. A guest that shuts down in order still answers
    /// for a while from the old one.
    async fn another_boot(
        &self,
        before: &str,
        limit: Duration,
    ) -> Result<Option<String>, CheckError> {
        let patience = Patience::begin(&*self.machine, limit).await;
        loop {
            let left = patience.left(&*self.machine).await;
            if left.is_zero() {
                let what = "the guest's next boot".into();
                let lost = patience.lost().then_some(CheckError::TimedOut { what, limit });
                return lost.map_or(Ok(None), Err);
            }
            match self.system.answers(left).await {
                // It may have been kept from a CPU meanwhile; then there is more time.
                Err(SystemError::Session(SessionError::NoAnswer { .. })) => continue,
                answered => answered?,
            };
            // The old boot's probe may be gone between the two questions; then it is asked again.
            match self.boot_id().await {
                Ok(now) if now != before => return Ok(Some(now)),
                Ok(_) | Err(CheckError::Session(SessionError::NoAnswer { .. })) => {}
                Err(other) => return Err(other),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Enters the guest's next boot. Ends with an error, or never.
    async fn enter_again(&self, limit: Duration) -> GuestError {
        let is_reset = |kind: &EventKind| matches!(kind, EventKind::Reset { .. });
        let reset = self.machine.wait_event(self.boot_events, "the restart", limit, &is_reset);
        if reset.await.is_err() {
            // Whoever waits for the probe tells that there was no restart.
            return std::future::pending().await;
        }
        // The old boot's prompt may stand on the line that is not yet ended.
        let from = self.console.line_count() + 1;
        self.lab.guest().come_back(&self.console, from, limit).await
    }
}
