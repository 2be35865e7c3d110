//! Lists, clocks and pauses of a case, as events change them.

use jiff::Timestamp;

use crate::case::{Case, ClockName, LONGEST_PAUSE, Lap, Pause};
use crate::fault::Fault;
use crate::outcome::Minutes;
use crate::people::Side;
use crate::text::Text;

/// The most entries of each list of a case.
pub const MOST: usize = 10_000;

/// Adds to a list, within its bound.
pub fn push<T>(list: &mut Vec<T>, entry: T) -> Result<(), Fault> {
    if list.len() >= MOST {
        return Err(Fault::Full(MOST));
    }
    list.push(entry);
    Ok(())
}

/// The entry of this number, from 0.
pub fn at_number<T>(list: &mut [T], number: u32) -> Option<&mut T> {
    list.get_mut(usize::try_from(number).ok()?)
}

/// Keeps what became known.
pub fn note_fact(case: &mut Case, at: Timestamp, text: &Text) -> Result<(), Fault> {
    push(&mut case.facts, (at, text.clone()))
}

/// Starts a clock.
pub fn start(
    case: &mut Case,
    clock: ClockName,
    at: Timestamp,
    within: Minutes,
) -> Result<(), Fault> {
    push(&mut case.laps, Lap { clock, began: at, ended: None, within })
}

/// Stops a clock.
pub fn end_laps(case: &mut Case, clock: ClockName, at: Timestamp) {
    for lap in case.laps.iter_mut().filter(|lap| lap.clock == clock && lap.ended.is_none()) {
        lap.ended = Some(at);
    }
}

/// The receiver gave a sign of life: its clock for the next one starts anew.
pub fn updated(case: &mut Case, by: Side, at: Timestamp) -> Result<(), Fault> {
    let running = |lap: &Lap| lap.clock == ClockName::Update && lap.ended.is_none();
    if by == Side::Receiver && case.laps.iter().any(running) {
        end_laps(case, ClockName::Update, at);
        start(case, ClockName::Update, at, case.terms.update)?;
    }
    Ok(())
}

/// Whether a pause may end then.
pub fn check_pause(at: Timestamp, until: Timestamp) -> Result<(), Fault> {
    let longest = at.saturating_add(LONGEST_PAUSE).unwrap_or(Timestamp::MAX);
    if until > at && until <= longest { Ok(()) } else { Err(Fault::PauseEnd { until, after: at }) }
}

/// Begins a pause.
pub fn pause(
    case: &mut Case,
    acknowledge: bool,
    reason: &Text,
    at: Timestamp,
    until: Timestamp,
) -> Result<(), Fault> {
    check_pause(at, until)?;
    let pause = Pause { acknowledge, reason: reason.clone(), began: at, until, ended: None };
    push(&mut case.pauses, pause)
}

/// Ends the running pause and begins the next: each has its own reason.
pub fn extend(
    case: &mut Case,
    at: Timestamp,
    reason: &Text,
    until: Timestamp,
) -> Result<(), Fault> {
    let last = case.pauses.last().filter(|pause| pause.ended.is_none()).ok_or(Fault::NoPause)?;
    let acknowledge = last.acknowledge;
    end_pauses(case, at);
    pause(case, acknowledge, reason, at, until)
}

/// Ends the running pauses.
pub fn end_pauses(case: &mut Case, at: Timestamp) {
    for pause in case.pauses.iter_mut().filter(|pause| pause.ended.is_none()) {
        pause.ended = Some(at.min(pause.until));
    }
}

/// Stops everything: the case has ended.
pub fn stop_all(case: &mut Case, at: Timestamp) {
    end_pauses(case, at);
    for clock in [ClockName::Acknowledge, ClockName::Update, ClockName::Resolve] {
        end_laps(case, clock, at);
    }
}
