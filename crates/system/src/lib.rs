//! What a check asks of a guest, whatever its kind.
//!
//! In comes the byte stream of the probe's channel and that of the console; out come typed calls
//! to the probe, a [`Session`], and a bounded log, a [`Console`].
//!
//! Whatever a guest prints or sends may be crafted. The [`Console`] keeps a bounded log and shows
//! it without control characters, and a [`Session`] reads bounded frames only.

mod console;
mod session;
pub mod text;
mod trace;

pub use console::{Console, ConsoleClosed, ConsoleError};
pub use session::{
    BlockInfo, CONFIG, ClockScan, DEFAULT_LIMIT, DRIVER_TABLE, DriverLoad, HANDOVER, Hello,
    MemoryScan, OwnedReply, Patch, PatternDone, Platform, Ran, Range, Session, SessionError, Ticks,
};
pub use trace::{LastLines, Trace};
