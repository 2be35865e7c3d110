//! What was said of records later: suspensions and withdrawals, of many records at once. To ask for each
//! record takes longer than everything else in an answer.

use std::collections::{HashMap, HashSet};

use hospitium_ledger::NoticeKind;
use jiff::civil::Date;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::pair::{Stands, stands};
use crate::record::{NoticeRow, Stored, day, last_day};
use crate::{Catalog, CatalogError};

/// Records in one query: as many as a page of the API has. Two values for each stay below both databases'
/// bounds on parameters.
const RECORDS: usize = 500;

/// What was said of records later, and what became of what they rest on.
#[derive(Debug, Default)]
pub struct Notices {
    /// Of records, by the log that they stand in and their digest.
    said: HashMap<(i64, String), Vec<NoticeRow>>,
    /// Why a record falls with what it rests on, by its log and entry.
    fallen: HashMap<(i64, i64), String>,
}

impl Notices {
    /// Takes in a row: a notice, the record's digest, its log.
    fn take(&mut self, row: &AnyRow) -> Result<(), sqlx::Error> {
        self.said.entry((row.try_get(5)?, row.try_get(4)?)).or_default().push(notice(row)?);
        Ok(())
    }

    /// What was said of this record, in its order, and of what it rests on.
    pub fn of(&self, record: &Stored) -> Vec<NoticeRow> {
        let about = |digest: String| self.said.get(&(record.log_id, digest)).into_iter().flatten();
        about(record.digest.clone()).cloned().collect()
    }

    /// The same of each record that it rests on.
    pub fn of_rests<'a>(&'a self, record: &'a Stored) -> impl Iterator<Item = Vec<NoticeRow>> + 'a {
        rests_on(record).filter_map(|digest| {
            let said = self.said.get(&(record.log_id, digest))?;
            let told = said.iter().map(|notice| NoticeRow {
                reason: format!("what it rests on was taken back: {}", notice.reason),
                ..notice.clone()
            });
            Some(told.collect())
        })
    }

    /// How a record stands on a day, by what was said of it and of what it rests on.
    pub fn stands(&self, record: &Stored, as_of: Date) -> Stands {
        let own = stands(record, &self.of(record), as_of);
        if !own.counts() {
            return own;
        }
        let mut rests = self.of_rests(record).map(|said| stands(record, &said, as_of));
        let rests = rests.find(|rests| !rests.counts());
        let entry = i64::try_from(record.entry).unwrap_or(i64::MAX);
        let fallen = || self.fallen.get(&(record.log_id, entry)).filter(|_| record.passed());
        rests.or_else(|| fallen().map(|why| Stands::Fallen { why: why.clone() })).unwrap_or(own)
    }
}

/// The records that this one rests on. Where a waiver is taken back, or an earlier run, so is the pass that counts
/// on it; a failure stands by itself.
fn rests_on(record: &Stored) -> impl Iterator<Item = String> + '_ {
    record.detail.rests_on.iter().filter(|_| record.passed()).map(ToString::to_string)
}

impl Catalog {
    /// What was said of these records, and of those that they rest on, each by its own log.
    pub(crate) async fn notices_of(&self, records: &[&Stored]) -> Result<Notices, CatalogError> {
        let failed = || CatalogError::database("find records' notices");
        let places: HashSet<(i64, String)> = records
            .iter()
            .flat_map(|record| {
                let all = std::iter::once(record.digest.clone()).chain(rests_on(record));
                all.map(|digest| (record.log_id, digest))
            })
            .collect();
        let places: Vec<_> = places.into_iter().collect();
        let mut found = Notices::default();
        for some in places.chunks(RECORDS) {
            let mark = |at: usize| format!("(${}, ${})", 2 * at + 1, 2 * at + 2);
            let marks: Vec<String> = (0..some.len()).map(mark).collect();
            // Both databases name the columns of VALUES so.
            let sql = format!(
                "SELECT n.kind, n.issued, n.until, n.reason, n.about, n.log FROM (VALUES {}) AS r \
                 JOIN notices n ON n.log = r.column1 AND n.about = r.column2 ORDER BY n.entry",
                marks.join(", ")
            );
            let mut query = sqlx::query(&sql);
            for (log, digest) in some {
                query = query.bind(*log).bind(digest.clone());
            }
            for row in query.fetch_all(&self.pool).await.map_err(failed())? {
                found.take(&row).map_err(failed())?;
            }
        }
        let resting: Vec<_> =
            records.iter().filter(|record| rests_on(record).next().is_some()).collect();
        for some in resting.chunks(RECORDS) {
            let mark = |at: usize| format!("(${}, ${})", 2 * at + 1, 2 * at + 2);
            let marks: Vec<String> = (0..some.len()).map(mark).collect();
            let sql = format!(
                "SELECT f.log, f.entry, f.why FROM (VALUES {}) AS r \
                 JOIN fallen f ON f.log = r.column1 AND f.entry = r.column2",
                marks.join(", ")
            );
            let mut query = sqlx::query(&sql);
            for record in some {
                let entry = i64::try_from(record.entry).unwrap_or(i64::MAX);
                query = query.bind(record.log_id).bind(entry);
            }
            for row in query.fetch_all(&self.pool).await.map_err(failed())? {
                let column = |at: usize| row.try_get::<i64, _>(at).map_err(failed());
                let why = row.try_get(2).map_err(failed())?;
                found.fallen.insert((column(0)?, column(1)?), why);
            }
        }
        Ok(found)
    }
}

/// The words by which kinds of notices are kept.
pub const KINDS: [(&str, NoticeKind); 3] = [
    ("suspension", NoticeKind::Suspension),
    ("lifting", NoticeKind::Lifting),
    ("withdrawal", NoticeKind::Withdrawal),
];

fn kind_of(word: &str) -> NoticeKind {
    let found = KINDS.iter().find(|(known, _)| *known == word);
    found.map_or(NoticeKind::Withdrawal, |(_, kind)| *kind)
}

/// Reads a notice's kind, days and reason.
fn notice(row: &AnyRow) -> Result<NoticeRow, sqlx::Error> {
    let (kind, until): (String, i64) = (row.try_get(0)?, row.try_get(2)?);
    Ok(NoticeRow {
        kind: kind_of(&kind),
        issued: day(row.try_get(1)?),
        until: (until != i64::MAX).then(|| last_day(until)),
        reason: row.try_get(3)?,
    })
}
