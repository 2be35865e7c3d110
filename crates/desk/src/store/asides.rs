//! Internal notes: beside the case, never in a message or an export.

use sqlx::Row as _;

use super::{Once, Store, StoreError, rows};
use crate::aside::Aside;
use crate::text::CaseId;

impl Store {
    /// Adds an internal note to a case.
    ///
    /// # Errors
    /// If there is no such case.
    pub async fn add_aside(&self, id: &CaseId, aside: &Aside) -> Result<(), StoreError> {
        self.add_aside_once(id, aside, None).await
    }

    /// The same for a form that may be sent twice: the second time, nothing is done.
    ///
    /// # Errors
    /// If there is no such case.
    pub async fn add_aside_once(
        &self,
        id: &CaseId,
        aside: &Aside,
        once: Option<&Once>,
    ) -> Result<(), StoreError> {
        let failed = || StoreError::database("add an internal note");
        let body = serde_json::to_string(aside).map_err(|error| StoreError::damaged(id, error))?;
        let mut tx = self.pool.begin().await.map_err(failed())?;
        rows::lock(&mut tx, id).await?;
        if let Some(once) = once
            && !once.begin(&mut tx, aside.at).await?
        {
            return Ok(());
        }
        let sql = "INSERT INTO desk_asides (case_id, seq, body) \
                   SELECT $1, COUNT(*), $2 FROM desk_asides WHERE case_id = $1";
        sqlx::query(sql).bind(id.as_str()).bind(body).execute(&mut *tx).await.map_err(failed())?;
        tx.commit().await.map_err(failed())
    }

    /// The internal notes of a case.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn asides(&self, id: &CaseId) -> Result<Vec<Aside>, StoreError> {
        let failed = || StoreError::database("read internal notes");
        let sql = "SELECT body FROM desk_asides WHERE case_id = $1 ORDER BY seq";
        let rows = sqlx::query(sql).bind(id.as_str()).fetch_all(&self.pool).await;
        rows.map_err(failed())?
            .iter()
            .map(|row| {
                let body: String = row.try_get(0).map_err(failed())?;
                serde_json::from_str(&body).map_err(|error| StoreError::damaged(id, error))
            })
            .collect()
    }
}
