//! What can be wrong with a source of facts, and where.

use std::path::PathBuf;

pub use hospitium_model::FormError;
pub(crate) use hospitium_model::{is_invisible, printable};

/// Why facts could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ProductsError {
    /// A file or folder could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// A file is larger than any such file has reason to be.
    #[error("{} is larger than {limit} bytes; such a file has a few KiB, so this is none", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read, in bytes.
        limit: u64,
    },
    /// More files than any such collection has reason to have.
    #[error("{} holds more than {limit} files; name the folder of the collection itself", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
        /// The most that is read.
        limit: usize,
    },
    /// A folder that holds nothing of its kind.
    #[error("{} holds no {what}; {next}", path.display())]
    Nothing {
        /// The folder.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What to do.
        next: &'static str,
    },
    /// A file or folder could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// No archive that data can be taken over from.
    #[error("{} is not taken over: {why}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Data that is older than what is known.
    #[error("{} is version {version}, older than {known}, which is in use", path.display())]
    Older {
        /// What was named.
        path: PathBuf,
        /// Its version.
        version: String,
        /// The version that is in use.
        known: String,
    },
    /// A file is not of its form.
    #[error(transparent)]
    Form(#[from] FormError),
    /// An address could not be fetched.
    #[error("cannot fetch {url}: {why}; a folder of files works without a network")]
    Fetch {
        /// The address.
        url: String,
        /// Why.
        why: String,
    },
    /// Not an address of a kind that is understood.
    #[error(
        "{text:?} is neither a folder nor an address; name a folder, file://, http:// or https://"
    )]
    Address {
        /// What was named.
        text: String,
    },
}
