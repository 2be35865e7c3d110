//! A certificate: a signed record, the proof that it is in a log, and the log's checkpoint with its
//! cosignatures, in one file.
//!
//! The file is a proof by c2sp.org/tlog-proof whose extra data is the log's entry, a DSSE envelope.
//! So tools that know none of this can take it apart:
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <base64 of the envelope>
//! index 7
//! <hashes>
//!
//! vendor.example/log
//! 9
//! <root>
//!
//! — vendor.example/log …
//! — other.example/witness …
//! ```

use std::path::Path;

use hospitium_model::Digest;
use jiff::Timestamp;

use crate::dsse::{Envelope, EnvelopeError};
use crate::files::{self, Access, FileError};
use crate::history::Found;
use crate::log::{Log, LogError, LogFolder, key_given_up, walk};
use crate::note::{Checkpoint, Head, NoteError};
use crate::party::Party;
use crate::proof::{PROOF_LIMIT, ProofError, TlogProof};
use crate::standing::day_of;
use crate::statement::{Record, Resource, Statement, StatementError, Waiver};
use crate::vkey::VerifierKey;

/// What a certificate's file ends with.
pub const SUFFIX: &str = "tlog-proof";

/// A certificate, read or made.
#[derive(Debug)]
pub struct Certificate {
    proof: TlogProof,
    envelope: Envelope,
}

/// Why something is no certificate, or one could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The proof.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// A proof without the record.
    #[error("the proof carries no record: it has no `extra` line. Ask for the whole certificate")]
    Bare,
    /// The record.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// A record that is not in the one form that it has.
    #[error("the record is not written as it was signed: spaces, order or base64 differ")]
    Form,
    /// The statement to sign.
    #[error("the statement cannot be signed")]
    Statement(#[from] StatementError),
    /// The party's key was given up.
    #[error(
        "the log announced at entry {until} that {party} gave up the key that would sign, and {new} follows \
         it: whatever is signed with the old one counts for nothing. This is an older copy of the party's \
         folder; put the newest one in its place"
    )]
    Retired {
        /// The party.
        party: String,
        /// The entry.
        until: u64,
        /// The key that follows.
        new: String,
    },
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] NoteError),
}

impl Certificate {
    /// Signs statements, appends them to the party's log in one go, and gives a certificate of each.
    ///
    /// # Errors
    /// If the party's key was given up or one cannot be signed (nothing is appended then), or the log cannot
    /// be written.
    pub fn issue(
        log: &mut Log<'_>,
        party: &Party,
        statements: &[Statement],
    ) -> Result<Vec<Self>, CertificateError> {
        if let Some(found) = key_given_up(log.folder(), log.checkpoint().head(), party)? {
            let (party, new) = (party.public.name.clone(), found.new.to_string());
            return Err(CertificateError::Retired { party, until: found.until, new });
        }
        let mut entries = Vec::new();
        for statement in statements {
            entries.push(Envelope::sign(statement.to_bytes()?, &[&party.record]).to_bytes());
        }
        let first = log.append(&entries)?.first;
        let checkpoint = log.checkpoint();
        let tree = log.folder().tree(checkpoint.head());
        let put_together = |(index, entry): (u64, Vec<u8>)| {
            let envelope = Envelope::parse(&entry)?;
            let hashes = tree.inclusion(index)?;
            let checkpoint = Checkpoint::parse(checkpoint.as_bytes())?;
            Ok(Self {
                proof: TlogProof { extra: Some(entry), index, hashes, checkpoint },
                envelope,
            })
        };
        (first..).zip(entries).map(put_together).collect()
    }

    /// The certificate of an entry that is in a log, under a checkpoint that was verified. With a
    /// newer checkpoint it says the same, as of later, and has newer cosignatures.
    ///
    /// # Errors
    /// If there is no such entry, it is no record, or the log is not sound there.
    pub fn of(
        folder: &LogFolder,
        checkpoint: &Checkpoint,
        index: u64,
    ) -> Result<Self, CertificateError> {
        let tree = folder.tree(checkpoint.head());
        let entry = tree.entry(index)?;
        let envelope = Envelope::parse(&entry)?;
        let hashes = tree.inclusion(index)?;
        let checkpoint = Checkpoint::parse(checkpoint.as_bytes())?;
        Ok(Self { proof: TlogProof { extra: Some(entry), index, hashes, checkpoint }, envelope })
    }

    /// Reads a certificate's file; verifies nothing.
    ///
    /// # Errors
    /// If it is too large (it is not read then), or malformed.
    pub fn read(path: &Path) -> Result<Self, CertificateError> {
        Self::parse(&files::read(path, PROOF_LIMIT)?)
    }

    /// The same, from bytes.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn parse(bytes: &[u8]) -> Result<Self, CertificateError> {
        let proof = TlogProof::parse(bytes)?;
        let entry = proof.extra.as_deref().ok_or(CertificateError::Bare)?;
        let envelope = Envelope::parse(entry)?;
        // One record has one entry and one name.
        if envelope.to_bytes() != entry {
            return Err(CertificateError::Form);
        }
        Ok(Self { proof, envelope })
    }

    /// Writes the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), CertificateError> {
        Ok(files::put_durably(path, &self.to_bytes(), Access::Public)?)
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.proof.to_bytes()
    }

    /// The proof.
    pub const fn proof(&self) -> &TlogProof {
        &self.proof
    }

    /// The record.
    pub const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The record's name: SHA-256 of the log's entry.
    pub fn record(&self) -> Digest {
        Digest::of(self.proof.extra.as_deref().unwrap_or_default())
    }
}

/// The latest entry that records this cell of this evidence, in a log that may be anybody's.
pub fn find_validation(
    folder: &LogFolder,
    head: &Head,
    manifest: Digest,
    cell: &str,
) -> Option<u64> {
    let mut found = None;
    walk(folder, head, |index, entry| {
        let statement = Envelope::parse(entry).map(|envelope| Statement::parse(envelope.payload()));
        if let Ok(Ok(Statement { record: Record::Validation(validation), .. })) = statement
            && validation.hospitium.evidence.manifest == manifest
            && validation.hospitium.evidence.cell == cell
        {
            found = Some(index);
        }
    });
    found
}

/// The waivers of a log of one's own that hold for this guest on this host now: those that the
/// party's keys signed, and that are not withdrawn: of each check's, the one that holds longest.
pub fn find_waivers(
    folder: &LogFolder,
    head: &Head,
    keys: &[VerifierKey],
    guest: Digest,
    host: &str,
    now: Timestamp,
) -> Vec<Waiver> {
    let (mut found, mut withdrawn) = (Vec::new(), Vec::new());
    walk(folder, head, |_, entry| {
        let Ok(envelope) = Envelope::parse(entry) else { return };
        if envelope.verify(keys).is_err() {
            return;
        }
        let Ok(statement) = Statement::parse(envelope.payload()) else { return };
        let about = |digest| statement.subject.iter().any(|s| s.sha256() == Some(digest));
        match &statement.record {
            Record::Waiver(waiver)
                if about(guest)
                    && waiver.until > now
                    && waiver.host.as_ref().is_none_or(|name| name == host) =>
            {
                found.push(Waiver {
                    check: waiver.check.clone(),
                    reason: waiver.reason.clone(),
                    until: waiver.until,
                    by: waiver.by.clone(),
                    record: Some(Digest::of(entry)),
                });
            }
            Record::Withdrawal(_) => {
                withdrawn.extend(statement.subject.iter().filter_map(Resource::sha256));
            }
            _ => {}
        }
    });
    found.retain(|waiver| waiver.record.is_none_or(|record| !withdrawn.contains(&record)));
    // Of each check's, the one that holds longest.
    found.sort_by(|a, b| (a.check.as_str(), b.until).cmp(&(b.check.as_str(), a.until)));
    found.dedup_by(|a, b| a.check == b.check);
    found
}

/// What was said last of a record of a log of one's own and is in force today: a suspension or a
/// withdrawal, signed by one of the party's keys.
pub fn find_notice(
    folder: &LogFolder,
    head: &Head,
    keys: &[VerifierKey],
    record: Digest,
    now: Timestamp,
) -> Option<Found> {
    let mut said = Vec::new();
    walk(folder, head, |index, entry| {
        let Ok(envelope) = Envelope::parse(entry) else { return };
        let Ok(statement) = Statement::parse(envelope.payload()) else { return };
        let about = statement.subject.iter().any(|s| s.sha256() == Some(record));
        if let Some((kind, notice)) = statement.notice().filter(|_| about)
            && envelope.verify(keys).is_ok()
        {
            said.push(Found { index, kind, notice: notice.clone() });
        }
    });
    Found::in_force(&said, day_of(now)).cloned()
}
