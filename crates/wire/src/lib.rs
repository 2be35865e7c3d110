//! The messages between the probe inside a guest and the harness outside.
//!
//! A frame on the wire is `COBS(postcard(Envelope) ++ CRC-32 little-endian) ++ 0x00`.
//! The harness sends an [`Envelope`] of a [`Request`]; the probe answers with one of a
//! [`Reply`] under the same sequence number. One request is in flight at a time. A side that
//! reads a broken frame drops it; the harness asks again under a new number, and the probe
//! answers each number at most once.
//!
//! Everything that a guest sends may be crafted: [`Decoder`] bounds what it holds, drops what
//! is too long or does not check, and never panics.

#![no_std]

mod envelope;
mod failure;
mod frame;
mod linux;
mod platform;
mod reply;
mod request;

pub use envelope::{Envelope, Greeting, MAX_DATA, PROTOCOL, number_of};
pub use failure::{Domain, Refusal, errno};
pub use frame::{Decoder, EncodeError, FrameError, MAX_FRAME, MAX_MESSAGE, encode};
pub use linux::{LinuxRequest, Node};
pub use platform::{Arch, Os, Verbs};
pub use reply::{ClockReading, CpuidWords, InputEvent, Reply};
pub use request::{Flags, PowerAction, Request};
