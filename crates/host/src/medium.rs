//! What is read off a machine from outside: a disk's content, a picture of its display.

use std::fmt;
use std::path::PathBuf;

use hospitium_model::{ByteSize, Digest};

use crate::HostError;

/// What a display shows: 8 bits each of red, green and blue.
#[derive(Clone, PartialEq, Eq)]
pub struct Screenshot {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width × height × 3` bytes.
    pub rgb: Vec<u8>,
}

/// A disk's content, read from outside: a raw file, to be read by offset.
#[derive(Debug)]
pub struct Medium {
    /// A raw image, to be read only. Removed with the machine's place.
    pub raw: PathBuf,
    /// Bytes that the image takes on the physical machine's disk.
    pub allocated: ByteSize,
    /// Flushes that the hypervisor has sent on to the disk; none where nobody sees them there.
    pub flushes: Option<u64>,
    /// How it was made: "overlay, flattened".
    pub how: String,
}

impl fmt::Debug for Screenshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Screenshot {{ {} × {} }}", self.width, self.height)
    }
}

impl Screenshot {
    /// Number of different colours, at most 65536 counted.
    pub fn colours(&self) -> usize {
        let mut seen = std::collections::HashSet::new();
        for pixel in self.rgb.chunks_exact(3) {
            seen.insert([pixel[0], pixel[1], pixel[2]]);
            if seen.len() >= 65536 {
                break;
            }
        }
        seen.len()
    }

    /// As a PNG file.
    pub fn png(&self) -> Result<Vec<u8>, HostError> {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let written = encoder.write_header().and_then(|mut w| w.write_image_data(&self.rgb));
        written.map_err(|e| HostError::io("encoding a screenshot")(std::io::Error::other(e)))?;
        Ok(out)
    }
}

impl Medium {
    /// SHA-256 of a range; bytes past the end count as zeros.
    pub fn digest(&self, offset: u64, length: u64) -> Result<Digest, HostError> {
        use std::io::{Read, Seek, SeekFrom};

        use sha2::Digest as _;
        let io = |e| HostError::io(format!("reading {}", self.raw.display()))(e);
        let mut file = std::fs::File::open(&self.raw).map_err(io)?;
        file.seek(SeekFrom::Start(offset)).map_err(io)?;
        let mut hasher = sha2::Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        let mut left = length;
        while left > 0 {
            let want = left.min(buffer.len() as u64) as usize;
            let mut got = file.read(&mut buffer[..want]).map_err(io)?;
            if got == 0 {
                buffer[..want].fill(0);
                got = want;
            }
            hasher.update(&buffer[..got]);
            left -= got as u64;
        }
        Ok(Digest::from_bytes(hasher.finalize().into()))
    }
}
