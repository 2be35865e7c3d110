//! Drafts: kept until they are offered or thrown away.

use sqlx::{AnyConnection, Row as _};

use super::{Once, Store, StoreError, rows};
use crate::draft::Draft;
use crate::facts::Attachment;
use crate::text::CaseId;

/// A draft, taken for this transaction: whoever else writes it waits. A write is the first statement, as for cases.
pub(super) async fn locked(
    connection: &mut AnyConnection,
    id: &CaseId,
) -> Result<Option<Draft>, StoreError> {
    let failed = || StoreError::database("lock a draft");
    let sql = "UPDATE desk_drafts SET body = body WHERE id = $1";
    let done = sqlx::query(sql).bind(id.as_str()).execute(&mut *connection).await;
    if done.map_err(failed())?.rows_affected() == 0 {
        return Ok(None);
    }
    let sql = "SELECT body FROM desk_drafts WHERE id = $1";
    let row = sqlx::query(sql).bind(id.as_str()).fetch_one(&mut *connection).await;
    let body: String = row.map_err(failed())?.try_get(0).map_err(failed())?;
    serde_json::from_str(&body).map(Some).map_err(|error| StoreError::damaged(id, error))
}

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

    /// Keeps the new draft of a form or call that may be sent twice: the second time, nothing is done, also if the draft
    /// was offered or thrown away meanwhile. One that is there is never replaced. Gives whether it was kept.
    ///
    /// # Errors
    /// If a case cannot be opened so.
    pub async fn new_draft(&self, draft: &Draft, once: &Once) -> Result<bool, StoreError> {
        draft.case()?;
        let failed = || StoreError::database("keep a draft");
        let id = &draft.opening.id;
        let body = serde_json::to_string(draft).map_err(|error| StoreError::damaged(id, error))?;
        let mut tx = self.pool.begin().await.map_err(failed())?;
        if !once.begin(&mut tx, draft.opened).await? {
            return Ok(false);
        }
        let sql = "INSERT INTO desk_drafts (id, body) SELECT $1, $2 \
                   WHERE NOT EXISTS (SELECT 1 FROM desk_cases WHERE id = $1) \
                   ON CONFLICT (id) DO NOTHING";
        let done = sqlx::query(sql).bind(id.as_str()).bind(body).execute(&mut *tx).await;
        let kept = done.map_err(failed())?.rows_affected() > 0;
        tx.commit().await.map_err(failed())?;
        Ok(kept)
    }

    /// Adds a file to a draft as the draft is now, whoever else changes it at the same time. One that it has already
    /// changes nothing.
    ///
    /// # Errors
    /// If there is no such draft any more, or a case cannot have this file.
    pub async fn add_file(&self, id: &CaseId, file: &Attachment) -> Result<(), StoreError> {
        let failed = || StoreError::database("add a file to a draft");
        let mut tx = self.pool.begin().await.map_err(failed())?;
        let mut draft = locked(&mut tx, id).await?.ok_or_else(|| StoreError::Gone(id.clone()))?;
        if draft.files.iter().any(|known| known.sha256 == file.sha256) {
            return Ok(());
        }
        draft.files.push(file.clone());
        draft.case()?;
        let body = serde_json::to_string(&draft).map_err(|error| StoreError::damaged(id, error))?;
        let sql = "UPDATE desk_drafts SET body = $2 WHERE id = $1";
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
