//! What a copy of a log says besides: keys that changed, certificates suspended and withdrawn.

use hospitium_model::Digest;
use jiff::Timestamp;
use serde::Deserialize;

use crate::dsse::Envelope;
use crate::log::{LogFolder, walk};
use crate::note::{Hash, Head};
use crate::party::belongs_to;
use crate::policy::Policy;
use crate::proof::TlogProof;
use crate::statement::{KeyChange, KeyRole, Notice, Record, Statement, predicate};
use crate::verify::VerifyError;
use crate::vkey::VerifierKey;

/// A key of a party's records, and for which entries it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySpan {
    /// The key.
    pub key: VerifierKey,
    /// First entry that it may have signed.
    pub from: u64,
    /// Last entry that it may have signed: the one that announces its successor.
    pub until: Option<u64>,
}

/// A suspension or withdrawal, as found in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Index of its entry.
    pub index: u64,
    /// What it says.
    pub notice: Notice,
}

/// What a copy of a log says about one record and its party's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// Entries of the copy.
    pub size: u64,
    /// The latest time that a trusted witness has cosigned the copy's head.
    pub cosigned_at: Option<Timestamp>,
    /// When the copy's last readable record was made, by its party.
    pub last_record: Option<Timestamp>,
    /// The party's keys.
    pub keys: Vec<KeySpan>,
    /// Suspensions of the record.
    pub suspensions: Vec<Found>,
    /// Withdrawals of the record.
    pub withdrawals: Vec<Found>,
}

/// The part of a statement by which it is known what it is.
#[derive(Deserialize)]
struct Peek {
    #[serde(rename = "predicateType")]
    predicate_type: String,
}

/// Reads a copy of the log in which a certificate is: verifies its checkpoint, every entry, and that
/// it continues (or is continued by) what the certificate has.
///
/// # Errors
/// If the copy is not sound, is of another log, or contradicts the certificate: a fork.
pub fn read(
    folder: &LogFolder,
    policy: &Policy,
    certificate: &TlogProof,
    record: Digest,
    now: Timestamp,
) -> Result<History, VerifyError> {
    let checkpoint = folder.checkpoint()?;
    let theirs = certificate.checkpoint.head();
    let key = policy.log(&theirs.origin).ok_or_else(|| VerifyError::unknown_log(theirs, policy))?;
    let head = checkpoint.verify_log(key).map_err(VerifyError::Copy)?.clone();
    let mut cosigned_at = None;
    for witness in &policy.witnesses {
        let cosigned =
            checkpoint.verify_cosignature(&witness.key, now).map_err(VerifyError::Copy)?;
        cosigned_at = cosigned_at.max(cosigned.map(|c| c.at));
    }
    let fork = |ours: Hash| VerifyError::Fork {
        origin: theirs.origin.clone(),
        size: theirs.size.min(head.size),
        certificate: crate::text::to_base64(&theirs.root),
        copy: crate::text::to_base64(&ours),
    };
    if head.size >= theirs.size {
        let root = folder.tree(&head).root_of(theirs.size)?;
        if root != theirs.root {
            return Err(fork(root));
        }
    }
    let mut reading = Reading {
        head: &head,
        record,
        entry: None,
        index: certificate.index,
        party: policy
            .signers
            .iter()
            .map(|span| span.key.name())
            .find(|name| belongs_to(&theirs.origin, name))
            .unwrap_or_default()
            .to_owned(),
        history: History {
            size: head.size,
            cosigned_at,
            last_record: None,
            keys: Vec::new(),
            suspensions: Vec::new(),
            withdrawals: Vec::new(),
        },
    };
    reading.history.keys = policy.signers_of(&reading.party);
    let checked = walk(folder, &head, |index, entry| reading.entry(index, entry));
    if let Some(first) = checked.problems.first() {
        return Err(VerifyError::CopyDamaged { count: checked.count, first: first.to_string() });
    }
    // A smaller copy ends before the certificate, or has it at its place.
    if reading.index < head.size && reading.entry != Some(record) {
        return Err(fork(head.root));
    }
    Ok(reading.history)
}

struct Reading<'a> {
    head: &'a Head,
    record: Digest,
    index: u64,
    entry: Option<Digest>,
    party: String,
    history: History,
}

impl Reading<'_> {
    fn entry(&mut self, index: u64, entry: &[u8]) {
        if index == self.index {
            self.entry = Some(Digest::of(entry));
        }
        // What is no record of ours has no say here.
        let Ok(envelope) = Envelope::parse(entry) else { return };
        let Ok(peek) = serde_json::from_slice::<Peek>(envelope.payload()) else { return };
        let last = index + 1 == self.head.size;
        let concerns = matches!(
            peek.predicate_type.as_str(),
            predicate::KEY_CHANGE | predicate::SUSPENSION | predicate::WITHDRAWAL
        );
        if !concerns && !last {
            return;
        }
        let keys: Vec<_> = holding(&self.history.keys, index).cloned().collect();
        let Ok(by) = envelope.verify(&keys) else { return };
        let Ok(statement) = Statement::parse(envelope.payload()) else { return };
        if statement.party() != self.party {
            return;
        }
        if last {
            self.history.last_record = Some(statement.issued());
        }
        let about = statement.subject.iter().any(|s| s.sha256() == Some(self.record));
        match statement.record {
            Record::KeyChange(change) => self.key_change(index, by, *change),
            Record::Suspension(notice) if about => {
                self.history.suspensions.push(Found { index, notice });
            }
            Record::Withdrawal(notice) if about => {
                self.history.withdrawals.push(Found { index, notice });
            }
            _ => {}
        }
    }

    fn key_change(&mut self, index: u64, by: &VerifierKey, change: KeyChange) {
        let ours = change.role == KeyRole::Record
            && change.old == *by
            && change.new.name() == self.party
            && change.new != change.old;
        if !ours {
            return;
        }
        for span in &mut self.history.keys {
            if span.key == change.old && span.until.is_none() {
                span.until = Some(index);
            }
        }
        if !self.history.keys.iter().any(|span| span.key == change.new) {
            let span = KeySpan { key: change.new, from: index + 1, until: None };
            self.history.keys.push(span);
        }
    }
}

/// The keys that hold for this entry.
pub fn holding(keys: &[KeySpan], index: u64) -> impl Iterator<Item = &VerifierKey> {
    keys.iter()
        .filter(move |span| span.from <= index && span.until.is_none_or(|until| index <= until))
        .map(|span| &span.key)
}
