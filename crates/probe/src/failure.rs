//! Why a request could not be done.

use hospitium_wire::{Domain, Refusal, Reply};

/// The call that failed, and what with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Whose number it is.
    pub domain: Domain,
    /// The number.
    pub code: i32,
    /// Which call.
    pub call: &'static str,
}

/// What requests come to.
pub type Result<T> = core::result::Result<T, Failure>;

impl Failure {
    /// The system refused.
    pub const fn errno(code: i32, call: &'static str) -> Self {
        Self { domain: Domain::Errno, code, call }
    }

    /// The probe refuses.
    pub const fn refused(why: Refusal, call: &'static str) -> Self {
        Self { domain: Domain::Probe, code: why.code(), call }
    }

    /// A request that asks for something out of bounds.
    pub const fn invalid(call: &'static str) -> Self {
        Self::refused(Refusal::Invalid, call)
    }

    /// Nothing came in time.
    pub const fn timeout(call: &'static str) -> Self {
        Self::refused(Refusal::Timeout, call)
    }

    /// The system's own number, if it was the system that refused.
    pub const fn number(&self) -> Option<i32> {
        match self.domain {
            Domain::Errno => Some(self.code),
            _ => None,
        }
    }

    /// True if the system refused with one of these.
    pub fn is(&self, numbers: &[i32]) -> bool {
        self.number().is_some_and(|number| numbers.contains(&number))
    }
}

impl From<Failure> for Reply<'_> {
    fn from(Failure { domain, code, call }: Failure) -> Self {
        Reply::Failed { domain, code, call }
    }
}
