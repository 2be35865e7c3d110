//! Sign-in by OpenID Connect: the authorization code flow with PKCE (OpenID Connect Core 1.0, 3.1; RFC 7636; RFC 9700).
//! The provider says who somebody is; the account at the desk says what that person may do.

mod attempt;
mod error;
mod http;
mod pages;
mod provider;
#[cfg(test)]
mod tests;
mod token;

pub use error::SetUpError;
pub use pages::{back, begin};
pub use provider::Oidc;
