//! How the records of a guest on a host stand on a day.

use hospitium_ledger::{ByItself, NoticeKind, by_itself, in_force};
use hospitium_model::standing::{OfRecord, Rule, Until};
use hospitium_plan::obligation::SetAside;
use jiff::civil::Date;
use serde::Serialize;

use crate::record::{NoticeRow, Stored};

/// How a record stands on a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "stands")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Stands {
    /// It passed, and is valid by itself.
    Valid,
    /// It says that the pair failed.
    Failed,
    /// It passed, and its time is over.
    Lapsed,
    /// It was suspended.
    Suspended {
        /// Since when.
        since: Date,
        /// The last day, if it has one.
        until: Option<Date>,
        /// Why.
        reason: String,
    },
    /// It was withdrawn.
    Withdrawn {
        /// When.
        on: Date,
        /// Why.
        reason: String,
    },
    /// It passed, and what it rests on is not in its log, or is something else.
    Fallen {
        /// What, and why.
        why: String,
    },
}

impl Stands {
    /// Whether it is not suspended, withdrawn, or fallen with what it rests on.
    pub const fn counts(&self) -> bool {
        matches!(self, Self::Valid | Self::Failed | Self::Lapsed)
    }

    /// `valid`, `failed`, `lapsed`, `suspended`, `withdrawn` or `fallen`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Failed => "failed",
            Self::Lapsed => "lapsed",
            Self::Suspended { .. } => "suspended",
            Self::Withdrawn { .. } => "withdrawn",
            Self::Fallen { .. } => "fallen",
        }
    }
}

/// A record and how it stands.
#[derive(Debug, Clone)]
pub struct Judged {
    pub record: Stored,
    pub stands: Stands,
}

impl Judged {
    /// Whether it is not suspended, withdrawn, or fallen with what it rests on.
    pub const fn counts(&self) -> bool {
        self.stands.counts()
    }

    /// The rule by which it stands so.
    pub fn rule(&self) -> Rule {
        self.record.rule(&self.stands)
    }

    /// The day from which it does not count, if it does not, and how that came.
    pub const fn set_aside_on(&self) -> Option<(Date, SetAside)> {
        match self.stands {
            Stands::Suspended { since, .. } => Some((since, SetAside::Suspended)),
            Stands::Withdrawn { on, .. } => Some((on, SetAside::Withdrawn)),
            // It never did.
            Stands::Fallen { .. } => Some((self.record.validated, SetAside::Fallen)),
            _ => None,
        }
    }

    /// Why it does not count, if it does not.
    pub fn set_aside(&self) -> Option<String> {
        (!self.counts()).then(|| self.rule().words())
    }
}

impl Stored {
    /// The rule by which it stands so, by itself.
    pub(crate) fn rule(&self, stands: &Stands) -> Rule {
        let record = OfRecord {
            certificate: self.place(),
            party: self.party.clone(),
            validated: self.validated,
            assured_by: self.assured_by.clone(),
        };
        let until = || Until { day: Some(self.until), because: self.detail.decided_by.clone() };
        match stands.clone() {
            Stands::Valid => {
                Rule::Holds { record, until: until(), unfulfilled: None, wider_shown: false }
            }
            Stands::Failed => Rule::Failed { record },
            Stands::Lapsed => Rule::Lapsed { record, until: until() },
            Stands::Suspended { since, until, reason } => {
                Rule::Suspended { record, since, until, reason }
            }
            Stands::Withdrawn { on, reason } => Rule::Withdrawn { record, on, reason },
            Stands::Fallen { why } => Rule::Fallen { record, what: "in its log".into(), why },
        }
    }
}

/// How a record stands, given what was said of it later: the ledger's rule, by which certificates are
/// verified too.
pub fn stands(record: &Stored, notices: &[NoticeRow], as_of: Date) -> Stands {
    let days: Vec<_> = notices.iter().map(NoticeRow::days).collect();
    if let Some(notice) = in_force(&days, as_of).and_then(|place| notices.get(place)) {
        let (since, until, reason) = (notice.issued, notice.until, notice.reason.clone());
        return match notice.kind {
            NoticeKind::Withdrawal => Stands::Withdrawn { on: since, reason },
            _ => Stands::Suspended { since, until, reason },
        };
    }
    match by_itself(record.passed(), (record.validated, record.until), as_of) {
        ByItself::Failed => Stands::Failed,
        ByItself::Lapsed => Stands::Lapsed,
        // What ended later is not read at all.
        ByItself::Valid | ByItself::NotYet => Stands::Valid,
    }
}
