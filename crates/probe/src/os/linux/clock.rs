//! Clocks and timers.

#[cfg(target_arch = "x86")]
use core::arch::x86::_rdtsc;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::_rdtsc;

use hospitium_wire::{ClockReading, Reply};

use super::older;
use super::sys::{self, Timespec};
use super::vdso;
use crate::failure::{Failure, Result};

const REALTIME: i32 = 0;
pub const MONOTONIC: i32 = 1;
const MONOTONIC_RAW: i32 = 4;
const BOOTTIME: i32 = 7;

/// Longest time that one request may take by its own numbers, in ns.
const LONGEST_NS: u64 = 3600 * 1_000_000_000;

/// A clock by the system call, in ns; 0 if the kernel does not have it.
pub fn by_system_call(clock: i32) -> i64 {
    if older::lacks_clock(clock) {
        return 0;
    }
    sys::clock_ns(clock).unwrap_or(0)
}

/// CLOCK_MONOTONIC in ns.
pub fn monotonic_ns() -> u64 {
    by_system_call(MONOTONIC) as u64
}

/// All clocks as programs see them: through the vDSO where there is one.
pub fn read() -> ClockReading {
    let clock = vdso::clock_gettime();
    // Once for nothing, so that page faults do not come between the readings.
    let _ = clock.read(REALTIME);
    ClockReading {
        realtime_ns: clock.read(REALTIME),
        monotonic_ns: clock.read(MONOTONIC),
        raw_ns: clock.read(MONOTONIC_RAW),
        boottime_ns: clock.read(BOOTTIME),
        // SAFETY: every processor since the Pentium has it, and Linux leaves it to programs.
        tsc: unsafe { _rdtsc() },
    }
}

/// Waits for timer expirations that are due `period_us` apart, and measures how far apart they
/// come. Due times are absolute, so a late one does not shift those after it.
pub fn ticks<'a>(period_us: u32, count: u32) -> Result<Reply<'a>> {
    let period = u64::from(period_us) * 1000;
    if period == 0 || count == 0 || period.saturating_mul(u64::from(count)) > LONGEST_NS {
        return Err(Failure::invalid("clock_nanosleep"));
    }
    const ABSOLUTE: usize = 1;
    let start = monotonic_ns();
    let (mut first, mut last) = (start, start);
    let (mut least, mut most) = (u64::MAX, 0);
    for n in 0..u64::from(count) {
        let due = Timespec::from_ns(start + (n + 1) * period);
        let at = core::ptr::from_ref(&due) as usize;
        let arguments = [sys::arg(MONOTONIC), ABSOLUTE, at, 0, 0, 0];
        // SAFETY: a struct timespec to read; what is left is not asked for.
        while let Err(failure) = unsafe { sys::call(sys::CLOCK_NANOSLEEP, arguments) } {
            if !failure.is(&[sys::EINTR]) {
                return Err(failure);
            }
        }
        let now = monotonic_ns();
        if n == 0 {
            first = now;
        } else {
            let distance = now.saturating_sub(last);
            least = least.min(distance);
            most = most.max(distance);
        }
        last = now;
    }
    let least_ns = if count == 1 { 0 } else { least };
    Ok(Reply::Sleeps { count, total_ns: last.saturating_sub(first), least_ns, most_ns: most })
}

/// A moment by which something has to have happened.
#[derive(Clone, Copy)]
pub struct Deadline(u64);

impl Deadline {
    /// So many milliseconds from now.
    pub fn after_ms(milliseconds: u32) -> Self {
        Self(monotonic_ns().saturating_add(u64::from(milliseconds) * 1_000_000))
    }

    /// It is over.
    pub fn passed(self) -> bool {
        monotonic_ns() >= self.0
    }

    /// Milliseconds left, rounded up, at most `most`.
    pub fn left_ms(self, most: i32) -> i32 {
        let left = self.0.saturating_sub(monotonic_ns()).div_ceil(1_000_000);
        i32::try_from(left).unwrap_or(i32::MAX).min(most)
    }
}
