//! Clocks that run: source, offset, rate, order.

use std::time::Duration;

use hospitium_host::alter;
use hospitium_model::{Finding, GuestSource, HostSource, Inside, Observations, Value};
use hospitium_system::tap::Asked;
use hospitium_wire::ClockReading;
use serde_json::Value as Json;
use tokio::time::sleep;

use crate::fault::SeamFault;
use crate::{Cell, Check, CheckError, Fault, Need, SightKind, check};

/// All of this file.
pub const CHECKS: &[&Check] =
    &[&SOURCE, &OFFSET, &RTC_BASE, &TSC_FREQUENCY, &DRIFT_LOAD, &MONOTONIC_SMP];

/// A hardware clock counts whole seconds, and is read or set within one.
const RTC_STEP: f64 = 2.0;

/// The guest's clocks at a moment of the host's.
pub struct Sample {
    /// The guest's clocks.
    pub guest: Inside<ClockReading>,
    /// The host's monotonic clock in the middle of the question.
    pub at: Duration,
    /// How exactly the middle is known: half of the round trip.
    pub uncertain: Duration,
}

/// Reads the guest's clocks five times and keeps the reading with the shortest round trip.
pub async fn sample(cell: &Cell) -> Result<Sample, CheckError> {
    best_sample(cell, 5, Duration::ZERO).await
}

/// The same at most so many times, until one is as exact as wanted.
async fn best_sample(cell: &Cell, most: u32, wanted: Duration) -> Result<Sample, CheckError> {
    let mut best: Option<Sample> = None;
    for _ in 0..most {
        if best.as_ref().is_some_and(|best| best.uncertain <= wanted) {
            break;
        }
        let before = cell.now().await?.monotonic;
        let guest = cell.system().clock().await?;
        let uncertain = cell.now().await?.monotonic.saturating_sub(before) / 2;
        if best.as_ref().is_none_or(|b| uncertain < b.uncertain) {
            best = Some(Sample { guest, at: before + uncertain, uncertain });
        }
    }
    best.ok_or_else(|| CheckError::unreadable("the clocks", ""))
}

/// Time between two samples in ms, by the guest's monotonic clock and by the host's.
pub struct Passed {
    /// By the guest's.
    pub guest: Inside<f64>,
    /// By the host's.
    pub host: f64,
    /// How exactly the two belong together.
    pub uncertain: f64,
}

/// What passed from one sample to the other.
pub fn passed(first: &Sample, second: &Sample) -> Passed {
    let before = first.guest.value.monotonic_ns;
    Passed {
        guest: second.guest.map(|clock| clock.monotonic_ns.saturating_sub(before) as f64 / 1e6),
        host: second.at.saturating_sub(first.at).as_secs_f64() * 1e3,
        uncertain: (first.uncertain + second.uncertain).as_secs_f64() * 1e3,
    }
}

/// The guest's clock and the host's differ over a time by no more than `allowed` ms, and what is not known of it.
///
/// # Errors
/// More is unknown than is allowed: then the sum would accept a clock that is several times as wrong.
fn keeps_time(what: &str, time: &Passed, allowed: f64) -> Result<Finding, CheckError> {
    known(what, "ms", time.uncertain, allowed)?;
    let host = HostSource::Clock.saw(time.host);
    Ok(Finding::within(what, "ms", time.guest, host, allowed + time.uncertain))
}

/// As much is known of a value as may be wrong with it.
fn known(what: &str, unit: &str, uncertain: f64, allowed: f64) -> Result<(), CheckError> {
    if uncertain <= allowed {
        return Ok(());
    }
    Err(CheckError::Inconclusive {
        what: format!("this is right in the guest: {what}"),
        why: format!(
            "± {allowed:.3} {unit} are allowed, and it is known to ± {uncertain:.3} {unit}"
        ),
    })
}

/// Fault: the guest's clocks run 10 % fast.
fn fast_clock(_: &Asked, told: &mut Json) {
    for clock in ["monotonic_ns", "realtime_ns", "tsc"] {
        scale(&mut told[clock], 11, 10);
    }
}

/// Fault: a number is so many times as large.
pub fn scale(number: &mut Json, times: i64, parts: i64) {
    *number = number
        .as_i64()
        .map_or(Json::Null, |n| n.saturating_mul(times).saturating_div(parts).into());
}

/// The host's wall clock in seconds since 1970, UTC.
async fn utc(cell: &Cell) -> Result<f64, CheckError> {
    Ok(cell.now().await?.unix_ns() as f64 / 1e9)
}

check! {
    /// The guest's kernel uses the clock source that is right for it on this hypervisor, and keeps time by it.
    pub SOURCE = "clk.source", tier: Reads, needs: [],
        fault: Fault::Guest("clock_source", |_, told| told["used"] = "jiffies".into());
    async fn source(cell) {
        let told = cell.system().clock_source().await?;
        let Value::List(accepted) = cell.expect("accepted")? else {
            return Err(CheckError::unreadable("the expectation", "not a list"));
        };
        let most = cell.expect_number("percent")?;
        let first = sample(cell).await?;
        sleep(Duration::from_millis(500)).await;
        let time = passed(&first, &sample(cell).await?);
        let right = told.as_ref().map(|told| accepted.contains(&told.used.as_str().into()));
        let mut seen = Observations::of([
            Finding::guest_is("it is one of those that are right here", right, true),
            keeps_time("time that passed by it", &time, time.host * most / 100.0)?,
            Finding::recorded("clock source in use").inside(told.as_ref().map(|told| told.used.as_str())),
            Finding::recorded("clock sources at hand").inside(told.map(|told| told.available)),
        ]);
        if let Ok(accelerator) = cell.look().await?.accelerator {
            seen.push(Finding::recorded("accelerator").outside(accelerator.map(|used| used.name())));
        }
        Ok(seen.only_one_witness("which clock source it uses, only the guest's kernel knows; how it runs, the host's clock tells"))
    }
}

check! {
    /// The guest's clock shows the host's time: the wall clock after boot, the hardware clock always.
    pub OFFSET = "clk.offset", tier: Reads, needs: [],
        fault: Fault::Guest("hardware_clock", |_, told| {
            *told = told.as_i64().map_or(Json::Null, |seconds| (seconds + 3600).into());
        });
    async fn offset(cell) {
        let tolerance = cell.expect_number("wall-clock-ms")?;
        let boot = cell.lab().boot_facts().clocks.ok_or_else(|| {
            CheckError::unreadable("the wall clock after boot", "not written down when it booted")
        })?;
        if let Some(by) = boot.set_by {
            // The guest took its time from the clock as it was. A boot anew (--fresh-boot) shows it right.
            return Err(CheckError::ClockSet { by });
        }
        // Who sets the host's clock from here on is found out at the next reading.
        cell.now().await?;
        let hardware = cell.system().hardware_clock().await?.map(|seconds| seconds as f64);
        let utc = HostSource::Clock.saw(utc(cell).await?.floor());
        let mut seen = Observations::of([
            Finding::within("wall clock after boot, UTC", "ms", GuestSource::Kernel.saw(boot.guest_ms), HostSource::Clock.saw(boot.host_ms), tolerance + boot.uncertain_ms),
            Finding::within("hardware clock, UTC", "s", hardware, utc, RTC_STEP),
        ]);
        seen.note(format!(
            "the wall clock was {:.0} ms ahead, known to ± {:.1} ms, half the round trip",
            boot.guest_ms - boot.host_ms, boot.uncertain_ms,
        ));
        Ok(seen)
    }
}

check! {
    /// The hardware clock holds UTC, and takes a new time, by the hypervisor's account too.
    pub RTC_BASE = "clk.rtc-base", tier: Reversible, needs: [],
        fault: Fault::Seam(SeamFault::Look(|look| alter(&mut look.hardware_clock, |seconds| *seconds -= 7200)));
    async fn rtc_base(cell) {
        const DAY: i64 = 86_400;
        // Who sets the host's clock from here on is found out at the next reading.
        cell.now().await?;
        let before = cell.system().hardware_clock().await?;
        let host = HostSource::Clock.saw(utc(cell).await?.floor());
        let wanted = before.value + DAY;
        cell.system().set_hardware_clock(wanted).await?;
        let after = cell.system().hardware_clock().await?;
        let device = cell.look().await?.hardware_clock;
        cell.now().await?;
        let ahead = |seconds: i64| (seconds - wanted) as f64;
        let mut seen = Observations::of([
            Finding::within("hardware clock, UTC", "s", before.map(|seconds| seconds as f64), host, RTC_STEP),
            Finding::guest_between("since it was set a day ahead", "s", after.map(ahead), 0.0, RTC_STEP),
        ]);
        match device {
            Ok(device) => seen.push(Finding::within("hardware clock, a day ahead", "s", after.map(|s| s as f64), device.map(|s| s as f64), RTC_STEP)),
            Err(unseen) => seen.note(format!("that the device took it, only the guest saw: {}", unseen.why)),
        }
        Ok(seen)
    }
}

check! {
    /// The guest's kernel knows the rate of its time-stamp counter.
    pub TSC_FREQUENCY = "clk.tsc-frequency", tier: Reads, needs: [],
        fault: Fault::Guest("clock", fast_clock);
    async fn tsc_frequency(cell) {
        let told = cell.system().tsc_mhz().await?;
        let first = sample(cell).await?;
        sleep(Duration::from_millis(500)).await;
        let second = sample(cell).await?;
        let time = passed(&first, &second);
        let counted = second.guest.value.tsc.saturating_sub(first.guest.value.tsc) as f64;
        let measured = HostSource::Clock.saw((counted / time.host / 1e2).round() / 10.0);
        let allowed = measured.value * cell.expect_number("percent")? / 100.0;
        let uncertain = measured.value * time.uncertain / time.host;
        known("time-stamp counter", "MHz", uncertain, allowed)?;
        let most = allowed + uncertain;
        Ok(Observations::of([Finding::within("time-stamp counter", "MHz", told, measured, most)]))
    }
}

/// A guest under load takes turns with its probe, so the exact readings are rare.
const MOST_READINGS: u32 = 50;
/// So long they may take.
const READING: Duration = Duration::from_secs(2);

check! {
    /// Under CPU load the guest's clock runs at the rate of the host's.
    pub DRIFT_LOAD = "clk.drift-load", tier: Reversible, needs: [],
        fault: Fault::Guest("clock", fast_clock);
    async fn drift_load(cell) {
        let window = Duration::from_secs_f64(cell.expect_number("window-ms")? / 1e3);
        let most = cell.expect_number("ppm")?;
        let cpus = cell.spec().cpus.count();
        let used = async |cell: &Cell| match cell.process().await {
            Ok(process) => Ok(process.cpu_time.ok()),
            // A machine without a process of its own tells nothing of its load.
            Err(CheckError::Unable(_)) => Ok(None),
            Err(other) => Err(other),
        };
        let allowed = window.as_secs_f64() * 1e3 * most / 1e6;
        // With both ends half of what is allowed stays unknown.
        let wanted = Duration::from_secs_f64(allowed / 1e3 / 4.0);
        cell.system().busy(cpus, window + READING * 2).await?;
        let before = used(cell).await?;
        let first = best_sample(cell, MOST_READINGS, wanted).await?;
        sleep(window).await;
        let second = best_sample(cell, MOST_READINGS, wanted).await?;
        let after = used(cell).await?;
        let time = passed(&first, &second);
        let uncertain = time.uncertain / time.host * 1e6;
        let ppm = (time.guest.value - time.host) / time.host * 1e6;
        let mut seen = Observations::of([
            keeps_time("monotonic clock over the window", &time, time.host * most / 1e6)?,
        ]);
        if let (Some(before), Some(after)) = (before, after) {
            let used = after.map(|after| after.saturating_sub(before.value).as_secs_f64() * 1e3);
            seen.push(Finding::recorded("CPU time that the machine used meanwhile").outside(used).unit("ms"));
        }
        seen.note(format!("drift {ppm:.0} ppm, known to ± {uncertain:.0} ppm; accepted {most} ppm"));
        Ok(seen)
    }
}

check! {
    /// The monotonic clock never steps back, on whichever vCPU it is read.
    pub MONOTONIC_SMP = "clk.monotonic-smp", tier: Reversible,
        needs: [Need::Vcpus(2), Need::Sight(SightKind::Vcpus)],
        fault: Fault::Guest("scan_clocks", |_, told| told["backward"] = 1.into());
    async fn monotonic_smp(cell) {
        let cpus = cell.look().await?.vcpus?.map(|vcpus| vcpus.len());
        let count = u32::try_from(cpus.value).unwrap_or(u32::MAX);
        let scan = cell.system().scan_clocks(Duration::from_millis(500), count).await?;
        let seen = scan.as_ref();
        let mut seen = Observations::of([
            Finding::guest_is("steps back", seen.map(|scan| scan.backward), 0_u32),
            Finding::same("vCPUs that it was read on", seen.map(|scan| scan.cpus), cpus),
            Finding::guest_between("readings", "", seen.map(|scan| scan.readings as f64), 1000.0, 1e12),
        ]);
        seen.note(format!("largest step back {} ns", scan.value.worst.as_nanos()));
        Ok(seen.only_one_witness("the host cannot read the guest's clock on two vCPUs at one moment"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_trip_too_long_to_tell_is_no_pass_and_no_failure() {
        let time = |guest: f64, uncertain: f64| {
            let guest = GuestSource::Kernel.saw(guest);
            keeps_time("time", &Passed { guest, host: 2000.0, uncertain }, 2.0)
        };
        let word = |seen: Result<Finding, CheckError>| {
            Observations::of([seen.expect("enough is known")])
                .only_one_witness("a test")
                .judge()
                .word()
                .to_owned()
        };
        // 1,000 ppm are allowed. 10,000 ppm passed with a round trip of 20 ms.
        let error = time(2020.0, 20.0).expect_err("too little is known");
        assert!(matches!(error, CheckError::Inconclusive { .. }), "{error}");
        assert!(error.to_string().contains("± 2.000 ms are allowed"), "{error}");
        assert!(error.to_string().contains("known to ± 20.000 ms"), "{error}");
        time(2000.0, 20.0).expect_err("nor that it is right");
        assert_eq!(word(time(2020.0, 1.9)), "fail");
        assert_eq!(word(time(2001.9, 0.1)), "pass");
    }
}
