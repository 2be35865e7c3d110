//! Spans of the calendar, and the days of a pair that a deal counts from.

use std::fmt;

use jiff::ToSpan as _;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::text_form::text_form;

/// Longest term, in its unit: the calendar ends in the year 9999.
const MOST: u32 = 5000;

/// A span of the calendar: `12 months`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Term {
    count: u32,
    unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Unit {
    Days,
    Weeks,
    Months,
    Years,
}

impl Term {
    /// So many days.
    pub const fn days(count: u32) -> Self {
        Self { count, unit: Unit::Days }
    }

    /// So many months.
    pub const fn months(count: u32) -> Self {
        Self { count, unit: Unit::Months }
    }

    fn span(self) -> jiff::Span {
        let count = i64::from(self.count);
        match self.unit {
            Unit::Days => count.days(),
            Unit::Weeks => count.weeks(),
            Unit::Months => count.months(),
            Unit::Years => count.years(),
        }
    }

    /// The day so much later; the last day of a shorter month, the last day there is at most.
    pub fn after(self, date: Date) -> Date {
        date.saturating_add(self.span())
    }

    /// The day so much earlier.
    pub fn before(self, date: Date) -> Date {
        date.saturating_sub(self.span())
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Days => "day",
            Unit::Weeks => "week",
            Unit::Months => "month",
            Unit::Years => "year",
        };
        write!(f, "{} {unit}{}", self.count, if self.count == 1 { "" } else { "s" })
    }
}

impl std::str::FromStr for Term {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no span of time; write it like 12 months or 60 days");
        let (count, unit) = text.trim().split_once(' ').ok_or_else(wrong)?;
        let unit = match unit.trim() {
            "day" | "days" => Unit::Days,
            "week" | "weeks" => Unit::Weeks,
            "month" | "months" => Unit::Months,
            "year" | "years" => Unit::Years,
            _ => return Err(wrong()),
        };
        let count = count.parse().ok().filter(|count| *count <= MOST).ok_or_else(wrong)?;
        Ok(Self { count, unit })
    }
}

text_form!(Term);

/// A day that a formula can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Day {
    /// The day that the validation ended on.
    Validated,
    /// The release of the next version of either side after the validation, the earlier of both.
    NextVersion,
    /// The release of the guest's next version.
    NextGuestVersion,
    /// The release of the host's next version.
    NextHostVersion,
    /// The end of the guest's life.
    GuestEndOfLife,
    /// The end of the host's life.
    HostEndOfLife,
}

impl Day {
    /// All, in the order in which they are explained.
    pub const ALL: [Self; 6] = [
        Self::Validated,
        Self::NextVersion,
        Self::NextGuestVersion,
        Self::NextHostVersion,
        Self::GuestEndOfLife,
        Self::HostEndOfLife,
    ];

    /// Its name in a formula.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Validated => "validated",
            Self::NextVersion => "next-version",
            Self::NextGuestVersion => "next-guest-version",
            Self::NextHostVersion => "next-host-version",
            Self::GuestEndOfLife => "guest-end-of-life",
            Self::HostEndOfLife => "host-end-of-life",
        }
    }

    /// In words, as the end of "12 months after …".
    pub const fn words(self) -> &'static str {
        match self {
            Self::Validated => "the validation",
            Self::NextVersion => "the next version of either side",
            Self::NextGuestVersion => "the guest's next version",
            Self::NextHostVersion => "the host's next version",
            Self::GuestEndOfLife => "the guest's end of life",
            Self::HostEndOfLife => "the host's end of life",
        }
    }
}

/// The days of one pair, as far as they are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Days {
    /// The day that the validation ended on.
    pub validated: Option<Date>,
    /// The release of the guest's next version.
    pub next_guest_version: Option<Date>,
    /// The release of the host's next version.
    pub next_host_version: Option<Date>,
    /// The end of the guest's life.
    pub guest_end_of_life: Option<Date>,
    /// The end of the host's life.
    pub host_end_of_life: Option<Date>,
}

impl Days {
    /// This day, if it is known.
    pub fn get(&self, day: Day) -> Option<Date> {
        match day {
            Day::Validated => self.validated,
            Day::NextVersion => {
                self.next_guest_version.into_iter().chain(self.next_host_version).min()
            }
            Day::NextGuestVersion => self.next_guest_version,
            Day::NextHostVersion => self.next_host_version,
            Day::GuestEndOfLife => self.guest_end_of_life,
            Day::HostEndOfLife => self.host_end_of_life,
        }
    }
}
