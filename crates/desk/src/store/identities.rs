//! Which account a person has whom a provider names: sign-in by OpenID Connect.

use jiff::Timestamp;
use sqlx::Row as _;

use super::accounts::{COLUMNS, account, end_all, failed, insert_session};
use super::{Store, StoreError, Token};
use crate::account::{Account, Login};
use crate::sign_in::Identity;

/// Takes the row of an account. Whoever changes the account waits for this, or this for them.
async fn lock(connection: &mut sqlx::AnyConnection, login: &Login) -> Result<bool, StoreError> {
    let sql = "UPDATE desk_people SET secret = secret WHERE login = $1";
    let done = sqlx::query(sql).bind(login.as_str()).execute(&mut *connection).await;
    Ok(done.map_err(failed())?.rows_affected() > 0)
}

impl Store {
    /// Says by which identity the person of an account signs in; with none, by password only. The identity of before
    /// counts no more. Sessions and tokens of the account end.
    ///
    /// # Errors
    /// If there is no such account, or another account has the identity.
    pub async fn link(&self, login: &Login, to: Option<&Identity>) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed())?;
        if !lock(&mut tx, login).await? {
            return Err(StoreError::Account(login.to_string(), "is not there"));
        }
        let sql = "DELETE FROM desk_identities WHERE login = $1";
        let done = sqlx::query(sql).bind(login.as_str()).execute(&mut *tx).await;
        done.map_err(failed())?;
        if let Some(identity) = to {
            let sql = "INSERT INTO desk_identities (issuer, claim, value, login) \
                       VALUES ($1, $2, $3, $4) ON CONFLICT (issuer, claim, value) DO NOTHING";
            let insert = sqlx::query(sql).bind(&identity.issuer).bind(identity.claim.word());
            let insert = insert.bind(identity.value.as_str()).bind(login.as_str());
            if insert.execute(&mut *tx).await.map_err(failed())?.rows_affected() == 0 {
                let words = "cannot sign in so: another account has this identity";
                return Err(StoreError::Account(login.to_string(), words));
            }
        }
        end_all(&mut tx, login).await?;
        tx.commit().await.map_err(failed())
    }

    /// The accounts whose people sign in by an identity, each with the claim and its value, by their names.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn identities(&self) -> Result<Vec<(String, String, String)>, StoreError> {
        let sql = "SELECT login, claim, value FROM desk_identities ORDER BY login";
        let rows = sqlx::query(sql).fetch_all(&self.pool).await.map_err(failed())?;
        let text = |row: &sqlx::any::AnyRow, column: usize| row.try_get(column).map_err(failed());
        rows.iter().map(|row| Ok((text(row, 0)?, text(row, 1)?, text(row, 2)?))).collect()
    }

    /// Begins a session of the account that has this identity; nothing if none has it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sign_in_as(
        &self,
        identity: &Identity,
        now: Timestamp,
    ) -> Result<Option<(Account, Token)>, StoreError> {
        let Identity { issuer, claim, value } = identity;
        let mut tx = self.pool.begin().await.map_err(failed())?;
        let sql = format!(
            "SELECT {COLUMNS} FROM desk_identities i JOIN desk_people p ON p.login = i.login \
             WHERE i.issuer = $1 AND i.claim = $2 AND i.value = $3"
        );
        let ask = sqlx::query(&sql).bind(issuer).bind(claim.word()).bind(value.as_str());
        let row = ask.fetch_optional(&mut *tx).await.map_err(failed())?;
        let Some(row) = row else { return Ok(None) };
        let account = account(&row)?;
        // In this order everywhere: the account, then its identity. What was removed meanwhile begins no session.
        if !lock(&mut tx, &account.login).await? {
            return Ok(None);
        }
        let sql = "UPDATE desk_identities SET login = login \
                   WHERE issuer = $1 AND claim = $2 AND value = $3 AND login = $4";
        let still = sqlx::query(sql).bind(issuer).bind(claim.word()).bind(value.as_str());
        let still = still.bind(account.login.as_str()).execute(&mut *tx).await;
        if still.map_err(failed())?.rows_affected() == 0 {
            return Ok(None);
        }
        let token = insert_session(&mut tx, &account.login, now).await?;
        tx.commit().await.map_err(failed())?;
        Ok(Some((account, token)))
    }
}
