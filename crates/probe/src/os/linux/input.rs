//! Input devices (evdev).

use super::clock::Deadline;
use super::sys::{self, EAGAIN, Fd, POLLIN, Poll};
use crate::failure::{Failure, Result};

/// struct input_event: two words of time, type, code, value.
const EVENT: usize = 2 * size_of::<usize>() + 8;
const EV_KEY: [u8; 2] = 1_u16.to_le_bytes();
const KEY_POWER: [u8; 2] = 116_u16.to_le_bytes();
const PRESSED: [u8; 4] = 1_u32.to_le_bytes();

/// An open input device; it collects events from now on.
pub struct Device(Fd);

impl Device {
    /// Opens it.
    pub fn open(path: &str) -> Result<Self> {
        sys::open(path, sys::O_RDONLY | sys::O_NONBLOCK, 0).map(Self)
    }

    /// Its number, to wait for.
    pub fn number(&self) -> i32 {
        self.0.number()
    }

    /// One event without its time, or `None` if there is none now.
    fn next(&self) -> Result<Option<[u8; 8]>> {
        let mut event = [0; EVENT];
        match sys::read(&self.0, &mut event) {
            Ok(EVENT) => Ok(event.last_chunk().copied()),
            Ok(_) => Err(Failure::errno(sys::ENODEV, "read")),
            Err(failure) if failure.is(&[EAGAIN, sys::EINTR]) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The events that are there, as many as fit, waiting so long for the first.
    pub fn read<'b>(&self, limit_ms: u32, out: &'b mut [u8]) -> Result<&'b [u8]> {
        let deadline = Deadline::after_ms(limit_ms);
        let mut used = 0;
        while let Some(slot) = out.get_mut(used..used + 8) {
            match self.next()? {
                Some(event) => {
                    slot.copy_from_slice(&event);
                    used += 8;
                }
                None if used > 0 || deadline.passed() => break,
                None => {
                    let mut file = [Poll::new(self.number(), POLLIN)];
                    sys::poll(&mut file, deadline.left_ms(1000));
                }
            }
        }
        Ok(&out[..used])
    }

    /// Takes what is there and says whether the power key went down.
    pub fn power_key_pressed(&self) -> Result<bool> {
        let mut pressed = false;
        while let Some(event) = self.next()? {
            let (kind, code, value) = (&event[..2], &event[2..4], &event[4..]);
            pressed |= kind == EV_KEY && code == KEY_POWER && value == PRESSED;
        }
        Ok(pressed)
    }
}
