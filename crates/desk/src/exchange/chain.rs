//! Two chains, merged in one order that both desks find alike.

use super::message::{Link, Sealed};
use crate::apply::apply;
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
    for (side, place) in merge(chains) {
        let Some(sealed) = chains.of(side).get(place) else { continue };
        match &case {
            None => case = Some(open(&sealed.message.event)?),
            Some(known) => match apply(known, &sealed.message.event) {
                Ok(next) => case = Some(next),
                Err(why) => voided.push(Voided { by: side, link: sealed.link(), why }),
            },
        }
    }
    match case {
        Some(case) => Ok((case, voided)),
        None => Err(Illegal {
            deed: crate::event::DeedKind::Opened,
            by: Side::Submitter,
            state: None,
            fault: crate::fault::Fault::NotOpen,
            legal: Vec::new(),
        }),
    }
}
