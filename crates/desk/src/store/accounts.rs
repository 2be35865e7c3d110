//! Accounts and sessions of people at a desk, and who did what.

use hospitium_model::{Digest, printable};
use jiff::Timestamp;
use rand_core::{OsRng, RngCore as _};
use sqlx::Row as _;

use super::{Store, StoreError};
use crate::account::{Account, Login};

/// A session ends so many seconds after the last request, and after it began (OWASP ASVS 4.0.3, 3.3.2).
pub const SESSION: (i64, i64) = (30 * 60, 12 * 3_600);
/// A request does not write the session again that was seen so many seconds ago.
const SEEN: i64 = 60;

/// A random text of 256 bits that only its owner has.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// If the operating system gives no random bytes.
    pub fn new() -> Result<Self, StoreError> {
        let mut bytes = [0; 32];
        let random = OsRng.try_fill_bytes(&mut bytes);
        random.map_err(|error| StoreError::Random(error.to_string()))?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// One that somebody sent; nothing if it cannot be one.
    pub fn read(text: &str) -> Option<Self> {
        let good = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        good.then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the database has of it: who reads the database cannot use it.
    pub(super) fn name(&self) -> String {
        Digest::of(self.0.as_bytes()).to_string()
    }

    /// What forms of its session carry: who does not have the token cannot know it.
    pub fn for_forms(&self) -> String {
        Digest::of(format!("form of {}", self.0).as_bytes()).to_string()
    }
}

/// Something that somebody did at the desk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// When.
    pub at: String,
    /// Who, or with which name somebody tried.
    pub login: String,
    /// What.
    pub what: String,
    /// To which case or person.
    pub about: String,
}

pub(super) fn failed() -> impl FnOnce(sqlx::Error) -> StoreError {
    StoreError::database("read or write accounts")
}

pub(super) fn account(row: &sqlx::any::AnyRow) -> Result<Account, StoreError> {
    let text = |column: usize| row.try_get::<String, _>(column).map_err(failed());
    let login = text(0)?;
    let wrong =
        |error: &dyn std::fmt::Display| StoreError::damaged(format!("account {login}"), error);
    let optional = |column: usize| -> Result<Option<String>, StoreError> {
        Ok(Some(text(column)?).filter(|text| !text.is_empty()))
    };
    Ok(Account {
        login: login.parse().map_err(|error| wrong(&error))?,
        role: text(1)?.parse().map_err(|error| wrong(&error))?,
        name: text(2)?.parse().map_err(|error| wrong(&error))?,
        address: optional(3)?.map(|t| t.parse().map_err(|error| wrong(&error))).transpose()?,
        customer: optional(4)?.map(|t| t.parse().map_err(|error| wrong(&error))).transpose()?,
    })
}

pub(super) const COLUMNS: &str = "p.login, p.role, p.name, p.address, p.customer";

/// Ends the sessions and the tokens of an account.
pub(super) async fn end_all(
    connection: &mut sqlx::AnyConnection,
    login: &Login,
) -> Result<(), StoreError> {
    for table in ["desk_sessions", "desk_tokens"] {
        let sql = format!("DELETE FROM {table} WHERE login = $1");
        let done = sqlx::query(&sql).bind(login.as_str()).execute(&mut *connection).await;
        done.map_err(failed())?;
    }
    Ok(())
}

/// Begins a session of an account.
pub(super) async fn insert_session(
    connection: &mut sqlx::AnyConnection,
    login: &Login,
    now: Timestamp,
) -> Result<Token, StoreError> {
    let token = Token::new()?;
    let sql = "INSERT INTO desk_sessions (id, login, made, seen) VALUES ($1, $2, $3, $3)";
    let insert = sqlx::query(sql).bind(token.name()).bind(login.as_str()).bind(now.as_second());
    insert.execute(&mut *connection).await.map_err(failed())?;
    Ok(token)
}

/// Removes what says by which identity the person of an account signs in.
async fn forget(connection: &mut sqlx::AnyConnection, login: &Login) -> Result<(), StoreError> {
    let sql = "DELETE FROM desk_identities WHERE login = $1";
    let done = sqlx::query(sql).bind(login.as_str()).execute(&mut *connection).await;
    done.map(drop).map_err(failed())
}

impl Store {
    /// Adds an account, with its password's hash; with an empty one, no password is its.
    ///
    /// # Errors
    /// If the name is taken.
    pub async fn add_account(&self, account: &Account, hash: &str) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed())?;
        let sql = "INSERT INTO desk_people (login, role, name, address, customer, secret) \
                   VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (login) DO NOTHING";
        let done = sqlx::query(sql)
            .bind(account.login.as_str())
            .bind(account.role.word())
            .bind(account.name.as_str())
            .bind(account.address.as_ref().map_or("", |address| address.as_str()))
            .bind(account.customer.as_ref().map_or("", |customer| customer.as_str()))
            .bind(hash)
            .execute(&mut *tx)
            .await;
        if done.map_err(failed())?.rows_affected() == 0 {
            return Err(StoreError::Account(account.login.to_string(), "is there already"));
        }
        // An account of this name that an older program removed may have left its identity.
        forget(&mut tx, &account.login).await?;
        tx.commit().await.map_err(failed())
    }

    /// Gives an account another password. Its sessions and tokens end.
    ///
    /// # Errors
    /// If there is none of this name.
    pub async fn change_password(&self, login: &Login, hash: &str) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed())?;
        let sql = "UPDATE desk_people SET secret = $2 WHERE login = $1";
        let done = sqlx::query(sql).bind(login.as_str()).bind(hash).execute(&mut *tx).await;
        if done.map_err(failed())?.rows_affected() == 0 {
            return Err(StoreError::Account(login.to_string(), "is not there"));
        }
        end_all(&mut tx, login).await?;
        tx.commit().await.map_err(failed())
    }

    /// Removes an account. Its sessions and tokens end.
    ///
    /// # Errors
    /// If there is none of this name.
    pub async fn remove_account(&self, login: &Login) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed())?;
        let sql = "DELETE FROM desk_people WHERE login = $1";
        let done = sqlx::query(sql).bind(login.as_str()).execute(&mut *tx).await;
        if done.map_err(failed())?.rows_affected() == 0 {
            return Err(StoreError::Account(login.to_string(), "is not there"));
        }
        forget(&mut tx, login).await?;
        end_all(&mut tx, login).await?;
        tx.commit().await.map_err(failed())
    }

    /// All accounts, by their names.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM desk_people p ORDER BY p.login");
        let rows = sqlx::query(&sql).fetch_all(&self.pool).await.map_err(failed())?;
        rows.iter().map(account).collect()
    }

    /// The account of this name, with its password's hash.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn account(&self, login: &Login) -> Result<Option<(Account, String)>, StoreError> {
        let sql = format!("SELECT {COLUMNS}, p.secret FROM desk_people p WHERE p.login = $1");
        let row = sqlx::query(&sql).bind(login.as_str()).fetch_optional(&self.pool).await;
        let Some(row) = row.map_err(failed())? else { return Ok(None) };
        Ok(Some((account(&row)?, row.try_get(5).map_err(failed())?)))
    }

    /// Begins a session of an account whose password is still the one of this hash, against which it was checked: an account
    /// that was removed or got another password meanwhile gets none.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sign_in(
        &self,
        login: &Login,
        hash: &str,
        now: Timestamp,
    ) -> Result<Option<Token>, StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed())?;
        // Whoever changes the account waits for this, or this for them.
        let sql = "UPDATE desk_people SET secret = secret WHERE login = $1 AND secret = $2";
        let done = sqlx::query(sql).bind(login.as_str()).bind(hash).execute(&mut *tx).await;
        if done.map_err(failed())?.rows_affected() == 0 {
            return Ok(None);
        }
        let token = insert_session(&mut tx, login, now).await?;
        tx.commit().await.map_err(failed())?;
        Ok(Some(token))
    }

    /// Begins a session of an account.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn begin_session(&self, login: &Login, now: Timestamp) -> Result<Token, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(failed())?;
        let token = insert_session(&mut connection, login, now).await?;
        let at = now.as_second();
        let sql = "DELETE FROM desk_sessions WHERE seen < $1 OR made < $2";
        let old = sqlx::query(sql).bind(at - SESSION.0).bind(at - SESSION.1);
        old.execute(&mut *connection).await.map_err(failed())?;
        Ok(token)
    }

    /// Whose session it is, if it goes on and the account is still there.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn session(
        &self,
        token: &Token,
        now: Timestamp,
    ) -> Result<Option<Account>, StoreError> {
        let (at, name) = (now.as_second(), token.name());
        let sql = format!(
            "SELECT {COLUMNS}, s.seen FROM desk_sessions s JOIN desk_people p ON p.login = s.login \
             WHERE s.id = $1 AND s.seen >= $2 AND s.made >= $3"
        );
        let ask = sqlx::query(&sql).bind(&name).bind(at - SESSION.0).bind(at - SESSION.1);
        let row = ask.fetch_optional(&self.pool).await.map_err(failed())?;
        let Some(row) = row else { return Ok(None) };
        let seen: i64 = row.try_get(5).map_err(failed())?;
        if seen + SEEN <= at {
            let sql = "UPDATE desk_sessions SET seen = $2 WHERE id = $1";
            let done = sqlx::query(sql).bind(&name).bind(at).execute(&self.pool).await;
            done.map_err(failed())?;
        }
        account(&row).map(Some)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn end_session(&self, token: &Token) -> Result<(), StoreError> {
        let sql = "DELETE FROM desk_sessions WHERE id = $1";
        let done = sqlx::query(sql).bind(token.name()).execute(&self.pool).await;
        done.map(drop).map_err(failed())
    }

    /// Notes who did what. Rows are only ever added.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn audit(
        &self,
        at: Timestamp,
        login: &str,
        what: &str,
        about: &str,
    ) -> Result<(), StoreError> {
        // The time first, so that rows stand in their order; then something random, as two may come at once.
        let id = format!("{:020} {}", at.as_nanosecond().max(0), Token::new()?.as_str());
        let sql = "INSERT INTO desk_audit (id, at, login, what, about) VALUES ($1, $2, $3, $4, $5)";
        let done = sqlx::query(sql)
            .bind(id)
            .bind(at.to_string())
            .bind(printable(login, 60))
            .bind(printable(what, 200))
            .bind(printable(about, 200))
            .execute(&self.pool)
            .await;
        done.map(drop).map_err(failed())
    }

    /// Who did what, the newest first: at most so many rows.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn audited(&self, most: u32) -> Result<Vec<Audited>, StoreError> {
        let sql = "SELECT at, login, what, about FROM desk_audit ORDER BY id DESC LIMIT $1";
        let rows = sqlx::query(sql).bind(i64::from(most)).fetch_all(&self.pool).await;
        let rows = rows.map_err(failed())?;
        let text = |row: &sqlx::any::AnyRow, column: usize| row.try_get(column).map_err(failed());
        rows.iter()
            .map(|row| {
                let (at, login) = (text(row, 0)?, text(row, 1)?);
                Ok(Audited { at, login, what: text(row, 2)?, about: text(row, 3)? })
            })
            .collect()
    }
}
