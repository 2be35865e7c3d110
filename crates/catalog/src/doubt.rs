//! Why what rests on a record is not certain: of its log, or of a log that bears it out, something is not known here.

use crate::desk::Ready;
use crate::pair::Judged;
use crate::record::{OfUnknownKind, Stored};
use crate::tell::LogRow;

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

impl Ready {
    /// Why nothing that rests on a log is certain, if that is so.
    pub(crate) fn doubt(&self, log: &LogRow) -> Option<String> {
        let LogRow { origin, damaged, unread, usurped, .. } = log;
        if self.forked.contains(origin) {
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

    /// Why what rests on a record is not certain, if that is so.
    pub(crate) fn doubt_of(&self, judged: &Judged) -> Option<String> {
        let record = &judged.record;
        let unknown = record.unknown.first().map(|of| of.words(record));
        let rests =
            |id: i64| id == record.log_id || record.endorsed.iter().any(|by| by.log_id == id);
        let logs = || self.logs.iter().map(|log| &log.row).filter(|row| rests(row.id));
        unknown.or_else(|| logs().find_map(|log| self.doubt(log)))
    }
}
