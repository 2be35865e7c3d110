//! A known issue: what a party tells the users of a certified pair beside the certificate. It takes nothing back.

use hospitium_model::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{EndorsedRecord, FORMAT, Record, Resource, Statement};

/// Longest text and workaround, in bytes.
const LONGEST: usize = 4000;
/// The most fixes, and the longest, in bytes.
const FIXES: (usize, usize) = (32, 400);

/// A known issue of what a certificate is about. The statement's subject is the certificate's record, by the SHA-256 of
/// its entry, in this party's log or in another's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownIssue {
    /// [`FORMAT`].
    pub format: u32,
    /// Who says so.
    pub party: String,
    /// When.
    pub issued: Timestamp,
    /// Where the certificate's record is. Its digest is the statement's subject, and that alone decides.
    pub of: EndorsedRecord,
    /// The issue, in a sentence that is made for the public.
    pub text: String,
    /// What helps until it is fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workaround: Option<String>,
    /// Updates, articles, commits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixes: Vec<String>,
    /// The support case that it comes from: the SHA-256 of its id, which only the case's parties know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<Digest>,
}

impl KnownIssue {
    /// Why it contradicts itself, if it does.
    pub(super) fn check(&self, subject: &[Resource]) -> Result<(), String> {
        let told = |text: &str| !text.trim().is_empty() && text.len() <= LONGEST;
        if !told(&self.text) || self.workaround.as_deref().is_some_and(|text| !told(text)) {
            return Err(format!("it tells the issue, in 1 to {LONGEST} bytes"));
        }
        let (most, longest) = FIXES;
        if self.fixes.len() > most || self.fixes.iter().any(|fix| fix.len() > longest) {
            return Err(format!("it names at most {most} fixes, in {longest} bytes each"));
        }
        match subject.len() {
            1 => Ok(()),
            _ => Err("it is about one certificate, and its subjects are several".into()),
        }
    }
}

impl Statement {
    /// Tells a known issue of the certificate whose entry has this digest.
    pub fn known_issue(certificate: Digest, issue: KnownIssue) -> Self {
        let issue = KnownIssue { format: FORMAT, ..issue };
        Self {
            subject: vec![Resource::of("certificate", certificate)],
            record: Record::KnownIssue(Box::new(issue)),
        }
    }
}
