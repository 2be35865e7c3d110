//! What the harness can ask of the probe, whatever the guest's operating system.
//!
//! The requests are primitives (read a file, write a pattern to a block device, read the clocks)
//! rather than checks, so that a check can change without the probe, and so without a new boot. What
//! only one operating system has is in an enum of its own, such as [`LinuxRequest`].

use serde::{Deserialize, Serialize};

use crate::linux::LinuxRequest;

/// What to do with the machine's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PowerAction {
    /// Power off.
    Off,
    /// Restart.
    Reboot,
    /// Stop without powering off.
    Halt,
    /// Crash the kernel on purpose (Linux: `echo c > /proc/sysrq-trigger`).
    Crash,
    /// Suspend to RAM.
    Suspend,
}

/// How a file is opened for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Flags {
    /// Make it if it is not there.
    pub create: bool,
    /// Empty it first.
    pub truncate: bool,
    /// Write at the end.
    pub append: bool,
    /// Flush to the medium before answering (fsync).
    pub sync: bool,
}

/// A request. Paths are of the guest. Slots are numbers below 8 that name something held open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// Who are you? → [`Reply::Hello`](crate::Reply::Hello).
    Hello {
        /// Returned in the answer.
        nonce: u64,
    },
    /// You have been cloned or restored: here is fresh entropy. Mixes it into the kernel's
    /// pool, credits it and reseeds (Linux: RNDADDENTROPY, then RNDRESEEDCRNG) → `Done`.
    Adopt {
        /// Fresh random bytes, never used for another clone.
        entropy: [u8; 32],
    },
    /// → `Data` with the same bytes.
    Echo {
        /// At most [`MAX_DATA`](crate::MAX_DATA).
        data: &'a [u8],
    },
    /// → `Data`; shorter than `max` only at the end of the file.
    ReadFile {
        /// Path.
        path: &'a str,
        /// First byte.
        offset: u64,
        /// At most [`MAX_DATA`](crate::MAX_DATA).
        max: u32,
    },
    /// → `Count` of bytes written.
    WriteFile {
        /// Path.
        path: &'a str,
        /// Where, if not appending.
        offset: u64,
        /// At most [`MAX_DATA`](crate::MAX_DATA).
        data: &'a [u8],
        /// How.
        flags: Flags,
    },
    /// Names in a folder, from the n-th on, `.` and `..` left out → `Data`, each name ended
    /// by a NUL; empty when there are no more.
    List {
        /// Path.
        path: &'a str,
        /// How many names to pass over.
        skip: u32,
    },
    /// Target of a symbolic link → `Data`.
    ReadLink {
        /// Path.
        path: &'a str,
    },
    /// → `Done`, also if it is there already.
    MakeDir {
        /// Path.
        path: &'a str,
    },
    /// Removes a file or an empty folder → `Done`.
    Remove {
        /// Path.
        path: &'a str,
    },
    /// Flushes all file systems → `Done`.
    Sync,
    /// Runs a program without a shell and waits, at most `limit_ms` → `Exit`.
    Run {
        /// Program and arguments, each ended by a NUL.
        arguments: &'a [u8],
        /// Milliseconds until it is killed.
        limit_ms: u32,
    },
    /// CPUID as seen on one vCPU → `Cpuid`.
    Cpuid {
        /// Which vCPU.
        cpu: u32,
        /// EAX.
        leaf: u32,
        /// ECX.
        subleaf: u32,
    },
    /// All clocks at one moment → `Clock`.
    Clock,
    /// Reads the monotonic clock on vCPUs 0 … `cpus` in turn and in parallel for `milliseconds`
    /// → `ClockScan`.
    ClockScan {
        /// For how long.
        milliseconds: u32,
        /// How many vCPUs.
        cpus: u32,
    },
    /// Asks for `count` timer expirations `period_us` apart → `Sleeps`.
    Ticks {
        /// Period in µs.
        period_us: u32,
        /// How many.
        count: u32,
    },
    /// Real-time clock → `RtcTime`.
    RtcRead {
        /// `/dev/rtc0`.
        path: &'a str,
    },
    /// Sets the real-time clock → `Done`.
    RtcWrite {
        /// `/dev/rtc0`.
        path: &'a str,
        /// Seconds since 1970-01-01, the RTC taken as UTC.
        seconds: i64,
    },
    /// Starts load in child processes that end by themselves → `Done` at once.
    Load {
        /// Processes that compute.
        cpu: u32,
        /// A file or device to write and read over and over; empty for none.
        io_path: &'a str,
        /// For how long.
        milliseconds: u32,
    },
    /// Writes a seeded pattern → `Digest` of what was written.
    PatternWrite {
        /// File or block device.
        path: &'a str,
        /// First byte, a multiple of 4096.
        offset: u64,
        /// Bytes, a multiple of 4096.
        length: u64,
        /// The pattern's seed; its first byte goes to `offset`.
        seed: u64,
        /// Ask the medium to make it durable (fsync) before answering.
        flush: bool,
        /// Past the page cache (O_DIRECT).
        direct: bool,
    },
    /// Reads → `Digest` of what was read.
    PatternRead {
        /// File or block device.
        path: &'a str,
        /// First byte, a multiple of 4096.
        offset: u64,
        /// Bytes, a multiple of 4096.
        length: u64,
        /// Past the page cache (O_DIRECT).
        direct: bool,
    },
    /// → `Block`.
    BlockInfo {
        /// Block device.
        path: &'a str,
    },
    /// Discards (trims) → `Done`.
    BlockDiscard {
        /// Block device.
        path: &'a str,
        /// First byte.
        offset: u64,
        /// Bytes.
        length: u64,
    },
    /// Brings an IPv4 interface up with this address → `Done`.
    NetUp {
        /// Interface.
        name: &'a str,
        /// Address.
        address: [u8; 4],
        /// Prefix length.
        prefix: u8,
        /// MTU; 0 leaves it.
        mtu: u32,
    },
    /// Takes an interface down → `Done`.
    NetDown {
        /// Interface.
        name: &'a str,
    },
    /// Connects, sends a pattern, closes its side, waits for the other's close → `Digest`.
    TcpSend {
        /// Address.
        address: [u8; 4],
        /// Port.
        port: u16,
        /// Bytes.
        length: u64,
        /// The pattern's seed.
        seed: u64,
    },
    /// Connects, reads to the end → `Digest`.
    TcpReceive {
        /// Address.
        address: [u8; 4],
        /// Port.
        port: u16,
        /// At most this many bytes.
        length: u64,
    },
    /// Connects and keeps the connection in a slot → `Done`.
    TcpOpen {
        /// Slot.
        slot: u8,
        /// Address.
        address: [u8; 4],
        /// Port.
        port: u16,
    },
    /// Sends on a kept connection, waits at most `limit_ms` for as many bytes → `Data`.
    TcpExchange {
        /// Slot.
        slot: u8,
        /// Data.
        data: &'a [u8],
        /// Limit.
        limit_ms: u32,
    },
    /// Sends one UDP datagram that may not be fragmented, waits for the echo → `Digest` of it.
    UdpEcho {
        /// Address.
        address: [u8; 4],
        /// Port.
        port: u16,
        /// Bytes of payload, at most 16384.
        length: u32,
        /// The pattern's seed.
        seed: u64,
        /// Limit.
        limit_ms: u32,
    },
    /// Holds memory filled with a pattern in a slot → `Digest` of it.
    MemoryFill {
        /// Slot.
        slot: u8,
        /// Bytes.
        length: u64,
        /// The pattern's seed.
        seed: u64,
    },
    /// → `Digest` of the memory held.
    MemoryDigest {
        /// Slot.
        slot: u8,
    },
    /// Lets go of the memory → `Done`.
    MemoryFree {
        /// Slot.
        slot: u8,
    },
    /// Looks for 32 bytes in all physical memory (Linux: `/proc/kcore`) at multiples of 64
    /// → `Scan`. The needle is XORed with 0xA5 in the message so that the message itself is no hit.
    MemoryScan {
        /// What to look for, each byte XORed with 0xA5.
        needle: [u8; 32],
    },
    /// Random bytes from the kernel (getrandom, or `/dev/urandom`) → `Data`.
    Random {
        /// At most 256.
        count: u32,
    },
    /// Reads from a device, waiting at most `limit_ms` → `Data`.
    ReadDevice {
        /// Path.
        path: &'a str,
        /// At most [`MAX_DATA`](crate::MAX_DATA).
        max: u32,
        /// Limit.
        limit_ms: u32,
    },
    /// Answers `Done` first, then does it.
    Power {
        /// What.
        action: PowerAction,
    },
    /// What only Linux has; refused by a probe of another system.
    Linux(LinuxRequest<'a>),
}

impl Request<'_> {
    /// How many there are.
    pub const COUNT: u8 = 37;

    /// Which one it is, from 0: its number on the wire and its bit in [`Verbs`](crate::Verbs).
    pub const fn number(&self) -> u8 {
        match self {
            Self::Hello { .. } => 0,
            Self::Adopt { .. } => 1,
            Self::Echo { .. } => 2,
            Self::ReadFile { .. } => 3,
            Self::WriteFile { .. } => 4,
            Self::List { .. } => 5,
            Self::ReadLink { .. } => 6,
            Self::MakeDir { .. } => 7,
            Self::Remove { .. } => 8,
            Self::Sync => 9,
            Self::Run { .. } => 10,
            Self::Cpuid { .. } => 11,
            Self::Clock => 12,
            Self::ClockScan { .. } => 13,
            Self::Ticks { .. } => 14,
            Self::RtcRead { .. } => 15,
            Self::RtcWrite { .. } => 16,
            Self::Load { .. } => 17,
            Self::PatternWrite { .. } => 18,
            Self::PatternRead { .. } => 19,
            Self::BlockInfo { .. } => 20,
            Self::BlockDiscard { .. } => 21,
            Self::NetUp { .. } => 22,
            Self::NetDown { .. } => 23,
            Self::TcpSend { .. } => 24,
            Self::TcpReceive { .. } => 25,
            Self::TcpOpen { .. } => 26,
            Self::TcpExchange { .. } => 27,
            Self::UdpEcho { .. } => 28,
            Self::MemoryFill { .. } => 29,
            Self::MemoryDigest { .. } => 30,
            Self::MemoryFree { .. } => 31,
            Self::MemoryScan { .. } => 32,
            Self::Random { .. } => 33,
            Self::ReadDevice { .. } => 34,
            Self::Power { .. } => 35,
            Self::Linux(_) => 36,
        }
    }
}
