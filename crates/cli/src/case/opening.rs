//! What a case is opened with, as it is typed.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use hospitium_desk::{Engineer, Grade, Line, Minutes, Text};

use super::place::DeskArguments;
use super::values::{driver, word};
use super::verbs::IsEntitled;
use crate::ask::AskOptions;

#[derive(Debug, Args)]
pub struct OpenArguments {
    /// The problem in one line
    pub summary: Line,
    /// The other vendor
    #[arg(long, value_name = "PARTY")]
    pub to: hospitium_desk::PartyName,
    /// The guest, down to its build
    #[arg(long, value_name = "PRODUCT", required_unless_present = "vm")]
    pub guest: Option<String>,
    /// The host, down to its build
    #[arg(long, value_name = "PRODUCT", required_unless_present = "vm")]
    pub host: Option<String>,
    /// The machine, from its definition: libvirt XML, .vmx, .ovf, .ova, a Hyper-V export's XML
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub vm: Option<PathBuf>,
    /// A feature in use: "live migration"; may be given several times
    #[arg(long, value_name = "FEATURE")]
    pub feature: Vec<Line>,
    /// A driver in the guest: NAME=VERSION; may be given several times
    #[arg(long, value_name = "DRIVER", value_parser = driver)]
    pub driver: Vec<hospitium_desk::Driver>,
    /// The problem in full [default: the line]
    #[arg(long, value_name = "TEXT")]
    pub description: Option<Text>,
    /// What changed before it began
    #[arg(long, value_name = "TEXT")]
    pub changed: Option<Text>,
    /// What was tried already; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub tried: Vec<Line>,
    /// critical, high, normal, low
    #[arg(long, value_parser = word::<Grade>, default_value = "normal")]
    pub severity: Grade,
    /// technical; questions about licensing and patents are refused, with where to go
    #[arg(long, value_parser = word::<hospitium_desk::Topic>, default_value = "technical")]
    pub topic: hospitium_desk::Topic,
    /// This party's own case number
    #[arg(long, value_name = "NUMBER")]
    pub number: Line,
    /// The engineer: "Ann Smith <ann@guest.example>", on this party's own domain
    #[arg(long, value_name = "ENGINEER")]
    pub engineer: Engineer,
    /// How to escalate here
    #[arg(long, value_name = "TEXT")]
    pub escalation: Option<Text>,
    /// The customer
    #[arg(long, value_name = "NAME")]
    pub customer: Line,
    /// Whom to reach there
    #[arg(long, value_name = "ADDRESS")]
    pub contact: Option<hospitium_desk::Address>,
    /// The customer's own reference
    #[arg(long, value_name = "TEXT")]
    pub reference: Option<Line>,
    /// Whether the customer has an agreement with this party
    #[arg(long, value_enum, default_value_t = IsEntitled::Unknown)]
    pub entitled: IsEntitled,
    /// What the customer allows to be shared
    #[arg(long, value_parser = word::<hospitium_desk::Shareable>, value_delimiter = ',',
          value_name = "problem|configuration|evidence|contact", requires = "consent_by")]
    pub consent: Vec<hospitium_desk::Shareable>,
    /// Who at the customer said so
    #[arg(long, value_name = "NAME", requires = "consent")]
    pub consent_by: Option<Line>,
    /// The calendar by which the clocks run, as JSON [default: every hour of every day]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub calendar: Option<PathBuf>,
    /// Until the other vendor accepts or declines, in working time
    #[arg(long, value_name = "TIME", default_value = "4h")]
    pub acknowledge: Minutes,
    /// From one word of the other vendor's to the next
    #[arg(long, value_name = "TIME", default_value = "24h")]
    pub update: Minutes,
    /// Until a resolution is proposed
    #[arg(long, value_name = "TIME", default_value = "120h")]
    pub resolve: Minutes,
    /// The case that it follows, closed too long ago to be reopened
    #[arg(long, value_name = "CASE")]
    pub follows: Option<hospitium_desk::CaseId>,
    /// The other vendor has no desk: files of TSANet Connect go between (`case export --tsanet`,
    /// `case import --tsanet`)
    #[arg(long)]
    pub tsanet: bool,
    /// A trial, about nobody's machine
    #[arg(long)]
    pub test: bool,
    /// Keep it here; `case offer` sends it
    #[arg(long)]
    pub draft: bool,
    #[command(flatten)]
    pub desk: DeskArguments,
    #[command(flatten)]
    pub ask: AskOptions,
}
