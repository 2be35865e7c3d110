//! The queue: who has to act, and which clock is next.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use hospitium_desk::{Case, Holder, Reading, Role, Side, Standing, State as Stands, next_due};
use jiff::Timestamp;

use super::forms::is_ours;
use super::session::{Signed, counter};
use super::shell::{Shell, failed, page};
use super::timeline::shown;
use crate::site::Site;

/// The most closed cases that are listed.
const CLOSED: usize = 50;

/// A case in the queue.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its address.
    pub href: String,
    /// The beginning of its id.
    pub short: String,
    /// What it is about.
    pub summary: String,
    /// Where it stands.
    pub state: String,
    /// Who has to act.
    pub ball: String,
    /// The clock that is next, and how it stands.
    pub clock: String,
    /// When it is over.
    pub due: String,
    /// How urgent that is: a class of the style.
    pub class: &'static str,
    /// The sign that says the same without colour.
    pub sign: &'static str,
    /// How much it hurts.
    pub severity: String,
    /// The customer.
    pub customer: String,
    /// The other vendor.
    pub other: String,
    sort: (Timestamp, String),
}

/// Cases under one heading.
#[derive(Debug)]
pub struct Group {
    /// For its heading.
    pub id: &'static str,
    /// The heading.
    pub title: &'static str,
    /// What stands where there is none.
    pub none: &'static str,
    /// The cases.
    pub rows: Vec<Row>,
}

#[derive(Template)]
#[template(path = "desk/queue.html")]
struct Queue {
    shell: Shell,
    groups: Vec<Group>,
    left_out: usize,
    troubles: Vec<(String, String)>,
}

/// The name of who has to act, as somebody of this role reads it.
pub fn holder(case: &Case, us: Side, role: Role) -> String {
    match case.ball() {
        _ if role == Role::Customer && is_customers(case, us) => "you".to_owned(),
        Holder::Customer => "the customer".to_owned(),
        ball if ball == Holder::from(us) && role != Role::Customer => "us".to_owned(),
        Holder::Submitter => case.party(Side::Submitter).to_string(),
        Holder::Receiver => case.party(Side::Receiver).to_string(),
    }
}

/// Whether the customer of this vendor has to say something: an answer, or that it is solved.
fn is_customers(case: &Case, us: Side) -> bool {
    let proposed = matches!(case.state, Stands::ResolutionProposed { .. });
    case.owner == us && (case.ball() == Holder::Customer || proposed)
}

/// A class of the style, and a sign, for how a clock stands.
pub const fn urgency(standing: Standing) -> (&'static str, &'static str) {
    match standing {
        Standing::Breached => ("fail", "✕"),
        Standing::Warning => ("flaky", "!"),
        Standing::Paused => ("skip", "‖"),
        Standing::Running => ("plan", "▸"),
        Standing::Kept => ("pass", "✓"),
    }
}

/// When a clock is over, as people read it, by the case's own calendar.
pub fn due(case: &Case, reading: &Reading) -> String {
    let zone = case.terms.calendar.time_zone();
    reading.due.map_or_else(
        || "never".to_owned(),
        |due| due.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M %Z").to_string(),
    )
}

fn row(case: &Case, us: Side, role: Role, now: Timestamp) -> Row {
    let next = next_due(case, now).filter(|_| case.state.is_open());
    let (class, sign) = next.as_ref().map_or(("skip", ""), |next| urgency(next.standing));
    let clock = next.as_ref().map(|next| format!("{} {}", next.lap.clock, next.standing));
    Row {
        href: format!("/desk/cases/{}", case.id),
        short: case.id.as_str().chars().take(10).collect(),
        summary: shown(case.problem.summary.as_str()),
        state: case.state.to_string(),
        ball: if case.state.is_open() { holder(case, us, role) } else { String::new() },
        clock: clock.unwrap_or_default(),
        due: next.as_ref().map(|next| due(case, next)).unwrap_or_default(),
        class,
        sign,
        severity: case.problem.severity.to_string(),
        customer: shown(case.customer.name.as_str()),
        other: case.party(us.other()).to_string(),
        sort: (next.and_then(|next| next.due).unwrap_or(Timestamp::MAX), case.id.to_string()),
    }
}

/// `GET /desk`.
pub async fn queue(State(site): State<Arc<Site>>, signed: Signed) -> Result<Response, Response> {
    let counter = counter(&site)?;
    let store = &counter.office.store;
    let now = Timestamp::now();
    let role = signed.account.role;
    let customer = role == Role::Customer;
    let (mut ours, mut others, mut drafts, mut closed) = (vec![], vec![], vec![], vec![]);
    let (ids, draft_ids) = store.ids().await.map_err(|error| failed(&error))?;
    for id in ids {
        let thread = store.load(&id).await.map_err(|error| failed(&error))?;
        let case = thread.case();
        if !signed.sees(case, &counter.office) {
            continue;
        }
        let row = row(case, thread.us(), role, now);
        let acts = match customer {
            true => is_customers(case, thread.us()),
            false => is_ours(case, thread.us()),
        };
        match (case.state.is_open(), acts) {
            (false, _) => closed.push((case.at, row)),
            (true, true) => ours.push(row),
            (true, false) => others.push(row),
        }
    }
    for id in draft_ids {
        let Some(draft) = store.draft(&id).await.map_err(|error| failed(&error))? else { continue };
        let Ok(case) = draft.case() else { continue };
        if signed.sees(&case, &counter.office) {
            drafts.push(row(&case, Side::Submitter, role, now));
        }
    }
    for rows in [&mut ours, &mut others, &mut drafts] {
        rows.sort_by(|one, other| one.sort.cmp(&other.sort));
    }
    closed.sort_by_key(|(ended, _)| std::cmp::Reverse(*ended));
    let left_out = closed.len().saturating_sub(CLOSED);
    let closed: Vec<Row> = closed.into_iter().take(CLOSED).map(|(_, row)| row).collect();
    let group = |id, title, none, rows| Group { id, title, none, rows };
    let mut groups = vec![
        group(
            "ours",
            if customer { "Yours to answer" } else { "Yours to act on" },
            "Nothing waits here.",
            ours,
        ),
        group(
            "others",
            if customer { "With the vendors" } else { "With others to act" },
            "Nothing.",
            others,
        ),
        group("drafts", "Drafts, not offered yet", "", drafts),
        group("closed", "Closed", "", closed),
    ];
    groups.retain(|group| !group.rows.is_empty() || !group.none.is_empty());
    let troubles = if signed.account.role.works() { (counter.troubles)() } else { Vec::new() };
    let shell = Shell::new(counter.office.us.as_str(), &signed, "queue");
    Ok(page(&Queue { shell, groups, left_out, troubles }))
}
