//! Why what rests on a record is not certain: of its log, or of a log that bears it out, something is not known here.
//!
//! It is worked out once, when a record is read ([`Stored::uncertain`]); answers, plans, lists, exports, badges and
//! pages all tell that one value.

use std::collections::{BTreeSet, HashMap};

use crate::record::{OfUnknownKind, Stored};
use crate::tell::{LogRow, RefusedHead};
use crate::{Catalog, CatalogError};

impl OfUnknownKind {
    /// What it means for a record that it names, in a sentence.
    pub(crate) fn words(&self, record: &Stored) -> String {
        format!(
            "entry {} of {} names {}, or what bears it out, and is of a kind that this program does not know ({}): a \
             withdrawal may be such. A later hospitium may read it",
            self.entry,
            self.log,
            record.place(),
            self.kind
        )
    }
}

/// The logs on which nothing that rests is certain, each with why.
#[derive(Debug, Default)]
pub struct Doubts(HashMap<i64, String>);

impl Doubts {
    /// Of these logs, with the heads that were refused.
    pub fn of<'a>(logs: impl IntoIterator<Item = &'a LogRow>, refused: &[RefusedHead]) -> Self {
        let forked = refused.iter().filter(|head| head.is_fork());
        let forked: BTreeSet<&str> = forked.map(|head| head.origin.as_str()).collect();
        let of_log = |log: &LogRow| {
            of_log(log, forked.contains(log.origin.as_str())).map(|why| (log.id, why))
        };
        Self(logs.into_iter().filter_map(of_log).collect())
    }

    /// Why what rests on a record is not certain, if that is so. What bears it out, and what names it, is to be known
    /// of it by then.
    pub fn of_record(&self, record: &Stored) -> Option<String> {
        let unknown = record.unknown.first().map(|of| of.words(record));
        let logs = std::iter::once(record.log_id).chain(record.endorsed.iter().map(|by| by.log_id));
        unknown.or_else(|| logs.into_iter().find_map(|log| self.0.get(&log).cloned()))
    }
}

fn of_log(log: &LogRow, is_forked: bool) -> Option<String> {
    let LogRow { damaged, unread, usurped, .. } = log;
    let origin = hospitium_model::printable(&log.origin, 200);
    if is_forked {
        return Some(format!(
            "{origin} was forked, and what its other branch says is not known here"
        ));
    }
    match (log.frozen_words(), *damaged + *unread, *usurped) {
        (Some(words), ..) => Some(words),
        (None, 0, 0) => None,
        (None, 0, _) => Some(format!(
            "entries of {origin} announce a key that the one before did not sign; nothing signed with it is taken in"
        )),
        (None, count, _) => Some(format!(
            "{count} entries of {origin} cannot be read here, and a withdrawal may be among them"
        )),
    }
}

impl Catalog {
    /// The logs on which nothing that rests is certain.
    pub(crate) async fn doubts(&self) -> Result<Doubts, CatalogError> {
        Ok(Doubts::of(&self.log_rows().await?, &self.refused_heads().await?))
    }
}
