//! Cosigning another party's log (c2sp.org/tlog-cosignature): only what continues all that was
//! cosigned before.

use jiff::Timestamp;

use crate::heads::{Heads, HeadsError};
use crate::log::{LogError, LogFolder};
use crate::note::{Checkpoint, NoteError};
use crate::party::Party;
use crate::vkey::VerifierKey;

/// A party as the witness of other parties' logs. Remembers the last head of each.
#[derive(Debug, Clone, Copy)]
pub struct Witness<'p> {
    party: &'p Party,
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

impl<'p> Witness<'p> {
    /// This party as a witness.
    pub const fn new(party: &'p Party) -> Self {
        Self { party }
    }

    fn heads(&self) -> Heads {
        Heads::of_witness(self.party.witnessed())
    }

    /// The last checkpoint of this log that was cosigned.
    ///
    /// # Errors
    /// If it is there and cannot be trusted.
    pub fn seen(&self, log: &VerifierKey) -> Result<Option<Checkpoint>, CosignError> {
        Ok(self.heads().seen(log)?)
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
        let heads = self.heads();
        let _lock = heads.lock(log)?;
        let checkpoint = folder.checkpoint()?;
        checkpoint.verify_log(log)?;
        let before = heads.compare(folder, log, &checkpoint)?;
        let name = &self.party.public.witness;
        let (cosigned, line) = checkpoint.cosigned(name, &self.party.witness, now)?;
        heads.remember(log, &cosigned)?;
        Ok(Cosignature { line, checkpoint: cosigned, before })
    }
}
