//! Why a question to a guest has no answer.

use hospitium_model::{Inability, Inside};
use hospitium_wire::Domain;
use serde::{Deserialize, Serialize};

use crate::SessionError;

/// Why a question to a guest has no answer.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SystemError {
    /// This guest has no such thing, by its own account: a skip, and no failure.
    #[error(transparent)]
    Unable(#[from] Inability),
    /// The guest's own system refused.
    #[error("while {doing}: the guest's system refused with {code}")]
    Refused {
        /// What was being done.
        doing: String,
        /// Its answer, by its own name: `EROFS`, `STATUS_ACCESS_DENIED`.
        code: String,
    },
    /// The probe did not answer, or not as the protocol wants.
    #[error(transparent)]
    Session(SessionError),
    /// The guest answered with something that cannot be understood.
    #[error("{what} of the guest cannot be understood: {text}")]
    Unreadable {
        /// What was read.
        what: String,
        /// Its beginning, escaped.
        text: String,
    },
}

/// What a guest tells, and where it read it.
pub type Told<T> = Result<Inside<T>, SystemError>;

/// Something that a guest is to do.
pub type Done<T = ()> = Result<T, SystemError>;

impl SystemError {
    /// Text of the guest that cannot be understood.
    pub fn unreadable(what: impl Into<String>, text: &str) -> Self {
        let text = text.chars().take(120).flat_map(char::escape_default).collect();
        Self::Unreadable { what: what.into(), text }
    }
}

/// What a number says, by the name that the guest's own system has for it.
fn name(domain: Domain, code: i32) -> String {
    match (domain, hospitium_wire::errno::name(code)) {
        (Domain::Errno, name) if name != "error" => name.to_owned(),
        _ => domain.words(code).to_string(),
    }
}

impl From<SessionError> for SystemError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Guest { doing, call, domain, code } => {
                Self::Refused { doing: format!("{doing} ({call})"), code: name(domain, code) }
            }
            other => Self::Session(other),
        }
    }
}
