//! Two chains, merged in one order that both desks find alike.

use super::message::{Link, Sealed};
use crate::apply::{Not, advance, apply};
use crate::case::Case;
use crate::fault::Illegal;
use crate::opened::open;
use crate::people::{Both, Side};

/// A message that came to nothing: where it stands in the common order, its event was not legal. That is what
/// becomes of the later one of two that were said at the same time and cannot both be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voided {
    /// Whose.
    pub by: Side,
    /// Which.
    pub link: Link,
    /// Why.
    pub why: Illegal,
}

/// The most messages of one side of a case, and the most bytes of them: a case is replayed as a whole.
const MESSAGES: usize = 5_000;
const BYTES: usize = 16 << 20;

/// Whether a side has said all that a case takes, before it says so many bytes more.
pub fn is_full(chain: &[Sealed], more: usize) -> bool {
    let bytes: usize = chain.iter().map(|sealed| sealed.bytes.len()).sum();
    chain.len() >= MESSAGES || bytes.saturating_add(more) > BYTES
}

/// The common order: a message stands behind all that its sender had seen; of two that did not see each other,
/// the one with the earlier time is first, and at the same time the submitter's. Gives the places in the chains.
pub fn merge(chains: &Both<Vec<Sealed>>) -> Vec<(Side, usize)> {
    let (ours, theirs) = (&chains.submitter, &chains.receiver);
    let seen = |sealed: &Sealed| {
        sealed.message.seen.map_or(0, |link| usize::try_from(link.seq).unwrap_or(usize::MAX))
    };
    let mut order = Vec::with_capacity(ours.len() + theirs.len());
    let (mut a, mut b) = (0, 0);
    loop {
        let one = ours.get(a).filter(|next| seen(next) <= b);
        let other = theirs.get(b).filter(|next| seen(next) <= a);
        let side = match (one, other) {
            (None, None) => break,
            (Some(_), None) => Side::Submitter,
            (None, Some(_)) => Side::Receiver,
            (Some(one), Some(other)) if one.at() <= other.at() => Side::Submitter,
            (Some(_), Some(_)) => Side::Receiver,
        };
        match side {
            Side::Submitter => {
                order.push((side, a));
                a += 1;
            }
            Side::Receiver => {
                order.push((side, b));
                b += 1;
            }
        }
    }
    order
}

/// The case that the chains make, and what came to nothing.
///
/// # Errors
/// If the first message does not open a case.
pub fn replay(chains: &Both<Vec<Sealed>>) -> Result<(Case, Vec<Voided>), Illegal> {
    let mut case: Option<Case> = None;
    let mut voided = Vec::new();
    let mut done: Vec<&Sealed> = Vec::new();
    for (side, place) in merge(chains) {
        let Some(sealed) = chains.of(side).get(place) else { continue };
        let event = &sealed.message.event;
        let Some(known) = &mut case else {
            case = Some(open(event)?);
            done.push(sealed);
            continue;
        };
        match advance(known, event) {
            Ok(()) => done.push(sealed),
            Err(Not::Begun(why)) => {
                voided.push(Voided { by: side, link: sealed.link(), why: *why })
            }
            Err(Not::Whole) => {
                // Rare: what came before is made anew, without this one.
                *known = again(&done)?;
                if let Err(why) = apply(known, event) {
                    voided.push(Voided { by: side, link: sealed.link(), why });
                }
            }
        }
    }
    match case {
        Some(case) => Ok((case, voided)),
        None => Err(not_open()),
    }
}

/// The case that these make, each of which was legal before.
fn again(done: &[&Sealed]) -> Result<Case, Illegal> {
    let mut case: Option<Case> = None;
    for sealed in done {
        match &mut case {
            None => case = Some(open(&sealed.message.event)?),
            Some(known) => match advance(known, &sealed.message.event) {
                Ok(()) => {}
                Err(Not::Begun(why)) => return Err(*why),
                Err(Not::Whole) => return Err(not_open()),
            },
        }
    }
    case.ok_or_else(not_open)
}

/// Nothing opens the case.
fn not_open() -> Illegal {
    Illegal {
        deed: crate::event::DeedKind::Opened,
        by: Side::Submitter,
        state: None,
        fault: crate::fault::Fault::NotOpen,
        legal: Vec::new(),
    }
}
