//! What calls to the probe take and give.

use std::fmt;
use std::time::Duration;

use hospitium_model::Digest;
use hospitium_wire::{Arch, Os, Verbs};
use serde::{Deserialize, Serialize};

/// A range of a file or block device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range<'a> {
    /// File or block device.
    pub path: &'a str,
    /// First byte, a multiple of 4096.
    pub offset: u64,
    /// Bytes, a multiple of 4096.
    pub length: u64,
    /// Past the guest's page cache.
    pub direct: bool,
}

/// Readings of the monotonic clock on several vCPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockScan {
    /// Readings taken.
    pub readings: u64,
    /// Readings that were before an earlier one.
    pub backward: u64,
    /// Largest step back.
    pub worst: Duration,
    /// vCPUs that it ran on.
    pub cpus: u32,
}

/// Timer expirations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticks {
    /// How many.
    pub count: u32,
    /// From first to last.
    pub total: Duration,
    /// Shortest distance of two.
    pub least: Duration,
    /// Longest distance of two.
    pub most: Duration,
}

/// A block device as the guest sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockInfo {
    /// Bytes.
    pub size: u64,
    /// Logical sector in bytes.
    pub logical: u32,
    /// Physical sector in bytes, 0 if the kernel cannot say.
    pub physical: u32,
    /// Writes are refused.
    pub read_only: bool,
}

/// A search of the guest's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryScan {
    /// Bytes looked at.
    pub scanned: u64,
    /// Hits.
    pub hits: u64,
}

/// A pattern was written, read, sent or received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatternDone {
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// How many.
    pub length: u64,
    /// How long it took, by the guest's clock.
    pub took: Duration,
}

/// A program in the guest has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Exit code; 128 + signal if it was killed; -1 if its time was up.
    pub code: i32,
    /// The first bytes of standard output and error.
    pub output: Vec<u8>,
}

/// A part of the kernel's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogPart {
    /// All of it up to the end of one copy.
    pub text: Vec<u8>,
    /// The kernel dropped the oldest lines while it was read, or it is another log: what was added is elsewhere.
    pub moved: bool,
}

/// What a probe is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// The operating system.
    pub os: Os,
    /// The instruction set; that of the kernel may be wider.
    pub arch: Arch,
}

impl Platform {
    /// Linux on x86-64.
    pub const LINUX_X86_64: Self = Self { os: Os::Linux, arch: Arch::X86_64 };
    /// Linux on 32-bit x86.
    pub const LINUX_X86: Self = Self { os: Os::Linux, arch: Arch::X86 };
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.os.name(), self.arch.name())
    }
}

/// Who the probe says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// What it is for.
    pub platform: Platform,
    /// What it can be asked.
    pub verbs: Verbs,
    /// Kernel name, release, version and machine (uname), not escaped.
    pub uname: Vec<String>,
    /// Since the guest's start, by its own clock.
    pub uptime: Duration,
    /// It is process 1.
    pub is_init: bool,
}

/// What became of [`Session::load_driver`](super::Session::load_driver).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DriverLoad {
    /// So many modules are loaded now; none if the driver is built in.
    Loaded(usize),
    /// The guest cares for its drivers itself.
    Unmanaged,
    /// The guest carries no driver for this device.
    Absent,
}
