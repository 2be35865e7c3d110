//! Memory.

use async_trait::async_trait;
use hospitium_model::{ByteSize, Digest, Pattern};

use crate::{Done, MemoryScan, Told};

/// Memory.
#[async_trait]
pub trait Memory {
    /// Memory that the kernel has for use.
    async fn total(&self) -> Told<ByteSize>;

    /// Usable memory in the map that the firmware gave.
    async fn firmware_map(&self) -> Told<ByteSize>;

    /// NUMA nodes; 1 where the kernel knows none.
    async fn nodes(&self) -> Told<usize>;

    /// Brings plugged-in memory online, as an administrator does where no rule of the system does it.
    async fn bring_memory_online(&self) -> Done;

    /// Holds `length` bytes filled with a pattern in a slot (below 8); digest of what was written.
    async fn hold(&self, slot: u8, length: u64, pattern: Pattern) -> Told<Digest>;

    /// Digest of what a slot holds now.
    async fn held(&self, slot: u8) -> Told<Digest>;

    /// Looks for 32 bytes at multiples of 64 in all physical memory.
    async fn scan(&self, needle: [u8; 32]) -> Told<MemoryScan>;
}
