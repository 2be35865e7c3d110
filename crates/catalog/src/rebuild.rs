//! Builds the read model again from its logs, in one transaction: if it fails, the old one stays.

use std::collections::BTreeSet;
use std::sync::Arc;

use hospitium_ledger::{Checkpoint, Continues, continues, refused_heads};
use hospitium_model::{Digest, printable};
use jiff::Timestamp;
use sqlx::Row as _;

use crate::filling::Filling;
use crate::read::{LogSource, Opened};
use crate::row::NAME;
use crate::schema::{CONTENT, INDEXES};
use crate::summary::Rebuilt;
use crate::{Catalog, CatalogError};

impl Catalog {
    /// Empties the catalog and fills it from these logs. Every record is verified: the log's
    /// checkpoint and cosignatures, the record's place in the tree, its signature. What does not
    /// verify is left out and reported.
    ///
    /// # Errors
    /// If a log cannot be trusted at all, or the database fails; the catalog is unchanged then.
    pub async fn rebuild(&mut self, logs: &[LogSource]) -> Result<Rebuilt, CatalogError> {
        let now = Timestamp::now();
        let opened = logs.iter().map(|source| source.open(now)).collect::<Result<Vec<_>, _>>()?;
        self.rebuild_of(logs.iter().cloned().zip(opened).collect(), now).await
    }

    /// The same of logs whose heads were verified already: those heads are taken in, whatever stands in the
    /// logs' folders by now.
    ///
    /// # Errors
    /// As for [`rebuild`](Self::rebuild).
    pub async fn rebuild_of(
        &mut self,
        logs: Vec<(LogSource, Opened)>,
        now: Timestamp,
    ) -> Result<Rebuilt, CatalogError> {
        let opened = self.in_order(logs).await?;
        self.fill(opened, now).await
    }

    /// Empties the tables and fills them.
    pub(crate) async fn fill(
        &mut self,
        opened: Vec<(LogSource, Arc<Opened>)>,
        now: Timestamp,
    ) -> Result<Rebuilt, CatalogError> {
        let failed = || CatalogError::database("begin anew");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        for (name, _) in INDEXES {
            let sql = format!("DROP INDEX IF EXISTS {name}");
            sqlx::query(&sql).execute(&mut *transaction).await.map_err(failed())?;
        }
        for table in CONTENT.iter().map(|(table, ..)| *table).chain(["pairs"]) {
            let sql = format!("DELETE FROM {table}");
            sqlx::query(&sql).execute(&mut *transaction).await.map_err(failed())?;
        }
        let mut filling = Filling::new(transaction, None);
        let mut rebuilt = Rebuilt::default();
        for (source, opened) in opened {
            rebuilt.logs.push(filling.whole(source, opened, now).await?);
        }
        filling.finish().await?;
        Ok(rebuilt)
    }
}

impl Catalog {
    /// The logs in the order of their origins, for that in which they were named is of no weight; each once, and with a head
    /// that continues the one that was taken in before.
    pub(crate) async fn in_order(
        &self,
        mut logs: Vec<(LogSource, Opened)>,
    ) -> Result<Vec<(LogSource, Arc<Opened>)>, CatalogError> {
        let mut origins = BTreeSet::new();
        for (_, log) in &logs {
            if !origins.insert(log.head.origin.clone()) {
                return Err(CatalogError::Twice { origin: printable(&log.head.origin, NAME) });
            }
        }
        for (source, log) in &logs {
            self.note_refused(log, source).await?;
            self.continues(log, source).await?;
        }
        logs.sort_by(|(_, a), (_, b)| a.head.origin.cmp(&b.head.origin));
        Ok(logs.into_iter().map(|(source, log)| (source, Arc::new(log))).collect())
    }

    /// Refuses a log whose head does not continue the one that this catalog was built from before. Both
    /// heads, each with the log's own signature, are kept.
    async fn continues(&self, log: &Opened, source: &LogSource) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("look up a log's last head");
        let sql = "SELECT checkpoint FROM heads WHERE origin = $1";
        let query = sqlx::query(sql).bind(log.head.origin.clone());
        let Some(row) = query.fetch_optional(&self.pool).await.map_err(failed())? else {
            return Ok(());
        };
        let text: String = row.try_get(0).map_err(failed())?;
        let folder = || source.folder.path().display().to_string();
        let old = Checkpoint::parse(text.as_bytes())
            .map_err(|source| CatalogError::Checkpoint { folder: folder(), source })?;
        let (seen, found) = (old.head().size, log.head.size);
        let origin = printable(&log.head.origin, NAME);
        let refused = match continues(&source.folder, old.head(), &log.head)
            .map_err(|source| CatalogError::Log { folder: folder(), source })?
        {
            Continues::Yes => return Ok(()),
            Continues::Older => CatalogError::Older { origin, found, seen },
            Continues::No(_) => CatalogError::Fork { origin, found, seen },
        };
        self.refuse(&log.head.origin, &old, &log.checkpoint).await?;
        Err(refused)
    }

    /// Takes in what is kept beside a copy of a log of heads that were refused there, each if the log's own key signed both.
    async fn note_refused(&self, log: &Opened, source: &LogSource) -> Result<(), CatalogError> {
        let Some(key) = source.policy.log(&log.head.origin) else { return Ok(()) };
        let is_signed = |head: &Checkpoint| head.verify_log(key).is_ok();
        for (old, new) in refused_heads(source.folder.path()) {
            if is_signed(&old) && is_signed(&new) {
                self.refuse(&log.head.origin, &old, &new).await?;
            }
        }
        Ok(())
    }

    /// Keeps two heads of a log that do not go together.
    async fn refuse(
        &self,
        origin: &str,
        old: &Checkpoint,
        new: &Checkpoint,
    ) -> Result<(), CatalogError> {
        let text = |head: &Checkpoint| String::from_utf8_lossy(head.as_bytes()).into_owned();
        let (old, new) = (text(old), text(new));
        let digest = Digest::of(format!("{old}\n{new}").as_bytes()).to_string();
        let sql = "INSERT INTO refused_heads (digest, origin, seen, found) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (digest) DO NOTHING";
        let query = sqlx::query(sql).bind(digest).bind(origin.to_owned()).bind(old).bind(new);
        let kept = query.execute(&self.pool).await;
        kept.map_err(CatalogError::database("keep a log's heads that do not go together"))?;
        Ok(())
    }
}
