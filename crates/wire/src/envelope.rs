//! The version of the protocol, and what ties an answer to its question.
//!
//! One rule holds for every version, past and to come, so that two sides of different versions can say so:
//! request 0 is `Hello` with a nonce of 64 bits, and reply 0 begins with the version and that nonce.

use serde::{Deserialize, Serialize};

/// Version of the protocol. A probe of another one is refused.
pub const PROTOCOL: u16 = 2;
/// The longest data in one message, in bytes.
pub const MAX_DATA: usize = 4096;

/// A message with the number that ties the answer to its request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// Sequence number, chosen by the harness.
    pub seq: u32,
    /// The request or reply.
    pub body: T,
}

/// The beginning of an answer to `Hello` that is the same in every version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Greeting {
    /// Sequence number of the request.
    pub seq: u32,
    /// The probe's version of the protocol.
    pub protocol: u16,
    /// The nonce of the request.
    pub nonce: u64,
}

impl Greeting {
    /// Reads it from the bytes of a good frame, whatever follows. `None` if they are no answer to `Hello`.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let ((seq, reply, protocol, nonce), _) =
            postcard::take_from_bytes::<(u32, u32, u16, u64)>(bytes).ok()?;
        (reply == 0).then_some(Self { seq, protocol, nonce })
    }
}

/// The number of a message, if the rest of it is something that this side does not know.
pub fn number_of(bytes: &[u8]) -> Option<u32> {
    postcard::take_from_bytes::<u32>(bytes).ok().map(|(seq, _)| seq)
}
