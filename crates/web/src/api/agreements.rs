//! Agreements, and what they oblige to.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum_extra::extract::WithRejection;
use hospitium_model::Agreement;
use hospitium_plan::obligation::{Obligation, Plan, Standing};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Problem;
use crate::day::Day;
use crate::site::Site;

/// An agreement in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct AgreementListed {
    /// Its id.
    id: String,
    /// Its name for people.
    title: String,
    /// What it is about.
    summary: String,
    /// The day from which it binds.
    made: Date,
    /// The day on which it ends, if one was agreed.
    ends: Option<Date>,
    /// Who made it.
    parties: Vec<String>,
}

/// All agreements.
#[utoipa::path(get, path = "/agreements", tag = "Agreements", responses(
    (status = 200, description = "The agreements", body = Vec<AgreementListed>),
))]
pub async fn list(State(site): State<Arc<Site>>) -> Json<Vec<AgreementListed>> {
    let listed = |agreement: &Agreement| AgreementListed {
        id: agreement.id.clone(),
        title: agreement.title.clone(),
        summary: agreement.summary.clone(),
        made: agreement.made,
        ends: agreement.ends,
        parties: agreement.parties.iter().map(|party| party.name.clone()).collect(),
    };
    Json(site.agreements().iter().map(listed).collect())
}

fn find<'a>(site: &'a Site, id: &str) -> Result<(usize, &'a Agreement), Problem> {
    let missing =
        || Problem::not_found(format!("No agreement has the id {id:?}. /agreements lists them."));
    site.agreement(id).ok_or_else(missing)
}

/// An agreement with all its terms.
#[utoipa::path(get, path = "/agreements/{agreement}", tag = "Agreements",
    params(("agreement" = String, Path, description = "Its id", example = "debian-qemu")),
    responses(
    (status = 200, description = "The agreement", body = Agreement),
    (status = 404, description = "No such agreement", body = Problem,
        content_type = "application/problem+json"),
))]
pub async fn agreement(
    State(site): State<Arc<Site>>,
    WithRejection(Path(id), _): WithRejection<Path<String>, Problem>,
) -> Result<Json<Agreement>, Problem> {
    Ok(Json(find(&site, &id)?.1.clone()))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// What this party owes only.
    party: Option<String>,
    /// In this state only: `planned`, `due`, `late`, `failed`, `fulfilled`, `about to lapse`, `lapsed`,
    /// `never delivered`.
    state: Option<String>,
    /// As of this day, `YYYY-MM-DD`: nothing that was said later is taken in. Without it, as of the day
    /// that the site shows.
    #[param(value_type = Option<Date>)]
    as_of: Option<Day>,
}

/// What an agreement obliges to, how each obligation stands and why; planned against delivered.
///
/// The same as `hospitium agreement plan --json`.
#[utoipa::path(get, path = "/agreements/{agreement}/obligations", tag = "Agreements",
    params(("agreement" = String, Path, description = "Its id", example = "debian-qemu"), Which),
    responses(
    (status = 200, description = "The obligations", body = Plan),
    (status = 400, description = "Not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such agreement", body = Problem,
        content_type = "application/problem+json"),
))]
pub async fn obligations(
    State(site): State<Arc<Site>>,
    WithRejection(Path(id), _): WithRejection<Path<String>, Problem>,
    WithRejection(Query(which), _): WithRejection<Query<Which>, Problem>,
) -> Result<Json<Plan>, Problem> {
    let Which { party, state, as_of } = which;
    let (number, _) = find(&site, &id)?;
    let view = site.view_on(as_of.map(|Day(day)| day)).await?;
    let plan = site.plan(&view, number).await?;
    let plan = plan.ok_or_else(|| Problem::not_found("There is no plan of this agreement."))?;
    let wanted = |owed: &&Obligation| {
        party.as_ref().is_none_or(|party| *party == owed.party)
            && state.as_ref().is_none_or(|state| state == owed.state.word())
    };
    let standing = |of: &&Standing| party.as_ref().is_none_or(|party| *party == of.party);
    Ok(Json(Plan {
        agreement: plan.agreement.clone(),
        as_of: plan.as_of,
        obligations: plan.obligations.iter().filter(wanted).cloned().collect(),
        standings: plan.standings.iter().filter(standing).cloned().collect(),
        problems: plan.problems.clone(),
        heads: plan.heads.clone(),
    }))
}
