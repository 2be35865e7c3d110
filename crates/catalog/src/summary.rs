//! What was taken in of logs.

use serde::Serialize;

/// What a rebuild took in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// Each log that was taken in.
    pub logs: Vec<LogSummary>,
    /// Each log that was not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frozen: Vec<Frozen>,
}

/// A log that was given and not taken in. What the catalog had of it stays as of its last good head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Frozen {
    /// The log, if it is known which one that is.
    pub origin: Option<String>,
    /// The folder from which it was to be taken.
    pub folder: String,
    /// Why it was not, as everybody is told who reads the catalog.
    pub why: String,
    /// The same with all that is known.
    pub detail: String,
    /// Entries that stay in, as of the last good head; none if nothing of it is in.
    pub entries: Option<u64>,
}

impl Frozen {
    /// What it means, in a sentence.
    pub fn words(&self) -> String {
        let Self { origin, folder, why, entries, .. } = self;
        let name = origin.as_ref().unwrap_or(folder);
        let name = hospitium_model::printable(name, 200);
        match entries {
            Some(entries) => format!(
                "the log {name} is frozen as of its last good head, of {entries} entries; what it says since is not \
                 known here: {why}"
            ),
            None => format!("nothing of the log {name} is taken in: {why}"),
        }
    }
}

/// What a rebuild took in of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LogSummary {
    /// The log.
    pub origin: String,
    /// The party whose log it is.
    pub party: String,
    /// Entries that its checkpoint has.
    pub entries: u64,
    /// Of these, those that were taken in before: what follows counts the others, but for what is refused.
    pub known: u64,
    /// Validations taken in.
    pub validations: u64,
    /// Suspensions, withdrawals, waivers, endorsements and changes of key taken in.
    pub others: u64,
    /// Records of kinds that this program does not know: kept, and passed over.
    pub unknown: u64,
    /// Entries that are not those of the tree, or cannot be read. What they said is not known: a
    /// withdrawal may be among them.
    pub damaged: u64,
    /// Entries that are not believed, the damaged ones among them.
    pub refused: u64,
    /// Of these, those that the party signed and this program cannot read. A withdrawal may be among
    /// them.
    pub unread: u64,
    /// Of the refused, those that announce another key of the party, which the key before did not sign.
    pub usurped: u64,
    /// Cosignatures that do not count, as they are from the future; in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ahead: Vec<String>,
    /// The first that are not believed.
    pub refusals: Vec<Refusal>,
}

/// An entry that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Its index.
    pub entry: u64,
    /// Why.
    pub why: String,
}
