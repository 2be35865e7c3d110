//! Records about certificates and keys that are in the log already.

use hospitium_model::{CheckId, Digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{FORMAT, Record, Resource, Statement};
use crate::vkey::VerifierKey;

/// A suspension or a withdrawal. The statement's subject is the certificate's record, by the
/// SHA-256 of its entry in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// [`FORMAT`].
    pub format: u32,
    /// Who says so.
    pub party: String,
    /// When.
    pub issued: Timestamp,
    /// Why.
    pub reason: String,
    /// For a suspension: until when; open if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Which of a party's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyRole {
    /// Signs records.
    Record,
    /// Signs the log's checkpoints.
    Log,
    /// Cosigns.
    Witness,
}

/// A party changes a key. Signed with the old record key. From the next entry on, the new one holds
/// and the old one no longer does. The statement's subject is the new key's SubjectPublicKeyInfo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// [`FORMAT`].
    pub format: u32,
    /// Who says so.
    pub party: String,
    /// When.
    pub issued: Timestamp,
    /// Which key.
    pub role: KeyRole,
    /// The key until now.
    pub old: VerifierKey,
    /// The key from now on.
    pub new: VerifierKey,
    /// Why.
    pub reason: String,
}

/// A failure of a check is accepted for a time. The statement's subject is the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaiverRecord {
    /// [`FORMAT`].
    pub format: u32,
    /// Who says so.
    pub party: String,
    /// When.
    pub issued: Timestamp,
    /// The check.
    pub check: CheckId,
    /// Why its failure is accepted.
    pub reason: String,
    /// Until when.
    pub until: Timestamp,
    /// Who decided: a person or a body of the party.
    pub by: String,
    /// For this host only, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

impl Statement {
    /// Suspends the certificate whose entry in the log has this digest.
    pub fn suspension(
        party: &str,
        issued: Timestamp,
        certificate: Digest,
        reason: &str,
        until: Option<Timestamp>,
    ) -> Self {
        let notice = Notice {
            format: FORMAT,
            party: party.to_owned(),
            issued,
            reason: reason.to_owned(),
            until,
        };
        Self {
            subject: vec![Resource::of("certificate", certificate)],
            record: Record::Suspension(notice),
        }
    }

    /// Withdraws the certificate whose entry in the log has this digest.
    pub fn withdrawal(party: &str, issued: Timestamp, certificate: Digest, reason: &str) -> Self {
        let notice = Notice {
            format: FORMAT,
            party: party.to_owned(),
            issued,
            reason: reason.to_owned(),
            until: None,
        };
        Self {
            subject: vec![Resource::of("certificate", certificate)],
            record: Record::Withdrawal(notice),
        }
    }

    /// Ends what suspends the certificate whose entry in the log has this digest.
    pub fn lifting(party: &str, issued: Timestamp, certificate: Digest, reason: &str) -> Self {
        let notice = Notice {
            format: FORMAT,
            party: party.to_owned(),
            issued,
            reason: reason.to_owned(),
            until: None,
        };
        Self {
            subject: vec![Resource::of("certificate", certificate)],
            record: Record::Lifting(notice),
        }
    }

    /// Announces another key. To be signed with the old record key.
    pub fn key_change(
        party: &str,
        issued: Timestamp,
        role: KeyRole,
        old: VerifierKey,
        new: VerifierKey,
        reason: &str,
    ) -> Self {
        let subject = vec![Resource::of(new.name(), new.key().fingerprint())];
        let change = KeyChange {
            format: FORMAT,
            party: party.to_owned(),
            issued,
            role,
            old,
            new,
            reason: reason.to_owned(),
        };
        Self { subject, record: Record::KeyChange(Box::new(change)) }
    }

    /// Accepts a check's failure on this guest for a time.
    pub fn waiver(guest: Resource, waiver: WaiverRecord) -> Self {
        Self { subject: vec![guest], record: Record::Waiver(waiver) }
    }
}
