//! Why a request could not be done.

use hospitium_wire::{Reply, errno};

/// The call that failed and its errno.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// `errno`.
    pub errno: i32,
    /// Which call.
    pub call: &'static str,
}

/// What requests come to.
pub type Result<T> = core::result::Result<T, Failure>;

impl Failure {
    /// A request that asks for something out of bounds.
    pub const fn invalid(call: &'static str) -> Self {
        Self { errno: errno::EINVAL, call }
    }

    /// Nothing came in time.
    pub const fn timeout(call: &'static str) -> Self {
        Self { errno: errno::ETIMEDOUT, call }
    }
}

impl From<Failure> for Reply<'_> {
    fn from(Failure { errno, call }: Failure) -> Self {
        Reply::Failed { errno, call }
    }
}
