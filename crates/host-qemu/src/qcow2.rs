//! The headers of qcow2 images: empty overlays are written here, which saves a process for each
//! disk of each clone, and foreign ones are looked at before QEMU opens them.
//!
//! Source: QEMU's docs/interop/qcow2.txt.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

const MAGIC: [u8; 4] = *b"QFI\xfb";
const CLUSTER_BITS: u32 = 16;
const CLUSTER: u64 = 1 << CLUSTER_BITS;
/// The header of version 3 has 104 bytes.
const HEADER: u32 = 104;
/// Type of the header extension that names the backing file's format.
const BACKING_FORMAT: u32 = 0xE279_2ACA;
/// Incompatible feature: the data is in another file.
const EXTERNAL_DATA: u64 = 1 << 2;

/// What a foreign image's header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// Size of the disk in bytes.
    pub size: u64,
    /// Backing file and its format, as written in the image.
    pub backing: Option<(String, Option<String>)>,
}

/// An empty image of this size: version 3, clusters of 64 KiB, no name of a backing file in it.
/// What it lies over is said to QEMU when it is opened, so that the image can be moved.
pub(crate) fn create(path: &Path, size: u64) -> io::Result<File> {
    // One entry of the L1 table covers CLUSTER / 8 clusters.
    let l1_entries = size.div_ceil(CLUSTER * (CLUSTER / 8)).max(1);
    let l1_clusters = (l1_entries * 8).div_ceil(CLUSTER);
    let clusters = 3 + l1_clusters;
    // One refcount block counts CLUSTER / 2 clusters; 32768 are enough for L1 tables of exabytes.
    let entries = u32::try_from(l1_entries).ok().filter(|_| clusters <= CLUSTER / 2);
    let entries =
        entries.ok_or_else(|| io::Error::other("the disk is too large for an overlay"))?;
    let mut header = Vec::with_capacity(HEADER as usize + 8);
    header.extend(MAGIC);
    header.extend(3u32.to_be_bytes());
    header.extend([0; 12]); // no backing file: offset and length
    header.extend(CLUSTER_BITS.to_be_bytes());
    header.extend(size.to_be_bytes());
    header.extend(0u32.to_be_bytes()); // not encrypted
    header.extend(entries.to_be_bytes());
    header.extend((3 * CLUSTER).to_be_bytes()); // L1 table
    header.extend(CLUSTER.to_be_bytes()); // refcount table
    header.extend(1u32.to_be_bytes()); // of one cluster
    header.extend([0; 12]); // no snapshots
    header.extend([0; 24]); // features: none
    header.extend(4u32.to_be_bytes()); // refcounts of 16 bits
    header.extend(HEADER.to_be_bytes());
    header.extend([0; 8]); // end of the extensions
    let mut file = File::create_new(path)?;
    file.set_len(clusters * CLUSTER)?;
    file.write_all(&header)?;
    file.seek(SeekFrom::Start(CLUSTER))?;
    file.write_all(&(2 * CLUSTER).to_be_bytes())?;
    file.seek(SeekFrom::Start(2 * CLUSTER))?;
    let ones: Vec<u8> = (0..clusters).flat_map(|_| 1u16.to_be_bytes()).collect();
    file.write_all(&ones)?;
    Ok(file)
}

/// Bytes that an image of a disk of this size takes beside the guest's data: the clusters that
/// [`create`] makes, and an L2 table for each of its L1 entries.
pub(crate) fn overhead(size: u64) -> u64 {
    let l1_entries = size.div_ceil(CLUSTER * (CLUSTER / 8)).max(1);
    (3 + (l1_entries * 8).div_ceil(CLUSTER) + l1_entries) * CLUSTER
}

/// Reads the header of an image that may be anything.
pub(crate) fn read(path: &Path) -> io::Result<Header> {
    let mut file = File::open(path)?;
    let bad = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let mut start = Vec::new();
    // Extensions and the backing file's name stand in the first cluster, of at most 2 MiB.
    (&mut file).take(2 << 20).read_to_end(&mut start)?;
    let word =
        |at: usize| start.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
    let long =
        |at: usize| start.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_be_bytes);
    let short = || bad("its header is cut off");
    if start.get(..4) != Some(&MAGIC) {
        return Err(bad("it is no qcow2 image"));
    }
    let version = word(4).ok_or_else(short)?;
    let size = long(24).ok_or_else(short)?;
    let (offset, length) = (long(8).ok_or_else(short)?, word(16).ok_or_else(short)?);
    let extensions = match version {
        2 => 72,
        3 => {
            if long(72).ok_or_else(short)? & EXTERNAL_DATA != 0 {
                return Err(bad("its data is in another file; convert it with qemu-img first"));
            }
            word(100).ok_or_else(short)? as usize
        }
        _ => return Err(bad("it is a qcow2 image of an unknown version")),
    };
    if offset == 0 {
        return Ok(Header { size, backing: None });
    }
    // 1023 bytes at most, says the specification.
    let name = usize::try_from(offset).ok().filter(|_| length <= 1023);
    let name = name.and_then(|at| start.get(at..at + length as usize));
    let name = name.and_then(|name| std::str::from_utf8(name).ok());
    let name = name.ok_or_else(|| bad("the name of its backing file cannot be read"))?;
    let mut at = extensions;
    let mut format = None;
    while let (Some(kind @ 1..), Some(length)) = (word(at), word(at + 4)) {
        let length = length as usize;
        let Some(data) = start.get(at + 8..).and_then(|rest| rest.get(..length)) else {
            break;
        };
        if kind == BACKING_FORMAT {
            format = std::str::from_utf8(data).ok().map(str::to_owned);
        }
        at += 8 + length.next_multiple_of(8);
    }
    Ok(Header { size, backing: Some((name.to_owned(), format)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_overlay_reads_back_with_its_size() {
        let folder = tempfile::tempdir().expect("a folder");
        for size in [512, 64 << 20, 10 << 40] {
            let path = folder.path().join(format!("{size}"));
            create(&path, size).expect("written");
            assert_eq!(read(&path).expect("read"), Header { size, backing: None });
        }
        assert!(create(&folder.path().join("huge"), u64::MAX / 2).is_err());
    }

    #[test]
    fn a_hostile_header_is_an_error_and_no_panic() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("image");
        let good = {
            create(&path, 1 << 20).expect("written");
            std::fs::read(&path).expect("read")
        };
        for length in 0..112 {
            std::fs::write(&path, &good[..length]).expect("written");
            let _ = read(&path);
        }
        for at in 0..112 {
            let mut bytes = good.clone();
            bytes[at] = 0xff;
            bytes[8 + at % 12] ^= 0x7f;
            std::fs::write(&path, &bytes).expect("written");
            let _ = read(&path);
        }
        std::fs::write(&path, b"QFI").expect("written");
        assert!(read(&path).is_err());
    }
}
