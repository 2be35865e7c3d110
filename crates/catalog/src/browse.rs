//! Looking around in a catalog: records page by page, one record, the pairs there are, the logs.

use jiff::civil::Date;
use serde::Serialize;
use sqlx::Row as _;

use crate::pair::{Stands, stands};
use crate::record::end_of;
use crate::store::{SELECT, stored};
use crate::{Catalog, CatalogError, LogRow, Refusal, Stored};

/// Most records of one page.
pub const PAGE_MOST: u32 = 200;

/// Which records are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only of this party.
    pub party: Option<String>,
    /// Only with this result: `PASSED`, `WARNED` or `FAILED`.
    pub result: Option<String>,
    /// Only of these guests, by the numbers that [`Known`] has. Empty: of all.
    pub guests: Vec<i64>,
    /// Only on these hosts.
    pub hosts: Vec<i64>,
}

/// Where a page goes on: behind this record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cursor {
    /// When its run ended, in seconds since 1970-01-01 UTC.
    pub ended: i64,
    /// Its log's number.
    pub log: i64,
    /// Its entry.
    pub entry: i64,
}

/// A page of records, newest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    /// They, each with how it stands.
    pub records: Vec<Shown>,
    /// Where the next page begins, if there is one.
    pub next: Option<Cursor>,
}

/// A record and how it stands on a day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// The record.
    #[serde(flatten)]
    pub record: Stored,
    /// `valid`, `failed`, `lapsed`, `suspended` or `withdrawn`.
    pub stands: &'static str,
    /// Why and since when it is suspended or withdrawn, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_back: Option<String>,
}

/// A guest or host as records name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Known {
    /// Its number in this catalog.
    pub id: i64,
    /// Whether it is a guest; a host otherwise.
    pub guest: bool,
    /// Its product's id; empty if no record says it.
    pub product: String,
    /// Its name.
    pub name: String,
}

impl Catalog {
    /// A page of records that were made until a day, newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn page(
        &self,
        wanted: &Wanted,
        after: Option<Cursor>,
        most: u32,
        as_of: Date,
    ) -> Result<Page, CatalogError> {
        let most = most.clamp(1, PAGE_MOST);
        let mut sql = format!("{SELECT} WHERE r.ended <= $1");
        let mut values = Values(vec![Value::Number(end_of(as_of))]);
        if let Some(Cursor { ended, log, entry }) = after {
            let (e, l, n) = (values.number(ended), values.number(log), values.number(entry));
            sql += &format!(
                " AND r.ended <= {e} AND (r.ended < {e} OR r.log < {l} OR (r.log = {l} AND r.entry < {n}))"
            );
        }
        if let Some(party) = &wanted.party {
            sql += &format!(" AND l.party = {}", values.text(party));
        }
        if let Some(result) = &wanted.result {
            sql += &format!(" AND r.result = {}", values.text(result));
        }
        for (column, ids) in [("r.guest", &wanted.guests), ("r.host", &wanted.hosts)] {
            if !ids.is_empty() {
                let marks: Vec<_> = ids.iter().map(|id| values.number(*id)).collect();
                sql += &format!(" AND {column} IN ({})", marks.join(", "));
            }
        }
        let limit = values.number(i64::from(most) + 1);
        sql += &format!(" ORDER BY r.ended DESC, r.log DESC, r.entry DESC LIMIT {limit}");
        let mut query = sqlx::query(&sql);
        for value in values.0 {
            query = match value {
                Value::Number(number) => query.bind(number),
                Value::Text(text) => query.bind(text),
            };
        }
        let failed = || CatalogError::database("read a page of records");
        let rows = query.fetch_all(&self.pool).await.map_err(failed())?;
        let more = rows.len() > most as usize;
        let mut records = Vec::new();
        let mut next = None;
        for row in rows.iter().take(most as usize) {
            let record = stored(row)?;
            next = Some(Cursor {
                ended: row.try_get(9).map_err(failed())?,
                log: record.log_id,
                entry: i64::try_from(record.entry).unwrap_or(i64::MAX),
            });
            records.push(self.shown(record, as_of).await?);
        }
        Ok(Page { records, next: next.filter(|_| more) })
    }

    /// The records of this digest: one, unless two logs have the very same.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn of_digest(&self, digest: &str, as_of: Date) -> Result<Vec<Shown>, CatalogError> {
        let sql = format!("{SELECT} WHERE r.digest = $1 ORDER BY r.log, r.entry LIMIT 8");
        let rows = sqlx::query(&sql)
            .bind(digest)
            .fetch_all(&self.pool)
            .await
            .map_err(CatalogError::database("find a record"))?;
        let mut found = Vec::new();
        for row in &rows {
            found.push(self.shown(stored(row)?, as_of).await?);
        }
        Ok(found)
    }

    async fn shown(&self, record: Stored, as_of: Date) -> Result<Shown, CatalogError> {
        let notices = self.notices(record.log_id, &record.digest).await?;
        let stands = stands(&record, &notices, as_of);
        let taken_back = match &stands {
            Stands::Suspended { since, until, reason } => {
                let until = until.map_or_else(String::new, |day| format!(" until {day}"));
                Some(format!("suspended since {since}{until}: {reason}"))
            }
            Stands::Withdrawn { on, reason } => Some(format!("withdrawn on {on}: {reason}")),
            _ => None,
        };
        Ok(Shown { record, stands: stands.word(), taken_back })
    }

    /// Guests and hosts that records name, in the order of their names, at most so many.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn known(&self, most: u32) -> Result<Vec<Known>, CatalogError> {
        let failed = || CatalogError::database("read guests and hosts");
        let sql = "SELECT id, kind, product, name FROM subjects ORDER BY name, id LIMIT $1";
        let rows = sqlx::query(sql).bind(i64::from(most)).fetch_all(&self.pool).await;
        rows.map_err(failed())?
            .iter()
            .map(|row| {
                Ok(Known {
                    id: row.try_get(0)?,
                    guest: row.try_get::<String, _>(1)? == "guest",
                    product: row.try_get(2)?,
                    name: row.try_get(3)?,
                })
            })
            .collect::<Result<_, sqlx::Error>>()
            .map_err(failed())
    }

    /// Which guest has a record on which host, by their numbers, at most so many pairs.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn pairs(&self, most: u32) -> Result<Vec<(i64, i64)>, CatalogError> {
        let failed = || CatalogError::database("read the pairs");
        let sql = "SELECT guest, host FROM pairs ORDER BY guest, host LIMIT $1";
        let rows = sqlx::query(sql).bind(i64::from(most)).fetch_all(&self.pool).await;
        rows.map_err(failed())?
            .iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<Result<_, sqlx::Error>>()
            .map_err(failed())
    }

    /// Entries of a log that were left out, the first of them.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn refused(&self, log: &LogRow, most: u32) -> Result<Vec<Refusal>, CatalogError> {
        let failed = || CatalogError::database("read what was left out");
        let sql = "SELECT entry, why FROM refused WHERE log = $1 ORDER BY entry LIMIT $2";
        let rows = sqlx::query(sql).bind(log.id).bind(i64::from(most)).fetch_all(&self.pool).await;
        rows.map_err(failed())?
            .iter()
            .map(|row| {
                let entry: i64 = row.try_get(0)?;
                let entry = u64::try_from(entry).unwrap_or_default();
                Ok(Refusal { entry, why: row.try_get(1)? })
            })
            .collect::<Result<_, sqlx::Error>>()
            .map_err(failed())
    }
}

enum Value {
    Number(i64),
    Text(String),
}

/// Values that are bound, never put into SQL: each gives its mark.
struct Values(Vec<Value>);

impl Values {
    fn number(&mut self, number: i64) -> String {
        self.0.push(Value::Number(number));
        format!("${}", self.0.len())
    }

    fn text(&mut self, text: &str) -> String {
        self.0.push(Value::Text(text.to_owned()));
        format!("${}", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{DAY, World, at, sample, statement};
    use hospitium_ledger::Statement;

    #[tokio::test]
    async fn pages_go_on_where_the_one_before_ended_and_miss_nothing() {
        let mut world = World::new(&["b.example"]);
        let days = ["2022-01-03", "2022-01-05", "2022-01-05", "2022-01-04", "2022-01-01"];
        let said: Vec<_> = days
            .iter()
            .enumerate()
            .map(|(n, day)| {
                let mut sample = sample(day);
                sample.run = format!("run {n}");
                statement(&sample)
            })
            .collect();
        let records = world.say("b.example", &said);
        let back = Statement::withdrawal("b.example", at("2022-02-01"), records[0], "a wrong disk");
        world.say("b.example", &[back]);
        let catalog = world.catalog().await;
        for most in [1, 2, 3, 10] {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = catalog.page(&Wanted::default(), after, most, DAY).await.expect("reads");
                assert!(page.records.len() <= most as usize);
                seen.extend(page.records.iter().map(|shown| shown.record.detail.run.clone()));
                let Some(next) = page.next else { break };
                after = Some(next);
            }
            assert_eq!(seen, ["run 2", "run 1", "run 3", "run 0", "run 4"], "{most}");
        }
        let found = catalog.of_digest(&records[0].to_string(), DAY).await.expect("reads");
        assert_eq!(found[0].stands, "withdrawn");
        assert!(found[0].taken_back.as_deref().is_some_and(|why| why.contains("a wrong disk")));
    }

    #[tokio::test]
    async fn what_is_wanted_is_bound_and_never_sql() {
        let mut world = World::new(&["b.example"]);
        world.say("b.example", &[statement(&sample("2022-01-03"))]);
        let catalog = world.catalog().await;
        for text in ["b.example' OR '1'='1", "\"; DROP TABLE records; --", "%"] {
            let wanted =
                Wanted { party: Some(text.into()), result: Some(text.into()), ..Wanted::default() };
            let page = catalog.page(&wanted, None, 10, DAY).await.expect("reads");
            assert!(page.records.is_empty(), "{text}");
            assert!(catalog.of_digest(text, DAY).await.expect("reads").is_empty());
        }
        let known = catalog.known(10).await.expect("reads");
        let host = known.iter().find(|known| !known.guest).expect("a host");
        for (hosts, count) in [(vec![host.id], 1), (vec![host.id + 1000], 0)] {
            let wanted = Wanted { hosts, party: Some("b.example".into()), ..Wanted::default() };
            let page = catalog.page(&wanted, None, 10, DAY).await.expect("reads");
            assert_eq!(page.records.len(), count);
        }
        assert_eq!(catalog.pairs(10).await.expect("reads").len(), 1);
        assert_eq!(catalog.log_rows().await.expect("reads")[0].party, "b.example");
    }
}
