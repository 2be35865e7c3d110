//! Compressed bytes, by magic and within bounds.

use std::io::{self, BufRead, Read};

/// Memory that a decompressor may take; `xz -9` needs 65 MiB, `zstd --ultra` 128 MiB.
const MEMORY: u64 = 256 << 20;

/// How bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// The .xz file format 1.2.
    Xz,
    /// RFC 8878.
    Zstd,
    /// Not, as far as can be seen.
    None,
}

impl Compression {
    /// From the first six bytes.
    pub fn of(head: &[u8]) -> Self {
        match head {
            [0x1F, 0x8B, ..] => Self::Gzip,
            [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// A reader of what `from` holds, decompressed.
pub fn reader<'r, R: BufRead + 'r>(mut from: R) -> io::Result<Box<dyn Read + 'r>> {
    // A buffered reader gives at least these bytes at once, if they are there.
    let kind = Compression::of(from.fill_buf()?);
    Ok(match kind {
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(from)),
        Compression::Xz => {
            let stream =
                liblzma::stream::Stream::new_stream_decoder(MEMORY, liblzma::stream::CONCATENATED)
                    .map_err(io::Error::other)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(from, stream))
        }
        Compression::Zstd => Box::new(zstd::Decoder::with_buffer(from)?),
        Compression::None => Box::new(from),
    })
}

/// All of it, at most `most` bytes: more is an error.
pub fn all(bytes: &[u8], most: u64) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    reader(bytes)?.take(most + 1).read_to_end(&mut out)?;
    if out.len() as u64 > most {
        return Err(io::Error::other(format!("it unpacks to more than {most} bytes")));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("in memory");
        encoder.finish().expect("in memory")
    }

    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
        encoder.write_all(bytes).expect("in memory");
        encoder.finish().expect("in memory")
    }

    #[test]
    fn all_three_compressions_are_told_by_their_magic() {
        let zstd = zstd::encode_all(&b"module"[..], 1).expect("in memory");
        for packed in [gzip(b"module"), xz(b"module"), zstd, b"module".to_vec()] {
            assert_eq!(all(&packed, 6).expect("unpacks"), b"module");
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_bound() {
        for packed in [gzip(&vec![0; 1 << 20]), xz(&vec![0; 1 << 20])] {
            let error = all(&packed, 1 << 16).expect_err("too much");
            assert!(error.to_string().contains("more than 65536"), "{error}");
        }
    }

    #[test]
    fn truncated_and_altered_bytes_are_errors() {
        let zstd = zstd::encode_all(&b"module module module"[..], 1).expect("in memory");
        for packed in [gzip(b"module"), xz(b"module"), zstd] {
            assert!(all(&packed[..packed.len() - 3], 100).is_err());
        }
        let mut altered = xz(&[7; 1000]);
        altered[30] ^= 0xFF;
        assert!(all(&altered, 1000).is_err());
    }
}
