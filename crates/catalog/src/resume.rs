//! Takes new entries in and leaves what is in as it is: the last verified head is the state from which it goes on.

use std::sync::Arc;

use hospitium_ledger::statement::{FORMAT, KeyChange, KeyRole};
use hospitium_ledger::{Checkpoint, FUTURE, Head, KeySpan, VerifierKey, change_key};
use hospitium_model::printable;
use jiff::Timestamp;
use sqlx::Row as _;

use crate::filling::{Before, Filling, LISTED, Next};
use crate::read::{LogSource, Opened};
use crate::row::NAME;
use crate::summary::Rebuilt;
use crate::taken::{believed, hexadecimal};
use crate::tell::LogRow;
use crate::{Catalog, CatalogError};

/// From where a log is read on.
struct State {
    before: Before,
    old: Head,
    /// The party's keys after the last entry that is in.
    keys: Vec<KeySpan>,
}

impl Catalog {
    /// Takes in what these logs have beyond what is in. Where more than that changed (another set of logs, other keys in a
    /// policy, another program, entries that were damaged or from the future), it is built from nothing, as
    /// [`rebuild_of`](Self::rebuild_of) does; the rows are the same either way, but for the numbers that join them.
    ///
    /// # Errors
    /// As for [`rebuild`](Self::rebuild).
    pub async fn take_in(
        &mut self,
        logs: Vec<(LogSource, Opened)>,
        now: Timestamp,
    ) -> Result<Rebuilt, CatalogError> {
        let opened = self.in_order(logs).await?;
        if let Some(states) = self.states(&opened).await?
            && let Some(taken) = self.go_on(&opened, states, now).await?
        {
            return Ok(taken);
        }
        self.fill(opened, now).await
    }

    /// Takes the new entries in; nothing if those of a log do not continue it.
    async fn go_on(
        &self,
        opened: &[(LogSource, Arc<Opened>)],
        states: Vec<State>,
        now: Timestamp,
    ) -> Result<Option<Rebuilt>, CatalogError> {
        let failed = || CatalogError::database("take in new entries");
        let next =
            Next { subject: self.next("subjects").await?, machine: self.next("machines").await? };
        let transaction = self.pool.begin().await.map_err(failed())?;
        let mut filling = Filling::new(transaction, Some(next));
        let mut taken = Rebuilt::default();
        for ((source, log), state) in opened.iter().zip(states) {
            let State { before, old, keys } = state;
            let from = (before, old);
            let summary = filling.further(source.clone(), Arc::clone(log), from, keys, now).await?;
            let Some(summary) = summary else { return Ok(None) };
            taken.logs.push(summary);
        }
        filling.finish_further().await?;
        Ok(Some(taken))
    }

    /// The number after the last of a table.
    async fn next(&self, table: &str) -> Result<i64, CatalogError> {
        let failed = || CatalogError::database("look up what is in already");
        let sql = format!("SELECT COALESCE(MAX(id), 0) FROM {table}");
        let row = sqlx::query(&sql).fetch_one(&self.pool).await.map_err(failed())?;
        Ok(row.try_get::<i64, _>(0).map_err(failed())? + 1)
    }

    /// From where each log is read on; nothing if one cannot be.
    async fn states(
        &self,
        opened: &[(LogSource, Arc<Opened>)],
    ) -> Result<Option<Vec<State>>, CatalogError> {
        let rows = self.log_rows().await?;
        if rows.is_empty() || rows.len() != opened.len() {
            return Ok(None);
        }
        let mut states = Vec::new();
        for (row, (source, log)) in rows.iter().zip(opened) {
            match self.state(row, source, log).await? {
                Some(state) => states.push(state),
                None => return Ok(None),
            }
        }
        Ok(Some(states))
    }

    async fn state(
        &self,
        row: &LogRow,
        source: &LogSource,
        log: &Opened,
    ) -> Result<Option<State>, CatalogError> {
        let failed = || CatalogError::database("look up a log's last head");
        if row.origin != printable(&log.head.origin, NAME)
            || row.damaged > 0
            || row.refused > LISTED
        {
            return Ok(None);
        }
        let sql = "SELECT checkpoint, believed FROM heads WHERE origin = $1";
        let query = sqlx::query(sql).bind(log.head.origin.clone());
        let Some(head) = query.fetch_optional(&self.pool).await.map_err(failed())? else {
            return Ok(None);
        };
        let text: String = head.try_get(0).map_err(failed())?;
        let known: String = head.try_get(1).map_err(failed())?;
        let Ok(old) = Checkpoint::parse(text.as_bytes()) else { return Ok(None) };
        let old = old.head().clone();
        let same = row.size == old.size && row.root == hexadecimal(&old);
        if !same || known != believed(source, log).to_string() {
            return Ok(None);
        }
        // What was from the future may be known by now.
        let sql = "SELECT COUNT(*) FROM refused WHERE log = $1 AND why LIKE $2";
        let query = sqlx::query(sql).bind(row.id).bind(format!("{FUTURE}%"));
        let ahead: i64 =
            query.fetch_one(&self.pool).await.and_then(|row| row.try_get(0)).map_err(failed())?;
        if ahead > 0 {
            return Ok(None);
        }
        let Some(keys) = self.keys_after(row.id, source, &log.party).await? else {
            return Ok(None);
        };
        let before = Before {
            log: row.id,
            size: row.size,
            newest: row.newest.map_or(0, Timestamp::as_second),
            refused: row.refused,
            unread: row.unread,
            usurped: row.usurped,
        };
        Ok(Some(State { before, old, keys }))
    }

    /// The party's keys after the last entry that is in: those of the policy, changed as the log's entries say.
    async fn keys_after(
        &self,
        log: i64,
        source: &LogSource,
        party: &str,
    ) -> Result<Option<Vec<KeySpan>>, CatalogError> {
        let failed = || CatalogError::database("read changes of key");
        let mut keys = source.policy.signers_of(party);
        let sql = "SELECT entry, old_key, new_key FROM key_changes WHERE log = $1 AND role = 'record' \
                   ORDER BY entry";
        for row in sqlx::query(sql).bind(log).fetch_all(&self.pool).await.map_err(failed())? {
            let entry: i64 = row.try_get(0).map_err(failed())?;
            let key = |column: usize| -> Result<Option<VerifierKey>, CatalogError> {
                Ok(row.try_get::<String, _>(column).map_err(failed())?.parse().ok())
            };
            let (Some(old), Some(new)) = (key(1)?, key(2)?) else { return Ok(None) };
            let change = KeyChange {
                format: FORMAT,
                party: party.to_owned(),
                issued: Timestamp::UNIX_EPOCH,
                role: KeyRole::Record,
                old: old.clone(),
                new,
                reason: String::new(),
            };
            let index = u64::try_from(entry).unwrap_or_default();
            if !change_key(&mut keys, party, index, &old, &change) {
                return Ok(None);
            }
        }
        Ok(Some(keys))
    }
}
