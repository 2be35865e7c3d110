//! What the parties of an agreement owe, and how each obligation stands.
//!
//! In come an agreement, the products and their dates, the outcomes that a log holds, and a day. Out
//! goes a [`Plan`]: every obligation with its state on that day and the reason for it, and per party
//! what was planned and what was delivered.

mod assured;
mod counting;
mod expand;
mod speaks;
mod state;
mod terms;

pub use assured::{Endorsed, repetition};
pub use counting::fulfils;
pub use expand::end_of_life;
pub use speaks::{Trial, Voice, newest_run, speaking};
pub use state::next_version;
pub use terms::{Covers, Told};

use hospitium_model::standing::{AssuredBy, Rule};
use hospitium_model::{Agreement, Days};
use hospitium_products::{ProductId, Products};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// An outcome that a log holds: somebody validated a pair, or tried to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Outcome {
    /// The party that says so.
    pub party: String,
    /// The guest.
    pub guest: ProductId,
    /// The host.
    pub host: ProductId,
    /// The architecture of both.
    pub arch: String,
    /// Whether everything that the profile requires passed.
    pub passed: bool,
    /// The day on which the run ended.
    pub validated: Date,
    /// Whether the guest ran under emulation, which says nothing of the hardware path.
    pub emulated: bool,
    /// The suite's version.
    pub suite: String,
    /// What names the record: its digest or its place in the log.
    pub certificate: String,
    /// Which machine was tried in which run, and where that is recorded.
    #[serde(default)]
    pub trial: Trial,
    /// The day from which it does not count, if it was withdrawn, is suspended, or has lost what it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<Date>,
    /// Which of these.
    #[serde(default)]
    pub set_aside: SetAside,
    /// The last day on which it is valid by itself, if it says so: a waiver that it rests on may end
    /// before what an agreement's rule gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
    /// What it says of the terms of agreements.
    #[serde(default)]
    pub told: Told,
}

/// How a record was set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetAside {
    /// For good.
    #[default]
    Withdrawn,
    /// For a time, or until further notice.
    Suspended,
    /// It rests on what is not in its log, or is something else.
    Fallen,
}

impl SetAside {
    /// What became of the record: it …
    pub const fn words(self) -> &'static str {
        match self {
            Self::Withdrawn => "was withdrawn",
            Self::Suspended => "is suspended",
            Self::Fallen => "rests on a record that does not hold",
        }
    }
}

impl Outcome {
    /// Whether it is of that day or earlier, and was not taken back until then.
    pub fn counts_on(&self, day: Date) -> bool {
        self.validated <= day && self.withdrawn.is_none_or(|withdrawn| withdrawn > day)
    }

    /// What of it decides whether it speaks.
    pub fn voice(&self) -> Voice<'_> {
        Voice {
            party: &self.party,
            arch: &self.arch,
            validated: self.validated,
            emulated: self.emulated,
            trial: &self.trial,
        }
    }
}

/// Why a pair is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Because {
    /// Both are named in the clause.
    Named,
    /// The guest is a later version of a named one.
    LaterGuest,
    /// The host is a later version of a named one.
    LaterHost,
    /// Both are.
    LaterBoth,
}

impl Because {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Named => "both are named in the agreement",
            Self::LaterGuest => "the guest is a later version of one that is named",
            Self::LaterHost => "the host is a later version of one that is named",
            Self::LaterBoth => "both are later versions of what is named",
        }
    }
}

/// How an obligation stands on a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum State {
    /// One side is not released yet, or it is not known when it was.
    Planned {
        /// From when it is owed, if that is known.
        from: Option<Date>,
    },
    /// It is to be done.
    Due {
        /// The last day for it.
        by: Date,
    },
    /// It should have been done.
    Late {
        /// The last day for it.
        by: Date,
    },
    /// It was tried, and the pair failed, on one of its machines at least.
    Failed {
        /// The record.
        certificate: String,
        /// When.
        on: Date,
    },
    /// It is done.
    Fulfilled {
        /// The record.
        certificate: String,
        /// The last day on which it holds; none if nothing is known that would end it.
        until: Option<Date>,
    },
    /// It is done, and has to be done again soon.
    AboutToLapse {
        /// The record.
        certificate: String,
        /// The last day on which it holds.
        until: Date,
    },
    /// It was done, and that does not hold any more.
    Lapsed {
        /// The record.
        certificate: String,
        /// The last day on which it held.
        on: Date,
    },
    /// A side's life, or the deal itself, ended before it was done: it cannot be delivered any more.
    Over {
        /// When.
        on: Date,
    },
}

impl State {
    /// All words that [`State::word`] gives.
    pub const WORDS: [&str; 8] = [
        "planned",
        "due",
        "late",
        "failed",
        "fulfilled",
        "about to lapse",
        "lapsed",
        "never delivered",
    ];

    /// In a word or three: one of [`State::WORDS`].
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Planned { .. } => "planned",
            Self::Due { .. } => "due",
            Self::Late { .. } => "late",
            Self::Failed { .. } => "failed",
            Self::Fulfilled { .. } => "fulfilled",
            Self::AboutToLapse { .. } => "about to lapse",
            Self::Lapsed { .. } => "lapsed",
            Self::Over { .. } => "never delivered",
        }
    }

    /// Its day, in a word or a few: `by 2009-11-16`.
    pub fn when(&self) -> String {
        match self {
            Self::Planned { from: None } => "no release date known".into(),
            Self::Planned { from: Some(day) } => format!("from {day}"),
            Self::Due { by } | Self::Late { by } => format!("by {by}"),
            Self::Failed { on, .. } => format!("on {on}"),
            Self::Fulfilled { until: Some(day), .. } | Self::AboutToLapse { until: day, .. } => {
                format!("until {day}")
            }
            Self::Fulfilled { until: None, .. } => "no end known".into(),
            Self::Lapsed { on, .. } => format!("since {on}"),
            Self::Over { on } => format!("ended {on}"),
        }
    }

    /// Whether a validation holds on that day.
    pub const fn holds(&self) -> bool {
        matches!(self, Self::Fulfilled { .. } | Self::AboutToLapse { .. })
    }

    /// Whether something is to be done about it now.
    pub const fn asks_for_a_run(&self) -> bool {
        matches!(
            self,
            Self::Due { .. }
                | Self::Late { .. }
                | Self::Failed { .. }
                | Self::AboutToLapse { .. }
                | Self::Lapsed { .. }
        )
    }
}

/// One thing that a party owes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Obligation {
    /// Clause, guest and host: `windows-on-red-hat/win2k8/xen-rhel5.3`.
    pub id: String,
    /// The clause that it comes from.
    pub clause: String,
    /// Who owes it.
    pub party: String,
    /// The guest.
    pub guest: ProductId,
    /// The guest's name for people.
    pub guest_name: String,
    /// The host.
    pub host: ProductId,
    /// The host's name for people.
    pub host_name: String,
    /// The architecture of both.
    pub arch: String,
    /// Why it is owed.
    pub because: Because,
    /// From when it is owed: the latest of the deal and both releases, if they are known.
    pub from: Option<Date>,
    /// The last day for it.
    pub due: Option<Date>,
    /// How it stands.
    pub state: State,
    /// The rule that decides that.
    pub rule: Rule,
    /// Where it failed on some machines and others passed in the newest run: how it stands by these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_other_machines: Option<State>,
    /// The rule that decides that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_on_other_machines: Option<Rule>,
    /// The days that its validity counts from, as far as they are known.
    pub days: Days,
    /// Other parties that bear out what fulfils it, and by what. It is mutual where one of the agreement does more than
    /// to cosign.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assured_by: Vec<AssuredBy>,
    /// Why that is not certain, if it is not: something is not known here of a log that it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncertain: Option<String>,
    /// Why it stands so, in sentences, the deciding one first.
    pub reasons: Vec<String>,
    /// What keeps it from being done here, if anything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<String>,
}

/// How a party stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Standing {
    /// The party.
    pub party: String,
    /// What it has come to owe by that day, ended lives included.
    pub planned: usize,
    /// Of these, those for which a validation was ever delivered.
    pub delivered: usize,
    /// Of these, those for which one holds on that day.
    pub holding: usize,
    /// Of these, those that should have been done.
    pub late: usize,
    /// What is to be done and cannot be done here.
    pub blocked: usize,
}

/// Everything that is owed by an agreement, on a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Plan {
    /// The agreement's id.
    pub agreement: String,
    /// The day.
    pub as_of: Date,
    /// Every obligation, in the order of clauses, guests and hosts.
    pub obligations: Vec<Obligation>,
    /// Each party, in the agreement's order.
    pub standings: Vec<Standing>,
    /// What could not be made out: products that nobody knows, or several that fit.
    pub problems: Vec<String>,
    /// How old what is known is, of each log that something was read of: `vendor.example/log, 12 entries, cosigned at
    /// 2026-11-30T10:00:00Z`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heads: Vec<String>,
}

/// What a plan is made from, beside the agreement.
pub struct Grounds<'a> {
    /// Products and their dates.
    pub products: &'a Products,
    /// What the logs hold.
    pub outcomes: &'a [Outcome],
    /// The suite as it is now; an outcome of another one counts as it was made, unless the
    /// agreement asks for it to be done again.
    pub suite: Option<&'a str>,
    /// The day.
    pub as_of: Date,
    /// Why a pair cannot be run here, if it cannot.
    #[allow(clippy::type_complexity)]
    pub blocked:
        &'a dyn Fn(&hospitium_products::Product, &hospitium_products::Product) -> Option<String>,
}

impl Plan {
    /// Works out what is owed.
    pub fn make(agreement: &Agreement, grounds: &Grounds<'_>) -> Self {
        let mut problems = Vec::new();
        let mut obligations = Vec::new();
        for clause in &agreement.clauses {
            for pair in expand::pairs(agreement, clause, grounds.products, &mut problems) {
                obligations.push(state::judge(agreement, clause, pair, grounds));
            }
        }
        let standings = agreement
            .parties
            .iter()
            .map(|party| standing(agreement, &party.name, &obligations, grounds))
            .collect();
        Self {
            agreement: agreement.id.clone(),
            as_of: grounds.as_of,
            obligations,
            standings,
            problems,
            heads: Vec::new(),
        }
    }

    /// What is not certain, a sentence each.
    pub fn doubts(&self) -> impl Iterator<Item = String> {
        self.obligations.iter().filter_map(|owed| {
            Some(format!("{} is not certain: {}", owed.id, owed.uncertain.as_ref()?))
        })
    }

    /// What is to be done now and can be done here, the most urgent first.
    pub fn to_run(&self) -> Vec<&Obligation> {
        let mut runs: Vec<&Obligation> = self
            .obligations
            .iter()
            .filter(|o| o.state.asks_for_a_run() && o.blocked.is_none())
            .collect();
        runs.sort_by_key(|o| (o.due, o.id.as_str()));
        runs
    }
}

/// Whether an outcome is a validation of the pair that was delivered, whatever became of it: a pass that its party signed,
/// as the agreement takes it, and that counted on the day of its run.
fn delivers(
    agreement: &Agreement,
    owed: &Obligation,
    outcome: &Outcome,
    grounds: &Grounds<'_>,
) -> bool {
    outcome.passed
        && outcome.party == owed.party
        && (&outcome.guest, &outcome.host, &outcome.arch) == (&owed.guest, &owed.host, &owed.arch)
        && outcome.validated <= grounds.as_of
        && outcome.counts_on(outcome.validated)
        && (agreement.validation.emulation || !outcome.emulated)
        && terms::unsigned(agreement, outcome).is_none()
}

fn standing(
    agreement: &Agreement,
    party: &str,
    obligations: &[Obligation],
    grounds: &Grounds<'_>,
) -> Standing {
    let mut standing = Standing { party: party.to_owned(), ..Standing::default() };
    for owed in obligations.iter().filter(|o| o.party == party) {
        if matches!(owed.state, State::Planned { .. }) {
            continue;
        }
        let ever = owed.state.holds()
            || matches!(owed.state, State::Lapsed { .. })
            || grounds.outcomes.iter().any(|outcome| delivers(agreement, owed, outcome, grounds));
        standing.planned += 1;
        standing.delivered += usize::from(ever);
        standing.holding += usize::from(owed.state.holds());
        standing.late += usize::from(matches!(owed.state, State::Late { .. }));
        standing.blocked += usize::from(owed.state.asks_for_a_run() && owed.blocked.is_some());
    }
    standing
}

#[cfg(test)]
mod tests;
