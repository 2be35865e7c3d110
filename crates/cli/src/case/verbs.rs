//! What goes with the verbs, as it is typed.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use hospitium_desk::{Classification, Engineer, Grade, Layer, Line, Minutes, Place, Shown, Text};
use jiff::Timestamp;

use super::values::{until, word};

#[derive(Debug, Args)]
pub struct Accept {
    /// This party's own case number
    #[arg(long, value_name = "NUMBER")]
    pub number: Line,
    /// The engineer: "Bo Lind <bo@host.example>", on this party's own domain
    #[arg(long, value_name = "ENGINEER")]
    pub engineer: Engineer,
    /// Until the first word, in working time: 30m, 4h
    #[arg(long, value_name = "TIME")]
    pub respond_within: Minutes,
    /// How to escalate here
    #[arg(long, value_name = "TEXT")]
    pub escalation: Option<Text>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Why {
    NoEntitlement,
    NotValidated,
    ExcludedFeature,
    Duplicate,
    /// Nothing for joint support: patents, licences, a feature request
    OutOfScope,
}

#[derive(Debug, Args)]
pub struct Decline {
    /// Why
    #[arg(long = "because", alias = "why", value_enum)]
    pub why: Why,
    /// What the customer can do now
    #[arg(long, value_name = "TEXT")]
    pub next_step: Text,
    /// The excluded feature
    #[arg(long, value_name = "FEATURE", required_if_eq("why", "excluded-feature"))]
    pub feature: Option<Line>,
    /// The case that it is a duplicate of
    #[arg(
        long = "duplicate-of",
        alias = "of",
        value_name = "CASE",
        required_if_eq("why", "duplicate")
    )]
    pub of: Option<hospitium_desk::CaseId>,
}

#[derive(Debug, Args)]
pub struct AskFirst {
    /// The question
    pub question: Text,
    /// When the clock goes on at the latest: a time, or how long from now (2d, 36h)
    #[arg(long, value_name = "TIME", value_parser = until)]
    pub until: Timestamp,
}

#[derive(Debug, Args)]
pub struct Start {}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Whom {
    Customer,
    Submitter,
    Receiver,
    /// For a reproduction by this party
    OurReproduction,
    /// For a reproduction by the other party
    TheirReproduction,
}

#[derive(Debug, Args)]
pub struct Wait {
    /// What for, in words
    pub reason: Text,
    /// For whom
    #[arg(long = "for", value_enum, value_name = "WHOM")]
    pub whom: Whom,
    /// When the clocks go on at the latest: a time, or how long from now (2d, 36h)
    #[arg(long, value_name = "TIME", value_parser = until)]
    pub until: Timestamp,
}

#[derive(Debug, Args)]
pub struct Extend {
    /// Why
    pub reason: Text,
    /// When the clocks go on at the latest: a time, or how long from now (2d, 36h)
    #[arg(long, value_name = "TIME", value_parser = until)]
    pub until: Timestamp,
}

#[derive(Debug, Args)]
pub struct Assign {
    /// The engineer: "Bo Lind <bo@host.example>", on this party's own domain
    pub engineer: Engineer,
    /// Leads the work of both vendors
    #[arg(long)]
    pub lead: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WhoActs {
    Us,
    Them,
}

#[derive(Debug, Args)]
pub struct Reproduce {
    /// What is to be tried, or what it showed
    pub text: Text,
    /// Who is to try it
    #[arg(long = "whose", alias = "by", value_enum, default_value_t = WhoActs::Them,
          conflicts_with_all = ["result", "boot", "run"])]
    pub by: WhoActs,
    /// Where
    #[arg(long, value_parser = word::<Place>, value_name = "own-hypervisor|bare-metal|validated-configuration",
          default_value = "own-hypervisor", conflicts_with_all = ["result", "boot", "run"])]
    pub place: Place,
    /// Run this guest now, on the case's machine as far as options of `hospitium run` say it; the run is attached and
    /// reported. A guest as `hospitium run` takes it
    #[arg(long, value_name = "GUEST", conflicts_with = "run")]
    pub boot: Option<String>,
    /// The host that it runs on, as with `hospitium run --on` [default: qemu]
    #[arg(long, value_name = "HOST", requires = "boot")]
    pub on: Option<String>,
    /// A run that is there already: its folder, its evidence folder, or a packed bundle; attached and reported
    #[arg(long, value_name = "RUN", value_hint = ValueHint::AnyPath)]
    pub run: Option<PathBuf>,
    /// Whose the run's evidence is; what is the customer's needs its consent
    #[arg(long, value_enum, default_value_t = Class::Vendor)]
    pub classification: Class,
    /// What it showed [default with a run: reproduced if a check failed, not-reproduced if all came to an end and passed,
    /// else inconclusive]
    #[arg(long, value_parser = word::<Shown>, value_name = "reproduced|not-reproduced|inconclusive")]
    pub result: Option<Shown>,
    /// Which reproduction, by its number in `case show` [default with a run: the one that waits for us, else a new one]
    #[arg(long, value_name = "NUMBER")]
    pub of: Option<u32>,
    /// The attachment with the failing machine, by its SHA-256
    #[arg(long = "machine-digest", alias = "machine", value_name = "SHA256", requires = "result",
          conflicts_with_all = ["boot", "run"])]
    pub machine: Option<hospitium_model::Digest>,
    /// More for `hospitium run`, such as --check time; overrides the case's machine
    #[arg(last = true, value_name = "OPTIONS OF RUN", requires = "boot")]
    pub more: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Todo {
    /// What has to be done
    #[arg(required_unless_present = "done", conflicts_with = "done")]
    pub text: Option<Text>,
    /// Who has to do it
    #[arg(long = "whose", alias = "by", value_enum, default_value_t = WhoActs::Us, conflicts_with = "done")]
    pub by: WhoActs,
    /// Until when: a time, or how long from now (2d, 36h)
    #[arg(long, value_name = "TIME", value_parser = until, required_unless_present = "done", conflicts_with = "done")]
    pub due: Option<Timestamp>,
    /// The number of what was done, as in `case show`
    #[arg(long, value_name = "NUMBER")]
    pub done: Option<u32>,
}

#[derive(Debug, Args)]
pub struct Facts {
    /// What changed, or what was tried
    pub text: Text,
}

#[derive(Debug, Args)]
pub struct GradeIt {
    /// critical, high, normal, low
    #[arg(value_parser = word::<Grade>)]
    pub grade: Grade,
    /// Why
    pub reason: Text,
}

#[derive(Debug, Args)]
pub struct Escalate {
    /// 1 to 4, higher than before
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=4))]
    pub level: u8,
    /// Why
    pub reason: Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum IsEntitled {
    Yes,
    No,
    Expired,
    Unknown,
}

#[derive(Debug, Args)]
pub struct Entitle {
    /// Whether the customer has an agreement with this party
    #[arg(value_enum)]
    pub entitled: IsEntitled,
    /// The contract, or why not
    #[arg(long, value_name = "TEXT")]
    pub note: Option<Line>,
}

#[derive(Debug, Args)]
pub struct ConsentTo {
    /// What may be shared
    #[arg(value_parser = word::<hospitium_desk::Shareable>, value_name = "problem|configuration|evidence|contact",
          value_delimiter = ',', required_unless_present = "withdraw", conflicts_with = "withdraw")]
    pub covers: Vec<hospitium_desk::Shareable>,
    /// Who at the customer said so
    #[arg(long, value_name = "NAME")]
    pub by: Line,
    /// Nothing may be shared any more
    #[arg(long)]
    pub withdraw: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Transfer {
    /// Offer the customer to the other vendor, and why
    #[arg(long, value_name = "REASON")]
    pub offer: Option<Text>,
    /// Own the customer from now on, with this engineer
    #[arg(long, value_name = "ENGINEER")]
    pub accept: Option<Engineer>,
    /// Leave the customer with its owner, and why
    #[arg(long, value_name = "COMMENT")]
    pub refuse: Option<Text>,
}

#[derive(Debug, Args)]
pub struct Propose {
    /// What solves it
    pub resolution: Text,
    /// Where the fault lies
    #[arg(long, value_parser = word::<Layer>,
          value_name = "guest|hypervisor|driver|hardware|application|configuration|unknown")]
    pub layer: Layer,
    /// An update, an article, a commit; may be given several times
    #[arg(long, value_name = "ID")]
    pub fix: Vec<Line>,
    /// What helps until then
    #[arg(long, value_name = "TEXT")]
    pub workaround: Option<Text>,
    /// For the certificate's page, without anything of the customer's
    #[arg(long, value_name = "TEXT")]
    pub known_issue: Vec<Text>,
    /// The certificate should be suspended, and why
    #[arg(long, value_name = "REASON")]
    pub suspend: Option<Text>,
    /// A check that would have found it
    #[arg(long, value_name = "REQUIREMENT")]
    pub new_check: Vec<Text>,
}

#[derive(Debug, Args)]
pub struct Words {
    /// Why
    pub comment: Text,
}

#[derive(Debug, Args)]
pub struct Close {
    /// Who at the customer confirms it
    #[arg(long, value_name = "NAME")]
    pub confirmed_by: Line,
    /// In the customer's words
    pub text: Option<Text>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Class {
    /// This party's own, without anything of the customer's
    Vendor,
    /// The customer's, technical
    Customer,
    /// The customer's, and it may have data of persons
    Personal,
}

impl From<Class> for Classification {
    fn from(class: Class) -> Self {
        match class {
            Class::Vendor => Self::Vendor,
            Class::Customer => Self::Customer,
            Class::Personal => Self::Personal,
        }
    }
}
