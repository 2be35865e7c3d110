//! A copy of the kernel's log, read in parts: one text, or the word that the log is no longer where it was.

/// So much of its start, and before its end, tells one log from another.
const MARK: usize = 64;

/// A copy of at most `ROOM` bytes of the log, so that reading it in parts gives one text.
pub struct LogCopy<const ROOM: usize> {
    text: [u8; ROOM],
    used: usize,
}

impl<const ROOM: usize> LogCopy<ROOM> {
    /// Of nothing yet.
    pub const fn new() -> Self {
        Self { text: [0; ROOM], used: 0 }
    }

    /// At most `most` bytes of the log from `offset` on. A new copy is taken at its beginning, and at its end to see
    /// what was added. None if the kernel has dropped the oldest lines since the copy before: offsets into that one
    /// mean nothing any more. The new copy is the one that is read from then on.
    ///
    /// `read` puts the whole log into the room and returns its length.
    pub fn from<E>(
        &mut self,
        offset: usize,
        most: usize,
        read: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<Option<&[u8]>, E> {
        if offset == 0 {
            self.take(read)?;
        } else if offset >= self.used {
            let old_end = self.used;
            let (start, end) = (self.mark(0), self.mark(old_end.saturating_sub(MARK)));
            self.take(read)?;
            // The first copy follows none.
            let stays = old_end <= self.used
                && start.is_in(&self.text)
                && end.is_in(&self.text[..self.used]);
            if old_end > 0 && !stays {
                return Ok(None);
            }
        }
        let rest = self.text[..self.used].get(offset..).unwrap_or_default();
        Ok(Some(&rest[..rest.len().min(most)]))
    }

    fn take<E>(&mut self, read: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<(), E> {
        self.used = read(&mut self.text)?.min(ROOM);
        Ok(())
    }

    /// What stands in the copy from here on.
    fn mark(&self, at: usize) -> Mark {
        let mut mark = Mark { at, bytes: [0; MARK], length: 0 };
        let there = self.text[..self.used].get(at..).unwrap_or_default();
        mark.length = there.len().min(MARK);
        mark.bytes[..mark.length].copy_from_slice(&there[..mark.length]);
        mark
    }
}

/// Some bytes of a copy and their place.
struct Mark {
    at: usize,
    bytes: [u8; MARK],
    length: usize,
}

impl Mark {
    fn is_in(&self, text: &[u8]) -> bool {
        let there = text.get(self.at..).unwrap_or_default();
        there.starts_with(&self.bytes[..self.length])
    }
}
