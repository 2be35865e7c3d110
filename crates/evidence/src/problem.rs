//! What a reader finds wrong with a bundle, file by file and verdict by verdict.

use hospitium_model::{CheckId, Digest};
use serde::Serialize;

use crate::layout::{in_cell, shown};

/// One thing that is wrong with a bundle. Its [`Display`](std::fmt::Display) is a sentence.
#[derive(Debug, Clone, PartialEq, Serialize, thiserror::Error)]
#[serde(tag = "problem", rename_all = "kebab-case")]
pub enum Problem {
    /// In the manifest and not there.
    #[error("{path} is listed in the manifest and is not there")]
    Absent {
        /// The path.
        path: String,
    },
    /// Not what the manifest says.
    #[error("{path} was altered: its digest is {found}, the manifest says {expected}")]
    Altered {
        /// The path.
        path: String,
        /// By the manifest.
        expected: Digest,
        /// Of what is there.
        found: Digest,
    },
    /// There and not in the manifest.
    #[error("{path} is there and is not listed in the manifest")]
    Unlisted {
        /// The path.
        path: String,
    },
    /// As the manifest says, and yet no good record.
    #[error("{path} is not what it should be: {why}")]
    Malformed {
        /// The path.
        path: String,
        /// Where it breaks.
        why: String,
    },
    /// A record that says it is another check's.
    #[error("{path} says that it is the record of {says}")]
    Misplaced {
        /// The path.
        path: String,
        /// The id in it.
        says: CheckId,
    },
    /// A pass that does not follow from the observations.
    #[error(
        "{cell}: {check} is written down as a pass, which its observations do not give: {judged}"
    )]
    Contradiction {
        /// The cell.
        cell: String,
        /// The check.
        check: CheckId,
        /// What the observations give.
        judged: String,
    },
    /// Planned, and neither run nor given a reason for not having run.
    #[error("{cell}: {check} was planned and has no record")]
    Unaccounted {
        /// The cell.
        cell: String,
        /// The check.
        check: CheckId,
    },
    /// The cell says that its canary failed, and no record of a failed canary is there.
    #[error("{cell}: the canary is said to have failed, and no record shows it")]
    CanaryUnproven {
        /// The cell.
        cell: String,
    },
    /// A required check that did not run, and that the cell does not own up to.
    #[error("{cell}: {check} is required and did not run, and the cell's record does not say so")]
    RequiredUnaccounted {
        /// The cell.
        cell: String,
        /// The check.
        check: CheckId,
    },
}

impl Problem {
    /// The file that it concerns; for a contradiction, the record's path.
    pub fn path(&self) -> String {
        match self {
            Self::Absent { path }
            | Self::Altered { path, .. }
            | Self::Unlisted { path }
            | Self::Malformed { path, .. }
            | Self::Misplaced { path, .. } => path.clone(),
            Self::Contradiction { cell, check, .. } | Self::Unaccounted { cell, check } => {
                in_cell(cell, &format!("checks/{}.json", check.file_name()))
            }
            Self::CanaryUnproven { cell } | Self::RequiredUnaccounted { cell, .. } => {
                in_cell(cell, "cell.json")
            }
        }
    }

    pub(crate) fn malformed(path: &str, why: impl std::fmt::Display) -> Self {
        Self::Malformed { path: path.to_owned(), why: shown(&why.to_string()) }
    }
}
