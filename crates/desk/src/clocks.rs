//! How the clocks of a case stand: worked out from its laps and pauses by its calendar, never stored.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::case::{Case, ClockName, Lap, Pause, State};
use crate::event::{Deed, DeedKind};
use crate::legal::who;
use crate::outcome::Layer;
use crate::people::Side;
use crate::timing::in_time;

/// A clock warns once so much of its time is used, in hundredths.
const WARNS_AT: i64 = 75;

/// How a lap stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Stopped in time.
    Kept,
    /// Running, with time left.
    Running,
    /// Standing still.
    Paused,
    /// Running, and three quarters of the time are used.
    Warning,
    /// The time has run out, whether it was stopped later or is still running.
    Breached,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kept => "kept",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Warning => "about to be missed",
            Self::Breached => "missed",
        })
    }
}

/// A lap as it stands now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reading {
    /// The lap.
    #[serde(flatten)]
    pub lap: Lap,
    /// Working time used, in seconds.
    pub used: i64,
    /// When the time is over; while paused, if the pause lasts as long as it may.
    pub due: Option<Timestamp>,
    /// Why it stands still, and until when at most.
    pub paused: Option<Pause>,
    /// How it stands.
    pub standing: Standing,
}

impl Reading {
    /// Whether it still runs, or will again.
    pub const fn is_running(&self) -> bool {
        self.lap.ended.is_none()
    }
}

/// All laps of a case as they stand now, in their order.
pub fn clocks(case: &Case, now: Timestamp) -> Vec<Reading> {
    // A clock that was behind does not give time back.
    let now = now.max(case.at);
    case.laps.iter().map(|lap| read(case, lap, now)).collect()
}

/// The running clock that is over first.
pub fn next_due(case: &Case, now: Timestamp) -> Option<Reading> {
    let running = clocks(case, now).into_iter().filter(Reading::is_running);
    running.min_by_key(|reading| reading.due.unwrap_or(Timestamp::MAX))
}

/// What the desk of this side does by itself at this time: it warns that a case is idle, and closes it.
pub fn by_itself(case: &Case, side: Side, now: Timestamp) -> Option<Deed> {
    let due =
        |deed| who(case, deed).is_some_and(|who| who.is(side)) && in_time(case, deed, now).is_ok();
    if due(DeedKind::AutoClosed) {
        let layer = match &case.state {
            State::ResolutionProposed { outcome, .. } => outcome.layer,
            _ => Layer::Unknown,
        };
        Some(Deed::AutoClosed { layer })
    } else if due(DeedKind::IdleWarned) {
        Some(Deed::IdleWarned {})
    } else {
        None
    }
}

/// The pauses that stop a clock, in their order.
fn pauses(case: &Case, clock: ClockName) -> impl Iterator<Item = &Pause> {
    case.pauses.iter().filter(move |pause| pause.stops(clock))
}

fn read(case: &Case, lap: &Lap, now: Timestamp) -> Reading {
    let calendar = &case.terms.calendar;
    let stop = lap.ended.unwrap_or(now).min(now);
    let (mut cursor, mut used) = (lap.began, 0);
    // The due time takes in pauses to come, the used time does not.
    let (mut due_cursor, mut left, mut due) = (lap.began, lap.within.seconds(), None);
    for pause in pauses(case, lap.clock).filter(|pause| pause.end() > lap.began) {
        used += calendar.between(cursor, pause.began.min(stop));
        cursor = cursor.max(pause.end());
        if due.is_none() {
            let here = calendar.between(due_cursor, pause.began);
            if here >= left && left > 0 && pause.began > due_cursor {
                due = calendar.after(due_cursor, left);
            } else {
                left -= here;
                due_cursor = due_cursor.max(pause.end());
            }
        }
    }
    used += calendar.between(cursor, stop);
    let due = due.or_else(|| calendar.after(due_cursor, left));
    let paused = pauses(case, lap.clock)
        .find(|pause| lap.ended.is_none() && pause.began <= now && now < pause.end())
        .cloned();
    let within = lap.within.seconds();
    let standing = if used > within {
        Standing::Breached
    } else if lap.ended.is_some() {
        Standing::Kept
    } else if paused.is_some() {
        Standing::Paused
    } else if used.saturating_mul(100) >= within.saturating_mul(WARNS_AT) {
        Standing::Warning
    } else {
        Standing::Running
    };
    Reading { lap: lap.clone(), used, due, paused, standing }
}

#[cfg(test)]
mod tests;
