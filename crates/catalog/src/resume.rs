//! Takes new entries in and leaves what is in as it is: the last verified head is the state from which it goes on.

use std::sync::Arc;

use hospitium_ledger::statement::{FORMAT, KeyChange, KeyRole};
use hospitium_ledger::{FUTURE, Head, KeySpan, VerifierKey, change_key};
use hospitium_model::printable;
use jiff::Timestamp;
use sqlx::Row as _;

use crate::filling::{Before, Filling, LISTED, Next};
use crate::freeze::Way;
use crate::read::{Given, LogSource, Opened};
use crate::row::NAME;
use crate::summary::Rebuilt;
use crate::taken::{believed, hexadecimal};
use crate::tell::LogRow;
use crate::{Catalog, CatalogError};

/// From where it goes on.
enum From {
    /// A log is read on from its last head.
    Head(Box<State>),
    /// It is frozen, under this number.
    Frozen(i64),
}

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
        logs: Vec<Given>,
        now: Timestamp,
    ) -> Result<Rebuilt, CatalogError> {
        let (ways, frozen) = self.ways(logs, now).await?;
        if let Some(states) = self.states(&ways).await?
            && let Some(taken) = self.go_on(&ways, states, now).await?
        {
            return Ok(Rebuilt { frozen, ..taken });
        }
        Ok(Rebuilt { frozen, ..self.fill(ways, now).await? })
    }

    /// Takes the new entries in; nothing if those of a log do not continue it.
    async fn go_on(
        &self,
        ways: &[Way],
        states: Vec<From>,
        now: Timestamp,
    ) -> Result<Option<Rebuilt>, CatalogError> {
        let failed = || CatalogError::database("take in new entries");
        let next =
            Next { subject: self.next("subjects").await?, machine: self.next("machines").await? };
        let transaction = self.writes().await.map_err(failed())?;
        let mut filling = Filling::new(transaction, Some(next));
        let mut taken = Rebuilt::default();
        for (way, state) in ways.iter().zip(states) {
            let (source, log, state) = match (way, state) {
                (Way::In(source, log), From::Head(state)) => (source, log, state),
                (Way::Frozen(held), From::Frozen(id)) => {
                    filling.freeze(id, &held.why).await?;
                    continue;
                }
                _ => return Ok(None),
            };
            let State { before, old, keys } = *state;
            let from = (before, old);
            let summary = filling.further(source.clone(), Arc::clone(log), from, keys, now).await?;
            let Some(summary) = summary else { return Ok(None) };
            taken.logs.push(summary);
        }
        filling.finish_further().await?;
        Ok(Some(taken))
    }

    /// The number after the last of a table.
    pub(crate) async fn next(&self, table: &str) -> Result<i64, CatalogError> {
        let failed = || CatalogError::database("look up what is in already");
        let sql = format!("SELECT COALESCE(MAX(id), 0) FROM {table}");
        let row = sqlx::query(&sql).fetch_one(&self.pool).await.map_err(failed())?;
        Ok(row.try_get::<i64, _>(0).map_err(failed())? + 1)
    }

    /// From where each log is read on; nothing if one cannot be.
    async fn states(&self, ways: &[Way]) -> Result<Option<Vec<From>>, CatalogError> {
        let rows = self.log_rows().await?;
        if rows.is_empty() || rows.len() != ways.len() {
            return Ok(None);
        }
        let mut states = Vec::new();
        for (row, way) in rows.iter().zip(ways) {
            let from = match way {
                Way::In(source, log) => {
                    self.state(row, source, log).await?.map(|state| From::Head(Box::new(state)))
                }
                Way::Frozen(held) => {
                    let same = row.origin == printable(&held.origin, NAME);
                    let is_absent = row.size == 0 && row.frozen.is_some();
                    let stays = held.kept.map_or(is_absent, |kept| kept == row.id);
                    (same && stays).then_some(From::Frozen(row.id))
                }
            };
            let Some(from) = from else { return Ok(None) };
            states.push(from);
        }
        Ok(Some(states))
    }

    async fn state(
        &self,
        row: &LogRow,
        source: &LogSource,
        log: &Opened,
    ) -> Result<Option<State>, CatalogError> {
        let failed = || CatalogError::database("look up what was refused");
        if row.origin != printable(&log.head.origin, NAME)
            || row.damaged > 0
            || row.refused > LISTED
        {
            return Ok(None);
        }
        let Some((Some(old), known)) = self.last_head(&log.head.origin).await? else {
            return Ok(None);
        };
        let old = old.head().clone();
        let same = row.size == old.size && row.root == hexadecimal(&old);
        if !same || known != believed(source, &log.party) {
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
            if !matches!(change_key(&mut keys, party, index, &old, &change), Ok(true)) {
                return Ok(None);
            }
        }
        Ok(Some(keys))
    }
}
