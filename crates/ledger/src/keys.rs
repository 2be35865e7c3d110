//! A party's keys for records: which of them holds for which entry, and where one was given up.

use serde::Deserialize;

use crate::dsse::Envelope;
use crate::entry::{MayBe, NotBelieved};
use crate::log::{LogError, LogFolder};
use crate::note::Head;
use crate::party::{PublicParty, RetiredKey};
use crate::statement::{KeyChange, KeyRole, Record, Statement, predicate};
use crate::tile::WIDTH;
use crate::vkey::VerifierKey;

/// A key of a party's records, and for which entries it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySpan {
    /// The key.
    pub key: VerifierKey,
    /// First entry that it may have signed.
    pub from: u64,
    /// Last entry that it may have signed: the one that announces its successor.
    pub until: Option<u64>,
}

/// Takes in a change of a party's record key that stands at this entry and was signed by this key: from the
/// next entry on the new one holds, and the old one no longer. Gives whether any key changed: that of the log or
/// the witness is of no weight here.
///
/// # Errors
/// If it gives up another key than the one that signed it, or for a key that is not the party's: somebody may have taken
/// the log over.
pub fn change_key(
    keys: &mut Vec<KeySpan>,
    party: &str,
    index: u64,
    by: &VerifierKey,
    change: &KeyChange,
) -> Result<bool, NotBelieved> {
    if change.role != KeyRole::Record {
        return Ok(false);
    }
    if !is_change(party, by, change) {
        let why = "it changes a key, and that key did not sign it".into();
        return Err(NotBelieved { may_be: MayBe::Usurpation, why });
    }
    for span in &mut *keys {
        if span.key == change.old && span.until.is_none() {
            span.until = Some(index);
        }
    }
    if !keys.iter().any(|span| span.key == change.new) {
        keys.push(KeySpan { key: change.new.clone(), from: index + 1, until: None });
    }
    Ok(true)
}

/// Whether a statement, whoever signed it, announces a key for records that is not known.
pub fn announces_stranger(payload: &[u8], known: &[KeySpan]) -> bool {
    let Ok(Statement { record: Record::KeyChange(change), .. }) = Statement::parse(payload) else {
        return false;
    };
    change.role == KeyRole::Record && !known.iter().any(|span| span.key == change.new)
}

/// Whether a change of key that this key signed gives it up for another one of its party.
fn is_change(party: &str, by: &VerifierKey, change: &KeyChange) -> bool {
    change.role == KeyRole::Record
        && change.old == *by
        && change.new.name() == party
        && change.new != change.old
}

/// The keys that hold for this entry.
pub fn holding(keys: &[KeySpan], index: u64) -> impl Iterator<Item = &VerifierKey> + Clone {
    keys.iter()
        .filter(move |span| span.from <= index && span.until.is_none_or(|until| index <= until))
        .map(|span| &span.key)
}

/// Where a key was given up, and for which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// The entry that announces it, the last that the key may have signed.
    pub until: u64,
    /// The key that follows.
    pub new: VerifierKey,
}

/// Looks for the first change of this key in a log, from an entry on. The log is taken to be the party's own:
/// what is found is believed by its signature, not by its place in the tree.
///
/// # Errors
/// If the log cannot be read.
pub fn given_up(
    folder: &LogFolder,
    head: &Head,
    key: &VerifierKey,
    from: u64,
) -> Result<Option<GivenUp>, LogError> {
    #[derive(Deserialize)]
    struct Peek {
        #[serde(rename = "predicateType")]
        predicate_type: String,
    }
    let mut bundle = from / WIDTH;
    while bundle * WIDTH < head.size {
        let first = bundle * WIDTH;
        let entries = folder.bundle(bundle, (head.size - first).min(WIDTH))?;
        for (index, entry) in (first..).zip(entries).filter(|(index, _)| *index >= from) {
            // What is no record has no say here.
            let Ok(envelope) = Envelope::parse(&entry) else { continue };
            let peek = serde_json::from_slice::<Peek>(envelope.payload());
            if peek
                .is_ok_and(|peek| predicate::present(&peek.predicate_type) == predicate::KEY_CHANGE)
                && let Ok(by) = envelope.verify(std::slice::from_ref(key))
                && let Ok(statement) = Statement::parse(envelope.payload())
                && let Record::KeyChange(change) = statement.record
                && change.party == key.name()
                && is_change(key.name(), by, &change)
            {
                return Ok(Some(GivenUp { until: index, new: change.new }));
            }
        }
        bundle += 1;
    }
    Ok(None)
}

/// Why a party's other keys are not taken for its own.
#[derive(Debug, thiserror::Error)]
pub enum NotFollowed {
    /// The log's or the witness's key.
    #[error(
        "the key of its {which} is another one, and nothing can show that this follows: a log proves changes of the key \
         of records only"
    )]
    Other {
        /// `log` or `witness`.
        which: &'static str,
    },
    /// The log does not have the change.
    #[error(
        "its log, {size} entries, has no change of key, signed with the key that is known, that leads to the key \
         {shown}"
    )]
    Unsigned {
        /// Entries of the log.
        size: u64,
        /// The key that it shows now.
        shown: String,
    },
    /// It tells other keys that it gave up than its log does.
    #[error("the keys that it says it gave up are not those that its log says")]
    Retired,
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Whether the keys that a party shows now follow those that are known of it, by changes of key in its log, each signed
/// with the key before. The head has to be one that the log's known key signed.
///
/// # Errors
/// If they do not, or the log cannot be read.
pub fn followed(
    folder: &LogFolder,
    head: &Head,
    known: &PublicParty,
    now: &PublicParty,
) -> Result<(), NotFollowed> {
    for (which, old, new) in
        [("log", &known.log, &now.log), ("witness", &known.witness, &now.witness)]
    {
        if old != new {
            return Err(NotFollowed::Other { which });
        }
    }
    let mut retired = known.retired.clone();
    let (mut key, mut from) = (known.record.clone(), 0);
    while key != now.record {
        let unsigned = || NotFollowed::Unsigned { size: head.size, shown: now.record.to_string() };
        let found = given_up(folder, head, &key, from)?.ok_or_else(unsigned)?;
        retired.push(RetiredKey { key, until: found.until });
        (key, from) = (found.new, found.until + 1);
    }
    if retired == now.retired { Ok(()) } else { Err(NotFollowed::Retired) }
}
