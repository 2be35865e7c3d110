//! Cosigning another party's log (c2sp.org/tlog-cosignature): only what continues all that was
//! cosigned before.

mod key;
mod request;

pub use key::WitnessKey;
pub use request::{AddCheckpoint, MalformedRequest, REQUEST_LIMIT};

use std::path::PathBuf;

use jiff::Timestamp;

use crate::heads::{Heads, HeadsError};
use crate::key::SecretKey;
use crate::log::{LogError, LogFolder};
use crate::note::{Checkpoint, Head, NoteError};
use crate::party::Party;
use crate::proof::check_consistency;
use crate::tree::empty_root;
use crate::vkey::VerifierKey;

/// A cosigner of other parties' logs: one key, and the last head of each log that it cosigned.
#[derive(Debug)]
pub struct Witness<'k> {
    name: &'k VerifierKey,
    key: &'k SecretKey,
    heads: Heads,
}

/// A cosignature that was made.
#[derive(Debug)]
pub struct Cosignature {
    /// The signature line, to be added to the checkpoint by whoever keeps the log.
    pub line: String,
    /// The checkpoint with it.
    pub checkpoint: Checkpoint,
    /// Entries of the head cosigned before; none the first time.
    pub before: Option<u64>,
}

/// Why nothing was cosigned.
#[derive(Debug, thiserror::Error)]
pub enum CosignError {
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The checkpoint.
    #[error("the log's checkpoint cannot be trusted")]
    Checkpoint(#[from] NoteError),
    /// It does not continue what was cosigned before; both heads are kept then.
    #[error("the log is not cosigned, as it was cosigned otherwise before")]
    Heads(#[from] HeadsError),
}

/// Why a request to cosign is refused (c2sp.org/tlog-witness, "add-checkpoint").
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// A log that is not one of its own to watch: 404.
    #[error("this witness does not watch the log {0:?}")]
    Unknown(String),
    /// Not signed by the log: 403.
    #[error("the checkpoint is not the log's")]
    Unsigned(#[source] NoteError),
    /// An old size that is larger than the checkpoint's: 400.
    #[error("the old size, {old}, is larger than the checkpoint's, {new}")]
    Shrinks {
        /// By the request.
        old: u64,
        /// Of the checkpoint.
        new: u64,
    },
    /// Another size than that of the last head cosigned: 409.
    #[error("the last head of this log that was cosigned here has {0} entries")]
    Conflict(u64),
    /// Not a continuation of the last head cosigned: 422.
    #[error("{0}")]
    Inconsistent(String),
    /// Something failed here: 500.
    #[error("the witness cannot cosign")]
    Failed(#[from] CosignError),
}

impl<'k> Witness<'k> {
    /// This party as a witness.
    pub fn new(party: &'k Party) -> Self {
        Self::with_key(&party.public.witness, &party.witness, party.witnessed())
    }

    /// A witness that has this key and nothing else, and remembers heads in this folder.
    pub fn with_key(name: &'k VerifierKey, key: &'k SecretKey, heads: PathBuf) -> Self {
        Self { name, key, heads: Heads::of_witness(heads) }
    }

    /// Its key, as others name it.
    pub const fn name(&self) -> &VerifierKey {
        self.name
    }

    /// The last checkpoint of this log that was cosigned.
    ///
    /// # Errors
    /// If it is there and cannot be trusted.
    pub fn seen(&self, log: &VerifierKey) -> Result<Option<Checkpoint>, CosignError> {
        Ok(self.heads.seen(log)?)
    }

    /// Cosigns the head of a log whose files are here, if it continues the last one cosigned. The
    /// new head is remembered, on the medium, before the signature is given away.
    ///
    /// # Errors
    /// If the log has not signed it, it is older, or it does not continue what was seen: then both
    /// heads are kept.
    pub fn cosign(
        &self,
        folder: &LogFolder,
        log: &VerifierKey,
        now: Timestamp,
    ) -> Result<Cosignature, CosignError> {
        let _lock = self.heads.lock(log)?;
        let checkpoint = folder.checkpoint()?;
        checkpoint.verify_log(log)?;
        let before = self.heads.compare(folder, log, &checkpoint)?;
        self.sign(log, checkpoint, before, now)
    }

    /// Cosigns a head that continues all that was seen. It is on the medium before the signature is given away.
    fn sign(
        &self,
        log: &VerifierKey,
        checkpoint: Checkpoint,
        before: Option<u64>,
        now: Timestamp,
    ) -> Result<Cosignature, CosignError> {
        let (cosigned, line) = checkpoint.cosigned(self.name, self.key, now)?;
        self.heads.remember(log, &cosigned)?;
        Ok(Cosignature { line, checkpoint: cosigned, before })
    }

    /// Cosigns by a request that brings its own proof (c2sp.org/tlog-witness): what it is compared with is the last head
    /// cosigned, and no file of the log is needed. One request for a log at a time: two at once, and the later fails.
    ///
    /// # Errors
    /// If the log is none of `logs`, has not signed, or the head does not continue the last one. Of two heads of one size,
    /// both are kept.
    pub fn add_checkpoint(
        &self,
        request: &AddCheckpoint,
        logs: &[VerifierKey],
        now: Timestamp,
    ) -> Result<Cosignature, Refused> {
        let new = request.checkpoint.head();
        let log = logs.iter().find(|log| log.name() == new.origin);
        let log = log.ok_or_else(|| Refused::Unknown(crate::text::shown(&new.origin)))?;
        request.checkpoint.verify_log(log).map_err(Refused::Unsigned)?;
        if request.old > new.size {
            return Err(Refused::Shrinks { old: request.old, new: new.size });
        }
        let _lock = self.heads.lock(log).map_err(CosignError::Heads)?;
        let seen = self.heads.seen(log).map_err(CosignError::Heads)?;
        let empty = Head { origin: new.origin.clone(), size: 0, root: empty_root() };
        let old = seen.as_ref().map_or(&empty, Checkpoint::head);
        if request.old != old.size {
            return Err(Refused::Conflict(old.size));
        }
        if new.size == 0 && new.root != empty.root {
            return Err(Refused::Inconsistent("an empty tree has another root".to_owned()));
        }
        // What others put under it is theirs to say: kept is what the log signed.
        let only = request.checkpoint.only(log).map_err(CosignError::Checkpoint)?;
        if let Some(seen) = seen.as_ref().filter(|_| old.size == new.size && old.root != new.root) {
            let fork = self.heads.fork(log, seen, &only, &[]);
            fork.map_err(CosignError::Heads)?;
            // Where both are kept is nobody else's business.
            let why = format!(
                "the log was forked: another head of {} entries was cosigned before",
                old.size
            );
            return Err(Refused::Inconsistent(why));
        }
        check_consistency(&request.proof, old, new)
            .map_err(|why| Refused::Inconsistent(why.to_string()))?;
        Ok(self.sign(log, only, seen.as_ref().map(|seen| seen.head().size), now)?)
    }
}

#[cfg(test)]
mod tests;
