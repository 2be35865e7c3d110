//! What can go wrong when a bundle is written, and when one is read.

use std::io;
use std::path::PathBuf;

use crate::Problem;
use crate::layout::NameFault;

/// Why a bundle could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Another process writes there.
    #[error(
        "{folder} is in use by another run; wait for it to end, or give this run another folder",
        folder = folder.display()
    )]
    InUse {
        /// The bundle's folder.
        folder: PathBuf,
    },
    /// Something is there already.
    #[error(
        "{folder} is not empty; evidence is never overwritten, so give this run another folder",
        folder = folder.display()
    )]
    NotEmpty {
        /// The bundle's folder.
        folder: PathBuf,
    },
    /// The medium, the quota or a file-size limit is used up.
    #[error(
        "no room left while writing {path}: the {kept} records finished before are kept whole; \
         make room and run again, or give another folder",
        path = path.display()
    )]
    Full {
        /// What could not be written. Nothing of it is left.
        path: PathBuf,
        /// Files of this run that were finished before.
        kept: usize,
        /// What the system said.
        source: io::Error,
    },
    /// A name that a reader would refuse.
    #[error("{name:?} cannot be a name in a bundle: {fault}")]
    Name {
        /// The name.
        name: String,
        /// The rule that it breaks.
        fault: NameFault,
    },
    /// A name that only the writer's own records have.
    #[error("{name:?} is the name of a record of the bundle itself; choose another")]
    Reserved {
        /// The name.
        name: String,
    },
    /// Larger than a reader would accept.
    #[error(
        "{path} would have {size} bytes, and a bundle's file of its kind has at most {limit}",
        path = path.display()
    )]
    TooLarge {
        /// What was to be written.
        path: PathBuf,
        /// Its size.
        size: u64,
        /// The largest size accepted.
        limit: u64,
    },
    /// A record that could not be read back: a number that is not finite, for example.
    #[error("the record {path} could not be read back, so it is not written", path = path.display())]
    NotReadable {
        /// What was to be written.
        path: PathBuf,
        /// Where it breaks.
        source: serde_json::Error,
    },
    /// A manifest is there: nothing to recover, nothing to add.
    #[error("{folder} has its manifest already: the run in it is complete", folder = folder.display())]
    Complete {
        /// The bundle's folder.
        folder: PathBuf,
    },
    /// No run's record is there, so there is nothing to recover.
    #[error(
        "{folder} holds no run that can be recovered: its run.json is absent or unreadable; \
         remove the folder",
        folder = folder.display()
    )]
    NoRun {
        /// The bundle's folder.
        folder: PathBuf,
    },
    /// What is there cannot be read, and so cannot be listed or packed.
    #[error("cannot read back what was written")]
    ReadBack(#[from] ReadError),
    /// The system refused.
    #[error("cannot {doing} {path}", path = path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a bundle could not be read at all. What is wrong with single files is a [`Problem`].
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refused.
    #[error("cannot {doing} {path}", path = path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Neither a folder nor a zstd stream.
    #[error("this is no evidence bundle: it is neither a folder nor a .tar.zst file")]
    NotABundle,
    /// No manifest.
    #[error(
        "there is no manifest.json: the run still goes on, or was cut off; \
         the next run recovers what it finished"
    )]
    Unfinished,
    /// Compressed data that is none, is cut short, or wants too large a window.
    #[error("the archive's compressed data is broken or cut short")]
    Compression(#[source] io::Error),
    /// A tar header that is none.
    #[error("the archive is broken or cut short")]
    Archive(#[source] io::Error),
    /// A symbolic link, hard link, device or the like.
    #[error("{path:?} is a {kind}; a bundle holds only plain files")]
    NotAFile {
        /// Its path.
        path: String,
        /// What it is.
        kind: &'static str,
    },
    /// A name that is not accepted.
    #[error("the bundle has a file named {path:?}, which is not accepted: {fault}")]
    Name {
        /// The name, escaped and shortened.
        path: String,
        /// The rule that it breaks.
        fault: NameFault,
    },
    /// One name twice in an archive or a manifest.
    #[error("the bundle has {path:?} twice")]
    Twice {
        /// The path.
        path: String,
    },
    /// Too many files.
    #[error("the bundle has more than {limit} files")]
    TooManyFiles {
        /// The most accepted.
        limit: usize,
    },
    /// A file is too large.
    #[error("{path:?} is larger than the {limit} bytes that such a file of a bundle may have")]
    FileTooLarge {
        /// The path.
        path: String,
        /// The most accepted.
        limit: u64,
    },
    /// All files together are too large.
    #[error("the bundle is larger than {limit} bytes")]
    TooLarge {
        /// The most accepted.
        limit: u64,
    },
    /// Written by a later version.
    #[error(
        "the bundle has format {found}, this program reads up to {ours}; use a later hospitium"
    )]
    Newer {
        /// Its format.
        found: u32,
        /// [`hospitium_model::EVIDENCE_FORMAT`].
        ours: u32,
    },
    /// A record that cannot be done without does not parse.
    #[error("{path:?} is not what it should be")]
    Json {
        /// The path.
        path: String,
        /// Where it breaks.
        source: serde_json::Error,
    },
    /// A record that cannot be done without is absent, altered, or contradicts another.
    #[error("{path:?} cannot be trusted: {}", first_about(problems, path))]
    Damaged {
        /// The record.
        path: String,
        /// Everything found wrong with the bundle's files.
        problems: Vec<Problem>,
    },
    /// A file that is not in the manifest, or is not what the manifest says, was asked for.
    #[error("{path:?} is not in the bundle as its manifest lists it")]
    NotListed {
        /// The path.
        path: String,
    },
}

fn first_about(problems: &[Problem], path: &str) -> String {
    let about = problems.iter().find(|problem| problem.path() == path);
    about.map_or_else(|| "it does not fit the rest".to_owned(), ToString::to_string)
}
