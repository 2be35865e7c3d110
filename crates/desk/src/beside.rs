//! Events that leave the state as it is.

use jiff::Timestamp;

use crate::case::{Attached, Case, Escalation, HIGHEST, State};
use crate::event::Deed;
use crate::facts::{Attachment, LARGEST_ATTACHMENT};
use crate::fault::Fault;
use crate::laps::{at_number, end_pauses, note_fact, push, updated};
use crate::opened::check_engineer;
use crate::outcome::{Action, Note, Reproduction, ReproductionResult, WaitFor};
use crate::people::Side;

/// What leaves the state as it is.
pub fn beside(case: &mut Case, by: Side, at: Timestamp, deed: &Deed) -> Result<(), Fault> {
    match deed {
        Deed::Noted { visibility, text } => {
            updated(case, by, at)?;
            let note = Note { by, at, visibility: *visibility, text: text.clone() };
            push(&mut case.notes, note)?;
        }
        Deed::Attached { attachment } => attach(case, by, at, attachment)?,
        Deed::ActionAdded { what, by: whose, due } => {
            let action = Action { what: what.clone(), by: *whose, due: *due, done: None };
            push(&mut case.actions, action)?;
        }
        Deed::ActionDone { action } => {
            let action = at_number(&mut case.actions, *action)
                .filter(|action| action.done.is_none())
                .ok_or(Fault::NoSuch("action"))?;
            if action.by != by {
                return Err(Fault::Others(action.by));
            }
            action.done = Some(at);
        }
        Deed::Assigned { engineer, lead } => {
            check_engineer(engineer, case.parties.of(by))?;
            *case.engineers.of_mut(by) = Some(engineer.clone());
            if *lead {
                case.lead = Some(by);
            }
        }
        Deed::Numbered { number } => {
            // A receiver's number before it accepts would look as if it had.
            match case.numbers.of_mut(by) {
                Some(known) => *known = number.clone(),
                None => return Err(Fault::NoNumber),
            }
        }
        Deed::EntitlementChecked { entitlement } => {
            *case.entitlements.of_mut(by) = Some(entitlement.clone());
        }
        Deed::ConsentGiven { consent } => case.consent = Some(consent.clone()),
        Deed::ConsentWithdrawn { .. } => case.consent = None,
        Deed::ReproductionAsked { by: whose, place, what } => {
            let (place, what) = (*place, what.clone());
            let reproduction =
                Reproduction { asked_by: by, by: *whose, place, what, asked: at, result: None };
            push(&mut case.reproductions, reproduction)?;
        }
        Deed::Reproduced { reproduction, result } => {
            reproduced(case, by, at, *reproduction, result)?
        }
        Deed::Escalated { level, reason } => {
            let now = case.escalations.last().map_or(0, |last| last.level);
            if *level <= now || *level > HIGHEST {
                return Err(Fault::Level(now));
            }
            let escalation = Escalation { level: *level, by, at, reason: reason.clone() };
            push(&mut case.escalations, escalation)?;
        }
        Deed::SeverityChanged { severity, reason } => {
            case.problem.severity = *severity;
            note_fact(case, at, reason)?;
        }
        Deed::PriorityChanged { priority, reason } => {
            case.priority = Some(*priority);
            note_fact(case, at, reason)?;
        }
        Deed::FactsAdded { text, configuration } => {
            note_fact(case, at, text)?;
            if let Some(configuration) = configuration {
                case.configuration = (**configuration).clone();
            }
        }
        _ => return Err(Fault::State),
    }
    Ok(())
}

fn attach(case: &mut Case, by: Side, at: Timestamp, file: &Attachment) -> Result<(), Fault> {
    if !(1..=LARGEST_ATTACHMENT).contains(&file.size) {
        return Err(Fault::Size(file.size));
    }
    if case.attachments.iter().any(|known| known.file.sha256 == file.sha256) {
        return Err(Fault::Twice);
    }
    push(&mut case.attachments, Attached { file: file.clone(), by, at })
}

fn reproduced(
    case: &mut Case,
    by: Side,
    at: Timestamp,
    number: u32,
    result: &ReproductionResult,
) -> Result<(), Fault> {
    let known = |digest| case.attachments.iter().any(|file| file.file.sha256 == digest);
    if result.machine.is_some_and(|machine| !known(machine)) {
        return Err(Fault::NotAttached);
    }
    let reproduction = at_number(&mut case.reproductions, number)
        .filter(|reproduction| reproduction.result.is_none())
        .ok_or(Fault::NoSuch("reproduction"))?;
    if reproduction.by != by {
        return Err(Fault::Others(reproduction.by));
    }
    reproduction.result = Some((at, result.clone()));
    updated(case, by, at)?;
    // What was waited for is there.
    if matches!(case.state, State::Waiting { wait: WaitFor::Reproduction { by: whose }, .. } if whose == by)
    {
        end_pauses(case, at);
        case.state = State::Working {};
    }
    Ok(())
}
