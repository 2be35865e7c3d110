//! A case of ours in the fields of TSANet Connect, as far as the customer allows that it goes out.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::fields::{Field as Ours, custom_fields, described};
use super::published::{
    CaseNote, CaseResponse, Contact, CreateField, CreateRequest, Field, SECTION, Status, WholeCase,
};
use super::said::{Said, said};
use crate::case::{Case, ClockName, State};
use crate::clocks::clocks;
use crate::event::{Deed, DeedKind, Event};
use crate::exchange::Thread;
use crate::facts::Grade;
use crate::people::{Engineer, Shareable, Side};

/// What was written, and what has no place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried<T> {
    /// What was written.
    pub value: T,
    /// What is not in it, each with its reason.
    pub not_carried: Vec<String>,
}

/// Why a case is not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutgoingError {
    /// The customer does not allow it.
    #[error(
        "nothing of the case may go out: the customer does not allow that its {} is shared",
        .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
    )]
    Consent(Vec<Shareable>),
    /// The other vendor submitted it.
    #[error(
        "the case was submitted by the other vendor, so there is no request of ours to be made"
    )]
    NotSubmitted,
}

/// An answer of ours, as a call on the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The call: the last part of its path, behind the request's token.
    pub call: &'static str,
    /// When it was said.
    pub at: Timestamp,
    /// Its body.
    pub body: Value,
}

/// The urgency that TSANet Connect has for a severity.
const fn priority(severity: Grade) -> &'static str {
    match severity {
        Grade::Critical | Grade::High => "HIGH",
        Grade::Normal => "MEDIUM",
        Grade::Low => "LOW",
    }
}

fn contact(engineer: &Engineer) -> Contact {
    let (name, email) = (engineer.name.to_string(), engineer.address.to_string());
    Contact { name, email, phone: String::new() }
}

/// Refuses a case whose content may not go out at all.
fn allowed(case: &Case) -> Result<(), OutgoingError> {
    let missing = case.not_allowed(&[Shareable::Problem, Shareable::Configuration]);
    if missing.is_empty() { Ok(()) } else { Err(OutgoingError::Consent(missing)) }
}

/// What no form of a case has a place for.
fn left_out(case: &Case) -> Vec<String> {
    let mut left = vec![
        "telephone numbers: a case has none".to_owned(),
        "internal notes: they never leave this desk".to_owned(),
        "calendar and agreed times, entitlements, the record of the customer's consent".to_owned(),
    ];
    let hidden =
        case.customer.contact.is_some() && !case.not_allowed(&[Shareable::Contact]).is_empty();
    if hidden {
        left.push(
            "the customer's contact: the customer does not allow that it is shared".to_owned(),
        );
    }
    if case.problem.severity == Grade::Critical {
        left.push(
            "the severity critical: the priority is HIGH, and the field Severity has the word"
                .to_owned(),
        );
    }
    if !case.attachments.is_empty() {
        left.push(format!(
            "{} attachments: fields have no files; attach them there",
            case.attachments.len()
        ));
    }
    left
}

/// The request that a person posts, or pastes into the form, to bring a case of ours to its receiver.
///
/// # Errors
/// If the customer does not allow it, or the other vendor submitted the case.
pub fn create_request(
    thread: &Thread,
    document: Option<u64>,
) -> Result<Carried<CreateRequest>, OutgoingError> {
    let case = thread.case();
    if thread.us() != Side::Submitter {
        return Err(OutgoingError::NotSubmitted);
    }
    allowed(case)?;
    let engineer = case.engineers.submitter.as_ref();
    let fields = custom_fields(case).into_iter().enumerate();
    let fields = fields.map(|(place, Ours { name, value })| CreateField {
        section: SECTION,
        label: name,
        kind: "STRING",
        display_order: place + 1,
        value,
        required: false,
    });
    let value = CreateRequest {
        document_id: document,
        internal_case_number: case.numbers.submitter.iter().map(ToString::to_string).collect(),
        receiver_internal_case_number: case.numbers.receiver.as_ref().map(ToString::to_string),
        problem_summary: case.problem.summary.to_string(),
        problem_description: described(case),
        priority: priority(case.problem.severity),
        escalation_instructions: case.escalation_paths.submitter.as_ref().map(ToString::to_string),
        submitter_contact_details: engineer.map_or_else(nobody, contact),
        custom_fields: fields.collect(),
        internal_notes: [],
        test_submission: case.test,
    };
    let mut not_carried = left_out(case);
    if document.is_none() {
        not_carried.push(
            "documentId: the number of the receiver's form, which the service asks for; give it with --document"
                .to_owned(),
        );
    }
    not_carried.push(
        "what was said since the case was offered: see the answers, each of which is a call of its own".to_owned(),
    );
    Ok(Carried { value, not_carried })
}

fn nobody() -> Contact {
    Contact { name: String::new(), email: String::new(), phone: String::new() }
}

const fn status(state: &State) -> Status {
    match state {
        State::Draft {} | State::Offered {} => Status::Open,
        State::InfoRequested { .. } => Status::Information,
        State::Declined { .. } => Status::Rejected,
        State::Accepted {}
        | State::Working {}
        | State::Waiting { .. }
        | State::ResolutionProposed { .. }
        | State::TransferOffered { .. } => Status::Accepted,
        State::Closed { .. } | State::AutoClosed { .. } | State::Withdrawn { .. } => Status::Closed,
    }
}

/// The events of the case that count, in their order.
fn events(thread: &Thread) -> impl Iterator<Item = &Event> {
    let void = |digest| thread.voided().iter().any(|void| void.link.digest == digest);
    thread.timeline().filter(move |sealed| !void(sealed.digest)).map(|sealed| &sealed.message.event)
}

/// The whole case in the form in which TSANet Connect gives a request.
///
/// # Errors
/// If the customer does not allow it.
pub fn whole_case(thread: &Thread) -> Result<Carried<WholeCase>, OutgoingError> {
    let case = thread.case();
    allowed(case)?;
    let (mut case_notes, mut case_responses) = (Vec::new(), Vec::new());
    let mut silent = Silent::default();
    for event in events(thread) {
        let by = event.by;
        match said(event) {
            Said::Nothing => silent.count(&event.deed),
            Said::Closure => {}
            Said::Note { summary, text } => case_notes.push(CaseNote {
                id: case_notes.len() + 1,
                company_name: case.party(by).to_string(),
                creator_name: event.person.as_ref().map(ToString::to_string),
                summary,
                description: text,
                status: "ENTERED",
                created_at: event.at,
            }),
            answer => {
                let engineer = answer.engineer(case);
                case_responses.push(CaseResponse {
                    id: case_responses.len() + 1,
                    kind: answer.kind(),
                    case_number: answer.number(),
                    engineer_name: engineer.as_ref().map(|engineer| engineer.name.to_string()),
                    engineer_email: engineer.as_ref().map(|engineer| engineer.address.to_string()),
                    next_steps: Some(answer.words()),
                    created_at: event.at,
                });
            }
        }
    }
    let responded = case.numbers.receiver.is_some() || matches!(case.state, State::Declined { .. });
    let waits = |reading: &crate::clocks::Reading| {
        reading.lap.clock == ClockName::Acknowledge && reading.is_running()
    };
    let number = |side| case.numbers.of(side).as_ref().map(ToString::to_string);
    let engineer = |side| case.engineers.of(side).as_ref().map(contact);
    let fields = custom_fields(case).into_iter().enumerate();
    let fields = fields.map(|(place, Ours { name, value })| Field {
        section: SECTION,
        field_name: name,
        value,
        display_order: place + 1,
        kind: "STRING",
    });
    let value = WholeCase {
        submit_company_name: case.parties.submitter.to_string(),
        submitter_case_number: number(Side::Submitter),
        receive_company_name: case.parties.receiver.to_string(),
        receiver_case_number: number(Side::Receiver),
        summary: case.problem.summary.to_string(),
        description: described(case),
        direction: (thread.us() == Side::Submitter).then_some("OUTBOUND"),
        priority: priority(case.problem.severity),
        status: status(&case.state),
        created_at: case.opened,
        updated_at: case.active,
        responded,
        respond_by: clocks(case, case.at).iter().rev().find(|it| waits(it)).and_then(|it| it.due),
        escalation_instructions: case.escalation_paths.submitter.as_ref().map(ToString::to_string),
        test_case: case.test,
        custom_fields: fields.collect(),
        submitter_contact_details: engineer(Side::Submitter),
        receiver_contact_details: engineer(Side::Receiver),
        case_notes,
        case_responses,
    };
    let mut not_carried = left_out(case);
    not_carried.push("id, token, company numbers: the service gives them".to_owned());
    if thread.us() == Side::Receiver {
        not_carried
            .push("direction: its word for a request that came in is not published".to_owned());
    }
    not_carried.extend(silent.words());
    Ok(Carried { value, not_carried })
}

/// What we said in a case, as calls on its request, in their order. The request has to be there before.
pub fn answers(thread: &Thread) -> Carried<Vec<Answer>> {
    let case = thread.case();
    let (mut all, mut held, mut silent) = (Vec::new(), 0_usize, Silent::default());
    let mut nobody = 0_usize;
    for event in events(thread).filter(|event| event.by == thread.us()) {
        // The opening is the request itself.
        if matches!(event.deed, Deed::Opened { .. } | Deed::Offered { new_facts: None }) {
            continue;
        }
        if !case.not_allowed(&event.carries(case.owner)).is_empty() {
            held += 1;
            continue;
        }
        let answer = said(event);
        let engineer = answer.engineer(case);
        let (name, email) = engineer.as_ref().map_or_else(Default::default, |engineer| {
            (engineer.name.to_string(), engineer.address.to_string())
        });
        if answer.needs_engineer() && engineer.is_none() {
            nobody += 1;
        }
        let (call, body) = match &answer {
            Said::Nothing => {
                silent.count(&event.deed);
                continue;
            }
            Said::Approval { .. } => (
                "approval",
                json!({ "caseNumber": answer.number(), "engineerName": name, "engineerPhone": "",
                        "engineerEmail": email, "nextSteps": answer.words() }),
            ),
            Said::Rejection { .. } => (
                "rejection",
                json!({ "engineerName": name, "engineerPhone": "", "engineerEmail": email,
                        "reason": answer.words() }),
            ),
            Said::Question { .. } => (
                "information-request",
                json!({ "engineerName": name, "engineerPhone": "", "engineerEmail": email,
                        "requestedInformation": answer.words() }),
            ),
            Said::Information { .. } => {
                ("information-response", json!({ "requestedInformation": answer.words() }))
            }
            Said::Note { summary, text } => (
                "notes",
                json!({ "summary": summary, "description": text,
                        "priority": priority(case.problem.severity) }),
            ),
            Said::Closure => ("closure", json!({})),
        };
        all.push(Answer { call, at: event.at, body });
    }
    let mut not_carried = left_out(case);
    if held > 0 {
        not_carried.push(format!(
            "{held} answers with words of the customer's: the customer does not allow that they go out"
        ));
    }
    if nobody > 0 {
        not_carried.push(format!(
            "engineerName and engineerEmail of {nobody} answers, which the service asks for: the case names no \
             engineer of this party (hospitium case assign)"
        ));
    }
    not_carried.extend(silent.words());
    Carried { value: all, not_carried }
}

/// Deeds that say nothing in another case exchange.
#[derive(Debug, Default)]
struct Silent(std::collections::BTreeMap<DeedKind, usize>);

impl Silent {
    fn count(&mut self, deed: &Deed) {
        if !matches!(deed, Deed::Opened { .. } | Deed::Offered { .. }) {
            *self.0.entry(deed.kind()).or_default() += 1;
        }
    }

    fn words(self) -> Option<String> {
        let all: Vec<_> = self.0.iter().map(|(kind, count)| format!("{kind} ({count})")).collect();
        (!all.is_empty()).then(|| format!("what has no call there: {}", all.join(", ")))
    }
}
