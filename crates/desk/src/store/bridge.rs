//! Cases that go through another case exchange, in the store.

use hospitium_ledger::SecretKey;

use super::{Store, StoreError, rows};
use crate::event::Event;
use crate::exchange::{Heard, Thread};
use crate::people::Side;
use crate::text::CaseId;

impl Store {
    /// Keeps a bridged case that was begun at this desk by what was heard.
    ///
    /// # Errors
    /// If a case has that id already, or the database fails.
    pub async fn keep_heard(&self, thread: &Thread) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await.map_err(StoreError::database("begin"))?;
        rows::insert_case(&mut tx, thread).await?;
        for side in Side::BOTH {
            rows::append(&mut tx, thread, thread.chain(side)).await?;
        }
        rows::settle(&mut tx, thread).await?;
        tx.commit().await.map_err(StoreError::database("commit"))
    }

    /// Writes down what was heard of the other vendor: all of it or nothing. Gives how much was new.
    ///
    /// # Errors
    /// If some of it is not legal now, or cannot be stored; nothing was changed.
    pub async fn hear(
        &self,
        id: &CaseId,
        parts: Vec<(Event, Heard)>,
        key: &SecretKey,
    ) -> Result<(Thread, usize), StoreError> {
        let mut tx = self.pool.begin().await.map_err(StoreError::database("begin"))?;
        rows::lock(&mut tx, id).await?;
        let mut thread = rows::load(&mut tx, id).await?;
        let mut new = Vec::new();
        for (event, heard) in parts {
            new.extend(thread.hear(event, heard, key)?);
        }
        rows::append(&mut tx, &thread, &new).await?;
        tx.commit().await.map_err(StoreError::database("commit"))?;
        Ok((thread, new.len()))
    }
}
