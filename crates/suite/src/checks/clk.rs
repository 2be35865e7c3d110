//! Clocks that run: source, offset, rate, order.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hospitium_model::{Finding, Observations, Value};
use hospitium_system::OwnedReply;
use hospitium_wire::{ClockReading, Request};

use super::read;
use crate::{Cell, Check, CheckError, Fault, Need, check};

/// All of this file.
pub const CHECKS: &[&Check] =
    &[&SOURCE, &OFFSET, &RTC_BASE, &TSC_FREQUENCY, &DRIFT_LOAD, &MONOTONIC_SMP];

/// The guest's clocks, with the host's monotonic time in the middle of the request and half the
/// round trip, which is how exactly the middle is known.
pub struct Sample {
    /// The guest's clocks.
    pub guest: ClockReading,
    /// The host's monotonic clock.
    pub at: Instant,
    /// Half of the round trip.
    pub uncertain: Duration,
}

/// Reads the guest's clocks five times and keeps the reading with the shortest round trip.
pub async fn sample(cell: &mut Cell) -> Result<Sample, CheckError> {
    let mut best: Option<Sample> = None;
    for _ in 0..5 {
        let before = Instant::now();
        let guest = cell.guest.clock().await?;
        let uncertain = before.elapsed() / 2;
        if best.as_ref().is_none_or(|b| uncertain < b.uncertain) {
            best = Some(Sample { guest, at: before + uncertain, uncertain });
        }
    }
    best.ok_or_else(|| CheckError::unreadable("the clocks", ""))
}

/// Fault: the guest's clocks run 10 % fast.
pub fn fast_clock(request: &Request<'_>, reply: &mut OwnedReply) {
    if let (Request::Clock, OwnedReply::Clock(clock)) = (request, reply) {
        clock.monotonic_ns += clock.monotonic_ns / 10;
        clock.realtime_ns += clock.monotonic_ns / 10;
        clock.tsc += clock.tsc / 10;
    }
}

check! {
    /// The guest's kernel uses the clock source that is right for it on this hypervisor.
    pub SOURCE = "clk.source", tier: Reads, needs: [],
        fault: Fault::Guest(|request, reply| {
            if let (Request::ReadFile { path, .. }, OwnedReply::Data(data)) = (request, reply)
                && path.ends_with("current_clocksource") {
                *data = b"jiffies\n".to_vec();
            }
        });
    async fn source(cell) {
        let at = "/sys/devices/system/clocksource/clocksource0";
        let used = read::text(&cell.guest, &format!("{at}/current_clocksource")).await?;
        let all = read::text(&cell.guest, &format!("{at}/available_clocksource")).await?;
        let Value::List(accepted) = cell.expect("accepted")? else {
            return Err(CheckError::unreadable("the expectation", "not a list"));
        };
        let accelerator = cell.look().await?.accelerator?.value;
        let good = accepted.contains(&used.as_str().into());
        let mut seen = Observations::of([
            Finding::guest_is(format!("clock source {used} is one that is right here"), good, true),
            Finding::host_is("accelerator in use", accelerator.name(), cell.lab().host().facts().accelerator.used.name()),
        ]);
        seen.push(Finding::recorded("clock sources at hand, and accepted").inside(Value::from(all)).outside(Value::from(Value::List(accepted))));
        Ok(seen)
    }
}

check! {
    /// The guest's clock shows the host's time: the wall clock after boot, the hardware clock always.
    pub OFFSET = "clk.offset", tier: Reads, needs: [],
        fault: Fault::Guest(|request, reply| {
            if let (Request::RtcRead { .. }, OwnedReply::RtcTime { seconds }) = (request, reply) {
                *seconds += 3600;
            }
        });
    async fn offset(cell) {
        let tolerance = cell.expect_number("wall-clock-ms")?;
        let (offset, uncertain) = cell.lab().boot_facts().clock_offset_ms;
        let rtc = cell.guest.rtc_read("/dev/rtc0").await? as f64;
        let utc = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let mut seen = Observations::of([
            Finding::within("wall clock after boot, ahead of the host's", "ms", offset.round(), 0.0, tolerance + uncertain),
            Finding::within("hardware clock, UTC", "s", rtc, utc.floor(), 2.0),
        ]);
        seen.note(format!("the wall clock is known to ± {uncertain:.1} ms, half the round trip"));
        Ok(seen)
    }
}

check! {
    /// The hardware clock holds UTC, and takes a new time.
    pub RTC_BASE = "clk.rtc-base", tier: Reversible, needs: [],
        fault: Fault::Guest(|request, reply| {
            if let (Request::RtcRead { .. }, OwnedReply::RtcTime { seconds }) = (request, reply) {
                *seconds -= 7200;
            }
        });
    async fn rtc_base(cell) {
        let utc = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let before = cell.guest.rtc_read("/dev/rtc0").await?;
        let host = utc().floor();
        let wanted = before + 86_400;
        cell.guest.rtc_write("/dev/rtc0", wanted).await?;
        let after = cell.guest.rtc_read("/dev/rtc0").await?;
        Ok(Observations::of([
            Finding::within("hardware clock, UTC", "s", before as f64, host, 2.0),
            Finding::guest_between("a day ahead after it was set so", "s", (after - wanted) as f64, 0.0, 2.0),
        ]))
    }
}

check! {
    /// The guest's kernel knows the rate of its time-stamp counter.
    pub TSC_FREQUENCY = "clk.tsc-frequency", tier: Reads, needs: [],
        fault: Fault::Guest(fast_clock);
    async fn tsc_frequency(cell) {
        let info = read::text(&cell.guest, "/proc/cpuinfo").await?;
        let told = info.lines().find(|line| line.starts_with("cpu MHz"));
        let told: f64 = told
            .and_then(|line| line.split(':').nth(1)?.trim().parse().ok())
            .ok_or_else(|| CheckError::unreadable("cpu MHz", &info))?;
        let first = sample(cell).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let second = sample(cell).await?;
        let window = second.at.duration_since(first.at).as_secs_f64();
        let measured = second.guest.tsc.saturating_sub(first.guest.tsc) as f64 / window / 1e6;
        let percent = cell.expect_number("percent")?;
        Ok(Observations::of([Finding::within(
            "time-stamp counter", "MHz", told, (measured * 10.0).round() / 10.0, measured * percent / 100.0,
        )]))
    }
}

check! {
    /// Under CPU load the guest's clock runs at the rate of the host's.
    pub DRIFT_LOAD = "clk.drift-load", tier: Reversible, needs: [],
        fault: Fault::Guest(fast_clock);
    async fn drift_load(cell) {
        let window = Duration::from_secs_f64(cell.expect_number("window-ms")? / 1e3);
        let most = cell.expect_number("ppm")?;
        let load = window + Duration::from_secs(1);
        let cpus = cell.spec().cpus.count();
        cell.guest.load(cpus, "/tmp/load", load).await?;
        let first = sample(cell).await?;
        tokio::time::sleep(window).await;
        let second = sample(cell).await?;
        let host = second.at.duration_since(first.at).as_secs_f64();
        let guest = (second.guest.monotonic_ns - first.guest.monotonic_ns) as f64 / 1e9;
        let ppm = (guest - host) / host * 1e6;
        let uncertain = (first.uncertain + second.uncertain).as_secs_f64() / host * 1e6;
        let mut seen = Observations::of([Finding::within(
            "monotonic clock over the window", "ms",
            guest * 1e3, host * 1e3, host * 1e3 * (most + uncertain) / 1e6,
        )]);
        seen.note(format!("drift {ppm:.0} ppm, known to ± {uncertain:.0} ppm; accepted {most} ppm"));
        Ok(seen)
    }
}

check! {
    /// The monotonic clock never steps back, on whichever vCPU it is read.
    pub MONOTONIC_SMP = "clk.monotonic-smp", tier: Reversible, needs: [Need::Vcpus(2)],
        fault: Fault::Guest(|request, reply| {
            if let (Request::ClockScan { .. }, OwnedReply::ClockScan { backward, .. }) = (request, reply) {
                *backward += 1;
            }
        });
    async fn monotonic_smp(cell) {
        let cpus = cell.spec().cpus.count();
        let scan = cell.guest.clock_scan(Duration::from_millis(500), cpus).await?;
        let mut seen = Observations::of([
            Finding::guest_is("steps back", scan.backward, 0_u32),
            Finding::guest_is("vCPUs that it was read on", scan.cpus, cpus),
            Finding::guest_between("readings", "", scan.readings as f64, 1000.0, 1e12),
        ]);
        seen.note(format!("largest step back {} ns", scan.worst.as_nanos()));
        Ok(seen.only_one_witness("the host cannot read the guest's clock on two vCPUs at one moment"))
    }
}
