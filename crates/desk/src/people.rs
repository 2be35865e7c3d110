//! Who takes part in a case: two vendors, their engineers, the customer, and what the customer allows.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::text::{Address, Line, PartyName};

/// One of the two vendors, by its part in the case. It never changes; the customer's owner may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The vendor that the customer called first and that opened the case.
    Submitter,
    /// The vendor that is asked.
    Receiver,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Submitter, Self::Receiver];

    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Submitter => Self::Receiver,
            Self::Receiver => Self::Submitter,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Submitter => "submitter",
            Self::Receiver => "receiver",
        })
    }
}

/// Who has to act next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holder {
    /// The vendor that opened the case.
    Submitter,
    /// The vendor that is asked.
    Receiver,
    /// The customer; its owner passes on what it says.
    Customer,
}

impl From<Side> for Holder {
    fn from(side: Side) -> Self {
        match side {
            Side::Submitter => Self::Submitter,
            Side::Receiver => Self::Receiver,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Submitter => "submitter",
            Self::Receiver => "receiver",
            Self::Customer => "customer",
        })
    }
}

/// A value of each vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Both<T> {
    /// The submitter's.
    pub submitter: T,
    /// The receiver's.
    pub receiver: T,
}

impl<T> Both<T> {
    /// This side's.
    pub const fn of(&self, side: Side) -> &T {
        match side {
            Side::Submitter => &self.submitter,
            Side::Receiver => &self.receiver,
        }
    }

    /// This side's, to be changed.
    pub const fn of_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Submitter => &mut self.submitter,
            Side::Receiver => &mut self.receiver,
        }
    }
}

impl Both<PartyName> {
    /// Which side this party is, if it takes part.
    pub fn side(&self, name: &PartyName) -> Option<Side> {
        Side::BOTH.into_iter().find(|side| self.of(*side) == name)
    }
}

/// A named engineer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engineer {
    /// The name.
    pub name: Line,
    /// The mail address, on the party's own domain.
    pub address: Address,
}

impl fmt::Display for Engineer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} <{}>", self.name, self.address)
    }
}

/// No engineer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no engineer; write \"Ann Smith <ann@vendor.example>\"")]
pub struct EngineerError(String);

impl std::str::FromStr for Engineer {
    type Err = EngineerError;

    fn from_str(text: &str) -> Result<Self, EngineerError> {
        let read = || {
            let (name, address) = text.trim().strip_suffix('>')?.split_once('<')?;
            Some(Self { name: name.trim().parse().ok()?, address: address.parse().ok()? })
        };
        read().ok_or_else(|| EngineerError(hospitium_model::printable(text, 80)))
    }
}

/// The customer of both vendors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Customer {
    /// The organisation.
    pub name: Line,
    /// Whom to reach there. Shared only if the consent covers [`Shareable::Contact`].
    pub contact: Option<Address>,
    /// The customer's own reference.
    pub reference: Option<Line>,
}

/// Something of the customer's that the other vendor may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shareable {
    /// The description of the problem and what the customer answers.
    Problem,
    /// The configuration of guest, host and machine.
    Configuration,
    /// Attachments that come from the customer.
    Evidence,
    /// The customer's contact.
    Contact,
}

impl Shareable {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Problem, Self::Configuration, Self::Evidence, Self::Contact];
}

impl fmt::Display for Shareable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Problem => "problem",
            Self::Configuration => "configuration",
            Self::Evidence => "evidence",
            Self::Contact => "contact",
        })
    }
}

/// What the customer allows to be shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// Who at the customer gave it.
    pub by: Line,
    /// When.
    pub at: Timestamp,
    /// What it covers.
    pub covers: BTreeSet<Shareable>,
}

/// Whether the customer has an agreement with a vendor that covers this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entitled {
    /// An agreement is in force.
    Yes,
    /// There is none.
    No,
    /// It ran out.
    Expired,
    /// Nobody has looked.
    Unknown,
}

impl fmt::Display for Entitled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yes => "entitled",
            Self::No => "not entitled",
            Self::Expired => "expired",
            Self::Unknown => "unknown",
        })
    }
}

/// What a vendor knows of the customer's agreement with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entitlement {
    /// Whether it is in force.
    pub entitled: Entitled,
    /// When somebody looked.
    pub checked: Timestamp,
    /// The contract, or why not.
    pub note: Option<Line>,
}
