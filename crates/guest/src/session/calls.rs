//! One method for each request. Paths are of the guest; slots are numbers below 8.

use std::time::Duration;

use hospitium_wire::{
    ClockReading, CpuidWords, Flags, InputEvent, MAX_DATA, Node, PowerAction, Request,
};

use super::describe::describe;
use super::reply::{OwnedReply, nul_separated};
use super::values::{
    BlockInfo, ClockScan, DriverLoad, MemoryScan, PatternDone, Ran, Range, Ticks,
};
use super::{Session, SessionError};

type Result<T> = std::result::Result<T, SessionError>;

/// The most that [`Session::read_text`] takes.
const MOST_TEXT: u64 = 4 << 20;
/// The most names of a folder.
const MOST_NAMES: usize = 1 << 16;
/// The most of a kernel log.
const MOST_LOG: u64 = 16 << 20;

const NO_TIME: Duration = Duration::ZERO;

fn ms(limit: Duration) -> u32 {
    u32::try_from(limit.as_millis()).unwrap_or(u32::MAX)
}

/// Calls a request and takes the one kind of answer that fits.
macro_rules! ask {
    ($session:expr, $request:expr, $own:expr, $pattern:pat => $value:expr) => {{
        let request = $request;
        match $session.call(&request, $own).await? {
            $pattern => Ok($value),
            other => Err(unexpected(&request, &other)),
        }
    }};
}

fn unexpected(request: &Request<'_>, got: &OwnedReply) -> SessionError {
    SessionError::Unexpected { doing: describe(request), got: got.kind() }
}

/// Files.
impl Session {
    /// Gives the guest fresh entropy; the first thing to do after a clone.
    pub async fn adopt(&self, entropy: [u8; 32]) -> Result<()> {
        self.done(Request::Adopt { entropy }, NO_TIME).await
    }

    /// Sends bytes (at most [`MAX_DATA`]) and gets them back.
    pub async fn echo(&self, data: &[u8]) -> Result<Vec<u8>> {
        self.data(Request::Echo { data }, NO_TIME).await
    }

    /// A whole file, at most `most` bytes; a longer one is an error.
    pub async fn read_file(&self, path: &str, most: u64) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let offset = all.len() as u64;
            let request = Request::ReadFile { path, offset, max: MAX_DATA as u32 };
            let part = self.data(request, NO_TIME).await?;
            let last = part.len() < MAX_DATA;
            all.extend(part);
            if all.len() as u64 > most {
                return Err(SessionError::TooLarge { doing: format!("reading {}", crate::text::short(path, 120)), most });
            }
            if last {
                return Ok(all);
            }
        }
    }

    /// A whole text file of at most 4 MiB without the white space at its end. What is not UTF-8
    /// is replaced; the text is not escaped.
    pub async fn read_text(&self, path: &str) -> Result<String> {
        let bytes = self.read_file(path, MOST_TEXT).await?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    }

    /// Part of a file: at most [`MAX_DATA`] bytes from `offset` on.
    pub async fn read_at(&self, path: &str, offset: u64, max: u32) -> Result<Vec<u8>> {
        self.data(Request::ReadFile { path, offset, max: max.min(MAX_DATA as u32) }, NO_TIME).await
    }

    /// Writes all of `data`, in messages of at most 4096 bytes: at the beginning of the file, or
    /// at its end where `flags` say so.
    pub async fn write_file(&self, path: &str, data: &[u8], flags: Flags) -> Result<()> {
        let mut written = 0;
        let mut flags = flags;
        loop {
            let part = &data[written..data.len().min(written + MAX_DATA)];
            let request = Request::WriteFile { path, offset: written as u64, data: part, flags };
            let doing = describe(&request);
            let count = ask!(self, request, NO_TIME, OwnedReply::Count(count) => count)?;
            let moved = usize::try_from(count).ok().filter(|&n| n <= part.len());
            match moved {
                Some(n) if n > 0 || part.is_empty() => written += n,
                _ => return Err(SessionError::Unexpected { doing, got: "an impossible count" }),
            }
            if written == data.len() {
                return Ok(());
            }
            flags.truncate = false;
        }
    }

    /// All names in a folder, unsorted.
    pub async fn list(&self, path: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        loop {
            let request = Request::List { path, skip: names.len() as u32 };
            let page = nul_separated(&self.data(request, NO_TIME).await?);
            if page.is_empty() {
                return Ok(names);
            }
            names.extend(page);
            if names.len() > MOST_NAMES {
                let doing = format!("listing {}", crate::text::short(path, 120));
                return Err(SessionError::TooLarge { doing, most: MOST_NAMES as u64 });
            }
        }
    }

    /// Target of a symbolic link.
    pub async fn read_link(&self, path: &str) -> Result<String> {
        let target = self.data(Request::ReadLink { path }, NO_TIME).await?;
        Ok(String::from_utf8_lossy(&target).into_owned())
    }

    /// Makes a folder, unless it is there.
    pub async fn make_dir(&self, path: &str) -> Result<()> {
        self.done(Request::MakeDir { path }, NO_TIME).await
    }

    /// Removes a file or an empty folder.
    pub async fn remove(&self, path: &str) -> Result<()> {
        self.done(Request::Remove { path }, NO_TIME).await
    }

    /// Makes a device node, unless it is there.
    pub async fn make_node(&self, path: &str, node: Node, major: u32, minor: u32) -> Result<()> {
        self.done(Request::MakeNode { path, node, major, minor }, NO_TIME).await
    }

    /// Mounts a file system; `flags` are `MS_*`.
    pub async fn mount(
        &self,
        source: &str,
        target: &str,
        kind: &str,
        flags: u64,
        data: &str,
    ) -> Result<()> {
        self.done(Request::Mount { source, target, kind, flags, data }, NO_TIME).await
    }

    /// Unmounts.
    pub async fn unmount(&self, target: &str) -> Result<()> {
        self.done(Request::Unmount { target }, NO_TIME).await
    }

    /// Flushes all file systems.
    pub async fn sync(&self) -> Result<()> {
        self.done(Request::Sync, NO_TIME).await
    }
}

/// Kernel and programs.
impl Session {
    /// Loads a kernel module, unless it is loaded.
    pub async fn load_module(&self, path: &str, parameters: &str) -> Result<()> {
        self.done(Request::LoadModule { path, parameters }, NO_TIME).await
    }

    /// Loads the driver for a device that is to be plugged in, by its name in
    /// `guests/linux-modules.toml`. A kernel guest carries its modules and a table of them; a whole
    /// system loads its drivers itself.
    pub async fn load_driver(&self, device: &str) -> Result<DriverLoad> {
        let table = match self.read_text(crate::kernel::DRIVER_TABLE).await {
            Ok(table) => table,
            Err(e) if e.errno() == Some(hospitium_wire::errno::ENOENT) => {
                return Ok(DriverLoad::Unmanaged);
            }
            Err(e) => return Err(e),
        };
        let mut rows = table.lines().map(|line| line.split(' '));
        let Some(row) = rows.find_map(|mut r| (r.next() == Some(device)).then_some(r)) else {
            return Ok(DriverLoad::Absent);
        };
        let mut loaded = 0;
        for path in row {
            self.load_module(path, "").await?;
            loaded += 1;
        }
        Ok(DriverLoad::Loaded(loaded))
    }

    /// Unloads a kernel module.
    pub async fn unload_module(&self, name: &str) -> Result<()> {
        self.done(Request::UnloadModule { name }, NO_TIME).await
    }

    /// Runs a program with its arguments, without a shell, at most for `limit`.
    pub async fn run(&self, arguments: &[&str], limit: Duration) -> Result<Ran> {
        let mut joined = Vec::new();
        for argument in arguments {
            joined.extend_from_slice(argument.as_bytes());
            joined.push(0);
        }
        let request = Request::Run { arguments: &joined, limit_ms: ms(limit) };
        ask!(self, request, limit, OwnedReply::Exit { code, output } => Ran { code, output })
    }

    /// The kernel's log.
    pub async fn kernel_log(&self) -> Result<Vec<u8>> {
        let mut log = Vec::new();
        loop {
            let offset = log.len() as u32;
            let part = self.data(Request::KernelLog { offset }, NO_TIME).await?;
            if part.is_empty() {
                return Ok(log);
            }
            log.extend(part);
            if log.len() as u64 > MOST_LOG {
                let doing = "reading the kernel's log".to_owned();
                return Err(SessionError::TooLarge { doing, most: MOST_LOG });
            }
        }
    }

    /// CPUID as seen on one vCPU.
    pub async fn cpuid(&self, cpu: u32, leaf: u32, subleaf: u32) -> Result<CpuidWords> {
        let request = Request::Cpuid { cpu, leaf, subleaf };
        ask!(self, request, NO_TIME, OwnedReply::Cpuid(words) => words)
    }

    /// Random bytes from the kernel, at most 256.
    pub async fn random(&self, count: u32) -> Result<Vec<u8>> {
        self.data(Request::Random { count }, NO_TIME).await
    }

    /// Powers off, reboots, crashes …: returns before it is done.
    pub async fn power(&self, action: PowerAction) -> Result<()> {
        self.done(Request::Power { action }, NO_TIME).await
    }

    /// From now on, powers off when the power button is pressed; `path` is its input device.
    pub async fn obey_power_button(&self, path: &str) -> Result<()> {
        self.done(Request::ObeyPowerButton { path }, NO_TIME).await
    }

    /// Starts load in child processes that end by themselves after `time`.
    pub async fn load(&self, cpu: u32, io_path: &str, time: Duration) -> Result<()> {
        self.done(Request::Load { cpu, io_path, milliseconds: ms(time) }, NO_TIME).await
    }
}

/// Clocks and the watchdog.
impl Session {
    /// All clocks at one moment.
    pub async fn clock(&self) -> Result<ClockReading> {
        ask!(self, Request::Clock, NO_TIME, OwnedReply::Clock(reading) => reading)
    }

    /// Compares the monotonic clocks of vCPUs 0 … `cpus` for `time`.
    pub async fn clock_scan(&self, time: Duration, cpus: u32) -> Result<ClockScan> {
        let request = Request::ClockScan { milliseconds: ms(time), cpus };
        ask!(self, request, time * 2,
            OwnedReply::ClockScan { readings, backward, worst_ns, cpus } => ClockScan {
                readings,
                backward,
                worst: Duration::from_nanos(worst_ns),
                cpus,
            })
    }

    /// Takes `count` timer expirations `period` apart.
    pub async fn ticks(&self, period: Duration, count: u32) -> Result<Ticks> {
        let period_us = u32::try_from(period.as_micros()).unwrap_or(u32::MAX);
        ask!(self, Request::Ticks { period_us, count }, period.saturating_mul(count),
            OwnedReply::Sleeps { count, total_ns, least_ns, most_ns } => Ticks {
                count,
                total: Duration::from_nanos(total_ns),
                least: Duration::from_nanos(least_ns),
                most: Duration::from_nanos(most_ns),
            })
    }

    /// Seconds since 1970-01-01 by the real-time clock, taken as UTC.
    pub async fn rtc_read(&self, path: &str) -> Result<i64> {
        ask!(self, Request::RtcRead { path }, NO_TIME, OwnedReply::RtcTime { seconds } => seconds)
    }

    /// Sets the real-time clock.
    pub async fn rtc_write(&self, path: &str, seconds: i64) -> Result<()> {
        self.done(Request::RtcWrite { path, seconds }, NO_TIME).await
    }

    /// Opens a watchdog and does not pet it; returns the seconds in force.
    pub async fn watchdog_arm(&self, path: &str, seconds: u32) -> Result<u64> {
        let request = Request::WatchdogArm { path, seconds };
        ask!(self, request, NO_TIME, OwnedReply::Count(count) => count)
    }

    /// Closes the watchdog the way that stops it.
    pub async fn watchdog_disarm(&self) -> Result<()> {
        self.done(Request::WatchdogDisarm, NO_TIME).await
    }
}

/// Storage and memory.
impl Session {
    /// Writes the pattern of `seed` to a file or block device; see [`Request::PatternWrite`].
    pub async fn pattern_write(&self, at: Range<'_>, seed: u64, flush: bool) -> Result<PatternDone> {
        let Range { path, offset, length, direct } = at;
        self.digest(
            Request::PatternWrite { path, offset, length, seed, flush, direct },
            NO_TIME,
        )
        .await
    }

    /// Reads a range and digests it.
    pub async fn pattern_read(&self, at: Range<'_>) -> Result<PatternDone> {
        let Range { path, offset, length, direct } = at;
        self.digest(Request::PatternRead { path, offset, length, direct }, NO_TIME).await
    }

    /// Size and sectors of a block device.
    pub async fn block_info(&self, path: &str) -> Result<BlockInfo> {
        ask!(self, Request::BlockInfo { path }, NO_TIME,
            OwnedReply::Block { size, logical, physical, read_only } => BlockInfo {
                size,
                logical,
                physical,
                read_only,
            })
    }

    /// Discards (trims) a range.
    pub async fn block_discard(&self, path: &str, offset: u64, length: u64) -> Result<()> {
        self.done(Request::BlockDiscard { path, offset, length }, NO_TIME).await
    }

    /// An ioctl with a plain buffer; returns what the call returned, and the buffer afterwards.
    pub async fn ioctl(&self, path: &str, number: u64, argument: &[u8]) -> Result<(i64, Vec<u8>)> {
        ask!(self, Request::Ioctl { path, request: number, argument }, NO_TIME,
            OwnedReply::Ioctl { result, argument } => (result, argument))
    }

    /// Fills memory with a pattern and holds it in a slot.
    pub async fn memory_fill(&self, slot: u8, length: u64, seed: u64) -> Result<PatternDone> {
        self.digest(Request::MemoryFill { slot, length, seed }, NO_TIME).await
    }

    /// Digests the memory held.
    pub async fn memory_digest(&self, slot: u8) -> Result<PatternDone> {
        self.digest(Request::MemoryDigest { slot }, NO_TIME).await
    }

    /// Lets go of it.
    pub async fn memory_free(&self, slot: u8) -> Result<()> {
        self.done(Request::MemoryFree { slot }, NO_TIME).await
    }

    /// Looks for 32 bytes in all of the guest's memory.
    pub async fn memory_scan(&self, needle: [u8; 32]) -> Result<MemoryScan> {
        let needle = needle.map(|byte| byte ^ 0xA5);
        ask!(self, Request::MemoryScan { needle }, NO_TIME,
            OwnedReply::Scan { scanned, hits } => MemoryScan { scanned, hits })
    }

    /// Reads from a device, waiting at most `limit`.
    pub async fn read_device(&self, path: &str, max: u32, limit: Duration) -> Result<Vec<u8>> {
        let max = max.min(MAX_DATA as u32);
        self.data(Request::ReadDevice { path, max, limit_ms: ms(limit) }, limit).await
    }
}

/// Network and input.
impl Session {
    /// Brings an IPv4 interface up; an MTU of 0 leaves it as it is.
    pub async fn net_up(&self, name: &str, address: [u8; 4], prefix: u8, mtu: u32) -> Result<()> {
        self.done(Request::NetUp { name, address, prefix, mtu }, NO_TIME).await
    }

    /// Takes an interface down.
    pub async fn net_down(&self, name: &str) -> Result<()> {
        self.done(Request::NetDown { name }, NO_TIME).await
    }

    /// Connects, sends `length` bytes of the pattern of `seed`, and closes in order.
    pub async fn tcp_send(
        &self,
        (address, port): ([u8; 4], u16),
        length: u64,
        seed: u64,
    ) -> Result<PatternDone> {
        self.digest(Request::TcpSend { address, port, length, seed }, NO_TIME).await
    }

    /// Connects and reads to the end, at most `length` bytes.
    pub async fn tcp_receive(&self, (address, port): ([u8; 4], u16), length: u64) -> Result<PatternDone> {
        self.digest(Request::TcpReceive { address, port, length }, NO_TIME).await
    }

    /// Connects and keeps the connection in a slot.
    pub async fn tcp_open(&self, slot: u8, (address, port): ([u8; 4], u16)) -> Result<()> {
        self.done(Request::TcpOpen { slot, address, port }, NO_TIME).await
    }

    /// Sends on a kept connection and waits, at most `limit`, for as many bytes.
    pub async fn tcp_exchange(&self, slot: u8, data: &[u8], limit: Duration) -> Result<Vec<u8>> {
        self.data(Request::TcpExchange { slot, data, limit_ms: ms(limit) }, limit).await
    }

    /// Sends one unfragmented UDP datagram of the pattern and waits for its echo.
    pub async fn udp_echo(
        &self,
        (address, port): ([u8; 4], u16),
        length: u32,
        seed: u64,
        limit: Duration,
    ) -> Result<PatternDone> {
        let request = Request::UdpEcho { address, port, length, seed, limit_ms: ms(limit) };
        self.digest(request, limit).await
    }

    /// Opens an input device and keeps it in a slot.
    pub async fn input_open(&self, slot: u8, path: &str) -> Result<()> {
        self.done(Request::InputOpen { slot, path }, NO_TIME).await
    }

    /// Input events since the last time, waiting at most `limit` for the first.
    pub async fn input_read(&self, slot: u8, limit: Duration) -> Result<Vec<InputEvent>> {
        let request = Request::InputRead { slot, limit_ms: ms(limit) };
        let bytes = ask!(self, request, limit, OwnedReply::Input(events) => events)?;
        let (events, _) = bytes.as_chunks::<8>();
        let event = |e: &[u8; 8]| InputEvent {
            kind: u16::from_le_bytes([e[0], e[1]]),
            code: u16::from_le_bytes([e[2], e[3]]),
            value: i32::from_le_bytes([e[4], e[5], e[6], e[7]]),
        };
        Ok(events.iter().map(event).collect())
    }
}

impl Session {
    async fn done(&self, request: Request<'_>, own: Duration) -> Result<()> {
        ask!(self, request, own, OwnedReply::Done => ())
    }

    async fn data(&self, request: Request<'_>, own: Duration) -> Result<Vec<u8>> {
        ask!(self, request, own, OwnedReply::Data(data) => data)
    }

    async fn digest(&self, request: Request<'_>, own: Duration) -> Result<PatternDone> {
        ask!(self, request, own, OwnedReply::Digest(done) => done)
    }
}
