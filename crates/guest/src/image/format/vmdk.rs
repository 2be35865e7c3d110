//! VMDK: VMware, "Virtual Disk Format 5.0" (2011), and the text descriptor in it or before it.

use super::{SECTOR, at, disk_size, need, range, truncated};
use crate::image::format::{Backing, Header};
use crate::image::{Format, Wrong};

const NAME: &str = "vmdk";
/// The longest descriptor that is looked at.
const DESCRIPTOR: u64 = 20 << 10;

/// True if the file begins as a text descriptor does.
pub fn is_descriptor(head: &[u8]) -> bool {
    let text = &head[..head.len().min(1024)];
    text.split(|b| *b == b'\n')
        .map(|line| line.trim_ascii())
        .find(|line| !line.is_empty())
        .is_some_and(|line| line.eq_ignore_ascii_case(b"# disk descriptorfile"))
}

/// A sparse extent with its descriptor inside. A descriptor that stands alone names other files,
/// and those may be anywhere.
pub fn probe(head: &[u8], size: u64) -> Result<Header, Wrong> {
    if is_descriptor(head) {
        let descriptor = lines(head);
        let extent = descriptor.iter().find_map(|line| extent_file(line));
        return Err(Wrong::ExternalData(extent.unwrap_or("its descriptor names none").to_owned()));
    }
    if head.starts_with(b"COWD") {
        return Err(Wrong::Unsupported { what: "a VMDK of ESX's own sparse kind (COWD)".into() });
    }
    let u32_at = |o| at(head, o).map(u32::from_le_bytes).unwrap_or_default();
    let u64_at = |o| at(head, o).map(u64::from_le_bytes).unwrap_or_default();
    need(NAME, SECTOR, size)?;
    let version = u32_at(4);
    if !(1..=3).contains(&version) {
        return Err(bad(format!("version {version}")));
    }
    let capacity = u64_at(12).saturating_mul(SECTOR);
    let virtual_size = disk_size(NAME, capacity)?;
    let (grain, entries) = (u64_at(20), u64::from(u32_at(44)));
    if !grain.is_power_of_two() || !(8..=128 << 11).contains(&grain) {
        return Err(bad(format!("grains of {grain} sectors")));
    }
    if entries == 0 || entries > 512 {
        return Err(bad(format!("grain tables of {entries} entries")));
    }
    let directory = u64_at(56);
    // All ones: at the end of the file, as in images made for streaming.
    if directory != u64::MAX {
        let tables = virtual_size.div_ceil(grain * SECTOR * entries);
        let end = directory.checked_mul(SECTOR).and_then(|o| o.checked_add(tables * 4));
        need(NAME, end.unwrap_or(u64::MAX), size)?;
    }
    let (start, length) = (u64_at(28).saturating_mul(SECTOR), u64_at(36).saturating_mul(SECTOR));
    if start == 0 {
        return Err(Wrong::ExternalData("its descriptor is elsewhere".into()));
    }
    let end = start.saturating_add(length.min(DESCRIPTOR));
    let descriptor = range(head, start, end).ok_or_else(|| truncated(NAME, end, size))?;
    let descriptor = lines(descriptor);
    let value = |key: &str| {
        descriptor.iter().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            name.trim().eq_ignore_ascii_case(key).then(|| value.trim().trim_matches('"').to_owned())
        })
    };
    // One extent: this file. More of them are other files.
    let extents = descriptor.iter().filter_map(|line| extent_file(line)).count();
    if extents > 1 {
        return Err(Wrong::ExternalData(format!("{extents} extents")));
    }
    let has_parent = value("parentCID").is_some_and(|cid| !cid.eq_ignore_ascii_case("ffffffff"));
    let backing = if has_parent {
        let name = value("parentFileNameHint").filter(|name| !name.is_empty() && name.len() < 1024);
        let name = name.ok_or_else(|| bad("a parent without a name".into()))?;
        Some(Backing { name, format: Some("vmdk".into()) })
    } else {
        None
    };
    Ok(Header { format: Format::Vmdk, virtual_size, backing, table: None })
}

/// The descriptor's lines, up to the first NUL.
fn lines(bytes: &[u8]) -> Vec<&str> {
    let text = bytes.split(|b| *b == 0).next().unwrap_or_default();
    text.split(|b| *b == b'\n')
        .filter_map(|line| std::str::from_utf8(line.trim_ascii()).ok())
        .collect()
}

/// The file of an extent line: `RW 4192256 SPARSE "disk.vmdk"`.
fn extent_file(line: &str) -> Option<&str> {
    let access = line.split_whitespace().next()?;
    if !matches!(access, "RW" | "RDONLY" | "NOACCESS") {
        return None;
    }
    line.split('"').nth(1)
}

fn bad(what: String) -> Wrong {
    Wrong::Header { format: NAME, what }
}
