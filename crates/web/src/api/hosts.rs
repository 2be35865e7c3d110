//! Two hosts held against each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum_extra::extract::WithRejection;
use hospitium_catalog::{Becomes, Change, PairNow, Stands};
use hospitium_products::{Product, ProductKind};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Problem;
use crate::day::Day;
use crate::site::Site;

/// Guests of each host that are looked at.
const GUESTS: usize = 500;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Sides {
    /// The host as it is.
    #[param(example = "qemu 7.2")]
    before: String,
    /// The host that is to take its place.
    #[param(example = "qemu 10.0")]
    after: String,
    /// As of this day, `YYYY-MM-DD`: nothing that was said later is taken in. Without it, as of the day
    /// that the site shows.
    #[param(value_type = Option<Date>)]
    as_of: Option<Day>,
}

/// A guest on one of the hosts.
#[derive(Debug, Serialize, ToSchema)]
pub struct OnHost {
    #[serde(flatten)]
    stands: Stands,
    /// Who says so.
    party: String,
    /// The day on which the run ended.
    validated: Date,
    /// The record, by its name.
    record: String,
    /// How many other machines failed in what counts.
    failed_beside: usize,
}

/// A guest on both.
#[derive(Debug, Serialize, ToSchema)]
pub struct GuestOnBoth {
    /// What becomes of it.
    becomes: Becomes,
    /// The guest's name.
    guest: String,
    /// Its product id; empty if it is no known product.
    guest_product: String,
    /// On the host as it is.
    before: Option<OnHost>,
    /// On the other.
    after: Option<OnHost>,
    /// Checks that failed after and not before; none if there is a record on one side only.
    broke: Vec<String>,
    /// Checks that failed before and not after; none if there is a record on one side only.
    mended: Vec<String>,
}

/// Two hosts held against each other.
#[derive(Debug, Serialize, ToSchema)]
pub struct Differences {
    /// The day for which it holds.
    as_of: Date,
    /// The name of the host as it is.
    before: String,
    /// The name of the other.
    after: String,
    /// Every guest that either has a record of, regressions first.
    guests: Vec<GuestOnBoth>,
    /// Whether some guests were left out, for there are too many.
    more: bool,
}

/// What becomes of every guest when one host takes another's place.
#[utoipa::path(get, path = "/hosts/differences", tag = "Products", params(Sides), responses(
    (status = 200, description = "The differences", body = Differences),
    (status = 400, description = "Not understood", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such host, or several", body = Problem,
        content_type = "application/problem+json"),
))]
pub async fn differences(
    State(site): State<Arc<Site>>,
    WithRejection(Query(sides), _): WithRejection<Query<Sides>, Problem>,
) -> Result<Json<Differences>, Problem> {
    let Sides { before, after, as_of } = sides;
    let host = |text: &str| -> Result<&Product, Problem> {
        if text.len() > 500 {
            return Err(Problem::bad("A name has at most 500 bytes."));
        }
        let found = site.products().resolve_kind(text, Some(ProductKind::Host));
        found.map_err(|error| Problem::not_found(error.to_string()))
    };
    let (before, after) = (host(&before)?, host(&after)?);
    let view = site.view_on(as_of.map(|Day(day)| day)).await?;
    let desk = site.desk(&view);
    let (of_before, more_before) = desk.pairs_of(false, before, GUESTS).await?;
    let (of_after, more_after) = desk.pairs_of(false, after, GUESTS).await?;
    let mut guests: BTreeMap<String, (Option<PairNow>, Option<PairNow>)> = BTreeMap::new();
    let name = |pair: &PairNow| match pair.guest_product.as_str() {
        "" => pair.guest.clone(),
        id => id.to_owned(),
    };
    for pair in of_before {
        let key = name(&pair);
        guests.entry(key).or_default().0 = Some(pair);
    }
    for pair in of_after {
        let key = name(&pair);
        guests.entry(key).or_default().1 = Some(pair);
    }
    let mut guests: Vec<GuestOnBoth> = guests.into_values().filter_map(change).collect();
    guests.sort_by(|a, b| (a.becomes, &a.guest).cmp(&(b.becomes, &b.guest)));
    Ok(Json(Differences {
        as_of: view.as_of,
        before: before.name.clone(),
        after: after.name.clone(),
        guests,
        more: more_before || more_after,
    }))
}

fn change((before, after): (Option<PairNow>, Option<PairNow>)) -> Option<GuestOnBoth> {
    let Change { becomes, broke, mended } = Change::of(before.as_ref(), after.as_ref());
    let any = after.as_ref().or(before.as_ref())?;
    let (guest, guest_product) = (any.guest.clone(), any.guest_product.clone());
    let on = |pair: PairNow| OnHost {
        stands: pair.stands,
        party: pair.record.party,
        validated: pair.record.validated,
        record: pair.record.digest,
        failed_beside: pair.failed_beside,
    };
    Some(GuestOnBoth {
        becomes,
        guest,
        guest_product,
        before: before.map(on),
        after: after.map(on),
        broke,
        mended,
    })
}
