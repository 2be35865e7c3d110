//! What happened to a machine that nobody meant: a reset, a crash, a disk's error, a stop.
//!
//! What a check asks for, it means: the cell notes it as it does it. Any other such event is an accident, as a splat is in
//! a log.

use std::sync::{Mutex, PoisonError};

use hospitium_host::{Event, EventClass, EventKind, Machine, MachineState, PowerVerb};
use hospitium_wire::PowerAction;

use super::Cell;
use crate::CheckError;
use crate::silence::{self, Heard};

/// What a check means to happen.
#[derive(Debug, Clone, PartialEq)]
enum Meant {
    /// Events of this class.
    Class(EventClass),
    /// Errors of the disk of this id for want of room.
    Full(String),
    /// The vCPUs stand still.
    Pause,
}

/// All that a check means to happen, each from which event on.
#[derive(Default)]
pub(super) struct Meaning(Mutex<Vec<(usize, Meant)>>);

impl Meaning {
    fn is(&self, at: usize, of: impl Fn(&Meant) -> bool) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().any(|(from, meant)| *from <= at && of(meant))
    }

    /// Another check begins.
    pub(super) fn clear(&mut self) {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Cell {
    /// From now on the check brings events of this class about.
    pub fn means(&self, class: EventClass) {
        self.note_meant(Meant::Class(class));
    }

    /// From now on the check has the medium of the disk of this id run full. Errors of another cause are accidents.
    pub fn means_full(&self, disk: &str) {
        self.note_meant(Meant::Full(disk.to_owned()));
    }

    fn note_meant(&self, meant: Meant) {
        let from = self.all_events().len();
        let mut all = self.meaning.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((from, meant));
    }

    /// What this does to the machine is meant.
    pub(super) fn means_by(&self, verb: PowerVerb) {
        match verb {
            PowerVerb::On | PowerVerb::Resume => {}
            PowerVerb::Off | PowerVerb::Button => self.means(EventClass::PowerOff),
            PowerVerb::Reset => self.means(EventClass::Reset),
            PowerVerb::Pause => self.note_meant(Meant::Pause),
        }
    }

    /// Has the guest do this to its power.
    ///
    /// # Errors
    /// The guest does not show its log, of which this may be the end, or the probe does not take the request.
    pub async fn act(&self, action: PowerAction) -> Result<(), CheckError> {
        self.keep_log().await?;
        self.acts();
        match action {
            PowerAction::Off => self.means(EventClass::PowerOff),
            PowerAction::Reboot => self.means(EventClass::Reset),
            PowerAction::Suspend => self.means(EventClass::Suspend),
            PowerAction::Crash => self.means(EventClass::Crash),
            PowerAction::Halt => {}
        }
        Ok(self.system.act(action).await?)
    }

    /// Takes down what happened on a further machine that nobody asked for, and what the hypervisor said of it. Its resets
    /// are left to the check: a boot may have some.
    pub(crate) fn judge_other(&self, machine: &dyn Machine) {
        let kind = &self.lab.host().facts().kind;
        let events = machine.events();
        let harm = |event: &&Event| {
            silence::is_harm(kind, &event.kind) && !matches!(event.kind, EventKind::Reset { .. })
        };
        let harm = events.iter().filter(harm).map(|event| in_words(&event.kind));
        let said = self.lab.unusual(machine.said().unwrap_or_default());
        self.note_of_other(machine.name(), harm.chain(said));
    }

    /// The same of a further cell of this check's, which is about to end: all since it began, its console's lines too.
    pub(super) fn judge_itself(&self) {
        let Some((lines, said, events)) = self.further else { return };
        let heard = Heard::during(self.lab.os(), self.check.id);
        let console = self.lines_since(lines);
        let console = heard.splats(console.iter().map(String::as_str));
        let said = self.said().unwrap_or_default().into_iter().skip(said).collect();
        let all = self.accidents(events, None).into_iter();
        self.note_of_other(self.machine.name(), all.chain(console).chain(self.lab.unusual(said)));
    }

    fn note_of_other(&self, machine: &str, all: impl Iterator<Item = String>) {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        others.extend(all.map(|what| format!("{machine}: {what}")));
    }

    /// What was taken down of further machines.
    pub(crate) fn of_others(&self) -> Vec<String> {
        std::mem::take(&mut self.others.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Accidents from the `from`-th of all events on, each in words, and the state in which the machine is left, if that
    /// is one.
    pub(crate) fn accidents(&self, from: usize, state: Option<MachineState>) -> Vec<String> {
        let events = self.all_events();
        let kind = &self.lab.host().facts().kind;
        let unmeant =
            events.iter().enumerate().skip(from).filter(|(at, event)| {
                silence::is_harm(kind, &event.kind) && !self.meant(*at, event)
            });
        let mut all: Vec<String> = unmeant.map(|(_, event)| in_words(&event.kind)).collect();
        all.extend(self.broken_before().iter().map(|ended| format!("a machine ended: {ended}")));
        let left = state.filter(|state| !self.may_be_left(events.len(), *state));
        all.extend(left.map(|state| format!("left in the state {state:?}")));
        all
    }

    fn meant(&self, at: usize, event: &Event) -> bool {
        let class = event.kind.class();
        self.meaning.is(at, |meant| match (meant, &event.kind) {
            (Meant::Full(meant), EventKind::DiskError { id, no_space: true }) => meant == id,
            (Meant::Class(meant), _) => Some(*meant) == class,
            _ => false,
        })
    }

    /// Whether a check that has ended may leave its machine so.
    fn may_be_left(&self, now: usize, state: MachineState) -> bool {
        let class = match state {
            MachineState::Running => return true,
            MachineState::Paused => return self.meaning.is(now, |meant| *meant == Meant::Pause),
            MachineState::IoError | MachineState::Other => return false,
            MachineState::Crashed => EventClass::Crash,
            MachineState::Off => EventClass::PowerOff,
            MachineState::Suspended => EventClass::Suspend,
            MachineState::Watchdog => EventClass::Watchdog,
        };
        self.meaning.is(now, |meant| *meant == Meant::Class(class))
    }
}

fn in_words(kind: &EventKind) -> String {
    match kind {
        EventKind::Reset { by_guest: true } => "reset by the guest".into(),
        EventKind::Reset { by_guest: false } => "reset from outside".into(),
        EventKind::PoweredOff { by_guest: true } => "powered off by the guest".into(),
        EventKind::PoweredOff { by_guest: false } => "powered off".into(),
        EventKind::Crashed => "the guest's kernel crashed".into(),
        EventKind::Suspended => "suspended".into(),
        EventKind::Watchdog { action } => format!("the watchdog expired: {action}"),
        EventKind::DiskError { id, no_space: true } => format!("no room for the disk {id}"),
        EventKind::DiskError { id, no_space: false } => format!("an I/O error of the disk {id}"),
        EventKind::Died(ended) => format!("the machine ended: {ended}"),
        EventKind::Other { name } => format!("the hypervisor told of {name}"),
        other => format!("{other:?}"),
    }
}
