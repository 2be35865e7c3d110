//! Acting as an older kernel does: what that one does not have is refused, with the error that it gives.
//!
//! So a harness can be tried against the interfaces of Linux 2.6.18 on a kernel of today. What the kernel says of
//! itself (its release) stays as it is, and so does what it has and an older one had in another way.

use core::sync::atomic::{AtomicU32, Ordering};

use hospitium_wire::errno;

use crate::failure::{Failure, Result};

/// The word of the kernel's command line that asks for it, and the line of the config.
pub const WORD: &str = "hospitium.act-as=";

/// A release as a number that can be compared: 2.6.18 is `0x02_06_12`. 0 is the kernel as it is.
static RELEASE: AtomicU32 = AtomicU32::new(0);

const fn release(major: u32, minor: u32, patch: u32) -> u32 {
    major << 16 | minor << 8 | patch
}

/// The release in a text such as `2.6.18`; `None` if there is none.
fn parse(text: &str) -> Option<u32> {
    let mut numbers = text.split('.').map(|part| part.parse::<u8>().ok());
    let (major, minor) = (numbers.next()??, numbers.next()??);
    let patch = numbers.next().map_or(Some(0), |patch| patch)?;
    numbers.next().is_none().then(|| release(major.into(), minor.into(), patch.into()))
}

/// From now on acts as this release; an empty text ends that.
pub fn act_as(text: &str) -> Result<()> {
    let number = match text {
        "" => 0,
        text => parse(text).ok_or(Failure::invalid("release"))?,
    };
    RELEASE.store(number, Ordering::Relaxed);
    Ok(())
}

/// True if the kernel that is acted lacks what came with `since`.
fn lacks(since: u32) -> bool {
    let acted = RELEASE.load(Ordering::Relaxed);
    acted != 0 && acted < since
}

/// Files and folders: how their paths begin, how they end, and since when they are there. What is below a
/// folder goes with it.
const FILES: &[(&str, &str, u32)] = &[
    ("/sys/kernel/vmcoreinfo", "", release(2, 6, 24)),
    ("/sys/firmware/acpi/tables", "", release(2, 6, 25)),
    ("/sys/class/dmi", "", release(2, 6, 26)),
    ("/sys/devices/virtual/dmi", "", release(2, 6, 26)),
    ("/sys/devices/system/cpu/online", "", release(2, 6, 26)),
    ("/sys/devices/system/cpu/offline", "", release(2, 6, 26)),
    ("/sys/devices/system/cpu/possible", "", release(2, 6, 26)),
    ("/sys/devices/system/cpu/present", "", release(2, 6, 26)),
    ("/sys/devices/system/cpu/kernel_max", "", release(2, 6, 29)),
    ("/sys/firmware/memmap", "", release(2, 6, 27)),
    ("/sys/block", "/queue/rotational", release(2, 6, 29)),
    ("/sys/block", "/queue/logical_block_size", release(2, 6, 31)),
    ("/sys/block", "/queue/physical_block_size", release(2, 6, 31)),
    ("/sys/block", "/queue/discard_max_bytes", release(2, 6, 33)),
    ("/sys/block", "/queue/discard_granularity", release(2, 6, 33)),
    ("/sys/class/net", "/speed", release(2, 6, 33)),
    ("/sys/class/net", "/duplex", release(2, 6, 33)),
    ("/sys/block", "/serial", release(2, 6, 36)),
    ("/proc/self/oom_score_adj", "", release(2, 6, 36)),
    ("/sys/firmware/dmi", "", release(2, 6, 39)),
    ("/dev/watchdog0", "", release(3, 5, 0)),
    ("/sys/devices/system/cpu/vulnerabilities", "", release(4, 15, 0)),
    ("/sys/devices/system/cpu/smt", "", release(4, 19, 0)),
    ("/sys/bus/acpi/drivers/vmgenid", "", release(5, 18, 0)),
    ("/sys/bus/platform/drivers/vmgenid", "", release(6, 10, 0)),
];

/// ENOENT for a path that an older kernel does not have.
pub fn path(path: &str, call: &'static str) -> Result<()> {
    match hides(path, "") {
        true => Err(Failure::errno(errno::ENOENT, call)),
        false => Ok(()),
    }
}

/// True if a name in a folder is not there in an older kernel.
pub fn hides_in(folder: &str, name: &[u8]) -> bool {
    core::str::from_utf8(name).is_ok_and(|name| hides(folder, name))
}

/// Whether a path, or a name in the folder of that path, is of what is lacking.
fn hides(path: &str, name: &str) -> bool {
    if RELEASE.load(Ordering::Relaxed) == 0 {
        return false;
    }
    let path = path.trim_end_matches('/');
    FILES.iter().any(|&(start, end, since)| lacks(since) && is_of(path, name, start, end))
}

/// Whether `path` (with `/name` behind it, if there is a name) begins and ends so.
fn is_of(path: &str, name: &str, start: &str, end: &str) -> bool {
    // The path and the name are one text in two pieces.
    let begins = match path.strip_prefix(start) {
        Some(rest) => rest.is_empty() || rest.starts_with('/'),
        // The last part of the beginning is the name.
        None => {
            let folder = start.rsplit_once('/');
            !name.is_empty() && end.is_empty() && folder == Some((path, name))
        }
    };
    let ends = match (end.strip_prefix('/').unwrap_or(end), name) {
        ("", _) => true,
        (_, "") => path.ends_with(end),
        (end, name) => match end.rsplit_once('/') {
            Some((folder, file)) => name == file && path.ends_with(folder),
            None => name == end,
        },
    };
    begins && ends
}

// include/uapi/linux/fs.h and random.h.
const BLKDISCARD: u64 = 0x1277;
const BLKDISCARDZEROES: u64 = 0x127C;
const BLKPBSZGET: u64 = 0x127B;
const BLKSECDISCARD: u64 = 0x127D;
const BLKZEROOUT: u64 = 0x127F;
const RNDRESEEDCRNG: u64 = 0x5207;

/// ENOTTY for an ioctl that an older kernel does not know.
pub fn ioctl(request: u64) -> Result<()> {
    let since = match request {
        BLKDISCARD => release(2, 6, 28),
        BLKPBSZGET | BLKDISCARDZEROES => release(2, 6, 32),
        BLKSECDISCARD => release(2, 6, 36),
        BLKZEROOUT => release(3, 7, 0),
        RNDRESEEDCRNG => release(4, 17, 0),
        _ => return Ok(()),
    };
    match lacks(since) {
        true => Err(Failure::errno(errno::ENOTTY, "ioctl")),
        false => Ok(()),
    }
}

/// True if there is no getrandom (3.17).
pub fn lacks_getrandom() -> bool {
    lacks(release(3, 17, 0))
}

/// True if there is no clock in the vDSO (x86-64: 2.6.23).
pub fn lacks_vdso_clock() -> bool {
    lacks(release(2, 6, 23))
}

/// True if there is no such clock: MONOTONIC_RAW (2.6.28), BOOTTIME (2.6.39).
pub fn lacks_clock(clock: i32) -> bool {
    match clock {
        4 => lacks(release(2, 6, 28)),
        7 => lacks(release(2, 6, 39)),
        _ => false,
    }
}
