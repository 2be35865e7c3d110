//! Frames: COBS (Cheshire & Baker 1999), a CRC-32, and a bound on both.

use crc::{CRC_32_ISO_HDLC, Crc};
use serde::{Deserialize, Serialize};

/// The longest message, encoded by postcard, in bytes.
pub const MAX_MESSAGE: usize = 4608;
/// The longest frame on the wire: message, CRC, COBS overhead (1 in 254) and the delimiter.
pub const MAX_FRAME: usize = MAX_MESSAGE + 4 + (MAX_MESSAGE + 4) / 254 + 2;

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// The message does not fit [`MAX_MESSAGE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodeError;

/// Why bytes between two delimiters are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// Longer than [`MAX_FRAME`]; the rest was dropped up to the next delimiter.
    TooLong,
    /// Not COBS.
    Stuffing,
    /// The CRC does not match.
    Checksum,
    /// Not a message of this protocol.
    Message,
}

/// Encodes a message as a frame. Returns the frame's part of `frame`, delimiter included.
pub fn encode<'b, T: Serialize>(
    message: &T,
    frame: &'b mut [u8; MAX_FRAME],
) -> Result<&'b [u8], EncodeError> {
    let mut plain = [0; MAX_MESSAGE + 4];
    let used =
        postcard::to_slice(message, &mut plain[..MAX_MESSAGE]).map_err(|_| EncodeError)?.len();
    let sum = CRC.checksum(&plain[..used]);
    plain[used..used + 4].copy_from_slice(&sum.to_le_bytes());
    let end = stuff(&plain[..used + 4], frame);
    frame[end] = 0;
    Ok(&frame[..=end])
}

/// COBS-encodes `plain` into `out` and returns the length. `out` is long enough by its type.
fn stuff(plain: &[u8], out: &mut [u8; MAX_FRAME]) -> usize {
    let (mut code_at, mut code, mut at) = (0, 1_u8, 1);
    for &byte in plain {
        if byte != 0 {
            out[at] = byte;
            at += 1;
            code += 1;
        }
        if byte == 0 || code == 0xFF {
            out[code_at] = code;
            code_at = at;
            at += 1;
            code = 1;
        }
    }
    out[code_at] = code;
    at
}

/// COBS-decodes in place and returns the length, or `None` if it is not COBS.
fn unstuff(data: &mut [u8]) -> Option<usize> {
    let (mut read, mut write) = (0, 0);
    while read < data.len() {
        let code = usize::from(data[read]);
        if code == 0 || read + code > data.len() {
            return None;
        }
        data.copy_within(read + 1..read + code, write);
        write += code - 1;
        read += code;
        if code != 0xFF && read < data.len() {
            data[write] = 0;
            write += 1;
        }
    }
    Some(write)
}

/// Collects bytes into frames. Holds at most one frame, whatever the other side sends.
pub struct Decoder {
    buffer: [u8; MAX_FRAME],
    used: usize,
    overrun: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// An empty decoder.
    pub const fn new() -> Self {
        Self { buffer: [0; MAX_FRAME], used: 0, overrun: false }
    }

    /// Forgets a half-read frame.
    pub fn clear(&mut self) {
        self.used = 0;
        self.overrun = false;
    }

    /// Takes one byte. When it ends a frame, returns that frame's message bytes (still to be
    /// read by [`Decoder::message`]) or what was wrong; empty frames are passed over.
    pub fn push(&mut self, byte: u8) -> Option<Result<&[u8], FrameError>> {
        if byte != 0 {
            match self.buffer.get_mut(self.used) {
                Some(slot) => {
                    *slot = byte;
                    self.used += 1;
                }
                None => self.overrun = true,
            }
            return None;
        }
        let (used, overrun) = (self.used, self.overrun);
        self.clear();
        if overrun {
            return Some(Err(FrameError::TooLong));
        }
        if used == 0 {
            return None;
        }
        let Some(length) = unstuff(&mut self.buffer[..used]) else {
            return Some(Err(FrameError::Stuffing));
        };
        let Some((plain, sum)) = self.buffer[..length].split_last_chunk::<4>() else {
            return Some(Err(FrameError::Checksum));
        };
        if CRC.checksum(plain) != u32::from_le_bytes(*sum) {
            return Some(Err(FrameError::Checksum));
        }
        Some(Ok(plain))
    }

    /// Reads a message from the bytes of a good frame. Trailing bytes are refused.
    pub fn message<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, FrameError> {
        match postcard::take_from_bytes(bytes) {
            Ok((message, [])) => Ok(message),
            _ => Err(FrameError::Message),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::{Envelope, Request};

    fn frames(bytes: &[u8]) -> Vec<Result<Vec<u8>, FrameError>> {
        let mut decoder = Decoder::new();
        bytes.iter().filter_map(|&b| decoder.push(b).map(|r| r.map(<[u8]>::to_vec))).collect()
    }

    proptest! {
        #[test]
        fn any_message_survives_the_wire(seq: u32, data in proptest::collection::vec(any::<u8>(), 0..crate::MAX_DATA)) {
            let message = Envelope { seq, body: Request::Echo { data: &data } };
            let mut frame = [0; MAX_FRAME];
            let sent = encode(&message, &mut frame).expect("fits");
            prop_assert!(!sent[..sent.len() - 1].contains(&0));
            let got = frames(sent);
            prop_assert_eq!(got.len(), 1);
            let bytes = got[0].as_ref().expect("a good frame");
            prop_assert_eq!(Decoder::message::<Envelope<Request>>(bytes), Ok(message));
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..3 * MAX_FRAME)) {
            for frame in frames(&bytes).into_iter().flatten() {
                let _ = Decoder::message::<Envelope<crate::Reply>>(&frame);
            }
        }

        #[test]
        fn one_flipped_bit_is_noticed(seq: u32, at in 0_usize..20, bit in 0_u8..8) {
            let message = Envelope { seq, body: Request::Echo { data: b"twenty bytes of data" } };
            let mut frame = [0; MAX_FRAME];
            let mut sent = encode(&message, &mut frame).expect("fits").to_vec();
            sent[at] ^= 1 << bit;
            for got in frames(&sent).into_iter().flatten() {
                prop_assert_ne!(Decoder::message::<Envelope<Request>>(&got), Ok(message.clone()));
            }
        }
    }

    #[test]
    fn a_flood_without_delimiters_is_bounded_and_the_next_frame_is_read() {
        let mut bytes = std::vec![0x41; 10 * MAX_FRAME];
        bytes.push(0);
        let mut frame = [0; MAX_FRAME];
        bytes.extend(encode(&Envelope { seq: 1, body: Request::Sync }, &mut frame).expect("fits"));
        let got = frames(&bytes);
        assert_eq!(got[0], Err(FrameError::TooLong));
        assert!(got[1].is_ok());
    }

    #[test]
    fn a_message_that_is_too_long_is_not_sent() {
        let data = [7; MAX_MESSAGE + 1];
        let mut frame = [0; MAX_FRAME];
        assert_eq!(encode(&Request::Echo { data: &data }, &mut frame), Err(EncodeError));
    }
}
