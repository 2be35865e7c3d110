//! Listens to guest, console and hypervisor while a check runs: silence is part of passing.

use std::time::Duration;

use hospitium_host::{HostError, Look, MachineState};
use hospitium_model::{Finding, GuestSource, HostSource, Observations, Value};
use hospitium_system::{LogLine, LogPosition, SystemError};

use crate::silence::{Heard, STARVED};
use crate::{Cell, CheckError, patience};

/// How long a guest may take to show its log. One that does not in this time says nothing.
const ASKED: Duration = Duration::from_secs(10);

/// What came to a guest's log while a check ran.
enum Log {
    /// This.
    Read(Vec<LogLine>),
    /// This guest shows no log, and why.
    Untold(String),
    /// There is no guest any more that could be asked: its machine is off or stands still.
    Gone,
}

/// What had been said when the check began.
pub struct Listening {
    /// Where the guest's log stood, or why it could not be read.
    log: Result<LogPosition, SystemError>,
    console: u64,
    hypervisor: usize,
    waited: Duration,
    boots: usize,
    moves: u32,
}

impl Listening {
    /// From now on.
    pub async fn begin(cell: &Cell) -> Self {
        Self {
            log: cell.log_position().await,
            console: cell.console.line_count(),
            hypervisor: cell.machine().said().len(),
            waited: patience::cpu_wait(cell.machine()).await,
            boots: cell.restarts(),
            moves: cell.moves(),
        }
    }

    /// Adds what was said since then to what the check saw: one finding a side, which hold if nothing bad was. They
    /// lend the check no witness, for each rests on one side.
    ///
    /// # Errors
    /// The guest's machine runs, and its log cannot be read: that nothing bad was read is not that nothing bad was said.
    pub async fn end(
        self,
        cell: &Cell,
        check: &str,
        seen: &mut Observations,
    ) -> Result<(), CheckError> {
        let waited = patience::cpu_wait(cell.machine()).await.saturating_sub(self.waited);
        let starved = waited >= STARVED;
        let broken = cell.broken();
        let heard = Heard { starved, broken, ..Heard::during(cell.lab().os(), check) };
        // Another boot has a log of its own.
        let in_log = Heard { rebooted: cell.restarts() != self.boots, ..heard };
        let none = || Value::List(Vec::new());
        let same = cell.moves() == self.moves;
        let (console, hypervisor) = (self.console, self.hypervisor);
        match self.log_lines(cell).await? {
            Log::Read(lines) => {
                let lines = lines.iter().map(|line| line.text.as_str());
                let bad = GuestSource::Kernel.saw(in_log.splats(lines));
                seen.push(Finding::guest_is("trouble in the guest's log meanwhile", bad, none()));
            }
            Log::Untold(why) => seen.note(format!("the guest's log was not looked through: {why}")),
            Log::Gone => {
                seen.note("the guest's log was not looked through: it does not run any more")
            }
        }
        let lines = cell.console.lines_since(if same { console } else { 0 });
        let lines = lines.iter().map(|(_, line)| line.as_str());
        let bad = HostSource::Wire.saw(heard.splats(lines));
        seen.push(Finding::host_is("trouble on the console meanwhile", bad, none()));
        let said: Vec<String> =
            cell.machine().said().into_iter().skip(if same { hypervisor } else { 0 }).collect();
        let said = HostSource::Hypervisor.saw(cell.lab().unusual(said));
        seen.push(Finding::host_is("complaints of the hypervisor meanwhile", said, none()));
        Ok(())
    }

    /// What came to the guest's log.
    async fn log_lines(self, cell: &Cell) -> Result<Log, CheckError> {
        // A kernel that the check crashed, and a machine that does not run, tell nothing any more.
        if cell.stays_crashed() {
            return Ok(Log::Gone);
        }
        match cell.look().await {
            Ok(Look { state: Ok(state), .. }) if state.value != MachineState::Running => {
                return Ok(Log::Gone);
            }
            // A host that does not tell of its state leaves the guest to be asked.
            Ok(_) => {}
            Err(CheckError::Host(HostError::Ended { ended, .. })) if ended.expected() => {
                return Ok(Log::Gone);
            }
            Err(other) => return Err(other),
        }
        // Another boot has a log of its own, from its beginning.
        let restarted = cell.restarts() != self.boots;
        let position = if restarted { Ok(LogPosition::default()) } else { self.log };
        let asked = async { cell.system().log_since(&position?).await };
        let what = "the guest's log";
        match tokio::time::timeout(ASKED, asked).await {
            Ok(Ok(told)) => Ok(Log::Read(told.value.0)),
            Ok(Err(SystemError::Unable(why))) => Ok(Log::Untold(why.to_string())),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(CheckError::TimedOut { what: what.into(), limit: ASKED }),
        }
    }
}
