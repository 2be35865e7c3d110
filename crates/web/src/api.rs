//! The JSON API under `/api/v1`: the routes, and the OpenAPI document that is made from them.
//!
//! What is answered are the catalog's own types. Every route is registered together with its
//! description, so that none can be missing from the document.

mod agreements;
mod ask;
mod hosts;
mod page;
mod problem;
mod products;
mod records;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use problem::Problem;

use crate::day::Day;
use crate::site::Site;

/// Where the API is.
pub const ROOT: &str = "/api/v1";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Hospitium catalog",
        description = "Whether a guest is validated on a host, by whom, until when, and why. All \
                       answers hold for the day that the site shows, which each answer tells, or for \
                       another that is asked for with `as_of`. \
                       Nothing of the catalog needs a key or changes anything. Cases of a support desk, where this \
                       server has one, need a token of an account there.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    tags(
        (name = "Questions", description = "Is this guest validated on this host?"),
        (name = "Products", description = "Guests and hosts, and what is said of them"),
        (name = "Agreements", description = "What parties owe, and what they delivered"),
        (name = "Records", description = "Outcomes, certificates, and the logs that they stand in"),
        (name = "Cases", description = "Joint support, where this server has a desk: what its pages do, for programs")
    )
)]
struct Described;

fn described() -> OpenApiRouter<Arc<Site>> {
    OpenApiRouter::new()
        .routes(routes!(ask::ask))
        .routes(routes!(ask::check_vm))
        .routes(routes!(products::search))
        .routes(routes!(products::product))
        .routes(routes!(agreements::list))
        .routes(routes!(agreements::agreement))
        .routes(routes!(agreements::obligations))
        .routes(routes!(records::list))
        .routes(routes!(records::record))
        .routes(routes!(records::certificate_file))
        .routes(routes!(records::logs))
        .routes(routes!(hosts::differences))
}

/// The OpenAPI document.
pub fn document() -> &'static utoipa::openapi::OpenApi {
    static DOCUMENT: OnceLock<utoipa::openapi::OpenApi> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let mut document = OpenApiRouter::with_openapi(Described::openapi())
            .nest(ROOT, described())
            .nest(crate::desk::api::ROOT, crate::desk::api::described())
            .into_openapi();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(crate::desk::api::SCHEME, crate::desk::api::scheme());
        document
    })
}

/// The API's routes. `site` is asked for the state by which answers may be kept.
pub fn router(site: &Arc<Site>) -> Router<Arc<Site>> {
    let (routes, _) = described().split_for_parts();
    let api = routes
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "This address does not take this method.")
        })
        // A definition is all that anybody sends.
        .layer(DefaultBodyLimit::max(
            usize::try_from(hospitium_vmdef::LARGEST).unwrap_or(usize::MAX),
        ))
        .layer(from_fn_with_state(Arc::clone(site), kept))
        .route("/openapi.json", get(|| async { Json(document()) }))
        .route("/", get(page::page))
        .fallback(|| async {
            Problem::new(
                StatusCode::NOT_FOUND,
                "There is no such address in the API. /api/v1/openapi.json lists them all.",
            )
        });
    Router::new().nest(ROOT, api).route("/api/v1/", get(page::page))
}

#[derive(Deserialize)]
struct On {
    as_of: Option<Day>,
}

/// Marks answers with the catalog's state, and answers 304 to whoever has that state already.
async fn kept(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    // What names no day gets the route's own refusal, whatever the one who asks has already.
    let Ok(Query(On { as_of })) = Query::try_from_uri(request.uri()) else {
        return next.run(request).await;
    };
    let tag = match site.view().await {
        Ok(view) => {
            let day = as_of.map_or(view.as_of, |Day(day)| day);
            format!("W/\"{}-{day}-{}\"", view.mark, started())
        }
        Err(error) => return Problem::from(error).into_response(),
    };
    let known = request
        .headers()
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim() == tag || value.trim() == "*");
    let mut response = match known {
        true => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        }
        false => next.run(request).await,
    };
    if (response.status().is_success() || known)
        && let Ok(tag) = HeaderValue::from_str(&tag)
    {
        response.headers_mut().insert(header::ETAG, tag);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    response
}

/// When this server began, in seconds: products and agreements are read then, so that what an
/// earlier one told may differ although the logs are the same.
fn started() -> i64 {
    static STARTED: OnceLock<i64> = OnceLock::new();
    *STARTED.get_or_init(|| jiff::Timestamp::now().as_second())
}
