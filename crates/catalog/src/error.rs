//! Why a catalog cannot be built or asked.

use hospitium_ledger::{LogError, NoteError};

/// Why a catalog cannot be built or asked.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The address of the database.
    #[error("{0:?} names no database; give a file, sqlite::memory:, or postgres://USER@HOST/NAME")]
    Address(String),
    /// The database.
    #[error("the catalog's database failed to {doing}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: sqlx::Error,
    },
    /// Another program's tables, or those of another version.
    #[error(
        "the database has a catalog of form {found:?}, and this program writes form {form:?}; \
         name another database, or build this one again",
        form = crate::schema::FORM
    )]
    Form {
        /// What stands in it.
        found: String,
    },
    /// Something in the database that this program does not write.
    #[error("the catalog's row {row} is damaged: {why}; build the catalog again from its logs")]
    Row {
        /// Which.
        row: String,
        /// Why.
        why: String,
    },
    /// A log that cannot be read at all.
    #[error("the log {folder} cannot be read")]
    Log {
        /// Its folder.
        folder: String,
        /// Why.
        source: LogError,
    },
    /// A checkpoint that cannot be trusted.
    #[error("the checkpoint of {folder} cannot be trusted")]
    Checkpoint {
        /// The log's folder.
        folder: String,
        /// Why.
        source: NoteError,
    },
    /// A log that the policy does not have.
    #[error(
        "the policy does not trust the log {origin:?} of {folder}; if you do, add its line to the \
         policy: log NAME+ID+KEY"
    )]
    Untrusted {
        /// The log.
        origin: String,
        /// Its folder.
        folder: String,
    },
    /// Not cosigned by enough.
    #[error("the checkpoint of {folder} lacks cosignatures: {quorum}")]
    Quorum {
        /// The log's folder.
        folder: String,
        /// What is asked for.
        quorum: String,
    },
    /// A log without a party whose records are believed.
    #[error(
        "the policy names no key for records in the log {origin:?}; add: #hospitium:signer KEY \
         (the `record` key of the party's party.toml)"
    )]
    NoSigner {
        /// The log.
        origin: String,
    },
    /// A head older than one that was taken in before.
    #[error(
        "the log {origin:?} shows {found} entries, and this catalog was built from {seen}: an older \
         copy is not taken, for what was said since is missing from it. Get the newest copy. Both \
         heads are kept in the catalog"
    )]
    Older {
        /// The log.
        origin: String,
        /// Entries shown.
        found: u64,
        /// Entries taken in before.
        seen: u64,
    },
    /// A head that contradicts one that was taken in before.
    #[error(
        "the log {origin:?} was forked: its head of {found} entries does not continue the one of \
         {seen} entries that this catalog was built from. Both heads, each with the log's own \
         signature, are kept in the catalog as proof; nothing of the new one is taken"
    )]
    Fork {
        /// The log.
        origin: String,
        /// Entries of the new head.
        found: u64,
        /// Entries taken in before.
        seen: u64,
    },
    /// The same log twice.
    #[error("the log {origin:?} is given twice; give one copy of it, the newest")]
    Twice {
        /// The log.
        origin: String,
    },
    /// The reader ended early.
    #[error("reading the log {folder} broke off; nothing of the catalog was changed")]
    BrokeOff {
        /// Its folder.
        folder: String,
    },
    /// A question that cannot be understood.
    #[error(transparent)]
    Question(#[from] crate::QuestionError),
    /// Writing an export.
    #[error("the export cannot be written")]
    Export(#[from] std::io::Error),
}

impl CatalogError {
    /// Why a log is not taken in, without the places of this computer that only its user is told.
    pub(crate) fn without_place(&self) -> String {
        match self {
            Self::Log { .. } => "its files cannot be read".to_owned(),
            Self::Checkpoint { source, .. } => {
                format!("its checkpoint cannot be trusted: {source}")
            }
            Self::Untrusted { .. } => "the policy does not trust it".to_owned(),
            Self::Quorum { quorum, .. } => format!("its checkpoint lacks cosignatures: {quorum}"),
            other => other.to_string(),
        }
    }

    pub(crate) fn database(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { doing, source }
    }
}
