//! Records of kinds that this program does not know: kept in the log and passed over, so that the format can grow.

use std::collections::BTreeSet;

use hospitium_model::Digest;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Hexadecimal digits of a SHA-256.
const DIGITS: usize = 64;

/// A record of a kind that is not known here. What it says is not known either; which digests it names, is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Its predicate's type.
    pub kind: String,
    /// The party that says it, where the record tells that as ours do.
    pub party: Option<String>,
    /// When it was made, in the same way.
    pub issued: Option<Timestamp>,
    /// The predicate, as JSON.
    predicate: String,
}

/// What our own predicates have in common, at their top or under `hospitium`.
#[derive(Deserialize)]
struct Common {
    party: Option<String>,
    issued: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Outer {
    hospitium: Option<Common>,
}

impl Unknown {
    pub(super) fn of(kind: &str, predicate: &RawValue) -> Self {
        let text = predicate.get();
        let outer = serde_json::from_str::<Outer>(text).ok().and_then(|outer| outer.hospitium);
        let common = outer.or_else(|| serde_json::from_str::<Common>(text).ok());
        let (party, issued) = common.map_or((None, None), |c| (c.party, c.issued));
        Self { kind: kind.to_owned(), party, issued, predicate: text.to_owned() }
    }

    pub(super) fn predicate(&self) -> Result<Box<RawValue>, serde_json::Error> {
        RawValue::from_string(self.predicate.clone())
    }

    /// Every SHA-256 that its predicate has in hexadecimal digits: what it may be about besides its subject.
    pub(super) fn named(&self) -> BTreeSet<Digest> {
        let runs = self.predicate.split(|c: char| !c.is_ascii_hexdigit());
        let whole = runs.filter(|run| run.len() == DIGITS);
        whole.filter_map(|run| run.to_ascii_lowercase().parse().ok()).collect()
    }
}
