//! What happens to a case. An event says when, by which side, and what; nothing else decides.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;
use crate::facts::{Attachment, Configuration, FrozenVerdict, Grade, Problem};
use crate::outcome::{
    Confirmation, DeclineReason, Layer, Minutes, Outcome, Place, ReproductionResult, Visibility,
    WaitFor,
};
use crate::people::{Both, Consent, Customer, Engineer, Entitlement, Shareable, Side};
use crate::text::{CaseId, Line, PartyName, Text};

/// How a case came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// The command line.
    CommandLine,
    /// The web form.
    Web,
    /// The API.
    Api,
    /// Brought over from another case exchange.
    Bridge,
}

/// The times that were agreed, in working time of one calendar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The calendar by which all clocks of the case run.
    pub calendar: Calendar,
    /// From offering to accepting or declining.
    pub acknowledge: Minutes,
    /// From one word of the receiver's to the next.
    pub update: Minutes,
    /// From accepting to a proposed resolution.
    pub resolve: Minutes,
}

/// Another case that this one follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseLink {
    /// Which.
    pub case: CaseId,
    /// In what way.
    pub how: Line,
}

/// Everything that a case is opened with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// The case's id.
    pub id: CaseId,
    /// Both vendors.
    pub parties: Both<PartyName>,
    /// How it came in.
    pub channel: Channel,
    /// A trial, about nobody's machine.
    #[serde(default)]
    pub test: bool,
    /// The submitter's own case number.
    pub number: Line,
    /// The submitter's engineer.
    pub engineer: Engineer,
    /// How to escalate at the submitter.
    pub escalation: Option<Text>,
    /// The customer.
    pub customer: Customer,
    /// What the submitter knows of the customer's agreement with it.
    pub entitlement: Entitlement,
    /// What the customer allows to be shared; nothing goes out without it.
    pub consent: Option<Consent>,
    /// What the customer has.
    pub configuration: Configuration,
    /// What the catalog said of it.
    pub verdict: FrozenVerdict,
    /// What is wrong.
    pub problem: Problem,
    /// The agreed times.
    pub terms: Terms,
    /// Cases that it follows.
    #[serde(default)]
    pub links: Vec<CaseLink>,
}

/// What was done. `deed` in the JSON form names the variant in kebab case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "deed",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
#[expect(
    missing_docs,
    reason = "the fields are of documented types, and named after what they are"
)]
pub enum Deed {
    /// The case was opened, as a draft.
    Opened { opening: Box<Opening> },
    /// The draft was changed. Never sent: the other vendor gets the draft as it was offered.
    Amended { opening: Box<Opening> },
    /// The case was offered to the receiver; with new facts after it declined.
    Offered { new_facts: Option<Text> },
    /// The receiver asks before it decides. The acknowledgement clock stands still until the answer, and
    /// no longer than `until`.
    InfoRequested { question: Text, until: Timestamp },
    /// The submitter answers that.
    InfoGiven { answer: Text },
    /// The receiver takes the case.
    Accepted { number: Line, engineer: Engineer, respond_within: Minutes, escalation: Option<Text> },
    /// The receiver does not take the case, and says what the customer can do next.
    Declined { reason: DeclineReason, next_step: Text },
    /// Work has begun.
    Started {},
    /// Work waits for somebody, no longer than `until`.
    Waited { wait: WaitFor, reason: Text, until: Timestamp },
    /// A pause is to last longer.
    PauseExtended { reason: Text, until: Timestamp },
    /// What was waited for is there.
    Answered { text: Text },
    /// A resolution is proposed.
    Proposed { outcome: Box<Outcome> },
    /// The proposed resolution does not solve it.
    Rejected { comment: Text },
    /// The customer confirms that it is solved.
    Confirmed { confirmation: Confirmation },
    /// The customer's owner offers the customer to the other vendor.
    TransferOffered { reason: Text },
    /// The other vendor owns the customer from now on.
    TransferAccepted { engineer: Engineer },
    /// The customer's owner stays.
    TransferRefused { comment: Text },
    /// The case is given up.
    Withdrawn { comment: Text },
    /// Nobody did anything for 23 days: it will be closed.
    IdleWarned {},
    /// Nobody did anything for 30 days.
    AutoClosed { layer: Layer },
    /// The fault is there again.
    Reopened { reason: Text },
    /// A note.
    Noted { visibility: Visibility, text: Text },
    /// A file was added.
    Attached { attachment: Attachment },
    /// Something has to be done.
    ActionAdded { what: Text, by: Side, due: Timestamp },
    /// The action of this number, from 0, was done.
    ActionDone { action: u32 },
    /// A vendor names its engineer; `lead` if that one leads the work.
    Assigned { engineer: Engineer, lead: bool },
    /// A vendor's own case number changed.
    Numbered { number: Line },
    /// A vendor looked at the customer's agreement with it.
    EntitlementChecked { entitlement: Entitlement },
    /// The customer allows more, or less.
    ConsentGiven { consent: Consent },
    /// The customer allows nothing any more.
    ConsentWithdrawn { by: Line },
    /// A reproduction is asked for.
    ReproductionAsked { by: Side, place: Place, what: Text },
    /// The reproduction of this number, from 0, has a result.
    Reproduced { reproduction: u32, result: ReproductionResult },
    /// The case is escalated to a higher level.
    Escalated { level: u8, reason: Text },
    /// The asker says how much it hurts now.
    SeverityChanged { severity: Grade, reason: Text },
    /// The answerer says how soon it is worked on now.
    PriorityChanged { priority: Grade, reason: Text },
    /// More became known: what changed, what was tried, a configuration that was read anew.
    FactsAdded { text: Text, configuration: Option<Box<Configuration>> },
}

/// Names the variants of [`Deed`] without their content.
macro_rules! kinds {
    ($($kind:ident $word:literal $example:literal),* $(,)?) => {
        /// What was done, without its content.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[expect(missing_docs, reason = "as in `Deed`")]
        pub enum DeedKind { $($kind),* }

        impl DeedKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// As it stands in a message.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$kind => $word),* }
            }

            /// What a person does to make it happen, as a verb phrase.
            pub const fn verb(self) -> &'static str {
                match self { $(Self::$kind => $example),* }
            }
        }

        impl Deed {
            /// Without its content.
            pub const fn kind(&self) -> DeedKind {
                match self { $(Self::$kind { .. } => DeedKind::$kind),* }
            }
        }
    };
}

kinds! {
    Opened "opened" "open the case",
    Amended "amended" "change the draft",
    Offered "offered" "offer the case",
    InfoRequested "info-requested" "ask the submitter for information",
    InfoGiven "info-given" "give the information",
    Accepted "accepted" "accept the case",
    Declined "declined" "decline the case",
    Started "started" "start work",
    Waited "waited" "wait for somebody",
    PauseExtended "pause-extended" "extend the pause",
    Answered "answered" "answer what was waited for",
    Proposed "proposed" "propose a resolution",
    Rejected "rejected" "reject the resolution",
    Confirmed "confirmed" "confirm the resolution and close",
    TransferOffered "transfer-offered" "offer the customer to the other vendor",
    TransferAccepted "transfer-accepted" "take the customer over",
    TransferRefused "transfer-refused" "refuse the customer",
    Withdrawn "withdrawn" "withdraw the case",
    IdleWarned "idle-warned" "warn that the case is idle",
    AutoClosed "auto-closed" "close the idle case",
    Reopened "reopened" "reopen the case",
    Noted "noted" "add a note",
    Attached "attached" "attach a file",
    ActionAdded "action-added" "add an action",
    ActionDone "action-done" "mark an action as done",
    Assigned "assigned" "name an engineer",
    Numbered "numbered" "change one's own case number",
    EntitlementChecked "entitlement-checked" "record the entitlement",
    ConsentGiven "consent-given" "record the customer's consent",
    ConsentWithdrawn "consent-withdrawn" "record that consent is withdrawn",
    ReproductionAsked "reproduction-asked" "ask for a reproduction",
    Reproduced "reproduced" "report a reproduction",
    Escalated "escalated" "escalate",
    SeverityChanged "severity-changed" "change the severity",
    PriorityChanged "priority-changed" "change the priority",
    FactsAdded "facts-added" "add facts",
}

impl fmt::Display for DeedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Deed {
    /// What of the customer's is in it, if the customer's owner did it.
    fn carries(&self) -> Vec<Shareable> {
        match self {
            Self::Opened { opening } | Self::Amended { opening } => {
                let mut carried = vec![Shareable::Problem, Shareable::Configuration];
                carried.extend(opening.customer.contact.as_ref().map(|_| Shareable::Contact));
                carried
            }
            // Words that the customer's owner passes on.
            Self::InfoGiven { .. } | Self::Rejected { .. } | Self::Answered { .. } => {
                vec![Shareable::Problem]
            }
            Self::Offered { new_facts: Some(_) } => vec![Shareable::Problem],
            Self::Confirmed { confirmation } if confirmation.text.is_some() => {
                vec![Shareable::Problem]
            }
            Self::Attached { attachment } if attachment.classification.is_customers() => {
                vec![Shareable::Evidence]
            }
            Self::FactsAdded { configuration, .. } => {
                let mut carried = vec![Shareable::Problem];
                carried.extend(configuration.as_ref().map(|_| Shareable::Configuration));
                carried
            }
            _ => Vec::new(),
        }
    }

    /// Whether it stays at home: changes of a draft that was not offered.
    pub const fn stays(&self) -> bool {
        matches!(self, Self::Amended { .. })
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// When, by the clock of the side that did it.
    pub at: Timestamp,
    /// By which side.
    pub by: Side,
    /// By whom there; nothing if the desk did it by itself.
    pub person: Option<Line>,
    /// What.
    pub deed: Deed,
}

impl Event {
    /// What of the customer's is in it, in a case whose customer this side owns: it may go out only if the
    /// consent covers all of that. What the other side says comes from itself, except for a file that is
    /// marked as the customer's.
    pub fn carries(&self, owner: Side) -> Vec<Shareable> {
        if self.by == owner || matches!(self.deed, Deed::Attached { .. }) {
            self.deed.carries()
        } else {
            Vec::new()
        }
    }
}
