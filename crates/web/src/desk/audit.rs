//! Who did what at this desk.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use hospitium_desk::store::Audited;

use super::session::{Signed, counter};
use super::shell::{Shell, failed, page};
use crate::site::Site;

/// The most rows that are shown.
const ROWS: u32 = 500;

#[derive(Template)]
#[template(path = "desk/audit.html")]
struct Audit {
    shell: Shell,
    rows: Vec<Audited>,
    refused: Vec<(String, String, String)>,
}

/// `GET /desk/audit`.
pub async fn audit(State(site): State<Arc<Site>>, signed: Signed) -> Result<Response, Response> {
    let counter = counter(&site)?;
    signed.must(signed.account.role.audits())?;
    let store = &counter.office.store;
    let rows = store.audited(ROWS).await.map_err(|error| failed(&error))?;
    let refused = store.refused().await.map_err(|error| failed(&error))?;
    let shell = Shell::new(counter.office.us.as_str(), &signed, "audit");
    Ok(page(&Audit { shell, rows, refused }))
}
