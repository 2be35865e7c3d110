//! What is signed: in-toto statements (in-toto Attestation Framework, Statement v1).

mod build;
pub(crate) mod compact;
mod endorsement;
pub(crate) mod inputs;
mod known_issue;
pub(crate) mod machines;
mod notice;
mod repetition;
mod unknown;
mod validation;

pub(crate) use build::{NOT_IN_RUN, line as check_line};
pub(crate) use compact::cut;

pub use build::{Issue, Refused, validation};
pub use endorsement::{
    EndorsedRecord, Endorsement, EndorsementExtension, REPEATED, REVIEWED, Repetition, Verifier,
};
pub use known_issue::KnownIssue;
pub use machines::{Claim, CoveredRow, Infeasible, MachineCoverage};
pub use notice::{KeyChange, KeyRole, Notice, WaiverRecord};
pub use repetition::{NotRepeated, repeats};
pub use unknown::Unknown;
pub use validation::{
    CheckCounts, CheckLine, Envelope, EvidenceRef, Excluded, ExcludedWhy, Extension, GuestLine,
    HostLine, Outcome, RunLine, Validation, Waiver,
};

use std::collections::{BTreeMap, BTreeSet};

use hospitium_model::Digest;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::standing::NoticeKind;
use crate::text::shown;

/// `_type` of every statement.
pub const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// Version of our extension and of our own predicates.
pub const FORMAT: u32 = 1;
/// The most bytes of a statement: with its signature and base64 it has to fit an entry of the log.
pub const STATEMENT_LIMIT: usize = 48_000;

/// What the names that this project gives to things in files and records begin with: a UUID of version 4 as a URN (RFC
/// 9562, section 4), made once, and behind `#` a name for people. docs/ledger.md tells why.
pub const NAMESPACE: &str = "urn:uuid:9d1fa7ca-d312-466b-9a32-92022317633c#";

/// Predicate types.
pub mod predicate {
    /// What the names of our own predicates began with until hospitium 0.1. They are read as the present ones, and not
    /// written any more.
    const BEFORE: &str = "https://hospitium.example/";

    /// A predicate's present name, by what a statement calls it.
    pub fn present(called: &str) -> &str {
        let Some(name) = called.strip_prefix(BEFORE) else { return called };
        let of_ours = [KEY_CHANGE, SUSPENSION, WITHDRAWAL, LIFTING, WAIVER];
        let same = |ours: &&str| ours.strip_prefix(super::NAMESPACE) == Some(name);
        of_ours.into_iter().find(same).unwrap_or(called)
    }

    /// A validation: in-toto's test result, with our extension under `hospitium`.
    pub const TEST_RESULT: &str = "https://in-toto.io/attestation/test-result/v0.1";
    /// A change of key.
    pub const KEY_CHANGE: &str = "urn:uuid:9d1fa7ca-d312-466b-9a32-92022317633c#key-change/v1";
    /// A certificate is suspended.
    pub const SUSPENSION: &str = "urn:uuid:9d1fa7ca-d312-466b-9a32-92022317633c#suspension/v1";
    /// A certificate is withdrawn for good.
    pub const WITHDRAWAL: &str = "urn:uuid:9d1fa7ca-d312-466b-9a32-92022317633c#withdrawal/v1";
    /// A certificate is suspended no more.
    pub const LIFTING: &str = "urn:uuid:9d1fa7ca-d312-466b-9a32-92022317633c#lifting/v1";
    /// A check's failure is accepted for a time.
    pub const WAIVER: &str = "urn:uuid:9d1fa7ca-d312-466b-9a32-92022317633c#waiver/v1";
    /// Another party's record is endorsed: in-toto's simple verification result, with our extension under `hospitium`.
    pub const ENDORSEMENT: &str = "https://in-toto.io/attestation/svr/v0.1";

    /// A known issue of what a certificate is about.
    pub const KNOWN_ISSUE: &str = "urn:uuid:9d1fa7ca-d312-466b-9a32-92022317633c#known-issue/v1";

    /// All that are read here.
    pub const ALL: [&str; 8] = [
        TEST_RESULT,
        KEY_CHANGE,
        SUSPENSION,
        WITHDRAWAL,
        LIFTING,
        WAIVER,
        ENDORSEMENT,
        KNOWN_ISSUE,
    ];
}

/// An in-toto ResourceDescriptor, as far as we use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Name for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where it is identified: a product id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Digests by algorithm; ours have `sha256`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub digest: BTreeMap<String, String>,
    /// More about it: `role`, `version`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Resource {
    /// Something by its SHA-256.
    pub fn of(name: &str, digest: Digest) -> Self {
        Self {
            name: name.to_owned(),
            uri: None,
            digest: BTreeMap::from([("sha256".to_owned(), digest.to_string())]),
            annotations: BTreeMap::new(),
        }
    }

    /// Its SHA-256, if it has one.
    pub fn sha256(&self) -> Option<Digest> {
        self.digest.get("sha256")?.parse().ok()
    }

    pub(crate) fn note(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }
}

/// A statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// What it is about, by digest.
    pub subject: Vec<Resource>,
    /// What it says.
    pub record: Record,
}

/// What a statement says.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// How a validation ended.
    Validation(Box<Validation>),
    /// The party has another key.
    KeyChange(Box<KeyChange>),
    /// A certificate is not to be relied on for now.
    Suspension(Notice),
    /// A certificate is not to be relied on any more.
    Withdrawal(Notice),
    /// What suspended a certificate does so no more.
    Lifting(Notice),
    /// A check's failure is accepted for a time.
    Waiver(WaiverRecord),
    /// Another party's record was reviewed or repeated.
    Endorsement(Box<Endorsement>),
    /// A known issue of what a certificate is about.
    KnownIssue(Box<KnownIssue>),
    /// Of a kind that this program does not know: passed over.
    Unknown(Box<Unknown>),
}

/// Why bytes are no statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Larger than one may be.
    #[error("the statement has {size} bytes, and one has at most {STATEMENT_LIMIT}")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// Not JSON of a statement.
    #[error("the record holds no in-toto statement: {0}")]
    Form(String),
    /// Another `_type`.
    #[error("the statement is of type {0:?}; this program reads \"{STATEMENT}\"")]
    Type(String),
    /// A predicate that does not parse.
    #[error("the statement's predicate is not a good {kind}: {why}")]
    Content {
        /// Its type.
        kind: &'static str,
        /// Where it breaks.
        why: String,
    },
    /// A later format.
    #[error("the record has format {0}, this program reads up to {FORMAT}; use a later hospitium")]
    Newer(u32),
    /// A test result that is not one of ours.
    #[error("the test result has no \"hospitium\" part: it is no certificate of this kind")]
    Foreign,
    /// Something in it contradicts something else.
    #[error("the record contradicts itself: {0}")]
    Contradiction(String),
}

#[derive(Serialize)]
struct Form<'a, P> {
    #[serde(rename = "_type")]
    kind: &'static str,
    subject: &'a [Resource],
    #[serde(rename = "predicateType")]
    predicate_type: &'a str,
    predicate: &'a P,
}

/// A statement as it is read; its predicate is raw where its kind is not known yet.
#[derive(Deserialize)]
struct Read<P> {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Resource>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: P,
}

impl<P> Read<P> {
    fn check(&self) -> Result<(), StatementError> {
        if self.kind != STATEMENT {
            return Err(StatementError::Type(shown(&self.kind)));
        }
        if self.subject.is_empty() || self.subject.iter().any(|s| s.sha256().is_none()) {
            return Err(StatementError::Form("a subject with a sha256 digest is due".into()));
        }
        Ok(())
    }
}

impl Statement {
    /// Its predicate's type.
    pub fn predicate_type(&self) -> &str {
        match &self.record {
            Record::Validation(_) => predicate::TEST_RESULT,
            Record::KeyChange(_) => predicate::KEY_CHANGE,
            Record::Suspension(_) => predicate::SUSPENSION,
            Record::Withdrawal(_) => predicate::WITHDRAWAL,
            Record::Lifting(_) => predicate::LIFTING,
            Record::Waiver(_) => predicate::WAIVER,
            Record::Endorsement(_) => predicate::ENDORSEMENT,
            Record::KnownIssue(_) => predicate::KNOWN_ISSUE,
            Record::Unknown(unknown) => &unknown.kind,
        }
    }

    /// The party that says it, as it says itself. Believe it only under that party's signature. A record of an unknown
    /// kind may not tell it.
    pub fn party(&self) -> Option<&str> {
        Some(match &self.record {
            Record::Validation(validation) => &validation.hospitium.party,
            Record::KeyChange(change) => &change.party,
            Record::Suspension(notice) | Record::Withdrawal(notice) | Record::Lifting(notice) => {
                &notice.party
            }
            Record::Waiver(waiver) => &waiver.party,
            Record::Endorsement(endorsement) => &endorsement.hospitium.party,
            Record::KnownIssue(issue) => &issue.party,
            Record::Unknown(unknown) => return unknown.party.as_deref(),
        })
    }

    /// Everything that it is about by its subject, by SHA-256, and for a record of an unknown kind everything that it
    /// names: what it says of that is not known.
    pub fn about(&self) -> BTreeSet<Digest> {
        let mut about: BTreeSet<_> = self.subject.iter().filter_map(Resource::sha256).collect();
        if let Record::Unknown(unknown) = &self.record {
            about.extend(unknown.named());
        }
        about
    }

    /// The suspension, lifting or withdrawal that it is, if it is one.
    pub const fn notice(&self) -> Option<(NoticeKind, &Notice)> {
        match &self.record {
            Record::Suspension(notice) => Some((NoticeKind::Suspension, notice)),
            Record::Lifting(notice) => Some((NoticeKind::Lifting, notice)),
            Record::Withdrawal(notice) => Some((NoticeKind::Withdrawal, notice)),
            _ => None,
        }
    }

    /// When it was made, by the party's clock. A record of an unknown kind may not tell it.
    pub fn issued(&self) -> Option<Timestamp> {
        Some(match &self.record {
            Record::Validation(validation) => validation.hospitium.issued,
            Record::KeyChange(change) => change.issued,
            Record::Suspension(notice) | Record::Withdrawal(notice) | Record::Lifting(notice) => {
                notice.issued
            }
            Record::Waiver(waiver) => waiver.issued,
            Record::Endorsement(endorsement) => endorsement.hospitium.issued,
            Record::KnownIssue(issue) => issue.issued,
            Record::Unknown(unknown) => return unknown.issued,
        })
    }

    /// The bytes to sign: JSON without spaces.
    ///
    /// # Errors
    /// If they would be too many, or would not read back as this statement.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StatementError> {
        let bytes = match &self.record {
            Record::Validation(validation) => self.form(validation.as_ref()),
            Record::KeyChange(change) => self.form(change.as_ref()),
            Record::Suspension(notice) | Record::Withdrawal(notice) | Record::Lifting(notice) => {
                self.form(notice)
            }
            Record::Waiver(waiver) => self.form(waiver),
            Record::Endorsement(endorsement) => self.form(endorsement.as_ref()),
            Record::KnownIssue(issue) => self.form(issue.as_ref()),
            Record::Unknown(unknown) => {
                let predicate = unknown.predicate();
                self.form(&predicate.map_err(|error| StatementError::Form(error.to_string()))?)
            }
        }?;
        // Never sign what nobody can read: a number that is not finite, for one.
        Self::parse(&bytes)?;
        Ok(bytes)
    }

    fn form(&self, predicate: &impl Serialize) -> Result<Vec<u8>, StatementError> {
        let form = Form {
            kind: STATEMENT,
            subject: &self.subject,
            predicate_type: self.predicate_type(),
            predicate,
        };
        serde_json::to_vec(&form).map_err(|error| StatementError::Form(error.to_string()))
    }

    /// Reads a statement, and refuses one that contradicts itself.
    ///
    /// # Errors
    /// If it is too large, malformed, of a later format, or contradicts itself. One of an unknown kind is read as
    /// [`Record::Unknown`].
    pub fn parse(bytes: &[u8]) -> Result<Self, StatementError> {
        if bytes.len() > STATEMENT_LIMIT {
            return Err(StatementError::TooLarge { size: bytes.len() });
        }
        // Nearly every record is a validation, and is read once; everything else by its predicate's type.
        let text = str::from_utf8(bytes)
            .map_err(|_| StatementError::Form("it is not UTF-8 text".into()))?;
        let whole = serde_json::from_str::<Read<Box<Validation>>>(text).ok();
        if let Some(read) = whole.filter(|read| read.predicate_type == predicate::TEST_RESULT) {
            read.check()?;
            return Self::of_validation(read.subject, read.predicate);
        }
        let read: Read<&RawValue> = serde_json::from_str(text)
            .map_err(|error| StatementError::Form(shown(&error.to_string())))?;
        read.check()?;
        let raw = read.predicate;
        let record = match predicate::present(&read.predicate_type) {
            predicate::TEST_RESULT => {
                // A foreign one or a later one does not fit for another reason than what it lacks.
                of_ours("test result", raw)?.ok_or(StatementError::Foreign)?;
                return Self::of_validation(read.subject, content("test result", raw)?);
            }
            predicate::KEY_CHANGE => Record::KeyChange(Box::new(versioned("key change", raw)?)),
            predicate::SUSPENSION => Record::Suspension(versioned("suspension", raw)?),
            predicate::WITHDRAWAL => Record::Withdrawal(versioned("withdrawal", raw)?),
            predicate::LIFTING => Record::Lifting(versioned("lifting", raw)?),
            predicate::WAIVER => Record::Waiver(versioned("waiver", raw)?),
            predicate::KNOWN_ISSUE => {
                let issue: Box<KnownIssue> = versioned("known issue", raw)?;
                issue.check(&read.subject).map_err(StatementError::Contradiction)?;
                Record::KnownIssue(issue)
            }
            predicate::ENDORSEMENT => match of_ours("endorsement", raw)? {
                // Any other verification result is somebody else's.
                None => Record::Unknown(Box::new(Unknown::of(&read.predicate_type, raw))),
                Some(()) => {
                    let endorsement: Box<Endorsement> = content("endorsement", raw)?;
                    endorsement.check(&read.subject).map_err(StatementError::Contradiction)?;
                    Record::Endorsement(endorsement)
                }
            },
            other => Record::Unknown(Box::new(Unknown::of(other, raw))),
        };
        Ok(Self { subject: read.subject, record })
    }

    fn of_validation(
        subject: Vec<Resource>,
        validation: Box<Validation>,
    ) -> Result<Self, StatementError> {
        Version { format: validation.hospitium.format }.check()?;
        validation.check().map_err(StatementError::Contradiction)?;
        Ok(Self { subject, record: Record::Validation(validation) })
    }
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}

impl Version {
    fn check(&self) -> Result<(), StatementError> {
        if self.format > FORMAT { Err(StatementError::Newer(self.format)) } else { Ok(()) }
    }
}

/// Whether a predicate that others make too has our extension, of a format that is read here.
fn of_ours(kind: &'static str, raw: &RawValue) -> Result<Option<()>, StatementError> {
    #[derive(Deserialize)]
    struct Outer {
        hospitium: Option<Version>,
    }
    let Outer { hospitium } = content(kind, raw)?;
    hospitium.map(|version| version.check()).transpose()
}

fn content<T: DeserializeOwned>(kind: &'static str, raw: &RawValue) -> Result<T, StatementError> {
    serde_json::from_str(raw.get())
        .map_err(|error| StatementError::Content { kind, why: shown(&error.to_string()) })
}

fn versioned<T: DeserializeOwned>(kind: &'static str, raw: &RawValue) -> Result<T, StatementError> {
    content::<Version>(kind, raw)?.check()?;
    content(kind, raw)
}
