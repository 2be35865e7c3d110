//! A party's public part, `party.toml`, as others fetch it before they compare its fingerprint.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hospitium_ledger::PublicParty;

/// `GET /party.toml`: what is in this file at the time of the request, for a change of key writes it anew.
pub fn routes(file: PathBuf) -> Router {
    Router::new().route("/party.toml", get(party)).with_state(Arc::new(file))
}

async fn party(State(file): State<Arc<PathBuf>>) -> Response {
    let read = tokio::task::spawn_blocking(move || read(&file)).await;
    let headers = [
        (header::CONTENT_TYPE, "application/toml; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    match read {
        Ok(Some(text)) => (headers, text).into_response(),
        _ => {
            (StatusCode::INTERNAL_SERVER_ERROR, "the party's keys cannot be read\n").into_response()
        }
    }
}

/// Only what reads as a party's public part goes out, and nothing else that the file may have.
fn read(file: &Path) -> Option<String> {
    let read = PublicParty::read(file);
    read.inspect_err(|error| tracing::error!("{}: {error}", file.display()))
        .ok()
        .map(|party| party.to_toml())
}
