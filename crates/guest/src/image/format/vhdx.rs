//! VHDX: Microsoft, \[MS-VHDX\] 7.0, section 2.

use super::{at, disk_size, need, range, truncated};
use crate::image::format::Header;
use crate::image::{Format, Wrong};

const NAME: &str = "vhdx";
const MIB: u64 = 1 << 20;
/// GUIDs as they stand in the file: the first three fields little-endian.
const METADATA: [u8; 16] = *b"\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e";
const FILE_PARAMETERS: [u8; 16] =
    *b"\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b";
const DISK_SIZE: [u8; 16] = *b"\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8";

/// Two headers at 64 and 128 KiB, two region tables at 192 and 256 KiB; one of them leads to
/// the metadata, which hold the size.
pub fn probe(head: &[u8], size: u64) -> Result<Header, Wrong> {
    need(NAME, 2 * MIB, size)?;
    let is = |offset, magic: &[u8]| range(head, offset, offset + 4) == Some(magic);
    if !is(0x10000, b"head") && !is(0x20000, b"head") {
        return Err(bad("neither of its two headers is there"));
    }
    let table = [0x30000, 0x40000].into_iter().find(|&offset| is(offset, b"regi"));
    let table = table.ok_or_else(|| bad("neither of its two region tables is there"))?;
    let count = u32_at(head, table + 8).unwrap_or(u32::MAX);
    if count > 2047 {
        return Err(bad("more than 2047 regions"));
    }
    let regions = (0..u64::from(count)).map(|n| table + 16 + n * 32);
    let mut metadata = None;
    for entry in regions {
        let start = u64_at(head, entry + 16).ok_or_else(|| truncated(NAME, entry + 32, size))?;
        let length = u64::from(u32_at(head, entry + 24).unwrap_or_default());
        if start < MIB || !start.is_multiple_of(MIB) {
            return Err(bad("a region that does not begin on a mebibyte"));
        }
        need(NAME, start.saturating_add(length), size)?;
        if range(head, entry, entry + 16) == Some(METADATA.as_slice()) {
            metadata = Some(start);
        }
    }
    let metadata = metadata.ok_or_else(|| bad("no metadata region"))?;
    let magic = range(head, metadata, metadata.saturating_add(8));
    if magic != Some(b"metadata".as_slice()) {
        return Err(bad("no metadata table where the region table says, or too far into the file"));
    }
    let count = u64::from(at(head, metadata as usize + 10).map_or(0, u16::from_le_bytes));
    if count > 2047 {
        return Err(bad("more than 2047 metadata items"));
    }
    let item = |id: &[u8; 16]| {
        let entry = (1..=count)
            .map(|n| metadata + n * 32)
            .find(|&entry| range(head, entry, entry + 16) == Some(id.as_slice()))?;
        Some(metadata + u64::from(u32_at(head, entry + 16)?))
    };
    let parameters = item(&FILE_PARAMETERS).and_then(|o| u32_at(head, o + 4));
    match parameters {
        None => return Err(bad("no file parameters")),
        Some(flags) if flags & 2 != 0 => {
            let what = "a differencing VHDX, which is nothing without its parent".into();
            return Err(Wrong::Unsupported { what });
        }
        Some(_) => {}
    }
    let virtual_size = item(&DISK_SIZE).and_then(|o| u64_at(head, o));
    let virtual_size = disk_size(NAME, virtual_size.ok_or_else(|| bad("no disk size"))?)?;
    Ok(Header { format: Format::Vhdx, virtual_size, backing: None, table: None })
}

fn bad(what: &str) -> Wrong {
    Wrong::Header { format: NAME, what: what.into() }
}

fn u32_at(head: &[u8], offset: u64) -> Option<u32> {
    at(head, usize::try_from(offset).ok()?).map(u32::from_le_bytes)
}

fn u64_at(head: &[u8], offset: u64) -> Option<u64> {
    at(head, usize::try_from(offset).ok()?).map(u64::from_le_bytes)
}
