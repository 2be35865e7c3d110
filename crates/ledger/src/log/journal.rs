//! What is about to be appended, on the medium before any head over it is signed. So a crash at any
//! point is followed by the very same head, never by another one of the same size.
//!
//! Form: a line `hospitium-log-journal 1`, a line with the origin, a line with the size of the log
//! before, then each entry led by its length in 16 bits, then SHA-256 over all that.

use hospitium_model::Digest;

use super::{ENTRY_LIMIT, LogError};
use crate::files;
use crate::text::decimal;

/// Name of the journal's file.
pub const JOURNAL: &str = ".journal";
/// The most bytes of entries in one.
pub const BYTES: usize = 64 << 20;
/// The most entries in one.
pub const ENTRIES: usize = 1 << 16;
/// The most bytes of the file.
const LIMIT: u64 = (BYTES + ENTRY_LIMIT + 2 * ENTRIES + 1024) as u64;
const MAGIC: &str = "hospitium-log-journal 1";

/// Entries that follow a log of this size.
#[derive(Debug, PartialEq, Eq)]
pub struct Journal {
    /// Entries before.
    pub base: u64,
    /// Entries to append.
    pub entries: Vec<Vec<u8>>,
}

/// The file's bytes.
pub fn encode(origin: &str, base: u64, entries: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = format!("{MAGIC}\n{origin}\n{base}\n").into_bytes();
    for entry in entries {
        push_entry(&mut bytes, entry.as_ref());
    }
    let digest = Digest::of(&bytes);
    bytes.extend(digest.as_bytes());
    bytes
}

/// Adds an entry as bundles and journals have it. It has at most [`ENTRY_LIMIT`] bytes.
pub fn push_entry(bytes: &mut Vec<u8>, entry: &[u8]) {
    let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
    bytes.extend(length.to_be_bytes());
    bytes.extend(entry);
}

/// Reads the file's bytes; none if they are not whole or not of this log.
pub fn decode(origin: &str, bytes: &[u8]) -> Option<Journal> {
    let (body, digest) = bytes.split_last_chunk::<32>()?;
    if Digest::of(body).as_bytes() != digest {
        return None;
    }
    let mut parts = body.splitn(4, |byte| *byte == b'\n');
    let mut text = || std::str::from_utf8(parts.next()?).ok();
    if text()? != MAGIC || text()? != origin {
        return None;
    }
    let base = decimal(text()?)?;
    let mut rest = parts.next()?;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (entry, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry.to_vec());
        rest = after;
    }
    Some(Journal { base, entries })
}

/// Reads the journal of a log, if there is one.
pub fn read(folder: &std::path::Path, origin: &str) -> Result<Option<Journal>, LogError> {
    let path = folder.join(JOURNAL);
    let bytes = match files::read(&path, LIMIT) {
        Err(error) if error.is_absent() => return Ok(None),
        other => other?,
    };
    // It is put in place by a rename after it was flushed: what is there has to be whole.
    let why = || "it is not whole, or of another log; restore the log from a copy".to_owned();
    decode(origin, &bytes).map(Some).ok_or_else(|| LogError::Damaged { path, why: why() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_survives_its_bytes_and_no_change_goes_unseen() {
        let entries = vec![b"one\n".to_vec(), vec![0; 65_535], b"x".to_vec()];
        let bytes = encode("vendor.example/log", 7, &entries);
        let read = decode("vendor.example/log", &bytes).expect("reads");
        assert_eq!(read, Journal { base: 7, entries });
        assert_eq!(decode("other.example/log", &bytes), None);
        for at in [0, 10, 30, bytes.len() / 2, bytes.len() - 1] {
            let mut bent = bytes.clone();
            bent[at] ^= 1;
            assert_eq!(decode("vendor.example/log", &bent), None, "{at}");
            assert_eq!(decode("vendor.example/log", &bytes[..at]), None, "cut at {at}");
        }
    }
}
