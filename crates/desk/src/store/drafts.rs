//! Drafts: kept until they are offered or thrown away.

use sqlx::Row as _;

use super::{Store, StoreError, rows};
use crate::draft::Draft;
use crate::text::CaseId;

impl Store {
    /// Keeps a draft, in the place of an older one of the same id.
    ///
    /// # Errors
    /// If a case cannot be opened so, or has that id already.
    pub async fn keep_draft(&self, draft: &Draft) -> Result<(), StoreError> {
        draft.case()?;
        let failed = || StoreError::database("keep a draft");
        let id = &draft.opening.id;
        let body = serde_json::to_string(draft).map_err(|error| StoreError::damaged(id, error))?;
        let mut tx = self.pool.begin().await.map_err(failed())?;
        rows::remove_draft(&mut tx, id).await?;
        let sql = "SELECT 1 FROM desk_cases WHERE id = $1";
        let offered = sqlx::query(sql).bind(id.as_str()).fetch_optional(&mut *tx).await;
        if offered.map_err(failed())?.is_some() {
            return Err(StoreError::Taken(id.clone()));
        }
        let sql = "INSERT INTO desk_drafts (id, body) VALUES ($1, $2)";
        sqlx::query(sql).bind(id.as_str()).bind(body).execute(&mut *tx).await.map_err(failed())?;
        tx.commit().await.map_err(failed())
    }

    /// A draft, if there is one of this id.
    ///
    /// # Errors
    /// If the database cannot be read, or the draft is damaged.
    pub async fn draft(&self, id: &CaseId) -> Result<Option<Draft>, StoreError> {
        let failed = || StoreError::database("read a draft");
        let sql = "SELECT body FROM desk_drafts WHERE id = $1";
        let row = sqlx::query(sql).bind(id.as_str()).fetch_optional(&self.pool).await;
        let Some(row) = row.map_err(failed())? else { return Ok(None) };
        let body: String = row.try_get(0).map_err(failed())?;
        serde_json::from_str(&body).map(Some).map_err(|error| StoreError::damaged(id, error))
    }

    /// Throws a draft away.
    ///
    /// # Errors
    /// If there is none.
    pub async fn drop_draft(&self, id: &CaseId) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await.map_err(StoreError::database("connect"))?;
        match rows::remove_draft(&mut connection, id).await? {
            true => Ok(()),
            false => Err(StoreError::NoCase(id.to_string())),
        }
    }
}
