//! Reading what a Linux guest shows in its pseudo file systems.

use hospitium_system::{Session, SessionError};
use hospitium_wire::{Domain, errno};

use crate::CheckError;

/// Names in a folder, empty if it is not there.
pub async fn names(guest: &Session, path: &str) -> Result<Vec<String>, CheckError> {
    match guest.list(path).await {
        Ok(mut names) => {
            names.sort();
            Ok(names)
        }
        Err(SessionError::Guest { domain: Domain::Errno, code: errno::ENOENT, .. }) => {
            Ok(Vec::new())
        }
        Err(other) => Err(other.into()),
    }
}
