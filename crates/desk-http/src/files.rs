//! Attachments in pieces, so that none is ever in memory and one that broke off goes on where it was.

use std::io::{Read as _, Seek as _, SeekFrom};

use hospitium_desk::exchange::verify_receipt;
use hospitium_desk::folder::{Exchanged, Peer};
use hospitium_desk::owed::{Missing, NotGiven, missing, to_give};
use hospitium_desk::{Added, Office, Vault, VaultError};
use hospitium_model::{Digest, printable};
use serde::{Deserialize, Serialize};

use crate::caller::{CallError, Caller};
use crate::error::ExchangeError;

/// The most bytes of a piece.
pub const PIECE: usize = 2 << 20;
/// The size of a whole attachment beside a piece of it.
pub const SIZE: &str = "x-attachment-size";

/// How often a piece is tried whose place was told to be another, and how many pieces may be smaller than due.
const TURNS: u32 = 16;

/// How much of an attachment is here.
#[derive(Debug, Serialize, Deserialize)]
pub struct Have {
    /// So many bytes.
    pub have: u64,
    /// Once it is whole: a receipt that does not ask for it any more.
    pub receipt: Option<String>,
}

/// A piece of an attachment, from this byte on; nothing behind its end.
pub fn read_piece(vault: &Vault, sha256: &Digest, from: u64) -> Result<Vec<u8>, VaultError> {
    let mut file = vault.get(sha256)?;
    file.seek(SeekFrom::Start(from)).map_err(VaultError::Source)?;
    let mut bytes = Vec::new();
    file.take(PIECE as u64).read_to_end(&mut bytes).map_err(VaultError::Source)?;
    Ok(bytes)
}

fn path(missing: &Missing, from: u64) -> String {
    format!("/exchange/v1/files/{}/{}?from={from}", missing.case, missing.sha256)
}

/// Fetches what the other desk announced and is not here. Gives whether anything came. One that is refused, or whose
/// bytes are others, does not keep the rest.
pub async fn fetch(
    office: &Office,
    caller: &Caller,
    peer: &Peer,
    most: u64,
    done: &mut Exchanged,
) -> Result<bool, ExchangeError> {
    let before = done.files;
    for wanted in missing(&office.store, &office.vault, &peer.name).await? {
        if wanted.size > most {
            let Missing { case, sha256, size } = &wanted;
            done.refused.push(format!(
                "{case}: the attachment {sha256} has {size} bytes, and at most {most} are fetched; carry it as a file"
            ));
            continue;
        }
        match fetch_one(office, caller, &wanted).await {
            Ok(true) => done.files += 1,
            Ok(false) => {}
            Err(Fetch::Refused(why)) => done.refused.push(format!("{}: {why}", wanted.case)),
            Err(Fetch::Failed(error)) => return Err(error.into()),
        }
    }
    Ok(done.files > before)
}

enum Fetch {
    /// Of this attachment only.
    Refused(String),
    /// The other desk does not answer.
    Failed(CallError),
}

/// Gives whether it is whole now; it is not if the other desk has not got it itself.
async fn fetch_one(office: &Office, caller: &Caller, wanted: &Missing) -> Result<bool, Fetch> {
    let mut short = 0;
    loop {
        let vault = office.vault.theirs(&wanted.case);
        let from = vault.have(&wanted.sha256, wanted.size);
        let answer = caller.get(&path(wanted, from), PIECE as u64).await.map_err(Fetch::Failed)?;
        match answer.status {
            200 => {}
            404 => return Ok(false),
            403 => return Err(Fetch::Refused(answer.words())),
            _ => return Err(Fetch::Failed(answer.failed())),
        }
        if answer.header(SIZE) != Some(wanted.size.to_string().as_str()) || answer.bytes.is_empty()
        {
            let why = "the other desk has an attachment of another size than it announced";
            return Err(Fetch::Refused(why.to_owned()));
        }
        // A desk that gives it byte by byte would keep all others waiting. What came stays for the next exchange.
        let due = usize::try_from(wanted.size.saturating_sub(from)).unwrap_or(PIECE).min(PIECE);
        short += u32::from(answer.bytes.len() < due);
        if short > TURNS {
            let why = "the other desk gives the attachment in pieces that are too small; the rest is asked for again";
            return Err(Fetch::Refused(why.to_owned()));
        }
        let wanted = wanted.clone();
        let add = move || vault.add(&wanted.sha256, wanted.size, from, &answer.bytes);
        match tokio::task::spawn_blocking(add).await {
            Ok(Ok(Added::Part(_))) => {}
            Ok(Ok(Added::Whole)) => return Ok(true),
            // Another exchange brings it.
            Ok(Err(VaultError::Busy(_) | VaultError::Gap { .. })) => return Ok(false),
            Ok(Err(error)) => return Err(Fetch::Refused(error.to_string())),
            Err(error) => return Err(Fetch::Refused(printable(&error.to_string(), 200))),
        }
    }
}

/// Brings what the other desk asked for in its last receipts. Gives whether anything was brought.
pub async fn bring(
    office: &Office,
    caller: &Caller,
    peer: &Peer,
    done: &mut Exchanged,
) -> Result<bool, ExchangeError> {
    let mut receipts = Vec::new();
    for wanted in office.store.wanted(&peer.name).await? {
        let thread = office.store.load(&wanted.case).await?;
        for sha256 in wanted.files {
            let file = match to_give(&thread, &sha256) {
                Ok(file) => file,
                Err(NotGiven::Unknown) => continue,
                Err(NotGiven::Held) => {
                    done.held.push(format!("{}: evidence ({sha256})", wanted.case));
                    continue;
                }
            };
            if !office.vault.has(&sha256) {
                continue;
            }
            let one = Missing { case: wanted.case.clone(), sha256, size: file.file.size };
            match bring_one(office, caller, &one).await {
                Ok(receipt) => {
                    done.files_sent += 1;
                    receipts.extend(receipt);
                }
                Err(Fetch::Refused(why)) => done.refused.push(format!("{}: {why}", one.case)),
                Err(Fetch::Failed(error)) => return Err(error.into()),
            }
        }
    }
    for text in receipts {
        let now = jiff::Timestamp::now();
        let receipt = verify_receipt(text.as_bytes(), &peer.keys, now)?;
        office.store.take_receipt(&receipt, now).await?;
    }
    Ok(done.files_sent > 0)
}

async fn bring_one(
    office: &Office,
    caller: &Caller,
    one: &Missing,
) -> Result<Option<String>, Fetch> {
    let broken = |why: &str| Fetch::Refused(why.to_owned());
    // An empty piece asks how much is there already.
    let mut from = 0;
    let mut turns = TURNS;
    let mut ask = one.size > PIECE as u64;
    loop {
        let bytes = match ask {
            true => Vec::new(),
            false => {
                let (vault, sha256) = (office.vault.clone(), one.sha256);
                let read = tokio::task::spawn_blocking(move || read_piece(&vault, &sha256, from));
                let read = read.await.map_err(|_| broken("the attachment cannot be read"))?;
                read.map_err(|error| Fetch::Refused(error.to_string()))?
            }
        };
        if bytes.is_empty() && !ask {
            return Err(broken("the other desk asks for more bytes than the attachment has"));
        }
        let answer = caller.put(&path(one, from), bytes).await.map_err(Fetch::Failed)?;
        let told = || serde_json::from_slice::<Have>(&answer.bytes).ok();
        let moved = match answer.status {
            200 => true,
            409 => false,
            403 | 404 | 413 | 422 => return Err(Fetch::Refused(answer.words())),
            _ => return Err(Fetch::Failed(answer.failed())),
        };
        let Some(have) = told() else { return Err(broken("its answer is no answer")) };
        if have.receipt.is_some() {
            return Ok(have.receipt);
        }
        if !moved || have.have <= from && !ask {
            turns = turns.checked_sub(1).ok_or_else(|| {
                broken("the other desk tells another place each time; another exchange brings the same")
            })?;
        }
        (from, ask) = (have.have, false);
    }
}
