//! A witness as a server (c2sp.org/tlog-witness): it has one key, and no other secret.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path as Segment, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hospitium_ledger::{
    AddCheckpoint, PartyError, REQUEST_LIMIT, Refused, VerifierKey, Witness, WitnessKey,
};
use hospitium_model::Digest;
use jiff::Timestamp;

/// A witness and the logs that it watches.
#[derive(Debug)]
pub struct WitnessService {
    key: WitnessKey,
    logs: Vec<VerifierKey>,
    /// Comparing and remembering are one step.
    turn: Mutex<()>,
}

impl WitnessService {
    /// The witness whose key is in this folder, a party's or one that has `party.toml` and `secret/witness.pem` alone;
    /// it watches these logs.
    ///
    /// # Errors
    /// If the key is not there, others can get at it, or it is not the one of `party.toml`.
    pub fn open(folder: &Path, logs: Vec<VerifierKey>) -> Result<Self, PartyError> {
        Ok(Self { key: WitnessKey::open(folder)?, logs, turn: Mutex::new(()) })
    }

    /// Its key, as others name it.
    pub const fn name(&self) -> &VerifierKey {
        self.key.name()
    }

    fn witness(&self) -> Witness<'_> {
        self.key.witness()
    }

    fn add_checkpoint(&self, body: &[u8]) -> Response {
        let request = match AddCheckpoint::parse(body) {
            Ok(request) => request,
            Err(error) => return told(StatusCode::BAD_REQUEST, &error.to_string()),
        };
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let made = self.witness().add_checkpoint(&request, &self.logs, Timestamp::now());
        drop(turn);
        match made {
            Ok(made) => made.line.into_response(),
            Err(Refused::Conflict(size)) => {
                let kind = [(header::CONTENT_TYPE, "text/x.tlog.size")];
                (StatusCode::CONFLICT, kind, format!("{size}\n")).into_response()
            }
            Err(error) => told(status(&error), &error.to_string()),
        }
    }

    fn last(&self, origin: &str) -> Response {
        let log =
            self.logs.iter().find(|log| Digest::of(log.name().as_bytes()).to_string() == origin);
        let seen = log.map(|log| self.witness().seen(log)).transpose().map(Option::flatten);
        match seen {
            Ok(Some(checkpoint)) => {
                let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
                (kind, checkpoint.as_bytes().to_vec()).into_response()
            }
            Ok(None) => told(StatusCode::NOT_FOUND, "no head of this log was cosigned here"),
            Err(error) => {
                tracing::error!("what was cosigned cannot be told: {error}");
                told(StatusCode::INTERNAL_SERVER_ERROR, "what was cosigned cannot be told")
            }
        }
    }
}

const fn status(refused: &Refused) -> StatusCode {
    match refused {
        Refused::Unknown(_) => StatusCode::NOT_FOUND,
        Refused::Unsigned(_) => StatusCode::FORBIDDEN,
        Refused::Shrinks { .. } => StatusCode::BAD_REQUEST,
        Refused::Conflict(_) => StatusCode::CONFLICT,
        Refused::Inconsistent(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Refused::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn told(status: StatusCode, why: &str) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, kind, format!("{why}\n")).into_response()
}

/// `POST /add-checkpoint` and `GET /<origin hash>/checkpoint`.
pub fn routes(service: Arc<WitnessService>) -> Router {
    let limit = usize::try_from(REQUEST_LIMIT).unwrap_or(usize::MAX);
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/{origin}/checkpoint", get(last))
        .layer(DefaultBodyLimit::max(limit))
        .with_state(service)
}

async fn add_checkpoint(State(service): State<Arc<WitnessService>>, body: Bytes) -> Response {
    blocking(move || service.add_checkpoint(&body)).await
}

async fn last(
    State(service): State<Arc<WitnessService>>,
    Segment(origin): Segment<String>,
) -> Response {
    blocking(move || service.last(&origin)).await
}

/// Files are read and flushed apart from the requests that wait.
async fn blocking(work: impl FnOnce() -> Response + Send + 'static) -> Response {
    let failed = || told(StatusCode::INTERNAL_SERVER_ERROR, "something failed here");
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| failed())
}
