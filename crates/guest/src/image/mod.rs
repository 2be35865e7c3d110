//! Disk images: what they are, said by their headers and believed only as far as these hold.
//!
//! [`probe`] tells the format of one file, [`chain`] follows its backing files and refuses those
//! that lead out of the image's own folder, [`digest`] names it by SHA-256. Nothing here opens
//! an image with a hypervisor's own code, and nothing is guessed again later: the format that was
//! found here is the one that the machine gets.

mod chain;
mod digest;
mod error;
mod format;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use hospitium_model::ByteSize;

pub use self::chain::{MAX_DEPTH, chain};
pub use self::digest::{cached_digest, check_digest, digest};
pub use self::error::{ImageError, Wrong};
pub use self::format::{Backing, HEAD, HEAD_VHDX, Header, TAIL, Table, probe_bytes};

/// Image formats, by the names that [`Disk::format`](hospitium_model::Disk::format) has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the formats' own names")]
pub enum Format {
    Raw,
    Qcow2,
    Vhd,
    Vhdx,
    Vmdk,
}

impl Format {
    /// Its name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vhd => "vhd",
            Self::Vhdx => "vhdx",
            Self::Vmdk => "vmdk",
        }
    }

    /// The format of this name; `vpc` is what QEMU calls `vhd`.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "raw" => Some(Self::Raw),
            "qcow2" => Some(Self::Qcow2),
            "vhd" | "vpc" => Some(Self::Vhd),
            "vhdx" => Some(Self::Vhdx),
            "vmdk" => Some(Self::Vmdk),
            _ => None,
        }
    }
}

/// Whether an image may be raw. A raw image has no header, so any file could be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raw {
    /// Only with the boot signature 0x55AA in its first sector.
    WithBootSignature,
    /// Asked for: any content will do, other formats' headers included.
    Asked,
}

/// What a file's header says, the file being there and as long as the header needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageInfo {
    /// The file, as it was named.
    pub path: PathBuf,
    /// Format.
    pub format: Format,
    /// Size of the disk that the guest sees.
    pub virtual_size: ByteSize,
    /// Size of the file.
    pub file_size: ByteSize,
    /// The file that it is an overlay of.
    pub backing: Option<Backing>,
    /// The partition table of a raw image.
    pub table: Option<Table>,
}

/// Tells what the file is; raw only [with a boot signature](Raw::WithBootSignature).
pub fn probe(path: &Path) -> Result<ImageInfo, ImageError> {
    probe_as(path, Raw::WithBootSignature)
}

/// Tells what the file is.
pub fn probe_as(path: &Path, raw: Raw) -> Result<ImageInfo, ImageError> {
    let read = |source| ImageError::Unreadable { path: path.to_owned(), source };
    let meta = std::fs::metadata(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => ImageError::Missing { path: path.to_owned() },
        _ => ImageError::Unreadable { path: path.to_owned(), source },
    })?;
    // Before opening it: opening a FIFO would wait for ever.
    if !meta.is_file() {
        return Err(ImageError::NotAFile { path: path.to_owned() });
    }
    let mut file = File::open(path).map_err(read)?;
    let size = file.metadata().map_err(read)?.len();
    let mut head = read_part(&mut file, 0, HEAD as u64).map_err(read)?;
    if head.starts_with(b"vhdxfile") {
        head = read_part(&mut file, 0, HEAD_VHDX as u64).map_err(read)?;
    }
    let tail = read_part(&mut file, size.saturating_sub(TAIL as u64), TAIL as u64).map_err(read)?;
    let header = probe_bytes(&head, &tail, size, raw)
        .map_err(|wrong| ImageError::Wrong { path: path.to_owned(), wrong })?;
    Ok(ImageInfo {
        path: path.to_owned(),
        format: header.format,
        virtual_size: ByteSize::bytes(header.virtual_size),
        file_size: ByteSize::bytes(size),
        backing: header.backing,
        table: header.table,
    })
}

fn read_part(file: &mut File, offset: u64, most: u64) -> std::io::Result<Vec<u8>> {
    let mut part = Vec::new();
    file.seek(SeekFrom::Start(offset))?;
    file.take(most).read_to_end(&mut part)?;
    Ok(part)
}

#[cfg(test)]
mod tests;
