//! What the guest's log said before the guest was told to restart, to crash or to switch off: its next boot has
//! another log.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use hospitium_system::{LogPosition, SystemError};

use super::Cell;
use crate::CheckError;

/// How long a guest may take to show its log. One that does not in this time says nothing.
pub(crate) const ASKED: Duration = Duration::from_secs(10);

/// What is kept of a guest's log.
#[derive(Default)]
pub(super) struct KeptLog {
    /// How far it was read, and how often the machine had been reset then; none before the check begins.
    read: Option<(usize, LogPosition)>,
    /// None if nothing was kept.
    lines: Option<Vec<String>>,
}

impl Cell {
    /// From here on the guest's log is the check's.
    pub(crate) fn log_begins(&self, position: LogPosition) {
        self.log_kept().read = Some((self.restarts(), position));
    }

    /// Lines of the guest's log since the check began that were kept before the guest lost them; none if it was never
    /// about to lose any.
    pub(crate) fn kept_log(&self) -> Option<Vec<String>> {
        self.log_kept().lines.clone()
    }

    /// Keeps what the guest's log says so far.
    ///
    /// # Errors
    /// The guest does not answer. One that shows no log has none to lose.
    pub(super) async fn keep_log(&self) -> Result<(), CheckError> {
        let boot = self.restarts();
        let Some((read, position)) = self.log_kept().read.clone() else { return Ok(()) };
        // Another boot has a log of its own, from its beginning.
        let position = if read == boot { position } else { LogPosition::default() };
        let asked = tokio::time::timeout(ASKED, self.system.log_since(&position)).await;
        let late = |_| CheckError::TimedOut { what: "the guest's log".into(), limit: ASKED };
        match asked.map_err(late)? {
            Ok(told) => {
                let (lines, position) = told.value;
                let mut kept = self.log_kept();
                kept.lines.get_or_insert_default().extend(lines.into_iter().map(|line| line.text));
                kept.read = Some((boot, position));
                Ok(())
            }
            Err(SystemError::Unable(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn log_kept(&self) -> MutexGuard<'_, KeptLog> {
        self.kept_log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
