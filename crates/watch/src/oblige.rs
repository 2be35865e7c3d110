//! What the difference between two states of knowledge makes of an agreement's obligations.

use std::collections::{BTreeMap, BTreeSet};

use hospitium_model::{Agreement, Clause, Reach};
use hospitium_plan::obligation::{Because, Grounds, Obligation, Outcome, Plan, State};
use hospitium_products::{ProductId, Products};
use jiff::civil::Date;
use serde::Serialize;

/// An agreement and what the logs hold.
pub struct Deal<'a> {
    /// The agreement.
    pub agreement: &'a Agreement,
    /// What the logs hold.
    pub outcomes: &'a [Outcome],
    /// The suite as it is now.
    pub suite: Option<&'a str>,
    /// The day.
    pub as_of: Date,
}

/// An obligation that was not there before, or could not be delivered any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Owed {
    /// The agreement's id.
    pub agreement: String,
    /// The release that brings it: a product's id.
    pub because_of: ProductId,
    /// The clause's rule that takes it in, in words.
    pub rule: String,
    /// The obligation as it stands.
    pub obligation: Obligation,
}

/// An obligation whose last day has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Moved {
    /// The agreement's id.
    pub agreement: String,
    /// The obligation's id.
    pub id: String,
    /// Guest and host for people.
    pub pair: (String, String),
    /// Who owes it.
    pub party: String,
    /// What the day is: until when it `holds`, or when it is `due`.
    pub what: &'static str,
    /// The day before, if there was one.
    pub before: Option<Date>,
    /// The day now, if there is one.
    pub after: Option<Date>,
    /// Why, in a sentence.
    pub why: String,
}

impl Moved {
    /// Whether it ends, or is due, earlier than it was.
    pub fn is_earlier(&self) -> bool {
        match (self.before, self.after) {
            (Some(before), Some(after)) => after < before,
            (None, Some(_)) => true,
            (_, None) => false,
        }
    }
}

/// What one agreement has to say to the difference.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Obliged {
    /// Obligations that were not there before and can still be delivered.
    pub created: Vec<Owed>,
    /// Obligations that were not there before, and whose time is over already.
    pub too_late: usize,
    /// Last days that have changed.
    pub moved: Vec<Moved>,
    /// Obligations that are not owed any more.
    pub gone: Vec<String>,
}

/// Holds what was owed by what was known before against what is owed by what is known now.
/// `changed` are the products that are new or of which something else is said.
pub fn compare(
    deal: &Deal<'_>,
    before: &Products,
    after: &Products,
    changed: &BTreeSet<ProductId>,
) -> Obliged {
    let plan = |products: &Products| {
        let grounds = Grounds {
            products,
            outcomes: deal.outcomes,
            suite: deal.suite,
            as_of: deal.as_of,
            blocked: &|_, _| None,
        };
        Plan::make(deal.agreement, &grounds)
    };
    let (before, after) = (plan(before), plan(after));
    let old: BTreeMap<&str, &Obligation> =
        before.obligations.iter().map(|owed| (owed.id.as_str(), owed)).collect();
    let mut obliged = Obliged::default();
    for owed in &after.obligations {
        match old.get(owed.id.as_str()) {
            None if matches!(owed.state, State::Over { .. }) => obliged.too_late += 1,
            None => obliged.created.push(created(deal, owed, changed)),
            // It could not be delivered any more, and now it can: a life goes on for longer.
            Some(old)
                if matches!(old.state, State::Over { .. })
                    && !matches!(owed.state, State::Over { .. }) =>
            {
                obliged.created.push(created(deal, owed, changed));
            }
            Some(old) => obliged.moved.extend(moved(deal, old, owed)),
        }
    }
    let now: BTreeSet<&str> = after.obligations.iter().map(|owed| owed.id.as_str()).collect();
    obliged.gone = old.keys().filter(|id| !now.contains(*id)).map(|id| (*id).to_owned()).collect();
    obliged
}

fn created(deal: &Deal<'_>, owed: &Obligation, changed: &BTreeSet<ProductId>) -> Owed {
    let because_of = match changed.contains(&owed.guest) || !changed.contains(&owed.host) {
        true => &owed.guest,
        false => &owed.host,
    };
    let clause = deal.agreement.clauses.iter().find(|clause| clause.id == owed.clause);
    Owed {
        agreement: deal.agreement.id.clone(),
        because_of: because_of.clone(),
        rule: clause.map_or_else(String::new, |clause| rule(clause, owed.because)),
        obligation: owed.clone(),
    }
}

/// The rule of a clause by which a pair is owed.
fn rule(clause: &Clause, because: Because) -> String {
    let (guests, hosts, within) = match &clause.later {
        Some(later) => (later.guests, later.hosts, later.within.unwrap_or(clause.within)),
        None => (Reach::None, Reach::None, clause.within),
    };
    let reach = |what: &str, reach| match reach {
        Reach::None => format!("no later {what}"),
        Reach::Major => format!("later {what} of the same major version"),
        Reach::All => format!("all later {what}"),
    };
    let taken = match because {
        Because::Named => {
            return format!("clause {} names both, within {}", clause.id, clause.within);
        }
        Because::LaterGuest => reach("guests", guests),
        Because::LaterHost => reach("hosts", hosts),
        Because::LaterBoth => format!("{} and {}", reach("guests", guests), reach("hosts", hosts)),
    };
    format!("clause {} takes in {taken}, within {within}", clause.id)
}

fn moved(deal: &Deal<'_>, old: &Obligation, new: &Obligation) -> Option<Moved> {
    let (what, before, after) = match (holds(&old.state), holds(&new.state)) {
        (Some(before), Some(after)) => ("holds", before, after),
        _ => ("due", old.due, new.due),
    };
    (before != after).then(|| Moved {
        agreement: deal.agreement.id.clone(),
        id: new.id.clone(),
        pair: (new.guest_name.clone(), new.host_name.clone()),
        party: new.party.clone(),
        what,
        before,
        after,
        why: new.reasons.first().cloned().unwrap_or_default(),
    })
}

/// The last day on which a validation holds or held, if there is one.
fn holds(state: &State) -> Option<Option<Date>> {
    match state {
        State::Fulfilled { until, .. } => Some(*until),
        State::AboutToLapse { until, .. } => Some(Some(*until)),
        State::Lapsed { on, .. } => Some(Some(*on)),
        _ => None,
    }
}
