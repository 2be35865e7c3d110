//! The support desk as pages: a queue, a case with one timeline of both vendors, and the forms that change it. They
//! work without scripts; who is not signed in sees the form to sign in and nothing else.

#![expect(
    clippy::result_large_err,
    reason = "what ends a request early is the response itself, which is made once and not passed through loops"
)]

pub mod api;
mod audit;
#[cfg(test)]
mod browser;
mod case;
mod fields;
mod forms;
mod oidc;
mod open;
mod pages;
mod queue;
mod session;
mod shell;
mod sign_in;
#[cfg(test)]
mod tests;
mod throttle;
mod timeline;
mod upload;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use hospitium_desk::{Office, Places};
use tokio::sync::Semaphore;

use crate::site::Site;
pub use oidc::{Oidc, SetUpError};
use throttle::Throttle;

/// The largest body of a form, in bytes: some texts of the longest kind.
const FORM: usize = 256 << 10;
/// The largest body of a program's call, in bytes: a case with a machine's definition.
const BODY: usize = 2 << 20;
/// Passwords that are hashed at once: each takes 19 MiB.
const HASHING: usize = 2;
/// Files that are uploaded or downloaded at once.
const FILES: usize = 8;
/// How long an upload may take.
const UPLOAD: std::time::Duration = std::time::Duration::from_secs(600);

/// How the exchange with other desks goes: the other party, and what is wrong if something is.
pub type Troubles = Box<dyn Fn() -> Vec<(String, String)> + Send + Sync>;

/// A desk that is shown as pages.
pub struct Counter {
    office: Arc<Office>,
    tls: bool,
    largest: u64,
    troubles: Troubles,
    throttle: Throttle,
    hashing: Semaphore,
    files: Semaphore,
    places: Places,
    oidc: Option<Arc<Oidc>>,
}

impl std::fmt::Debug for Counter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counter").field("us", &self.office.us).finish_non_exhaustive()
    }
}

impl Counter {
    /// The desk of this office. `tls` says that browsers come over TLS, so that cookies are bound to it; an attachment
    /// has at most `largest` bytes.
    pub fn new(office: Arc<Office>, tls: bool, largest: u64, troubles: Troubles) -> Self {
        Self {
            office,
            tls,
            largest,
            troubles,
            throttle: Throttle::default(),
            hashing: Semaphore::new(HASHING),
            files: Semaphore::new(FILES),
            places: Places::default(),
            oidc: None,
        }
    }

    /// The same, where people may sign in by OpenID Connect too.
    pub fn with_oidc(self, oidc: Oidc) -> Self {
        Self { oidc: Some(Arc::new(oidc)), ..self }
    }
}

/// The routes, if this site has a desk.
pub fn router(site: &Arc<Site>) -> Router<Arc<Site>> {
    if site.counter().is_none() {
        return Router::new();
    }
    let uploads = Router::new()
        .route("/desk/cases/{id}/files", post(upload::attach))
        .route("/desk/open", get(open::form).post(open::open))
        // Streamed; each handler counts for itself.
        .layer(DefaultBodyLimit::disable())
        .layer(crate::serve::timeout(UPLOAD));
    Router::new()
        .route("/desk", get(queue::queue))
        .route("/desk/sign-in", get(sign_in::form).post(sign_in::sign_in))
        .route("/desk/sign-in/oidc", get(oidc::begin))
        .route("/desk/sign-in/return", get(oidc::back))
        .route("/desk/sign-out", post(sign_in::sign_out))
        .route("/desk/cases/{id}", get(case::case))
        .route("/desk/cases/{id}/do", post(pages::act))
        .route("/desk/cases/{id}/note", post(pages::note))
        .route("/desk/cases/{id}/offer", post(pages::offer))
        .route("/desk/cases/{id}/discard", post(pages::discard))
        .route("/desk/cases/{id}/files/{sha256}", get(upload::download))
        .route("/desk/audit", get(audit::audit))
        .layer(DefaultBodyLimit::max(FORM))
        .layer(crate::serve::timeout(crate::serve::TIME))
        .merge(uploads)
        .merge(programs())
        .layer(from_fn_with_state(Arc::clone(site), guarded))
}

/// The routes for programs.
fn programs() -> Router<Arc<Site>> {
    let (routes, _) = api::described().split_for_parts();
    let routes =
        routes.layer(DefaultBodyLimit::max(BODY)).layer(crate::serve::timeout(crate::serve::TIME));
    Router::new().nest(api::ROOT, routes)
}

/// Refuses forms that other sites send, and sets the headers of confidential pages (OWASP ASVS 4.0.3, 8.2.1, 14.4).
async fn guarded(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let foreign = request.method() != axum::http::Method::GET && session::is_foreign(&request);
    let mut response = match foreign {
        true => shell::refuse(
            axum::http::StatusCode::FORBIDDEN,
            "Another site sent this form. Open the page here and send it again.",
        ),
        false => next.run(request).await,
    };
    let tls = site.counter().is_some_and(|counter| counter.tls);
    let headers = [
        ("cache-control", "no-store"),
        // Forms say where they come from, to this site alone.
        ("referrer-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ];
    let secure = ("strict-transport-security", "max-age=31536000");
    for (name, value) in headers.into_iter().chain(tls.then_some(secure)) {
        let name = HeaderName::from_static(name);
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
