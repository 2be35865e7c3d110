//! What the probe answers.

use serde::{Deserialize, Serialize};

use crate::failure::Domain;
use crate::platform::{Arch, Os, Verbs};

/// Clocks, all read within a few instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockReading {
    /// CLOCK_REALTIME in ns since 1970.
    pub realtime_ns: i64,
    /// CLOCK_MONOTONIC in ns.
    pub monotonic_ns: i64,
    /// CLOCK_MONOTONIC_RAW in ns, 0 if the kernel has none (before 2.6.28).
    pub raw_ns: i64,
    /// CLOCK_BOOTTIME in ns, 0 if the kernel has none (before 2.6.39).
    pub boottime_ns: i64,
    /// Time-stamp counter.
    pub tsc: u64,
}

/// One leaf of CPUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the registers' own names")]
pub struct CpuidWords {
    pub eax: u32,
    pub ebx: u32,
    pub ecx: u32,
    pub edx: u32,
}

/// One input event (Linux `struct input_event` without its time).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' own names")]
pub struct InputEvent {
    pub kind: u16,
    pub code: u16,
    pub value: i32,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply<'a> {
    /// To `Hello`.
    Hello {
        /// [`PROTOCOL`](crate::PROTOCOL).
        protocol: u16,
        /// The nonce of the request.
        nonce: u64,
        /// The operating system that the probe is for.
        os: Os,
        /// The instruction set that the probe is for; the kernel's may be wider.
        arch: Arch,
        /// What it can be asked.
        verbs: Verbs,
        /// Kernel name, release, version and machine, each ended by a NUL (uname).
        uname: &'a [u8],
        /// CLOCK_MONOTONIC in ms.
        uptime_ms: u64,
        /// True if the probe is process 1.
        is_init: bool,
    },
    /// Done, and there is nothing to tell.
    Done,
    /// Bytes.
    Data {
        /// At most [`MAX_DATA`](crate::MAX_DATA).
        data: &'a [u8],
    },
    /// A number.
    Count {
        /// The number.
        count: u64,
    },
    /// A digest.
    Digest {
        /// SHA-256.
        sha256: [u8; 32],
        /// Of how many bytes.
        length: u64,
        /// How long it took, in ns.
        nanoseconds: u64,
    },
    /// To `Run`: how it ended, and the first [`MAX_DATA`](crate::MAX_DATA) bytes of standard output and error.
    Exit {
        /// Exit code; 128 + signal if killed; -1 if the limit was reached.
        code: i32,
        /// Output.
        output: &'a [u8],
    },
    /// To `Cpuid`.
    Cpuid(CpuidWords),
    /// To `Clock`.
    Clock(ClockReading),
    /// To `ClockScan`.
    ClockScan {
        /// Readings taken.
        readings: u64,
        /// Readings that were before an earlier one.
        backward: u64,
        /// Largest step back in ns.
        worst_ns: u64,
        /// vCPUs that it ran on.
        cpus: u32,
    },
    /// To `Ticks`: from first to last, the least and the greatest distance of two.
    Sleeps {
        /// Expirations.
        count: u32,
        /// In all, in ns.
        total_ns: u64,
        /// Shortest period in ns.
        least_ns: u64,
        /// Longest period in ns.
        most_ns: u64,
    },
    /// To `RtcRead`.
    RtcTime {
        /// Seconds since 1970-01-01, the RTC taken as UTC.
        seconds: i64,
    },
    /// To `BlockInfo`.
    Block {
        /// Bytes.
        size: u64,
        /// Logical sector in bytes.
        logical: u32,
        /// Physical sector in bytes, 0 if the kernel cannot say.
        physical: u32,
        /// Writes are refused.
        read_only: bool,
    },
    /// To `Ioctl`.
    Ioctl {
        /// What the call returned.
        result: i64,
        /// The argument afterwards.
        argument: &'a [u8],
    },
    /// To `MemoryScan`.
    Scan {
        /// Bytes looked at.
        scanned: u64,
        /// Hits.
        hits: u64,
    },
    /// To `InputRead`: the first events, each 8 bytes (kind, code, value, little-endian).
    Input {
        /// Events.
        events: &'a [u8],
    },
    /// The call that failed, and what it failed with.
    Failed {
        /// Whose number it is.
        domain: Domain,
        /// The number; of an NTSTATUS the same 32 bits.
        code: i32,
        /// Which call, as its system names it.
        call: &'a str,
    },
}
