//! The kernel's log.

use hospitium_wire::errno;

use super::log_copy::LogCopy;
use super::sys;
use crate::failure::{Failure, Result};

/// Most of the log that is looked at, in bytes: twice the largest buffer that distributions
/// configure (CONFIG_LOG_BUF_SHIFT=18).
const ROOM: usize = 512 * 1024;

/// A copy of the log, so that reading it in parts gives one text.
pub struct Snapshot(LogCopy<ROOM>);

impl Snapshot {
    /// Of nothing yet.
    pub const fn new() -> Self {
        Self(LogCopy::new())
    }

    /// The log from a byte on; empty at its end. `EPIPE` if the kernel has dropped the oldest lines meanwhile, as
    /// /dev/kmsg has it (Linux Documentation/ABI/testing/dev-kmsg).
    pub fn from(&mut self, offset: u32, most: usize) -> Result<&[u8]> {
        const READ_ALL: usize = 3;
        let read = |room: &mut [u8]| {
            let at = room.as_mut_ptr() as usize;
            // SAFETY: the room is good for its length.
            unsafe { sys::call(sys::SYSLOG, [READ_ALL, at, room.len(), 0, 0, 0]) }
        };
        let part = self.0.from(offset as usize, most, read)?;
        part.ok_or(Failure::errno(errno::EPIPE, "syslog"))
    }
}
