//! What may happen next, and by whom.

use jiff::Timestamp;

use crate::case::{Case, HIGHEST, State};
use crate::event::DeedKind;
use crate::fault::{Fault, Next};
use crate::outcome::WaitFor;
use crate::people::Side;
use crate::timing::in_time;

/// Who may do something in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// One side.
    One(Side),
    /// Either.
    Either,
}

impl Who {
    /// Whether this side may.
    pub fn is(self, side: Side) -> bool {
        self == Self::Either || self == Self::One(side)
    }
}

/// Who may do this in the case's state; nothing if nobody may. The one table of transitions.
pub fn who(case: &Case, deed: DeedKind) -> Option<Who> {
    use DeedKind as D;
    let submitter = Some(Who::One(Side::Submitter));
    let receiver = Some(Who::One(Side::Receiver));
    let owner = Some(Who::One(case.owner));
    let other = Some(Who::One(case.owner.other()));
    let either = Some(Who::Either);
    // What leaves the state as it is.
    let beside = match deed {
        D::Noted | D::Attached | D::Numbered => either,
        D::ConsentGiven | D::ConsentWithdrawn => owner,
        _ => None,
    };
    let in_work = match deed {
        D::ActionAdded
        | D::ActionDone
        | D::Assigned
        | D::EntitlementChecked
        | D::ReproductionAsked
        | D::Reproduced
        | D::Escalated
        | D::FactsAdded => either,
        D::SeverityChanged => submitter,
        D::PriorityChanged => receiver,
        D::Withdrawn => owner,
        _ => beside,
    };
    match (&case.state, deed) {
        (State::Draft {}, D::Amended | D::Offered | D::Withdrawn) => submitter,
        (State::Draft {}, D::Attached) => submitter,
        (State::Draft {}, _) => None,
        (State::Offered {}, D::Accepted | D::Declined | D::InfoRequested) => receiver,
        (State::InfoRequested { .. }, D::InfoGiven) => submitter,
        (State::InfoRequested { .. }, D::PauseExtended) => receiver,
        (State::Declined { .. }, D::Offered) => submitter,
        (State::Accepted {}, D::Started) => receiver,
        (State::Working {}, D::Waited | D::Proposed) => either,
        (State::Working {}, D::TransferOffered) => owner,
        (State::Waiting { wait, .. }, D::Answered) => match wait {
            WaitFor::Customer => owner,
            WaitFor::Submitter => submitter,
            WaitFor::Receiver => receiver,
            WaitFor::Reproduction { by } => Some(Who::One(*by)),
        },
        (State::Waiting { .. }, D::PauseExtended) => either,
        (State::ResolutionProposed { .. }, D::Confirmed | D::Rejected) => owner,
        (State::TransferOffered { .. }, D::TransferAccepted | D::TransferRefused) => other,
        (
            State::Waiting { .. } | State::ResolutionProposed { .. },
            D::IdleWarned | D::AutoClosed,
        ) => owner,
        (State::Closed { .. } | State::AutoClosed { .. }, D::Reopened) => either,
        (State::Closed { .. } | State::AutoClosed { .. }, _) => beside,
        (State::Withdrawn { .. }, D::Noted) => either,
        (State::Withdrawn { .. }, _) => None,
        _ => in_work,
    }
}

/// What may happen next, by whom. What is possible only from some time on is listed from then on.
pub fn legal(case: &Case, now: Timestamp) -> Vec<Next> {
    DeedKind::ALL
        .iter()
        .flat_map(|deed| Side::BOTH.map(|by| Next { deed: *deed, by }))
        .filter(|next| who(case, next.deed).is_some_and(|who| who.is(next.by)))
        .filter(|next| has_object(case, *next))
        .filter(|next| in_time(case, next.deed, now.max(case.at)).is_ok())
        .collect()
}

/// Why something may not happen now; nothing if it may. What goes with it (a text, an engineer) is not looked at.
pub fn hindrance(case: &Case, next: Next, now: Timestamp) -> Option<Fault> {
    match who(case, next.deed) {
        None => return Some(Fault::State),
        Some(who) if !who.is(next.by) => return Some(Fault::Side(next.by.other())),
        Some(_) => {}
    }
    if !has_object(case, next) {
        return Some(match next.deed {
            DeedKind::ActionDone => Fault::NoSuch("action"),
            DeedKind::Reproduced => Fault::NoSuch("reproduction"),
            DeedKind::Numbered => Fault::NoNumber,
            _ => Fault::Level(HIGHEST),
        });
    }
    in_time(case, next.deed, now.max(case.at)).err()
}

/// Whether there is something that it could be done to.
fn has_object(case: &Case, Next { deed, by }: Next) -> bool {
    match deed {
        DeedKind::ActionDone => case.actions.iter().any(|a| a.by == by && a.done.is_none()),
        DeedKind::Reproduced => case.reproductions.iter().any(|r| r.by == by && r.result.is_none()),
        DeedKind::Escalated => case.escalations.last().is_none_or(|last| last.level < HIGHEST),
        DeedKind::Numbered => case.numbers.of(by).is_some(),
        _ => true,
    }
}
