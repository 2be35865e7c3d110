//! Where a desk keeps its cases: SQLite or PostgreSQL. What was stored is answered for; nothing is answered
//! before it is stored.

mod accounts;
mod asides;
mod bridge;
mod drafts;
mod error;
mod exchange;
mod identities;
mod notices;
mod once;
mod rows;
mod schema;
mod tokens;

use hospitium_catalog::{connect, database_url};
use hospitium_ledger::SecretKey;
use hospitium_model::printable;
use jiff::Timestamp;
use sqlx::{AnyPool, Row as _};

pub use accounts::{Audited, SESSION, Token};
pub use error::StoreError;
pub use exchange::{Due, Got, OfCase, Wanted};
pub use notices::Notice;
pub use once::Once;

use crate::draft::Draft;
use crate::event::Event;
use crate::exchange::Thread;
use crate::text::{CaseId, Line, PartyName};

/// A desk's database.
#[derive(Debug, Clone)]
pub struct Store {
    pool: AnyPool,
}

impl Store {
    /// Opens a desk's database, or makes an empty one: a file's path, `sqlite::memory:`, an `sqlite:` or a
    /// `postgres:` address.
    ///
    /// # Errors
    /// If the address is none, the database cannot be opened, or its tables are of another form.
    pub async fn open(address: &str) -> Result<Self, StoreError> {
        let url = database_url(address).map_err(StoreError::Address)?;
        // FULL: what a desk has acknowledged outlives a power cut too.
        let settings =
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000";
        let pool = connect(&url, settings).await.map_err(StoreError::database("open"))?;
        let store = Self { pool };
        store.prepare().await?;
        Ok(store)
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        let failed = || StoreError::database("make its tables");
        for table in schema::TABLES {
            sqlx::query(table).execute(&self.pool).await.map_err(failed())?;
        }
        let sql =
            "INSERT INTO desk_meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
        let insert = sqlx::query(sql).bind("form").bind(schema::FORM);
        insert.execute(&self.pool).await.map_err(failed())?;
        let sql = "SELECT value FROM desk_meta WHERE name = $1";
        let row = sqlx::query(sql).bind("form").fetch_one(&self.pool).await.map_err(failed())?;
        let found: String = row.try_get(0).map_err(failed())?;
        if found == schema::FORM { Ok(()) } else { Err(StoreError::Form { found }) }
    }

    /// The case that a person means: its id, or the beginning of it, at least 4 digits.
    ///
    /// # Errors
    /// If there is none, or several.
    pub async fn find(&self, short: &str) -> Result<CaseId, StoreError> {
        let failed = || StoreError::database("look for a case");
        let given = short.trim().to_lowercase();
        let start = if given.starts_with("c-") { given } else { format!("c-{given}") };
        let good = start.len() >= 6
            && start.chars().skip(2).all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
        let none = || StoreError::NoCase(printable(short, 60));
        if !good {
            return Err(none());
        }
        let sql = "SELECT id FROM desk_cases WHERE id LIKE $1 \
                   UNION SELECT id FROM desk_drafts WHERE id LIKE $1 ORDER BY id LIMIT 10";
        let rows = sqlx::query(sql).bind(format!("{start}%")).fetch_all(&self.pool).await;
        let ids: Result<Vec<String>, _> =
            rows.map_err(failed())?.iter().map(|row| row.try_get(0)).collect();
        match ids.map_err(failed())?.as_slice() {
            [] => Err(none()),
            [one] => one.parse().map_err(|error| StoreError::damaged(one, error)),
            several => {
                Err(StoreError::Several { short: printable(short, 60), cases: several.to_vec() })
            }
        }
    }

    /// The ids of all cases, and of all drafts.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn ids(&self) -> Result<(Vec<CaseId>, Vec<CaseId>), StoreError> {
        let mut both = Vec::new();
        for table in ["desk_cases", "desk_drafts"] {
            let failed = || StoreError::database("list its cases");
            let sql = format!("SELECT id FROM {table} ORDER BY id");
            let rows = sqlx::query(&sql).fetch_all(&self.pool).await.map_err(failed())?;
            let id = |row: &sqlx::any::AnyRow| {
                let id: String = row.try_get(0).map_err(failed())?;
                id.parse().map_err(|error| StoreError::damaged(&id, error))
            };
            both.push(rows.iter().map(id).collect::<Result<Vec<CaseId>, _>>()?);
        }
        let drafts = both.pop().unwrap_or_default();
        Ok((both.pop().unwrap_or_default(), drafts))
    }

    /// A case, replayed from its messages.
    ///
    /// # Errors
    /// If there is none, or it is damaged.
    pub async fn load(&self, id: &CaseId) -> Result<Thread, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(StoreError::database("connect"))?;
        rows::load(&mut connection, id).await
    }

    /// Offers a draft: it becomes a case, and its messages wait to be sent.
    ///
    /// # Errors
    /// If it cannot be offered; it stays a draft.
    pub async fn offer(
        &self,
        draft: &Draft,
        at: Timestamp,
        person: Option<Line>,
        key: &SecretKey,
    ) -> Result<Thread, StoreError> {
        let mut tx = self.pool.begin().await.map_err(StoreError::database("begin"))?;
        // A file may have been added since the draft was read.
        let kept = drafts::locked(&mut tx, &draft.opening.id).await?;
        let Draft { opening, files, opened, .. } = draft;
        let files = kept.as_ref().map_or(files, |kept| &kept.files);
        let thread = Thread::offer(opening.clone(), files, *opened, at, person, key)?;
        rows::insert_case(&mut tx, &thread).await?;
        rows::append(&mut tx, &thread, thread.chain(thread.us())).await?;
        rows::settle(&mut tx, &thread).await?;
        rows::remove_draft(&mut tx, thread.id()).await?;
        tx.commit().await.map_err(StoreError::database("commit"))?;
        Ok(thread)
    }

    /// The ids of all cases with this party.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn with_peer(&self, peer: &PartyName) -> Result<Vec<CaseId>, StoreError> {
        let failed = || StoreError::database("list the cases with a party");
        let sql = "SELECT id FROM desk_cases WHERE peer = $1 ORDER BY id";
        let rows = sqlx::query(sql).bind(peer.as_str()).fetch_all(&self.pool).await;
        let id = |row: &sqlx::any::AnyRow| {
            let id: String = row.try_get(0).map_err(failed())?;
            id.parse().map_err(|error| StoreError::damaged(&id, error))
        };
        rows.map_err(failed())?.iter().map(id).collect()
    }

    /// Does something to a case as this desk, and stores it.
    ///
    /// # Errors
    /// If it is not legal, or cannot be stored; nothing was changed.
    pub async fn post(
        &self,
        id: &CaseId,
        event: Event,
        key: &SecretKey,
    ) -> Result<Thread, StoreError> {
        self.post_once(id, event, key, None).await
    }

    /// The same for a form that may be sent twice: the second time, nothing is done.
    ///
    /// # Errors
    /// As [`post`](Self::post).
    pub async fn post_once(
        &self,
        id: &CaseId,
        event: Event,
        key: &SecretKey,
        once: Option<&Once>,
    ) -> Result<Thread, StoreError> {
        let mut tx = self.pool.begin().await.map_err(StoreError::database("begin"))?;
        rows::lock(&mut tx, id).await?;
        let mut thread = rows::load(&mut tx, id).await?;
        if let Some(once) = once
            && !once.begin(&mut tx, event.at).await?
        {
            return Ok(thread);
        }
        let sealed = thread.post(event, key)?;
        rows::append(&mut tx, &thread, std::slice::from_ref(&sealed)).await?;
        rows::try_now(&mut tx, id).await?;
        rows::settle(&mut tx, &thread).await?;
        tx.commit().await.map_err(StoreError::database("commit"))?;
        Ok(thread)
    }
}

#[cfg(test)]
mod killed;
#[cfg(test)]
mod tests;
