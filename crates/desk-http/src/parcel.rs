//! What goes with one request, and what comes back: messages and receipts, each signed by itself.

use std::collections::{BTreeMap, BTreeSet};

use hospitium_desk::exchange::{
    Receipt, Sealed, Taken as Became, Thread, WANTS, case_of, sign_receipt, verify_receipt,
};
use hospitium_desk::folder::{Exchanged, Peer};
use hospitium_desk::owed::missing_of;
use hospitium_desk::store::{Due, Got, OfCase, StoreError};
use hospitium_desk::{CaseId, Deed, Office};
use hospitium_model::{Digest, printable};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::ExchangeError;

/// The most bytes of a parcel, and of a reply.
pub const PARCEL: usize = 1 << 20;
/// The bytes of messages that are put into one; what JSON adds fits into the rest.
const FILL: usize = PARCEL * 3 / 4;
/// The most messages, and the most receipts, of one.
pub const MOST: usize = 256;

/// What one desk brings to another.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Parcel {
    /// Signed messages, those of a case in their order.
    #[serde(default)]
    pub messages: Vec<String>,
    /// Signed receipts.
    #[serde(default)]
    pub receipts: Vec<String>,
}

/// What it takes back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reply {
    /// What waits for the one who asks, and receipts for what it brought.
    #[serde(flatten)]
    pub parcel: Parcel,
    /// What of the parcel was refused.
    #[serde(default)]
    pub refused: Vec<Unwanted>,
    /// More waits.
    #[serde(default)]
    pub more: bool,
}

/// Something that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unwanted {
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Why.
    pub why: String,
}

/// What became of a parcel that came in.
#[derive(Debug, Default)]
pub struct Taken {
    /// Counted.
    pub done: Exchanged,
    /// Cases of which a receipt has to go back.
    pub answer: BTreeSet<CaseId>,
    /// What was refused.
    pub refused: Vec<Unwanted>,
    /// Files may have to be fetched or brought: one was announced, or asked for.
    pub files: bool,
}

/// Takes a parcel in. What is new is stored before this returns; one message that is refused does not keep the others.
///
/// # Errors
/// If the database fails; what was taken before is stored, and the parcel has to come again.
pub async fn take(
    office: &Office,
    peer: &Peer,
    parcel: &Parcel,
    now: Timestamp,
) -> Result<Taken, StoreError> {
    let mut taken = Taken::default();
    let (cases, others) = by_case(parcel);
    for bytes in others {
        let got = office.store.take_message(bytes, &peer.keys, &office.us, now).await?;
        taken.note(bytes, got);
    }
    let store = &office.store;
    let got = store.take_messages(&cases, &peer.keys, &office.us, now).await?;
    for (OfCase { messages, .. }, got) in cases.iter().zip(got) {
        messages.iter().zip(got).for_each(|(bytes, got)| taken.note(bytes, got));
    }
    let mut receipts = Vec::new();
    for text in parcel.receipts.iter().take(MOST) {
        match verify_receipt(text.as_bytes(), &peer.keys, now) {
            Ok(receipt) => receipts.push((text, receipt)),
            Err(error) => {
                taken.done.refused.push(error.to_string());
                taken.refuse(text.as_bytes(), &error.to_string());
            }
        }
    }
    // In one order everywhere: two parcels at once do not wait for each other.
    receipts.sort_by(|(_, one), (_, other)| one.case.cmp(&other.case));
    let (texts, receipts): (Vec<_>, Vec<_>) = receipts.into_iter().unzip();
    let known = store.take_receipts(&receipts, now).await?;
    for ((text, receipt), known) in texts.iter().zip(&receipts).zip(known) {
        if known {
            taken.files |= !receipt.wants.is_empty();
        } else {
            tracing::debug!("a receipt of {} is about nothing here", peer.name);
            taken.refuse(text.as_bytes(), "it is about no case of this desk");
        }
    }
    Ok(taken)
}

/// The messages of a parcel by the case that they speak of, each case's in their order; and those that speak of none.
fn by_case(parcel: &Parcel) -> (Vec<OfCase<'_>>, Vec<&[u8]>) {
    let (mut cases, mut others) = (BTreeMap::<CaseId, Vec<&[u8]>>::new(), Vec::new());
    for message in parcel.messages.iter().take(MOST) {
        let bytes = message.as_bytes();
        match case_of(bytes) {
            Some((case, _)) => cases.entry(case).or_default().push(bytes),
            None => others.push(bytes),
        }
    }
    let cases = cases.into_iter().map(|(case, messages)| OfCase { case, messages });
    (cases.collect(), others)
}

impl Taken {
    /// What became of a message.
    fn note(&mut self, bytes: &[u8], got: Got) {
        self.answer.extend(got.receipt.map(|receipt| receipt.case));
        match got.taken {
            Ok(Became::New { stored, voided }) => {
                self.done.taken += stored.len();
                self.done.voided.extend(voided.iter().map(|void| void.why.to_string()));
                let announced =
                    |sealed: &Sealed| matches!(sealed.message.event.deed, Deed::Attached { .. });
                self.files |= stored.iter().any(announced);
            }
            Ok(Became::Known) => self.done.known += 1,
            Ok(Became::Held { .. }) => self.done.waiting += 1,
            Err(refusal) => {
                match refusal.is_for_now() {
                    true => self.done.waiting += 1,
                    false => self.done.refused.push(refusal.to_string()),
                }
                self.refuse(bytes, &refusal.to_string());
            }
        }
    }

    fn refuse(&mut self, bytes: &[u8], why: &str) {
        let why = printable(why, 500);
        self.refused.push(Unwanted { sha256: Digest::of(bytes), why });
    }
}

/// Which messages are put into a parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All that the other desk is not known to have.
    All,
    /// Those of cases whose time has come: what was sent and not answered waits before it is sent again.
    Due,
}

/// What is put into a parcel.
#[derive(Debug, Default)]
pub struct Packed {
    /// The parcel.
    pub parcel: Parcel,
    /// The cases whose messages are in it.
    pub sent: Vec<Due>,
    /// Something did not fit.
    pub more: bool,
    /// Cases of which something is held back, and what the customer does not allow.
    pub held: Vec<String>,
}

/// Packs what waits for a peer, and receipts of these cases.
///
/// # Errors
/// If the database fails.
pub async fn pack(
    office: &Office,
    peer: &Peer,
    which: Which,
    answer: &BTreeSet<CaseId>,
    now: Timestamp,
) -> Result<Packed, ExchangeError> {
    let mut packed = Packed::default();
    let mut size = 0;
    for id in answer {
        let thread = office.store.load(id).await?;
        if thread.case().party(thread.us().other()) != &peer.name {
            continue;
        }
        let text = receipt(office, &thread, now)?;
        if size + text.len() > FILL || packed.parcel.receipts.len() >= MOST {
            packed.more = true;
            break;
        }
        size += text.len();
        packed.parcel.receipts.push(text);
    }
    let until = match which {
        Which::All => Timestamp::MAX,
        Which::Due => now,
    };
    let party = office.party();
    for due in office.store.due(until).await? {
        if due.peer != peer.name {
            continue;
        }
        let thread = office.store.load(&due.case).await?;
        let outgoing = thread.outgoing();
        if !outgoing.held.is_empty() {
            let what: Vec<_> = outgoing.held.iter().map(ToString::to_string).collect();
            packed.held.push(format!("{}: {}", due.case, what.join(", ")));
        }
        let mut any = false;
        for sealed in outgoing.messages {
            let bytes = sealed.signed_by(&party.record);
            if size + bytes.len() > FILL || packed.parcel.messages.len() >= MOST {
                packed.more = true;
                break;
            }
            size += bytes.len();
            packed.parcel.messages.push(String::from_utf8_lossy(&bytes).into_owned());
            any = true;
        }
        if any {
            packed.sent.push(due);
        }
        if packed.more {
            break;
        }
    }
    Ok(packed)
}

/// A signed receipt of a case, with the files that are not here.
///
/// # Errors
/// If it cannot be written (never).
pub fn receipt(office: &Office, thread: &Thread, now: Timestamp) -> Result<String, ExchangeError> {
    let wants = missing_of(thread, &office.vault).map(|missing| missing.sha256).take(WANTS);
    let receipt = Receipt { wants: wants.collect(), ..thread.receipt(now, None) };
    let party = office.party();
    let bytes = sign_receipt(&receipt, &party.record)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
