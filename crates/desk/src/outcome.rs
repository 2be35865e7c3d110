//! Work and its result: waits, reproductions, actions, and how a case ends.

use std::fmt;

use hospitium_model::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::people::Side;
use crate::text::{CaseId, Line, Text};

/// Business time in whole minutes, from 1 minute to a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Minutes(u32);

/// Zero minutes, or more than a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} minutes cannot be a limit; give 1 to 525600")]
pub struct MinutesError(u32);

impl Minutes {
    /// How many.
    pub const fn count(self) -> u32 {
        self.0
    }

    /// In seconds.
    pub const fn seconds(self) -> i64 {
        self.0 as i64 * 60
    }
}

impl TryFrom<u32> for Minutes {
    type Error = MinutesError;

    fn try_from(count: u32) -> Result<Self, MinutesError> {
        if (1..=525_600).contains(&count) { Ok(Self(count)) } else { Err(MinutesError(count)) }
    }
}

impl std::str::FromStr for Minutes {
    type Err = String;

    /// Reads `30m`, `4h`, `1h 30m`: working time, in which a day has no fixed length.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no working time; write 30m, or 4h, or 1h 30m");
        let mut sum = 0_u32;
        for part in text.split_whitespace() {
            let (count, minutes) = match (part.strip_suffix('h'), part.strip_suffix('m')) {
                (Some(hours), _) => (hours, 60),
                (_, Some(minutes)) => (minutes, 1),
                _ => return Err(wrong()),
            };
            let count: u32 = count.parse().map_err(|_| wrong())?;
            sum = count.checked_mul(minutes).and_then(|m| sum.checked_add(m)).ok_or_else(wrong)?;
        }
        Self::try_from(sum).map_err(|error| error.to_string())
    }
}

impl From<Minutes> for u32 {
    fn from(minutes: Minutes) -> Self {
        minutes.0
    }
}

impl fmt::Display for Minutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 60, self.0 % 60) {
            (0, minutes) => write!(f, "{minutes} min"),
            (hours, 0) => write!(f, "{hours} h"),
            (hours, minutes) => write!(f, "{hours} h {minutes} min"),
        }
    }
}

/// What a case waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "for", deny_unknown_fields)]
pub enum WaitFor {
    /// An answer of the customer.
    Customer,
    /// An answer of the submitter.
    Submitter,
    /// An answer of the receiver.
    Receiver,
    /// A reproduction.
    Reproduction {
        /// Who tries it.
        by: Side,
    },
}

impl WaitFor {
    /// Whether the receiver's clocks stand still meanwhile: only while somebody else has to act.
    pub const fn pauses(self) -> bool {
        match self {
            Self::Customer | Self::Submitter => true,
            Self::Receiver => false,
            Self::Reproduction { by } => matches!(by, Side::Submitter),
        }
    }
}

impl fmt::Display for WaitFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Customer => f.write_str("customer"),
            Self::Submitter => f.write_str("submitter"),
            Self::Receiver => f.write_str("receiver"),
            Self::Reproduction { by } => write!(f, "reproduction by the {by}"),
        }
    }
}

/// Where a reproduction is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// On the reproducer's own hypervisor.
    OwnHypervisor,
    /// Without a hypervisor.
    BareMetal,
    /// On the nearest validated configuration.
    ValidatedConfiguration,
}

/// What a reproduction showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shown {
    /// The fault is there.
    Reproduced,
    /// The fault is not there.
    NotReproduced,
    /// It could not be tried, or shows nothing.
    Inconclusive,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reproduced => "reproduced",
            Self::NotReproduced => "not reproduced",
            Self::Inconclusive => "inconclusive",
        })
    }
}

/// The result of a reproduction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReproductionResult {
    /// What it showed.
    pub shown: Shown,
    /// In words.
    pub text: Text,
    /// The attachment with a failing machine that can be replayed.
    pub machine: Option<Digest>,
}

/// A reproduction that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reproduction {
    /// Who asked.
    pub asked_by: Side,
    /// Who is to try it.
    pub by: Side,
    /// Where.
    pub place: Place,
    /// What is to be tried.
    pub what: Text,
    /// When it was asked for.
    pub asked: Timestamp,
    /// What came of it, and when.
    pub result: Option<(Timestamp, ReproductionResult)>,
}

/// Something that somebody has to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// What.
    pub what: Text,
    /// Who.
    pub by: Side,
    /// Until when.
    pub due: Timestamp,
    /// When it was done.
    pub done: Option<Timestamp>,
}

/// Who may read a note. Notes for one's own party only are no part of the shared case: see
/// [`Aside`](crate::Aside).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Visibility {
    /// Both vendors.
    Both,
    /// Both vendors and the customer.
    Customer,
}

/// A note. Never changed or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// Whose.
    pub by: Side,
    /// When.
    pub at: Timestamp,
    /// Who may read it.
    pub visibility: Visibility,
    /// The text.
    pub text: Text,
}

/// Why a case was declined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "why", deny_unknown_fields)]
pub enum DeclineReason {
    /// The customer has no agreement with the receiver.
    NoEntitlement,
    /// The configuration is not validated.
    NotValidated,
    /// The agreement leaves a feature out.
    ExcludedFeature {
        /// Which.
        feature: Line,
    },
    /// It is another case already.
    Duplicate {
        /// Which.
        case: CaseId,
    },
    /// It is nothing for joint support: patents, licences, a feature request.
    OutOfScope,
    /// What was heard through another case exchange, which has no reasons to choose from.
    Heard {
        /// In its words.
        words: Line,
    },
}

impl fmt::Display for DeclineReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEntitlement => f.write_str("no entitlement"),
            Self::NotValidated => f.write_str("not validated"),
            Self::ExcludedFeature { feature } => write!(f, "excluded feature: {feature}"),
            Self::Duplicate { case } => write!(f, "duplicate of {case}"),
            Self::OutOfScope => f.write_str("out of scope"),
            Self::Heard { words } => write!(f, "\"{words}\""),
        }
    }
}

/// Where the fault lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// The guest system.
    Guest,
    /// The hypervisor.
    Hypervisor,
    /// A driver.
    Driver,
    /// The hardware.
    Hardware,
    /// An application.
    Application,
    /// How it was set up.
    Configuration,
    /// Nobody could find out.
    Unknown,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guest => "guest",
            Self::Hypervisor => "hypervisor",
            Self::Driver => "driver",
            Self::Hardware => "hardware",
            Self::Application => "application",
            Self::Configuration => "configuration",
            Self::Unknown => "unknown",
        })
    }
}

/// What the catalog should take from a case. Public parts only: it leaves the desk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum Feedback {
    /// A known issue for the certificate's page.
    KnownIssue {
        /// The certificate: log and entry.
        certificate: Option<Line>,
        /// The issue, without anything of the customer's.
        text: Text,
    },
    /// The certificate should be suspended.
    Suspend {
        /// The certificate: log and entry.
        certificate: Line,
        /// Why.
        reason: Text,
    },
    /// A check that would have found it.
    NewCheck {
        /// What it should require.
        requirement: Text,
    },
}

impl fmt::Display for Feedback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |f: &mut fmt::Formatter<'_>, certificate: Option<&Line>| match certificate {
            Some(place) => write!(f, " of {place}"),
            None => Ok(()),
        };
        match self {
            Self::KnownIssue { certificate, text } => {
                f.write_str("known issue")?;
                of(f, certificate.as_ref())?;
                write!(f, ": {text}")
            }
            Self::Suspend { certificate, reason } => {
                f.write_str("suspension")?;
                of(f, Some(certificate))?;
                write!(f, ": {reason}")
            }
            Self::NewCheck { requirement } => write!(f, "proposed check: {requirement}"),
        }
    }
}

/// How a case was solved. The layer at fault is always named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Where the fault lies.
    pub layer: Layer,
    /// What solves it.
    pub resolution: Text,
    /// Updates, knowledge base articles, commits.
    #[serde(default)]
    pub fixes: Vec<Line>,
    /// What helps until then.
    pub workaround: Option<Text>,
    /// For the catalog.
    #[serde(default)]
    pub feedback: Vec<Feedback>,
}

/// The customer's word that it is solved, as its owner passes it on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// Who at the customer said so.
    pub by: Line,
    /// In the customer's words.
    pub text: Option<Text>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn working_times_are_read_as_people_write_them() {
        let read = |text: &str| text.parse::<Minutes>().map(Minutes::count);
        assert_eq!((read("30m"), read("4h"), read("1h 30m")), (Ok(30), Ok(240), Ok(90)));
        for bad in ["", "0m", "4", "2d", "-1h", "99999999h", "h", "1.5h"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
