//! Records, certificates and logs.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum_extra::extract::WithRejection;
use hospitium_catalog::{Cursor, Listed, LogRow, RecordFilter, RecordPage};
use hospitium_ledger::SUFFIX;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Problem;
use crate::SiteError;
use crate::day::Day;
use crate::model::Context;
use crate::model::certificate;
use crate::site::Site;

/// Records on a page if nothing is said.
const PAGE: usize = 50;
/// Records on a page, at most.
const MOST: usize = 500;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StandsWord {
    /// It passed, and is valid by itself.
    #[default]
    Valid,
    /// The pair failed.
    Failed,
    /// Its time is over.
    Lapsed,
    /// It was suspended.
    Suspended,
    /// It was withdrawn.
    Withdrawn,
    /// What it rests on is not in its log, or is something else.
    Fallen,
}

impl StandsWord {
    const fn word(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Failed => "failed",
            Self::Lapsed => "lapsed",
            Self::Suspended => "suspended",
            Self::Withdrawn => "withdrawn",
            Self::Fallen => "fallen",
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Of this guest only, as people write it.
    #[param(example = "debian 12")]
    guest: Option<String>,
    /// On this host only, as people write it.
    host: Option<String>,
    /// What this party says only, by its name.
    party: Option<String>,
    /// How it stands.
    word: Option<StandsWord>,
    /// Where the page begins: the `next` of the page before.
    cursor: Option<String>,
    /// How many, 1 to 500.
    limit: Option<usize>,
    /// As of this day, `YYYY-MM-DD`: nothing that was said later is taken in. Without it, as of the day
    /// that the site shows. Name it again with each `cursor`.
    #[param(value_type = Option<Date>)]
    as_of: Option<Day>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct On {
    /// How it stands on this day, `YYYY-MM-DD`. Without it, on the day that the site shows.
    #[param(value_type = Option<Date>)]
    as_of: Option<Day>,
}

/// A page of records.
#[derive(Debug, Serialize, ToSchema)]
pub struct Records {
    /// The day for which it holds.
    as_of: Date,
    /// Newest first. May be fewer than asked for, or none, although more follow.
    records: Vec<Listed>,
    /// The `cursor` of the next page; none if this is the last.
    next: Option<String>,
}

/// Records, newest first.
#[utoipa::path(get, path = "/records", tag = "Records", params(Wanted), responses(
    (status = 200, description = "A page of records", body = Records),
    (status = 400, description = "Not understood", body = Problem, content_type = "application/problem+json"),
))]
pub async fn list(
    State(site): State<Arc<Site>>,
    WithRejection(Query(wanted), _): WithRejection<Query<Wanted>, Problem>,
) -> Result<Json<Records>, Problem> {
    let Wanted { guest, host, party, word, cursor, limit, as_of } = wanted;
    let limit = limit.unwrap_or(PAGE);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::bad(format!("limit is a number from 1 to {MOST}.")));
    }
    let after = match cursor {
        None => None,
        Some(text) => Some(Cursor::from_text(&text).ok_or_else(|| {
            Problem::bad("This is no cursor; take the `next` of the page before, or leave it out.")
        })?),
    };
    let word = word.map(|word| word.word().to_owned());
    let filter = RecordFilter { guest, host, party, word };
    let view = site.view_on(as_of.map(|Day(day)| day)).await?;
    match site.desk(&view).records(&filter, after, limit).await? {
        RecordPage::Records(records, next) => {
            let next = next.map(Cursor::to_text);
            Ok(Json(Records { as_of: view.as_of, records, next }))
        }
        RecordPage::Unclear(sides) => {
            let words = sides.iter().map(|side| {
                let shorts: Vec<&str> =
                    side.candidates.iter().map(|(short, _)| short.as_str()).collect();
                match shorts.is_empty() {
                    true => format!("The {} {:?} is no known product.", side.side, side.text),
                    false => format!(
                        "The {} {:?} may be one of {}; ask for one of them.",
                        side.side,
                        side.text,
                        shorts.join(", ")
                    ),
                }
            });
            Err(Problem::bad(words.collect::<Vec<_>>().join(" ")))
        }
    }
}

async fn find(site: &Site, digest: &str, as_of: Option<Date>) -> Result<Listed, Problem> {
    let named = || format!("No record has the name {digest:?}. It is a SHA-256 in 64 digits.");
    if digest.len() != 64 {
        return Err(Problem::not_found(named()));
    }
    let view = site.view_on(as_of).await?;
    let found = site.catalog().records_named(digest, view.as_of, 1).await?;
    let found = found.into_iter().next().ok_or_else(|| Problem::not_found(named()))?;
    match as_of.filter(|day| !found.record.is_known_on(*day)) {
        None => Ok(found),
        Some(day) => Err(Problem::not_found(format!(
            "On {day} no such record was known: it is known from {} on. Ask for that day or a later one.",
            found.record.known_from()
        ))),
    }
}

/// A record, and how it stands.
#[utoipa::path(get, path = "/records/{digest}", tag = "Records",
    params(("digest" = String, Path, description = "The SHA-256 of the log's entry"), On),
    responses(
    (status = 200, description = "The record", body = Listed),
    (status = 400, description = "No day", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such record", body = Problem,
        content_type = "application/problem+json"),
))]
pub async fn record(
    State(site): State<Arc<Site>>,
    WithRejection(Path(digest), _): WithRejection<Path<String>, Problem>,
    WithRejection(Query(On { as_of }), _): WithRejection<Query<On>, Problem>,
) -> Result<Json<Listed>, Problem> {
    Ok(Json(find(&site, &digest, as_of.map(|Day(day)| day)).await?))
}

/// The certificate's file, which `hospitium verify` verifies without this site.
///
/// It is a proof by c2sp.org/tlog-proof with the signed record in it.
#[utoipa::path(get, path = "/records/{digest}/certificate", tag = "Records",
    params(("digest" = String, Path, description = "The SHA-256 of the log's entry")),
    responses(
    (status = 200, description = "The file", body = String, content_type = "text/plain"),
    (status = 404, description = "No such record, or its log is not here", body = Problem,
        content_type = "application/problem+json"),
))]
pub async fn certificate_file(
    State(site): State<Arc<Site>>,
    WithRejection(Path(digest), _): WithRejection<Path<String>, Problem>,
) -> Result<Response, Problem> {
    let Listed { record, .. } = find(&site, &digest, None).await?;
    let name = format!("attachment; filename=\"{}.{SUFFIX}\"", record.digest);
    let view = site.view().await?;
    let context = Context { site: &site, view: &view, live: true, written: None };
    let bytes = certificate::file(context, &record.digest).await?;
    let kind = (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned());
    Ok(([kind, (header::CONTENT_DISPOSITION, name)], bytes).into_response())
}

/// A log that the catalog was made from.
#[derive(Debug, Serialize, ToSchema)]
pub struct Logs {
    /// The day for which it holds.
    as_of: Date,
    /// The logs.
    logs: Vec<LogRow>,
    /// How much the catalog holds.
    numbers: hospitium_catalog::Numbers,
}

/// The logs that the catalog was made from, and how much it holds.
#[utoipa::path(get, path = "/logs", tag = "Records", responses(
    (status = 200, description = "The logs", body = Logs),
))]
pub async fn logs(State(site): State<Arc<Site>>) -> Result<Json<Logs>, Problem> {
    let view = site.view().await.map_err(|error: SiteError| Problem::from(error))?;
    Ok(Json(Logs { as_of: view.as_of, logs: view.logs.clone(), numbers: view.numbers }))
}
