//! The pages: routes and handlers, which are thin. What a page says is put together in its model.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use crate::site::Site;

/// Where pages are.
pub fn router() -> Router<Arc<Site>> {
    Router::new().route("/style.css", get(style))
}

async fn style() -> impl IntoResponse {
    let kept = (header::CACHE_CONTROL, "max-age=3600");
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), kept], crate::STYLE)
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct Refusal<'a> {
    root: &'a str,
    status: u16,
    title: &'a str,
    words: &'a str,
}

/// The page for a request that is not answered as asked.
pub fn refusal(status: StatusCode, words: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let page = Refusal { root: "/", status: status.as_u16(), title, words };
    match page.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(_) => (status, words.to_owned()).into_response(),
    }
}
