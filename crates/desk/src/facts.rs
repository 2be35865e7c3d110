//! What the case is about: configuration, verdict at opening, problem, evidence.

use std::fmt;

use hospitium_model::Digest;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::ran::Ran;
use crate::text::{Line, Text};

/// A driver in the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Driver {
    /// Its name.
    pub name: Line,
    /// Its version.
    pub version: Line,
}

/// Guest, host and machine as the customer has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// The guest, down to its build.
    pub guest: Line,
    /// The host, down to its build.
    pub host: Line,
    /// vCPUs.
    pub vcpus: Option<u32>,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Firmware, chipset and what else the machine's definition says, in words.
    #[serde(default)]
    pub machine: Vec<Line>,
    /// Buses of disks, and models of network adapters.
    #[serde(default)]
    pub buses: Vec<Line>,
    /// Drivers with their versions.
    #[serde(default)]
    pub drivers: Vec<Driver>,
    /// Features in use: live migration, snapshots, memory ballooning.
    #[serde(default)]
    pub features: Vec<Line>,
}

impl Configuration {
    /// Its fingerprint: SHA-256 of its JSON form. The same configuration has the same one.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}

/// The catalog's answer in a word, as a case keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictWord {
    /// A validation holds and covers the configuration.
    Covered,
    /// A validation holds; something of the configuration is outside of it.
    CoveredWithLimits,
    /// It was validated, and that does not hold any more.
    Lapsed,
    /// A validation is under way.
    Pending,
    /// An agreement promises it, and nothing was delivered.
    Planned,
    /// The agreement leaves this feature out.
    ExcludedFeature,
    /// It was tried and failed, or what was said was taken back.
    NotValidated,
    /// Nobody says anything of it. Not a no.
    Unknown,
}

impl fmt::Display for VerdictWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Covered => "covered",
            Self::CoveredWithLimits => "covered with limits",
            Self::Lapsed => "lapsed",
            Self::Pending => "pending",
            Self::Planned => "planned",
            Self::ExcludedFeature => "excluded feature",
            Self::NotValidated => "not validated",
            Self::Unknown => "unknown",
        })
    }
}

/// The rule that decided the verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrozenRule {
    /// In words.
    pub words: Text,
    /// As a program reads it: a [`Ruling`](hospitium_model::standing::Ruling). Kept as it came, for a later party's may have a form
    /// that is not known here. Absent where nobody could be asked.
    pub typed: Option<serde_json::Value>,
}

/// The catalog's answer on the day the case was opened. It never changes afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrozenVerdict {
    /// In a word.
    pub word: VerdictWord,
    /// The rule that decided.
    pub rule: FrozenRule,
    /// The certificate that bears it out: log and entry.
    pub certificate: Option<Line>,
    /// The nearest validated configurations.
    #[serde(default)]
    pub nearest: Vec<Line>,
    /// Who answers, by the agreement.
    #[serde(default)]
    pub answers: Vec<Line>,
    /// The day for which the catalog was asked.
    pub as_of: Date,
}

/// How much it hurts (severity, the asker's) and how soon it is worked on (priority, the answerer's).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// 1: production stands still.
    Critical,
    /// 2: production is impaired.
    High,
    /// 3: a fault with a way around it.
    Normal,
    /// 4: a question.
    Low,
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        })
    }
}

/// What kind of question it is. Only technical ones can become a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// Something does not work.
    #[default]
    Technical,
    /// A question about licences. Refused.
    Licensing,
    /// A question about patents. Refused.
    Patents,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// In one line.
    pub summary: Line,
    /// In full.
    pub description: Text,
    /// What kind of question it is.
    #[serde(default)]
    pub topic: Topic,
    /// How much it hurts, as the asker says.
    pub severity: Grade,
    /// What changed before it began.
    pub changed: Option<Text>,
    /// What was tried already.
    #[serde(default)]
    pub steps: Vec<Line>,
}

/// How an attachment has to be handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Classification {
    /// A vendor's own, without anything of the customer's.
    Vendor,
    /// The customer's, technical.
    Customer,
    /// The customer's, and it may have data of persons: a memory dump, a packet capture.
    Personal,
}

impl Classification {
    /// Whether it is the customer's, so that the customer's consent is needed.
    pub const fn is_customers(self) -> bool {
        matches!(self, Self::Customer | Self::Personal)
    }
}

impl fmt::Display for Classification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vendor => "vendor",
            Self::Customer => "customer",
            Self::Personal => "personal",
        })
    }
}

/// A file of the case. Its bytes are kept beside the case, by their digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Its bytes.
    pub size: u64,
    /// Its name, for people; never used as a path.
    pub name: Line,
    /// How it has to be handled.
    pub classification: Classification,
    /// What was removed from it.
    pub redaction: Option<Line>,
    /// What it says, as whoever attached it read it, if it is the evidence of a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Box<Ran>>,
}

/// The largest attachment: 64 GiB, a memory dump of a large guest.
pub const LARGEST_ATTACHMENT: u64 = 64 << 30;
