//! What a debugger needs to find its way in a dump of the whole memory.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::Told;

/// A range of physical memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhysicalRange {
    /// First byte.
    pub address: u64,
    /// Bytes.
    pub length: u64,
}

/// What a debugger needs to find its way in a dump of the whole memory.
#[async_trait]
pub trait Debug {
    /// The kernel's own version: `6.1.0-9-amd64`.
    async fn kernel_release(&self) -> Told<String>;

    /// Where the kernel keeps its notes on its symbols and structures (Linux: VMCOREINFO). Unable where it keeps
    /// none.
    async fn kernel_notes(&self) -> Told<PhysicalRange>;
}
