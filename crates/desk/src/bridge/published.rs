//! The fields that TSANet Connect publishes, under their published names.
//!
//! Sources: tsanet.gitbook.io/connect/api-reference (collaboration-requests, case-responses), as of October 2025; the
//! values of `status` and of a response's `type` beyond the page's examples: github.com/tsanetgit/Connect_SDK.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// The name of the case exchange, as it stands in what was heard.
pub const THROUGH: &str = "TSANet Connect";
/// The section of the custom fields that are ours.
pub const SECTION: &str = "Hospitium";

/// Where a request stands. Other values are kept as text where they are read, and mean nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Neither approved nor rejected.
    Open,
    /// The receiver asked for information.
    Information,
    /// Approved.
    Accepted,
    /// Rejected.
    Rejected,
    /// At its end.
    Closed,
}

impl Status {
    /// The published word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Information => "INFORMATION",
            Self::Accepted => "ACCEPTED",
            Self::Rejected => "REJECTED",
            Self::Closed => "CLOSED",
        }
    }

    /// The status of a published word.
    pub fn of(word: &str) -> Option<Self> {
        let all = [Self::Open, Self::Information, Self::Accepted, Self::Rejected, Self::Closed];
        all.into_iter().find(|status| status.word() == word)
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// Whom to reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contact {
    /// The name.
    pub name: String,
    /// The mail address.
    pub email: String,
    /// The telephone. A case has none, so it is empty.
    pub phone: String,
}

/// A custom field of a request that is created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateField {
    /// Where it stands in the form.
    pub section: &'static str,
    /// Its name.
    pub label: &'static str,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its place in the section, from 1.
    pub display_order: usize,
    /// What stands in it.
    pub value: String,
    /// Whether it has to be filled in.
    pub required: bool,
}

/// The body of `POST /v1/collaboration-requests`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateRequest {
    /// The receiver's form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_id: Option<u64>,
    /// Our case number.
    pub internal_case_number: String,
    /// The receiver's, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receiver_internal_case_number: Option<String>,
    /// The problem in one line.
    pub problem_summary: String,
    /// The problem in full.
    pub problem_description: String,
    /// How urgent it is.
    pub priority: &'static str,
    /// How to escalate at the submitter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalation_instructions: Option<String>,
    /// Whom to reach at the submitter.
    pub submitter_contact_details: Contact,
    /// What has no field of its own.
    pub custom_fields: Vec<CreateField>,
    /// Always empty: internal notes do not leave this desk.
    pub internal_notes: [(); 0],
    /// A trial.
    pub test_submission: bool,
}

/// A custom field of a request that is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// Where it stands.
    pub section: &'static str,
    /// Its name.
    pub field_name: &'static str,
    /// What stands in it.
    pub value: String,
    /// Its place in the section, from 1.
    pub display_order: usize,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// A note in a request that is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseNote {
    /// Its number in this file.
    pub id: usize,
    /// Whose.
    pub company_name: String,
    /// By whom there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creator_name: Option<String>,
    /// In one line.
    pub summary: String,
    /// In full.
    pub description: String,
    /// `ENTERED`.
    pub status: &'static str,
    /// When.
    pub created_at: Timestamp,
}

/// An answer in a request that is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseResponse {
    /// Its number in this file.
    pub id: usize,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The receiver's case number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case_number: Option<String>,
    /// The receiver's engineer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engineer_name: Option<String>,
    /// The engineer's mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engineer_email: Option<String>,
    /// The words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_steps: Option<String>,
    /// When.
    pub created_at: Timestamp,
}

/// A case in the form in which a request is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WholeCase {
    /// The submitter.
    pub submit_company_name: String,
    /// The submitter's case number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submitter_case_number: Option<String>,
    /// The receiver.
    pub receive_company_name: String,
    /// The receiver's case number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receiver_case_number: Option<String>,
    /// The problem in one line.
    pub summary: String,
    /// The problem in full.
    pub description: String,
    /// `OUTBOUND` of a request that we submitted; the other value is not published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<&'static str>,
    /// How urgent it is.
    pub priority: &'static str,
    /// Where it stands.
    pub status: Status,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When something happened last.
    pub updated_at: Timestamp,
    /// Whether the receiver accepted or declined.
    pub responded: bool,
    /// By when the receiver has to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub respond_by: Option<Timestamp>,
    /// How to escalate at the submitter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalation_instructions: Option<String>,
    /// A trial.
    pub test_case: bool,
    /// What has no field of its own.
    pub custom_fields: Vec<Field>,
    /// Whom to reach at the submitter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submitter_contact_details: Option<Contact>,
    /// Whom to reach at the receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receiver_contact_details: Option<Contact>,
    /// What was noted, by both.
    pub case_notes: Vec<CaseNote>,
    /// What was answered, by both.
    pub case_responses: Vec<CaseResponse>,
}
