//! What a catalog says of itself: its logs, its size, and a short mark of its state.

use hospitium_model::Digest;
use jiff::Timestamp;
use serde::Serialize;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::store::cosigners_of;
use crate::summary::Frozen;
use crate::{Catalog, CatalogError};

/// A log, as the catalog took it in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LogRow {
    /// Its origin.
    pub origin: String,
    /// The party whose log it is.
    pub party: String,
    /// Entries that its checkpoint has.
    pub size: u64,
    /// The root hash of its checkpoint, in hexadecimal digits.
    pub root: String,
    /// Entries that could not be read or are not those of the tree.
    pub damaged: u64,
    /// Entries that are not believed, the damaged ones among them.
    pub refused: u64,
    /// Of these, those that its party signed and this program cannot read.
    pub unread: u64,
    /// Other parties that have cosigned its checkpoint.
    pub cosigners: Vec<String>,
    /// The latest time at which a witness of the policy has cosigned it, if one has.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub cosigned: Option<Timestamp>,
    /// When its newest record was made, by its party.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub newest: Option<Timestamp>,
    /// Entries that announce another key of its party, which the key before did not sign.
    pub usurped: u64,
    /// Why nothing newer of it is taken in, if that is so: its records stand as of this head, the last good one. A size of
    /// 0 means that nothing of it is in.
    pub frozen: Option<String>,
    #[serde(skip)]
    pub(crate) id: i64,
}

impl LogRow {
    /// How old what is known of it is, in a line: `vendor.example/log, 12 entries, cosigned at 2026-11-30T10:00:00Z`.
    pub fn as_of(&self) -> String {
        let origin = hospitium_model::printable(&self.origin, 200);
        let frozen = if self.frozen.is_some() { ", frozen since" } else { "" };
        format!("{origin}, {} entries, {}{frozen}", self.size, self.known_as_of())
    }

    /// What it means that it is frozen, in a sentence.
    pub fn frozen_words(&self) -> Option<String> {
        let frozen = Frozen {
            origin: Some(self.origin.clone()),
            folder: String::new(),
            why: self.frozen.clone()?,
            detail: String::new(),
            entries: (self.size > 0).then_some(self.size),
        };
        Some(frozen.words())
    }

    /// The same without the log's name and size.
    pub fn known_as_of(&self) -> String {
        match (self.cosigned, self.newest) {
            (Some(at), _) => format!("cosigned at {at}"),
            (None, Some(at)) => format!("not cosigned, its newest record of {at}"),
            (None, None) => "not cosigned, of unknown age".to_owned(),
        }
    }
}

/// A head of a log that was refused, as it does not continue the one that was taken in before. Both are
/// kept, each with the log's own signature: of a fork that is the proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RefusedHead {
    /// The log.
    pub origin: String,
    /// Entries of the head that was taken in before.
    pub seen_size: u64,
    /// Entries of the one that was refused.
    pub found_size: u64,
    /// The checkpoint that was taken in before, with its signatures.
    pub seen: String,
    /// The one that was refused, with its signatures.
    pub found: String,
}

impl RefusedHead {
    /// Whether both heads cannot be of one log that only grows. An older head is none that says so.
    pub(crate) const fn is_fork(&self) -> bool {
        self.found_size >= self.seen_size
    }

    /// What it means, in a sentence.
    pub fn words(&self) -> String {
        let Self { origin, seen_size, found_size, .. } = self;
        let origin = hospitium_model::printable(origin, 200);
        match found_size < seen_size {
            true => format!(
                "an older copy of {origin}, of {found_size} entries, was refused, after a head of {seen_size} \
                 entries: what was said since would be missing"
            ),
            false => format!(
                "{origin} was forked: its head of {found_size} entries does not continue the one of {seen_size} \
                 entries. Both are signed and kept; nothing of the one that was refused was taken in"
            ),
        }
    }
}

/// How much a catalog holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Numbers {
    /// Records of validations.
    pub records: u64,
    /// Guests and hosts as records name them.
    pub subjects: u64,
    /// Guests on hosts of which there is a record.
    pub pairs: u64,
    /// Suspensions and withdrawals.
    pub notices: u64,
}

impl Catalog {
    /// Heads that were refused, as they do not continue what was taken in before; the first thousand.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn refused_heads(&self) -> Result<Vec<RefusedHead>, CatalogError> {
        let failed = || CatalogError::database("read the heads that it refused");
        let sql = "SELECT origin, seen, found FROM refused_heads ORDER BY digest LIMIT 1000";
        let rows = sqlx::query(sql).fetch_all(&self.pool).await.map_err(failed())?;
        let size = |text: &str| {
            let parsed = hospitium_ledger::Checkpoint::parse(text.as_bytes());
            parsed.map_or(0, |checkpoint| checkpoint.head().size)
        };
        let head = |row: &AnyRow| -> Result<RefusedHead, sqlx::Error> {
            let (seen, found): (String, String) = (row.try_get(1)?, row.try_get(2)?);
            let (seen_size, found_size) = (size(&seen), size(&found));
            Ok(RefusedHead { origin: row.try_get(0)?, seen_size, found_size, seen, found })
        };
        rows.iter().map(head).collect::<Result<_, _>>().map_err(failed())
    }

    /// Every log, in the order of origins.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn log_rows(&self) -> Result<Vec<LogRow>, CatalogError> {
        let failed = || CatalogError::database("read its logs");
        let sql = "SELECT id, origin, party, size, root, damaged, refused, unread, cosigners, cosigned, newest, usurped, frozen FROM logs ORDER BY id";
        let rows = sqlx::query(sql).fetch_all(&self.pool).await.map_err(failed())?;
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        // Nothing was made or cosigned in 1970.
        let time = |at: i64| (at > 0).then(|| Timestamp::from_second(at).ok()).flatten();
        rows.iter()
            .map(|row| {
                Ok(LogRow {
                    id: row.try_get(0)?,
                    origin: row.try_get(1)?,
                    party: row.try_get(2)?,
                    size: count(row.try_get(3)?),
                    root: row.try_get(4)?,
                    damaged: count(row.try_get(5)?),
                    refused: count(row.try_get(6)?),
                    unread: count(row.try_get(7)?),
                    cosigners: {
                        let names: String = row.try_get(8)?;
                        cosigners_of(&names).into_iter().map(|(name, _)| name).collect()
                    },
                    cosigned: time(row.try_get(9)?),
                    newest: time(row.try_get(10)?),
                    usurped: count(row.try_get(11)?),
                    frozen: Some(row.try_get::<String, _>(12)?).filter(|why| !why.is_empty()),
                })
            })
            .collect::<Result<_, sqlx::Error>>()
            .map_err(failed())
    }

    /// Entries that were not believed: log, entry, why. At most so many.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn refused(&self, most: u32) -> Result<Vec<(String, u64, String)>, CatalogError> {
        let failed = || CatalogError::database("read what it refused");
        let sql = "SELECT l.origin, f.entry, f.why FROM refused f JOIN logs l ON l.id = f.log \
                   ORDER BY f.log, f.entry LIMIT $1";
        let rows = sqlx::query(sql).bind(i64::from(most)).fetch_all(&self.pool).await;
        rows.map_err(failed())?
            .iter()
            .map(|row| {
                let entry: i64 = row.try_get(1)?;
                let entry = u64::try_from(entry).unwrap_or_default();
                Ok((row.try_get(0)?, entry, row.try_get(2)?))
            })
            .collect::<Result<_, sqlx::Error>>()
            .map_err(failed())
    }

    /// A mark of the catalog's state that costs next to nothing: a digest of the heads of its logs
    /// and of what was refused. Another state of the logs has another mark.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn mark(&self) -> Result<String, CatalogError> {
        let failed = || CatalogError::database("read which heads it refused");
        let rows = self.log_rows().await?;
        let mut text = serde_json::to_vec(&rows).unwrap_or_default();
        let sql = "SELECT digest FROM refused_heads ORDER BY digest";
        for row in sqlx::query(sql).fetch_all(&self.pool).await.map_err(failed())? {
            text.extend(row.try_get::<String, _>(0).map_err(failed())?.into_bytes());
        }
        let mut mark = Digest::of(&text).to_string();
        mark.truncate(32);
        Ok(mark)
    }

    /// How much it holds. Counts every row: for a catalog of a million records, tens of
    /// milliseconds.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn numbers(&self) -> Result<Numbers, CatalogError> {
        let failed = || CatalogError::database("count what it holds");
        let mut counts = [0_u64; 4];
        for (count, table) in counts.iter_mut().zip(["records", "subjects", "pairs", "notices"]) {
            let sql = format!("SELECT COUNT(*) FROM {table}");
            let row = sqlx::query(&sql).fetch_one(&self.pool).await.map_err(failed())?;
            let number: i64 = row.try_get(0).map_err(failed())?;
            *count = u64::try_from(number).unwrap_or_default();
        }
        let [records, subjects, pairs, notices] = counts;
        Ok(Numbers { records, subjects, pairs, notices })
    }
}
