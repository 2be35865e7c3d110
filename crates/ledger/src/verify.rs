//! Verifies a certificate without any network, and explains what was found.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use crate::certificate::{Certificate, CertificateError};
use crate::dsse::EnvelopeError;
use crate::evidence::{self, EvidenceFound};
use crate::explain::{Explained, LogKnown, Signed, Standing};
use crate::head::{HeadError, Trusted};
use crate::history::{self, Found, History};
use crate::keys::{KeySpan, holding};
use crate::log::{LogError, LogFolder};
use crate::note::{CLOCK_TOLERANCE, Checkpoint};
use crate::party::belongs_to;
use crate::policy::Policy;
use crate::proof::{ProofError, check_inclusion};
use crate::standing::{ByItself, NoticeKind, by_itself, day_of, last_day};
use crate::statement::{Outcome, Record, Statement, StatementError, Validation};
use crate::text::shown;
use crate::tree::leaf_hash;
use crate::vkey::VerifierKey;

/// What a certificate is held against.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// Whom to trust.
    pub policy: &'a Policy,
    /// The evidence, if it is there: a bundle's folder or its archive.
    pub evidence: Option<&'a Path>,
    /// A copy of the log, if there is one: only it knows of suspensions and changed keys.
    pub log: Option<&'a LogFolder>,
    /// The time.
    pub now: Timestamp,
}

/// Why a certificate proves nothing. One that does, and says that the pair failed or is no longer
/// valid, is no error: see [`Standing`].
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It is none.
    #[error("this is no certificate")]
    Certificate(#[from] CertificateError),
    /// Its checkpoint.
    #[error("the certificate's checkpoint cannot be trusted")]
    Checkpoint(#[source] HeadError),
    /// Not in the log.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The statement.
    #[error("the certificate's record cannot be read")]
    Statement(#[from] StatementError),
    /// A party that speaks in another's log.
    #[error(
        "the record is of {party:?} and stands in the log {origin:?}, which is not that party's"
    )]
    Stranger {
        /// The party.
        party: String,
        /// The log.
        origin: String,
    },
    /// A party whose records are not believed.
    #[error(
        "the policy trusts the log {origin:?} but names no key for records of {party:?}; add: \
         #hospitium:signer KEY (the `record` key of the party's party.toml)"
    )]
    UnknownParty {
        /// The party.
        party: String,
        /// The log.
        origin: String,
    },
    /// The signature.
    #[error("the record's signature cannot be trusted")]
    Signature(#[source] EnvelopeError),
    /// A key that was retired.
    #[error(
        "the record, entry {index}, is signed with a key that {party:?} gave up at entry {until}"
    )]
    Retired {
        /// The party.
        party: String,
        /// The record's index.
        index: u64,
        /// Where the key was given up.
        until: u64,
    },
    /// A record from the future.
    #[error(
        "the record says that it was made at {issued}, which is after now ({now}): \
         this clock or the party's is wrong"
    )]
    Future {
        /// When it says.
        issued: Timestamp,
        /// By our clock.
        now: Timestamp,
    },
    /// The log's copy cannot be read.
    #[error("the copy of the log cannot be used")]
    Log(#[from] LogError),
    /// The copy's checkpoint.
    #[error("the checkpoint of the log's copy cannot be trusted")]
    Copy(#[source] HeadError),
    /// A copy of another log.
    #[error("the certificate is of the log {certificate:?}, and the copy is of {copy:?}")]
    OtherLog {
        /// The certificate's.
        certificate: String,
        /// The copy's.
        copy: String,
    },
    /// A copy that ends before the certificate's tree does.
    #[error(
        "the copy of the log ends at entry {copy}, and the certificate's checkpoint has \
         {certificate}: what was said since is missing from the copy, a withdrawal perhaps. Get a \
         newer copy"
    )]
    Smaller {
        /// Entries of the copy.
        copy: u64,
        /// Entries under the certificate's checkpoint.
        certificate: u64,
    },
    /// The copy is damaged.
    #[error("the copy of the log is damaged ({count} problems, the first: {first}); get it again")]
    CopyDamaged {
        /// How many problems.
        count: u64,
        /// The first.
        first: String,
    },
    /// Two histories under one log's signature.
    #[error(
        "the log {origin:?} shows two histories: of its first {size} entries, the certificate has \
         the root {certificate} and the copy of the log {copy}. Both are signed. Keep both as they \
         are, and show them to the party and its witnesses: this is proof that the log was forked"
    )]
    Fork {
        /// The log.
        origin: String,
        /// Entries.
        size: u64,
        /// By the certificate, in base64.
        certificate: String,
        /// By the copy, in base64.
        copy: String,
    },
}

/// Verifies a certificate's file.
///
/// # Errors
/// If it proves nothing under this policy. A file larger than a certificate is not read.
pub fn verify(file: &Path, given: Given<'_>) -> Result<Explained, VerifyError> {
    examine(&Certificate::read(file)?, given)
}

/// The same, from bytes.
///
/// # Errors
/// As for [`verify`].
pub fn verify_bytes(bytes: &[u8], given: Given<'_>) -> Result<Explained, VerifyError> {
    examine(&Certificate::parse(bytes)?, given)
}

fn examine(certificate: &Certificate, given: Given<'_>) -> Result<Explained, VerifyError> {
    let Given { policy, now, .. } = given;
    let proof = certificate.proof();
    let head = proof.checkpoint.head();
    let trusted = policy.trusts(&proof.checkpoint, now).map_err(VerifyError::Checkpoint)?;
    let Trusted { cosigned, not_cosigned, ahead, .. } = trusted;
    let entry = proof.extra.as_deref().unwrap_or_default();
    check_inclusion(&proof.hashes, head, proof.index, leaf_hash(entry))?;

    let statement = Statement::parse(certificate.envelope().payload())?;
    let origin = shown(&head.origin);
    // A record of an unknown kind that does not tell its party is the one's whose log it stands in.
    let of_log = || head.origin.split('/').next().unwrap_or_default();
    let party = statement.party().unwrap_or_else(of_log).to_owned();
    if crate::party::check_name(&party).is_err() || !belongs_to(&head.origin, &party) {
        return Err(VerifyError::Stranger { party: shown(&party), origin });
    }
    let trusted = policy.signers_of(&party);
    if trusted.is_empty() {
        return Err(VerifyError::UnknownParty { party, origin });
    }
    let history = match given.log {
        Some(folder) => {
            let rests_on = match &statement.record {
                Record::Validation(validation) => history::Needed::of(validation),
                _ => Vec::new(),
            };
            Some(history::read(folder, policy, proof, certificate.record(), rests_on, now)?)
        }
        None => None,
    };
    let by = signer(certificate, &party, &trusted, history.as_ref())?;
    let ahead_of = |issued: &Timestamp| issued.duration_since(now) > CLOCK_TOLERANCE;
    if let Some(issued) = statement.issued().filter(ahead_of) {
        return Err(VerifyError::Future { issued, now });
    }

    let evidence = match (&statement.record, given.evidence) {
        (Record::Validation(validation), Some(path)) => {
            evidence::compare_all(path, validation, Some(&statement.subject))
        }
        _ => EvidenceFound::NotGiven,
    };
    let standing = standing(&statement, history.as_ref(), now);
    Ok(Explained {
        standing,
        party,
        signed: Signed { key: by.key().fingerprint(), algorithm: by.key().algorithm() },
        record: certificate.record(),
        checkpoint: Checkpoint::parse(proof.checkpoint.as_bytes())
            .map(Arc::new)
            .map_err(|source| VerifyError::Checkpoint(source.into()))?,
        log: LogKnown { origin: head.origin.clone(), index: proof.index, size: head.size },
        cosigned,
        not_cosigned,
        ahead,
        quorum: policy.quorum_words(),
        evidence,
        history,
        now,
        statement,
    })
}

/// The key that signed, which has to hold for this entry.
fn signer(
    certificate: &Certificate,
    party: &str,
    trusted: &[KeySpan],
    history: Option<&History>,
) -> Result<VerifierKey, VerifyError> {
    let envelope = certificate.envelope();
    // With a copy of the log, the keys as they changed in it; else as the policy has them.
    let keys = history.map_or(trusted, |history| history.keys.as_slice());
    let index = certificate.proof().index;
    let now: Vec<_> = holding(keys, index).cloned().collect();
    envelope.verify(&now).cloned().map_err(|error| {
        // Perhaps with a key that held at another time.
        let other = keys.iter().find(|span| {
            span.until.is_some_and(|until| until < index)
                && envelope.verify(std::slice::from_ref(&span.key)).is_ok()
        });
        match other.and_then(|span| span.until) {
            Some(until) => VerifyError::Retired { party: party.to_owned(), index, until },
            None => VerifyError::Signature(error),
        }
    })
}

/// What the certificate is worth now, as far as is known.
fn standing(statement: &Statement, history: Option<&History>, now: Timestamp) -> Standing {
    let validation: &Validation = match &statement.record {
        Record::Validation(validation) => validation,
        Record::KeyChange(_) => return Standing::Notice("a change of key"),
        Record::Suspension(_) => return Standing::Notice("a suspension"),
        Record::Lifting(_) => return Standing::Notice("the end of a suspension"),
        Record::Withdrawal(_) => return Standing::Notice("a withdrawal"),
        Record::Waiver(_) => return Standing::Notice("a waiver"),
        Record::Endorsement(_) => return Standing::Notice("an endorsement"),
        Record::KnownIssue(_) => return Standing::Notice("a known issue"),
        Record::Unknown(_) => return Standing::Notice("of a kind that this program does not know"),
    };
    let (validity, today) = (&validation.hospitium.validity, day_of(now));
    let passed = validation.result != Outcome::Failed;
    let itself = by_itself(passed, (day_of(validity.from), last_day(validity.until)), today);
    if itself == ByItself::Failed {
        return Standing::Failed;
    }
    if let Some(found) = history.and_then(|h| Found::in_force(&h.notices, today)) {
        let (index, at, reason) = (found.index, found.notice.issued, found.notice.reason.clone());
        return match found.kind {
            NoticeKind::Withdrawal => Standing::Withdrawn { index, at, reason },
            _ => Standing::Suspended { index, at, until: found.notice.until, reason },
        };
    }
    let mut rests = history.iter().flat_map(|history| &history.rests_on);
    let wrong = rests.find_map(|rests| Some((rests, rests.found.as_ref().err()?)));
    match (itself, wrong) {
        (ByItself::Lapsed, _) => Standing::Lapsed { since: validity.until },
        (_, Some((rests, why))) => Standing::Fallen { what: rests.what.words(), why: why.clone() },
        (ByItself::NotYet, _) => Standing::NotYet { from: validity.from },
        _ => Standing::Valid { until: validity.until },
    }
}
