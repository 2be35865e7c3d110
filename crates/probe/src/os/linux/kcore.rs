//! All physical memory, through `/proc/kcore`.
//!
//! `/proc/kcore` is an ELF core of the kernel's address space, of the kernel's class. What counts here is the direct
//! map of RAM, once: the segments with a physical address that are not the kernel's own text
//! (which the direct map holds too). Kernels before 4.14 give no physical addresses; there the
//! direct map is what lies below the vmalloc area. A 32-bit kernel maps what is below 896 MiB or so and
//! no more: how much was looked at is in the answer.
//!
//! The kernel copies what is read through a page of its own, so a needle that is in memory can be
//! found again there; one that is nowhere is never found.

use hospitium_wire::Reply;

use super::sys::{self, Fd};
use crate::failure::{Failure, Result};

const LOAD: u32 = 1;
/// Most segments that are looked at.
const SEGMENTS: usize = 1024;
/// Where x86-64 maps the kernel itself (__START_KERNEL_map), modules behind it.
const KERNEL_TEXT: u64 = 0xFFFF_FFFF_8000_0000;
/// Start of the vmalloc area before 4.20 without randomisation (2.6.18: 0xffffc20000000000).
const VMALLOC: u64 = 0xFFFF_C200_0000_0000;
/// What every byte of the needle is XORed with.
const MASK: u8 = 0xA5;

/// A program header, as far as it matters.
#[derive(Clone, Copy)]
struct Segment {
    kind: u32,
    offset: u64,
    virt: u64,
    phys: u64,
    size: u64,
}

/// A little-endian number of up to 8 bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

/// Fills the buffer from an offset or fails.
fn exact(fd: &Fd, buffer: &mut [u8], offset: u64) -> Result<()> {
    let mut used = 0;
    while used < buffer.len() {
        match sys::pread(fd, &mut buffer[used..], offset + used as u64)? {
            0 => return Err(Failure::invalid("kcore")),
            count => used += count,
        }
    }
    Ok(())
}

/// The table of segments: where it is, how many there are, and of which class.
struct Core {
    wide: bool,
    table: u64,
    count: u64,
}

impl Core {
    fn read(fd: &Fd) -> Result<Self> {
        let mut header = [0; 64];
        exact(fd, &mut header[..52], 0)?;
        let wide = match &header[..5] {
            b"\x7FELF\x01" => false,
            b"\x7FELF\x02" => true,
            _ => return Err(Failure::invalid("kcore")),
        };
        if wide {
            exact(fd, &mut header, 0)?;
        }
        let (table, size, count) = match wide {
            false => (&header[28..32], &header[42..44], &header[44..46]),
            true => (&header[32..40], &header[54..56], &header[56..58]),
        };
        let core = Self { wide, table: number(table), count: number(count) };
        if number(size) != core.entry() || core.count > SEGMENTS as u64 {
            return Err(Failure::invalid("kcore"));
        }
        Ok(core)
    }

    /// Bytes of an Elf32_Phdr or Elf64_Phdr.
    const fn entry(&self) -> u64 {
        if self.wide { 56 } else { 32 }
    }

    fn segment(&self, fd: &Fd, n: u64) -> Result<Segment> {
        let mut header = [0; 56];
        let header = &mut header[..self.entry() as usize];
        exact(fd, header, self.table + n * self.entry())?;
        let word = |n: usize| match self.wide {
            false => number(&header[4 + 4 * n..8 + 4 * n]),
            true => number(&header[8 + 8 * n..16 + 8 * n]),
        };
        let (offset, virt, size) = (word(0), word(1), word(3));
        // As little known in 32 bits as in 64.
        let phys = if word(2) == u64::from(u32::MAX) && !self.wide { u64::MAX } else { word(2) };
        Ok(Segment { kind: number(&header[..4]) as u32, offset, virt, phys, size })
    }

    /// True if the segment is a part of the direct map, of a kernel that does not say so: before `vmalloc`.
    const fn is_low(&self, virt: u64, lowest: u64) -> bool {
        if self.wide { virt < VMALLOC } else { virt == lowest }
    }
}

/// Looks for the needle at every multiple of 64 bytes.
pub fn scan<'a>(needle: &[u8; 32], room: &mut [u8]) -> Result<Reply<'a>> {
    let fd = sys::open("/proc/kcore", sys::O_RDONLY, 0)?;
    let core = Core::read(&fd)?;
    let (mut has_physical, mut lowest) = (false, u64::MAX);
    for n in 0..core.count {
        let Segment { kind, phys, virt, .. } = core.segment(&fd, n)?;
        if kind == LOAD {
            has_physical |= phys != 0 && phys != u64::MAX;
            lowest = lowest.min(virt);
        }
    }
    let (mut scanned, mut hits) = (0, 0);
    for n in 0..core.count {
        let segment = core.segment(&fd, n)?;
        let direct = if has_physical {
            segment.phys != u64::MAX && segment.virt < KERNEL_TEXT
        } else {
            core.is_low(segment.virt, lowest)
        };
        if segment.kind != LOAD || !direct {
            continue;
        }
        let mut done = 0;
        while done < segment.size {
            let part = super::block::portion(segment.size - done, room);
            let length = part.len();
            match sys::pread(&fd, part, segment.offset + done) {
                Ok(0) => break,
                Ok(got) => {
                    hits += occurrences(needle, &part[..got]);
                    scanned += got as u64;
                    done += got as u64;
                }
                // A page that the kernel keeps to itself.
                Err(_) => done += length.min(4096) as u64,
            }
        }
    }
    // Or else the next scan finds what this one has read.
    room.fill(0);
    Ok(Reply::Scan { scanned, hits })
}

/// How often the needle is in `memory` at multiples of 64, without ever writing it down.
fn occurrences(needle: &[u8; 32], memory: &[u8]) -> u64 {
    let same =
        |place: &[u8]| place.iter().zip(needle).all(|(&byte, &wanted)| byte ^ MASK == wanted);
    let places = memory.chunks(64).filter_map(|line| line.get(..32));
    places.filter(|place| same(place)).count() as u64
}
