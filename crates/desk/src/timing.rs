//! What depends on time alone, or on a pause.

use jiff::Timestamp;

use crate::case::{Case, IDLE_CLOSED, IDLE_WARNED, REOPENED_WITHIN, State, WARNED_BEFORE};
use crate::event::DeedKind;
use crate::fault::Fault;

/// Whether the time has come, or not passed, for what depends on time; and whether there is a pause to extend.
pub fn in_time(case: &Case, deed: DeedKind, at: Timestamp) -> Result<(), Fault> {
    match (deed, &case.state) {
        (DeedKind::IdleWarned, _) => {
            let from = case.active.saturating_add(IDLE_WARNED).unwrap_or(Timestamp::MAX);
            match case.idle_warned {
                Some(_) => Err(Fault::Warned),
                None if at < from => Err(Fault::TooEarly(from)),
                None => Ok(()),
            }
        }
        (DeedKind::AutoClosed, _) => {
            let warned = case.idle_warned.ok_or(Fault::NotWarned)?;
            let idle = case.active.saturating_add(IDLE_CLOSED).unwrap_or(Timestamp::MAX);
            let from = idle.max(warned.saturating_add(WARNED_BEFORE).unwrap_or(Timestamp::MAX));
            if at < from { Err(Fault::TooEarly(from)) } else { Ok(()) }
        }
        (
            DeedKind::Reopened,
            State::Closed { at: closed, .. } | State::AutoClosed { at: closed, .. },
        ) => {
            let until = closed.saturating_add(REOPENED_WITHIN).unwrap_or(Timestamp::MAX);
            if at > until { Err(Fault::TooLate(until)) } else { Ok(()) }
        }
        (DeedKind::PauseExtended, _) => {
            case.pauses.last().filter(|pause| pause.ended.is_none()).map(drop).ok_or(Fault::NoPause)
        }
        _ => Ok(()),
    }
}
