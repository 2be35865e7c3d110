//! A log's folder as static files (c2sp.org/tlog-tiles), and a head that is shown only once it has the cosignatures that
//! its policy asks for.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path as Segment, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hospitium_ledger::{
    BUNDLE_LIMIT, Checkpoint, HeadError, LogError, LogFolder, Policy, Source as _,
};
use jiff::Timestamp;

use crate::ask::{Asked, ask_all};

/// A party's log as others see it.
#[derive(Debug)]
pub struct Publisher {
    folder: LogFolder,
    policy: Policy,
    /// What is shown as the checkpoint.
    shown: Mutex<Option<Checkpoint>>,
}

/// Why a log's head is not shown; the one before is.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The log.
    #[error("the log cannot be read")]
    Log(#[from] LogError),
    /// Cosignatures are missing, or the policy is for another log.
    #[error("the head of {size} entries is not shown yet")]
    Head {
        /// Its entries.
        size: u64,
        /// Why.
        source: HeadError,
    },
}

impl Publisher {
    /// The log in this folder, whose heads are shown once this policy trusts them.
    pub fn new(folder: &Path, policy: Policy) -> Self {
        Self { folder: LogFolder::new(folder), policy, shown: Mutex::new(None) }
    }

    /// Shows the log's present head if its policy trusts it; asks its witnesses first where cosignatures are missing, for
    /// so long. Gives what they answered. Until then the head before is shown, so that a witness that is down holds new
    /// records back, and takes none away.
    ///
    /// # Errors
    /// If the head stays without what the policy asks for.
    pub fn update(&self, within: Duration) -> Result<Vec<Asked>, PublishError> {
        let mut checkpoint = self.folder.checkpoint()?;
        let now = Timestamp::now();
        if self.is_shown(&checkpoint) {
            return Ok(Vec::new());
        }
        let trusts = |checkpoint: &Checkpoint| self.policy.trusts(checkpoint, now);
        let mut asked = Vec::new();
        if let Err(HeadError::Quorum { .. }) = trusts(&checkpoint) {
            asked = ask_all(&self.folder, &checkpoint, &self.policy, within);
            let lines = asked.iter().filter_map(|asked| asked.lines.as_ref().ok()).flatten();
            for line in lines {
                // One that is not accepted is no reason to lose the others.
                if let Ok(with) = self.policy.accept(&checkpoint, line, now) {
                    checkpoint = with;
                }
            }
        }
        let size = checkpoint.head().size;
        trusts(&checkpoint).map_err(|source| PublishError::Head { size, source })?;
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(checkpoint);
        Ok(asked)
    }

    fn is_shown(&self, checkpoint: &Checkpoint) -> bool {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.as_ref().is_some_and(|shown| shown.text() == checkpoint.text())
    }

    fn checkpoint(&self) -> Option<Vec<u8>> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.as_ref().map(|shown| shown.as_bytes().to_vec())
    }
}

/// `GET /checkpoint` and `GET /tile/…`.
pub fn routes(publisher: Arc<Publisher>) -> Router {
    Router::new()
        .route("/checkpoint", get(checkpoint))
        .route("/tile/{*path}", get(tile))
        .with_state(publisher)
}

async fn checkpoint(State(publisher): State<Arc<Publisher>>) -> Response {
    match publisher.checkpoint() {
        Some(bytes) => {
            let headers = [
                (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
                (header::CACHE_CONTROL, "no-cache"),
            ];
            (headers, bytes).into_response()
        }
        None => absent(),
    }
}

async fn tile(State(publisher): State<Arc<Publisher>>, Segment(path): Segment<String>) -> Response {
    if !is_tile(&path) {
        return absent();
    }
    let path = format!("tile/{path}");
    let folder = publisher.folder.clone();
    let read = tokio::task::spawn_blocking(move || folder.get(&path, BUNDLE_LIMIT)).await;
    match read {
        Ok(Ok(Some(bytes))) => {
            // What a path names never changes.
            let headers = [
                (header::CONTENT_TYPE, "application/octet-stream"),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ];
            (headers, bytes).into_response()
        }
        Ok(Ok(None)) => absent(),
        Ok(Err(error)) => {
            tracing::error!("a file of the log cannot be read: {error}");
            (StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be read\n").into_response()
        }
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "something failed here\n").into_response(),
    }
}

fn absent() -> Response {
    (StatusCode::NOT_FOUND, "there is no such file in this log\n").into_response()
}

/// Whether this names a tile or a bundle: `<L>/<N>` or `entries/<N>`, `<N>` in groups of three digits, all but the last
/// led by an x, and maybe `.p/<W>` at its end.
fn is_tile(path: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let Some((row, rest)) = path.split_once('/') else { return false };
    let (place, width) = match rest.split_once(".p/") {
        Some((place, width)) => (place, Some(width)),
        None => (rest, None),
    };
    let mut groups = place.split('/').rev();
    let last = groups.next().is_some_and(|last| last.len() == 3 && digits(last));
    let others = groups.all(|group| {
        group.strip_prefix('x').is_some_and(|group| group.len() == 3 && digits(group))
    });
    (row == "entries" || (row.len() <= 2 && digits(row)))
        && last
        && others
        && width.is_none_or(|width| width.len() <= 3 && digits(width))
        && path.len() <= 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_tiles_are_looked_up() {
        for good in ["0/000", "entries/x001/x234/067", "1/000.p/17", "entries/000.p/256"] {
            assert!(is_tile(good), "{good}");
        }
        for bad in [
            "",
            "0",
            "0/",
            "0/00",
            "0/0000",
            "../secret/log.pem",
            "0/../000",
            "0/000.p/../x",
            "0/x000",
            "entries/001/067",
            "entries/000.p/",
            "entries/000.p/1/2",
            ".lock/000",
            "0//000",
            "0/000\0",
        ] {
            assert!(!is_tile(bad), "{bad}");
        }
    }
}
