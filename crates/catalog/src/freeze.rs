//! A log that cannot be taken in is frozen, and harms no other: what the catalog has of it stays as of the last good head,
//! as long as the policy believes that head.

use std::collections::BTreeSet;
use std::sync::Arc;

use hospitium_ledger::{Checkpoint, Continues, continues, is_within, refused_heads};
use hospitium_model::{Digest, printable};
use jiff::Timestamp;
use sqlx::{Any, AnyConnection, Row as _, Transaction};

use crate::filling::OF_LOGS;
use crate::read::{Given, LogSource, Opened, causes};
use crate::row::NAME;
use crate::summary::Frozen;
use crate::taken::same_keys;
use crate::tell::LogRow;
use crate::{Catalog, CatalogError};

/// What is done with a log.
pub enum Way {
    /// It is taken in under this head.
    In(LogSource, Arc<Opened>),
    /// It is not.
    Frozen(Held),
}

/// A log that is not taken in.
pub struct Held {
    pub origin: String,
    pub why: String,
    /// Its number in the catalog, if what is in of it stays.
    pub kept: Option<i64>,
}

/// Why a log is not taken in: for everybody, and with what only the one who runs the program is told.
struct Why {
    public: String,
    detail: String,
}

impl Way {
    pub fn origin(&self) -> &str {
        match self {
            Self::In(_, opened) => &opened.head.origin,
            Self::Frozen(held) => &held.origin,
        }
    }
}

impl Catalog {
    /// What is done with each log, in the order of their origins, for that in which they were named is of no weight; and
    /// those that are not taken in.
    pub(crate) async fn ways(
        &self,
        logs: Vec<Given>,
        now: Timestamp,
    ) -> Result<(Vec<Way>, Vec<Frozen>), CatalogError> {
        let rows = self.log_rows().await?;
        let mut origins = BTreeSet::new();
        for opened in logs.iter().filter_map(|given| given.opened.as_ref().ok()) {
            if !origins.insert(opened.head.origin.clone()) {
                return Err(CatalogError::Twice { origin: printable(&opened.head.origin, NAME) });
            }
        }
        let (mut ways, mut frozen) = (Vec::new(), Vec::new());
        for Given { source, opened, refused } in logs {
            let (origin, why) = match opened {
                Ok(opened) => {
                    let own = self.not_continued(&opened, &source).await?;
                    let refused = refused.map(|why| Why { public: why.clone(), detail: why });
                    let Some(why) = own.or(refused) else {
                        ways.push(Way::In(source, Arc::new(opened)));
                        continue;
                    };
                    (Some(opened.head.origin), why)
                }
                Err(error) => {
                    let public = error.why.without_place();
                    // Whoever put this there claims a name that another folder has proved.
                    let origin = error.origin.filter(|origin| origins.insert(origin.clone()));
                    (origin, Why { public, detail: causes(&error.why) })
                }
            };
            let kept = match &origin {
                Some(origin) => self.good_before(&rows, origin, &source, now).await?,
                None => None,
            };
            frozen.push(Frozen {
                origin: origin.as_deref().map(|origin| printable(origin, NAME)),
                folder: source.folder.path().display().to_string(),
                why: why.public.clone(),
                detail: why.detail,
                entries: kept.map(|row| row.size),
            });
            if let Some(origin) = origin {
                let kept = kept.map(|row| row.id);
                ways.push(Way::Frozen(Held { origin, why: why.public, kept }));
            }
        }
        ways.sort_by(|a, b| a.origin().cmp(b.origin()));
        Ok((ways, frozen))
    }

    /// The row of a log that was taken in under a head which the policy still believes, by keys that it still has.
    async fn good_before<'r>(
        &self,
        rows: &'r [LogRow],
        origin: &str,
        source: &LogSource,
        now: Timestamp,
    ) -> Result<Option<&'r LogRow>, CatalogError> {
        let shown = printable(origin, NAME);
        let Some(row) = rows.iter().find(|row| row.origin == shown && row.size > 0) else {
            return Ok(None);
        };
        let Some((head, believed)) = self.last_head(origin).await? else { return Ok(None) };
        let party = source.party_of(origin);
        let same = party.is_some_and(|party| same_keys(&believed, source, &party));
        let is_good = head.is_some_and(|head| source.policy.trusts(&head, now).is_ok());
        Ok(Some(row).filter(|_| same && is_good))
    }

    /// The head under which a log was taken in last, if it can be read, and by what its entries were believed.
    pub(crate) async fn last_head(
        &self,
        origin: &str,
    ) -> Result<Option<(Option<Checkpoint>, String)>, CatalogError> {
        let failed = || CatalogError::database("look up a log's last head");
        let sql = "SELECT checkpoint, believed FROM heads WHERE origin = $1";
        let query = sqlx::query(sql).bind(origin.to_owned());
        let Some(row) = query.fetch_optional(&self.pool).await.map_err(failed())? else {
            return Ok(None);
        };
        let text: String = row.try_get(0).map_err(failed())?;
        let believed = row.try_get(1).map_err(failed())?;
        Ok(Some((Checkpoint::parse(text.as_bytes()).ok(), believed)))
    }

    /// Why a log is refused whose head does not continue the one that this catalog was built from before. Both heads, each
    /// with the log's own signature, are kept; so are those that were refused beside a copy.
    async fn not_continued(
        &self,
        log: &Opened,
        source: &LogSource,
    ) -> Result<Option<Why>, CatalogError> {
        self.note_refused(log, source).await?;
        let Some((old, _)) = self.last_head(&log.head.origin).await? else { return Ok(None) };
        let said =
            |error: &CatalogError| Why { public: error.without_place(), detail: causes(error) };
        let origin = printable(&log.head.origin, NAME);
        let Some(old) = old else {
            let row = format!("heads {origin}");
            return Err(CatalogError::Row { row, why: "it is no checkpoint".into() });
        };
        let (seen, found) = (old.head().size, log.head.size);
        let refused = match continues(&source.folder, old.head(), &log.head) {
            Ok(Continues::Yes) => {
                self.reconcile(log, source).await?;
                return Ok(None);
            }
            Ok(Continues::Older) => CatalogError::Older { origin, found, seen },
            Ok(Continues::No(_)) => CatalogError::Fork { origin, found, seen },
            Err(error) => {
                let folder = source.folder.path().display().to_string();
                return Ok(Some(said(&CatalogError::Log { folder, source: error })));
            }
        };
        self.refuse(&log.head.origin, &old, &log.checkpoint).await?;
        Ok(Some(said(&refused)))
    }

    /// Forgets refused heads that turn out to be of the log's own tree.
    async fn reconcile(&self, log: &Opened, source: &LogSource) -> Result<(), CatalogError> {
        for refused in self.refused_heads().await? {
            let fits = |text: &str| {
                let head = Checkpoint::parse(text.as_bytes());
                head.is_ok_and(|head| is_within(&source.folder, &log.head, head.head()))
            };
            if refused.origin == log.head.origin && fits(&refused.seen) && fits(&refused.found) {
                let sql =
                    "DELETE FROM refused_heads WHERE origin = $1 AND seen = $2 AND found = $3";
                let query = sqlx::query(sql).bind(refused.origin).bind(refused.seen);
                let gone = query.bind(refused.found).execute(&self.pool).await;
                gone.map_err(CatalogError::database("forget a head that fits"))?;
            }
        }
        Ok(())
    }

    /// Takes in what is kept beside a copy of a log of heads that were refused there, each if the log's own key signed both.
    async fn note_refused(&self, log: &Opened, source: &LogSource) -> Result<(), CatalogError> {
        let Some(key) = source.policy.log(&log.head.origin) else { return Ok(()) };
        let is_signed = |head: &Checkpoint| head.verify_log(key).is_ok();
        for (old, new) in refused_heads(source.folder.path()) {
            // Both of one tree: what was refused was stale, or came garbled, and proves nothing.
            let fits = |kept: &Checkpoint| is_within(&source.folder, &log.head, kept.head());
            if is_signed(&old) && is_signed(&new) && !(fits(&old) && fits(&new)) {
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

/// Empties the tables but for what is of these logs, and gives each its new number: old and new.
pub async fn keep_only(
    transaction: &mut Transaction<'_, Any>,
    kept: &[(i64, i64)],
) -> Result<(), sqlx::Error> {
    let tables = OF_LOGS.iter().chain(&["fallen"]).map(|table| (*table, "log"));
    let tables: Vec<_> = tables.chain([("logs", "id")]).collect();
    let numbers: Vec<String> = kept.iter().map(|(old, _)| old.to_string()).collect();
    let numbers = numbers.join(", ");
    let mut all = Vec::new();
    for (table, column) in &tables {
        all.push(format!("DELETE FROM {table} WHERE {column} NOT IN ({numbers})"));
        // By way of numbers that none has, for two may change places.
        for (old, new) in kept {
            all.push(format!("UPDATE {table} SET {column} = -{new} WHERE {column} = {old}"));
        }
        all.push(format!("UPDATE {table} SET {column} = -{column} WHERE {column} < 0"));
    }
    all.push(
        "DELETE FROM subjects WHERE id NOT IN (SELECT guest FROM machines UNION SELECT host FROM machines)"
            .into(),
    );
    all.push("DELETE FROM pairs".into());
    all.push("INSERT INTO pairs (guest, host) SELECT DISTINCT guest, host FROM machines".into());
    for sql in all {
        let connection: &mut AnyConnection = transaction;
        sqlx::query(&sql).execute(connection).await?;
    }
    Ok(())
}
