//! A capture of frames as a pcap file (libpcap's savefile format, version 2.4), bounded in size.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::{Capture, LONGEST_FRAME, PeerError};

/// Bytes before each frame.
const RECORD: u64 = 16;

/// A file that frames are written to.
pub(crate) struct PcapWriter {
    file: BufWriter<File>,
    left: u64,
}

impl PcapWriter {
    pub fn create(capture: &Capture) -> Result<Self, PeerError> {
        let failed = |source| PeerError::Capture { path: capture.path.clone(), source };
        let mut file = BufWriter::new(File::create(Path::new(&capture.path)).map_err(failed)?);
        let mut head = Vec::with_capacity(24);
        head.extend(0xa1b2_c3d4u32.to_le_bytes());
        head.extend(2u16.to_le_bytes());
        head.extend(4u16.to_le_bytes());
        head.extend([0; 8]);
        head.extend((LONGEST_FRAME as u32).to_le_bytes());
        head.extend(1u32.to_le_bytes()); // LINKTYPE_ETHERNET
        file.write_all(&head).map_err(failed)?;
        Ok(Self { file, left: capture.limit.saturating_sub(head.len() as u64) })
    }

    /// Writes a frame; an error says why no further ones can be.
    pub fn frame(&mut self, bytes: &[u8]) -> Result<(), String> {
        let size = RECORD + bytes.len() as u64;
        self.left = self.left.checked_sub(size).ok_or("the limit of its size is reached")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        // Seconds are 32 bits by the format.
        let words = [now.as_secs() as u32, now.subsec_micros(), length, length];
        let mut head = [0; RECORD as usize];
        for (field, word) in head.chunks_exact_mut(4).zip(words) {
            field.copy_from_slice(&word.to_le_bytes());
        }
        let written = self.file.write_all(&head).and_then(|()| self.file.write_all(bytes));
        written.map_err(|error| format!("it cannot be written: {}", error.kind()))
    }

    /// Hands what is buffered to the operating system.
    pub fn flush(&mut self) -> Result<(), String> {
        self.file.flush().map_err(|error| format!("it cannot be written: {}", error.kind()))
    }
}
