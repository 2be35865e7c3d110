//! What goes wrong at a host. A lack that is known beforehand is an
//! [`Inability`](hospitium_model::Inability) and no error.

use std::path::PathBuf;
use std::time::Duration;

use hospitium_model::span;
use serde::{Deserialize, Serialize};

use crate::Ended;

/// What went wrong at the host.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostError {
    /// The VMM is not there or cannot be run.
    #[error("{vmm} cannot be run: {why}. {next}")]
    Unusable {
        /// Program.
        vmm: String,
        /// Why.
        why: String,
        /// What to do.
        next: String,
    },
    /// The hypervisor refused what was asked.
    #[error("while {doing}: the hypervisor refused: {why}")]
    Refused {
        /// What was being done.
        doing: String,
        /// Its own words, escaped.
        why: String,
    },
    /// This hypervisor cannot do it.
    #[error("{what} is not possible on this host: {why}")]
    Unsupported {
        /// What.
        what: String,
        /// Why.
        why: String,
    },
    /// The hypervisor has nothing of this name.
    #[error("this host offers no {what} {name:?}: {near}")]
    NotOffered {
        /// What was named: a CPU model, a machine type.
        what: String,
        /// The name, cut short.
        name: String,
        /// What it offers instead, in words.
        near: String,
    },
    /// A facet is not there.
    #[error(transparent)]
    Unable(#[from] hospitium_model::Inability),
    /// The machine ended while something was being waited for.
    #[error("the machine ended while {doing}: {ended}")]
    Ended {
        /// What was being done.
        doing: String,
        /// How it ended.
        ended: Ended,
    },
    /// Waited too long.
    #[error("waited {} for {what}, and it did not come", span(*.limit))]
    TimedOut {
        /// For what.
        what: String,
        /// How long.
        limit: Duration,
    },
    /// A file could not be made, read or written.
    #[error("while {doing}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// Cause.
        #[source]
        #[serde(with = "hospitium_model::io_form")]
        source: std::io::Error,
    },
    /// A snapshot is partial, altered or from another VMM.
    #[error("the snapshot in {} cannot be used: {why}", folder.display())]
    BadSnapshot {
        /// Where.
        folder: PathBuf,
        /// Why.
        why: String,
    },
    /// The machine is not as a machine can be.
    #[error("the machine cannot be defined")]
    Spec(#[from] hospitium_model::SpecError),
}

impl HostError {
    /// An I/O error while `doing`.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
