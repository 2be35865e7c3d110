//! Random numbers.

use async_trait::async_trait;

use crate::{Done, Told};

/// Random numbers.
#[async_trait]
pub trait Entropy {
    /// Bytes from the kernel's generator, at most 256.
    async fn random(&self, count: u32) -> Told<Vec<u8>>;

    /// The paravirtual or hardware source that feeds the generator, by its own name.
    async fn hardware_source(&self) -> Told<String>;

    /// Bytes from that source itself.
    async fn hardware_random(&self, count: u32) -> Told<Vec<u8>>;

    /// Mixes fresh entropy into the kernel's generator and has it reseed.
    async fn adopt(&self, entropy: [u8; 32]) -> Done;

    /// Whether the kernel reseeds its generator by itself when this machine's VM generation id changes: no if its driver
    /// has found no such device, and unable if it has no driver for one.
    async fn reseeds_on_generation(&self) -> Told<bool>;

    /// How often it has done so, by its own account, since it started.
    async fn reseeds_by_generation(&self) -> Told<u32>;
}
