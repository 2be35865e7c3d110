//! What is heard of a vendor that has no desk: written down and signed by ours, in that vendor's chain of a bridged case.

use hospitium_ledger::SecretKey;
use jiff::Timestamp;

use super::chain::is_full;
use super::message::{Heard, MessageError, Sealed};
use super::thread::{PostError, Thread};
use crate::apply::apply;
use crate::event::{Channel, Deed, Event, Opening};
use crate::opened::open;
use crate::people::Side;
use crate::text::Line;

impl Thread {
    /// Begins a bridged case at its receiver: the submitter's opening and offer, as they were heard.
    ///
    /// # Errors
    /// If the case cannot be opened or offered so, or its channel is another one.
    pub fn begin_heard(
        opening: Opening,
        at: Timestamp,
        person: Option<Line>,
        heard: &Heard,
        key: &SecretKey,
    ) -> Result<Self, PostError> {
        if opening.channel != Channel::Bridge {
            return Err(PostError::SpeaksItself(opening.parties.submitter));
        }
        let opened = Deed::Opened { opening: Box::new(opening) };
        let first = Event { at, by: Side::Submitter, person: person.clone(), deed: opened };
        let mut thread = Self::empty(Side::Receiver, open(&first)?);
        let sealed = thread.seal(Side::Submitter, first, Some(heard.clone()), key)?;
        thread.chains.submitter.push(sealed);
        let offered = Deed::Offered { new_facts: None };
        let offered = Event { at, by: Side::Submitter, person, deed: offered };
        let heard = Heard { part: followed_by(&heard.part, "offer"), ..heard.clone() };
        thread.hear(offered, heard, key)?;
        Ok(thread)
    }

    /// Writes down what the other vendor did, as it was heard. Gives nothing if this part of the request was heard
    /// before. The event's time is no earlier than that of what was heard last.
    ///
    /// # Errors
    /// If the case is not bridged, or the event is not legal or too large. Nothing is changed then.
    pub fn hear(
        &mut self,
        mut event: Event,
        heard: Heard,
        key: &SecretKey,
    ) -> Result<Option<Sealed>, PostError> {
        let them = self.us.other();
        if !self.is_bridged() {
            return Err(PostError::SpeaksItself(self.case.party(them).clone()));
        }
        if self.has_heard(&heard.part) {
            return Ok(None);
        }
        event.by = them;
        if let Some(last) = self.chains.of(them).last() {
            event.at = event.at.max(last.at());
        }
        let next = apply(&self.case, &event)?;
        let sealed = self.seal(them, event, Some(heard), key)?;
        if next.state.is_open() && is_full(self.chains.of(them), sealed.bytes.len()) {
            return Err(MessageError::Full.into());
        }
        self.chains.of_mut(them).push(sealed.clone());
        self.case = next;
        Ok(Some(sealed))
    }

    /// Whether this part of the request was heard.
    pub fn has_heard(&self, part: &Line) -> bool {
        let theirs = self.chains.of(self.us.other());
        theirs.iter().any(|known| known.message.heard.as_ref().is_some_and(|it| it.part == *part))
    }

    /// The request in the other case exchange, once something of it was heard.
    pub fn heard_of(&self) -> Option<&Heard> {
        let theirs = self.chains.of(self.us.other());
        theirs.iter().rev().find_map(|known| known.message.heard.as_ref())
    }

    /// Whether what was heard stands where it may: in a bridged case all of the other side's messages, each written
    /// down by this side; in any other case none.
    pub fn hears_rightly(&self) -> bool {
        let us = self.case.party(self.us);
        let ours = self.chains.of(self.us).iter();
        let theirs = self.chains.of(self.us.other()).iter();
        ours.map(|one| &one.message).all(|one| one.heard.is_none())
            && theirs.map(|one| one.message.heard.as_ref().map(|heard| &heard.by)).all(|by| {
                match self.is_bridged() {
                    true => by == Some(us),
                    false => by.is_none(),
                }
            })
    }
}

/// The name of a part that follows from another one.
pub fn followed_by(part: &Line, what: &str) -> Line {
    let words = hospitium_model::printable(&format!("{part}: {what}"), crate::text::LINE_LIMIT);
    words.parse().unwrap_or_else(|_| part.clone())
}

#[cfg(test)]
mod tests;
