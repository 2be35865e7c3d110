//! A log's folder as static files (c2sp.org/tlog-tiles), and a head that is shown only once it has the cosignatures that
//! its policy asks for.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path as Segment, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::StreamExt as _;
use hospitium_ledger::{
    BUNDLE_LIMIT, Checkpoint, Continues, FileError, HeadError, LogError, LogFolder, NoteError,
    Policy, continues, is_tile_path,
};
use jiff::Timestamp;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;
use tokio_util::io::ReaderStream;

use crate::ask::{Asked, ask_all};

/// How much of a file is read at once, in bytes.
const PIECE: usize = 64 << 10;
/// What is small enough to be given at any time, in bytes.
const SMALL: u64 = 1 << 20;
/// Larger files that are given at once: twice what one address may have of connections.
static LARGE: Semaphore = Semaphore::const_new(256);

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
    /// It does not continue the one that was shown before.
    #[error(
        "the head of {found} entries is not shown: it does not continue the head of {shown} entries that others have seen, \
         which goes on being shown. An older or another copy was put in the log's place; restore the newest copy"
    )]
    NotContinued {
        /// Its entries.
        found: u64,
        /// Those of the head that is shown.
        shown: u64,
    },
    /// What is shown cannot be kept.
    #[error("the head that is to be shown cannot be kept for the next start")]
    Keep(#[from] FileError),
}

impl Publisher {
    /// The log in this folder, whose heads are shown once this policy trusts them. The one that was shown last is shown
    /// again at once, if the policy still trusts it.
    pub fn new(folder: &Path, policy: Policy) -> Self {
        let folder = LogFolder::new(folder);
        let shown = folder.shown().filter(|kept| policy.trusts(kept, Timestamp::now()).is_ok());
        Self { folder, policy, shown: Mutex::new(shown) }
    }

    /// Entries of the head that is shown, if one is.
    pub fn size(&self) -> Option<u64> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.as_ref().map(|shown| shown.head().size)
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
        // Signatures come at any time, under the log's checkpoint as well as from witnesses that were asked here.
        if let Some(shown) = self.same_head(&checkpoint) {
            let size = checkpoint.head().size;
            let failed = |source: NoteError| PublishError::Head { size, source: source.into() };
            let shown = Checkpoint::parse(&shown).map_err(failed)?;
            checkpoint = checkpoint.with_signatures_of(&shown).map_err(failed)?;
            if checkpoint.as_bytes() == shown.as_bytes() {
                return Ok(Vec::new());
            }
        }
        self.continues(&checkpoint)?;
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
        // A head that others may have seen is not forgotten with this process.
        self.folder.keep_shown(&checkpoint)?;
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(checkpoint);
        Ok(asked)
    }

    /// Whether a head continues the one that is shown, in this process or before it: others hold it against us else.
    fn continues(&self, checkpoint: &Checkpoint) -> Result<(), PublishError> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(shown) = shown.as_ref().map(Checkpoint::head) else { return Ok(()) };
        match continues(&self.folder, shown, checkpoint.head())? {
            Continues::Yes => Ok(()),
            Continues::Older | Continues::No(_) => {
                let found = checkpoint.head().size;
                Err(PublishError::NotContinued { found, shown: shown.size })
            }
        }
    }

    /// What is shown, if it is of the same head.
    fn same_head(&self, checkpoint: &Checkpoint) -> Option<Vec<u8>> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let same = shown.as_ref().filter(|shown| shown.text() == checkpoint.text());
        same.map(|shown| shown.as_bytes().to_vec())
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
    let path = format!("tile/{path}");
    if !is_tile_path(&path) {
        return absent();
    }
    let folder = publisher.folder.clone();
    let opened = tokio::task::spawn_blocking(move || folder.open_file(&path, BUNDLE_LIMIT)).await;
    match opened {
        Ok(Ok(Some((file, size)))) => given(file, size),
        Ok(Ok(None)) => absent(),
        Ok(Err(error)) => {
            tracing::error!("{error}: {}", hospitium_model::chain(&error));
            (StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be read\n").into_response()
        }
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "something failed here\n").into_response(),
    }
}

/// A file piece by piece: whoever reads slowly, or not at all, holds one piece and not a bundle of 16 MiB.
fn given(file: std::fs::File, size: u64) -> Response {
    let place = match size {
        0..=SMALL => None,
        _ => match LARGE.try_acquire() {
            Ok(place) => Some(place),
            Err(_) => return busy(),
        },
    };
    let pieces = ReaderStream::with_capacity(tokio::fs::File::from_std(file).take(size), PIECE);
    let pieces = pieces.inspect(move |_| {
        // Held until the last of it is gone.
        let _ = &place;
    });
    // What a path names never changes.
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned()),
        (header::CONTENT_LENGTH, size.to_string()),
    ];
    (headers, Body::from_stream(pieces)).into_response()
}

fn busy() -> Response {
    let words = "too many large files are being fetched; come again\n";
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], words).into_response()
}

fn absent() -> Response {
    (StatusCode::NOT_FOUND, "there is no such file in this log\n").into_response()
}

#[cfg(test)]
mod tests;
