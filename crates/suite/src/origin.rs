//! What a check's machine begins from: the booted machine that was saved, or a boot of its own.

use std::time::Duration;

use hospitium_host::Snapshot;
use hospitium_model::{Inability, Verdict};

/// What a check's machine begins from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// It goes on from the booted machine, which was saved.
    Saved(Box<Snapshot>),
    /// Every machine boots.
    Boot {
        /// The longest that a boot may take.
        limit: Duration,
        /// Why the host cannot go on from a saved machine; none where it could, and was not to.
        why: Option<Inability>,
    },
}

/// Why a run has no saved machine whose host could have one.
const ASKED: &str = "every machine of this run boots, as was asked for";

impl Origin {
    /// The saved machine.
    ///
    /// # Errors
    /// There is none, and why.
    pub fn saved(&self) -> Result<&Snapshot, Inability> {
        match self {
            Self::Saved(snapshot) => Ok(snapshot),
            Self::Boot { why, .. } => Err(why.clone().unwrap_or_else(|| Inability::of_host(ASKED))),
        }
    }

    /// What a check gets that needs a saved machine, if there is none: a skip by the host, or a miss where somebody chose
    /// so, for that says nothing of the pair.
    pub(crate) fn no_clones(&self) -> Option<Verdict> {
        match self {
            Self::Saved(_) => None,
            Self::Boot { why: Some(why), .. } => Some(why.clone().skip()),
            Self::Boot { why: None, .. } => Some(Verdict::Miss { reason: ASKED.to_owned() }),
        }
    }
}
