//! Live runs: pages of a folder of runs, and the same as server-sent events while a run goes on.
//!
//! The source of truth is the evidence that the run writes. One task looks at a run's folder for any
//! number of listeners, and ends when the last has gone. What is sent is the whole state, which is
//! bounded, so that a listener that comes late or comes again misses nothing.

mod look;
mod pages;
mod state;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use futures_util::Stream;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use self::look::Look;
use self::state::RunState;
use crate::serve::POLICY;
use crate::site::Site;
use crate::{Refused, SiteError};

/// How often a run's folder is looked at while somebody listens.
const EVERY: Duration = Duration::from_millis(500);
/// Listeners at once, of all runs.
const LISTENERS: usize = 256;
/// Largest report that is handed out, in bytes.
const LARGEST_REPORT: u64 = 64 << 20;
/// The script that lets a page follow its run.
const SCRIPT: &str = include_str!("../templates/live.js");

type Seen = Option<Arc<RunState>>;

/// Who looks at which run.
struct Live {
    watched: Mutex<HashMap<String, watch::Receiver<Seen>>>,
    listeners: Arc<Semaphore>,
}

/// Where live runs are.
pub fn router() -> Router<Arc<Site>> {
    let live = Live { watched: Mutex::default(), listeners: Arc::new(Semaphore::new(LISTENERS)) };
    Router::new()
        .route("/runs", get(list))
        .route("/runs/{name}", get(run))
        .route("/runs/{name}/events", get(events))
        .route("/runs/{name}/report", get(report))
        .route("/live.js", get(script))
        .layer(Extension(Arc::new(live)))
}

async fn script() -> impl IntoResponse {
    let kept = (header::CACHE_CONTROL, "max-age=3600");
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8"), kept], SCRIPT)
}

fn folder(site: &Site) -> Result<PathBuf, Refused> {
    site.sources().runs.clone().ok_or_else(|| {
        Refused::NotFound(
            "No folder of runs is shown here. Whoever serves this site can name one with --runs."
                .into(),
        )
    })
}

/// A run's own folder, if its name is one and it is there.
fn folder_of(site: &Site, name: &str) -> Result<PathBuf, Refused> {
    let missing = || Refused::NotFound(format!("There is no run {name:?} here."));
    let runs = folder(site)?;
    hospitium_evidence::check_cell_name(name).map_err(|_| missing())?;
    look::evidence_of(&runs.join(name)).ok_or_else(missing)
}

async fn list(State(site): State<Arc<Site>>) -> Result<Response, Refused> {
    let runs = folder(&site)?;
    let listed = tokio::task::spawn_blocking(move || look::list(&runs)).await.unwrap_or_default();
    Ok(Html(pages::list(listed).map_err(SiteError::from)?).into_response())
}

async fn run(State(site): State<Arc<Site>>, Path(name): Path<String>) -> Result<Response, Refused> {
    let evidence = folder_of(&site, &name)?;
    let state = now(evidence, name.clone()).await;
    let state =
        state.ok_or_else(|| Refused::NotFound(format!("There is no run {name:?} here.")))?;
    let html = pages::run(&state).map_err(SiteError::from)?;
    // Our own script file, which fetches from here; nothing else.
    let policy = format!("{POLICY}; script-src 'self'; connect-src 'self'");
    let mut response = Html(html).into_response();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

async fn now(evidence: PathBuf, name: String) -> Option<RunState> {
    tokio::task::spawn_blocking(move || Look::new(evidence, name).look()).await.ok().flatten()
}

#[derive(Debug, Default, Deserialize)]
struct Form {
    #[serde(rename = "as")]
    form: Option<String>,
}

async fn events(
    State(site): State<Arc<Site>>,
    Extension(live): Extension<Arc<Live>>,
    Path(name): Path<String>,
    Query(Form { form }): Query<Form>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let evidence = folder_of(&site, &name)?;
    let Ok(permit) = Arc::clone(&live.listeners).try_acquire_owned() else {
        let words = "Too many listen already. The page itself shows the same.";
        return Ok(crate::pages::refusal(StatusCode::SERVICE_UNAVAILABLE, words));
    };
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let listener = Listener {
        seen: live.watch(name, evidence),
        closing: site.closing(),
        html: form.as_deref() == Some("html"),
        last,
        over: false,
        _permit: permit,
    };
    let mut response = Sse::new(listener.stream()).keep_alive(KeepAlive::default()).into_response();
    // Proxies that collect a response before they pass it on are asked not to.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// The report beside a run's evidence, without scripts, in an origin of its own.
async fn report(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
) -> Result<Response, Refused> {
    let evidence = folder_of(&site, &name)?;
    let missing = || Refused::NotFound("This run has no report yet.".into());
    let path = look::report_of(&evidence).ok_or_else(missing)?;
    let read = tokio::task::spawn_blocking(move || look::bounded(&path, LARGEST_REPORT));
    let html = read.await.ok().flatten().ok_or_else(missing)?;
    let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox";
    let policy = (header::CONTENT_SECURITY_POLICY, policy);
    Ok(([policy, (header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response())
}

impl Live {
    /// The state of a run, looked at from now on if nobody did.
    fn watch(self: &Arc<Self>, name: String, evidence: PathBuf) -> watch::Receiver<Seen> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = watched.get(&name)
            && known.has_changed().is_ok()
        {
            return known.clone();
        }
        let (sender, receiver) = watch::channel(None);
        watched.insert(name.clone(), receiver.clone());
        let live = Arc::clone(self);
        tokio::spawn(async move {
            let mut look = Look::new(evidence, name.clone());
            loop {
                let looked = tokio::task::spawn_blocking(move || {
                    let state = look.look();
                    (look, state)
                });
                let Ok((back, state)) = looked.await else { break };
                look = back;
                let Some(state) = state else { break };
                let over = state.is_over();
                sender.send_if_modified(|seen| {
                    let same = seen.as_ref().is_some_and(|seen| **seen == state);
                    if !same {
                        *seen = Some(Arc::new(state));
                    }
                    !same
                });
                // One receiver is kept in the map.
                if over || sender.receiver_count() <= 1 {
                    break;
                }
                tokio::time::sleep(EVERY).await;
            }
            live.watched.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        });
        receiver
    }
}

/// Somebody who listens to a run.
struct Listener {
    seen: watch::Receiver<Seen>,
    closing: watch::Receiver<bool>,
    html: bool,
    last: Option<String>,
    over: bool,
    _permit: OwnedSemaphorePermit,
}

impl Listener {
    fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        futures_util::stream::unfold(self, |mut this| async move {
            loop {
                if this.over {
                    return None;
                }
                let state = this.seen.borrow_and_update().clone();
                if let Some(state) = state {
                    this.over = state.is_over();
                    let id = state.mark();
                    if this.last.as_ref() != Some(&id) {
                        let event = this.event(&state, &id);
                        this.last = Some(id);
                        return event.map(|event| (Ok(event), this));
                    }
                    if this.over {
                        return Some((Ok(Event::default().event("over").data("over")), this));
                    }
                }
                let Self { seen, closing, .. } = &mut this;
                tokio::select! {
                    changed = seen.changed() => if changed.is_err() { return None },
                    _ = closing.wait_for(|closing| *closing) => return None,
                }
            }
        })
    }

    fn event(&self, state: &RunState, id: &str) -> Option<Event> {
        let kind = if state.is_over() { "over" } else { "state" };
        let event = Event::default().event(kind).id(id);
        match self.html {
            true => Some(event.data(pages::fragment(state).ok()?)),
            false => event.json_data(state).ok(),
        }
    }
}
