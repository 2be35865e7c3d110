//! Clocks and timers of a Linux guest.

use std::time::Duration;

use async_trait::async_trait;
use hospitium_model::GuestSource::{Device, Kernel};
use hospitium_model::Inability;
use hospitium_wire::ClockReading;

use super::{LinuxSystem, read};
use crate::ask::{ClockSource, Clocks};
use crate::{ClockScan, Done, SystemError, Ticks, Told};

/// The real-time clock.
const RTC: &str = "/dev/rtc0";

#[async_trait]
impl Clocks for LinuxSystem {
    async fn clock(&self) -> Told<ClockReading> {
        Ok(Kernel.saw(self.session.clock().await?))
    }

    async fn clock_source(&self) -> Told<ClockSource> {
        let at = "/sys/devices/system/clocksource/clocksource0";
        let used = read::text_if_there(&self.session, &format!("{at}/current_clocksource")).await?;
        let used = used.ok_or_else(|| {
            Inability::of_guest("this kernel does not show where it takes its time from")
        })?;
        let all = read::text(&self.session, &format!("{at}/available_clocksource")).await?;
        let available = all.split_whitespace().map(str::to_owned).collect();
        Ok(Kernel.saw(ClockSource { used, available }))
    }

    async fn hardware_clock(&self) -> Told<i64> {
        Ok(Device.saw(self.session.rtc_read(RTC).await?))
    }

    async fn set_hardware_clock(&self, seconds: i64) -> Done {
        Ok(self.session.rtc_write(RTC, seconds).await?)
    }

    async fn tsc_mhz(&self) -> Told<f64> {
        let info = read::text(&self.session, "/proc/cpuinfo").await?;
        let told = info.lines().find(|line| line.starts_with("cpu MHz"));
        let told = told.and_then(|line| line.split(':').nth(1)?.trim().parse().ok());
        told.map(|mhz| Kernel.saw(mhz)).ok_or_else(|| SystemError::unreadable("cpu MHz", &info))
    }

    async fn scan_clocks(&self, time: Duration, cpus: u32) -> Told<ClockScan> {
        Ok(Kernel.saw(self.session.clock_scan(time, cpus).await?))
    }

    async fn ticks(&self, period: Duration, count: u32) -> Told<Ticks> {
        Ok(Kernel.saw(self.session.ticks(period, count).await?))
    }
}
