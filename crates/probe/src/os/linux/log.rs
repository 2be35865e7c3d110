//! The kernel's log.

use super::sys;
use crate::failure::Result;

/// Most of the log that is looked at, in bytes: twice the largest buffer that distributions
/// configure (CONFIG_LOG_BUF_SHIFT=18).
const ROOM: usize = 512 * 1024;
/// So much of its start tells one log from another.
const START: usize = 64;

/// A copy of the log, so that reading it in parts gives one text.
pub struct Snapshot {
    text: [u8; ROOM],
    used: usize,
    start: [u8; START],
}

impl Snapshot {
    /// Of nothing yet.
    pub const fn new() -> Self {
        Self { text: [0; ROOM], used: 0, start: [0; START] }
    }

    fn take(&mut self) -> Result<()> {
        const READ_ALL: usize = 3;
        let at = self.text.as_mut_ptr() as usize;
        // SAFETY: the room is good for its length.
        let used = unsafe { sys::call(sys::SYSLOG, [READ_ALL, at, ROOM, 0, 0, 0]) }?;
        self.used = used.min(ROOM);
        self.start.copy_from_slice(&self.text[..START]);
        Ok(())
    }

    /// The log from a byte on. A new copy is taken at its beginning, and at its end to see what
    /// was added; if the kernel has dropped the oldest lines by then, offsets mean nothing any
    /// more, and that is the end.
    pub fn from(&mut self, offset: u32, most: usize) -> Result<&[u8]> {
        let offset = offset as usize;
        if offset == 0 {
            self.take()?;
        } else if offset >= self.used {
            let before = self.start;
            self.take()?;
            if self.start != before {
                return Ok(&[]);
            }
        }
        let rest = self.text[..self.used].get(offset..).unwrap_or_default();
        Ok(&rest[..rest.len().min(most)])
    }
}
