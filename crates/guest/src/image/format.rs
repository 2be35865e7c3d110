//! What the first and the last bytes of a file say that it is. Plain functions over bytes, so that
//! they can be fuzzed: nothing a file says is used before it was checked.

mod vhdx;
mod vmdk;

use hospitium_model::ByteSize;

use super::{Format, Raw, Wrong};

/// Bytes wanted from the beginning of a file; a shorter file gives all it has.
pub const HEAD: usize = 1 << 16;
/// Bytes wanted from the beginning of a VHDX file, whose size stands behind its allocation table.
pub const HEAD_VHDX: usize = 64 << 20;
/// Bytes wanted from the end of a file.
pub const TAIL: usize = 512;

/// No disk is larger: 64 TiB is VHDX's own limit, and as good as any for the others.
const LARGEST: u64 = 64 << 40;
const SECTOR: u64 = 512;

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Format.
    pub format: Format,
    /// Size of the disk in bytes.
    pub virtual_size: u64,
    /// Backing file.
    pub backing: Option<Backing>,
    /// Partition table of a raw image.
    pub table: Option<Table>,
}

/// A backing file as an overlay's header names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backing {
    /// As written; anything may stand here.
    pub name: String,
    /// Format, if the header says it.
    pub format: Option<String>,
}

/// How a raw disk is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// A boot sector, perhaps with the PC's own partition table.
    Mbr,
    /// A GUID partition table.
    Gpt,
}

/// Tells what a file is by its first bytes, its last [`TAIL`] bytes, and its size.
pub fn probe_bytes(head: &[u8], tail: &[u8], size: u64, raw: Raw) -> Result<Header, Wrong> {
    if size == 0 {
        return Err(Wrong::Empty);
    }
    if raw == Raw::Asked {
        return Ok(raw_header(head, size));
    }
    if let Some((what, how)) = packed(head) {
        return Err(Wrong::Packed { what, how });
    }
    if head.starts_with(b"QFI\xfb") {
        return qcow2(head, size);
    }
    if head.starts_with(b"vhdxfile") {
        return vhdx::probe(head, size);
    }
    if head.starts_with(b"KDMV") || head.starts_with(b"COWD") || vmdk::is_descriptor(head) {
        return vmdk::probe(head, size);
    }
    if head.starts_with(b"conectix") || tail.starts_with(b"conectix") {
        return vhd(head, tail, size);
    }
    let iso = head.get(0x8001..0x8006) == Some(b"CD001");
    match (at::<2>(head, 510) == Some([0x55, 0xAA]), iso) {
        // A hybrid disc image has a boot sector too, and is a disc all the same.
        (_, true) => Err(Wrong::Iso),
        (true, false) => Ok(raw_header(head, size)),
        (false, false) => Err(other_format(head, size)),
    }
}

fn packed(head: &[u8]) -> Option<(&'static str, &'static str)> {
    let is = |magic: &[u8]| head.starts_with(magic);
    match () {
        () if is(b"\x1f\x8b") => Some(("compressed with gzip", "gunzip")),
        () if is(b"\xfd7zXZ\0") => Some(("compressed with xz", "unxz")),
        () if is(b"\x28\xb5\x2f\xfd") => Some(("compressed with zstd", "unzstd")),
        () if is(b"BZh") => Some(("compressed with bzip2", "bunzip2")),
        () if is(b"PK\x03\x04") => Some(("a ZIP archive", "unzip")),
        () if head.get(257..262) == Some(b"ustar") => Some(("a tar archive", "tar -xf")),
        () => None,
    }
}

fn other_format(head: &[u8], size: u64) -> Wrong {
    let is = |magic: &[u8]| head.starts_with(magic);
    let named = match () {
        () if is(b"QED\0") => "a QED image",
        () if head.get(0x40..0x44) == Some(&[0x7F, 0x10, 0xDA, 0xBE]) => "a VirtualBox VDI image",
        () if is(b"WithoutFreeSpace") || is(b"WithouFreSpacExt") => "a Parallels image",
        () if is(b"LUKS\xba\xbe") => return Wrong::Encrypted,
        () if size < SECTOR => {
            return truncated("raw", SECTOR, size);
        }
        () => return Wrong::Unknown,
    };
    Wrong::Unsupported { what: named.into() }
}

fn raw_header(head: &[u8], size: u64) -> Header {
    let gpt = head.get(512..520) == Some(b"EFI PART") || head.get(4096..4104) == Some(b"EFI PART");
    let mbr = at::<2>(head, 510) == Some([0x55, 0xAA]);
    let table = if gpt { Some(Table::Gpt) } else { mbr.then_some(Table::Mbr) };
    Header { format: Format::Raw, virtual_size: size, backing: None, table }
}

/// QEMU, docs/interop/qcow2.txt.
fn qcow2(head: &[u8], size: u64) -> Result<Header, Wrong> {
    const NAME: &str = "qcow2";
    const BACKING_FORMAT: u32 = 0xE279_2ACA;
    const DATA_FILE: u32 = 0x4441_5441;
    let bad = |what: String| Wrong::Header { format: NAME, what };
    let short = || truncated(NAME, 104, size);
    let u32_at = |o| at(head, o).map(u32::from_be_bytes).ok_or_else(short);
    let u64_at = |o| at(head, o).map(u64::from_be_bytes).ok_or_else(short);
    let version = u32_at(4)?;
    if version == 1 {
        return Err(Wrong::Unsupported { what: "a qcow image of version 1".into() });
    }
    if !(2..=3).contains(&version) {
        return Err(bad(format!("version {version}")));
    }
    let (features, header_length) =
        if version == 3 { (u64_at(72)?, u32_at(100)?) } else { (0, 72) };
    let bits = u32_at(20)?;
    if !(9..=21).contains(&bits) {
        return Err(bad(format!("clusters of 2^{bits} bytes")));
    }
    let cluster = 1_u64 << bits;
    if u32_at(32)? != 0 {
        return Err(Wrong::Encrypted);
    }
    if features & 2 != 0 {
        return Err(Wrong::Corrupt);
    }
    // Bit 0 says dirty, which QEMU mends; 3 compression type, 4 extended L2 entries.
    if features & !0b1_1111 != 0 {
        return Err(Wrong::Unsupported {
            what: format!("a qcow2 image with unknown features {features:#x}"),
        });
    }
    let header_length = u64::from(header_length);
    if version == 3
        && (header_length < 104 || header_length > cluster || !header_length.is_multiple_of(8))
    {
        return Err(bad(format!("a header of {header_length} bytes")));
    }
    let virtual_size = disk_size(NAME, u64_at(24)?)?;
    let (entries, l1) = (u64::from(u32_at(36)?), u64_at(40)?);
    let (refcounts, refcount_clusters) = (u64_at(48)?, u64::from(u32_at(56)?));
    let per_entry = cluster * (cluster / if features & 16 != 0 { 16 } else { 8 });
    if entries < virtual_size.div_ceil(per_entry) || entries > 1 << 22 {
        return Err(bad(format!("{entries} L1 entries for a disk of {virtual_size} bytes")));
    }
    for (what, start, length) in [
        ("L1 table", l1, entries * 8),
        ("refcount table", refcounts, refcount_clusters.saturating_mul(cluster)),
    ] {
        if start == 0 || !start.is_multiple_of(cluster) {
            return Err(bad(format!("the {what} at {start}")));
        }
        need(NAME, start.saturating_add(length), size)?;
    }
    let (name_at, name_length) = (u64_at(8)?, u32_at(16)?);
    let extensions_end = if name_at == 0 { cluster } else { name_at.min(cluster) };
    let extensions = extensions(head, header_length, extensions_end).map_err(bad)?;
    let find = |kind| extensions.iter().find(|(k, _)| *k == kind).map(|(_, v)| text(v));
    if features & 4 != 0 {
        return Err(Wrong::ExternalData(find(DATA_FILE).unwrap_or_else(|| "unnamed".into())));
    }
    let backing = match name_at {
        0 => None,
        start => {
            let end = start.saturating_add(u64::from(name_length));
            if name_length == 0 || name_length > 1023 || start < header_length || end > cluster {
                return Err(bad(format!("a backing file name of {name_length} bytes at {start}")));
            }
            let name = range(head, start, end).ok_or_else(|| truncated(NAME, end, size))?;
            let name = std::str::from_utf8(name).ok().filter(|name| !name.contains('\0'));
            let name = name.ok_or_else(|| bad("a backing file name that is not UTF-8".into()))?;
            Some(Backing { name: name.to_owned(), format: find(BACKING_FORMAT) })
        }
    };
    Ok(Header { format: Format::Qcow2, virtual_size, backing, table: None })
}

/// The header extensions of a qcow2 file: kind and content.
fn extensions(head: &[u8], from: u64, end: u64) -> Result<Vec<(u32, &[u8])>, String> {
    let mut found = Vec::new();
    let mut offset = from;
    while offset + 8 <= end {
        let word =
            |o| range(head, o, o + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
        // Beyond what was read; clusters may be larger than that, extensions never are.
        let (Some(kind), Some(length)) = (word(offset), word(offset + 4)) else {
            break;
        };
        if kind == 0 {
            break;
        }
        let start = offset + 8;
        let stop = start + u64::from(length);
        if stop > end || found.len() >= 64 {
            return Err(format!("a header extension of {length} bytes"));
        }
        let Some(content) = range(head, start, stop) else {
            break;
        };
        found.push((kind, content));
        offset = stop.next_multiple_of(8);
    }
    Ok(found)
}

/// Microsoft, "Virtual Hard Disk Image Format Specification" 1.0, 2006-10-11.
fn vhd(head: &[u8], tail: &[u8], size: u64) -> Result<Header, Wrong> {
    const NAME: &str = "vhd";
    let bad = |what: String| Wrong::Header { format: NAME, what };
    // The footer is the last sector; all kinds but the fixed one have a copy of it in front.
    let footer = if tail.starts_with(b"conectix") { tail } else { head };
    let footer = footer.get(..512).ok_or_else(|| truncated(NAME, SECTOR * 2, size))?;
    if !checksum_holds(footer, 64) {
        return Err(bad("the footer's checksum does not match".into()));
    }
    let u32_at = |bytes: &[u8], o| at(bytes, o).map(u32::from_be_bytes);
    let u64_at = |bytes: &[u8], o| at(bytes, o).map(u64::from_be_bytes).unwrap_or_default();
    let virtual_size = disk_size(NAME, u64_at(footer, 48))?;
    match u32_at(footer, 60) {
        Some(2) => need(NAME, virtual_size + SECTOR, size)?,
        Some(3) => {
            if !tail.starts_with(b"conectix") {
                // Cut off behind the copy in front.
                return Err(truncated(NAME, size + SECTOR, size));
            }
            let start = u64_at(footer, 16);
            let header = range(head, start, start.saturating_add(1024));
            let header = header.filter(|h| h.starts_with(b"cxsparse"));
            let header = header.ok_or_else(|| bad(format!("no dynamic disk header at {start}")))?;
            if !checksum_holds(header, 36) {
                return Err(bad("the dynamic disk header's checksum does not match".into()));
            }
            let (entries, block) = (u32_at(header, 28), u32_at(header, 32));
            let (entries, block) = (u64::from(entries.unwrap_or(0)), u64::from(block.unwrap_or(0)));
            if !block.is_power_of_two() || !(SECTOR..=1 << 28).contains(&block) {
                return Err(bad(format!("blocks of {block} bytes")));
            }
            if entries < virtual_size.div_ceil(block) {
                return Err(bad(format!("{entries} blocks for a disk of {virtual_size} bytes")));
            }
            need(NAME, u64_at(header, 16).saturating_add(entries * 4 + SECTOR), size)?;
        }
        Some(4) => {
            return Err(Wrong::Unsupported {
                what: "a differencing VHD, which is nothing without its parent".into(),
            });
        }
        kind => return Err(bad(format!("disk type {}", kind.unwrap_or_default()))),
    }
    Ok(Header { format: Format::Vhd, virtual_size, backing: None, table: None })
}

/// One's complement of the sum of all bytes but the checksum's own four.
fn checksum_holds(bytes: &[u8], field: usize) -> bool {
    let sum = |part: &[u8]| part.iter().map(|b| u32::from(*b)).sum::<u32>();
    let (Some(before), Some(after)) = (bytes.get(..field), bytes.get(field + 4..)) else {
        return false;
    };
    at(bytes, field).map(u32::from_be_bytes) == Some(!(sum(before) + sum(after)))
}

fn disk_size(format: &'static str, size: u64) -> Result<u64, Wrong> {
    if size == 0 || size > LARGEST {
        return Err(Wrong::Header { format, what: format!("a disk of {size} bytes") });
    }
    Ok(size)
}

fn need(format: &'static str, needed: u64, has: u64) -> Result<(), Wrong> {
    if has < needed { Err(truncated(format, needed, has)) } else { Ok(()) }
}

fn truncated(format: &'static str, needed: u64, has: u64) -> Wrong {
    Wrong::Truncated { format, needed: ByteSize::bytes(needed), has: ByteSize::bytes(has) }
}

fn at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset.checked_add(N)?)?.try_into().ok()
}

fn range(bytes: &[u8], start: u64, end: u64) -> Option<&[u8]> {
    bytes.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}
