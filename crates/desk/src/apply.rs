//! The one function that changes a case: pure, and total over every event.

use jiff::Timestamp;

use crate::case::{
    Attached, Case, ClockName, Escalation, IDLE_CLOSED, IDLE_WARNED, LONGEST_PAUSE, Lap, Pause,
    REOPENED_WITHIN, State, WARNED_BEFORE,
};
use crate::event::{Deed, DeedKind, Event, Opening};
use crate::facts::{Attachment, LARGEST_ATTACHMENT, Topic};
use crate::legal::{Fault, Illegal, legal, who};
use crate::outcome::{Action, Minutes, Note, Reproduction, ReproductionResult, WaitFor};
use crate::people::{Both, Engineer, Entitled, Shareable, Side};
use crate::text::{PartyName, Text};

/// The most entries of each list of a case.
pub const MOST: usize = 10_000;
/// The highest level of escalation.
pub const HIGHEST: u8 = 4;

/// Opens a case: what the first event makes.
///
/// # Errors
/// If the event does not open a case, or what it is opened with cannot stand.
pub fn open(event: &Event) -> Result<Case, Illegal> {
    let illegal = |fault| Illegal {
        deed: event.deed.kind(),
        by: event.by,
        state: None,
        fault,
        legal: vec![crate::legal::Next { deed: DeedKind::Opened, by: Side::Submitter }],
    };
    let Deed::Opened { opening } = &event.deed else {
        return Err(illegal(Fault::NotOpen));
    };
    if event.by != Side::Submitter {
        return Err(illegal(Fault::Side(Side::Submitter)));
    }
    check_opening(opening).map_err(illegal)?;
    Ok(draft(opening, event.at))
}

fn check_opening(opening: &Opening) -> Result<(), Fault> {
    let Both { submitter, receiver } = &opening.parties;
    if submitter == receiver {
        return Err(Fault::OneParty(submitter.clone()));
    }
    match opening.problem.topic {
        Topic::Technical => {}
        Topic::Licensing => return Err(Fault::OutOfScope("licences")),
        Topic::Patents => return Err(Fault::OutOfScope("patents")),
    }
    check_engineer(&opening.engineer, submitter)
}

fn check_engineer(engineer: &Engineer, party: &PartyName) -> Result<(), Fault> {
    if engineer.address.is_of(party) {
        return Ok(());
    }
    Err(Fault::Engineer { engineer: Box::new(engineer.clone()), party: party.clone() })
}

fn draft(opening: &Opening, at: Timestamp) -> Case {
    let of_submitter = |number| Both { submitter: Some(number), receiver: None };
    Case {
        id: opening.id.clone(),
        parties: opening.parties.clone(),
        numbers: of_submitter(opening.number.clone()),
        engineers: Both { submitter: Some(opening.engineer.clone()), receiver: None },
        escalation_paths: Both { submitter: opening.escalation.clone(), receiver: None },
        entitlements: Both { submitter: Some(opening.entitlement.clone()), receiver: None },
        customer: opening.customer.clone(),
        owner: Side::Submitter,
        consent: opening.consent.clone(),
        test: opening.test,
        channel: opening.channel,
        opened: at,
        at,
        active: at,
        idle_warned: None,
        state: State::Draft {},
        offers: 0,
        configuration: opening.configuration.clone(),
        fingerprint: opening.configuration.fingerprint(),
        verdict: opening.verdict.clone(),
        problem: opening.problem.clone(),
        priority: None,
        terms: opening.terms.clone(),
        laps: Vec::new(),
        pauses: Vec::new(),
        escalations: Vec::new(),
        lead: None,
        notes: Vec::new(),
        attachments: Vec::new(),
        actions: Vec::new(),
        reproductions: Vec::new(),
        facts: Vec::new(),
        links: opening.links.clone(),
    }
}

/// What becomes of a case by an event. Pure: the time comes with the event. An event that is dated before
/// the last one counts as of the last one's time, so that no clock runs backwards.
///
/// # Errors
/// If the event is not legal; the case is as it was.
pub fn apply(case: &Case, event: &Event) -> Result<Case, Illegal> {
    let at = event.at.max(case.at);
    let deed = event.deed.kind();
    let illegal = |fault| Illegal {
        deed,
        by: event.by,
        state: Some(case.state.name()),
        fault,
        legal: legal(case, at),
    };
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
    let mut next = case.clone();
    next.at = at;
    if deed != DeedKind::IdleWarned {
        next.active = at;
        next.idle_warned = None;
    }
    carry_out(&mut next, event.by, at, &event.deed).map_err(illegal)?;
    Ok(next)
}

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

/// What leaves the state as it is.
fn beside(case: &mut Case, by: Side, at: Timestamp, deed: &Deed) -> Result<(), Fault> {
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

fn push<T>(list: &mut Vec<T>, entry: T) -> Result<(), Fault> {
    if list.len() >= MOST {
        return Err(Fault::Full(MOST));
    }
    list.push(entry);
    Ok(())
}

fn at_number<T>(list: &mut [T], number: u32) -> Option<&mut T> {
    list.get_mut(usize::try_from(number).ok()?)
}

fn note_fact(case: &mut Case, at: Timestamp, text: &Text) -> Result<(), Fault> {
    push(&mut case.facts, (at, text.clone()))
}

fn start(case: &mut Case, clock: ClockName, at: Timestamp, within: Minutes) -> Result<(), Fault> {
    push(&mut case.laps, Lap { clock, began: at, ended: None, within })
}

fn end_laps(case: &mut Case, clock: ClockName, at: Timestamp) {
    for lap in case.laps.iter_mut().filter(|lap| lap.clock == clock && lap.ended.is_none()) {
        lap.ended = Some(at);
    }
}

/// The receiver gave a sign of life: its clock for the next one starts anew.
fn updated(case: &mut Case, by: Side, at: Timestamp) -> Result<(), Fault> {
    let running = |lap: &Lap| lap.clock == ClockName::Update && lap.ended.is_none();
    if by == Side::Receiver && case.laps.iter().any(running) {
        end_laps(case, ClockName::Update, at);
        start(case, ClockName::Update, at, case.terms.update)?;
    }
    Ok(())
}

fn check_pause(at: Timestamp, until: Timestamp) -> Result<(), Fault> {
    let longest = at.saturating_add(LONGEST_PAUSE).unwrap_or(Timestamp::MAX);
    if until > at && until <= longest { Ok(()) } else { Err(Fault::PauseEnd { until, after: at }) }
}

fn pause(
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
fn extend(case: &mut Case, at: Timestamp, reason: &Text, until: Timestamp) -> Result<(), Fault> {
    let last = case.pauses.last().filter(|pause| pause.ended.is_none()).ok_or(Fault::NoPause)?;
    let acknowledge = last.acknowledge;
    end_pauses(case, at);
    pause(case, acknowledge, reason, at, until)
}

fn end_pauses(case: &mut Case, at: Timestamp) {
    for pause in case.pauses.iter_mut().filter(|pause| pause.ended.is_none()) {
        pause.ended = Some(at.min(pause.until));
    }
}

fn stop_all(case: &mut Case, at: Timestamp) {
    end_pauses(case, at);
    for clock in [ClockName::Acknowledge, ClockName::Update, ClockName::Resolve] {
        end_laps(case, clock, at);
    }
}
