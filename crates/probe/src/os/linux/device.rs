//! Devices: plain reads, ioctls, real-time clock, watchdog.

use super::clock::Deadline;
use super::older;
use super::sys::{self, EAGAIN, EINTR, Fd, POLLIN, Poll};
use crate::failure::{Failure, Result};

/// Largest argument of an ioctl, in bytes.
const ARGUMENT: usize = 1024;
/// Largest thing that an ioctl's number can speak of (14 bits of size).
const IOCTL_ROOM: usize = 1 << 14;
/// Once something has come, the rest is waited for no longer than this.
const GAP_MS: u32 = 50;

/// Reads until the buffer is full, the device ends, nothing has followed for a moment, or the
/// limit is over. Nothing at all within the limit is a failure.
pub fn read<'b>(path: &str, limit_ms: u32, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
    let fd = sys::open(path, sys::O_RDONLY | sys::O_NOCTTY | sys::O_NONBLOCK, 0)?;
    let limit = Deadline::after_ms(limit_ms);
    let mut gap = limit;
    let mut used = 0;
    while used < buffer.len() {
        match sys::read(&fd, &mut buffer[used..]) {
            Ok(0) => break,
            Ok(count) => {
                used += count;
                gap = Deadline::after_ms(GAP_MS);
            }
            Err(failure) if failure.is(&[EAGAIN, EINTR]) => {
                if limit.passed() || gap.passed() {
                    break;
                }
                let mut file = [Poll::new(fd.number(), POLLIN)];
                sys::poll(&mut file, limit.left_ms(gap.left_ms(1000)));
                // Some devices (hwrng) are always ready by poll's account.
                sys::sleep_ms(1);
            }
            Err(_) if used > 0 => break,
            Err(failure) => return Err(failure),
        }
    }
    if used == 0 && !buffer.is_empty() && limit.passed() {
        return Err(Failure::timeout("read"));
    }
    Ok(&buffer[..used])
}

/// Any ioctl whose argument is a plain buffer. No argument is passed as a null pointer.
pub fn ioctl<'b>(
    path: &str,
    request: u64,
    argument: &[u8],
    room: &'b mut [u8],
) -> Result<(i64, &'b [u8])> {
    if argument.len() > ARGUMENT || room.len() < IOCTL_ROOM {
        return Err(Failure::invalid("ioctl"));
    }
    older::ioctl(request)?;
    let fd = sys::open(path, sys::O_RDWR | sys::O_NONBLOCK | sys::O_NOCTTY, 0)
        .or_else(|_| sys::open(path, sys::O_RDONLY | sys::O_NONBLOCK | sys::O_NOCTTY, 0))?;
    room[..IOCTL_ROOM].fill(0);
    room[..argument.len()].copy_from_slice(argument);
    let at = if argument.is_empty() { 0 } else { room.as_mut_ptr() as usize };
    // SAFETY: the room is as large as the size field of a request's number can say. A request
    // whose argument holds pointers is outside of what this is for; the harness sends none.
    let result = unsafe { sys::call(sys::IOCTL, [fd.arg(), request as usize, at, 0, 0, 0]) }?;
    Ok((result as i64, &room[..argument.len()]))
}

// include/uapi/linux/rtc.h.
const RTC_RD_TIME: u64 = 0x8024_7009;
const RTC_SET_TIME: u64 = 0x4024_700A;

/// struct rtc_time: second, minute, hour, day, month from 0, year from 1900, and three that are
/// not used.
type RtcTime = [i32; 9];

/// Reads a real-time clock as if it ran on UTC: seconds since 1970.
pub fn rtc_read(path: &str) -> Result<i64> {
    let fd = sys::open(path, sys::O_RDONLY, 0)?;
    let mut time: RtcTime = [0; 9];
    // SAFETY: RTC_RD_TIME writes a struct rtc_time.
    unsafe { sys::ioctl(&fd, RTC_RD_TIME, &mut time) }?;
    let [second, minute, hour, day, month, year, ..] = time.map(i64::from);
    let days = days_of_date(year + 1900, month + 1, day);
    Ok(days * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Sets a real-time clock to UTC.
pub fn rtc_write(path: &str, seconds: i64) -> Result<()> {
    // What the ranges of `i32` in struct rtc_time and of every RTC chip hold.
    if !(0..=253_402_300_799).contains(&seconds) {
        return Err(Failure::invalid("RTC_SET_TIME"));
    }
    let (year, month, day) = date_of_days(seconds / 86_400);
    let rest = seconds % 86_400;
    let fields = [rest % 60, rest / 60 % 60, rest / 3600, day, month - 1, year - 1900, 0, 0, 0];
    let mut time: RtcTime = fields.map(|field| field as i32);
    let fd = sys::open(path, sys::O_WRONLY, 0).or_else(|_| sys::open(path, sys::O_RDONLY, 0))?;
    // SAFETY: RTC_SET_TIME reads a struct rtc_time.
    unsafe { sys::ioctl(&fd, RTC_SET_TIME, &mut time) }.map(drop)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar (Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms", days_from_civil).
fn days_of_date(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The reverse (civil_from_days): year, month, day.
fn date_of_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let of_era = days.rem_euclid(146_097);
    let years = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * years + years / 4 - years / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = years + days.div_euclid(146_097) * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

// include/uapi/linux/watchdog.h.
const WDIOC_SETTIMEOUT: u64 = 0xC004_5706;
const WDIOC_GETTIMEOUT: u64 = 0x8004_5707;

/// An open watchdog. It runs, and goes on running if this is dropped.
pub struct Watchdog(Fd);

impl Watchdog {
    /// Opens it, which starts it.
    pub fn open(path: &str) -> Result<Self> {
        sys::open(path, sys::O_WRONLY, 0).map(Self)
    }

    /// Sets the time-out and returns what the device made of it, in seconds.
    pub fn arm(&self, seconds: u32) -> Result<u64> {
        let mut value = i32::try_from(seconds).map_err(|_| Failure::invalid("WDIOC_SETTIMEOUT"))?;
        // SAFETY: both take an int.
        unsafe {
            sys::ioctl(&self.0, WDIOC_SETTIMEOUT, &mut value)?;
            let _ = sys::ioctl(&self.0, WDIOC_GETTIMEOUT, &mut value);
        }
        Ok(u64::try_from(value).unwrap_or(0))
    }

    /// Closes it in the way that means "no longer needed".
    pub fn disarm(self) -> Result<()> {
        sys::write_all(&self.0, b"V")
    }
}
