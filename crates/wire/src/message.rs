//! What the harness can ask of the probe, and what it answers.
//!
//! The requests are primitives (read a file, write a pattern to a block device, read the clocks)
//! rather than checks, so that a check can change without the probe, and so without a new boot.

use serde::{Deserialize, Serialize};

/// Version of the protocol. A probe of another one is refused.
pub const PROTOCOL: u16 = 1;
/// The longest data in one message, in bytes.
pub const MAX_DATA: usize = 4096;

/// A message with the number that ties the answer to its request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// Sequence number, chosen by the harness.
    pub seq: u32,
    /// The request or reply.
    pub body: T,
}

/// Kinds of device nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the kinds' own names")]
pub enum Node {
    Block,
    Character,
}

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
    /// Who are you? → [`Reply::Hello`].
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
        /// At most [`MAX_DATA`].
        data: &'a [u8],
    },
    /// → `Data`; shorter than `max` only at the end of the file.
    ReadFile {
        /// Path.
        path: &'a str,
        /// First byte.
        offset: u64,
        /// At most [`MAX_DATA`].
        max: u32,
    },
    /// → `Count` of bytes written.
    WriteFile {
        /// Path.
        path: &'a str,
        /// Where, if not appending.
        offset: u64,
        /// At most [`MAX_DATA`].
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
    /// → `Done`, also if it is there already.
    MakeNode {
        /// Path.
        path: &'a str,
        /// Kind.
        node: Node,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// → `Done`.
    Mount {
        /// Device or pseudo file system.
        source: &'a str,
        /// Where.
        target: &'a str,
        /// File-system type.
        kind: &'a str,
        /// `MS_*`.
        flags: u64,
        /// Options.
        data: &'a str,
    },
    /// → `Done`.
    Unmount {
        /// Where.
        target: &'a str,
    },
    /// Loads a kernel module from a file → `Done`, also if it is loaded already.
    LoadModule {
        /// Path.
        path: &'a str,
        /// Parameters.
        parameters: &'a str,
    },
    /// → `Done`.
    UnloadModule {
        /// Module name.
        name: &'a str,
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
    /// Any ioctl whose argument is a plain buffer → `Ioctl`.
    Ioctl {
        /// Device.
        path: &'a str,
        /// Request number.
        request: u64,
        /// Argument in, at most 1024 bytes.
        argument: &'a [u8],
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
        /// At most [`MAX_DATA`].
        max: u32,
        /// Limit.
        limit_ms: u32,
    },
    /// Opens an input device and keeps it in a slot → `Done`.
    InputOpen {
        /// Slot.
        slot: u8,
        /// `/dev/input/event0`.
        path: &'a str,
    },
    /// Events since the last time, waiting at most `limit_ms` for the first → `Input`.
    InputRead {
        /// Slot.
        slot: u8,
        /// Limit.
        limit_ms: u32,
    },
    /// From now on, powers off when the power button's input device reports KEY_POWER → `Done`.
    /// Writes `power button pressed` to the console first.
    ObeyPowerButton {
        /// Its input device.
        path: &'a str,
    },
    /// Opens a watchdog, sets its time-out and does not pet it → `Count` of the seconds in force.
    WatchdogArm {
        /// `/dev/watchdog`.
        path: &'a str,
        /// Seconds.
        seconds: u32,
    },
    /// Writes the magic `V` and closes it → `Done`.
    WatchdogDisarm,
    /// The kernel's log from byte `offset` on → `Data`; empty at the end.
    KernelLog {
        /// First byte.
        offset: u32,
    },
    /// Answers `Done` first, then does it.
    Power {
        /// What.
        action: PowerAction,
    },
}

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
        /// [`PROTOCOL`].
        protocol: u16,
        /// The nonce of the request.
        nonce: u64,
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
        /// At most [`MAX_DATA`].
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
    /// To `Run`: how it ended, and the first [`MAX_DATA`] bytes of standard output and error.
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
    /// The system call that failed and its errno.
    Failed {
        /// `errno`.
        errno: i32,
        /// Which call.
        call: &'a str,
    },
}

/// The errno values that callers tell apart.
#[expect(missing_docs, reason = "the values' own names")]
pub mod errno {
    pub const EPERM: i32 = 1;
    pub const ENOENT: i32 = 2;
    pub const EIO: i32 = 5;
    pub const ENXIO: i32 = 6;
    pub const EBADF: i32 = 9;
    pub const EEXIST: i32 = 17;
    pub const EINVAL: i32 = 22;
    pub const ENOSPC: i32 = 28;
    pub const EROFS: i32 = 30;
    pub const ENOSYS: i32 = 38;
    pub const EMSGSIZE: i32 = 90;
    pub const EOPNOTSUPP: i32 = 95;
    pub const ETIMEDOUT: i32 = 110;

    /// The usual name, for people; the number where it has none here.
    pub fn name(errno: i32) -> &'static str {
        match errno {
            EPERM => "EPERM",
            ENOENT => "ENOENT",
            EIO => "EIO",
            ENXIO => "ENXIO",
            EBADF => "EBADF",
            EEXIST => "EEXIST",
            EINVAL => "EINVAL",
            ENOSPC => "ENOSPC",
            EROFS => "EROFS",
            ENOSYS => "ENOSYS",
            EMSGSIZE => "EMSGSIZE",
            EOPNOTSUPP => "EOPNOTSUPP",
            ETIMEDOUT => "ETIMEDOUT",
            _ => "error",
        }
    }
}
