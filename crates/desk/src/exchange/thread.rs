//! One case at one desk: both chains, what they make, and what the other desk is known to have.

use std::collections::BTreeMap;

use hospitium_ledger::SecretKey;
use hospitium_model::Digest;
use jiff::Timestamp;

use super::chain::{Voided, is_full, replay};
use super::message::{Heard, Link, Message, MessageError, Sealed, TOLERANCE, sign_message};
use super::receipt::Receipt;
use crate::apply::apply;
use crate::case::Case;
use crate::event::{Channel, Deed, Event, Opening};
use crate::facts::Attachment;
use crate::fault::Illegal;
use crate::people::{Both, Shareable, Side};
use crate::text::{CaseId, Line, PartyName};

/// The most messages that are kept for later while one before them is missing.
pub const HELD: usize = 256;

/// The most divergences that are kept of a case.
const DIVERGENCES: usize = 32;

/// Two desks do not have the same. Both sides of it are kept and shown; the case goes on with what this desk
/// had first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Divergence {
    /// A chain has two messages in one place, or one that continues another message than ours.
    Branch {
        /// Whose chain.
        by: Side,
        /// Where.
        seq: u64,
        /// What we have there, if anything.
        ours: Option<Digest>,
        /// The other message.
        other: Box<Sealed>,
    },
    /// The other desk has a message of ours that we do not have: an old backup was restored here.
    Lost {
        /// Which.
        link: Link,
        /// The message that says so, if it was one.
        other: Option<Box<Sealed>>,
    },
    /// The same messages make another case there: the programs differ.
    State {
        /// Ours.
        ours: Digest,
        /// Theirs.
        theirs: Digest,
    },
}

impl std::fmt::Display for Divergence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Branch { by, seq, other, .. } => write!(
                f,
                "the {by}'s messages branch at number {seq}: a second message {} does not continue \
                 what is here; both are kept, ask the {by} which one holds",
                other.digest.short()
            ),
            Self::Lost { link, .. } => write!(
                f,
                "the other desk has our message number {} ({}), which is not here: restore a newer \
                 backup, or import the case from the other desk's export",
                link.seq,
                link.digest.short()
            ),
            Self::State { ours, theirs } => write!(
                f,
                "the same messages make case {} here and {} there: the two programs differ",
                ours.short(),
                theirs.short()
            ),
        }
    }
}

/// Why an event of ours was not posted. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// It is not legal.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// It does not fit into a message.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// Heard in a case whose other vendor speaks for itself.
    #[error(
        "the desk of {0} signs what it says in this case, so nothing is taken from an unsigned file; exchange with it: \
         hospitium case sync"
    )]
    SpeaksItself(PartyName),
}

/// What is to be sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing<'t> {
    /// Messages that the other desk is not known to have, in their order.
    pub messages: Vec<&'t Sealed>,
    /// Why some are held back: the customer does not allow that this goes out.
    pub held: Vec<Shareable>,
}

/// A case at one desk.
#[derive(Debug, Clone)]
pub struct Thread {
    pub(super) us: Side,
    pub(super) chains: Both<Vec<Sealed>>,
    pub(super) case: Case,
    pub(super) voided: Vec<Voided>,
    pub(super) held: BTreeMap<u64, Sealed>,
    pub(super) divergences: Vec<Divergence>,
    /// The last message of ours that the other desk has.
    pub(super) acked: u64,
    /// When the newest receipt was written.
    pub(super) receipt_at: Option<Timestamp>,
    /// What the newest receipt vouches for: with so many messages of its own, the other desk had so many of ours.
    pub(super) vouched: Vouched,
    /// Messages came that stand before others: the case is that of before.
    pub(super) unsettled: bool,
}

/// What a receipt vouches for: whoever wrote so many messages had so many of the other side's by then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vouched {
    /// Messages of the writer's own.
    pub mine: u64,
    /// Messages of the recipient's that it had.
    pub have: u64,
}

impl Thread {
    /// Offers a case: makes the first messages of it. The draft's history stays at home.
    ///
    /// # Errors
    /// If the case cannot be opened or offered so, or does not fit into messages.
    pub fn offer(
        opening: Opening,
        files: &[Attachment],
        opened: Timestamp,
        at: Timestamp,
        person: Option<Line>,
        key: &SecretKey,
    ) -> Result<Self, PostError> {
        let event = |at, deed| Event { at, by: Side::Submitter, person: person.clone(), deed };
        let first = event(opened.min(at), Deed::Opened { opening: Box::new(opening) });
        let case = crate::opened::open(&first)?;
        let mut thread = Self::empty(Side::Submitter, case);
        let sealed = thread.seal(Side::Submitter, first, None, key)?;
        thread.chains.submitter.push(sealed);
        for attachment in files {
            thread.post(event(at, Deed::Attached { attachment: attachment.clone() }), key)?;
        }
        thread.post(event(at, Deed::Offered { new_facts: None }), key)?;
        Ok(thread)
    }

    pub(super) fn empty(us: Side, case: Case) -> Self {
        Self {
            us,
            chains: Both { submitter: Vec::new(), receiver: Vec::new() },
            case,
            voided: Vec::new(),
            held: BTreeMap::new(),
            divergences: Vec::new(),
            acked: 0,
            receipt_at: None,
            vouched: Vouched::default(),
            unsettled: false,
        }
    }

    /// Builds a case from its stored messages, which were verified before they were stored.
    ///
    /// # Errors
    /// If they make no case.
    pub fn restore(us: Side, chains: Both<Vec<Sealed>>, acked: u64) -> Result<Self, Illegal> {
        let (case, voided) = replay(&chains)?;
        Ok(Self { chains, voided, acked, ..Self::empty(us, case) })
    }

    /// The same with what was found to differ before, and the time of the newest receipt.
    #[must_use]
    pub fn with(mut self, found: Vec<Divergence>, receipt_at: Option<Timestamp>) -> Self {
        (self.divergences, self.receipt_at) = (found, receipt_at);
        self
    }

    /// The same with what the newest receipt vouched for.
    #[must_use]
    pub fn vouched(mut self, vouched: Vouched) -> Self {
        self.vouched = vouched;
        self
    }

    /// What the newest receipt vouches for.
    pub const fn told(&self) -> Vouched {
        self.vouched
    }

    /// The case as it is now.
    pub const fn case(&self) -> &Case {
        &self.case
    }

    /// Whether the other vendor has no desk, and files of another case exchange go between. Such a case is this
    /// desk's alone: nothing of it is exchanged.
    pub fn is_bridged(&self) -> bool {
        self.case.channel == Channel::Bridge
    }

    /// Which side this desk is.
    pub const fn us(&self) -> Side {
        self.us
    }

    /// The messages of a side, in their order.
    pub fn chain(&self, side: Side) -> &[Sealed] {
        self.chains.of(side)
    }

    /// Both chains.
    pub const fn chains(&self) -> &Both<Vec<Sealed>> {
        &self.chains
    }

    /// All messages in the common order.
    pub fn timeline(&self) -> impl Iterator<Item = &Sealed> {
        let order = super::chain::merge(&self.chains);
        order.into_iter().filter_map(|(side, place)| self.chains.of(side).get(place))
    }

    /// Messages that came to nothing.
    pub fn voided(&self) -> &[Voided] {
        &self.voided
    }

    /// Where the two desks are known to differ.
    pub fn divergences(&self) -> &[Divergence] {
        &self.divergences
    }

    /// How many of our messages the other desk is known to have.
    pub const fn acked(&self) -> u64 {
        self.acked
    }

    /// The last message of a side.
    pub fn head(&self, side: Side) -> Option<Link> {
        self.chains.of(side).last().map(Sealed::link)
    }

    /// Makes the next message of a side: of ours, or what was heard of the other one.
    pub(super) fn seal(
        &self,
        side: Side,
        event: Event,
        heard: Option<Heard>,
        key: &SecretKey,
    ) -> Result<Sealed, MessageError> {
        let chain = self.chains.of(side);
        let message = Message {
            case: self.case.id.clone(),
            from: self.case.parties.of(side).clone(),
            to: self.case.parties.of(side.other()).clone(),
            seq: chain.len() as u64 + 1,
            prev: chain.last().map(|last| last.digest),
            seen: self.head(side.other()),
            event,
            heard,
        };
        sign_message(message, key)
    }

    /// Does something, as this desk: applies the event and makes its message. It has to be stored before
    /// anything else is done. The event's side is this desk's, its time no earlier than our last one's.
    ///
    /// # Errors
    /// If the event is not legal, or too large.
    pub fn post(&mut self, mut event: Event, key: &SecretKey) -> Result<Sealed, PostError> {
        event.by = self.us;
        if let Some(last) = self.chains.of(self.us).last() {
            event.at = event.at.max(last.at());
        }
        let next = apply(&self.case, &event)?;
        let sealed = self.seal(self.us, event, None, key)?;
        // What ends the case is always possible.
        let ends = !next.state.is_open();
        if !ends && is_full(self.chains.of(self.us), sealed.bytes.len()) {
            return Err(MessageError::Full.into());
        }
        self.chains.of_mut(self.us).push(sealed.clone());
        self.case = next;
        Ok(sealed)
    }

    /// What the other desk is not known to have, as far as the customer allows that it goes out now.
    pub fn outgoing(&self) -> Outgoing<'_> {
        let mut outgoing = Outgoing { messages: Vec::new(), held: Vec::new() };
        if self.is_bridged() {
            return outgoing;
        }
        let skip = usize::try_from(self.acked).unwrap_or(usize::MAX);
        for sealed in self.chains.of(self.us).iter().skip(skip) {
            let held = self.case.not_allowed(&sealed.message.event.carries(self.case.owner));
            if !held.is_empty() {
                outgoing.held = held;
                break;
            }
            outgoing.messages.push(sealed);
        }
        outgoing
    }

    /// A receipt for what this desk has.
    pub fn receipt(&self, at: Timestamp, refused: Option<Line>) -> Receipt {
        Receipt {
            case: self.case.id.clone(),
            from: self.case.parties.of(self.us).clone(),
            to: self.case.parties.of(self.us.other()).clone(),
            at,
            have: self.head(self.us.other()),
            mine: self.head(self.us),
            state: Some(self.case.digest()),
            refused,
            wants: Vec::new(),
        }
    }

    /// Takes a verified receipt of the other desk in. Gives whether it is the newest of this case: what else stands in
    /// an older one, or in one of somebody else, does not count. One that was taken before and is of the future by
    /// our clock outweighs nothing.
    pub fn take_receipt(&mut self, receipt: &Receipt, now: Timestamp) -> bool {
        let (us, them) = (self.case.parties.of(self.us), self.case.parties.of(self.us.other()));
        if receipt.case != self.case.id || receipt.from != *them || receipt.to != *us {
            return false;
        }
        let latest = now.saturating_add(TOLERANCE).unwrap_or(Timestamp::MAX);
        let known = self.receipt_at.filter(|at| *at <= latest);
        let newer = known.is_none_or(|at| receipt.at >= at);
        let had = receipt.have.map_or(0, |link| link.seq);
        match receipt.have {
            Some(link) if self.at(self.us, link.seq).map(Sealed::link) != Some(link) => {
                self.diverge(Divergence::Lost { link, other: None });
                return false;
            }
            // A newer receipt with less is of a desk that lost something: it is sent again.
            Some(_) => self.acked = if newer { had } else { self.acked.max(had) },
            None if newer => self.acked = 0,
            None => {}
        }
        if newer {
            self.receipt_at = Some(receipt.at);
            let count = |link: Option<Link>| link.map_or(0, |link| link.seq);
            self.vouched = Vouched { mine: count(receipt.mine), have: count(receipt.have) };
        }
        let same = receipt.have == self.head(self.us) && receipt.mine == self.head(self.us.other());
        if let Some(theirs) = receipt.state.filter(|_| same) {
            let ours = self.case.digest();
            if ours != theirs {
                self.diverge(Divergence::State { ours, theirs });
            }
        }
        newer
    }

    /// When the newest receipt was written.
    pub const fn receipt_at(&self) -> Option<Timestamp> {
        self.receipt_at
    }

    pub(super) fn at(&self, side: Side, seq: u64) -> Option<&Sealed> {
        let place = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.chains.of(side).get(place)
    }

    /// Keeps a divergence, once.
    pub(super) fn diverge(&mut self, found: Divergence) {
        if !self.divergences.contains(&found) && self.divergences.len() < DIVERGENCES {
            self.divergences.push(found);
        }
    }

    /// The id of the case.
    pub const fn id(&self) -> &CaseId {
        &self.case.id
    }
}
