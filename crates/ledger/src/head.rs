//! The one way in which a log's head is believed: signed by a log of the policy, and cosigned by as many
//! as the policy asks for. It holds for a certificate's head, for that of a copy, and for a catalog's.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::note::{Checkpoint, Cosigned, Head, NoteError, Seen};
use crate::policy::Policy;
use crate::text::shown;

/// A head that the policy believes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted {
    /// The head.
    pub head: Head,
    /// Witnesses of the policy that have cosigned, and when.
    pub cosigned: Vec<Cosigned>,
    /// Witnesses of the policy that have not, by the names of their keys.
    pub not_cosigned: Vec<String>,
    /// Cosignatures that do not count: they are from the future, by this clock. Each in words.
    pub ahead: Vec<String>,
}

/// Why a head is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// A log that the policy does not have.
    #[error(
        "it is of the log {origin:?}, which the policy does not trust (it trusts {known}); if you \
         do, add that log's line: log NAME+ID+KEY"
    )]
    Unknown {
        /// The log.
        origin: String,
        /// Those of the policy.
        known: String,
    },
    /// A signature.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Not cosigned by enough.
    #[error("the checkpoint lacks cosignatures: {quorum}, and {cosigned} did")]
    Quorum {
        /// What is asked for.
        quorum: String,
        /// Who has.
        cosigned: String,
    },
}

/// Why a signature line is not put under a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAccepted {
    /// The line is none, or its signature is wrong.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// It is not a cosignature that counts.
    #[error("{0}")]
    Cosignature(String),
}

impl Policy {
    /// The checkpoint with a signature line that comes from outside: it has to be of a witness of this policy, over this
    /// very head, and not from the future.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn accept(
        &self,
        checkpoint: &Checkpoint,
        line: &str,
        now: Timestamp,
    ) -> Result<Checkpoint, NotAccepted> {
        let name =
            line.trim_start_matches('\u{2014}').split_whitespace().next().unwrap_or_default();
        let with = checkpoint.with_line(line)?;
        if name == checkpoint.head().origin {
            let why = "it is under the log's own name, and no other's cosignature";
            return Err(NotAccepted::Cosignature(why.to_owned()));
        }
        for witness in self.witnesses.iter().filter(|witness| witness.key.name() == name) {
            match with.cosignature(&witness.key, now)? {
                Seen::None => {}
                Seen::Ahead(why) => return Err(NotAccepted::Cosignature(why)),
                Seen::At(_) => return Ok(with),
            }
        }
        Err(NotAccepted::Cosignature(format!(
            "{:?} is no witness of the policy, or this is not its key; add its line: witness NAME KEY",
            shown(name)
        )))
    }

    /// Verifies a checkpoint: the log's signature, every cosignature of a witness, and that these are
    /// enough. A cosignature from the future does not count, and is told.
    ///
    /// # Errors
    /// If the log is not known, a signature is wrong, or cosignatures are missing.
    pub fn trusts(&self, checkpoint: &Checkpoint, now: Timestamp) -> Result<Trusted, HeadError> {
        let origin = &checkpoint.head().origin;
        let key = self.log(origin).ok_or_else(|| {
            let known: Vec<_> = self.logs.iter().map(|key| shown(key.name())).take(5).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            HeadError::Unknown { origin: shown(origin), known }
        })?;
        let head = checkpoint.verify_log(key)?.clone();
        let (mut cosigned, mut not_cosigned, mut ahead) = (Vec::new(), Vec::new(), Vec::new());
        let mut places = BTreeSet::new();
        for (place, witness) in self.witnesses.iter().enumerate() {
            match checkpoint.cosignature(&witness.key, now)? {
                Seen::At(by) => {
                    places.insert(place);
                    cosigned.push(by);
                }
                Seen::None => not_cosigned.push(witness.key.name().to_owned()),
                Seen::Ahead(why) => {
                    ahead.push(format!("{why}; it does not count"));
                    not_cosigned.push(witness.key.name().to_owned());
                }
            }
        }
        if self.is_quorum(&places) {
            return Ok(Trusted { head, cosigned, not_cosigned, ahead });
        }
        let mut names: Vec<String> = cosigned.iter().map(|c| c.by.clone()).collect();
        if names.is_empty() {
            names.push("nobody".to_owned());
        }
        let told = ahead.iter().map(|why| format!(" ({why})")).collect::<String>();
        let cosigned = names.join(", ") + &told;
        Err(HeadError::Quorum { quorum: self.quorum_words(), cosigned })
    }
}
