//! What was asked and told while checks ran, as data.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use hospitium_host::{EventKind, Isolation};
use hospitium_model::{Answer, Capability, GuestFacts, HostFacts, MachineSpec, Observations};
use hospitium_system::LogPosition;
use hospitium_system::tap::Fixed;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{BootFacts, Gives};

/// Version of the form of the file.
pub const FORMAT: u32 = 1;

/// All checks of one guest on one host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Transcripts {
    /// Version of this form.
    pub format: u32,
    /// Guest and host.
    pub pair: Pair,
    /// One a check that applies to the pair.
    pub checks: Vec<Transcript>,
}

/// The guest and the host that were recorded, and what was known of them before any check.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pair {
    /// The guest.
    pub guest: GuestFacts,
    /// The host.
    pub host: HostFacts,
    /// How a check gets its machine there.
    pub isolation: Isolation,
    /// The machine as declared.
    pub machine: MachineSpec,
    /// What was seen while it booted.
    pub boot: BootFacts,
    /// Seed of all patterns.
    pub seed: u64,
    /// What the guest's system knows without being asked.
    pub system: Fixed,
    /// What the host offers, as far as checks need it.
    pub offers: Vec<(Capability, Answer)>,
    /// What the host does not give of its machines.
    #[serde(default)]
    pub gives: Option<Gives>,
    /// Which drivers the guest has, as far as checks need them.
    pub drivers: BTreeMap<String, Answer>,
}

/// One check.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Transcript {
    /// Its id.
    pub check: String,
    /// The guest and the host that it was recorded on, where it was recorded at another time than the file's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<Box<Pair>>,
    /// Where the guest's log stood before the check, if it was known.
    #[serde(default)]
    pub log_position: Option<LogPosition>,
    /// Questions, in the order in which they were asked.
    pub entries: Vec<Entry>,
    /// What machines told by themselves, by the machines' numbers.
    pub machines: Vec<MachineTape>,
    /// What the check saw.
    pub seen: Observations,
}

/// A question and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Number of the machine that was asked; 0 is the host.
    pub machine: u32,
    /// The question.
    pub ask: String,
    /// Its arguments, by their names.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub with: Value,
    /// How long the answer took, in microseconds.
    #[serde(default)]
    pub took_us: u64,
    /// The answer.
    pub reply: Reply,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// This was told.
    Told(Value),
    /// This error came in place of an answer.
    Failed(Value),
    /// Nobody waited for the answer.
    Never,
}

/// What a machine told without being asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MachineTape {
    /// Its name.
    pub name: String,
    /// Its events.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Told>,
    /// What came on its console.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub console: Vec<Heard>,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The last question before it by which somebody did something: its place among the entries.
    pub after: usize,
    /// How long after that question was asked, in microseconds.
    pub delay_us: u64,
    /// What happened.
    pub kind: EventKind,
    /// When, by the host's clock.
    pub host_time: SystemTime,
    /// How exactly that is known.
    pub uncertainty: Duration,
}

/// A part of what came on a console, mostly a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    /// As of an event.
    pub after: usize,
    /// As of an event.
    pub delay_us: u64,
    /// The text.
    pub text: String,
}
