//! The server: routes, headers, limits, and an end that is clean.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

use crate::connections::{self, Connections};
use crate::site::Site;
use crate::{Refused, SiteError, api, badge, feed, live, pages};

/// Longest address of a request, in bytes. Questions are at most 500.
pub const LONGEST_ADDRESS: usize = 4096;
/// Largest body of a request, in bytes, where a route says nothing else.
pub const LARGEST_BODY: usize = 64 * 1024;
/// How long a response may take to begin.
pub const TIME: Duration = Duration::from_secs(30);
/// How long what is being answered may take on when the server ends.
const GRACE: Duration = Duration::from_secs(3);

/// What pages may do: show our own style and pictures, and send forms here. No script of any kind.
/// A page that has our own script file gives this header itself; what a handler sets stays.
pub const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
                          form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// All routes, with headers and limits.
pub fn router(site: Arc<Site>) -> Router {
    let headers = [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ];
    let beside = site.routes_beside();
    // Not compressed: how long a page is would tell what of its secrets somebody guessed (BREACH).
    let desk = crate::desk::router(&site).with_state(Arc::clone(&site));
    let mut router = Router::new()
        .merge(pages::router())
        .merge(api::router(&site))
        .merge(live::router())
        .merge(feed::router())
        .merge(badge::router())
        .fallback(|| async { Refused::NotFound("There is no such page here.".into()) })
        .method_not_allowed_fallback(|| async {
            pages::refusal(StatusCode::METHOD_NOT_ALLOWED, "This page is read with GET only.")
        })
        .with_state(site)
        .merge(beside)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(CompressionLayer::new())
        .layer(timeout(TIME))
        .merge(desk)
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            pages::refusal(StatusCode::INTERNAL_SERVER_ERROR, "Something failed here.")
        }))
        .layer(from_fn(bounded));
    for (name, value) in headers {
        router = router.layer(SetResponseHeaderLayer::if_not_present(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        ));
    }
    router
}

/// How long a response may take to begin.
pub fn timeout(time: Duration) -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, time)
}

/// Refuses what is too long to be a question.
async fn bounded(request: Request, next: Next) -> Response {
    let uri = request.uri();
    let length = uri.path().len() + uri.query().map_or(0, str::len);
    if length > LONGEST_ADDRESS {
        let words = format!("The address is longer than {LONGEST_ADDRESS} bytes.");
        return pages::refusal(StatusCode::URI_TOO_LONG, &words).into_response();
    }
    next.run(request).await
}

/// Listens.
///
/// # Errors
/// If that is not possible; a port that is taken is told apart.
pub async fn listen(address: &str) -> Result<TcpListener, SiteError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => SiteError::Taken { address: address.to_owned() },
        _ => SiteError::Listen { address: address.to_owned(), source },
    })
}

/// Serves until `end` comes; then what is being answered is brought to its end, for a few seconds.
pub async fn serve(
    listener: TcpListener,
    site: Arc<Site>,
    limits: Connections,
    end: impl Future<Output = ()> + Send + 'static,
) {
    let closing = Arc::clone(&site);
    let mut closed = site.closing();
    let answering = connections::answer(listener, router(site), limits, closed.clone());
    let ending = async move {
        end.await;
        closing.close();
    };
    let late = async move {
        let _ = closed.wait_for(|closing| *closing).await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ((), ()) = async { tokio::join!(answering, ending) } => {}
        () = late => {}
    }
}
