//! How the records of a guest on a host stand on a day.

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
}

impl Stands {
    /// Whether it is neither suspended nor withdrawn.
    pub const fn counts(&self) -> bool {
        matches!(self, Self::Valid | Self::Failed | Self::Lapsed)
    }

    /// `valid`, `failed`, `lapsed`, `suspended` or `withdrawn`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Failed => "failed",
            Self::Lapsed => "lapsed",
            Self::Suspended { .. } => "suspended",
            Self::Withdrawn { .. } => "withdrawn",
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
    /// Whether it is neither suspended nor withdrawn.
    pub const fn counts(&self) -> bool {
        self.stands.counts()
    }

    /// The day from which it does not count, if it does not.
    pub const fn set_aside_on(&self) -> Option<Date> {
        match self.stands {
            Stands::Suspended { since, .. } => Some(since),
            Stands::Withdrawn { on, .. } => Some(on),
            _ => None,
        }
    }

    /// Why it does not count, if it does not.
    pub fn set_aside(&self) -> Option<String> {
        let place = self.record.place();
        match &self.stands {
            Stands::Suspended { since, until, reason } => {
                let until = until.map_or_else(String::new, |day| format!(" until {day}"));
                Some(format!("{place} is suspended since {since}{until}: {reason}"))
            }
            Stands::Withdrawn { on, reason } => {
                Some(format!("{place} was withdrawn on {on}: {reason}"))
            }
            _ => None,
        }
    }
}

/// How a record stands, given what was said of it later.
pub fn stands(record: &Stored, notices: &[NoticeRow], as_of: Date) -> Stands {
    let known = || notices.iter().filter(|notice| notice.issued <= as_of);
    if let Some(notice) = known().find(|notice| notice.withdrawal) {
        return Stands::Withdrawn { on: notice.issued, reason: notice.reason.clone() };
    }
    let holds = |notice: &&NoticeRow| notice.until.is_none_or(|until| until >= as_of);
    if let Some(notice) = known().find(holds) {
        let (since, until, reason) = (notice.issued, notice.until, notice.reason.clone());
        return Stands::Suspended { since, until, reason };
    }
    match (record.passed(), record.until >= as_of) {
        (false, _) => Stands::Failed,
        (true, true) => Stands::Valid,
        (true, false) => Stands::Lapsed,
    }
}
