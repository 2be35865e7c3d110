//! A request that another vendor sent us, as the opening of a case at our desk.

use hospitium_model::printable;
use jiff::{SignedDuration, Timestamp};

use super::fields;
use super::published::THROUGH;
use super::reading::{Request, Told};
use crate::event::{Channel, Opening, Terms};
use crate::exchange::{Heard, TOLERANCE};
use crate::facts::{Configuration, FrozenVerdict, Grade, Problem, Topic};
use crate::people::{Both, Consent, Customer, Engineer, Entitled, Entitlement, Shareable};
use crate::text::{CaseId, LINE_LIMIT, Line, PartyName, Text};

/// The age of the oldest thing that is taken in: clocks are reckoned day by day.
const OLDEST: SignedDuration = SignedDuration::from_hours(10 * 366 * 24);

/// What the file cannot tell.
#[derive(Debug, Clone)]
pub struct Receiving {
    /// The new case's id.
    pub id: CaseId,
    /// This party, the receiver.
    pub us: PartyName,
    /// The submitter, as a domain: the file has a company's name.
    pub vendor: PartyName,
    /// The submitter's engineer, if the file's is not the one.
    pub engineer: Option<Engineer>,
    /// The customer, if the file does not name it.
    pub customer: Option<Line>,
    /// What the customer has.
    pub configuration: Configuration,
    /// What our catalog says of it.
    pub verdict: FrozenVerdict,
    /// The times that were agreed.
    pub terms: Terms,
}

/// A case to be begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What it is opened with.
    pub opening: Opening,
    /// When the request was made.
    pub at: Timestamp,
    /// Who made it.
    pub person: Option<Line>,
    /// Where it was heard.
    pub heard: Heard,
    /// What a person has to know.
    pub told: Vec<String>,
}

/// Why a request opens no case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpeningError {
    /// The file lacks something that a case has to have.
    #[error("the file has no {0}, and a case cannot be opened without")]
    Lacks(&'static str),
    /// Nobody who can be reached.
    #[error("the file names no engineer with a mail address on {0}")]
    Engineer(PartyName),
    /// No customer.
    #[error("the file does not name the customer")]
    Customer,
}

/// What was heard of a request at this desk.
pub fn heard(by: &PartyName, request: &Request, part: Line) -> Heard {
    let through = line(THROUGH).unwrap_or_else(|| part.clone());
    Heard { by: by.clone(), through, request: request.name.clone(), part }
}

/// A line of words that are ours, and perhaps a name in them.
pub fn line(words: &str) -> Option<Line> {
    printable(words, LINE_LIMIT).parse().ok()
}

/// A text of words that are ours.
pub fn words(words: &str) -> Text {
    super::reading::text_of(words).map_or_else(Text::unsaid, |(text, _)| text)
}

/// The time of something in the file, if a case can have it: not later than now, and not ten years ago.
pub fn time(
    what: &str,
    at: Option<Timestamp>,
    now: Timestamp,
    told: &mut Told,
) -> Option<Timestamp> {
    let Some(at) = at else {
        told.tell(format!("{what} has no time: it counts as of now"));
        return Some(now);
    };
    if at > now.saturating_add(TOLERANCE).unwrap_or(Timestamp::MAX) {
        told.tell(format!(
            "{what} is dated {at}, and it is {now}: left out until its time has come"
        ));
        return None;
    }
    if at < now.saturating_sub(OLDEST).unwrap_or(Timestamp::MIN) {
        told.tell(format!("{what} is dated {at}, more than ten years ago: left out"));
        return None;
    }
    // To the second, as all times of a case that people read.
    Some(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

/// The severity: our own field's word, else what the priority means.
fn severity(request: &Request, told: &mut Told) -> Grade {
    let ours = request.ours(fields::SEVERITY).map(|text| text.as_str());
    let all = [Grade::Critical, Grade::High, Grade::Normal, Grade::Low];
    if let Some(grade) = all.into_iter().find(|grade| Some(grade.to_string().as_str()) == ours) {
        return grade;
    }
    match request.priority.as_ref().map(Line::as_str) {
        Some("LOW") => Grade::Low,
        Some("MEDIUM") => Grade::Normal,
        Some("HIGH") => Grade::High,
        Some(other) => {
            told.tell(format!("the priority {other:?} is not known: the severity is normal"));
            Grade::Normal
        }
        None => {
            told.tell("the file has no priority: the severity is normal");
            Grade::Normal
        }
    }
}

/// The opening of a case that another vendor submitted through TSANet Connect.
///
/// # Errors
/// If neither the file nor a person told what a case has to have.
pub fn opening(
    request: &Request,
    given: Receiving,
    now: Timestamp,
) -> Result<Opened, OpeningError> {
    let Receiving { id, us, vendor, engineer, customer, configuration, verdict, terms } = given;
    let mut told = request.told.clone();
    let summary = request.summary.clone().ok_or(OpeningError::Lacks("summary"))?;
    let number = match request.submitter_number.clone() {
        Some(number) => number,
        None => {
            told.tell(format!(
                "submitterCaseNumber is missing: {} stands in its place",
                request.name
            ));
            request.name.clone()
        }
    };
    let theirs = &request.submitter_engineer;
    let in_file =
        || Some(Engineer { name: theirs.name.clone()?, address: theirs.address.clone()? });
    let engineer = engineer
        .or_else(in_file)
        .filter(|engineer| engineer.address.is_of(&vendor))
        .ok_or_else(|| OpeningError::Engineer(vendor.clone()))?;
    let customer = customer.or_else(|| request.customer()).ok_or(OpeningError::Customer)?;
    // A request that cannot be dated is taken as of now: the case is real all the same.
    let at = time("createdAt", request.created, now, &mut told).unwrap_or(now);
    let company =
        request.submitter.as_ref().map_or_else(|| vendor.to_string(), ToString::to_string);
    told.tell(format!(
        "{company} signed nothing of this: the case says that it was heard, and by whom"
    ));
    if let Some(verdict) = request.our_line(fields::VERDICT) {
        told.tell(format!(
            "the sender's catalog said {:?}: what ours says stands in the case",
            verdict.as_str()
        ));
    }
    let steps = request.ours(fields::TRIED);
    let steps = steps.into_iter().flat_map(|text| text.as_str().lines()).filter_map(line);
    let severity = severity(request, &mut told);
    let opening = Opening {
        id,
        parties: Both { submitter: vendor, receiver: us.clone() },
        channel: Channel::Bridge,
        test: request.test,
        number,
        engineer: engineer.clone(),
        escalation: request.escalation.clone(),
        customer: Customer {
            name: customer,
            contact: None,
            reference: request.our_line(fields::CUSTOMER_REFERENCE),
        },
        entitlement: Entitlement { entitled: Entitled::Unknown, checked: now, note: None },
        // The customer's consent is the submitter's to have. That it sent both is all that is known of it.
        consent: line(&format!("not named: {company} sent it through {THROUGH}")).map(|by| {
            Consent { by, at, covers: [Shareable::Problem, Shareable::Configuration].into() }
        }),
        configuration,
        verdict,
        problem: Problem {
            description: request.description.clone().unwrap_or_else(|| words(summary.as_str())),
            summary,
            topic: Topic::Technical,
            severity,
            changed: request.ours(fields::CHANGED).cloned(),
            steps: steps.collect(),
        },
        terms,
        links: Vec::new(),
    };
    let heard = heard(&us, request, request.name.clone());
    Ok(Opened { opening, at, person: Some(engineer.name), heard, told: told.lines() })
}

/// Guest and host as our own fields have them.
pub fn pair(request: &Request) -> (Option<Line>, Option<Line>) {
    (request.our_line(fields::GUEST), request.our_line(fields::HOST))
}
