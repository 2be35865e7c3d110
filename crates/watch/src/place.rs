//! Bytes from where a person says, a file or an address; bounded, and unpacked by what they begin
//! with.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hospitium_model::printable;

use crate::WatchError;

/// The longest that one answer may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A file, a folder, or an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On this machine.
    Path(PathBuf),
    /// Elsewhere: `http://`, `https://`.
    Address(String),
}

impl Place {
    /// Reads what a person wrote.
    pub fn parse(text: &str) -> Result<Self, WatchError> {
        let wrong = |why: &str| WatchError::Source { text: printable(text, 200), why: why.into() };
        if text.starts_with("http://") || text.starts_with("https://") {
            let plain = text.len() <= 2_000 && text.bytes().all(|b| b.is_ascii_graphic());
            return match plain {
                true => Ok(Self::Address(text.to_owned())),
                false => Err(wrong("an address is up to 2000 printable characters without blanks")),
            };
        }
        match text.strip_prefix("file://").unwrap_or(text) {
            "" => Err(wrong("no place is named")),
            path if path.contains("://") => {
                Err(wrong("only http://, https:// and file:// are understood"))
            }
            path => Ok(Self::Path(path.into())),
        }
    }

    /// As it is shown.
    pub fn shown(&self) -> String {
        match self {
            Self::Path(path) => printable(&path.to_string_lossy(), 300),
            Self::Address(address) => printable(address, 300),
        }
    }

    /// The end of its path, without a query.
    pub fn file_name(&self) -> String {
        let text = self.shown();
        let path = text.split(['?', '#']).next().unwrap_or_default();
        path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// What is below it.
    pub fn join(&self, below: &str) -> Self {
        match self {
            Self::Path(path) => Self::Path(path.join(below)),
            Self::Address(address) => {
                Self::Address(format!("{}/{below}", address.trim_end_matches('/')))
            }
        }
    }

    /// All of its bytes, at most `limit`.
    pub fn bytes(&self, limit: u64) -> Result<Vec<u8>, WatchError> {
        let mut bytes = Vec::new();
        match self {
            Self::Path(path) => {
                let cause = |cause| WatchError::Read { path: path.clone(), cause };
                let file = open_regular(path).map_err(cause)?;
                file.take(limit + 1).read_to_end(&mut bytes).map_err(cause)?;
            }
            Self::Address(address) => {
                let wrong = |why: String| WatchError::Fetch {
                    url: printable(address, 300),
                    why: printable(&why, 300),
                };
                let agent: ureq::Agent = ureq::Agent::config_builder()
                    .timeout_global(Some(PATIENCE))
                    .max_redirects(5)
                    .user_agent("hospitium")
                    .build()
                    .into();
                let mut answer =
                    agent.get(address).call().map_err(|error| wrong(error.to_string()))?;
                let body = answer.body_mut().as_reader();
                body.take(limit + 1)
                    .read_to_end(&mut bytes)
                    .map_err(|error| wrong(error.to_string()))?;
            }
        }
        match bytes.len() as u64 > limit {
            true => Err(WatchError::TooMuch { what: self.shown(), limit, unit: "bytes" }),
            false => Ok(bytes),
        }
    }

    /// The text in it, at most `limit` bytes, unpacked if it is packed.
    pub fn text(&self, limit: u64) -> Result<String, WatchError> {
        let bytes = self.bytes(limit)?;
        let mut unpacked = Vec::new();
        let cause = |cause| WatchError::Packed { what: self.shown(), cause };
        unpack(&bytes).map_err(cause)?.take(limit + 1).read_to_end(&mut unpacked).map_err(cause)?;
        if unpacked.len() as u64 > limit {
            return Err(WatchError::TooMuch { what: self.shown(), limit, unit: "bytes" });
        }
        Ok(String::from_utf8_lossy(&unpacked).into_owned())
    }
}

/// Opens a file and nothing else: a pipe or a device would never end.
fn open_regular(path: &Path) -> std::io::Result<std::fs::File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    std::fs::File::open(path)
}

/// A reader that unpacks gzip, xz, zstd or lz4, told apart by their first bytes; anything else comes
/// as it is. What comes out is not bounded here.
pub fn unpack(bytes: &[u8]) -> std::io::Result<Box<dyn Read + '_>> {
    let buffered = BufReader::new(bytes);
    Ok(match bytes {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(buffered)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(buffered))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            Box::new(zstd::stream::read::Decoder::with_buffer(buffered)?)
        }
        [0x04, 0x22, 0x4d, 0x18, ..] => Box::new(lz4_flex::frame::FrameDecoder::new(buffered)),
        _ => Box::new(buffered),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn packed_text_comes_out_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        let text = "Package: linux\n".repeat(500);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(text.as_bytes()).expect("packs");
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(text.as_bytes()).expect("packs");
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(text.as_bytes()).expect("packs");
        for packed in [
            gz.finish().expect("packs"),
            xz.finish().expect("packs"),
            lz4.finish().expect("packs"),
            zstd::encode_all(text.as_bytes(), 1).expect("packs"),
            text.clone().into_bytes(),
        ] {
            std::fs::write(&path, packed).expect("writes");
            assert_eq!(Place::Path(path.clone()).text(1 << 20).expect("reads"), text);
        }
    }

    #[test]
    fn what_unpacks_to_more_than_the_bound_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bomb.xz");
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
        xz.write_all(&vec![0; 32 << 20]).expect("packs");
        let packed = xz.finish().expect("packs");
        assert!(packed.len() < 1 << 20);
        std::fs::write(&path, packed).expect("writes");
        let error = Place::Path(path).text(1 << 20).expect_err("refused");
        assert!(matches!(error, WatchError::TooMuch { .. }), "{error}");
    }

    #[test]
    fn what_never_ends_is_not_opened() {
        let error = Place::Path("/dev/zero".into()).bytes(1 << 20).expect_err("refused");
        assert!(matches!(error, WatchError::Read { .. }), "{error}");
    }
}
