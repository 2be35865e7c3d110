//! The desk for programs, under `/api/v1/desk`: what the pages do, in somebody's name, by a token of that account. A
//! token is no cookie: no browser sends it by itself, so no other site can use it.

mod body;
mod cases;
mod view;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hospitium_desk::store::{Once, Token};
use jiff::Timestamp;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::session::Signed;
use crate::api::Problem;
use crate::site::Site;

/// Where it is, within the API.
pub const ROOT: &str = "/api/v1/desk";
/// The name of the way to sign in, in the OpenAPI document.
pub const SCHEME: &str = "token";
/// The longest idempotency key.
const KEY: usize = 200;

/// Every route with its description.
pub fn described() -> OpenApiRouter<Arc<Site>> {
    OpenApiRouter::new()
        .routes(routes!(cases::list, cases::open))
        .routes(routes!(cases::show))
        .routes(routes!(cases::reply))
}

/// How one signs in, for the OpenAPI document.
pub fn scheme() -> SecurityScheme {
    let about = "A token of an account at the desk: hospitium case person token LOGIN";
    SecurityScheme::Http(
        HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(about)).build(),
    )
}

/// Somebody in whose name a program calls.
#[derive(Debug)]
pub struct Caller(pub Signed);

/// Why a call is refused, with what the one who calls has to do.
pub enum Refusal {
    /// No token, or one that does not hold.
    Token,
    /// Anything else.
    Problem(Problem),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Problem(problem) => problem.into_response(),
            Self::Token => {
                let words = "Send a token of an account here as `authorization: Bearer TOKEN`. \
                             hospitium case person token LOGIN makes one.";
                let mut response = Problem::new(StatusCode::UNAUTHORIZED, words).into_response();
                let challenge = HeaderValue::from_static("Bearer");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
                response
            }
        }
    }
}

/// The token of a request (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Option<Token> {
    let line = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = line.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    Token::read(token.trim())
}

impl FromRequestParts<Arc<Site>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Refusal> {
        let none = || Problem::not_found("There is no desk here.");
        let counter = site.counter().ok_or_else(none)?;
        let token = bearer(&parts.headers).ok_or(Refusal::Token)?;
        let account = counter.office.store.token(&token, Timestamp::now()).await;
        let account = account.map_err(|error| failed(&error))?.ok_or(Refusal::Token)?;
        Ok(Self(Signed { account, token }))
    }
}

/// What makes a call count once: the header `idempotency-key`.
#[derive(Debug)]
pub struct Key(String);

impl FromRequestParts<Arc<Site>> for Key {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Site>) -> Result<Self, Refusal> {
        let given = parts.headers.get("idempotency-key").and_then(|value| value.to_str().ok());
        match given.map(str::trim).filter(|key| (1..=KEY).contains(&key.len())) {
            Some(key) => Ok(Self(key.to_owned())),
            None => Err(Problem::bad(
                "Send `idempotency-key: TEXT` with a text that is new for each thing that is to be done, such as a \
                 random UUID, and the same when the same is sent again.",
            )
            .into()),
        }
    }
}

impl Key {
    /// For a call by somebody, with this content: the same key with other words is another call.
    fn once(&self, caller: &Signed, content: &str) -> Once {
        Once::new(&format!("api {} {} {content}", caller.account.login, self.0))
    }
}

/// What failed here is told to the log only.
fn failed(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!("a call of the desk failed: {}", hospitium_model::chain(error));
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "Something failed here. The server's log says what.",
    )
}

/// The same refusal as a page would show, for a program.
fn refused(page: Response) -> Problem {
    match page.status() {
        StatusCode::NOT_FOUND => Problem::not_found("There is no such case at this desk."),
        StatusCode::FORBIDDEN => {
            Problem::new(StatusCode::FORBIDDEN, "The account's role does not do this.")
        }
        status => Problem::new(status, "It was not done. The desk's page says why."),
    }
}
