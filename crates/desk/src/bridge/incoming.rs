//! What the other vendor did since, as a file of TSANet Connect tells it: the events that are new, and what was not taken.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::opening::{heard, line, time, words};
use super::published::{Status, THROUGH};
use super::reading::{Note, Request, Response, Told};
use crate::apply::apply;
use crate::case::{Case, LONGEST_PAUSE, State};
use crate::event::{Deed, DeedKind, Event};
use crate::exchange::{Heard, Thread, followed_by};
use crate::outcome::{Confirmation, DeclineReason, Minutes, Visibility, WaitFor};
use crate::people::{Engineer, Side};
use crate::text::{LINE_LIMIT, Line, PartyName, Text};

/// The most events that one import makes; what is left comes with the next one.
const MOST: usize = 1_000;

/// What the file cannot tell.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The receiver's engineer, if the file's is not the one.
    pub engineer: Option<Engineer>,
    /// In what time the receiver answers, if not in the agreed time.
    pub respond_within: Option<Minutes>,
}

/// What is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// The events, in their order, each with its source.
    pub parts: Vec<(Event, Heard)>,
    /// How many parts of the file were heard before.
    pub known: usize,
    /// What a person has to know.
    pub told: Vec<String>,
}

/// Why nothing of the file is taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IncomingError {
    /// The other vendor has a desk.
    #[error(
        "the case is exchanged with the desk of {0}, which signs what it says: nothing is taken from an unsigned file"
    )]
    SpeaksItself(PartyName),
    /// Another request.
    #[error("the case is {here} of {THROUGH}, and the file has {there}")]
    OtherRequest {
        /// The case's.
        here: Line,
        /// The file's.
        there: Line,
    },
}

/// Something in the file.
enum Item<'r> {
    Response(&'r Response),
    Note(&'r Note),
}

impl Item<'_> {
    const fn at(&self) -> Option<Timestamp> {
        match self {
            Self::Response(it) => it.at,
            Self::Note(it) => it.at,
        }
    }

    const fn part(&self) -> &Line {
        match self {
            Self::Response(it) => &it.part,
            Self::Note(it) => &it.part,
        }
    }
}

/// The case while the file is gone through.
struct Going<'t> {
    thread: &'t Thread,
    request: &'t Request,
    given: &'t Given,
    case: Case,
    parts: Vec<(Event, Heard)>,
    told: Told,
}

/// What of a request is new to a bridged case. Nothing is changed: the parts are for [`Store::hear`](crate::store::Store::hear).
///
/// # Errors
/// If the case is not bridged, or is another request.
pub fn incoming(
    thread: &Thread,
    request: &Request,
    given: &Given,
    now: Timestamp,
) -> Result<Incoming, IncomingError> {
    let them = thread.us().other();
    if !thread.is_bridged() {
        return Err(IncomingError::SpeaksItself(thread.case().party(them).clone()));
    }
    if let Some(here) = thread.heard_of().filter(|here| here.request != request.name) {
        let (here, there) = (here.request.clone(), request.name.clone());
        return Err(IncomingError::OtherRequest { here, there });
    }
    let heard_parts: HashSet<&Line> = thread
        .chain(them)
        .iter()
        .filter_map(|sealed| sealed.message.heard.as_ref().map(|heard| &heard.part))
        .collect();
    let responses = request.responses.iter().map(Item::Response);
    let mut items: Vec<_> = responses.chain(request.notes.iter().map(Item::Note)).collect();
    // As they were said; what has no time is said last.
    items.sort_by_key(|item| item.at().unwrap_or(Timestamp::MAX));
    let mut going = Going {
        thread,
        request,
        given,
        case: thread.case().clone(),
        parts: Vec::new(),
        told: request.told.clone(),
    };
    if thread.heard_of().is_none() {
        let company = match them {
            Side::Submitter => &request.submitter,
            Side::Receiver => &request.receiver,
        };
        let company = company.as_ref().map_or("", |company| company.as_str());
        going.told.tell(format!(
            "what {company:?} says there is heard of {}, and signed by nobody",
            thread.case().party(them)
        ));
    }
    let mut known = 0;
    let mut left = 0_usize;
    for item in &items {
        if heard_parts.contains(item.part()) {
            known += 1;
            continue;
        }
        if going.parts.len() >= MOST {
            left += 1;
            continue;
        }
        match item {
            Item::Response(response) => going.response(response, now),
            Item::Note(note) => going.note(note, now),
        }
    }
    if left > 0 {
        going.told.tell(format!("{left} more parts are left: import the file again"));
    } else {
        going.end(&heard_parts, now);
    }
    going.compare();
    let Going { parts, told, .. } = going;
    Ok(Incoming { parts, known, told: told.lines() })
}

impl Going<'_> {
    fn us(&self) -> Side {
        self.thread.us()
    }

    /// Takes a deed of the other side, if it is legal as the case stands by now.
    fn take(&mut self, deed: Deed, person: Option<Line>, at: Timestamp, part: Line) -> bool {
        let event = Event { at, by: self.us().other(), person, deed };
        match apply(&self.case, &event) {
            Ok(next) => {
                self.case = next;
                let heard = heard(self.thread.case().party(self.us()), self.request, part);
                self.parts.push((event, heard));
                true
            }
            Err(illegal) => {
                self.told.tell(format!("{part} is left out: {illegal}"));
                false
            }
        }
    }

    /// Something of our own side: it is said at this desk, by a person, or it was.
    fn ours(&mut self, part: &Line, what: &str, here: bool) {
        if !here {
            self.told.tell(format!(
                "{part} ({what}) is of this party and not said at this desk: left out; say it here"
            ));
        }
    }

    fn did(&self, kinds: &[DeedKind]) -> bool {
        let ours = self.thread.chain(self.us()).iter();
        ours.map(|sealed| sealed.message.event.deed.kind()).any(|kind| kinds.contains(&kind))
    }

    fn response(&mut self, response: &Response, now: Timestamp) {
        use DeedKind as D;
        let Response { part, kind, .. } = response;
        let (side, same): (_, &[DeedKind]) = match kind.as_str() {
            "APPROVAL" => (Side::Receiver, &[D::Accepted]),
            "REJECTION" => (Side::Receiver, &[D::Declined]),
            "INFORMATION_REQUEST" => (Side::Receiver, &[D::InfoRequested, D::Waited]),
            "INFORMATION_RESPONSE" => (Side::Submitter, &[D::InfoGiven, D::Answered]),
            other => {
                let words = response.text.as_ref().map_or("", |text| text.as_str());
                self.told.tell(format!(
                    "{part} is of the type {other:?}, which is not known: left out: {words}"
                ));
                return;
            }
        };
        if side == self.us() {
            self.ours(part, kind.as_str(), self.did(same));
            return;
        }
        let Some(at) = time(part.as_str(), response.at, now, &mut self.told) else { return };
        let text = || response.text.clone().unwrap_or_else(Text::unsaid);
        let person = response.engineer.name.clone();
        let deed = match kind.as_str() {
            "APPROVAL" => return self.approval(response, at),
            "REJECTION" => {
                let reason = response.text.as_ref().and_then(|text| line(text.as_str()));
                let vendor = self.case.party(Side::Receiver);
                Deed::Declined {
                    next_step: words(&format!(
                        "{THROUGH} names no next step; ask {vendor}. In its words: {}",
                        text()
                    )),
                    reason: match reason.or_else(|| line("no reason was given")) {
                        Some(words) => DeclineReason::Heard { words },
                        None => DeclineReason::OutOfScope,
                    },
                }
            }
            "INFORMATION_REQUEST" => {
                // No end is published; the pause ends by itself when it has lasted as long as one may.
                let from = at.max(self.case.at);
                let until = from.saturating_add(LONGEST_PAUSE - SignedDuration::from_secs(1));
                let until = until.unwrap_or(Timestamp::MAX);
                match self.case.state {
                    State::Working {} => {
                        Deed::Waited { wait: WaitFor::Submitter, reason: text(), until }
                    }
                    _ => Deed::InfoRequested { question: text(), until },
                }
            }
            _ => match self.case.state {
                State::Waiting { wait: WaitFor::Submitter, .. } => Deed::Answered { text: text() },
                _ => Deed::InfoGiven { answer: text() },
            },
        };
        self.take(deed, person, at, part.clone());
    }

    /// An approved request is in work: there is no state between.
    fn approval(&mut self, response: &Response, at: Timestamp) {
        let Response { part, engineer: named, .. } = response;
        let vendor = self.case.party(Side::Receiver).clone();
        let number = response.number.clone().or_else(|| self.request.receiver_number.clone());
        let Some(number) = number else {
            self.told.tell(format!("{part} (APPROVAL) has no case number: left out"));
            return;
        };
        let in_file =
            || Some(Engineer { name: named.name.clone()?, address: named.address.clone()? });
        let engineer = self.given.engineer.clone().or_else(in_file);
        let Some(engineer) = engineer.filter(|engineer| engineer.address.is_of(&vendor)) else {
            self.told.tell(format!(
                "{part} (APPROVAL) names no engineer with a mail address on {vendor}: left out; name one with --engineer"
            ));
            return;
        };
        let person = Some(engineer.name.clone());
        let respond_within = self.given.respond_within.unwrap_or(self.case.terms.update);
        let accepted = Deed::Accepted { number, engineer, respond_within, escalation: None };
        if !self.take(accepted, person.clone(), at, part.clone()) {
            return;
        }
        self.take(Deed::Started {}, person.clone(), at, followed_by(part, "work begins"));
        if let Some(text) = response.text.clone() {
            let noted = Deed::Noted { visibility: Visibility::Both, text };
            self.take(noted, person, at, followed_by(part, "next steps"));
        }
    }

    fn note(&mut self, note: &Note, now: Timestamp) {
        let Note { part, company, person, text, .. } = note;
        let names = (&self.request.submitter, &self.request.receiver);
        let side = match (company == names.0, company == names.1) {
            (true, false) if company.is_some() => Side::Submitter,
            (false, true) if company.is_some() => Side::Receiver,
            _ => {
                let company = company.as_ref().map_or("", |company| company.as_str());
                self.told.tell(format!(
                    "{part} is of {company:?}, which is not one of the two companies: left out: {text}"
                ));
                return;
            }
        };
        if side == self.us() {
            let noted =
                |sealed: &crate::exchange::Sealed| match super::said::said(&sealed.message.event) {
                    super::said::Said::Note { text: ours, .. } => {
                        super::reading::text_of(&ours).is_some_and(|(ours, _)| ours == *text)
                            || text.as_str().ends_with(&ours)
                    }
                    _ => false,
                };
            let here = self.thread.chain(self.us()).iter().any(noted);
            self.ours(part, "note", here);
            return;
        }
        let Some(at) = time(part.as_str(), note.at, now, &mut self.told) else { return };
        let deed = Deed::Noted { visibility: Visibility::Both, text: text.clone() };
        self.take(deed, person.clone(), at, part.clone());
    }

    /// The end, where the other vendor owns the customer and closed the request.
    fn end(&mut self, known: &HashSet<&Line>, now: Timestamp) {
        let closed =
            self.request.status.as_ref().is_some_and(|word| word.as_str() == Status::Closed.word());
        if !closed && self.request.deleted.is_none() || !self.case.state.is_open() {
            return;
        }
        if self.case.owner == self.us() {
            self.told.tell(format!(
                "the request is closed in {THROUGH}, which does not say at which layer the fault was: the case stays \
                 open here; propose the resolution and close it"
            ));
            return;
        }
        let Some(part) = line("closed").filter(|part| !known.contains(part)) else { return };
        let at = self.request.deleted.or(self.request.updated);
        let Some(at) = time("the end of the request", at, now, &mut self.told) else { return };
        let unsaid =
            format!("closed in {THROUGH}; whether the customer confirmed it is not said there");
        let company = self.request.submitter.as_ref().map_or("", |name| name.as_str());
        let deed = match (&self.case.state, line(&format!("{company}, not the customer"))) {
            (State::ResolutionProposed { .. }, Some(by)) => {
                Deed::Confirmed { confirmation: Confirmation { by, text: Some(words(&unsaid)) } }
            }
            _ => Deed::Withdrawn { comment: words(&unsaid) },
        };
        self.take(deed, None, at, part);
    }

    /// Tells where file and case contradict each other. The case stays as it is.
    fn compare(&mut self) {
        let Self { request, case, told, .. } = self;
        if let Some(summary) = request
            .summary
            .as_ref()
            .filter(|there| line(case.problem.summary.as_str()).as_ref() != Some(*there))
        {
            told.tell(format!(
                "the summary is {:?} there: the case keeps its own",
                summary.as_str()
            ));
        }
        let numbers = [
            ("submitterCaseNumber", &request.submitter_number, &case.numbers.submitter),
            ("receiverCaseNumber", &request.receiver_number, &case.numbers.receiver),
        ];
        for (name, there, here) in numbers {
            let here = here.as_ref().and_then(|number| line(number.as_str()));
            if let (Some(there), Some(here)) = (there, here)
                && *there != here
            {
                told.tell(format!(
                    "{name} is {there} there and {here} here: the case keeps its own"
                ));
            }
        }
        let Some(word) = &request.status else { return };
        let fits = match Status::of(word.as_str()) {
            None => {
                told.tell(format!(
                    "the status {:?} is not known: it changes nothing",
                    word.as_str()
                ));
                return;
            }
            Some(Status::Open) => matches!(case.state, State::Offered {} | State::Draft {}),
            Some(Status::Information) => {
                matches!(case.state, State::InfoRequested { .. } | State::Waiting { .. })
            }
            Some(Status::Accepted) => matches!(
                case.state,
                State::Accepted {}
                    | State::Working {}
                    | State::Waiting { .. }
                    | State::ResolutionProposed { .. }
                    | State::TransferOffered { .. }
            ),
            Some(Status::Rejected) => matches!(case.state, State::Declined { .. }),
            // Told where it is looked at.
            Some(Status::Closed) => true,
        };
        if !fits {
            let word: String = word.as_str().chars().take(LINE_LIMIT).collect();
            told.tell(format!("the request is {word} there, and the case is {} here", case.state));
        }
    }
}
