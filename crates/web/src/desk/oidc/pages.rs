//! The two pages of a sign-in: from here to the provider, and back.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use hospitium_model::printable;
use jiff::Timestamp;
use openidconnect::ClaimsVerificationError;
use serde::Deserialize;

use super::attempt::{Attempt, WITHIN};
use super::error::Refused;
use super::provider::Oidc;
use crate::desk::session::{self, counter, named};
use crate::desk::shell::{failed, refuse_with};
use crate::desk::sign_in::{Next, local};
use crate::site::Site;

/// The longest code that is sent on, in bytes. Entra's have some hundred, and a few KiB at most.
const CODE: usize = 3_500;

/// The cookie of a sign-in on its way; without a value, the cookie that takes it away. `Lax`, because the browser comes back
/// from the provider's site: with `Strict` it would leave the cookie out.
fn cookie(value: Option<&str>, tls: bool) -> String {
    let (name, secure) = (cookie_name(tls), if tls { "; Secure" } else { "" });
    let age = if value.is_some() { WITHIN } else { 0 };
    let value = value.unwrap_or_default();
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}; Max-Age={age}")
}

const fn cookie_name(tls: bool) -> &'static str {
    if tls { "__Host-desk-sign-in" } else { "desk-sign-in" }
}

/// The provider of this site's desk.
fn oidc(site: &Site) -> Result<&Arc<Oidc>, Response> {
    let none = || {
        let words = "This desk knows no provider to sign in at. Sign in with a password.";
        refuse_with(StatusCode::NOT_FOUND, words, "/desk/sign-in")
    };
    counter(site)?.oidc.as_ref().ok_or_else(none)
}

/// `GET /desk/sign-in/oidc`: to the provider.
pub async fn begin(
    State(site): State<Arc<Site>>,
    Query(Next { next }): Query<Next>,
) -> Result<Response, Response> {
    let (tls, oidc) = (counter(&site)?.tls, oidc(&site)?);
    let attempt = Attempt::new(local(&next).to_owned(), Timestamp::now());
    let attempt = attempt.map_err(|error| failed(&error))?;
    let to = oidc.begin(&attempt).await.map_err(|refused| told(&refused, oidc))?;
    let set = cookie(Some(&oidc.attempts.write(&attempt)), tls);
    Ok(([(header::SET_COOKIE, set)], Redirect::to(&to)).into_response())
}

/// What a provider sends a browser back with.
#[derive(Default, Deserialize)]
pub struct Back {
    #[serde(default)]
    code: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    error: String,
    iss: Option<String>,
}

/// `GET /desk/sign-in/return`: from the provider.
pub async fn back(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    Query(back): Query<Back>,
) -> Result<Response, Response> {
    let (counter, oidc) = (counter(&site)?, oidc(&site)?);
    let now = Timestamp::now();
    let value = session::cookies(&headers, cookie_name(counter.tls)).next();
    let attempt = value.and_then(|value| oidc.attempts.read(value, now));
    // Both are digests of what nobody else knows: how long it takes to compare them tells nothing.
    let attempt = attempt.filter(|attempt| attempt.state() == back.state);
    let attempt = attempt.ok_or_else(|| told(&Refused::Foreign, oidc))?;
    let end = [(header::SET_COOKIE, cookie(None, counter.tls))];
    let refused = |response: Response| (AppendHeaders(end.clone()), response).into_response();
    if !oidc.attempts.comes_back(&attempt, now) {
        return Err(refused(told(&Refused::Again, oidc)));
    }
    let issuer = &oidc.provider.issuer;
    if !back.error.is_empty() || !(1..=CODE).contains(&back.code.len()) {
        // RFC 6749, 4.1.2.1: a word for programs. What is there for people may be anybody's.
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let good = !back.error.is_empty() && back.error.bytes().all(word);
        let code = if good { printable(&back.error, 60) } else { "nothing of use".to_owned() };
        let declined = Refused::Declined { issuer: issuer.clone(), code };
        return Err(refused(told(&declined, oidc)));
    }
    let identity = oidc.finish(&attempt, &back.code, back.iss.as_deref()).await;
    let identity = identity.map_err(|error| refused(told(&error, oidc)))?;
    let store = &counter.office.store;
    // The session of before, if there was one, ends: the new one has a token of its own.
    if let Some(old) = named(&headers, counter.tls) {
        store.end_session(&old).await.map_err(|error| failed(&error))?;
    }
    let begun = store.sign_in_as(&identity, now).await.map_err(|error| failed(&error))?;
    let about = format!("by {issuer}");
    let Some((account, token)) = begun else {
        let noted = store.audit(now, identity.value.as_str(), "tried to sign in", &about).await;
        noted.map_err(|error| failed(&error))?;
        let words = format!(
            "You are signed in at {issuer} as {} ({}). This desk has no person of that name. Ask its manager for an \
             account.",
            identity.value, identity.claim
        );
        return Err(refused(refuse_with(StatusCode::FORBIDDEN, &words, "/desk/sign-in")));
    };
    let noted = store.audit(now, account.login.as_str(), "signed in", &about).await;
    noted.map_err(|error| failed(&error))?;
    let set = [
        (header::SET_COOKIE, session::cookie(Some(&token), counter.tls)),
        (header::SET_COOKIE, cookie(None, counter.tls)),
    ];
    Ok((AppendHeaders(set), Redirect::to(local(&attempt.next))).into_response())
}

/// What somebody reads whose sign-in comes to nothing. What only helps whoever keeps the desk goes to the log.
fn told(refused: &Refused, oidc: &Oidc) -> Response {
    let issuer = &oidc.provider.issuer;
    let log = || tracing::warn!("a sign-in is refused: {}", hospitium_model::chain(refused));
    let (status, words) = match refused {
        Refused::Silent { .. } => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{issuer} does not answer now. Try again in a minute, or sign in with a password."),
        ),
        Refused::Busy => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Too many people sign in at once. Try again in a minute.".to_owned(),
        ),
        Refused::Foreign => (
            StatusCode::FORBIDDEN,
            "This browser did not begin this sign-in, or it began more than ten minutes ago, or began another one \
             since. Nobody is signed in. Begin again."
                .to_owned(),
        ),
        Refused::Again => (
            StatusCode::FORBIDDEN,
            "This sign-in came to its end before, and counts once. Begin again.".to_owned(),
        ),
        Refused::MixedUp(_) => {
            log();
            let words = format!("The answer does not come from {issuer}. Nobody is signed in.");
            (StatusCode::FORBIDDEN, words)
        }
        Refused::Declined { code, .. } => (
            StatusCode::FORBIDDEN,
            format!("{issuer} did not sign you in. Its answer: {code}. Begin again."),
        ),
        Refused::Unconfirmed { .. } => {
            log();
            let words =
                format!("{issuer} does not confirm this sign-in. Begin again; the server's log says why.");
            (StatusCode::BAD_GATEWAY, words)
        }
        Refused::Token(ClaimsVerificationError::Expired(_)) => {
            log();
            let words = format!(
                "What {issuer} confirmed holds no longer. Begin again; if it happens again, the clocks of the two \
                 servers differ."
            );
            (StatusCode::FORBIDDEN, words)
        }
        Refused::Token(_) | Refused::Bad(_) => {
            log();
            let words = format!(
                "What {issuer} sent cannot be believed, and nobody is signed in. The server's log says why."
            );
            (StatusCode::FORBIDDEN, words)
        }
        Refused::Nameless { why, .. } => (
            StatusCode::FORBIDDEN,
            format!("{issuer} signed you in, but does not say who you are: {why}. Ask this desk's manager."),
        ),
        Refused::Name(error) => (
            StatusCode::FORBIDDEN,
            format!("{issuer} signed you in, but {error}. Ask this desk's manager."),
        ),
    };
    refuse_with(status, &words, "/desk/sign-in")
}
