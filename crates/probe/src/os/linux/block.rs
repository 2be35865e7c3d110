//! Block devices, and the pattern on them.

use hospitium_wire::{Reply, errno};

use super::files;
use super::sys::{self, EINTR, Fd};
use crate::failure::{Failure, Result};
use crate::pattern::{Pattern, Tally};

// include/uapi/linux/fs.h.
const BLKROGET: u64 = 0x125E;
const BLKSSZGET: u64 = 0x1268;
const BLKDISCARD: u64 = 0x1277;
const BLKPBSZGET: u64 = 0x127B;

/// What O_DIRECT wants offsets and lengths to be a multiple of, on any sector size.
const ALIGNMENT: u64 = 4096;

/// Part of a file or block device.
pub struct Area<'a> {
    pub path: &'a str,
    pub offset: u64,
    pub length: u64,
    pub direct: bool,
}

impl Area<'_> {
    fn open(&self, mut flags: i32) -> Result<Fd> {
        let end = self.offset.checked_add(self.length).filter(|&end| i64::try_from(end).is_ok());
        if end.is_none() || !(self.offset | self.length).is_multiple_of(ALIGNMENT) {
            return Err(Failure::invalid("offset and length"));
        }
        if self.direct {
            flags |= sys::O_DIRECT;
        }
        sys::open(self.path, flags, 0o644)
    }

    /// Writes the pattern; its first byte goes to the area's start.
    pub fn write(&self, seed: u64, flush: bool, room: &mut [u8]) -> Result<Tally> {
        let pattern = Pattern::seeded(seed);
        // A device that is not there must not become a file in /dev.
        let create = if self.path.starts_with("/dev/") { 0 } else { sys::O_CREAT };
        let fd = self.open(sys::O_WRONLY | create)?;
        let mut tally = Tally::new();
        let mut done = 0;
        while done < self.length {
            let part = portion(self.length - done, room);
            pattern.fill(done, part);
            tally.add(part);
            let mut written = 0;
            while written < part.len() {
                let at = self.offset + done + written as u64;
                match sys::pwrite(&fd, &part[written..], at) {
                    // The end of the device.
                    Ok(0) => {
                        return Err(Failure::errno(errno::ENOSPC, "pwrite"));
                    }
                    Ok(count) => written += count,
                    Err(failure) if failure.is(&[EINTR]) => {}
                    Err(failure) => return Err(failure),
                }
            }
            done += part.len() as u64;
        }
        if flush {
            files::fsync(&fd)?;
        }
        Ok(tally)
    }

    /// Reads up to the area's end, or the file's.
    pub fn read(&self, room: &mut [u8]) -> Result<Tally> {
        let fd = self.open(sys::O_RDONLY)?;
        let mut tally = Tally::new();
        let mut done = 0;
        while done < self.length {
            let part = portion(self.length - done, room);
            match sys::pread(&fd, part, self.offset + done) {
                Ok(0) => break,
                Ok(count) => {
                    tally.add(&part[..count]);
                    done += count as u64;
                }
                Err(failure) if failure.is(&[EINTR]) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(tally)
    }
}

/// As much of the room as the rest needs.
pub fn portion(rest: u64, room: &mut [u8]) -> &mut [u8] {
    let length = usize::try_from(rest).unwrap_or(usize::MAX).min(room.len());
    &mut room[..length]
}

/// Size and sectors.
pub fn info<'a>(path: &str) -> Result<Reply<'a>> {
    // Without blocking, so that a drive without a medium can be asked too.
    let fd = sys::open(path, sys::O_RDONLY | sys::O_NONBLOCK, 0)?;
    let (mut size, mut logical, mut physical, mut read_only) = (0_u64, 0_u32, 0_u32, 0_u32);
    // SAFETY: BLKGETSIZE64 writes 8 bytes, the others an int.
    unsafe {
        sys::ioctl(&fd, sys::BLKGETSIZE64, &mut size)?;
        sys::ioctl(&fd, BLKSSZGET, &mut logical)?;
        sys::ioctl(&fd, BLKROGET, &mut read_only)?;
        // Linux 2.6.32.
        if sys::ioctl(&fd, BLKPBSZGET, &mut physical).is_err() {
            physical = 0;
        }
    }
    Ok(Reply::Block { size, logical, physical, read_only: read_only != 0 })
}

/// Tells the device that a range holds nothing of worth.
pub fn discard(path: &str, offset: u64, length: u64) -> Result<()> {
    let fd = sys::open(path, sys::O_RDWR, 0)?;
    // SAFETY: BLKDISCARD reads two 64-bit numbers.
    unsafe { sys::ioctl(&fd, BLKDISCARD, &mut [offset, length]) }.map(drop)
}
