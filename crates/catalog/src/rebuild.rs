//! Builds the read model again from its logs, in one transaction: if it fails, the old one stays.

use jiff::Timestamp;

use crate::filling::{Filling, Next};
use crate::freeze::{Way, keep_only};
use crate::read::{Given, LogSource};
use crate::schema::{CONTENT, INDEXES};
use crate::summary::Rebuilt;
use crate::{Catalog, CatalogError};

impl Catalog {
    /// Empties the catalog and fills it from these logs. Every record is verified: the log's
    /// checkpoint and cosignatures, the record's place in the tree, its signature. What does not
    /// verify is left out and reported. Of a log that cannot be trusted at all, what was in stays as
    /// of the last good head, and [`Rebuilt::frozen`] says why.
    ///
    /// # Errors
    /// If a log is given twice, or the database fails; the catalog is unchanged then.
    pub async fn rebuild(&mut self, logs: &[LogSource]) -> Result<Rebuilt, CatalogError> {
        let now = Timestamp::now();
        self.rebuild_of(logs.iter().map(|source| source.look(now)).collect(), now).await
    }

    /// The same of logs whose heads were verified already: those heads are taken in, whatever stands in the
    /// logs' folders by now.
    ///
    /// # Errors
    /// As for [`rebuild`](Self::rebuild).
    pub async fn rebuild_of(
        &mut self,
        logs: Vec<Given>,
        now: Timestamp,
    ) -> Result<Rebuilt, CatalogError> {
        let (ways, frozen) = self.ways(logs, now).await?;
        Ok(Rebuilt { frozen, ..self.fill(ways, now).await? })
    }

    /// Empties the tables, but for what stays of frozen logs, and fills them.
    pub(crate) async fn fill(
        &mut self,
        ways: Vec<Way>,
        now: Timestamp,
    ) -> Result<Rebuilt, CatalogError> {
        let failed = || CatalogError::database("begin anew");
        let mut kept = Vec::new();
        for (log, way) in (1..).zip(&ways) {
            if let Way::Frozen(held) = way {
                kept.extend(held.kept.map(|old| (old, log)));
            }
        }
        let next = match kept.is_empty() {
            true => None,
            // Numbers are given on from those that were ever given: what stays has some of them.
            false => Some(Next {
                subject: self.next("subjects").await?,
                machine: self.next("machines").await?,
            }),
        };
        let mut transaction = self.writes().await.map_err(failed())?;
        if kept.is_empty() {
            for (name, _) in INDEXES {
                let sql = format!("DROP INDEX IF EXISTS {name}");
                sqlx::query(&sql).execute(&mut *transaction).await.map_err(failed())?;
            }
            for table in CONTENT.iter().map(|(table, ..)| *table).chain(["pairs"]) {
                let sql = format!("DELETE FROM {table}");
                sqlx::query(&sql).execute(&mut *transaction).await.map_err(failed())?;
            }
        } else {
            keep_only(&mut transaction, &kept).await.map_err(failed())?;
        }
        let mut filling = Filling::new(transaction, next);
        let mut rebuilt = Rebuilt::default();
        for (log, way) in (1..).zip(ways) {
            match way {
                Way::In(source, opened) => {
                    rebuilt.logs.push(filling.whole(log, source, opened, now).await?);
                }
                Way::Frozen(held) if held.kept.is_some() => filling.freeze(log, &held.why).await?,
                Way::Frozen(held) => filling.nothing_of(log, &held.origin, &held.why).await?,
            }
        }
        match kept.is_empty() {
            true => filling.finish().await?,
            false => filling.finish_further().await?,
        }
        Ok(rebuilt)
    }
}
