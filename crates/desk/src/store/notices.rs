//! What people are to be told of: kept with the time of the next try, so that nothing is lost with a process, and nothing
//! is told twice.

use jiff::Timestamp;
use sqlx::Row as _;

use super::{Store, StoreError};
use crate::people::Both;
use crate::text::CaseId;

/// The first wait after a try failed, in seconds; it doubles up to a quarter of an hour.
const FIRST_WAIT: i64 = 10;
const LONGEST_WAIT: i64 = 900;
/// After so many seconds it is given up, and after so many forgotten.
const GIVEN_UP: i64 = 86_400;
const FORGOTTEN: i64 = 90 * 86_400;
/// The most that are sent at once.
const AT_ONCE: i64 = 100;

/// Something that somebody is to be told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its name: the same thing has the same one, so that it is told once.
    pub id: String,
    /// Whom: as its sender names it.
    pub to: String,
    /// What.
    pub body: String,
    /// How often it was tried.
    pub tries: u32,
}

fn failed() -> impl FnOnce(sqlx::Error) -> StoreError {
    StoreError::database("read or write notices")
}

impl Store {
    /// Cases of which there are messages that nobody was told of, and how many of each side were.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn unnoticed(&self) -> Result<Vec<(CaseId, Both<u64>)>, StoreError> {
        let sql = "SELECT m.case_id, COALESCE(d.submitter, 0), COALESCE(d.receiver, 0) FROM \
                   (SELECT case_id, COUNT(*) AS n FROM desk_messages GROUP BY case_id) m \
                   LEFT JOIN desk_noticed d ON d.case_id = m.case_id \
                   WHERE m.n > COALESCE(d.submitter, 0) + COALESCE(d.receiver, 0) ORDER BY m.case_id";
        let rows = sqlx::query(sql).fetch_all(&self.pool).await.map_err(failed())?;
        rows.iter()
            .map(|row| {
                let id: String = row.try_get(0).map_err(failed())?;
                let (one, other): (i64, i64) =
                    (row.try_get(1).map_err(failed())?, row.try_get(2).map_err(failed())?);
                let count = |count: i64| u64::try_from(count).unwrap_or_default();
                let case = id.parse().map_err(|error| StoreError::damaged(&id, error))?;
                Ok((case, Both { submitter: count(one), receiver: count(other) }))
            })
            .collect()
    }

    /// Keeps notices, and up to which message of each side they tell of a case. A notice that is there already stays.
    ///
    /// # Errors
    /// If the database fails; nothing is kept then.
    pub async fn notice(
        &self,
        noticed: Option<(&CaseId, Both<u64>)>,
        notices: &[Notice],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed())?;
        for notice in notices {
            let sql = "INSERT INTO desk_notices (id, sink, body, made, tries, next_try, done) \
                       VALUES ($1, $2, $3, $4, 0, 0, 0) ON CONFLICT (id) DO NOTHING";
            sqlx::query(sql)
                .bind(&notice.id)
                .bind(&notice.to)
                .bind(&notice.body)
                .bind(now.as_second())
                .execute(&mut *tx)
                .await
                .map_err(failed())?;
        }
        if let Some((case, count)) = noticed {
            let sql = "INSERT INTO desk_noticed (case_id, submitter, receiver) VALUES ($1, $2, $3) \
                       ON CONFLICT (case_id) DO UPDATE SET submitter = $2, receiver = $3";
            let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            sqlx::query(sql)
                .bind(case.as_str())
                .bind(number(count.submitter))
                .bind(number(count.receiver))
                .execute(&mut *tx)
                .await
                .map_err(failed())?;
        }
        tx.commit().await.map_err(failed())
    }

    /// Notices whose time has come, the oldest first.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn notices(&self, now: Timestamp) -> Result<Vec<Notice>, StoreError> {
        let sql = "SELECT id, sink, body, tries FROM desk_notices WHERE done = 0 AND next_try <= $1 \
                   ORDER BY made, id LIMIT $2";
        let ask = sqlx::query(sql).bind(now.as_second()).bind(AT_ONCE);
        let rows = ask.fetch_all(&self.pool).await.map_err(failed())?;
        rows.iter()
            .map(|row| {
                let text = |column: usize| row.try_get::<String, _>(column).map_err(failed());
                let tries: i64 = row.try_get(3).map_err(failed())?;
                let tries = u32::try_from(tries).unwrap_or(u32::MAX);
                Ok(Notice { id: text(0)?, to: text(1)?, body: text(2)?, tries })
            })
            .collect()
    }

    /// A notice was told.
    ///
    /// # Errors
    /// If the database fails; it may be told again then.
    pub async fn told(&self, notice: &Notice, now: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE desk_notices SET done = 1 WHERE id = $1";
        let done = sqlx::query(sql).bind(&notice.id).execute(&self.pool).await;
        done.map_err(failed())?;
        let sql = "DELETE FROM desk_notices WHERE made < $1";
        let old = sqlx::query(sql).bind(now.as_second() - FORGOTTEN).execute(&self.pool).await;
        old.map(drop).map_err(failed())
    }

    /// A notice was not told: it is tried again later, for a day.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn not_told(&self, notice: &Notice, now: Timestamp) -> Result<(), StoreError> {
        let wait = FIRST_WAIT.saturating_mul(1 << notice.tries.min(10)).min(LONGEST_WAIT);
        let sql = "UPDATE desk_notices SET tries = tries + 1, next_try = $2, \
                   done = CASE WHEN made < $3 THEN 1 ELSE 0 END WHERE id = $1";
        let now = now.as_second();
        let update = sqlx::query(sql).bind(&notice.id).bind(now + wait).bind(now - GIVEN_UP);
        update.execute(&self.pool).await.map(drop).map_err(failed())
    }

    /// When the next notice is tried, in seconds of the Unix time; nothing if none waits.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn next_notice(&self) -> Result<Option<i64>, StoreError> {
        let sql = "SELECT next_try FROM desk_notices WHERE done = 0 ORDER BY next_try LIMIT 1";
        let row = sqlx::query(sql).fetch_optional(&self.pool).await.map_err(failed())?;
        row.map(|row| row.try_get(0).map_err(failed())).transpose()
    }
}
