//! Clocks and timers.

use std::time::Duration;

use async_trait::async_trait;
use hospitium_wire::ClockReading;
use serde::{Deserialize, Serialize};

use crate::{ClockScan, Done, Ticks, Told};

/// Where a kernel takes its time from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockSource {
    /// The one in use, by its own name.
    pub used: String,
    /// Those at hand.
    pub available: Vec<String>,
}

/// Clocks and timers.
#[async_trait]
pub trait Clocks {
    /// All clocks at one moment.
    async fn clock(&self) -> Told<ClockReading>;

    /// Where the kernel takes its time from.
    async fn clock_source(&self) -> Told<ClockSource>;

    /// Seconds since 1970 that the hardware clock shows, read as UTC.
    async fn hardware_clock(&self) -> Told<i64>;

    /// Sets the hardware clock.
    async fn set_hardware_clock(&self, seconds: i64) -> Done;

    /// Rate of the time-stamp counter that the kernel works with, in MHz.
    async fn tsc_mhz(&self) -> Told<f64>;

    /// Reads the monotonic clock on `cpus` processors in turn and in parallel.
    async fn scan_clocks(&self, time: Duration, cpus: u32) -> Told<ClockScan>;

    /// Asks for `count` timer expirations, a period apart.
    async fn ticks(&self, period: Duration, count: u32) -> Told<Ticks>;
}
