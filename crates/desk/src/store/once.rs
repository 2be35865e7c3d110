//! What may come twice and counts once: a form that a browser sends again, a request of another desk that somebody
//! recorded.

use jiff::Timestamp;
use sqlx::AnyConnection;

use super::{Store, StoreError};
use hospitium_model::Digest;

/// How long a form is remembered, in seconds: longer than a session lasts.
const REMEMBERED: i64 = 2 * 86_400;

/// A form, by a random text that was put into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    id: String,
}

impl Once {
    /// The form with this text; any text will do.
    pub fn new(text: &str) -> Self {
        Self { id: format!("form {}", Digest::of(text.as_bytes())) }
    }

    /// Whether it comes for the first time, within somebody's transaction: what the form does is undone with this.
    pub(super) async fn begin(
        &self,
        connection: &mut AnyConnection,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        insert(connection, &self.id, now.as_second().saturating_add(REMEMBERED)).await
    }
}

async fn insert(connection: &mut AnyConnection, id: &str, until: i64) -> Result<bool, StoreError> {
    let sql = "INSERT INTO desk_once (id, until) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING";
    let done = sqlx::query(sql).bind(id).bind(until).execute(&mut *connection).await;
    Ok(done.map_err(StoreError::database("note what was done"))?.rows_affected() > 0)
}

impl Store {
    /// Notes a request of another desk until it is too old to be believed. Gives whether it is new. What was noted is
    /// committed when this returns, so that a request that was answered is known after a restart.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn first_time(
        &self,
        request: &Digest,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut tx = self.pool.begin().await.map_err(StoreError::database("begin"))?;
        let new = insert(&mut tx, &format!("request {request}"), until.as_second()).await?;
        let sql = "DELETE FROM desk_once WHERE until < $1";
        let done = sqlx::query(sql).bind(now.as_second()).execute(&mut *tx).await;
        done.map_err(StoreError::database("forget what is old"))?;
        tx.commit().await.map_err(StoreError::database("commit"))?;
        Ok(new)
    }
}
