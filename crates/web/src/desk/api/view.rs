//! What programs get.

use hospitium_desk::exchange::Thread;
use hospitium_desk::{
    Aside, Case, DeedKind, Holder, Next, Role, Side, State, clocks, hindrance, legal, next_due,
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::forms::{customers, is_ours};
use super::super::timeline::timeline;

/// The cases of a desk.
#[derive(Debug, Serialize, ToSchema)]
pub struct Cases {
    /// `hospitium-cases/1`.
    schema: &'static str,
    /// Those first that wait for this vendor; then by the clock that is next.
    cases: Vec<CaseRow>,
}

/// A case in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CaseRow {
    /// Its id.
    id: String,
    /// Where it stands: `draft`, `offered`, `working`, …
    state: String,
    /// Who has to act next: `submitter`, `receiver` or `customer`.
    #[schema(value_type = String)]
    ball: Holder,
    /// Whether this vendor acts next.
    ours: bool,
    /// The problem in a line.
    summary: String,
    /// `critical`, `high`, `normal` or `low`.
    severity: String,
    /// The customer's organisation.
    customer: String,
    /// The other vendor.
    other: String,
    /// When the clock that is next is over.
    #[schema(value_type = Option<String>)]
    due: Option<Timestamp>,
}

impl CaseRow {
    /// A row for a case, and what it is sorted by.
    pub fn of(case: &Case, us: Side, now: Timestamp) -> Self {
        Self {
            id: case.id.to_string(),
            state: case.state.name().to_owned(),
            ball: case.ball(),
            ours: is_ours(case, us),
            summary: case.problem.summary.to_string(),
            severity: case.problem.severity.to_string(),
            customer: case.customer.name.to_string(),
            other: case.party(us.other()).to_string(),
            due: next_due(case, now).filter(|_| case.state.is_open()).and_then(|next| next.due),
        }
    }
}

impl Cases {
    /// In their order.
    pub fn new(mut cases: Vec<CaseRow>) -> Self {
        cases.sort_by_key(|row| (!row.ours, row.due.unwrap_or(Timestamp::MAX), row.id.clone()));
        Self { schema: "hospitium-cases/1", cases }
    }
}

/// A case as somebody of a role may see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CaseView {
    /// `hospitium-case/1`.
    schema: &'static str,
    /// Its id.
    id: String,
    /// Where it stands.
    state: String,
    /// Which side of it this vendor is: `submitter` or `receiver`.
    #[schema(value_type = String)]
    side: Side,
    /// Who has to act next.
    #[schema(value_type = String)]
    ball: Holder,
    /// What it carries; the fields are those of `hospitium case show --json`. A customer gets those that are for it.
    #[schema(value_type = Object)]
    case: Value,
    /// Its clocks that run.
    clocks: Vec<Clock>,
    /// What this account may do now, by the deeds' names in docs/desk.md.
    legal: Vec<String>,
    /// What happened, the oldest first.
    timeline: Vec<Told>,
    /// Messages that the other desk is not known to have yet.
    unconfirmed: u64,
    /// Where the two desks are known to differ.
    divergences: Vec<String>,
}

/// A clock that runs.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Clock {
    /// `acknowledgement`, `next update` or `resolution`.
    clock: String,
    /// `running`, `warning`, `breached` or `paused`.
    standing: String,
    /// When it is over.
    #[schema(value_type = Option<String>)]
    due: Option<Timestamp>,
}

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Told {
    /// When.
    #[schema(value_type = String)]
    at: Timestamp,
    /// Which party; `internal note` for what stays at this desk.
    by: String,
    /// The person, where that may be read.
    person: String,
    /// What.
    what: String,
    /// The words that go with it.
    text: String,
}

impl CaseView {
    /// Of a case that was offered.
    pub fn of(thread: &Thread, asides: &[Aside], role: Role, now: Timestamp) -> Self {
        let us = thread.us();
        let whole = thread.case();
        let mut view = Self::of_case(whole, us, role, now);
        view.timeline = timeline(thread, asides, role)
            .into_iter()
            .map(|moment| Told {
                at: moment.at,
                by: moment.who,
                person: moment.person,
                what: moment.title,
                text: moment.text,
            })
            .collect();
        view.legal = match role {
            Role::Auditor => Vec::new(),
            Role::Customer => DeedKind::ALL
                .iter()
                .filter(|deed| customers(**deed, whole, us))
                .filter(|deed| hindrance(whole, Next { deed: **deed, by: us }, now).is_none())
                .map(|deed| deed.word().to_owned())
                .collect(),
            Role::Engineer | Role::Manager => legal(whole, now)
                .into_iter()
                .filter(|next| next.by == us)
                .map(|next| next.deed.word().to_owned())
                .collect(),
        };
        if role != Role::Customer {
            view.unconfirmed = (thread.chain(us).len() as u64).saturating_sub(thread.acked());
            view.divergences = thread.divergences().iter().map(ToString::to_string).collect();
        }
        view
    }

    /// Of a draft, or the part of any case that needs no history.
    pub fn of_case(case: &Case, us: Side, role: Role, now: Timestamp) -> Self {
        let seen = match role {
            Role::Customer => for_customer(case),
            _ => serde_json::to_value(case).unwrap_or_default(),
        };
        let running = clocks(case, now).into_iter().filter(|reading| reading.is_running());
        let clocks = running.map(|reading| Clock {
            clock: reading.lap.clock.to_string(),
            standing: reading.standing.to_string(),
            due: reading.due,
        });
        Self {
            schema: "hospitium-case/1",
            id: case.id.to_string(),
            state: case.state.to_string(),
            side: us,
            ball: case.ball(),
            case: seen,
            clocks: clocks.collect(),
            legal: Vec::new(),
            timeline: Vec::new(),
            unconfirmed: 0,
            divergences: Vec::new(),
        }
    }
}

/// What a customer gets of its case: what it said itself, what the catalog said, and how it ends. What the vendors have
/// between them (engineers, numbers, reproductions, reasons) is theirs.
fn for_customer(case: &Case) -> Value {
    let seen = case.for_customer();
    let end = match &case.state {
        State::Declined { reason, next_step } => {
            json!({ "declined": reason.to_string(), "next-step": next_step })
        }
        State::ResolutionProposed { outcome, .. } | State::Closed { outcome, .. } => {
            json!({ "at-fault": outcome.layer, "resolution": outcome.resolution,
                    "workaround": outcome.workaround, "fixes": outcome.fixes })
        }
        _ => Value::Null,
    };
    json!({
        "id": seen.id, "opened": seen.opened, "customer": seen.customer, "consent": seen.consent,
        "configuration": seen.configuration, "problem": seen.problem,
        "verdict": { "word": seen.verdict.word, "as-of": seen.verdict.as_of },
        "attachments": seen.attachments, "end": end,
    })
}
