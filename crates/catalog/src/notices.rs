//! What was said of records later: suspensions and withdrawals, of many records at once. To ask for each
//! record takes longer than everything else in an answer.

use std::collections::{HashMap, HashSet};

use jiff::civil::Date;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::record::{NoticeRow, Stored, day, end_of};
use crate::store::NEWEST;
use crate::{Catalog, CatalogError};

/// Records in one query: as many as a page of the API has. Two values for each stay below both databases'
/// bounds on parameters.
const RECORDS: usize = 500;

/// What was said of records, by the log that they stand in and their digest.
#[derive(Debug, Default)]
pub struct Notices(HashMap<(i64, String), Vec<NoticeRow>>);

impl Notices {
    /// What was said of this record, in its order.
    pub fn of(&self, record: &Stored) -> &[NoticeRow] {
        let key = (record.log_id, record.digest.clone());
        self.0.get(&key).map(Vec::as_slice).unwrap_or_default()
    }
}

impl Catalog {
    /// What was said of these records, each by its own log.
    pub(crate) async fn notices_of(&self, records: &[&Stored]) -> Result<Notices, CatalogError> {
        let failed = || CatalogError::database("find records' notices");
        let places: HashSet<(i64, &str)> =
            records.iter().map(|record| (record.log_id, record.digest.as_str())).collect();
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
                query = query.bind(*log).bind((*digest).to_owned());
            }
            for row in query.fetch_all(&self.pool).await.map_err(failed())? {
                let read = || Ok((row.try_get(5)?, row.try_get(4)?, notice(&row)?));
                let (log, about, notice) = read().map_err(failed())?;
                found.0.entry((log, about)).or_default().push(notice);
            }
        }
        Ok(found)
    }

    /// What was said of the newest records of a pair, by the record's digest.
    pub(crate) async fn notices_of_pair(
        &self,
        log: i64,
        guest: i64,
        host: i64,
        as_of: Date,
    ) -> Result<HashMap<String, Vec<NoticeRow>>, CatalogError> {
        let failed = || CatalogError::database("find records' notices");
        // All at once: to ask for each record takes longer than everything else in an answer.
        let sql = "SELECT n.kind, n.issued, n.until, n.reason, n.about FROM \
                   (SELECT log, digest FROM records WHERE guest = $1 AND host = $2 AND log = $3 \
                   AND ended <= $4 ORDER BY ended DESC, entry DESC LIMIT $5) r \
                   JOIN notices n ON n.log = r.log AND n.about = r.digest ORDER BY n.entry";
        let rows = sqlx::query(sql)
            .bind(guest)
            .bind(host)
            .bind(log)
            .bind(end_of(as_of))
            .bind(NEWEST)
            .fetch_all(&self.pool)
            .await
            .map_err(failed())?;
        let mut of: HashMap<String, Vec<NoticeRow>> = HashMap::new();
        for row in &rows {
            let about: String = row.try_get(4).map_err(failed())?;
            of.entry(about).or_default().push(notice(row).map_err(failed())?);
        }
        Ok(of)
    }

    /// What was said of the records of these entries, first and last, each with the record's digest.
    pub(crate) async fn notices_within(
        &self,
        log: i64,
        (first, last): (i64, i64),
    ) -> Result<Vec<(String, NoticeRow)>, CatalogError> {
        let failed = || CatalogError::database("find records' notices");
        let sql = "SELECT n.kind, n.issued, n.until, n.reason, n.about FROM notices n \
                   JOIN records r ON r.log = n.log AND r.digest = n.about \
                   WHERE r.log = $1 AND r.entry BETWEEN $2 AND $3 ORDER BY n.entry";
        let rows = sqlx::query(sql).bind(log).bind(first).bind(last).fetch_all(&self.pool).await;
        rows.map_err(failed())?
            .iter()
            .map(|row| Ok((row.try_get(4)?, notice(row)?)))
            .collect::<Result<_, sqlx::Error>>()
            .map_err(failed())
    }
}

/// Reads a notice's kind, days and reason.
fn notice(row: &AnyRow) -> Result<NoticeRow, sqlx::Error> {
    let (kind, until): (String, i64) = (row.try_get(0)?, row.try_get(2)?);
    Ok(NoticeRow {
        withdrawal: kind == "withdrawal",
        issued: day(row.try_get(1)?),
        until: (until != i64::MAX).then(|| day(until)),
        reason: row.try_get(3)?,
    })
}
