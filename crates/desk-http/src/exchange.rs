//! One exchange with another desk that is called: messages and receipts there and back until neither has anything
//! new, then files.

use std::collections::BTreeSet;
use std::sync::Arc;

use hospitium_desk::folder::{Exchanged, Peer};
use hospitium_desk::owed::missing;
use hospitium_desk::{CaseId, DeskAddress, Office};
use jiff::Timestamp;

use crate::caller::Caller;
use crate::error::ExchangeError;
use crate::files::{bring, fetch};
use crate::parcel::{MOST, PARCEL, Packed, Reply, Which, pack, take};

/// The most rounds of one exchange; what is left comes with the next.
const ROUNDS: u32 = 1_000;
/// Rounds in which nothing new came, before the exchange ends: another desk may say the same for ever.
const IDLE: u32 = 3;

/// Exchanges with another desk: brings what is due, takes what waits there, fetches and brings attachments of at most
/// `most` bytes. With `all`, what was sent a moment ago is sent again.
///
/// # Errors
/// If the other desk does not answer as a desk does, or the database fails.
pub async fn exchange_with(
    office: &Arc<Office>,
    peer: &Peer,
    address: &DeskAddress,
    all: bool,
    most: u64,
) -> Result<Exchanged, ExchangeError> {
    let caller = Caller::new(Arc::clone(office), peer.name.clone(), address);
    let mut done = Exchanged::default();
    // What is not here is asked for: the other desk may be one that cannot be fetched from.
    let lacking = missing(&office.store, &office.vault, &peer.name).await?;
    let answer: BTreeSet<CaseId> = lacking.into_iter().map(|missing| missing.case).collect();
    let which = if all { Which::All } else { Which::Due };
    talk(office, &caller, peer, which, answer, &mut done).await?;
    let came = fetch(office, &caller, peer, most, &mut done).await?;
    bring(office, &caller, peer, &mut done).await?;
    if came {
        let thanks = office.store.with_peer(&peer.name).await?.into_iter().collect();
        talk(office, &caller, peer, Which::Due, thanks, &mut done).await?;
    }
    Ok(done)
}

/// Messages and receipts, there and back.
async fn talk(
    office: &Office,
    caller: &Caller,
    peer: &Peer,
    mut which: Which,
    mut answer: BTreeSet<CaseId>,
    done: &mut Exchanged,
) -> Result<(), ExchangeError> {
    let mut idle = 0;
    for round in 0..ROUNDS {
        let now = Timestamp::now();
        let first: BTreeSet<CaseId> = answer.iter().take(MOST).cloned().collect();
        let Packed { parcel, sent, held, .. } = pack(office, peer, which, &first, now).await?;
        // Those that did not fit go with the next.
        let told: usize = parcel.receipts.len();
        answer = answer.into_iter().skip(told).collect();
        if round > 0 && parcel.messages.is_empty() && parcel.receipts.is_empty() {
            break;
        }
        let body = serde_json::to_vec(&parcel).unwrap_or_default();
        let reply = caller.post("/exchange/v1/messages", body, PARCEL as u64).await?;
        if reply.status != 200 {
            return Err(reply.failed().into());
        }
        let reply: Reply = serde_json::from_slice(&reply.bytes)
            .map_err(|error| reply.garbage(&error.to_string()))?;
        office.store.tried(&sent, now).await?;
        done.sent += parcel.messages.len();
        if round == 0 {
            done.held = held;
        }
        for refused in &reply.refused {
            let why = hospitium_model::printable(&refused.why, 300);
            done.refused.push(format!("{} says: {why}", peer.name));
        }
        let taken = take(office, peer, &reply.parcel, Timestamp::now()).await?;
        let new = taken.done.taken;
        done.taken += new;
        done.known += taken.done.known;
        done.waiting += taken.done.waiting;
        done.refused.extend(taken.done.refused);
        done.voided.extend(taken.done.voided);
        answer.extend(taken.answer);
        // That it has more is believed as long as it comes.
        idle = if new > 0 { 0 } else { idle + 1 };
        if idle > IDLE {
            break;
        }
        // From now on only what a receipt made due again: the rest was just sent.
        which = Which::Due;
        if answer.is_empty() && !reply.more && sent.is_empty() {
            break;
        }
    }
    Ok(())
}
