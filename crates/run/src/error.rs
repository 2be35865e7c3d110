//! Why a run could not be begun, or not be written down.

use std::io;
use std::path::{Path, PathBuf};

use hospitium_evidence::WriteError;

use crate::cache::{CacheError, FileError};

/// Why there is no run, or no whole one.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A pattern names no check.
    #[error("no check is named {pattern:?}; did you mean {}? `hospitium suite list` shows all", similar.join(", "))]
    UnknownCheck {
        /// The pattern.
        pattern: String,
        /// What may have been meant.
        similar: Vec<String>,
    },
    /// Everything was left out.
    #[error("no check is left to run; leave out less")]
    NothingSelected,
    /// Nothing to run.
    #[error("there is no guest to run on a host; name at least one of each")]
    NoCells,
    /// Evidence could not be written.
    #[error("the evidence could not be written")]
    Evidence(#[from] WriteError),
    /// The snapshot cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// An input could not be read.
    #[error(transparent)]
    Input(#[from] FileError),
    /// The expectations that ship with the suite.
    #[error(transparent)]
    Expectations(#[from] hospitium_model::ExpectationError),
    /// A file or folder of the engine.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl RunError {
    /// An I/O error while `doing` something to `path`.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }
}
