//! What can be wrong with a source, with what was known, or with what is written.

use std::path::PathBuf;

use hospitium_products::{FormError, ProductsError};

/// Why a source could not be taken in, or what was known could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// Not a source of a kind that is understood.
    #[error(
        "{text:?} is no source: {why}; name debian:SUITE, osinfo:PLACE, endoflife:PLACE, \
         feed:PLACE, products:PLACE or images:FOLDER"
    )]
    Source {
        /// What was named.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file or folder could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// An address could not be fetched.
    #[error("cannot fetch {url}: {why}")]
    Fetch {
        /// The address.
        url: String,
        /// Why.
        why: String,
    },
    /// More than any such thing has reason to hold.
    #[error("{what} has more than {limit} {unit}, so it is not taken in")]
    TooMuch {
        /// What it is.
        what: String,
        /// The most that is taken.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// Compressed data that is damaged, or an archive that is none.
    #[error("cannot unpack {what}")]
    Packed {
        /// What it is.
        what: String,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// Nothing of the kind that was looked for.
    #[error("{what} holds no {wanted}; {next}")]
    Nothing {
        /// Where.
        what: String,
        /// What was looked for.
        wanted: &'static str,
        /// What to do.
        next: String,
    },
    /// A package index or a suite's list that is not of its form.
    #[error("{what} is not as a Debian archive has it: {why}")]
    Archive {
        /// What it is.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// A signature that does not hold.
    #[error(
        "{what} is not signed by a key of {keyring}: {why}; name the archive's own keyring with --keyring"
    )]
    Signature {
        /// What it is.
        what: String,
        /// The keys that were tried.
        keyring: String,
        /// What gpgv says.
        why: String,
    },
    /// A file that is not what the signed list says.
    #[error(
        "{what} is not the file that the suite's list names: its SHA-256 is {found}, not {listed}"
    )]
    Digest {
        /// What it is.
        what: String,
        /// What was found.
        found: String,
        /// What was listed.
        listed: String,
    },
    /// What was known cannot be read back.
    #[error("{} does not hold what was known: {why}; move it away to begin anew", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Another one is looking.
    #[error("{} is in use by another `hospitium agreement watch`; end that one, or name another --state", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A file is not of its form.
    #[error(transparent)]
    Form(#[from] FormError),
    /// A database of products could not be read.
    #[error(transparent)]
    Products(#[from] ProductsError),
}
