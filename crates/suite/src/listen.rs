//! Listens to guest, console and hypervisor while a check runs: silence is part of passing.

use std::time::Duration;

use hospitium_host::MachineState;
use hospitium_model::{Finding, GuestSource, HostSource, Observations, Value};
use hospitium_system::{LogLine, LogPosition};

use crate::silence::{Heard, STARVED};
use crate::{Cell, patience};

/// How long a guest may take to show its log. One that does not in this time says nothing.
const ASKED: Duration = Duration::from_secs(10);

/// What had been said when the check began.
pub struct Listening {
    /// Where the guest's log stood; none if it could not be read.
    log: Option<LogPosition>,
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
    pub async fn end(self, cell: &Cell, check: &str, seen: &mut Observations) {
        let waited = patience::cpu_wait(cell.machine()).await.saturating_sub(self.waited);
        let starved = waited >= STARVED;
        let broken = cell.broken();
        let console = Heard { starved, broken, ..Heard::during(cell.lab().os(), check) };
        // Another boot has a log of its own.
        let log = Heard { rebooted: cell.restarts() != self.boots, ..console };
        let none = || Value::List(Vec::new());
        if let Some(lines) = self.log_lines(cell).await {
            let lines = lines.iter().map(|line| line.text.as_str());
            let bad = GuestSource::Kernel.saw(log.splats(lines));
            seen.push(Finding::guest_is("trouble in the guest's log meanwhile", bad, none()));
        } else {
            seen.note("the guest's log could not be read at the end; its console was");
        }
        let same = cell.moves() == self.moves;
        let lines = cell.console.lines_since(if same { self.console } else { 0 });
        let lines = lines.iter().map(|(_, line)| line.as_str());
        let bad = HostSource::Wire.saw(console.splats(lines));
        seen.push(Finding::host_is("trouble on the console meanwhile", bad, none()));
        let said: Vec<String> = cell
            .machine()
            .said()
            .into_iter()
            .skip(if same { self.hypervisor } else { 0 })
            .collect();
        let said = HostSource::Hypervisor.saw(cell.lab().unusual(said));
        seen.push(Finding::host_is("complaints of the hypervisor meanwhile", said, none()));
    }

    /// What came to the guest's log; none where the guest cannot be asked any more.
    async fn log_lines(&self, cell: &Cell) -> Option<Vec<LogLine>> {
        let position = self.log.as_ref()?;
        let state = cell.look().await.ok()?.state.ok()?.value;
        if state != MachineState::Running {
            return None;
        }
        // Another boot has a log of its own, from its beginning.
        let beginning = LogPosition::default();
        let position = if cell.restarts() == self.boots { position } else { &beginning };
        let asked = tokio::time::timeout(ASKED, cell.system().log_since(position));
        Some(asked.await.ok()?.ok()?.value.0)
    }
}
