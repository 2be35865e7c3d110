//! The one function that changes a case: pure, and total over every event.

use jiff::Timestamp;

use crate::beside::beside;
use crate::case::{Case, ClockName, LONGEST_PAUSE, State};
use crate::event::{Deed, DeedKind, Event};
use crate::fault::{Fault, Illegal};
use crate::laps::{
    check_pause, end_laps, end_pauses, extend, note_fact, pause, start, stop_all, updated,
};
use crate::legal::{legal, who};
use crate::opened::{check_engineer, check_opening, draft};
use crate::people::{Entitled, Shareable, Side};
use crate::text::Text;
use crate::timing::in_time;

/// What becomes of a case by an event. Pure: the time comes with the event. An event that is dated before
/// the last one counts as of the last one's time, so that no clock runs backwards.
///
/// # Errors
/// If the event is not legal; the case is as it was.
pub fn apply(case: &Case, event: &Event) -> Result<Case, Illegal> {
    may(case, event)?;
    let mut next = case.clone();
    carry_on(&mut next, event).map_err(|fault| illegal(case, event, fault))?;
    Ok(next)
}

/// How an event was not legal for a case that is changed in place.
#[derive(Debug)]
pub enum Not {
    /// The case is as it was.
    Begun(Box<Illegal>),
    /// The case was changed in part: it has to be made anew.
    Whole,
}

/// The same in place, for a case that is replayed: a copy for each event would make that quadratic.
///
/// # Errors
/// If the event is not legal.
pub fn advance(case: &mut Case, event: &Event) -> Result<(), Not> {
    may(case, event).map_err(|why| Not::Begun(Box::new(why)))?;
    carry_on(case, event).map_err(|_| Not::Whole)
}

fn illegal(case: &Case, event: &Event, fault: Fault) -> Illegal {
    let at = event.at.max(case.at);
    let (deed, state) = (event.deed.kind(), Some(case.state.name()));
    Illegal { deed, by: event.by, state, fault, legal: legal(case, at) }
}

/// Whether it may be at all, before anything is changed.
fn may(case: &Case, event: &Event) -> Result<(), Illegal> {
    let at = event.at.max(case.at);
    let deed = event.deed.kind();
    let illegal = |fault| illegal(case, event, fault);
    if deed == DeedKind::Opened {
        return Err(illegal(Fault::OpenAlready));
    }
    match who(case, deed) {
        None => return Err(illegal(Fault::State)),
        Some(who) if !who.is(event.by) => return Err(illegal(Fault::Side(event.by.other()))),
        Some(_) => {}
    }
    in_time(case, deed, at).map_err(illegal)?;
    let missing = case.not_allowed(&event.carries(case.owner));
    // A draft is changed at home; what it carries is checked when it is offered.
    if !missing.is_empty() && !matches!(case.state, State::Draft {}) {
        return Err(illegal(Fault::Consent(missing)));
    }
    Ok(())
}

fn carry_on(case: &mut Case, event: &Event) -> Result<(), Fault> {
    let at = event.at.max(case.at);
    case.at = at;
    if event.deed.kind() != DeedKind::IdleWarned {
        case.active = at;
        case.idle_warned = None;
    }
    carry_out(case, event.by, at, &event.deed)
}

fn carry_out(case: &mut Case, by: Side, at: Timestamp, deed: &Deed) -> Result<(), Fault> {
    match deed {
        Deed::Opened { .. } => return Err(Fault::OpenAlready),
        Deed::Amended { opening } => {
            if opening.id != case.id || opening.parties != case.parties {
                return Err(Fault::OtherCase);
            }
            check_opening(opening)?;
            let (opened, files) = (case.opened, std::mem::take(&mut case.attachments));
            *case = Case { opened, attachments: files, ..draft(opening, at) };
        }
        Deed::Offered { new_facts } => offer(case, at, new_facts.as_ref())?,
        Deed::InfoRequested { question, until } => {
            pause(case, true, question, at, *until)?;
            case.state = State::InfoRequested { question: question.clone() };
        }
        Deed::InfoGiven { answer } => {
            end_pauses(case, at);
            note_fact(case, at, answer)?;
            case.state = State::Offered {};
        }
        Deed::Accepted { number, engineer, respond_within, escalation } => {
            let entitled = case.entitlements.of(by).as_ref().map(|known| known.entitled);
            if let Some(no @ (Entitled::No | Entitled::Expired)) = entitled {
                return Err(Fault::NotEntitled(no));
            }
            check_engineer(engineer, case.parties.of(by))?;
            *case.numbers.of_mut(by) = Some(number.clone());
            *case.engineers.of_mut(by) = Some(engineer.clone());
            if escalation.is_some() {
                case.escalation_paths.of_mut(by).clone_from(escalation);
            }
            end_laps(case, ClockName::Acknowledge, at);
            start(case, ClockName::Update, at, *respond_within)?;
            start(case, ClockName::Resolve, at, case.terms.resolve)?;
            case.state = State::Accepted {};
        }
        Deed::Declined { reason, next_step } => {
            end_laps(case, ClockName::Acknowledge, at);
            let (reason, next_step) = (reason.clone(), next_step.clone());
            case.state = State::Declined { reason, next_step };
        }
        Deed::Started {} => {
            updated(case, by, at)?;
            case.state = State::Working {};
        }
        Deed::Waited { wait, reason, until } => {
            updated(case, by, at)?;
            if wait.pauses() {
                pause(case, false, reason, at, *until)?;
            } else {
                check_pause(at, *until)?;
            }
            case.state = State::Waiting { wait: *wait, reason: reason.clone() };
        }
        Deed::PauseExtended { reason, until } => extend(case, at, reason, *until)?,
        Deed::Answered { text } => {
            end_pauses(case, at);
            note_fact(case, at, text)?;
            updated(case, by, at)?;
            case.state = State::Working {};
        }
        Deed::Proposed { outcome } => {
            end_laps(case, ClockName::Update, at);
            // The receiver has done its part; the resolution's clock stands still until the owner answers.
            let until = at.saturating_add(LONGEST_PAUSE).unwrap_or(Timestamp::MAX);
            pause(case, false, &outcome.resolution, at, until)?;
            case.state = State::ResolutionProposed { by, outcome: outcome.clone() };
        }
        Deed::Rejected { comment } => {
            end_pauses(case, at);
            note_fact(case, at, comment)?;
            start(case, ClockName::Update, at, case.terms.update)?;
            case.state = State::Working {};
        }
        Deed::Confirmed { confirmation } => {
            let State::ResolutionProposed { outcome, .. } = &case.state else {
                return Err(Fault::State);
            };
            let (outcome, confirmation) = (outcome.clone(), confirmation.clone());
            stop_all(case, at);
            case.state = State::Closed { at, outcome, confirmation };
        }
        Deed::TransferOffered { reason } => {
            case.state = State::TransferOffered { reason: reason.clone() };
        }
        Deed::TransferAccepted { engineer } => {
            check_engineer(engineer, case.parties.of(by))?;
            *case.engineers.of_mut(by) = Some(engineer.clone());
            case.owner = by;
            updated(case, by, at)?;
            case.state = State::Working {};
        }
        Deed::TransferRefused { comment } => {
            note_fact(case, at, comment)?;
            updated(case, by, at)?;
            case.state = State::Working {};
        }
        Deed::Withdrawn { comment } => {
            stop_all(case, at);
            case.state = State::Withdrawn { at, comment: comment.clone() };
        }
        Deed::IdleWarned {} => case.idle_warned = Some(at),
        Deed::AutoClosed { layer } => {
            stop_all(case, at);
            case.state = State::AutoClosed { at, layer: *layer };
        }
        Deed::Reopened { reason } => {
            note_fact(case, at, reason)?;
            start(case, ClockName::Update, at, case.terms.update)?;
            start(case, ClockName::Resolve, at, case.terms.resolve)?;
            case.state = State::Working {};
        }
        _ => beside(case, by, at, deed)?,
    }
    Ok(())
}

fn offer(case: &mut Case, at: Timestamp, new_facts: Option<&Text>) -> Result<(), Fault> {
    match (&case.state, new_facts) {
        (State::Declined { .. }, None) => return Err(Fault::NoNewFacts),
        (State::Declined { .. }, Some(facts)) => note_fact(case, at, facts)?,
        (_, Some(_)) => return Err(Fault::NewFacts),
        (_, None) => {}
    }
    let mut carried = vec![Shareable::Problem, Shareable::Configuration];
    carried.extend(case.customer.contact.as_ref().map(|_| Shareable::Contact));
    if case.attachments.iter().any(|file| file.file.classification.is_customers()) {
        carried.push(Shareable::Evidence);
    }
    let missing = case.not_allowed(&carried);
    if !missing.is_empty() {
        return Err(Fault::Consent(missing));
    }
    case.offers = case.offers.saturating_add(1);
    start(case, ClockName::Acknowledge, at, case.terms.acknowledge)?;
    case.state = State::Offered {};
    Ok(())
}
