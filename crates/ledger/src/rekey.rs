//! Another key for a party's records. A crash at any point leaves a party that says what to do, and nothing
//! is lost: the new key is on the medium before the log announces it, is never overwritten while it is
//! there, and the old one signs nothing any more once it was announced.
//!
//! The order: `secret/record.next.pem` · the announcement in the log, signed with the old key ·
//! `secret/record.retired-….pem` · `secret/record.pem` · `party.toml` · `record.pub.pem` and `policy` ·
//! `record.next.pem` removed. As long as that file is there, [`Party::open`] refuses, so that nothing is
//! signed with either key; [`rekey`] goes on from wherever it was.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::certificate::{Certificate, CertificateError};
use crate::key::{KeyError, SecretKey};
use crate::keys::{GivenUp, given_up};
use crate::log::{Log, LogError};
use crate::party::{Changing, Party, PartyError, PublicParty};
use crate::statement::{KeyRole, Statement};
use crate::vkey::{VerifierKey, VerifierKeyError};

/// What became of a change of key.
#[derive(Debug)]
pub struct Rekeyed {
    /// The party's public part now.
    pub public: PublicParty,
    /// The entry that announces the new key.
    pub entry: u64,
    /// The log.
    pub log: PathBuf,
    /// Whether this went on with a change that had been cut off.
    pub resumed: bool,
}

/// Why a key was not changed. What was begun stays as it is, and can be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum RekeyError {
    /// The party.
    #[error(transparent)]
    Party(#[from] PartyError),
    /// The log.
    #[error("the party's log cannot be used; nothing was changed in the party's folder")]
    Log(#[from] LogError),
    /// The announcement.
    #[error("the change of key cannot be recorded; run the same command again")]
    Record(#[from] CertificateError),
    /// A key that cannot be made.
    #[error("a new key cannot be made")]
    Key(#[from] KeyError),
    /// A key that cannot be named.
    #[error("the new key cannot be named")]
    Named(#[from] VerifierKeyError),
    /// The log announced a key of which no secret is here.
    #[error(
        "the log {log} announced at entry {entry} that {key} follows the party's key, and no secret of that \
         key is in {folder}; put record.next.pem or record.pem back there from a copy, and run this again",
        log = log.display(), folder = folder.display()
    )]
    Lost {
        /// The log.
        log: PathBuf,
        /// The entry.
        entry: u64,
        /// The announced key.
        key: String,
        /// Where its secret should be.
        folder: PathBuf,
    },
}

/// Makes another key for the records of the party in this folder, announces it in the log (the folder's own
/// unless another one is named), and puts it in the old one's place; or goes on with that where it was cut
/// off.
///
/// # Errors
/// If a file cannot be read or written, or the log announced a key that is not here.
pub fn rekey(
    folder: &Path,
    log: Option<&Path>,
    reason: &str,
    now: Timestamp,
) -> Result<Rekeyed, RekeyError> {
    let Changing { mut party, next, in_place } = Party::open_to_change(folder)?;
    let at = log.map_or_else(|| party.usual_log(), Path::to_owned);
    let resumed = next.is_some();
    if in_place {
        // Cut off behind `party.toml`: only what follows from it is still to be written.
        let entry = party.public.retired.last().map_or(0, |retired| retired.until);
        party.finish_record_key()?;
        return Ok(Rekeyed { public: party.public, entry, log: at, resumed });
    }
    // No other process announces a key, or signs, meanwhile.
    let mut open = Log::open(&at, &party)?;
    let old = party.public.record.clone();
    let announced = given_up(open.folder(), open.checkpoint().head(), &old, 0)?;
    let lost = |GivenUp { until: entry, new }| {
        let (log, key, folder) = (at.clone(), new.to_string(), party.secrets());
        RekeyError::Lost { log, entry, key, folder }
    };
    let new = match (next, &announced) {
        (Some(next), _) => next,
        // Never another one where one was announced: the log would take no word of it.
        (None, Some(announced)) => return Err(lost(announced.clone())),
        (None, None) => {
            let new = SecretKey::generate(party.record.public().algorithm())?;
            party.keep_next_record_key(&new)?;
            new
        }
    };
    let named = VerifierKey::for_records(&party.public.name, new.public())?;
    let entry = match announced {
        Some(announced) if announced.new == named => announced.until,
        Some(announced) => return Err(lost(announced)),
        None => {
            let (name, role) = (&party.public.name, KeyRole::Record);
            let change = Statement::key_change(name, now, role, old, named, reason);
            let made = Certificate::issue(&mut open, &party, &[change])?;
            made.first().map(|certificate| certificate.proof().index).unwrap_or_default()
        }
    };
    drop(open);
    party.replace_record_key(new, entry)?;
    Ok(Rekeyed { public: party.public, entry, log: at, resumed })
}

#[cfg(test)]
mod crash_tests;
