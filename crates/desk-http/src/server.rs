//! The routes of a desk for other desks.
//!
//! ```text
//! POST /exchange/v1/messages                           a parcel in, a reply out
//! GET  /exchange/v1/files/CASE/SHA256?from=BYTE        a piece of an attachment of ours
//! PUT  /exchange/v1/files/CASE/SHA256?from=BYTE        a piece of one of theirs
//! ```

#![expect(clippy::result_large_err, reason = "what ends a request early is the response itself")]

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hospitium_desk::folder::Peer;
use hospitium_desk::owed::{NotGiven, to_give};
use hospitium_desk::store::StoreError;
use hospitium_desk::{Added, CaseId, FilePlace, Office, Places, VaultError};
use hospitium_model::Digest;
use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::bell::Bell;
use crate::files::{Have, PIECE, SIZE, read_piece};
use crate::parcel::{MOST, PARCEL, Parcel, Reply, Which, pack, receipt, take};
use crate::proof::{FRESH, verify};
use crate::rate::Rate;

/// Pieces of attachments that are in memory at once.
const PIECES: usize = 6;

/// The bounds.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests of one party in a minute.
    pub requests: u32,
    /// Messages of one party in a minute.
    pub messages: u32,
    /// The largest attachment that is taken over HTTP, in bytes; a larger one can be carried as a file.
    pub attachment: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests: 6_000, messages: 60_000, attachment: 4 << 30 }
    }
}

/// A desk that other desks call.
#[derive(Debug)]
pub struct Server {
    office: Arc<Office>,
    bell: Bell,
    news: Bell,
    attachment: u64,
    requests: Rate,
    messages: Rate,
    pieces: Arc<Semaphore>,
    places: Places,
}

impl Server {
    /// The desk of this office. The bell is rung when something came that has to be fetched, and the one for news when
    /// anything came.
    pub fn new(office: Arc<Office>, bell: Bell, news: Bell, limits: Limits) -> Self {
        Self {
            office,
            bell,
            news,
            attachment: limits.attachment,
            requests: Rate::new(limits.requests),
            messages: Rate::new(limits.messages),
            pieces: Arc::new(Semaphore::new(PIECES)),
            places: Places::default(),
        }
    }
}

/// The routes.
pub fn routes(server: Arc<Server>) -> Router {
    Router::new()
        .route("/exchange/v1/messages", post(messages))
        .route("/exchange/v1/files/{case}/{sha256}", get(file).put(put_file))
        .with_state(server)
}

/// What a refused request gets. The text is for the person who keeps the other desk.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        (self.0, kind, format!("{}\n", self.1)).into_response()
    }
}

fn refused(status: StatusCode, why: impl ToString) -> Response {
    Refused(status, why.to_string()).into_response()
}

/// What failed here is told to the log only.
fn failed(error: &(dyn std::error::Error + 'static)) -> Response {
    tracing::error!("a desk's request failed: {}", hospitium_model::chain(error));
    refused(StatusCode::SERVICE_UNAVAILABLE, "something failed here; ask again")
}

/// A place for a piece: one of the sender's, and one of all.
type Piece = (FilePlace, OwnedSemaphorePermit);

/// A request whose sender is proved, with its body of at most so many bytes, and a place if it wants one. Nothing of the
/// body is read before that.
async fn authentic(
    server: &Server,
    request: Request<Body>,
    most: usize,
    wants: bool,
) -> Result<(Peer, Vec<u8>, Option<Piece>), Response> {
    let now = Timestamp::now();
    let (parts, body) = request.into_parts();
    let (peer, proof, name) = proved(server, &parts, now)?;
    if let Err(wait) = server.requests.take(&peer.name, 1, Instant::now()) {
        return Err(too_many(wait));
    }
    let until = proof.at.saturating_add(FRESH + FRESH).unwrap_or(Timestamp::MAX);
    match server.office.store.first_time(&name, until, now).await {
        Ok(true) => {}
        Ok(false) => {
            return Err(refused(StatusCode::CONFLICT, "this very request was answered already"));
        }
        Err(error) => return Err(failed(&error)),
    }
    // A place is for whoever it is proved to be, and each has a few: nobody keeps the others waiting.
    let place = match wants {
        false => None,
        true => {
            let own = server.places.take(peer.name.as_str());
            let own = own.ok_or_else(|| too_many(std::time::Duration::from_secs(1)))?;
            let piece = Arc::clone(&server.pieces).acquire_owned().await;
            let piece =
                piece.map_err(|_| refused(StatusCode::SERVICE_UNAVAILABLE, "the server ends"))?;
            Some((own, piece))
        }
    };
    let body = to_bytes(body, most).await.map_err(|_| {
        let why = format!("the request's body has more than {most} bytes, or broke off");
        refused(StatusCode::PAYLOAD_TOO_LARGE, why)
    })?;
    if Digest::of(&body) != proof.body {
        return Err(refused(StatusCode::UNAUTHORIZED, "the proof is that of another body"));
    }
    Ok((peer, body.into(), place))
}

fn proved(
    server: &Server,
    parts: &Parts,
    now: Timestamp,
) -> Result<(Peer, crate::Proof, Digest), Response> {
    let peers = server.office.peers().map_err(|error| failed(&error))?;
    let header = single(&parts.headers);
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let us = &server.office.us;
    let keys = |name: &hospitium_desk::PartyName| {
        let peer = peers.iter().find(|peer| peer.name == *name)?;
        Some(peer.exchange().keys)
    };
    let (proof, name) = verify(header, us, now, parts.method.as_str(), path, keys)
        .map_err(|error| refused(StatusCode::UNAUTHORIZED, error))?;
    let peer = peers.iter().find(|peer| peer.name == proof.from);
    let peer = peer.ok_or_else(|| refused(StatusCode::UNAUTHORIZED, "not known here"))?.exchange();
    Ok((peer, proof, name))
}

fn single(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let first = all.next()?.to_str().ok()?;
    all.next().is_none().then_some(first)
}

fn too_many(wait: std::time::Duration) -> Response {
    let again = [(header::RETRY_AFTER, wait.as_secs().max(1).to_string())];
    let why = Refused(StatusCode::TOO_MANY_REQUESTS, "too much in one minute; come later".into());
    (again, why).into_response()
}

async fn messages(State(server): State<Arc<Server>>, request: Request<Body>) -> Response {
    let (peer, body, _) = match authentic(&server, request, PARCEL, false).await {
        Ok(authentic) => authentic,
        Err(response) => return response,
    };
    let parcel: Parcel = match serde_json::from_slice(&body) {
        Ok(parcel) => parcel,
        Err(error) => return refused(StatusCode::BAD_REQUEST, format!("no parcel: {error}")),
    };
    if parcel.messages.len() > MOST || parcel.receipts.len() > MOST {
        let why = format!("a parcel has at most {MOST} messages and {MOST} receipts");
        return refused(StatusCode::PAYLOAD_TOO_LARGE, why);
    }
    let count = u32::try_from(parcel.messages.len()).unwrap_or(u32::MAX);
    if let Err(wait) = server.messages.take(&peer.name, count, Instant::now()) {
        return too_many(wait);
    }
    let now = Timestamp::now();
    let taken = match take(&server.office, &peer, &parcel, now).await {
        Ok(taken) => taken,
        Err(error) => return failed(&error),
    };
    if taken.files {
        server.bell.ring();
    }
    if taken.done.taken > 0 {
        server.news.ring();
    }
    match pack(&server.office, &peer, Which::All, &taken.answer, now).await {
        Ok(packed) => {
            let (parcel, more) = (packed.parcel, packed.more);
            axum::Json(Reply { parcel, refused: taken.refused, more }).into_response()
        }
        Err(error) => failed(&error),
    }
}

/// From which byte on.
#[derive(Debug, Deserialize)]
struct From {
    #[serde(default)]
    from: u64,
}

/// The case and the digest of a file's address, of a case with this peer.
async fn of_case(
    server: &Server,
    peer: &Peer,
    case: &str,
    sha256: &str,
) -> Result<(hospitium_desk::exchange::Thread, Digest), Response> {
    let absent = || refused(StatusCode::NOT_FOUND, "no case with you has such an attachment");
    let case: CaseId = case.parse().map_err(|_| absent())?;
    let sha256: Digest = sha256.parse().map_err(|_| absent())?;
    let thread = match server.office.store.load(&case).await {
        Ok(thread) => thread,
        Err(StoreError::NoCase(_) | StoreError::Draft(_)) => return Err(absent()),
        Err(error) => return Err(failed(&error)),
    };
    // Whether there is such a case at all, only its other party learns.
    if thread.case().party(thread.us().other()) != &peer.name {
        return Err(absent());
    }
    Ok((thread, sha256))
}

async fn file(
    State(server): State<Arc<Server>>,
    Path((case, sha256)): Path<(String, String)>,
    Query(From { from }): Query<From>,
    request: Request<Body>,
) -> Response {
    let found = async {
        let (peer, _, piece) = authentic(&server, request, 0, true).await?;
        Ok((of_case(&server, &peer, &case, &sha256).await?, piece))
    };
    let ((thread, sha256), _piece) = match found.await {
        Ok(found) => found,
        Err(response) => return response,
    };
    let size = match to_give(&thread, &sha256) {
        Ok(file) => file.file.size,
        Err(error @ NotGiven::Held) => return refused(StatusCode::FORBIDDEN, error),
        Err(error @ NotGiven::Unknown) => return refused(StatusCode::NOT_FOUND, error),
    };
    let vault = server.office.vault.clone();
    let read = tokio::task::spawn_blocking(move || read_piece(&vault, &sha256, from)).await;
    match read {
        Ok(Ok(bytes)) => {
            let kind = (header::CONTENT_TYPE, "application/octet-stream");
            ([kind], [(SIZE, size.to_string())], bytes).into_response()
        }
        Ok(Err(error @ VaultError::Absent(_))) => refused(StatusCode::NOT_FOUND, error),
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&error),
    }
}

async fn put_file(
    State(server): State<Arc<Server>>,
    Path((case, sha256)): Path<(String, String)>,
    Query(From { from }): Query<From>,
    request: Request<Body>,
) -> Response {
    let found = async {
        let (peer, body, piece) = authentic(&server, request, PIECE, true).await?;
        Ok((of_case(&server, &peer, &case, &sha256).await?, body, piece))
    };
    let ((thread, sha256), body, _piece) = match found.await {
        Ok(found) => found,
        Err(response) => return response,
    };
    let them = thread.us().other();
    let announced = thread.case().attachments.iter().find(|file| file.file.sha256 == sha256);
    let Some(file) = announced.filter(|file| file.by == them) else {
        return refused(
            StatusCode::NOT_FOUND,
            "the case has no attachment of yours with these bytes",
        );
    };
    let size = file.file.size;
    if size > server.attachment {
        let most = server.attachment;
        let why = format!(
            "the attachment has {size} bytes, and at most {most} are taken here; carry it as a file"
        );
        return refused(StatusCode::PAYLOAD_TOO_LARGE, why);
    }
    let vault = server.office.vault.theirs(thread.id());
    let added = tokio::task::spawn_blocking(move || vault.add(&sha256, size, from, &body)).await;
    let answer = |have, receipt| axum::Json(Have { have, receipt });
    match added {
        Ok(Ok(Added::Part(have))) => answer(have, None).into_response(),
        Ok(Ok(Added::Whole)) => match receipt(&server.office, &thread, Timestamp::now()) {
            Ok(receipt) => answer(size, Some(receipt)).into_response(),
            Err(error) => failed(&error),
        },
        Ok(Err(VaultError::Gap { have, .. })) => {
            (StatusCode::CONFLICT, answer(have, None)).into_response()
        }
        Ok(Err(error @ VaultError::Busy(_))) => {
            let again = [(header::RETRY_AFTER, "1".to_owned())];
            (again, Refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string())).into_response()
        }
        Ok(Err(error @ (VaultError::Other { .. } | VaultError::TooLarge { .. }))) => {
            refused(StatusCode::UNPROCESSABLE_ENTITY, error)
        }
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&error),
    }
}
