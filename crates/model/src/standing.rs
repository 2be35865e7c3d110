//! How a guest on a host stands on a day, and by which rule.
//!
//! A [`Rule`] is what decided an answer: one value with what it decided by. Questions, plans, certificates,
//! pages, programs' answers and exports carry it, and a support case keeps it as a [`Ruling`] of the day on
//! which it was opened. Its words for people are made in one place, [`Rule::words`].

mod assurance;
mod ruling;
#[cfg(test)]
mod tests;
mod words;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use assurance::{Assurance, AssuredBy, Deed, Part, assurance, assurance_words};
pub use ruling::{RULE_FORMAT, Ruling, RulingError};

/// The answer in a word, the best first. docs/catalog.md has the rule for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Word {
    /// A validation holds and covers what is asked.
    Validated,
    /// A validation holds; something that is asked for, or that one would expect, is outside of it.
    ValidatedWithLimits,
    /// It was validated, and that does not hold any more.
    Lapsed,
    /// An agreement owes it by now, and nothing was delivered yet.
    Pending,
    /// An agreement promises it, and it is not owed yet.
    Planned,
    /// An agreement speaks of the pair, and leaves out what is asked for.
    Excluded,
    /// It was tried, and failed.
    Failed,
    /// What was said of it was taken back, or what was promised of it was never delivered.
    NotValidated,
    /// Nobody here says anything of it. Not a no.
    Unknown,
}

impl Word {
    /// All, in their order.
    pub const ALL: [Self; 9] = [
        Self::Validated,
        Self::ValidatedWithLimits,
        Self::Lapsed,
        Self::Pending,
        Self::Planned,
        Self::Excluded,
        Self::Failed,
        Self::NotValidated,
        Self::Unknown,
    ];

    /// As people read it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Validated => "validated",
            Self::ValidatedWithLimits => "validated with limits",
            Self::Lapsed => "lapsed",
            Self::Pending => "pending",
            Self::Planned => "planned",
            Self::Excluded => "excluded",
            Self::Failed => "failed",
            Self::NotValidated => "not validated",
            Self::Unknown => "unknown",
        }
    }

    /// What it means, in a sentence, for those who see it for the first time.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Validated => "A validation holds and covers what is asked.",
            Self::ValidatedWithLimits => "A validation holds; read the limits.",
            Self::Lapsed => "It was validated, and that does not hold any more.",
            Self::Pending => "An agreement owes it by now, and nothing was delivered yet.",
            Self::Planned => "An agreement promises it, and it is not owed yet.",
            Self::Excluded => "An agreement speaks of the pair and leaves out what is asked for.",
            Self::Failed => "It was tried, and failed.",
            Self::NotValidated => {
                "What was said of it was taken back, or what was promised was never delivered."
            }
            Self::Unknown => "Nobody here says anything of it. That is not a no.",
        }
    }

    /// Whether a validation holds.
    pub const fn holds(self) -> bool {
        matches!(self, Self::Validated | Self::ValidatedWithLimits)
    }

    /// Whether nothing was said of the pair yet, neither a yes nor a no.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Planned | Self::Unknown)
    }
}

/// The agreement by whose terms a rule decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Deal {
    /// Its id.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// The clause that speaks of the pair.
    pub clause: String,
}

/// A record that decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct OfRecord {
    /// Where it is: log and entry, or its digest.
    pub certificate: String,
    /// Who says so.
    pub party: String,
    /// The day on which its run ended, in UTC.
    pub validated: Date,
    /// Other parties that bear it out, and by what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assured_by: Vec<AssuredBy>,
}

/// Until when a pass holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Until {
    /// The last day; none if nothing is known that would end it.
    pub day: Option<Date>,
    /// Which part of the rule or formula gives that day, in words.
    pub because: String,
}

/// A guest on a host, by their names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct OfPair {
    /// The guest's.
    pub guest: String,
    /// The host's.
    pub host: String,
}

/// What ended before a validation was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Ended {
    /// The guest's life.
    Guest,
    /// The host's life.
    Host,
    /// The agreement.
    Agreement,
}

/// What decides how a guest on a host, or one record of it, stands on a day.
///
/// The names in the JSON form (`by`) stay as they are; a new rule gets a new name, and where one's meaning
/// or fields change, [`RULE_FORMAT`] grows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Rule {
    /// The agreements that speak of the pair leave out what is asked for.
    Excluded {
        /// The first of them.
        deal: Deal,
        /// What is left out, in a word or two.
        what: String,
        /// The terms.
        terms: String,
    },
    /// By an agreement: who owes it tried it, and it failed.
    AgreementFailed {
        /// The agreement.
        deal: Deal,
        /// The record.
        record: OfRecord,
    },
    /// By an agreement: it holds.
    AgreementHolds {
        /// The agreement.
        deal: Deal,
        /// The record.
        record: OfRecord,
        /// Until when.
        until: Until,
        /// Whether it has to be done again soon.
        #[serde(default)]
        about_to_lapse: bool,
        /// Whether other machines failed, and it holds on those that passed.
        #[serde(default)]
        on_some_machines: bool,
        /// What was tested, where the agreement carries that forward to the pair.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        carried_from: Option<OfPair>,
        /// Whether another valid certificate is shown, which covers more.
        #[serde(default)]
        wider_shown: bool,
    },
    /// By an agreement: it held.
    AgreementLapsed {
        /// The agreement.
        deal: Deal,
        /// The record.
        record: OfRecord,
        /// Until when it held.
        until: Until,
    },
    /// By an agreement: it will be owed.
    Planned {
        /// The agreement.
        deal: Deal,
        /// From when, if it is known when both sides are released.
        from: Option<Date>,
    },
    /// By an agreement: it is owed, and not delivered yet.
    Pending {
        /// The agreement.
        deal: Deal,
        /// The last day for it.
        due: Date,
        /// Whether that day is over.
        late: bool,
    },
    /// By an agreement: it was owed, and was not delivered while it could be.
    NeverDelivered {
        /// The agreement.
        deal: Deal,
        /// What ended.
        ended: Ended,
        /// Its last day.
        on: Date,
    },
    /// A party's newest record that counts says that it failed.
    Failed {
        /// The record.
        record: OfRecord,
    },
    /// A certificate is valid by its own rule.
    Holds {
        /// The record.
        record: OfRecord,
        /// Until when.
        until: Until,
        /// An agreement that speaks of the pair, and whose terms it does not fulfil.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unfulfilled: Option<Deal>,
        /// Whether another valid certificate is shown, which covers more.
        #[serde(default)]
        wider_shown: bool,
    },
    /// A certificate was valid by its own rule.
    Lapsed {
        /// The record.
        record: OfRecord,
        /// Until when it was.
        until: Until,
    },
    /// A certificate that is valid from a later day on.
    NotYet {
        /// The record; it is valid from the day of its run on.
        record: OfRecord,
    },
    /// The record is suspended.
    Suspended {
        /// The record.
        record: OfRecord,
        /// Since when.
        since: Date,
        /// The last day of that, if it has one.
        until: Option<Date>,
        /// Why.
        reason: String,
    },
    /// The record was withdrawn.
    Withdrawn {
        /// The record.
        record: OfRecord,
        /// When.
        on: Date,
        /// Why.
        reason: String,
    },
    /// The record passed, and something that it rests on does not hold.
    Fallen {
        /// The record.
        record: OfRecord,
        /// What, in words.
        what: String,
        /// Why.
        why: String,
    },
    /// Every record of the pair was withdrawn, or is suspended.
    SetAside,
    /// The record certifies nothing: it is of another kind.
    NoCertificate {
        /// Which, in words.
        what: String,
    },
    /// Records of the pair, or entries that may be of it, could not all be looked at, so that nothing can be
    /// said for certain.
    TooMany {
        /// How many were looked at.
        looked_at: u64,
    },
    /// No record, and no agreement that speaks of the pair.
    NoRecord,
}

impl Rule {
    /// The word that it gives; `limited` is whether there are limits to what holds.
    pub const fn word(&self, limited: bool) -> Word {
        match self {
            Self::Excluded { .. } => Word::Excluded,
            Self::AgreementHolds { .. } | Self::Holds { unfulfilled: None, .. } if !limited => {
                Word::Validated
            }
            Self::AgreementHolds { .. } | Self::Holds { .. } => Word::ValidatedWithLimits,
            Self::AgreementFailed { .. } | Self::Failed { .. } => Word::Failed,
            Self::AgreementLapsed { .. } | Self::Lapsed { .. } => Word::Lapsed,
            Self::Pending { .. } => Word::Pending,
            Self::Planned { .. } => Word::Planned,
            Self::NeverDelivered { .. }
            | Self::Suspended { .. }
            | Self::Withdrawn { .. }
            | Self::Fallen { .. }
            | Self::SetAside => Word::NotValidated,
            Self::NotYet { .. }
            | Self::NoCertificate { .. }
            | Self::TooMany { .. }
            | Self::NoRecord => Word::Unknown,
        }
    }

    /// The agreement by whose terms it decides, if one does.
    pub const fn deal(&self) -> Option<&Deal> {
        match self {
            Self::Excluded { deal, .. }
            | Self::AgreementFailed { deal, .. }
            | Self::AgreementHolds { deal, .. }
            | Self::AgreementLapsed { deal, .. }
            | Self::Planned { deal, .. }
            | Self::Pending { deal, .. }
            | Self::NeverDelivered { deal, .. } => Some(deal),
            _ => None,
        }
    }

    /// The record that decides, if one does.
    pub const fn record(&self) -> Option<&OfRecord> {
        match self {
            Self::AgreementFailed { record, .. }
            | Self::AgreementHolds { record, .. }
            | Self::AgreementLapsed { record, .. }
            | Self::Failed { record }
            | Self::Holds { record, .. }
            | Self::Lapsed { record, .. }
            | Self::NotYet { record }
            | Self::Suspended { record, .. }
            | Self::Withdrawn { record, .. }
            | Self::Fallen { record, .. } => Some(record),
            _ => None,
        }
    }
}
