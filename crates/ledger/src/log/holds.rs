//! Whether a log has announced that its party's key is given up. Only what was not looked at before is read:
//! up to where that is known, is kept with the party's keys.

use super::{LogError, LogFolder};
use crate::files::{self, Access};
use crate::keys::{GivenUp, given_up};
use crate::note::Head;
use crate::party::Party;
use crate::text::decimal;

/// The most bytes of what is kept.
const LIMIT: u64 = 1 << 10;
/// So many entries are read again rather than noted each time.
const AGAIN: u64 = 512;

/// Where the party's record key was given up in its log, if it was.
pub fn key_given_up(
    folder: &LogFolder,
    head: &Head,
    party: &Party,
) -> Result<Option<GivenUp>, LogError> {
    let key = party.public.record.to_string();
    let path = party.signed().join("record-key-holds");
    let known = match files::read(&path, LIMIT) {
        Err(error) if error.is_absent() => 0,
        // Whatever else it is: then all of the log is read.
        Err(_) => 0,
        Ok(bytes) => known(&String::from_utf8_lossy(&bytes), &head.origin, &key).unwrap_or(0),
    };
    let found = given_up(folder, head, &party.public.record, known.min(head.size))?;
    if found.is_none() && head.size.saturating_sub(known) >= AGAIN {
        files::make_folder(&party.signed())?;
        let text = format!("{}\n{key}\n{}\n", head.origin, head.size);
        files::put(&path, text.as_bytes(), Access::Public)?;
    }
    Ok(found)
}

/// Up to which entry of this log it is known that this key holds.
fn known(text: &str, origin: &str, key: &str) -> Option<u64> {
    let mut lines = text.lines();
    let same = lines.next()? == origin && lines.next()? == key;
    decimal(lines.next()?).filter(|_| same)
}
