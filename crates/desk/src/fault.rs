//! Why something may not happen, and what may instead.

use std::fmt;

use jiff::Timestamp;

use crate::event::DeedKind;
use crate::people::{Engineer, Shareable, Side};
use crate::text::PartyName;

/// Something that may happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Next {
    /// What.
    pub deed: DeedKind,
    /// By whom.
    pub by: Side,
}

/// Why an event cannot happen. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Illegal {
    /// What was to happen.
    pub deed: DeedKind,
    /// By whom.
    pub by: Side,
    /// Where the case stands; nothing if it is not open yet.
    pub state: Option<&'static str>,
    /// Why not.
    pub fault: Fault,
    /// What may happen instead.
    pub legal: Vec<Next>,
}

impl Illegal {
    /// What this side may do instead.
    pub fn legal_for(&self, side: Side) -> impl Iterator<Item = DeedKind> + '_ {
        self.legal.iter().filter(move |next| next.by == side).map(|next| next.deed)
    }
}

impl fmt::Display for Illegal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { deed, by, state, fault, legal } = self;
        match state {
            Some(state) => {
                write!(f, "the {by} cannot {} while the case is {state}: {fault}", deed.verb())?
            }
            None => write!(f, "the {by} cannot {}: {fault}", deed.verb())?,
        }
        let mine: Vec<_> = self.legal_for(*by).map(DeedKind::word).collect();
        match (legal.is_empty(), mine.is_empty()) {
            (true, _) => Ok(()),
            (false, true) => write!(f, ". Nothing is left to the {by} now"),
            (false, false) => write!(f, ". Legal for the {by} now: {}", mine.join(", ")),
        }
    }
}

impl std::error::Error for Illegal {}

/// Why an event cannot happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The state does not allow it.
    #[error("that does not follow from this state")]
    State,
    /// The other side would have to.
    #[error("only the {0} can")]
    Side(Side),
    /// The event that opens a case came to one that is open.
    #[error("the case is open already")]
    OpenAlready,
    /// An event came before the case was opened.
    #[error("the case is not open yet")]
    NotOpen,
    /// Another id or other parties than the case's.
    #[error("id and parties of a case do not change")]
    OtherCase,
    /// One party on both sides.
    #[error("{0} cannot be both vendors of a case")]
    OneParty(PartyName),
    /// Patents and licences.
    #[error(
        "joint support takes technical faults only; for {0} ask the vendor's own licensing or legal \
         contact, named in the customer's contract"
    )]
    OutOfScope(&'static str),
    /// An engineer of somebody else.
    #[error("{engineer} is not on the domain of {party}; name an engineer with an address on it")]
    Engineer {
        /// The engineer.
        engineer: Box<Engineer>,
        /// Whose it would have to be.
        party: PartyName,
    },
    /// The customer did not allow it.
    #[error("the customer has not allowed that its {} is shared; record the consent first", list(.0))]
    Consent(Vec<Shareable>),
    /// The receiver's own entitlement says no.
    #[error("the receiver recorded that the customer is {0}; decline, or record an entitlement")]
    NotEntitled(crate::people::Entitled),
    /// Offered again without anything new.
    #[error("a declined case is offered again with new facts only; say what is new")]
    NoNewFacts,
    /// New facts at the first offer.
    #[error("the first offer has no new facts; put them in the problem")]
    NewFacts,
    /// A pause that ends before it begins, or much later.
    #[error("the pause would end at {until}; it has to end after {after} and within 60 days of it")]
    PauseEnd {
        /// Its end.
        until: Timestamp,
        /// The event's time.
        after: Timestamp,
    },
    /// No pause to be extended.
    #[error("no pause is running")]
    NoPause,
    /// Idle for too short a time.
    #[error("that is possible from {0} on, if nothing happens before")]
    TooEarly(Timestamp),
    /// Warned already.
    #[error("the warning was given already")]
    Warned,
    /// Nobody was warned.
    #[error("the warning was not given yet; warn first")]
    NotWarned,
    /// Reopened too late.
    #[error("it could be reopened until {0}; open a new case that is linked to this one")]
    TooLate(Timestamp),
    /// An action, reproduction or level that is not there.
    #[error("there is no {0} of that number that is still to be done")]
    NoSuch(&'static str),
    /// Someone else's action or reproduction.
    #[error("it is the {0}'s")]
    Others(Side),
    /// A level that is not higher.
    #[error("the case is on level {0} already, and level 4 is the highest")]
    Level(u8),
    /// A file beyond the limit, or empty.
    #[error("an attachment has 1 byte to 64 GiB, this one has {0} bytes")]
    Size(u64),
    /// The file is there already.
    #[error("a file with these bytes is attached already")]
    Twice,
    /// A replayable machine that is no attachment.
    #[error("the failing machine is no attachment of the case; attach it first")]
    NotAttached,
    /// A verdict that its own ruling does not give.
    #[error(
        "the verdict says {said:?}, and its ruling gives {gives:?}; one of the two was altered"
    )]
    Verdict {
        /// What it says.
        said: crate::facts::VerdictWord,
        /// What follows.
        gives: crate::facts::VerdictWord,
    },
    /// A receiver's number before it accepted.
    #[error("its number is given when it accepts the case")]
    NoNumber,
    /// More entries than a case may have.
    #[error("a case has at most {0} of these")]
    Full(usize),
}

fn list(what: &[Shareable]) -> String {
    what.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
