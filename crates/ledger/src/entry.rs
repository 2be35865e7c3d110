//! The one way in which an entry of a log is believed, whoever reads the log: for one certificate, or for a catalog.

use jiff::Timestamp;

use crate::dsse::Envelope;
use crate::keys::{KeySpan, announces_stranger, holding};
use crate::note::CLOCK_TOLERANCE;
use crate::statement::Statement;
use crate::text::shown;
use crate::vkey::VerifierKey;

/// How the reason begins why an entry that was made in the future is not believed: later it is one like any other.
pub const FUTURE: &str = "it was made in the future";

/// Why an entry is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NotBelieved {
    /// What it may be all the same.
    pub may_be: MayBe,
    /// Why, in words.
    pub why: String,
}

/// What an entry that is not believed may be all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayBe {
    /// Nothing that the party says, or that is known yet.
    Nothing,
    /// Anything that the party says: it signed the entry, and this program cannot read it.
    Anything,
    /// A change of key of somebody who is not the party: no key that is the party's there signed it.
    Usurpation,
}

/// Believes an entry of the log of this party, whose keys these are, and gives the key that signed it: the entry has its one
/// form, a key that holds for its place signed it, it reads, the party speaks for itself, and it is not of the future.
///
/// # Errors
/// If one of these is not so.
pub fn believe<'k>(
    party: &str,
    now: Timestamp,
    keys: &'k [KeySpan],
    (index, bytes): (u64, &[u8]),
) -> Result<(Statement, &'k VerifierKey), NotBelieved> {
    let not = |may_be, why: String| NotBelieved { may_be, why };
    let envelope = Envelope::parse_entry(bytes).map_err(|error| {
        // Of another form than a record has, it is none; what its party signed is told all the same.
        let signed = Envelope::parse(bytes)
            .is_ok_and(|envelope| envelope.verify_among(holding(keys, index)).is_ok());
        let may_be = if signed { MayBe::Anything } else { MayBe::Nothing };
        not(may_be, error.to_string())
    })?;
    let by = envelope.verify_among(holding(keys, index)).map_err(|error| {
        match announces_stranger(envelope.payload(), keys) {
            true => not(
                MayBe::Usurpation,
                format!(
                    "it announces another key of {party}, and the key before did not sign it: {error}"
                ),
            ),
            false => not(MayBe::Nothing, error.to_string()),
        }
    })?;
    let statement = Statement::parse(envelope.payload())
        .map_err(|error| not(MayBe::Anything, error.to_string()))?;
    if let Some(other) = statement.party().filter(|said| *said != party) {
        let why = format!("it speaks for {} in the log of {party}", shown(other));
        return Err(not(MayBe::Nothing, why));
    }
    let latest = now.checked_add(CLOCK_TOLERANCE).unwrap_or(Timestamp::MAX);
    if let Some(issued) = statement.issued().filter(|issued| *issued > latest) {
        return Err(not(MayBe::Nothing, format!("{FUTURE}, on {issued}")));
    }
    Ok((statement, by))
}
