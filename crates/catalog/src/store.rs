//! The database of a catalog, and what is read from it.

use hospitium_model::Digest;
use hospitium_model::standing::Assurance;
use sha2::{Digest as _, Sha256};
use sqlx::any::AnyRow;
use sqlx::{Any, AnyPool, Row as _, Transaction};

use crate::CatalogError;
use crate::database::{connect, database_url};
use crate::record::{Stored, Subject, day, last_day};
use crate::schema::{FORM, INDEXES, TABLES, content};
use crate::tell::LogRow;

/// The read model.
#[derive(Debug, Clone)]
pub struct Catalog {
    pub(crate) pool: AnyPool,
}

impl Catalog {
    /// Opens a catalog, or makes an empty one: a file's path, `sqlite::memory:`, an `sqlite:` or a
    /// `postgres:` address.
    ///
    /// # Errors
    /// If the address is none, the database cannot be opened, or its tables are another program's.
    pub async fn open(address: &str) -> Result<Self, CatalogError> {
        // Indexes are sorted in files beyond the cache's size: memory stays bounded. A row has most of a
        // kilobyte: in pages of the usual 4096 bytes a rebuild's indexes and its commit take twice as long. The cache
        // is each connection's own, and what it does not hold the system's has: a server needs no large one.
        let settings = "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; \
                        PRAGMA cache_size = -12288; PRAGMA temp_store = FILE; PRAGMA threads = 4";
        let pool = connect(&database_url(address)?, settings).await;
        let pool = pool.map_err(CatalogError::database("open"))?;
        let catalog = Self { pool };
        catalog.prepare().await?;
        Ok(catalog)
    }

    /// Begins to write, with a cache that holds the pages which new rows touch: without it, each is written several
    /// times.
    pub(crate) async fn writes(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        if transaction.backend_name() == "SQLite" {
            sqlx::query("PRAGMA cache_size = -65536").execute(&mut *transaction).await?;
        }
        Ok(transaction)
    }

    async fn prepare(&self) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("make its tables");
        for table in TABLES {
            sqlx::query(table).execute(&self.pool).await.map_err(failed())?;
        }
        // An older catalog may lack one.
        for (name, on) in INDEXES {
            let sql = format!("CREATE INDEX IF NOT EXISTS {name} ON {on}");
            sqlx::query(&sql).execute(&self.pool).await.map_err(failed())?;
        }
        let form = sqlx::query("SELECT value FROM meta WHERE name = $1")
            .bind("form")
            .fetch_optional(&self.pool)
            .await
            .map_err(failed())?;
        let Some(form) = form else {
            sqlx::query("INSERT INTO meta (name, value) VALUES ($1, $2)")
                .bind("form")
                .bind(FORM)
                .execute(&self.pool)
                .await
                .map_err(failed())?;
            return Ok(());
        };
        let found: String = form.try_get(0).map_err(failed())?;
        if found == FORM { Ok(()) } else { Err(CatalogError::Form { found }) }
    }

    /// A digest of everything that the catalog holds. The same logs give the same one, in any database, whether they were
    /// taken in at once or bit by bit: the numbers by which tables are joined are no part of it.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn digest(&self) -> Result<Digest, CatalogError> {
        use futures_util::TryStreamExt as _;
        let failed = || CatalogError::database("read its content");
        let mut hash = Sha256::new();
        for (table, sql, ordered) in content() {
            hash.update(format!("\n{table}\n"));
            // Of rows that come in any order, the sum.
            let (mut sum, mut count) = ([0_u8; 32], 0_u64);
            let mut rows = sqlx::query(&sql).fetch(&self.pool);
            while let Some(row) = rows.try_next().await.map_err(failed())? {
                if ordered {
                    hash_row(&mut hash, &row)?;
                    continue;
                }
                let mut of_row = Sha256::new();
                hash_row(&mut of_row, &row)?;
                sum.iter_mut().zip(of_row.finalize()).for_each(|(sum, byte)| *sum ^= byte);
                count += 1;
            }
            hash.update(sum);
            hash.update(count.to_be_bytes());
        }
        Ok(Digest::from_bytes(hash.finalize().into()))
    }

    /// How many records of validations there are.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn count(&self) -> Result<u64, CatalogError> {
        let failed = || CatalogError::database("count its records");
        let row = sqlx::query("SELECT COUNT(*) FROM records").fetch_one(&self.pool).await;
        let count: i64 = row.map_err(failed())?.try_get(0).map_err(failed())?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    pub(crate) async fn subjects(&self) -> Result<Vec<Subject>, CatalogError> {
        let failed = || CatalogError::database("read guests and hosts");
        let sql = "SELECT id, kind, product, name, version FROM subjects ORDER BY id";
        let rows = sqlx::query(sql).fetch_all(&self.pool).await.map_err(failed())?;
        rows.iter()
            .map(|row| {
                Ok(Subject {
                    id: row.try_get(0)?,
                    kind: row.try_get(1)?,
                    product: row.try_get(2)?,
                    name: row.try_get(3)?,
                    version: row.try_get(4)?,
                })
            })
            .collect::<Result<_, sqlx::Error>>()
            .map_err(failed())
    }

    /// What is known of each log beside its records.
    pub(crate) async fn logs(&self) -> Result<Vec<LogKnown>, CatalogError> {
        let failed = || CatalogError::database("read its changes of key");
        let known = |row| LogKnown { row, changes: Vec::new() };
        let mut logs: Vec<_> = self.log_rows().await?.into_iter().map(known).collect();
        let sql = "SELECT log, old_key, new_key FROM key_changes WHERE role = 'record' \
                   ORDER BY log, entry LIMIT 10000";
        for row in sqlx::query(sql).fetch_all(&self.pool).await.map_err(failed())? {
            let log: i64 = row.try_get(0).map_err(failed())?;
            let change = (row.try_get(1).map_err(failed())?, row.try_get(2).map_err(failed())?);
            logs.iter_mut().filter(|known| known.row.id == log).for_each(|known| {
                known.changes.push(change.clone());
            });
        }
        Ok(logs)
    }

    /// So many pairs of which there is a record.
    pub(crate) async fn pairs(&self, most: u32) -> Result<Vec<(i64, i64)>, CatalogError> {
        let failed = || CatalogError::database("read its pairs");
        let sql = "SELECT guest, host FROM pairs ORDER BY guest, host LIMIT $1";
        let rows = sqlx::query(sql).bind(i64::from(most)).fetch_all(&self.pool).await;
        rows.map_err(failed())?
            .iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<Result<_, sqlx::Error>>()
            .map_err(failed())
    }

    /// The other sides of pairs in which this subject is.
    pub(crate) async fn partners(&self, kind: &str, id: i64) -> Result<Vec<i64>, CatalogError> {
        let failed = || CatalogError::database("find what a product was paired with");
        let sql = match kind {
            "guest" => "SELECT host FROM pairs WHERE guest = $1 ORDER BY host",
            _ => "SELECT guest FROM pairs WHERE host = $1 ORDER BY guest",
        };
        let rows = sqlx::query(sql).bind(id).fetch_all(&self.pool).await.map_err(failed())?;
        rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(failed())
    }
}

/// Takes in each value of a row with its length, so that none can pass for two.
fn hash_row(hash: &mut Sha256, row: &AnyRow) -> Result<(), CatalogError> {
    for column in 0..row.len() {
        let text = match row.try_get::<i64, _>(column) {
            Ok(number) => number.to_string(),
            Err(_) => row
                .try_get::<String, _>(column)
                .map_err(CatalogError::database("read its content"))?,
        };
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    Ok(())
}

/// What is known of a log beside its records.
#[derive(Debug, Clone)]
pub struct LogKnown {
    /// The log.
    pub row: LogRow,
    /// Changes of the key of records, in their order: old and new.
    pub changes: Vec<(String, String)>,
}

impl LogKnown {
    /// A key, and those that it follows.
    pub fn keys(&self, key: &str) -> Vec<String> {
        let mut keys = vec![key.to_owned()];
        for (old, new) in self.changes.iter().rev() {
            if keys.last() == Some(new) {
                keys.push(old.clone());
            }
        }
        keys
    }
}

/// What is read of a record, all of it: the start of a `SELECT`.
pub const COLUMNS: &str = "SELECT r.log, l.origin, r.entry, r.digest, l.party, g.name, h.name, \
     r.arch, r.result, r.ended, r.until, r.emulated, r.detail, g.product, h.product, r.known, l.cosigners";

/// Of which tables; goes behind [`COLUMNS`] and what else is read.
pub const RECORDS: &str = " FROM records r JOIN logs l ON l.id = r.log \
     JOIN subjects g ON g.id = r.guest JOIN subjects h ON h.id = r.host";

/// Reads a row that begins with [`COLUMNS`].
pub fn stored(row: &AnyRow) -> Result<Stored, CatalogError> {
    let failed = || CatalogError::database("read a record");
    let text = |column: usize| row.try_get::<String, _>(column).map_err(failed());
    let number = |column: usize| row.try_get::<i64, _>(column).map_err(failed());
    let (log, entry) = (text(1)?, u64::try_from(number(2)?).unwrap_or_default());
    let detail = serde_json::from_str(&text(12)?).map_err(|error| CatalogError::Row {
        row: format!("{log} entry {entry}"),
        why: error.to_string(),
    })?;
    let (party, cosigners) = (text(4)?, text(16)?);
    let mut cosigned = cosigners_of(&cosigners);
    cosigned.retain(|(other, _)| *other != party);
    let cosigned = cosigned.into_iter().map(|(other, at)| (other, day(at))).collect();
    Ok(Stored {
        log,
        entry,
        digest: text(3)?,
        party,
        assurance: Assurance::SelfValidated,
        assured_by: Vec::new(),
        cosigned,
        known_issues: Vec::new(),
        endorsed: Vec::new(),
        unknown: Vec::new(),
        uncertain: None,
        guest: text(5)?,
        host: text(6)?,
        arch: text(7)?,
        result: text(8)?,
        validated: day(number(9)?),
        until: last_day(number(10)?),
        emulated: number(11)? != 0,
        detail,
        log_id: number(0)?,
        known: day(number(15)?),
    })
}

/// The cosigners of a log as its row has them, each with when it cosigned, in seconds since 1970.
pub fn cosigners_of(text: &str) -> Vec<(String, i64)> {
    let one = |word: &str| {
        let (name, at) = word.rsplit_once('@')?;
        Some((name.to_owned(), at.parse().ok()?))
    };
    text.split_whitespace().filter_map(one).collect()
}
