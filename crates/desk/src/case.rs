//! A case as both vendors have it: its state and all that it carries. Only [`apply`](crate::apply) changes it.

use std::fmt;

use hospitium_model::Digest;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::event::{CaseLink, Channel, Terms};
use crate::facts::{Attachment, Configuration, FrozenVerdict, Grade, Problem};
use crate::outcome::{
    Action, Confirmation, DeclineReason, Layer, Minutes, Note, Outcome, Reproduction, WaitFor,
};
use crate::people::{Both, Consent, Customer, Engineer, Entitlement, Holder, Shareable, Side};
use crate::text::{CaseId, Line, PartyName, Text};

/// An idle case is warned after this many days.
pub const IDLE_WARNED: SignedDuration = SignedDuration::from_hours(23 * 24);
/// An idle case is closed after this many days.
pub const IDLE_CLOSED: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Between the warning and the closing there is at least so much, even if the warning was late.
pub const WARNED_BEFORE: SignedDuration = SignedDuration::from_hours(7 * 24);
/// A closed case can be reopened for so long.
pub const REOPENED_WITHIN: SignedDuration = SignedDuration::from_hours(14 * 24);
/// The longest pause.
pub const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(60 * 24);
/// The highest level of escalation.
pub const HIGHEST: u8 = 4;

/// Where a case stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "state",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
#[expect(
    missing_docs,
    reason = "the fields are of documented types, and named after what they are"
)]
pub enum State {
    /// At the submitter only.
    Draft {},
    /// The receiver has to accept, ask or decline.
    Offered {},
    /// The receiver asked.
    InfoRequested { question: Text },
    /// The receiver took it; work has not begun.
    Accepted {},
    /// In work.
    Working {},
    /// In work, and waiting for somebody.
    Waiting { wait: WaitFor, reason: Text },
    /// The receiver does not take it.
    Declined { reason: DeclineReason, next_step: Text },
    /// A resolution is proposed.
    ResolutionProposed { by: Side, outcome: Box<Outcome> },
    /// The customer's owner offers the customer to the other vendor.
    TransferOffered { reason: Text },
    /// Solved, and the customer said so.
    Closed { at: Timestamp, outcome: Box<Outcome>, confirmation: Confirmation },
    /// Nobody did anything for 30 days.
    AutoClosed { at: Timestamp, layer: Layer },
    /// Given up.
    Withdrawn { at: Timestamp, comment: Text },
}

impl State {
    /// As people read it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Draft {} => "draft",
            Self::Offered {} => "offered",
            Self::InfoRequested { .. } => "information requested",
            Self::Accepted {} => "accepted",
            Self::Working {} => "working",
            Self::Waiting { .. } => "waiting",
            Self::Declined { .. } => "declined",
            Self::ResolutionProposed { .. } => "resolution proposed",
            Self::TransferOffered { .. } => "transfer offered",
            Self::Closed { .. } => "closed",
            Self::AutoClosed { .. } => "closed after idle days",
            Self::Withdrawn { .. } => "withdrawn",
        }
    }

    /// Whether there is still something to be done.
    pub const fn is_open(&self) -> bool {
        !matches!(self, Self::Closed { .. } | Self::AutoClosed { .. } | Self::Withdrawn { .. })
    }

    /// The layer at fault, of a case that was closed.
    pub fn layer(&self) -> Option<Layer> {
        match self {
            Self::Closed { outcome, .. } => Some(outcome.layer),
            Self::AutoClosed { layer, .. } => Some(*layer),
            _ => None,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Waiting { wait, .. } => write!(f, " for {wait}"),
            Self::Declined { reason, .. } => write!(f, " ({reason})"),
            _ => Ok(()),
        }
    }
}

/// Which clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockName {
    /// From offering to accepting or declining.
    Acknowledge,
    /// From one word of the receiver's to the next.
    Update,
    /// From accepting to a proposed resolution.
    Resolve,
}

impl fmt::Display for ClockName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Acknowledge => "acknowledgement",
            Self::Update => "next update",
            Self::Resolve => "resolution",
        })
    }
}

/// One run of a clock. Whether it was kept is worked out from the calendar: see [`clocks`](crate::clocks).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lap {
    /// Which clock.
    pub clock: ClockName,
    /// When it was started.
    pub began: Timestamp,
    /// When it was stopped.
    pub ended: Option<Timestamp>,
    /// The working time in which it has to be stopped.
    pub within: Minutes,
}

/// A time in which clocks stand still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// Which clocks: the acknowledgement's, or the two others.
    pub acknowledge: bool,
    /// Why.
    pub reason: Text,
    /// From when.
    pub began: Timestamp,
    /// It ends then, whatever happens.
    pub until: Timestamp,
    /// When it was ended before that.
    pub ended: Option<Timestamp>,
}

impl Pause {
    /// When it ends or ended.
    pub fn end(&self) -> Timestamp {
        self.ended.map_or(self.until, |ended| ended.min(self.until))
    }

    /// Whether it stops this clock.
    pub fn stops(&self, clock: ClockName) -> bool {
        self.acknowledge == matches!(clock, ClockName::Acknowledge)
    }
}

/// The level of escalation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Escalation {
    /// The level; 0 is none.
    pub level: u8,
    /// Who raised it to this.
    pub by: Side,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: Text,
}

/// An attachment and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attached {
    /// The file.
    pub file: Attachment,
    /// Which vendor attached it.
    pub by: Side,
    /// When.
    pub at: Timestamp,
}

/// A case. Both vendors have the same one once they have the same events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its id.
    pub id: CaseId,
    /// Both vendors.
    pub parties: Both<PartyName>,
    /// Both vendors' own case numbers.
    pub numbers: Both<Option<Line>>,
    /// Both vendors' engineers.
    pub engineers: Both<Option<Engineer>>,
    /// How to escalate at either vendor.
    pub escalation_paths: Both<Option<Text>>,
    /// What either vendor knows of the customer's agreement with it.
    pub entitlements: Both<Option<Entitlement>>,
    /// The customer.
    pub customer: Customer,
    /// The vendor that owns the customer.
    pub owner: Side,
    /// What the customer allows.
    pub consent: Option<Consent>,
    /// A trial, about nobody's machine.
    pub test: bool,
    /// How it came in.
    pub channel: Channel,
    /// When it was opened.
    pub opened: Timestamp,
    /// The time of the last event. Never earlier than that of one before.
    pub at: Timestamp,
    /// When somebody did something last.
    pub active: Timestamp,
    /// When it was warned that the case is idle, if nobody did anything since.
    pub idle_warned: Option<Timestamp>,
    /// Where it stands.
    pub state: State,
    /// How often it was offered.
    pub offers: u32,
    /// What the customer has.
    pub configuration: Configuration,
    /// The configuration's fingerprint when the case was opened.
    pub fingerprint: Digest,
    /// What the catalog said of that.
    pub verdict: FrozenVerdict,
    /// What is wrong.
    pub problem: Problem,
    /// How soon it is worked on, as the answerer says.
    pub priority: Option<Grade>,
    /// The agreed times.
    pub terms: Terms,
    /// The runs of the clocks, in their order.
    pub laps: Vec<Lap>,
    /// The pauses, in their order.
    pub pauses: Vec<Pause>,
    /// Escalations, in their order.
    pub escalations: Vec<Escalation>,
    /// The side whose engineer leads the work.
    pub lead: Option<Side>,
    /// Notes that both vendors read.
    pub notes: Vec<Note>,
    /// Files.
    pub attachments: Vec<Attached>,
    /// What has to be done.
    pub actions: Vec<Action>,
    /// Reproductions.
    pub reproductions: Vec<Reproduction>,
    /// What became known later, with its time.
    pub facts: Vec<(Timestamp, Text)>,
    /// Cases that it follows.
    pub links: Vec<CaseLink>,
}

impl Case {
    /// Who has to act next: exactly one.
    pub const fn ball(&self) -> Holder {
        let owner = match self.owner {
            Side::Submitter => Holder::Submitter,
            Side::Receiver => Holder::Receiver,
        };
        match &self.state {
            State::Draft {} | State::InfoRequested { .. } => Holder::Submitter,
            State::Offered {} | State::Accepted {} | State::Working {} => Holder::Receiver,
            State::Waiting { wait, .. } => match wait {
                WaitFor::Customer => Holder::Customer,
                WaitFor::Submitter | WaitFor::Reproduction { by: Side::Submitter } => {
                    Holder::Submitter
                }
                WaitFor::Receiver | WaitFor::Reproduction { by: Side::Receiver } => {
                    Holder::Receiver
                }
            },
            State::TransferOffered { .. } => match self.owner {
                Side::Submitter => Holder::Receiver,
                Side::Receiver => Holder::Submitter,
            },
            State::Declined { .. }
            | State::ResolutionProposed { .. }
            | State::Closed { .. }
            | State::AutoClosed { .. }
            | State::Withdrawn { .. } => owner,
        }
    }

    /// What of these the customer does not allow to be shared.
    pub fn not_allowed(&self, carried: &[Shareable]) -> Vec<Shareable> {
        let covered = |what: &Shareable| {
            self.consent.as_ref().is_some_and(|given| given.covers.contains(what))
        };
        carried.iter().copied().filter(|what| !covered(what)).collect()
    }

    /// The name of a side.
    pub const fn party(&self, side: Side) -> &PartyName {
        self.parties.of(side)
    }

    /// Whose catalog gave the verdict, at the desk of this side: it was asked where the case was opened, which is here if
    /// the case is bridged.
    pub const fn catalog(&self, us: Side) -> &PartyName {
        match self.channel {
            Channel::Bridge => self.parties.of(us),
            Channel::CommandLine | Channel::Web | Channel::Api => self.parties.of(Side::Submitter),
        }
    }

    /// What a customer may see: the notes for it, and nothing of the vendors' own.
    #[must_use]
    pub fn for_customer(&self) -> Self {
        let mut case = self.clone();
        case.notes.retain(|note| note.visibility == crate::outcome::Visibility::Customer);
        case.attachments.retain(|file| file.file.classification.is_customers());
        case.escalation_paths = Both::default();
        case.entitlements = Both::default();
        case.actions.clear();
        // What the vendors said to each other about it.
        case.facts.clear();
        case.escalations.clear();
        case
    }

    /// SHA-256 of its JSON form: two desks compare it to see that they have the same case.
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}
