//! An empty catalog for a test, in the database that the tests are run on.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use sqlx::{AnyConnection, Connection as _};

use crate::{Catalog, CatalogError};

/// The variable that holds the address of a PostgreSQL database for tests.
pub const POSTGRES: &str = "HOSPITIUM_TEST_POSTGRES";

/// The address of a new database for one test: in memory with SQLite, or, if `HOSPITIUM_TEST_POSTGRES`
/// holds the address of a PostgreSQL database, a schema of its own there. Such a schema stays, for those
/// who look into a test that failed; the database is to be one that can be thrown away.
///
/// # Errors
/// If the schema cannot be made.
pub async fn address() -> Result<String, CatalogError> {
    let Some(server) = std::env::var(POSTGRES).ok().filter(|server| !server.is_empty()) else {
        return Ok("sqlite::memory:".to_owned());
    };
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let schema = format!("test_{time}_{process}_{number}");
    let failed = || CatalogError::database("make a schema for a test");
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(&server).await.map_err(failed())?;
    let sql = format!("CREATE SCHEMA {schema}");
    sqlx::query(&sql).execute(&mut connection).await.map_err(failed())?;
    connection.close().await.map_err(failed())?;
    let mark = if server.contains('?') { '&' } else { '?' };
    Ok(format!("{server}{mark}options%5Bsearch_path%5D={schema}"))
}

/// An empty catalog in a new database for one test, which is [`address`].
///
/// # Errors
/// If it cannot be made.
pub async fn catalog() -> Result<Catalog, CatalogError> {
    Catalog::open(&address().await?).await
}
