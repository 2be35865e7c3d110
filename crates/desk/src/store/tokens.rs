//! Tokens with which programs call the desk in somebody's name.

use jiff::Timestamp;

use super::accounts::{COLUMNS, account, failed};
use super::{Store, StoreError, Token};
use crate::account::{Account, Login};

impl Store {
    /// Makes a token of an account that holds until then. The database has its SHA-256 only: it is shown once.
    ///
    /// # Errors
    /// If there is no account of this name.
    pub async fn add_token(
        &self,
        login: &Login,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Token, StoreError> {
        if self.account(login).await?.is_none() {
            return Err(StoreError::Account(login.to_string(), "is not there"));
        }
        let token = Token::new()?;
        let sql = "INSERT INTO desk_tokens (id, login, made, until) VALUES ($1, $2, $3, $4)";
        let insert = sqlx::query(sql).bind(token.name()).bind(login.as_str());
        let insert = insert.bind(now.as_second()).bind(until.as_second());
        insert.execute(&self.pool).await.map_err(failed())?;
        let sql = "DELETE FROM desk_tokens WHERE until < $1";
        let old = sqlx::query(sql).bind(now.as_second()).execute(&self.pool).await;
        old.map(|_| token).map_err(failed())
    }

    /// Whose token it is, if it holds and the account is still there.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn token(
        &self,
        token: &Token,
        now: Timestamp,
    ) -> Result<Option<Account>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM desk_tokens t JOIN desk_people p ON p.login = t.login \
             WHERE t.id = $1 AND t.until >= $2"
        );
        let ask = sqlx::query(&sql).bind(token.name()).bind(now.as_second());
        let row = ask.fetch_optional(&self.pool).await.map_err(failed())?;
        row.as_ref().map(account).transpose()
    }

    /// Ends all tokens of an account; gives how many there were.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn end_tokens(&self, login: &Login) -> Result<u64, StoreError> {
        let sql = "DELETE FROM desk_tokens WHERE login = $1";
        let done = sqlx::query(sql).bind(login.as_str()).execute(&self.pool).await;
        done.map(|done| done.rows_affected()).map_err(failed())
    }
}
