//! The guest's log since a check began, boot by boot. A guest that is told to restart, to crash or to switch off is read
//! before: its next boot has another log.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use hospitium_model::Inability;
use hospitium_system::{LogPosition, SystemError};

use super::Cell;
use crate::CheckError;

/// How long a guest may take to show its log. One that does not in this time says nothing.
const ASKED: Duration = Duration::from_secs(10);

/// What was read of a guest's log.
#[derive(Default)]
pub(super) struct KeptLog {
    /// How far it was read, and how often the machine had been reset then; none before the check begins.
    read: Option<(usize, LogPosition)>,
    /// Lines, each with how often the machine had been reset when it was read; none if nothing was read.
    lines: Option<Vec<(usize, String)>>,
}

impl Cell {
    /// From here on the guest's log is the check's; none if where it stands cannot be read.
    pub(crate) fn log_begins(&self, position: Option<LogPosition>) {
        let read = position.map(|position| (self.restarts(), position));
        // A check before may have had the same machine.
        *self.log_kept() = KeptLog { read, lines: None };
    }

    /// Lines of the guest's log since the check began, as far as they were read, each with how often the machine had been
    /// reset by then; none if they never were.
    pub(crate) fn kept_log(&self) -> Option<Vec<(usize, String)>> {
        self.log_kept().lines.clone()
    }

    /// Reads what came to the guest's log since it was last read, and keeps it. Inside: why this guest shows no log.
    ///
    /// # Errors
    /// The guest does not answer.
    pub(crate) async fn read_log(&self) -> Result<Result<(), Inability>, CheckError> {
        let boot = self.restarts();
        let position = match self.log_kept().read.clone() {
            Some((read, position)) if read == boot => position,
            // Another boot has a log of its own, from its beginning.
            _ => LogPosition::default(),
        };
        let asked = tokio::time::timeout(ASKED, self.system.log_since(&position)).await;
        let late = |_| CheckError::TimedOut { what: "the guest's log".into(), limit: ASKED };
        match asked.map_err(late)? {
            Ok(told) => {
                let (lines, position) = told.value;
                let mut kept = self.log_kept();
                let lines = lines.into_iter().map(|line| (boot, line.text));
                kept.lines.get_or_insert_default().extend(lines);
                kept.read = Some((boot, position));
                Ok(Ok(()))
            }
            Err(SystemError::Unable(why)) => Ok(Err(why)),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the guest's log, of which this may be the end, if the check has begun.
    ///
    /// # Errors
    /// The guest does not answer. One that shows no log has none to lose.
    pub(super) async fn keep_log(&self) -> Result<(), CheckError> {
        let begun = self.log_kept().read.is_some();
        if begun {
            // Who listens tells of a log that is not shown.
            let _ = self.read_log().await?;
        }
        Ok(())
    }

    fn log_kept(&self) -> MutexGuard<'_, KeptLog> {
        self.kept_log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
