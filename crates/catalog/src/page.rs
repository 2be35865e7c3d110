//! A filtered list of records that is paged through with a cursor.

use jiff::civil::Date;
use sqlx::Row as _;

use crate::browse::{Cursor, Listed};
use crate::record::{Stored, day, end_of, last_day};
use crate::store::{COLUMNS, RECORDS, stored};
use crate::{Catalog, CatalogError, Desk, Unclear};

/// Records that are looked at for one page, at most. A page may therefore have fewer than were asked
/// for although more follow; its cursor says so.
const LOOKED_AT: usize = 2000;
/// Names of one side that are looked for, at most.
const NAMES: usize = 200;

/// A suspension or withdrawal, with the record that it is about.
#[derive(Debug, Clone)]
pub struct Notice {
    /// Whether it takes the record back for good.
    pub withdrawal: bool,
    /// When it was said.
    pub issued: Date,
    /// The last day of a suspension, if it has one.
    pub until: Option<Date>,
    /// Why.
    pub reason: String,
    /// Its place in the log.
    pub entry: u64,
    /// The record.
    pub about: Stored,
    /// The product id of its guest, empty if the record has none.
    pub guest_product: String,
    /// The product id of its host, empty if the record has none.
    pub host_product: String,
}

/// Which records are wanted; what is not set, is any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordFilter {
    /// The guest, as people write it.
    pub guest: Option<String>,
    /// The host, as people write it.
    pub host: Option<String>,
    /// The party that says so, by its name.
    pub party: Option<String>,
    /// How the record stands: `valid`, `failed`, `lapsed`, `suspended` or `withdrawn`.
    pub word: Option<String>,
}

/// A page of records.
#[derive(Debug)]
pub enum RecordPage {
    /// Records, newest first, and where the next page begins, if there is one.
    Records(Vec<Listed>, Option<Cursor>),
    /// A side that may mean several things, or nothing that is known.
    Unclear(Vec<Unclear>),
}

impl Cursor {
    /// As text: an opaque mark for those who ask.
    pub fn to_text(self) -> String {
        format!("{}.{}.{}", self.ended, self.log, self.entry)
    }

    /// Reads the text form.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.').map(|part| part.parse::<i64>().ok());
        Some(Self { ended: parts.next()??, log: parts.next()??, entry: parts.next()?? })
    }
}

impl Catalog {
    /// So many records until a day that fit, the newest first, each with its place in that order.
    pub(crate) async fn batch(
        &self,
        as_of: Date,
        party: Option<&str>,
        (guests, hosts): (Option<&[i64]>, Option<&[i64]>),
        after: Option<Cursor>,
        most: usize,
    ) -> Result<Vec<(Cursor, Listed)>, CatalogError> {
        let start = Cursor { ended: end_of(as_of), log: i64::MAX, entry: i64::MAX };
        let from = after.unwrap_or(start);
        // A cursor is text from outside: nothing later than the day is shown for it.
        let from = if from.ended > start.ended { start } else { from };
        let mut which = "r.ended <= $1 AND (r.ended < $1 OR r.log < $2 OR \
                         (r.log = $2 AND r.entry < $3))"
            .to_owned();
        let mut bound: Vec<i64> = Vec::new();
        let mut sides: Vec<String> = Vec::new();
        for (column, ids) in [("guest", guests), ("host", hosts)] {
            let Some(ids) = ids else { continue };
            if ids.is_empty() {
                return Ok(Vec::new());
            }
            let marks: Vec<String> = ids
                .iter()
                .take(NAMES)
                .map(|id| {
                    bound.push(*id);
                    format!("${}", bound.len() + 3)
                })
                .collect();
            sides.push(format!("{column} IN ({})", marks.join(", ")));
        }
        if !sides.is_empty() {
            let sides = sides.join(" AND ");
            which.push_str(&format!(" AND r.machine IN (SELECT id FROM machines WHERE {sides})"));
        }
        // What was said later than the day is not known on it.
        which.push_str(&format!(" AND r.known <= {}", start.ended));
        let next = bound.len() + 4;
        if party.is_some() {
            let logs = format!("SELECT id FROM logs WHERE party = ${}", next + 1);
            which.push_str(&format!(" AND r.log IN ({logs})"));
        }
        // Which they are is found first: what else is kept of them is read of these alone.
        let order = "ORDER BY r.ended DESC, r.log DESC, r.entry DESC";
        let places =
            format!("SELECT r.log, r.entry FROM records r WHERE {which} {order} LIMIT ${next}");
        let sql = format!(
            "{COLUMNS}{RECORDS} JOIN ({places}) p ON p.log = r.log AND p.entry = r.entry {order}"
        );
        let mut query = sqlx::query(&sql).bind(from.ended).bind(from.log).bind(from.entry);
        for id in bound {
            query = query.bind(id);
        }
        query = query.bind(i64::try_from(most).unwrap_or(i64::MAX));
        if let Some(party) = party {
            query = query.bind(party.to_owned());
        }
        let failed = || CatalogError::database("read a page of records");
        let rows = query.fetch_all(&self.pool).await.map_err(failed())?;
        let places: Vec<Cursor> = rows
            .iter()
            .map(|row| {
                Ok(Cursor { ended: row.try_get(9)?, log: row.try_get(0)?, entry: row.try_get(2)? })
            })
            .collect::<Result<_, sqlx::Error>>()
            .map_err(failed())?;
        let listed = self.listed(&rows, as_of).await?;
        Ok(places.into_iter().zip(listed).collect())
    }
}

impl Desk<'_> {
    /// So many records that fit, the newest first, after a place in that order.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn records(
        &self,
        filter: &RecordFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<RecordPage, CatalogError> {
        let side = |text: &Option<String>, guest| {
            let found =
                text.as_deref().map(|text| self.ready.subjects.side(text, guest, self.products));
            found.transpose().map(|side| side.map(|side| side.subjects))
        };
        let (guests, hosts) = match (side(&filter.guest, true), side(&filter.host, false)) {
            (Ok(guests), Ok(hosts)) => (guests, hosts),
            (guests, hosts) => {
                let unclear = guests.err().into_iter().chain(hosts.err()).collect();
                return Ok(RecordPage::Unclear(unclear));
            }
        };
        let mut found = Vec::new();
        let mut place = after;
        let mut looked_at = 0;
        while looked_at < LOOKED_AT {
            let most = if filter.word.is_some() { 200 } else { limit - found.len() };
            let sides = (guests.as_deref(), hosts.as_deref());
            let party = filter.party.as_deref();
            let batch = self.catalog.batch(self.as_of, party, sides, place, most).await?;
            looked_at += batch.len();
            let last = batch.len() < most;
            for (at, listed) in batch {
                place = Some(at);
                if filter.word.as_deref().is_none_or(|word| word == listed.stands.word()) {
                    found.push(listed);
                }
                if found.len() == limit {
                    return Ok(RecordPage::Records(found, place));
                }
            }
            if last {
                return Ok(RecordPage::Records(found, None));
            }
        }
        Ok(RecordPage::Records(found, place))
    }

    /// So many suspensions and withdrawals until the desk's day, the newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn newest_notices(&self, most: u32) -> Result<Vec<Notice>, CatalogError> {
        let failed = || CatalogError::database("read its newest notices");
        let sql = format!(
            "{COLUMNS}, n.kind, n.issued, n.until, n.reason, n.entry{RECORDS} \
             JOIN notices n ON n.log = r.log AND n.about = r.digest WHERE n.issued <= $1 \
             AND n.kind <> 'lifting' ORDER BY n.issued DESC, n.log DESC, n.entry DESC LIMIT $2"
        );
        let query = sqlx::query(&sql).bind(end_of(self.as_of)).bind(i64::from(most));
        let rows = query.fetch_all(&self.catalog.pool).await.map_err(failed())?;
        rows.iter()
            .map(|row| {
                let about = stored(row)?;
                let read = || -> Result<Notice, sqlx::Error> {
                    let (kind, until): (String, i64) = (row.try_get(17)?, row.try_get(19)?);
                    let entry: i64 = row.try_get(21)?;
                    Ok(Notice {
                        withdrawal: kind == "withdrawal",
                        issued: day(row.try_get(18)?),
                        until: (until != i64::MAX).then(|| last_day(until)),
                        reason: row.try_get(20)?,
                        entry: u64::try_from(entry).unwrap_or_default(),
                        about: about.clone(),
                        guest_product: row.try_get(13)?,
                        host_product: row.try_get(14)?,
                    })
                };
                read().map_err(failed())
            })
            .collect()
    }

    /// The day for which this desk answers.
    pub const fn as_of(&self) -> Date {
        self.as_of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_and_what_is_none_is_refused() {
        let cursor = Cursor { ended: 1_700_000_000, log: 2, entry: 7 };
        assert_eq!(Cursor::from_text(&cursor.to_text()), Some(cursor));
        for bad in ["", "1.2", "1.2.x", "1.2.3.4", "1.2.99999999999999999999", "'; DROP TABLE"] {
            assert_eq!(Cursor::from_text(bad), None, "{bad:?}");
        }
    }
}
