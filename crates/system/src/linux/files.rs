//! Files of a Linux guest.

use async_trait::async_trait;
use hospitium_model::GuestSource::Kernel;
use hospitium_wire::{Flags, errno};

use super::LinuxSystem;
use crate::ask::Files;
use crate::{Done, SessionError, Told};

/// The most that is read back.
const MOST: u64 = 1 << 16;

#[async_trait]
impl Files for LinuxSystem {
    async fn put(&self, name: &str, content: &[u8]) -> Done {
        let how = Flags { create: true, truncate: true, ..Flags::default() };
        Ok(self.session.write_file(&format!("/tmp/{name}"), content, how).await?)
    }

    async fn get(&self, name: &str) -> Told<Option<Vec<u8>>> {
        match self.session.read_file(&format!("/tmp/{name}"), MOST).await {
            Ok(content) => Ok(Kernel.saw(Some(content))),
            Err(SessionError::Guest { code: errno::ENOENT, .. }) => Ok(Kernel.saw(None)),
            Err(other) => Err(other.into()),
        }
    }
}
