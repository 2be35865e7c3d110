//! What an event says in the calls that TSANet Connect has.

use crate::case::Case;
use crate::event::{Deed, Event};
use crate::outcome::{Outcome, WaitFor};
use crate::people::{Engineer, Side};
use crate::text::{Line, Text};

/// The most characters of a summary that we write.
const SUMMARY: usize = 120;

/// What an event is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// The receiver takes the request.
    Approval { number: Line, engineer: Engineer, words: String },
    /// The receiver does not.
    Rejection { words: String },
    /// The receiver asks the submitter.
    Question { words: Text },
    /// The submitter answers.
    Information { words: Text },
    /// Anything else that has words.
    Note { summary: String, text: String },
    /// The end.
    Closure,
    /// It has no words there.
    Nothing,
}

impl Said {
    /// The type of a response that it is.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Approval { .. } => "APPROVAL",
            Self::Rejection { .. } => "REJECTION",
            Self::Question { .. } => "INFORMATION_REQUEST",
            Self::Information { .. } => "INFORMATION_RESPONSE",
            Self::Note { .. } | Self::Closure | Self::Nothing => "",
        }
    }

    /// The receiver's case number.
    pub fn number(&self) -> Option<String> {
        match self {
            Self::Approval { number, .. } => Some(number.to_string()),
            _ => None,
        }
    }

    /// Its words.
    pub fn words(&self) -> String {
        match self {
            Self::Approval { words, .. } | Self::Rejection { words } => words.clone(),
            Self::Question { words } | Self::Information { words } => words.to_string(),
            Self::Note { text, .. } => text.clone(),
            Self::Closure | Self::Nothing => String::new(),
        }
    }

    /// Whether the call names an engineer of the receiver's.
    pub const fn needs_engineer(&self) -> bool {
        matches!(self, Self::Approval { .. } | Self::Rejection { .. } | Self::Question { .. })
    }

    /// The receiver's engineer, where the call names one.
    pub fn engineer(&self, case: &Case) -> Option<Engineer> {
        match self {
            Self::Approval { engineer, .. } => Some(engineer.clone()),
            it if it.needs_engineer() => case.engineers.receiver.clone(),
            _ => None,
        }
    }
}

fn note(summary: &str, text: impl ToString) -> Said {
    Said::Note { summary: summary.to_owned(), text: text.to_string() }
}

fn outcome_words(outcome: &Outcome) -> String {
    let mut words = format!("at fault: {}\n{}", outcome.layer, outcome.resolution);
    outcome.fixes.iter().for_each(|fix| words += &format!("\nfix: {fix}"));
    outcome.workaround.iter().for_each(|way| words += &format!("\nworkaround: {way}"));
    words
}

/// What the event is in TSANet Connect. Names of the customer's people are left out.
pub fn said(event: &Event) -> Said {
    match &event.deed {
        Deed::Accepted { number, engineer, respond_within, .. } => Said::Approval {
            number: number.clone(),
            engineer: engineer.clone(),
            words: format!("first word within {respond_within} of working time"),
        },
        Deed::Declined { reason, next_step } => {
            Said::Rejection { words: format!("{reason}. Next step: {next_step}") }
        }
        Deed::InfoRequested { question, .. } => Said::Question { words: question.clone() },
        Deed::Waited { wait: WaitFor::Submitter, reason, .. } if event.by == Side::Receiver => {
            Said::Question { words: reason.clone() }
        }
        Deed::InfoGiven { answer } => Said::Information { words: answer.clone() },
        Deed::Answered { text } if event.by == Side::Submitter => {
            Said::Information { words: text.clone() }
        }
        Deed::Offered { new_facts: Some(facts) } => note("new facts", facts),
        Deed::Waited { wait, reason, .. } => note(&format!("waits for the {wait}"), reason),
        Deed::Answered { text } => note("answer", text),
        Deed::Proposed { outcome } => note("proposed resolution", outcome_words(outcome)),
        Deed::Rejected { comment } => note("the resolution is rejected", comment),
        Deed::TransferOffered { reason } => note("the customer is offered", reason),
        Deed::TransferAccepted { engineer } => note("the customer is taken over", engineer),
        Deed::TransferRefused { comment } => note("the customer is refused", comment),
        Deed::Reopened { reason } => note("reopened", reason),
        Deed::Noted { text, .. } => note(&first_line(text.as_str()), text),
        Deed::ActionAdded { what, by, due } => {
            note(&format!("to be done by the {by} until {due}"), what)
        }
        Deed::ReproductionAsked { by, what, .. } => {
            note(&format!("a reproduction by the {by} is asked for"), what)
        }
        Deed::Reproduced { result, .. } => {
            note(&format!("reproduction: {}", result.shown), &result.text)
        }
        Deed::Escalated { level, reason } => note(&format!("escalated to level {level}"), reason),
        Deed::SeverityChanged { severity, reason } => {
            note(&format!("the severity is {severity}"), reason)
        }
        Deed::PriorityChanged { priority, reason } => {
            note(&format!("the priority is {priority}"), reason)
        }
        Deed::FactsAdded { text, .. } => note("new facts", text),
        Deed::Confirmed { .. } | Deed::Withdrawn { .. } | Deed::AutoClosed { .. } => Said::Closure,
        Deed::Opened { .. }
        | Deed::Amended { .. }
        | Deed::Offered { new_facts: None }
        | Deed::Started {}
        | Deed::PauseExtended { .. }
        | Deed::IdleWarned {}
        | Deed::Attached { .. }
        | Deed::ActionDone { .. }
        | Deed::Assigned { .. }
        | Deed::Numbered { .. }
        | Deed::EntitlementChecked { .. }
        | Deed::ConsentGiven { .. }
        | Deed::ConsentWithdrawn { .. } => Said::Nothing,
    }
}

/// The summary of a note: its first line.
pub fn first_line(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    hospitium_model::printable(line, SUMMARY)
}
