//! Cosigning another party's log (c2sp.org/tlog-cosignature): only what continues all that was
//! cosigned before.

use std::path::PathBuf;

use hospitium_model::Digest;
use jiff::Timestamp;

use crate::files::{self, Access, FileError};
use crate::log::{LogError, LogFolder};
use crate::note::{CHECKPOINT_LIMIT, Checkpoint, NoteError};
use crate::party::Party;
use crate::proof::check_consistency;
use crate::text::to_base64;
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
    /// What was remembered.
    #[error("what was remembered of this log, {path}, cannot be trusted", path = path.display())]
    Memory {
        /// The file.
        path: PathBuf,
        /// Why.
        source: NoteError,
    },
    /// An older head.
    #[error(
        "the log shows {found} entries and this witness has already cosigned {seen}: \
         an older copy is not cosigned; get the newest"
    )]
    Older {
        /// Entries shown.
        found: u64,
        /// Entries cosigned.
        seen: u64,
    },
    /// A fork.
    #[error(
        "the log {origin:?} was forked: its head of {size} entries does not continue the head of \
         {seen} entries that this witness has cosigned. Both heads, each with the log's own \
         signature, are kept in {kept} as proof; nothing is cosigned",
        kept = kept.display()
    )]
    Fork {
        /// The log.
        origin: String,
        /// Entries of the new head.
        size: u64,
        /// Entries of the head cosigned before.
        seen: u64,
        /// Where both are kept.
        kept: PathBuf,
    },
    /// Another process cosigns.
    #[error("another process of this witness is at work; try again")]
    InUse,
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
}

impl<'p> Witness<'p> {
    /// This party as a witness.
    pub const fn new(party: &'p Party) -> Self {
        Self { party }
    }

    fn memory(&self, origin: &str, what: &str) -> PathBuf {
        let digest = Digest::of(origin.as_bytes());
        self.party.witnessed().join(format!("{}.{what}", digest.short()))
    }

    /// The last checkpoint of this log that was cosigned.
    ///
    /// # Errors
    /// If it is there and cannot be trusted.
    pub fn seen(&self, log: &VerifierKey) -> Result<Option<Checkpoint>, CosignError> {
        let path = self.memory(log.name(), "checkpoint");
        let bytes = match files::read(&path, CHECKPOINT_LIMIT) {
            Err(error) if error.is_absent() => return Ok(None),
            other => other?,
        };
        let read = Checkpoint::parse(&bytes).and_then(|checkpoint| {
            checkpoint.verify_log(log)?;
            Ok(checkpoint)
        });
        read.map(Some).map_err(|source| CosignError::Memory { path, source })
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
        files::make_folder(&self.party.witnessed())?;
        let _lock = files::lock(&self.memory(log.name(), "lock"))?.ok_or(CosignError::InUse)?;
        let checkpoint = folder.checkpoint()?;
        let head = checkpoint.verify_log(log)?;
        let seen = self.seen(log)?;
        let before = seen.as_ref().map(|seen| seen.head().size);
        if let Some(seen) = &seen {
            let old = seen.head();
            if head.size < old.size {
                return Err(CosignError::Older { found: head.size, seen: old.size });
            }
            let proof = folder.tree(head).consistency(old.size)?;
            if check_consistency(&proof, old, head).is_err() {
                let kept = self.keep_fork(log.name(), seen, &checkpoint, &proof)?;
                let origin = log.name().to_owned();
                return Err(CosignError::Fork { origin, size: head.size, seen: old.size, kept });
            }
        }
        let name = &self.party.public.witness;
        let (cosigned, line) = checkpoint.cosigned(name, &self.party.witness, now)?;
        let memory = self.memory(log.name(), "checkpoint");
        files::put_durably(&memory, cosigned.as_bytes(), Access::Public)?;
        Ok(Cosignature { line, checkpoint: cosigned, before })
    }

    /// Both heads of a fork and the proof that does not hold, in one file of text.
    fn keep_fork(
        &self,
        origin: &str,
        old: &Checkpoint,
        new: &Checkpoint,
        proof: &[[u8; 32]],
    ) -> Result<PathBuf, CosignError> {
        let digest = Digest::of(new.as_bytes()).short();
        let path = self.memory(origin, &format!("fork-{}-{digest}", new.head().size));
        let mut bytes = old.as_bytes().to_vec();
        bytes.push(b'\n');
        bytes.extend(new.as_bytes());
        bytes.extend(b"\nwhat the log's files give as the consistency proof:\n");
        for hash in proof {
            bytes.extend(to_base64(hash).into_bytes());
            bytes.push(b'\n');
        }
        files::put_durably(&path, &bytes, Access::Public)?;
        Ok(path)
    }
}
