//! Whose request it is, and whether a form is one of ours.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use hospitium_desk::store::{Once, Token};
use hospitium_desk::{Account, Case, Line, Office, Side};
use hospitium_model::Digest;
use jiff::Timestamp;

use super::fields::Fields;
use super::{Counter, shell};
use crate::site::Site;

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub struct Signed {
    /// Who.
    pub account: Account,
    /// The session.
    pub token: Token,
}

/// The name of the session's cookie: over TLS, one that only this host can set (RFC 6265bis, 4.1.3.2).
const fn cookie_name(tls: bool) -> &'static str {
    if tls { "__Host-desk" } else { "desk" }
}

/// The cookie that carries a session; without one, the cookie that takes it away.
pub fn cookie(token: Option<&Token>, tls: bool) -> String {
    let (name, secure) = (cookie_name(tls), if tls { "; Secure" } else { "" });
    let value = token.map_or("", Token::as_str);
    let end = if token.is_some() { "" } else { "; Max-Age=0" };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{end}")
}

/// The values of this cookie that a request carries.
pub fn cookies<'h>(headers: &'h HeaderMap, name: &'static str) -> impl Iterator<Item = &'h str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let cookies = all.flat_map(|line| line.split(';')).filter_map(|one| one.trim().split_once('='));
    cookies.filter(move |(known, _)| *known == name).map(|(_, value)| value)
}

/// The session that a request names.
pub fn named(headers: &HeaderMap, tls: bool) -> Option<Token> {
    cookies(headers, cookie_name(tls)).next().and_then(Token::read)
}

/// Whether another site sent a form, as far as the browser tells: `Sec-Fetch-Site`, else `Origin`.
pub fn is_foreign(request: &Request) -> bool {
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-site"), text("origin"), text("host")) {
        (Some(site), ..) => site != "same-origin",
        (None, Some(origin), Some(host)) => {
            origin.split_once("://").is_none_or(|(_, from)| from != host)
        }
        (None, Some(_), None) => true,
        (None, None, _) => false,
    }
}

impl FromRequestParts<Arc<Site>> for Signed {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Response> {
        let counter = counter(site)?;
        let sign_in = || {
            // Where to go on afterwards: a page of the desk, never what was posted.
            let next = match parts.method == axum::http::Method::GET {
                true => format!("?next={}", parts.uri.path()),
                false => String::new(),
            };
            Redirect::to(&format!("/desk/sign-in{next}")).into_response()
        };
        let token = named(&parts.headers, counter.tls).ok_or_else(sign_in)?;
        let account = counter.office.store.session(&token, Timestamp::now()).await;
        let account = account.map_err(|error| shell::failed(&error))?.ok_or_else(sign_in)?;
        Ok(Self { account, token })
    }
}

/// The desk of this site.
pub fn counter(site: &Site) -> Result<&Counter, Response> {
    site.counter().ok_or_else(|| shell::refuse(StatusCode::NOT_FOUND, "There is no desk here."))
}

impl Signed {
    /// Checks that a form is of this session. Gives what makes it count once.
    pub fn form(&self, fields: &Fields) -> Result<Once, Response> {
        let given = fields.get("csrf").unwrap_or_default();
        // Digests are compared, so that the time tells nothing of the token.
        let same = Digest::of(given.as_bytes()) == Digest::of(self.token.for_forms().as_bytes());
        let once = fields.get("once").filter(|once| once.len() == 64);
        match (same, once) {
            // The same form with other words in it is another one.
            (true, Some(_)) => Ok(Once::new(&format!("{} {fields:?}", self.token.as_str()))),
            _ => Err(shell::refuse(
                StatusCode::FORBIDDEN,
                "This form is not of this session. Open its page again and send it from there.",
            )),
        }
    }

    /// Whether it may see this case.
    pub fn sees(&self, case: &Case, office: &Office) -> bool {
        if self.account.role != hospitium_desk::Role::Customer {
            return true;
        }
        let owns = case.party(case.owner) == &office.us;
        let opened = case.party(Side::Submitter) == &office.us;
        self.account.customer.as_ref() == Some(&case.customer.name) && (owns || opened)
    }

    /// The name that stands in a case, which the other vendor reads too. A customer's own stands there only if the
    /// customer allows that its contact is shared.
    pub fn person(&self, case: &Case) -> Option<Line> {
        let customer = self.account.role == hospitium_desk::Role::Customer;
        let allowed = case.not_allowed(&[hospitium_desk::Shareable::Contact]).is_empty();
        (!customer || allowed).then(|| self.account.name.clone())
    }

    /// Refuses somebody whose role does not do this.
    pub fn must(&self, may: bool) -> Result<(), Response> {
        match may {
            true => Ok(()),
            false => Err(shell::refuse(
                StatusCode::FORBIDDEN,
                &format!("The role {} does not do this.", self.account.role),
            )),
        }
    }
}
