//! Files of the guest's own.

use async_trait::async_trait;

use crate::{Done, Told};

/// Files of the guest's own, in its folder for passing things.
#[async_trait]
pub trait Files {
    /// Makes a file of this name.
    async fn put(&self, name: &str, content: &[u8]) -> Done;

    /// Its content; none if it is not there.
    async fn get(&self, name: &str) -> Told<Option<Vec<u8>>>;
}
