//! What is read off a machine from outside: a disk's content, a picture of its display.

use std::fmt;
use std::path::PathBuf;

use hospitium_model::{ByteSize, Digest};
use serde::{Deserialize, Serialize};

use crate::HostError;

/// What a display shows: 8 bits each of red, green and blue.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Screenshot {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width × height × 3` bytes.
    #[serde(with = "runs")]
    pub rgb: Vec<u8>,
}

/// A disk's content, read from outside: a raw file, to be read by offset.
#[derive(Debug, Serialize, Deserialize)]
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
        use std::io::{Read, Seek, SeekFrom, repeat};

        let io = |e| HostError::io(format!("reading {}", self.raw.display()))(e);
        let mut file = std::fs::File::open(&self.raw).map_err(io)?;
        file.seek(SeekFrom::Start(offset)).map_err(io)?;
        Ok(Digest::of_all(file.chain(repeat(0)).take(length)).map_err(io)?.0)
    }
}

/// A picture as it is in a file, which may be none.
#[derive(Deserialize)]
struct Fields {
    width: u32,
    height: u32,
    #[serde(deserialize_with = "runs::deserialize")]
    rgb: Vec<u8>,
}

impl TryFrom<Fields> for Screenshot {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        let Fields { width, height, rgb } = fields;
        let bytes = u64::from(width) * u64::from(height) * 3;
        match u64::try_from(rgb.len()) {
            Ok(length) if length == bytes => Ok(Self { width, height, rgb }),
            _ => Err("its pixels are not as many as its width and height say"),
        }
    }
}

/// The form of a picture in a file: runs of pixels of one colour, `288000x000000 12xaaaaaa`.
mod runs {
    use std::fmt::Write as _;

    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    /// The most pixels that are read: more than any display has.
    const MOST: usize = 1 << 26;

    pub(super) fn serialize<S: Serializer>(rgb: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::new();
        let (pixels, _) = rgb.as_chunks::<3>();
        for run in pixels.chunk_by(|one, next| one == next) {
            let [r, g, b] = run[0];
            let gap = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{gap}{}x{r:02x}{g:02x}{b:02x}", run.len());
        }
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(reader: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(reader)?;
        let mut rgb = Vec::new();
        for run in text.split_ascii_whitespace() {
            let read = run.split_once('x').and_then(|(count, colour)| {
                let count: usize = count.parse().ok()?;
                let colour = u32::from_str_radix(colour, 16).ok()?;
                (count <= MOST - rgb.len() / 3).then_some((count, colour))
            });
            let (count, colour) =
                read.ok_or_else(|| D::Error::custom(format!("{run:?} is no run of pixels")))?;
            let [_, r, g, b] = colour.to_be_bytes();
            rgb.extend(std::iter::repeat_n([r, g, b], count).flatten());
        }
        Ok(rgb)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_survives_its_form_in_a_file_and_what_is_none_is_refused() {
        let rgb = vec![0, 0, 0, 0, 0, 0, 1, 2, 255, 0, 0, 0];
        let shot = Screenshot { width: 2, height: 2, rgb };
        let text = serde_json::to_string(&shot).expect("written");
        assert!(text.contains("2x000000 1x0102ff 1x000000"), "{text}");
        assert_eq!(serde_json::from_str::<Screenshot>(&text).expect("read"), shot);
        for bad in ["2x0102ff", "x000000", "2x", "99999999999x000000", "2", "2xgggggg"] {
            let text = text.replace("1x0102ff", bad);
            assert!(serde_json::from_str::<Screenshot>(&text).is_err(), "{bad}");
        }
    }
}
