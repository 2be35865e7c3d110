//! An endorsement: a party says of another party's record that it reviewed it, or that it ran it again with the same
//! outcome. An in-toto Simple Verification Result (SVR v0.1) with our extension under `hospitium`.

use hospitium_model::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{FORMAT, Record, Resource, Statement};

/// The property of a record that was reviewed.
pub const REVIEWED: &str = "HOSPITIUM_REVIEWED";
/// The property of a record that was run again from the pinned inputs, with the same outcome.
pub const REPEATED: &str = "HOSPITIUM_REPEATED";
/// Longest reason, in bytes.
const LONGEST: usize = 1000;

/// An endorsement of another party's record. The statement's subject is that record, by the SHA-256 of its entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endorsement {
    /// Who verified it.
    pub verifier: Verifier,
    /// When.
    #[serde(rename = "timeCreated")]
    pub time_created: Timestamp,
    /// [`REVIEWED`], or [`REPEATED`].
    pub properties: Vec<String>,
    /// Everything else.
    pub hospitium: EndorsementExtension,
}

/// Who verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verifier {
    /// `https://` and the party's domain.
    pub id: String,
}

/// Our part of an endorsement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndorsementExtension {
    /// [`FORMAT`].
    pub format: u32,
    /// Who says so.
    pub party: String,
    /// When.
    pub issued: Timestamp,
    /// Whose record it is.
    pub of: EndorsedRecord,
    /// What was looked at, and why it is agreed to, in a sentence.
    pub reason: String,
    /// How it was repeated, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated: Option<Repetition>,
}

/// Where the endorsed record is. Its digest is the statement's subject, and that alone decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndorsedRecord {
    /// The party that made it.
    pub party: String,
    /// The log.
    pub log: String,
    /// Its entry there.
    pub entry: u64,
}

/// A run that repeated a record's, and what the comparison came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repetition {
    /// The run's id.
    pub run: String,
    /// When it ended.
    pub ended: Timestamp,
    /// Its evidence, by the digest of the manifest.
    pub evidence: Digest,
    /// The cell in it.
    pub cell: String,
    /// Checks of the record that ended the same way.
    pub compared: usize,
    /// Inputs of the record that were the same, by digest.
    pub inputs: usize,
    /// The machine that was run again, in the words of its configuration: a record may count on others, which were not.
    /// None where neither tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Vec<String>>,
}

impl Endorsement {
    /// Why it contradicts itself, if it does.
    pub(super) fn check(&self, subject: &[Resource]) -> Result<(), String> {
        let Self { verifier, time_created, properties, hospitium } = self;
        let EndorsementExtension { party, issued, of, reason, repeated, .. } = hospitium;
        if verifier.id != id(party) || time_created != issued {
            return Err("its verifier and time are not those of its party's statement".into());
        }
        let says = match repeated {
            Some(_) => REPEATED,
            None => REVIEWED,
        };
        if !matches!(properties.as_slice(), [one] if one == says) {
            return Err(format!("its properties are not {says:?} alone"));
        }
        if of.party == *party {
            return Err("a party endorses its own record".into());
        }
        if subject.len() != 1 {
            return Err("it endorses one record, and its subjects are several".into());
        }
        if reason.trim().is_empty() || reason.len() > LONGEST {
            return Err(format!("it gives its reason, in 1 to {LONGEST} bytes"));
        }
        match repeated {
            Some(repeated) if repeated.compared == 0 => {
                Err("it repeated no check of the record".into())
            }
            _ => Ok(()),
        }
    }
}

/// A party as a verifier.
fn id(party: &str) -> String {
    format!("https://{party}")
}

impl Statement {
    /// Endorses another party's record, by the digest of its entry: reviewed, or repeated.
    pub fn endorsement(
        party: &str,
        issued: Timestamp,
        record: Digest,
        of: EndorsedRecord,
        reason: &str,
        repeated: Option<Repetition>,
    ) -> Self {
        let property = if repeated.is_some() { REPEATED } else { REVIEWED };
        let endorsement = Endorsement {
            verifier: Verifier { id: id(party) },
            time_created: issued,
            properties: vec![property.to_owned()],
            hospitium: EndorsementExtension {
                format: FORMAT,
                party: party.to_owned(),
                issued,
                of,
                reason: reason.to_owned(),
                repeated,
            },
        };
        let subject = vec![Resource::of("certificate", record)];
        Self { subject, record: Record::Endorsement(Box::new(endorsement)) }
    }
}
