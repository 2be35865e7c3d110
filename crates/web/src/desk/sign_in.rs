//! Signing in and out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use askama::Template;
use axum::Form;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{Extensions, HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use hospitium_desk::{Login, is_password};
use jiff::Timestamp;
use serde::Deserialize;

use super::Counter;
use super::fields::Fields;
use super::session::{Signed, cookie, counter, named};
use super::shell::{Shell, failed, page};
use crate::site::Site;

#[derive(Template)]
#[template(path = "desk/sign-in.html")]
struct SignIn {
    shell: Shell,
    next: String,
    trouble: String,
    provider: Option<Offered>,
}

/// The provider at which people may sign in.
struct Offered {
    issuer: String,
    /// What is wrong with it now; empty if nothing is.
    trouble: String,
}

/// How long the page to sign in waits for the provider.
const WAIT: Duration = Duration::from_secs(1);

impl Offered {
    async fn by(counter: &Counter) -> Option<Self> {
        let oidc = counter.oidc.as_ref()?;
        let trouble = oidc.trouble(WAIT).await.unwrap_or_default();
        Some(Self { issuer: oidc.issuer().to_owned(), trouble })
    }
}

#[derive(Debug, Default, Deserialize)]
pub struct Next {
    /// Where to go on afterwards.
    #[serde(default)]
    pub next: String,
}

/// Where to go on: a page of this desk, and nowhere else.
pub fn local(next: &str) -> &str {
    let plain = next.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-".contains(&b));
    let ours = next == "/desk" || next.starts_with("/desk/");
    if plain && ours && !next.starts_with("/desk/sign-in") { next } else { "/desk" }
}

/// `GET /desk/sign-in`.
pub async fn form(
    State(site): State<Arc<Site>>,
    Query(Next { next }): Query<Next>,
) -> Result<Response, Response> {
    let counter = counter(&site)?;
    let shell = Shell::nobody(counter.office.us.as_str());
    let (next, trouble) = (local(&next).to_owned(), String::new());
    Ok(page(&SignIn { shell, next, trouble, provider: Offered::by(counter).await }))
}

/// `POST /desk/sign-in`.
pub async fn sign_in(
    State(site): State<Arc<Site>>,
    extensions: Extensions,
    headers: HeaderMap,
    Form(given): Form<Vec<(String, String)>>,
) -> Result<Response, Response> {
    let counter = counter(&site)?;
    let fields = Fields::new(given.clone());
    let next = local(fields.get("next").unwrap_or_default()).to_owned();
    let address = extensions.get::<ConnectInfo<SocketAddr>>().map(|from| from.0.ip());
    let again = async |status, trouble: String| {
        let shell = Shell::nobody(counter.office.us.as_str());
        let (next, provider) = (next.clone(), Offered::by(counter).await);
        (status, page(&SignIn { shell, next, trouble, provider })).into_response()
    };
    let name = fields.get("login").unwrap_or_default().to_owned();
    // A password may begin with a space.
    let password = given.into_iter().find(|(name, _)| name == "password");
    let password = password.map(|(_, value)| value).unwrap_or_default();
    let login = name.parse::<Login>().ok();
    let key = login.as_ref().map_or("", Login::as_str);
    if let Err(wait) = counter.throttle.begin(key, address, Instant::now()) {
        let minutes = wait.as_secs().div_ceil(60);
        let words = format!("Too many tries. Come again in {minutes} minutes.");
        let retry = [(header::RETRY_AFTER, wait.as_secs().max(1).to_string())];
        return Ok((retry, again(StatusCode::TOO_MANY_REQUESTS, words).await).into_response());
    }
    let store = &counter.office.store;
    let known = match &login {
        Some(login) => store.account(login).await.map_err(|error| failed(&error))?,
        None => None,
    };
    let (account, hash) = known.unzip();
    // An account without a password takes as long as any other.
    let hash = hash.filter(|hash| !hash.is_empty());
    let checked_against = hash.clone().unwrap_or_default();
    let good = {
        // Each takes memory; others wait for their turn.
        let _turn = counter.hashing.acquire().await.map_err(|error| failed(&error))?;
        let checked = tokio::task::spawn_blocking(move || is_password(&password, hash.as_deref()));
        checked.await.map_err(|error| failed(&error))?
    };
    let now = Timestamp::now();
    let Some(account) = account.filter(|_| good) else {
        let shown = login.as_ref().map_or("no name that can be", Login::as_str);
        store.audit(now, shown, "tried to sign in", "").await.map_err(|error| failed(&error))?;
        let words = "This name and this password do not belong together.".to_owned();
        return Ok(again(StatusCode::UNAUTHORIZED, words).await);
    };
    counter.throttle.succeeded(key, address);
    // The session of before, if there was one, ends: the new one has a token of its own.
    if let Some(old) = named(&headers, counter.tls) {
        store.end_session(&old).await.map_err(|error| failed(&error))?;
    }
    let begun = store.sign_in(&account.login, &checked_against, now).await;
    let Some(token) = begun.map_err(|error| failed(&error))? else {
        let words = "This name and this password do not belong together.".to_owned();
        return Ok(again(StatusCode::UNAUTHORIZED, words).await);
    };
    let noted = store.audit(now, account.login.as_str(), "signed in", "").await;
    noted.map_err(|error| failed(&error))?;
    let set = [(header::SET_COOKIE, cookie(Some(&token), counter.tls))];
    Ok((set, Redirect::to(&next)).into_response())
}

/// `POST /desk/sign-out`.
pub async fn sign_out(
    State(site): State<Arc<Site>>,
    signed: Signed,
    Form(given): Form<Vec<(String, String)>>,
) -> Result<Response, Response> {
    let counter = counter(&site)?;
    let given = Fields::new(given);
    if given.get("csrf") != Some(signed.token.for_forms().as_str()) {
        return Err(super::shell::refuse(
            StatusCode::FORBIDDEN,
            "This form is not of this session.",
        ));
    }
    let store = &counter.office.store;
    store.end_session(&signed.token).await.map_err(|error| failed(&error))?;
    let noted = store.audit(Timestamp::now(), signed.account.login.as_str(), "signed out", "");
    noted.await.map_err(|error| failed(&error))?;
    let set = [(header::SET_COOKIE, cookie(None, counter.tls))];
    let there = match &counter.oidc {
        Some(oidc) if is_linked(counter, &signed).await? => oidc.sign_out().await,
        _ => None,
    };
    let Some(there) = there else {
        return Ok((set, Redirect::to("/desk/sign-in")).into_response());
    };
    // A page that goes on by itself: a redirection would answer a form, and forms go to this site only
    // (form-action in the content security policy).
    let on = [(header::REFRESH, format!("0; url={there}"))];
    let shell = Shell::nobody(counter.office.us.as_str());
    Ok((set, on, page(&SignedOut { shell, there })).into_response())
}

#[derive(Template)]
#[template(path = "desk/signed-out.html")]
struct SignedOut {
    shell: Shell,
    there: String,
}

/// Whether somebody signs in at the provider at all.
async fn is_linked(counter: &Counter, signed: &Signed) -> Result<bool, Response> {
    let all = counter.office.store.identities().await.map_err(|error| failed(&error))?;
    Ok(all.iter().any(|(login, ..)| login == signed.account.login.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_signing_in_nobody_is_sent_elsewhere() {
        for bad in [
            "",
            "//evil.example",
            "/desk//evil.example/%0d",
            "https://evil.example",
            "/other",
            "/desk\\x",
            "/deskx",
        ] {
            assert_eq!(local(bad), "/desk", "{bad:?}");
        }
        assert_eq!(local("/desk/cases/c-0123"), "/desk/cases/c-0123");
    }
}
