//! Transcripts as a file: JSON, packed by xz.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::tape::{FORMAT, Transcripts};

/// The most bytes that a file is unpacked to.
const MOST: u64 = 1 << 28;

/// Why a file of transcripts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TranscriptError {
    /// It cannot be read or written.
    #[error("{doing} the transcripts {}", path.display())]
    Io {
        /// Reading or writing.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// It is not of this version's form.
    #[error("the transcripts {} are not of this version's form ({why}); record them again by `cargo xtask transcripts`", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

#[derive(Deserialize)]
struct Head {
    format: u32,
}

impl Transcripts {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is of another version.
    pub fn read(path: &Path) -> Result<Self, TranscriptError> {
        let io = |source| TranscriptError::Io { doing: "reading", path: path.to_owned(), source };
        let form = |why: String| TranscriptError::Form { path: path.to_owned(), why };
        let file = std::fs::File::open(path).map_err(io)?;
        let mut text = Vec::new();
        let unpacked = liblzma::read::XzDecoder::new(file).take(MOST).read_to_end(&mut text);
        unpacked.map_err(io)?;
        let head: Head = serde_json::from_slice(&text).map_err(|e| form(e.to_string()))?;
        if head.format != FORMAT {
            return Err(form(format!("format {}, not {FORMAT}", head.format)));
        }
        serde_json::from_slice(&text).map_err(|e| form(e.to_string()))
    }

    /// Writes a file. `places` are paths of this computer, each with the name that stands for it in the file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path, places: &[(String, &str)]) -> Result<(), TranscriptError> {
        let io = |source| TranscriptError::Io { doing: "writing", path: path.to_owned(), source };
        let mut text = serde_json::to_string(self).map_err(|e| io(e.into()))?;
        for (place, name) in places {
            text = text.replace(place.as_str(), name);
        }
        let mut packed = liblzma::write::XzEncoder::new(Vec::new(), 9);
        packed.write_all(text.as_bytes()).map_err(io)?;
        let packed = packed.finish().map_err(io)?;
        std::fs::write(path, packed).map_err(io)
    }
}
