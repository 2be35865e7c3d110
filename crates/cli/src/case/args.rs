//! What can be typed after `hospitium case`.

use std::path::PathBuf;

use clap::{Subcommand, ValueHint};
use hospitium_desk::{Line, Text};

use super::importing::ImportArguments;
use super::on::{On, OnCase};
use super::opening::OpenArguments;
use super::person::PersonCommand;
use super::publish::Publish;
use super::tsanet::Form;
use super::verbs::{
    Accept, AskFirst, Assign, Class, Close, ConsentTo, Decline, Entitle, Escalate, Extend, Facts,
    GradeIt, Propose, Reproduce, Start, Todo, Transfer, Wait, Words,
};

#[derive(Debug, Subcommand)]
pub enum CaseCommand {
    /// Open a case with another vendor: hospitium case open "the clock drifts" --to host.example …
    Open(Box<OpenArguments>),
    /// Offer a draft to the other vendor, or a declined case again with new facts
    Offer {
        /// The case: its id, or the beginning of it
        case: String,
        /// What is new since it was declined
        #[arg(long, value_name = "TEXT")]
        new_facts: Option<Text>,
        #[command(flatten)]
        on: On,
    },
    /// The cases of this desk, those first that wait for this party
    List {
        /// Only those that wait for this party
        #[arg(long)]
        mine: bool,
        /// The checks that closed cases propose, each with its case
        #[arg(long, conflicts_with = "mine")]
        proposed_checks: bool,
        #[command(flatten)]
        on: On,
    },
    /// A case: where it stands, what may be done, and all that was said
    Show {
        /// The case: its id, or the beginning of it
        case: String,
        #[command(flatten)]
        on: On,
    },
    /// Say something; answers what the other vendor waits for
    Reply {
        /// The case: its id, or the beginning of it
        case: String,
        /// The words
        text: Text,
        /// The customer reads it as well
        #[arg(long = "to-customer", alias = "customer", conflicts_with = "internal")]
        customer: bool,
        /// For this party only; never leaves this desk
        #[arg(long)]
        internal: bool,
        #[command(flatten)]
        on: On,
    },
    /// Attach a file, or the evidence of a run with what it says
    Attach {
        /// The case: its id, or the beginning of it
        case: String,
        /// The file
        #[arg(value_hint = ValueHint::FilePath, required_unless_present = "run", conflicts_with = "run")]
        file: Option<PathBuf>,
        /// A run: its folder, its evidence folder, or a packed bundle
        #[arg(long, value_name = "RUN", value_hint = ValueHint::AnyPath)]
        run: Option<PathBuf>,
        /// How it has to be handled; what is the customer's needs its consent
        #[arg(long, value_enum, default_value_t = Class::Customer)]
        classification: Class,
        /// What was removed from it
        #[arg(long, value_name = "TEXT")]
        redaction: Option<Line>,
        #[command(flatten)]
        on: On,
    },
    /// Write an attachment into a file
    Fetch {
        /// The case: its id, or the beginning of it
        case: String,
        /// The attachment's SHA-256, or the beginning of it
        sha256: String,
        /// The file; must not exist
        #[arg(value_hint = ValueHint::FilePath)]
        to: PathBuf,
        #[command(flatten)]
        on: On,
    },
    /// Write a case into one file that can be verified, or in the fields of TSANet Connect; without internal notes, and
    /// without what the customer does not allow to go out
    Export {
        /// The case: its id, or the beginning of it
        case: String,
        /// The file; must not exist
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// For this party's own archive: also what is held back from the other vendor
        #[arg(long, conflicts_with = "tsanet")]
        all: bool,
        /// As JSON in the fields of TSANet Connect; not signed
        #[arg(long)]
        tsanet: bool,
        /// What to write: the request that is posted, the whole case, or this party's answers as calls
        #[arg(long, value_enum, requires = "tsanet", default_value_t = Form::Request)]
        form: Form,
        /// The number of the receiver's form in TSANet Connect
        #[arg(long, value_name = "NUMBER", requires = "tsanet")]
        document: Option<u64>,
        #[command(flatten)]
        on: On,
    },
    /// Verify an exported case, and take in what of it is not here; or, with --tsanet, take in what an unsigned file of
    /// TSANet Connect says
    Import(Box<ImportArguments>),
    /// Exchange with the other vendors, and do what is due: by a call where the other desk has an address
    /// (`case peer`), else through desk/inbox and desk/outbox
    Sync {
        /// Only with this one [default: all that are in peers]
        #[arg(long, value_name = "PARTY")]
        peer: Option<String>,
        /// Through desk/inbox and desk/outbox, even where a desk has an address
        #[arg(long)]
        by_folder: bool,
        #[command(flatten)]
        on: On,
    },
    /// Where another vendor's desk is called: `hospitium case peer host.example https://desk.host.example`
    Peer {
        /// The other vendor
        #[arg(value_name = "PARTY")]
        name: String,
        /// The address of its server
        #[arg(value_name = "URL", value_hint = ValueHint::Url, conflicts_with = "none")]
        address: Option<hospitium_desk::DeskAddress>,
        /// It is not called: it calls, or files are carried
        #[arg(long)]
        none: bool,
        #[command(flatten)]
        on: On,
    },
    /// Who may sign in at the desk's pages (`hospitium serve --desk`)
    #[command(subcommand)]
    Person(PersonCommand),
    /// Throw a draft away
    Discard {
        /// The draft: its id, or the beginning of it
        case: String,
        #[command(flatten)]
        on: On,
    },
    #[command(flatten)]
    Act(Verb),
}

/// Something that is done to a case.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Take a case that another vendor offers
    Accept(OnCase<Accept>),
    /// Do not take it, and say what the customer can do next
    Decline(OnCase<Decline>),
    /// Ask the submitter before deciding
    Ask(OnCase<AskFirst>),
    /// Begin work
    Start(OnCase<Start>),
    /// Wait for somebody; the receiver's clocks stand still if it is the customer or the submitter
    Wait(OnCase<Wait>),
    /// Let a pause last longer
    Extend(OnCase<Extend>),
    /// Say who has the case here, and whether that engineer leads the work
    Assign(OnCase<Assign>),
    /// Ask for a reproduction, report the result of one, or run it here and now: --boot GUEST --on HOST
    Reproduce(OnCase<Reproduce>),
    /// Add something to be done, or mark it as done
    Todo(OnCase<Todo>),
    /// Say what changed or was tried
    Facts(OnCase<Facts>),
    /// Say how much it hurts (the submitter) or how soon it is worked on (the receiver)
    Grade(OnCase<GradeIt>),
    /// Raise the level of escalation
    Escalate(OnCase<Escalate>),
    /// Record whether the customer has an agreement with this party
    Entitle(OnCase<Entitle>),
    /// Record what the customer allows to be shared
    Consent(OnCase<ConsentTo>),
    /// Offer the customer to the other vendor, or take or refuse what it offers
    Transfer(OnCase<Transfer>),
    /// Propose a resolution
    Propose(OnCase<Propose>),
    /// Reject the proposed resolution
    Reject(OnCase<Words>),
    /// Close: the customer confirms the proposed resolution
    Close(OnCase<Close>),
    /// Put what a closed case gives to the catalog (known issue, suspension) in the party's public log
    Publish(OnCase<Publish>),
    /// Give the case up
    Withdraw(OnCase<Words>),
    /// Open it again, within 14 days of its closing
    Reopen(OnCase<Words>),
}
