//! Listens to guest, console and hypervisor while a check runs: silence is part of passing.

use std::time::Duration;

use hospitium_host::{EventClass, HostError, MachineState};
use hospitium_model::{Finding, GuestSource, HostSource, Observations, Value};
use hospitium_system::SystemError;

use crate::silence::{Heard, STARVED};
use crate::{Cell, CheckError, patience};

/// Classes of events that nobody asks for, most of the time.
const UNASKED: [EventClass; 6] = [
    EventClass::Reset,
    EventClass::PowerOff,
    EventClass::Crash,
    EventClass::Suspend,
    EventClass::Watchdog,
    EventClass::DiskError,
];

/// What became of a guest's log while a check ran.
enum Log {
    /// It was read to its end.
    Read,
    /// This guest shows no log, and why.
    Untold(String),
    /// There is no guest any more that could be asked: its machine is off or stands still.
    Gone,
}

/// What had been said when the check began.
pub struct Listening {
    /// Why the guest's log could not be read, if it could not.
    log: Result<(), SystemError>,
    console: u64,
    /// How many lines the hypervisor had written; none if that is not seen.
    hypervisor: Option<usize>,
    /// How many events there had been.
    events: usize,
    waited: Duration,
    boots: usize,
}

impl Listening {
    /// From now on.
    pub async fn begin(cell: &Cell) -> Self {
        let log = cell.log_position().await;
        cell.log_begins(log.as_ref().ok().cloned());
        Self {
            log: log.map(drop),
            console: cell.lines_so_far(),
            hypervisor: cell.said().ok().map(|said| said.len()),
            events: cell.all_events().len(),
            waited: patience::cpu_wait(cell.machine()).await,
            boots: cell.restarts(),
        }
    }

    /// Adds what was said and what happened since then to what the check saw: findings that hold if nothing bad was. They
    /// lend the check no witness, for each rests on one side. The machines count that the cell's machine went on from.
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
        let none = || Value::List(Vec::new());
        let (console, hypervisor, events, boots) =
            (self.console, self.hypervisor, self.events, self.boots);
        let (log, state) = self.log_lines(cell).await?;
        if let Some(lines) = cell.kept_log() {
            // Another boot has a log of its own.
            let rebooted = Heard { rebooted: true, ..heard };
            let (first, later): (Vec<_>, Vec<_>) =
                lines.iter().partition(|(boot, _)| *boot == boots);
            let mut bad = heard.splats(first.iter().map(|(_, line)| line.as_str()));
            bad.extend(rebooted.splats(later.iter().map(|(_, line)| line.as_str())));
            let bad = GuestSource::Kernel.saw(bad);
            seen.push(Finding::guest_is("trouble in the guest's log meanwhile", bad, none()));
        }
        match log {
            Log::Read => {}
            Log::Untold(why) => seen.note(format!("the guest's log was not looked through: {why}")),
            Log::Gone if cell.kept_log().is_none() => {
                seen.note("the guest's log was not looked through: it does not run any more");
            }
            Log::Gone => seen
                .note("the guest's log was looked through up to where the guest was told to end"),
        }
        let lines = cell.lines_since(console);
        let bad = HostSource::Wire.saw(heard.splats(lines.iter().map(String::as_str)));
        seen.push(Finding::host_is("trouble on the console meanwhile", bad, none()));
        match cell.said() {
            Ok(said) => {
                let said = said.into_iter().skip(hypervisor.unwrap_or(0)).collect();
                let said = HostSource::Hypervisor.saw(cell.lab().unusual(said));
                seen.push(Finding::host_is("complaints of the hypervisor meanwhile", said, none()));
            }
            // It was seen when the check began.
            Err(unseen) if hypervisor.is_some() => return Err(unseen.into()),
            Err(unseen) => seen.note(format!(
                "complaints of the hypervisor meanwhile were not looked for: {}",
                unseen.why
            )),
        }
        let mut accidents = cell.accidents(events, state);
        accidents.extend(cell.of_others());
        let accidents = HostSource::Hypervisor.saw(accidents);
        seen.push(Finding::host_is("what nobody asked for meanwhile", accidents, none()));
        for class in UNASKED {
            if let Some(unseen) = cell.lab().gives().and_then(|gives| gives.untold(class)) {
                let why = &unseen.why;
                seen.note(format!("unasked events of the class {class:?} are not seen: {why}"));
            }
        }
        Ok(())
    }

    /// What came to the guest's log, and the machine's state, where it is and the host tells it.
    async fn log_lines(self, cell: &Cell) -> Result<(Log, Option<MachineState>), CheckError> {
        let state = match cell.look().await {
            // A host that does not tell of its state leaves the guest to be asked.
            Ok(look) => look.state.ok().map(|state| state.value),
            Err(CheckError::Host(HostError::Ended { ended, .. })) if ended.expected() => {
                return Ok((Log::Gone, None));
            }
            Err(other) => return Err(other),
        };
        // A kernel that the check crashed, and a machine that does not run, tell nothing any more.
        let stands_still = state.is_some_and(|state| state != MachineState::Running);
        if stands_still || cell.stays_crashed() {
            return Ok((Log::Gone, state));
        }
        Ok((self.log(cell).await?, state))
    }

    /// Reads the rest of the log of a guest that runs.
    async fn log(self, cell: &Cell) -> Result<Log, CheckError> {
        let told = match self.log {
            // Another boot has a log of its own.
            Err(error) if cell.restarts() == self.boots => Err(error),
            _ => cell.read_log().await.map(Ok)?,
        };
        match told {
            Ok(Ok(())) => Ok(Log::Read),
            Ok(Err(why)) => Ok(Log::Untold(why.to_string())),
            Err(SystemError::Unable(why)) => Ok(Log::Untold(why.to_string())),
            Err(error) => Err(error.into()),
        }
    }
}
