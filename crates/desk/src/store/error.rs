//! Why a desk's store cannot do something.

use hospitium_catalog::CatalogError;

use crate::exchange::PostError;
use crate::fault::Illegal;
use crate::text::CaseId;

/// Why a desk's store cannot do something. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address of the database.
    #[error(transparent)]
    Address(CatalogError),
    /// The database.
    #[error("the desk's database failed to {doing}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: sqlx::Error,
    },
    /// Tables of another version.
    #[error(
        "the database has a desk of form {found:?}, and this program reads form {form:?}; use the \
         hospitium that wrote it, or name another database",
        form = super::schema::FORM
    )]
    Form {
        /// What stands in it.
        found: String,
    },
    /// A row that this program does not write.
    #[error(
        "the desk's case {case} is damaged: {why}; restore a backup, or import an export of it"
    )]
    Damaged {
        /// Which case.
        case: String,
        /// Why.
        why: String,
    },
    /// No such case.
    #[error("there is no case {0:?} at this desk; `hospitium case list` shows those that are")]
    NoCase(String),
    /// Several cases that a short form fits.
    #[error("{short:?} fits several cases: {}", .cases.join(", "))]
    Several {
        /// What was given.
        short: String,
        /// Which it may be.
        cases: Vec<String>,
    },
    /// A draft that is not there any more.
    #[error("the draft {0} is not there any more: it was offered or thrown away meanwhile")]
    Gone(CaseId),
    /// An id that is taken.
    #[error("the case {0} is at this desk already")]
    Taken(CaseId),
    /// Not legal in this state.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// Not to be posted.
    #[error(transparent)]
    Post(#[from] PostError),
    /// Something that only an offered case has.
    #[error("the case {0} is a draft; offer it first")]
    Draft(CaseId),
    /// An account that is there already, or not.
    #[error("the account {0} {1}")]
    Account(String, &'static str),
    /// No random bytes.
    #[error("the operating system gives no random bytes: {0}")]
    Random(String),
    /// An import that contradicts what is here.
    #[error(
        "the file's messages and those that are here branch at message {seq} of the {side}; nothing was taken"
    )]
    Branch {
        /// Whose chain.
        side: crate::people::Side,
        /// Where.
        seq: u64,
    },
    /// An import of what another desk heard.
    #[error(
        "the file has messages that their sender did not sign, and that this desk did not write down; nothing was taken"
    )]
    Hearsay,
    /// An import of what only a key bears out that was given up.
    #[error(
        "message {seq} of the {side} is not here, and only a key bears it out that its party gave up; nothing was \
         taken. Ask that party to send it again, or to export the case now"
    )]
    OldKey {
        /// Whose chain.
        side: crate::people::Side,
        /// Where.
        seq: u64,
    },
    /// An import of what the exchange would refuse.
    #[error("message {seq} of the {side} is refused, and nothing was taken: {why}")]
    NotNow {
        /// Whose chain.
        side: crate::people::Side,
        /// Where.
        seq: u64,
        /// Why.
        why: Box<crate::exchange::Refusal>,
    },
}

impl StoreError {
    pub(crate) fn database(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { doing, source }
    }

    pub(crate) fn damaged(case: impl ToString, why: impl ToString) -> Self {
        Self::Damaged { case: case.to_string(), why: why.to_string() }
    }
}
