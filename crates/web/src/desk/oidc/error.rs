//! Why a sign-in by OpenID Connect comes to nothing.

use hospitium_desk::sign_in::IdentityError;
use hospitium_desk::store::StoreError;
use openidconnect::ClaimsVerificationError;

/// Why the desk cannot offer it.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The address that browsers come back to.
    #[error("{0:?} is no address that browsers can come back to; write --base https://HOST")]
    Base(String),
    /// The issuer.
    #[error("{issuer:?} is no issuer URL: {why}")]
    Issuer {
        /// As it is written.
        issuer: String,
        /// Why not.
        why: String,
    },
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] StoreError),
}

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The provider does not say how it is used.
    #[error("{issuer} does not answer as an OpenID provider: {why}")]
    Silent {
        /// The provider.
        issuer: String,
        /// Why.
        why: String,
    },
    /// Too many sign-ins at once.
    #[error("too many people sign in at once")]
    Busy,
    /// Of another browser, too old, or altered.
    #[error("this browser began no such sign-in")]
    Foreign,
    /// It came to its end before.
    #[error("this sign-in came to its end before")]
    Again,
    /// Sent by another provider (RFC 9207).
    #[error("the answer says that it comes from {0:?}")]
    MixedUp(String),
    /// The provider refused.
    #[error("{issuer} answers: {code}")]
    Declined {
        /// The provider.
        issuer: String,
        /// Its word for it.
        code: String,
    },
    /// No token for the code, or nothing of whose it is.
    #[error("{issuer} does not confirm the sign-in: {why}")]
    Unconfirmed {
        /// The provider.
        issuer: String,
        /// Why.
        why: String,
    },
    /// A token that is not believed.
    #[error("the ID token is not believed")]
    Token(#[from] ClaimsVerificationError),
    /// A token that is not believed for a reason that the library leaves to us.
    #[error("the ID token is not believed: {0}")]
    Bad(&'static str),
    /// No claim by which the desk knows people.
    #[error("{issuer} names nobody: {why}")]
    Nameless {
        /// The provider.
        issuer: String,
        /// What is missing.
        why: &'static str,
    },
    /// A claim that names nobody.
    #[error(transparent)]
    Name(#[from] IdentityError),
}
