//! Defects on purpose: what a host makes is not what was declared.
//!
//! A check that a defect does not turn red proves nothing. A defect belongs to the host
//! ([`Host::with_defects`](crate::Host::with_defects)), never to a specification, so nobody who
//! reads the specification can know of it.

use std::time::Duration;

/// What is wrong with every machine of a defective host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Defect {
    /// This disk acknowledges flushes and does not carry them out.
    IgnoreFlushes {
        /// The disk.
        disk: String,
    },
    /// Two disks are exchanged: each has the other's content.
    SwapDisks {
        /// One.
        one: String,
        /// The other.
        other: String,
    },
    /// The cable of this interface is dead from the start.
    DeadCable {
        /// The interface.
        nic: String,
    },
    /// A machine's memory is what the machine before it on this host, in the same folder, has left.
    KeepsMemory,
    /// One vCPU is missing.
    VcpuShort,
    /// A quarter of the memory is missing.
    MemoryShort,
    /// The hardware clock goes this much ahead.
    ClockAhead {
        /// By how much.
        by: Duration,
    },
}

impl Defect {
    /// True if a machine that is saved already cannot get it, so that it needs a boot of its own: the saved
    /// state says how many vCPUs there are, how much memory, and what time the hardware clock has.
    pub const fn needs_boot(&self) -> bool {
        matches!(self, Self::VcpuShort | Self::MemoryShort | Self::ClockAhead { .. })
    }
}
