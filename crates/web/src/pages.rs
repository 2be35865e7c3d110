//! The pages: routes and handlers, which are thin. What a page says is put together in its model.

use std::io;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use futures_util::stream::{self, Stream};
use hospitium_evidence::Pieces;
use serde::Deserialize;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::Refused;
use crate::day::Day;
use crate::links::Links;
use crate::model::agreement::AgreementPage;
use crate::model::answer::AnswerPage;
use crate::model::certificate::{self, CertificatePage, CertificatesPage};
use crate::model::home::Home;
use crate::model::hosts::{Differences, HostsPage};
use crate::model::logs::LogsPage;
use crate::model::product::{ProductPage, ProductsPage};
use crate::model::search::SearchPage;
use crate::model::{Context, Frame};
use crate::site::{Site, View};

/// What is small enough to be given at any time, in bytes.
const SMALL: u64 = 1 << 20;
/// Larger files of evidence that are given at once.
static LARGE: Semaphore = Semaphore::const_new(256);

/// Where pages are.
pub fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/", get(home))
        .route("/ask", get(ask))
        .route("/pairs/{guest}/{host}", get(pair))
        .route("/agreements/{id}", get(agreement))
        .route("/products", get(products))
        .route("/products/{id}", get(product))
        .route("/certificates", get(certificates))
        .route("/certificates/{name}", get(certificate))
        .route("/evidence/{manifest}/{*path}", get(evidence))
        .route("/hosts", get(hosts))
        .route("/hosts/{before}/{after}", get(differences))
        .route("/search", get(search))
        .route("/logs", get(logs))
        .route("/style.css", get(style))
}

/// A page, with what lets a browser know that it is still the same.
fn page(headers: &HeaderMap, _: &View, page: &impl Template) -> Result<Response, Refused> {
    let html = page.render().map_err(crate::SiteError::from)?;
    let tag = format!("\"{}\"", &hospitium_model::Digest::of(html.as_bytes()).to_string()[..32]);
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let kept = [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, "no-cache".to_owned())];
    if known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag)) {
        return Ok((StatusCode::NOT_MODIFIED, kept).into_response());
    }
    Ok((kept, Html(html)).into_response())
}

macro_rules! context {
    ($site:expr, $view:expr) => {
        Context { site: &$site, view: &$view, live: true, written: None }
    };
}

type Answered = Result<Response, Refused>;

async fn home(State(site): State<Arc<Site>>, headers: HeaderMap) -> Answered {
    let view = site.view().await?;
    page(&headers, &view, &Home::new(context!(site, view)).await?)
}

#[derive(Debug, Default, Deserialize)]
struct Asked {
    #[serde(default)]
    q: String,
    as_of: Option<String>,
    after: Option<String>,
    a: Option<String>,
    b: Option<String>,
}

async fn ask(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Answered {
    let view = site.view_on(Day::of_field(asked.as_of.as_deref())?).await?;
    let context = context!(site, view);
    match asked.q.trim() {
        "" => page(&headers, &view, &AnswerPage::empty(context)),
        question => page(&headers, &view, &AnswerPage::ask(context, question).await?),
    }
}

async fn pair(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    Path((guest, host)): Path<(String, String)>,
) -> Answered {
    let view = site.view().await?;
    page(&headers, &view, &AnswerPage::pair(context!(site, view), &guest, &host).await?)
}

async fn agreement(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Answered {
    let view = site.view().await?;
    page(&headers, &view, &AgreementPage::new(context!(site, view), &id).await?)
}

async fn products(State(site): State<Arc<Site>>, headers: HeaderMap) -> Answered {
    let view = site.view().await?;
    page(&headers, &view, &ProductsPage::new(context!(site, view))?)
}

async fn product(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Answered {
    let view = site.view().await?;
    page(&headers, &view, &ProductPage::new(context!(site, view), &id).await?)
}

async fn certificates(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Answered {
    let view = site.view().await?;
    let made = CertificatesPage::new(context!(site, view), asked.after.as_deref()).await?;
    page(&headers, &view, &made)
}

/// A certificate's page, or its file.
async fn certificate(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Answered {
    let view = site.view().await?;
    let context = context!(site, view);
    let suffix = format!(".{}", hospitium_ledger::SUFFIX);
    let Some(digest) = name.strip_suffix(suffix.as_str()) else {
        return page(&headers, &view, &CertificatePage::new(context, &name).await?);
    };
    let bytes = certificate::file(context, digest).await?;
    Ok(attachment("text/plain; charset=utf-8", &name, bytes))
}

/// A file to keep.
fn attachment(kind: &'static str, name: &str, bytes: Vec<u8>) -> Response {
    let headers =
        [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, disposition(name))];
    (headers, Body::from(bytes)).into_response()
}

/// That it is kept and not shown, under this name as far as it is of plain letters.
pub fn disposition(name: &str) -> String {
    let safe: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' })
        .take(120)
        .collect();
    format!("attachment; filename=\"{safe}\"")
}

/// A file of evidence: only one that the bundle's manifest lists, and only as it was signed.
async fn evidence(
    State(site): State<Arc<Site>>,
    Path((manifest, path)): Path<(String, String)>,
) -> Answered {
    let absent = || Refused::NotFound("No evidence here has such a file, as it was signed.".into());
    let manifest = manifest.parse().map_err(|_| absent())?;
    let evidence = Arc::clone(&site.evidence);
    let wanted = path.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let mut pieces = evidence.bundle(manifest)?.open_path(&wanted).ok()?;
        let first = pieces.next_piece().ok()?.unwrap_or_default();
        Some((first, pieces))
    });
    let (first, pieces) = opened.await.ok().flatten().ok_or_else(absent)?;
    let size = pieces.size();
    let is_image = path.ends_with(".png") && first.starts_with(b"\x89PNG\r\n\x1a\n");
    let place = match size {
        0..=SMALL => None,
        _ => match LARGE.try_acquire() {
            Ok(place) => Some(place),
            Err(_) => return Ok(busy()),
        },
    };
    let body = Body::from_stream(streamed(first, pieces, place));
    let length = (header::CONTENT_LENGTH, size.to_string());
    if is_image {
        return Ok(([(header::CONTENT_TYPE, "image/png".to_owned()), length], body).into_response());
    }
    let name = path.rsplit('/').next().unwrap_or("file");
    let kind = (header::CONTENT_TYPE, "application/octet-stream".to_owned());
    let kept = (header::CONTENT_DISPOSITION, disposition(name));
    Ok(([kind, kept, length], body).into_response())
}

/// The rest of a file piece by piece: whoever reads slowly, or not at all, holds a piece and not the file. The place of a
/// large one is free again once the stream is gone.
fn streamed(
    first: Vec<u8>,
    pieces: Pieces,
    place: Option<SemaphorePermit<'static>>,
) -> impl Stream<Item = io::Result<Bytes>> {
    stream::try_unfold((Some(first), pieces, place), |(first, mut pieces, place)| async move {
        if let Some(first) = first {
            return Ok(Some((Bytes::from(first), (None, pieces, place))));
        }
        let read = tokio::task::spawn_blocking(move || {
            let piece = pieces.next_piece()?;
            Ok::<_, io::Error>(piece.map(|piece| (piece, pieces)))
        });
        let read = read.await.map_err(io::Error::other)??;
        Ok(read.map(|(piece, pieces)| (Bytes::from(piece), (None, pieces, place))))
    })
}

fn busy() -> Response {
    let words = "Too many large files are being fetched. Come again.";
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], words).into_response()
}

/// The choice of two hosts; both chosen, their page.
async fn hosts(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Answered {
    let view = site.view().await?;
    if let (Some(a), Some(b)) = (asked.a, asked.b) {
        let known = |slug: &str| site.product(slug).map(|product| product.short().to_owned());
        let (Some(a), Some(b)) = (known(&a), known(&b)) else {
            return Err(Refused::NotFound("One of these hosts is not known here.".into()));
        };
        let to = Links::new(true, 0).differences(&a, &b);
        return Ok(Redirect::to(&to).into_response());
    }
    page(&headers, &view, &HostsPage::new(context!(site, view))?)
}

async fn differences(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    Path((before, after)): Path<(String, String)>,
) -> Answered {
    let view = site.view().await?;
    page(&headers, &view, &Differences::new(context!(site, view), &before, &after).await?)
}

async fn search(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Answered {
    let view = site.view().await?;
    page(&headers, &view, &SearchPage::new(context!(site, view), &asked.q).await?)
}

async fn logs(State(site): State<Arc<Site>>, headers: HeaderMap) -> Answered {
    let view = site.view().await?;
    page(&headers, &view, &LogsPage::new(context!(site, view)).await?)
}

async fn style() -> impl IntoResponse {
    let kept = (header::CACHE_CONTROL, "max-age=3600");
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), kept], crate::STYLE)
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct Refusal<'a> {
    frame: Frame,
    status: u16,
    title: &'a str,
    words: &'a str,
}

/// The page for a request that is not answered as asked.
pub fn refusal(status: StatusCode, words: &str) -> Response {
    let title = match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::BAD_REQUEST => "Not understood",
        StatusCode::INTERNAL_SERVER_ERROR => "Something failed here",
        _ => status.canonical_reason().unwrap_or("Error"),
    };
    let links = Links { root: "/".to_owned(), ..Links::new(true, 0) };
    let frame = Frame { links, here: "", as_of: String::new() };
    let page = Refusal { frame, status: status.as_u16(), title, words };
    match page.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(_) => (status, words.to_owned()).into_response(),
    }
}
