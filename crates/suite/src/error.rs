//! Why a check could not come to an end. None of these says anything bad about the pair.

use std::time::Duration;

use hospitium_guest::GuestError;
use hospitium_host::HostError;
use hospitium_model::{ExpectationError, Inability, span};
use hospitium_system::{ConsoleError, SessionError, SystemError};

/// The harness or the lab failed, or somebody cannot do what the check needs.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The hypervisor or its driver.
    #[error(transparent)]
    Host(HostError),
    /// The host, the machine or the guest cannot do it: no error but a skip, on that one's account.
    #[error(transparent)]
    Unable(#[from] Inability),
    /// The guest could not be entered.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// The probe.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The guest's system refused what it was not asked to show.
    #[error("while {doing}: the guest's system refused with {code}")]
    Refused {
        /// What was being done.
        doing: String,
        /// Its answer, by its own name.
        code: String,
    },
    /// The console.
    #[error(transparent)]
    Console(#[from] ConsoleError),
    /// Nothing says what is right here.
    #[error(transparent)]
    Expectation(#[from] ExpectationError),
    /// The network peer.
    #[error("the network peer: {0}")]
    Peer(String),
    /// Something that was waited for did not come, and it says nothing about the pair.
    #[error("waited {} for {what}, and it did not come", span(*.limit))]
    TimedOut {
        /// For what.
        what: String,
        /// How long.
        limit: Duration,
    },
    /// A check says of a life-cycle what it did not see.
    #[error(
        "{check} passed before its machine had lived through all of its life-cycle; this is a bug of the suite"
    )]
    NotLived {
        /// Its id.
        check: String,
    },
    /// The host contradicts itself: nothing that it says of the machine is believed.
    #[error(
        "the host contradicts itself: it sees {0}; run it again, and if it stays so, do not trust this host or its driver"
    )]
    Contradiction(String),
    /// The host no longer gives what it gave of the first machine: no check makes do without it.
    #[error(
        "the host no longer gives what it gave of the first machine: {0}; run it again, and if it stays so, do not trust \
         this host or its driver"
    )]
    Hidden(Inability),
    /// Somebody set the host's wall clock meanwhile.
    #[error(
        "the host's wall clock was set {} by {:.1} s while this was measured; run it again while nobody sets it",
        if *.by < 0.0 { "back" } else { "forward" },
        .by.abs()
    )]
    ClockSet {
        /// By how many seconds; back if less than zero.
        by: f64,
    },
    /// What was measured does not tell right from wrong.
    #[error("cannot tell whether {what}: {why}; run it on a machine that is less busy")]
    Inconclusive {
        /// What was to be told, as a clause.
        what: String,
        /// The numbers.
        why: String,
    },
    /// The guest answered with something that cannot be understood.
    #[error("{what} of the guest cannot be understood: {text}")]
    Unreadable {
        /// What was read.
        what: String,
        /// Its beginning, escaped.
        text: String,
    },
    /// A file of the harness.
    #[error("while {doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
}

impl From<HostError> for CheckError {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Unable(inability) => Self::Unable(inability),
            HostError::Unsupported { what, why } => {
                Self::Unable(Inability::of_host(format!("{what} is not possible: {why}")))
            }
            other => Self::Host(other),
        }
    }
}

impl From<SystemError> for CheckError {
    fn from(error: SystemError) -> Self {
        match error {
            SystemError::Unable(why) => Self::Unable(why),
            SystemError::Refused { doing, code } => Self::Refused { doing, code },
            SystemError::Session(error) => Self::Session(error),
            SystemError::Unreadable { what, text } => Self::Unreadable { what, text },
        }
    }
}

impl CheckError {
    /// Text of the guest that cannot be understood.
    pub fn unreadable(what: impl Into<String>, text: &str) -> Self {
        let text = text.chars().take(120).flat_map(char::escape_default).collect();
        Self::Unreadable { what: what.into(), text }
    }

    /// The whole chain of causes in one line.
    pub fn chain(&self) -> String {
        hospitium_model::chain(self)
    }
}
