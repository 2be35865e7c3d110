//! The power-loss model: the log of writes and flushes that QEMU keeps below a guest's disk, and its
//! replay up to the last flush.
//!
//! Killing the VMM leaves the physical machine's page cache intact, so the disk's own file shows what
//! was written and not what was flushed. QEMU's `blklogwrites` driver logs both in the format of Linux's
//! dm-log-writes (`drivers/md/dm-log-writes.c`): sector 0 holds the superblock (magic, version, number
//! of entries, sector size), then entries of one sector each (first sector, sectors, flags, length of
//! inline data), an entry followed by its data unless it is a discard. All fields are little-endian.
//!
//! What QEMU 7.2.22 was seen to do, which the driver and this reader rely on:
//!
//! - The superblock is written when a flush has been logged, and every `log-super-update-interval`
//!   entries (4096 by default). Until the first of these it is all zeros, sector size included. So
//!   entries that it does not count may be real or left over, and no completed flush is among them as
//!   long as only flushes update it: flushes are serialized, updates by interval are not and can set
//!   the count back. **Set the interval high** (2⁶²).
//! - The data comes after the disk's own write has completed, so the order of the log is a legal order
//!   of the writes. A write that was in flight at the kill can leave a hole, seen as an entry of zeros.
//! - A flush is logged only if something was written since the last one.
//! - A write with FUA, and every write of a device with `write-cache=off`, is logged as a write without
//!   flags and a flush after it. (The FUA flag is honoured here for the format's sake.)
//! - Write-zeroes (with or without unmap) is a write whose zeros are in the log, sparse. A discard is
//!   logged only if the `blklogwrites` node itself has `discard=unmap`.
//! - A disk that ignores flushes: `cache.no-flush=on` **on the `blklogwrites` node**. On the node above
//!   (a `raw` node) or below (`file`) it does nothing here: the flush is still logged.
//! - At an orderly exit QEMU flushes; only SIGKILL shows what a power cut does.
//! - Sectors count in `log-sector-size` units (512 by default), on which requests are then aligned.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// "jsfwshr", the magic number of dm-log-writes (`WRITE_LOG_MAGIC`).
const MAGIC: u64 = 0x006a_7366_7773_6872;
/// The only version (`WRITE_LOG_VERSION`).
const VERSION: u64 = 1;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
const MARK: u64 = 8;
/// Linux's own `LOG_METADATA_FLAG`; says only what kind of write it was.
const METADATA: u64 = 16;
/// QEMU's default `log-sector-size`, for logs whose superblock was never written.
const DEFAULT_SECTOR: u32 = 512;
/// Largest `log-sector-size` that QEMU takes is below 2²⁴.
const LARGEST_SECTOR: u32 = 1 << 23;
/// Data is copied, and looked at for zeros, in pieces of this size.
const PIECE: usize = 64 << 10;

/// How far a log is replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upto {
    /// Everything before the last flush, and later writes that carry FUA: what a power cut must leave.
    LastFlush,
    /// Every entry that the superblock counts: no power cut.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests' control"))]
    End,
}

/// Why the log ended where it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogEnd {
    /// All entries that the superblock counts were there.
    Counted,
    /// Nothing was ever flushed: the superblock was never written.
    NeverFlushed,
    /// The entry of this number is missing, cut off or not an entry, though the superblock counts it:
    /// a write was in flight, or the log is damaged. Flushes after it are not honoured.
    Broken(u64),
}

/// What a replay did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplaySummary {
    /// Writes and discards that are now in the image.
    pub writes_applied: u64,
    /// Their bytes.
    pub bytes_applied: u64,
    /// Flushes that were honoured.
    pub flushes: u64,
    /// Writes and discards that were logged and left out, as far as the log can be read.
    pub writes_dropped: u64,
    /// Their bytes.
    pub bytes_dropped: u64,
    /// Where the log ended.
    pub end: LogEnd,
}

/// A log cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum WriteLogError {
    /// A file could not be opened, read or written.
    #[error("while {doing}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The superblock is not that of a write log.
    #[error("{log} is no write log: {why}; make a new one for each machine")]
    NotALog {
        /// The file.
        log: String,
        /// What is wrong with the superblock.
        why: &'static str,
    },
    /// An entry cannot be applied to this image.
    #[error(
        "entry {entry} of {log} reaches past the end of the disk; replay it on an image of the disk's size"
    )]
    OutsideDisk {
        /// The file.
        log: String,
        /// Number of the entry, from 0.
        entry: u64,
    },
}

/// Applies a log of writes to a raw image, which holds what the disk held when the log was begun and
/// has the disk's size.
///
/// Nothing in the log is trusted: an entry that is cut off, unknown or overflows ends the log, and one
/// that reaches past the image's end is an error. Discarded ranges become zeros.
pub fn replay(log: &Path, raw: &Path, upto: Upto) -> Result<ReplaySummary, WriteLogError> {
    let failed = |doing: &str, path: &Path| {
        let doing = format!("{doing} {}", path.display());
        move |source| WriteLogError::Io { doing, source }
    };
    let reading = failed("reading the write log", log);
    let source = File::open(log).map_err(failed("opening the write log", log))?;
    let image = OpenOptions::new()
        .read(true)
        .write(true)
        .open(raw)
        .map_err(failed("opening the image", raw))?;
    let image_size = image.metadata().map_err(failed("measuring the image", raw))?.len();
    let Some(layout) = Layout::read(&source, log, reading)? else {
        return Ok(ReplaySummary::nothing());
    };

    let reading = || failed("reading the write log", log);
    let scan = layout.scan(&source).map_err(reading())?;
    let mut summary = ReplaySummary { end: scan.end, ..ReplaySummary::nothing() };
    let mut entries = layout.entries(&source);
    while let Some(entry) = entries.next_entry().map_err(reading())? {
        let counted = entry.number < scan.whole;
        let durable = match upto {
            Upto::LastFlush => entry.number < scan.flushed || entry.flags & FUA != 0,
            Upto::End => true,
        };
        summary.flushes += u64::from(counted && entry.flags & FLUSH != 0);
        if entry.length == 0 || entry.flags & MARK != 0 {
            continue;
        }
        if !(counted && durable) {
            summary.writes_dropped += 1;
            summary.bytes_dropped = summary.bytes_dropped.saturating_add(entry.length);
            continue;
        }
        if entry.offset.checked_add(entry.length).is_none_or(|end| end > image_size) {
            return Err(WriteLogError::OutsideDisk {
                log: log.display().to_string(),
                entry: entry.number,
            });
        }
        let applied = match entry.data {
            None => zero(&image, entry.offset, entry.length),
            Some(data) => copy(&source, data, &image, entry.offset, entry.length),
        };
        applied.map_err(failed("replaying the write log into", raw))?;
        summary.writes_applied += 1;
        summary.bytes_applied = summary.bytes_applied.saturating_add(entry.length);
    }
    Ok(summary)
}

impl ReplaySummary {
    const fn nothing() -> Self {
        Self {
            writes_applied: 0,
            bytes_applied: 0,
            flushes: 0,
            writes_dropped: 0,
            bytes_dropped: 0,
            end: LogEnd::NeverFlushed,
        }
    }
}

impl std::fmt::Display for ReplaySummary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "write log, replayed up to flush {}: {} writes ({} bytes) applied, {} later writes ({} bytes) dropped",
            self.flushes,
            self.writes_applied,
            self.bytes_applied,
            self.writes_dropped,
            self.bytes_dropped
        )?;
        match self.end {
            LogEnd::Counted => Ok(()),
            LogEnd::NeverFlushed => f.write_str("; nothing was ever flushed"),
            LogEnd::Broken(entry) => {
                write!(f, "; the log breaks off at entry {entry}, which it counts")
            }
        }
    }
}

/// What the superblock says, as far as it can be believed.
#[derive(Debug, Clone, Copy)]
struct Layout {
    sector: u32,
    counted: u64,
    size: u64,
}

/// What a first pass finds out.
struct Scan {
    /// Entries before this number are before the last honoured flush.
    flushed: u64,
    /// Entries before this number are counted by the superblock and whole.
    whole: u64,
    end: LogEnd,
}

impl Layout {
    /// `None` if not even a superblock fits: nothing was written.
    fn read(
        source: &File,
        path: &Path,
        failed: impl FnOnce(io::Error) -> WriteLogError,
    ) -> Result<Option<Self>, WriteLogError> {
        let mut head = [0; 28];
        let size = match source.metadata() {
            Ok(meta) if meta.len() < head.len() as u64 => return Ok(None),
            Ok(meta) => source.read_exact_at(&mut head, 0).map(|()| meta.len()),
            Err(error) => Err(error),
        }
        .map_err(failed)?;
        let bad = |why| WriteLogError::NotALog { log: path.display().to_string(), why };
        if head == [0; 28] {
            return Ok(Some(Self { sector: DEFAULT_SECTOR, counted: 0, size }));
        }
        let sector = u32::from_le_bytes([head[24], head[25], head[26], head[27]]);
        if word(&head, 0) != MAGIC {
            return Err(bad("its magic number is another"));
        }
        if word(&head, 8) != VERSION {
            return Err(bad("its version is not 1"));
        }
        if !sector.is_power_of_two() || !(DEFAULT_SECTOR..=LARGEST_SECTOR).contains(&sector) {
            return Err(bad("its sector size is no power of two from 512 to 2^23"));
        }
        Ok(Some(Self { sector, counted: word(&head, 16), size }))
    }

    const fn entries(self, source: &File) -> Entries<'_> {
        Entries { layout: self, source, at: self.sector as u64, number: 0 }
    }

    fn scan(self, source: &File) -> io::Result<Scan> {
        let mut entries = self.entries(source);
        let mut scan = Scan { flushed: 0, whole: 0, end: LogEnd::Counted };
        while scan.whole < self.counted {
            let Some(entry) = entries.next_entry()? else {
                scan.end = LogEnd::Broken(scan.whole);
                return Ok(scan);
            };
            if entry.flags & FLUSH != 0 {
                // A flush that carries data is done before its own data is written.
                scan.flushed = entry.number;
            }
            scan.whole += 1;
        }
        if self.counted == 0 {
            scan.end = LogEnd::NeverFlushed;
        }
        Ok(scan)
    }
}

struct Entries<'a> {
    layout: Layout,
    source: &'a File,
    at: u64,
    number: u64,
}

/// An entry with offsets and lengths in bytes.
struct Entry {
    number: u64,
    flags: u64,
    offset: u64,
    length: u64,
    /// Where its data is in the log; a discard has none.
    data: Option<u64>,
}

impl Entries<'_> {
    /// The next entry; `None` where there is none, it is cut off, or it is not one.
    fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        let sector = u64::from(self.layout.sector);
        let mut head = [0; 32];
        if self.at.checked_add(head.len() as u64).is_none_or(|end| end > self.layout.size) {
            return Ok(None);
        }
        self.source.read_exact_at(&mut head, self.at)?;
        let (flags, sectors) = (word(&head, 16), word(&head, 8));
        let known = flags & !(FLUSH | FUA | DISCARD | MARK | METADATA) == 0;
        // An entry of zeros is a hole: QEMU logs no write of nothing.
        if !known || head == [0; 32] {
            return Ok(None);
        }
        let fields = || {
            let data = self.at.checked_add(sector)?;
            let offset = word(&head, 0).checked_mul(sector)?;
            let length = sectors.checked_mul(sector)?;
            offset.checked_add(length)?;
            let next = if flags & DISCARD == 0 { data.checked_add(length)? } else { data };
            Some((data, offset, length, next))
        };
        let Some((data, offset, length, next)) = fields() else {
            return Ok(None);
        };
        // The header's own padding may be missing at the end of the file, data may not.
        if next > data && next > self.layout.size {
            return Ok(None);
        }
        let entry = Entry {
            number: self.number,
            flags,
            offset,
            length,
            data: (flags & DISCARD == 0).then_some(data),
        };
        self.at = next;
        self.number += 1;
        Ok(Some(entry))
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

fn copy(from: &File, mut at: u64, to: &File, mut offset: u64, length: u64) -> io::Result<()> {
    let mut buffer = vec![0; PIECE.min(usize::try_from(length).unwrap_or(PIECE))];
    let mut left = length;
    while left > 0 {
        let piece = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let part = &mut buffer[..piece];
        from.read_exact_at(part, at)?;
        if part.iter().all(|&byte| byte == 0) {
            zero(to, offset, piece as u64)?;
        } else {
            to.write_all_at(part, offset)?;
        }
        at += piece as u64;
        offset += piece as u64;
        left -= piece as u64;
    }
    Ok(())
}

/// Zeros a range, without taking room where the file system can.
fn zero(to: &File, mut offset: u64, length: u64) -> io::Result<()> {
    use rustix::fs::FallocateFlags as Flags;
    if rustix::fs::fallocate(to, Flags::PUNCH_HOLE | Flags::KEEP_SIZE, offset, length).is_ok() {
        return Ok(());
    }
    let zeros = vec![0; PIECE];
    let end = offset + length;
    while offset < end {
        let piece = usize::try_from(end - offset).unwrap_or(PIECE).min(PIECE);
        to.write_all_at(&zeros[..piece], offset)?;
        offset += piece as u64;
    }
    Ok(())
}

#[cfg(test)]
#[path = "writelog_tests.rs"]
mod tests;
