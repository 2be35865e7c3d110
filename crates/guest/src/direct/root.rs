//! Which part of a disk holds the root file system: by the superblocks and partition tables of a raw image.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Where the root file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// On the whole disk, without partitions.
    Whole,
    /// On the partition of this number, from 1.
    Partition(u32),
}

/// So much of a disk's beginning is read: tables, and the superblock of btrfs at 64 KiB.
const HEAD: u64 = 72 << 10;
/// GPT's type of a root file system of x86-64, and of any file system of Linux (the UEFI specification and
/// the Discoverable Partitions Specification), as they are on disk.
const ROOT_X86_64: [u8; 16] =
    guid(0x4F68_BCE3, 0xE8CD, 0x4DB1, *b"\x96\xE7\xFB\xCA\xF9\x84\xB7\x09");
const LINUX: [u8; 16] = guid(0x0FC6_3DAF, 0x8483, 0x4772, *b"\x8E\x79\x3D\x69\xD8\x47\x7D\xE4");

const fn guid(a: u32, b: u16, c: u16, rest: [u8; 8]) -> [u8; 16] {
    let (a, b, c, r) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes(), rest);
    [a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]]
}

/// Looks into a raw image. None if nothing is found that could be a root.
pub fn of_raw(image: &Path) -> io::Result<Option<Root>> {
    let mut head = Vec::new();
    let mut file = File::open(image)?;
    file.seek(SeekFrom::Start(0))?;
    file.take(HEAD).read_to_end(&mut head)?;
    Ok(find(&head))
}

fn find(head: &[u8]) -> Option<Root> {
    let holds = |at: usize, magic: &[u8]| head.get(at..at + magic.len()) == Some(magic);
    // ext2 to ext4, XFS, btrfs, SquashFS, EROFS.
    let is_file_system = holds(1024 + 56, &[0x53, 0xEF])
        || holds(0, b"XFSB")
        || holds(0x1_0040, b"_BHRfS_M")
        || holds(0, b"hsqs")
        || holds(1024, &[0xE2, 0xE1, 0xF5, 0xE0]);
    if is_file_system {
        return Some(Root::Whole);
    }
    if !holds(510, &[0x55, 0xAA]) {
        return None;
    }
    let entries = || (0..4).filter_map(|n| head.get(446 + n * 16..462 + n * 16));
    let kinds: Vec<u8> = entries().map(|entry| entry[4]).collect();
    const GPT: u8 = 0xEE;
    const LINUX_NATIVE: u8 = 0x83;
    if kinds.contains(&GPT) {
        return gpt(head);
    }
    let first = kinds.iter().position(|&kind| kind == LINUX_NATIVE)?;
    Some(Root::Partition(first as u32 + 1))
}

/// A partition of the root's own type, else the largest of Linux's.
fn gpt(head: &[u8]) -> Option<Root> {
    let header = head.get(512..1024).filter(|header| header.starts_with(b"EFI PART"))?;
    let word = |at: usize| Some(u32::from_le_bytes(*header.get(at..)?.first_chunk()?));
    let long = |bytes: &[u8], at: usize| {
        bytes.get(at..).and_then(<[u8]>::first_chunk).map(|bytes| u64::from_le_bytes(*bytes))
    };
    let table = usize::try_from(long(header, 72)?.checked_mul(512)?).ok()?;
    let (count, size) = (word(80)?.min(128), usize::try_from(word(84)?).ok()?);
    let mut best = None;
    for n in 0..count {
        let at = table.checked_add((n as usize).checked_mul(size)?)?;
        let Some(entry) = head.get(at..).and_then(|rest| rest.get(..128)) else { break };
        let blocks = long(entry, 40)?.saturating_sub(long(entry, 32)?);
        if entry[..16] == ROOT_X86_64 {
            return Some(Root::Partition(n + 1));
        }
        if entry[..16] == LINUX && best.is_none_or(|(most, _)| blocks > most) {
            best = Some((blocks, n + 1));
        }
    }
    best.map(|(_, number)| Root::Partition(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_file_system_is_the_whole_disk() {
        let mut ext4 = vec![0; 4096];
        ext4[1080..1082].copy_from_slice(&[0x53, 0xEF]);
        assert_eq!(find(&ext4), Some(Root::Whole));
        assert_eq!(find(b"XFSB"), Some(Root::Whole));
        assert_eq!(find(&[0; 4096]), None);
        assert_eq!(find(b""), None);
    }

    #[test]
    fn the_first_linux_partition_of_an_mbr_is_taken() {
        let mut mbr = vec![0; 4096];
        mbr[510..512].copy_from_slice(&[0x55, 0xAA]);
        assert_eq!(find(&mbr), None);
        (mbr[450], mbr[466]) = (0x82, 0x83);
        assert_eq!(find(&mbr), Some(Root::Partition(2)));
    }

    #[test]
    fn of_a_gpt_the_roots_own_type_wins_and_hostile_ones_are_survived() {
        let mut disk = vec![0; 64 << 10];
        disk[510..512].copy_from_slice(&[0x55, 0xAA]);
        disk[450] = 0xEE;
        disk[512..520].copy_from_slice(b"EFI PART");
        disk[512 + 72] = 2;
        disk[512 + 80] = 128;
        disk[512 + 84] = 128;
        let mut put = |n: usize, kind: [u8; 16], blocks: u8| {
            disk[1024 + n * 128..][..16].copy_from_slice(&kind);
            disk[1024 + n * 128 + 40] = blocks;
        };
        put(0, LINUX, 10);
        put(2, LINUX, 20);
        assert_eq!(find(&disk), Some(Root::Partition(3)));
        let mut put = |n: usize, kind: [u8; 16]| {
            disk[1024 + n * 128..][..16].copy_from_slice(&kind);
        };
        put(13, ROOT_X86_64);
        assert_eq!(find(&disk), Some(Root::Partition(14)));
        for at in [72, 80, 84] {
            let mut bad = disk.clone();
            bad[512 + at..512 + at + 4].fill(0xFF);
            let _ = find(&bad);
        }
    }
}
