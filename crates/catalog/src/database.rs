//! Databases by their addresses: SQLite built in, PostgreSQL by address.

use std::path::Path;
use std::sync::Once;

use sqlx::any::AnyPoolOptions;
use sqlx::{AnyConnection, AnyPool, Connection as _, Executor as _};

use crate::CatalogError;

/// Connects to the database of an address as [`database_url`] gives it. A connection to SQLite begins with these
/// `settings`.
///
/// # Errors
/// What the database says.
pub async fn connect(url: &str, settings: &'static str) -> Result<AnyPool, sqlx::Error> {
    static DRIVERS: Once = Once::new();
    DRIVERS.call_once(sqlx::any::install_default_drivers);
    let sqlite = url.starts_with("sqlite:");
    let in_memory = sqlite && (url.contains(":memory:") || url.contains("mode=memory"));
    if sqlite && !in_memory {
        // A pool tries again until its time is over, and then says no more than that it is.
        let mut first = AnyConnection::connect(url).await?;
        first.execute(settings).await?;
        first.close().await?;
    }
    // A database in memory is its connection's own.
    AnyPoolOptions::new()
        .max_connections(if in_memory { 1 } else { 4 })
        .min_connections(u32::from(in_memory))
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                if sqlite {
                    connection.execute(settings).await?;
                }
                Ok(())
            })
        })
        .connect(url)
        .await
}

/// The address by which sqlx opens a database: a file's path becomes an `sqlite:` address, `sqlite:` and
/// `postgres:` addresses stay as they are.
///
/// # Errors
/// If it names no database.
pub fn database_url(address: &str) -> Result<String, CatalogError> {
    match address {
        "" => Err(CatalogError::Address(String::new())),
        url if url.starts_with("sqlite:") || url.starts_with("postgres") && url.contains("://") => {
            Ok(url.to_owned())
        }
        url if url.contains("://") => {
            // An address may hold a password; only its scheme is told.
            let scheme = url.split("://").next().unwrap_or_default();
            Err(CatalogError::Address(format!("{scheme}://…")))
        }
        path => Ok(file_url(Path::new(path))),
    }
}

/// The address of a file.
fn file_url(path: &Path) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    let mut url = "sqlite://".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                url.push(char::from(*byte));
            }
            other => {
                let _ = write!(url, "%{other:02X}");
            }
        }
    }
    url + "?mode=rwc"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_is_no_database_is_told_as_what_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("catalog.db");
        std::fs::write(&file, [b'x'; 8192]).expect("written");
        let error = connect(&file_url(&file), "PRAGMA journal_mode = WAL").await.expect_err("none");
        assert!(error.to_string().contains("not a database"), "{error}");
    }
}
