//! A message comes in: it is taken, known already, kept for later, or refused with its reason.

use hospitium_ledger::VerifierKey;
use jiff::{SignedDuration, Timestamp};

use super::chain::{Voided, is_full, replay};
use super::message::{Message, MessageError, Sealed, TOLERANCE, verify_message};
use super::thread::{Divergence, HELD, Thread};
use crate::apply::apply;
use crate::event::{Channel, Deed};
use crate::fault::Illegal;
use crate::opened::open;
use crate::people::{Shareable, Side};
use crate::text::{CaseId, PartyName};

/// Why a message was refused. The case is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not signed by the party that we know, or altered.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// For somebody else.
    #[error("the message is for {to}, and this is the desk of {us}")]
    NotForUs {
        /// For whom.
        to: PartyName,
        /// Who we are.
        us: PartyName,
    },
    /// Of a party that has no part in this case.
    #[error("{0} has no part in this case")]
    Stranger(PartyName),
    /// Of another case.
    #[error("the message belongs to the case {0}")]
    OtherCase(CaseId),
    /// Dated later than now. It may be taken later.
    #[error(
        "the message is dated {at}, and it is {now} here: one of the two clocks is wrong; it is taken once its time has come"
    )]
    Future {
        /// Its time.
        at: Timestamp,
        /// Ours.
        now: Timestamp,
    },
    /// Dated years ago: no case is that old, and its clocks would be reckoned day by day.
    #[error("the message is dated {0}, more than ten years ago")]
    TooOld(Timestamp),
    /// Dated earlier than the one before it in its chain.
    #[error("the message is dated {at}, before the one that it continues ({before})")]
    Backwards {
        /// Its time.
        at: Timestamp,
        /// That of the one before.
        before: Timestamp,
    },
    /// Written down by another desk than its sender's.
    #[error("{0} did not sign the message: another desk wrote it down from an unsigned file")]
    Heard(PartyName),
    /// The case has another way.
    #[error(
        "the case goes through another case exchange, and is one desk's alone; open another case to exchange by desks"
    )]
    Bridged,
    /// The event says that the other side did it.
    #[error("the message of the {0} says what the other side did")]
    OtherSide(Side),
    /// A change of a draft.
    #[error("drafts are not exchanged")]
    Draft,
    /// The customer's consent is not in it.
    #[error("the customer's consent for its {} is not recorded in the case", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    NoConsent(Vec<Shareable>),
    /// It does not open a case.
    #[error(transparent)]
    Opening(#[from] Illegal),
    /// Too many messages are missing before it.
    #[error("message {seq} is too far ahead: {have} are here; send the ones in between first")]
    TooFar {
        /// Its number.
        seq: u64,
        /// How many there are.
        have: u64,
    },
    /// More than a case takes of one side.
    #[error(
        "the case has as much of the {0} as it takes; close it and open another one that follows it, or attach long \
         texts as files"
    )]
    Full(Side),
    /// It branches off. Both are kept.
    #[error("{0}")]
    Branch(Box<Divergence>),
}

impl Refusal {
    /// Whether the same message may be taken later.
    pub const fn is_for_now(&self) -> bool {
        matches!(self, Self::Future { .. } | Self::TooFar { .. })
    }
}

/// What became of a message that was not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It, and so many that waited for it, are part of the case now. They have to be stored before a receipt
    /// goes out.
    New {
        /// The messages, in their order.
        stored: Vec<Sealed>,
        /// Messages that came to nothing by that: of the other side, or ours.
        voided: Vec<Voided>,
    },
    /// It was here already.
    Known,
    /// It waits for one that comes before it.
    Held {
        /// The number of the next one that is needed.
        missing: u64,
    },
}

/// The age of the oldest message that is taken.
const OLDEST: SignedDuration = SignedDuration::from_hours(10 * 366 * 24);

/// What a message has to be that continues a chain, whichever way it comes: for another party than its sender's, of a
/// time that can be, not before the one that it continues, and the first with the consent that it needs.
pub fn check_next(sealed: &Sealed, before: Option<&Sealed>, now: Timestamp) -> Result<(), Refusal> {
    let message = &sealed.message;
    check(message, &message.to, now)?;
    if let Some(before) = before.map(Sealed::at).filter(|before| sealed.at() < *before) {
        return Err(Refusal::Backwards { at: sealed.at(), before });
    }
    if matches!(message.event.deed, Deed::Opened { .. }) {
        let case = open(&message.event)?;
        let missing = case.not_allowed(&message.event.carries(case.owner));
        if !missing.is_empty() {
            return Err(Refusal::NoConsent(missing));
        }
    }
    Ok(())
}

/// What is checked before a message's place is looked at.
fn check(message: &Message, us: &PartyName, now: Timestamp) -> Result<(), Refusal> {
    if message.to != *us {
        return Err(Refusal::NotForUs { to: message.to.clone(), us: us.clone() });
    }
    let latest = now.saturating_add(TOLERANCE).unwrap_or(Timestamp::MAX);
    if message.event.at > latest {
        return Err(Refusal::Future { at: message.event.at, now });
    }
    if message.event.at < now.saturating_sub(OLDEST).unwrap_or(Timestamp::MIN) {
        return Err(Refusal::TooOld(message.event.at));
    }
    if message.event.deed.stays() {
        return Err(Refusal::Draft);
    }
    Ok(())
}

impl Thread {
    /// Begins a case with the first message of it.
    ///
    /// # Errors
    /// If the message is not for us, cannot be believed, or opens no case between its sender and us.
    pub fn begin(
        bytes: &[u8],
        keys: &[VerifierKey],
        us: &PartyName,
        now: Timestamp,
    ) -> Result<(Self, Taken), Refusal> {
        let sealed = verify_message(bytes, keys)?;
        let message = &sealed.message;
        check(message, us, now)?;
        if message.seq != 1 || message.prev.is_some() {
            return Err(Refusal::TooFar { seq: message.seq, have: 0 });
        }
        if message.heard.is_some() {
            return Err(Refusal::Heard(message.from.clone()));
        }
        let case = open(&message.event)?;
        if case.channel == Channel::Bridge {
            return Err(Refusal::Bridged);
        }
        if case.id != message.case {
            return Err(Refusal::OtherCase(case.id));
        }
        if case.parties.submitter != message.from {
            return Err(Refusal::Stranger(message.from.clone()));
        }
        if case.parties.receiver != *us {
            return Err(Refusal::NotForUs { to: case.parties.receiver, us: us.clone() });
        }
        let missing = case.not_allowed(&message.event.carries(case.owner));
        if !missing.is_empty() {
            return Err(Refusal::NoConsent(missing));
        }
        let mut thread = Self::empty(Side::Receiver, case);
        thread.chains.submitter.push(sealed.clone());
        Ok((thread, Taken::New { stored: vec![sealed], voided: Vec::new() }))
    }

    /// Takes a message of the other desk in.
    ///
    /// # Errors
    /// If it is refused; the case is as it was, and a branch is kept among the
    /// [divergences](Self::divergences).
    pub fn receive(
        &mut self,
        bytes: &[u8],
        keys: &[VerifierKey],
        now: Timestamp,
    ) -> Result<Taken, Refusal> {
        let sealed = verify_message(bytes, keys)?;
        check(&sealed.message, self.case.parties.of(self.us), now)?;
        self.take(sealed)
    }

    /// Takes several messages of the other desk in, in this order: the same as one by one, but that the case is replayed
    /// once for all of them. What came to nothing by any is told with the last one that was taken.
    pub fn receive_all(
        &mut self,
        messages: &[&[u8]],
        keys: &[VerifierKey],
        now: Timestamp,
    ) -> Vec<Result<Taken, Refusal>> {
        let before = self.voided.clone();
        let place = |bytes: &&[u8]| {
            let sealed = verify_message(bytes, keys)?;
            check(&sealed.message, self.case.parties.of(self.us), now)?;
            self.place(sealed)
        };
        let mut all: Vec<_> = messages.iter().map(place).collect();
        let new = self.settle(&before);
        let taken = all.iter_mut().rev().find_map(|taken| match taken {
            Ok(Taken::New { voided, .. }) => Some(voided),
            _ => None,
        });
        if let Some(voided) = taken {
            *voided = new;
        }
        all
    }

    /// Takes a verified message in.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn take(&mut self, sealed: Sealed) -> Result<Taken, Refusal> {
        let before = self.voided.clone();
        let mut taken = self.place(sealed)?;
        let new = self.settle(&before);
        if let Taken::New { voided, .. } = &mut taken {
            *voided = new;
        }
        Ok(taken)
    }

    /// Puts a message into its chain. The case has to be [settled](Self::settle) after it.
    fn place(&mut self, sealed: Sealed) -> Result<Taken, Refusal> {
        let message = &sealed.message;
        let them = self.us.other();
        if message.heard.is_some() {
            return Err(Refusal::Heard(message.from.clone()));
        }
        if self.is_bridged() {
            return Err(Refusal::Bridged);
        }
        if message.case != self.case.id {
            return Err(Refusal::OtherCase(message.case.clone()));
        }
        if message.from != *self.case.parties.of(them) {
            return Err(Refusal::Stranger(message.from.clone()));
        }
        if message.event.by != them {
            return Err(Refusal::OtherSide(them));
        }
        let have = self.chains.of(them).len() as u64;
        if message.seq <= have {
            return match self.at(them, message.seq).map(|known| known.digest) {
                Some(known) if known == sealed.digest => Ok(Taken::Known),
                ours => Err(self.branch(ours, sealed)),
            };
        }
        if message.seq > have + 1 {
            let waits = message.seq <= have + HELD as u64;
            if !waits {
                return Err(Refusal::TooFar { seq: message.seq, have });
            }
            self.held.entry(message.seq).or_insert(sealed);
            return Ok(Taken::Held { missing: have + 1 });
        }
        let mut stored = vec![self.append(sealed)?];
        // Those that waited for it. One that does not continue it is kept as a branch.
        loop {
            let next = self.chains.of(them).len() as u64 + 1;
            let Some(waiting) = self.held.remove(&next) else { break };
            match self.append(waiting) {
                Ok(sealed) => stored.push(sealed),
                Err(_) => break,
            }
        }
        Ok(Taken::New { stored, voided: Vec::new() })
    }

    /// Makes the case of the chains, if messages were put between others. Gives what came to nothing since.
    fn settle(&mut self, before: &[Voided]) -> Vec<Voided> {
        if std::mem::take(&mut self.unsettled)
            && let Ok((case, voided)) = replay(&self.chains)
        {
            (self.case, self.voided) = (case, voided);
        }
        self.voided.iter().filter(|now| !before.contains(now)).cloned().collect()
    }

    /// Appends the next message of the other chain, if it continues both chains as they are here.
    fn append(&mut self, sealed: Sealed) -> Result<Sealed, Refusal> {
        let them = self.us.other();
        let last = self.chains.of(them).last();
        let continued = last.map(|last| last.digest);
        if sealed.message.prev != continued {
            return Err(self.branch(None, sealed));
        }
        if let Some(before) = last.map(Sealed::at).filter(|before| sealed.at() < *before) {
            return Err(Refusal::Backwards { at: sealed.at(), before });
        }
        if let Some(link) = sealed.message.seen {
            let ours = self.at(self.us, link.seq).map(|known| known.digest);
            if ours != Some(link.digest) {
                let lost = Divergence::Lost { link, other: Some(Box::new(sealed)) };
                self.diverge(lost.clone());
                return Err(Refusal::Branch(Box::new(lost)));
            }
        }
        // What a desk had seen it has: by its own earlier message, and by its receipt for what it said after that.
        let seen = |sealed: &Sealed| sealed.message.seen.map_or(0, |link| link.seq);
        let vouched = self.vouched;
        let least = match sealed.message.seq > vouched.mine {
            true => vouched.have,
            false => 0,
        };
        if seen(&sealed) < last.map_or(0, seen).max(least) {
            return Err(self.branch(None, sealed));
        }
        // What ends a case comes in, too: its sender does not count against its own end.
        let ends = matches!(
            sealed.message.event.deed,
            Deed::Confirmed { .. } | Deed::Withdrawn { .. } | Deed::AutoClosed { .. }
        );
        if !ends && is_full(self.chains.of(them), sealed.bytes.len()) {
            return Err(Refusal::Full(them));
        }
        let saw_all = sealed.message.seen == self.head(self.us);
        self.chains.of_mut(them).push(sealed.clone());
        if self.unsettled || !saw_all {
            self.unsettled = true;
            return Ok(sealed);
        }
        // It stands behind all that is here, so nothing else changes.
        match apply(&self.case, &sealed.message.event) {
            Ok(next) => self.case = next,
            Err(why) => self.voided.push(Voided { by: them, link: sealed.link(), why }),
        }
        Ok(sealed)
    }

    fn branch(&mut self, ours: Option<hospitium_model::Digest>, other: Sealed) -> Refusal {
        let (by, seq) = (self.us.other(), other.message.seq);
        let found = Divergence::Branch { by, seq, ours, other: Box::new(other) };
        self.diverge(found.clone());
        Refusal::Branch(Box::new(found))
    }
}

/// The case that a message speaks of, without believing anything of it.
pub fn case_of(bytes: &[u8]) -> Option<(CaseId, PartyName)> {
    let sealed = Sealed::parse(bytes).ok()?;
    Some((sealed.message.case, sealed.message.from))
}
