//! Clocks, the watchdog, storage, memory, network and input.

use std::time::Duration;

use hospitium_wire::{ClockReading, InputEvent, LinuxRequest, MAX_DATA, Request};

use super::super::Session;
use super::super::reply::OwnedReply;
use super::super::values::{BlockInfo, ClockScan, MemoryScan, PatternDone, Range, Ticks};
use super::{NO_TIME, Result, ms, unexpected};

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
        let request = Request::Linux(LinuxRequest::WatchdogArm { path, seconds });
        ask!(self, request, NO_TIME, OwnedReply::Count(count) => count)
    }

    /// Closes the watchdog the way that stops it.
    pub async fn watchdog_disarm(&self) -> Result<()> {
        self.done(Request::Linux(LinuxRequest::WatchdogDisarm), NO_TIME).await
    }
}

/// Storage and memory.
impl Session {
    /// Writes the pattern of `seed` to a file or block device; see [`Request::PatternWrite`].
    pub async fn pattern_write(
        &self,
        at: Range<'_>,
        seed: u64,
        flush: bool,
    ) -> Result<PatternDone> {
        let Range { path, offset, length, direct } = at;
        self.digest(Request::PatternWrite { path, offset, length, seed, flush, direct }, NO_TIME)
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
        ask!(self, Request::Linux(LinuxRequest::Ioctl { path, request: number, argument }), NO_TIME,
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
    pub async fn tcp_receive(
        &self,
        (address, port): ([u8; 4], u16),
        length: u64,
    ) -> Result<PatternDone> {
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
        self.done(Request::Linux(LinuxRequest::InputOpen { slot, path }), NO_TIME).await
    }

    /// Input events since the last time, waiting at most `limit` for the first.
    pub async fn input_read(&self, slot: u8, limit: Duration) -> Result<Vec<InputEvent>> {
        let request = Request::Linux(LinuxRequest::InputRead { slot, limit_ms: ms(limit) });
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
