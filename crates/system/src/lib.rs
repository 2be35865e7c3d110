//! What a check asks of a guest, whatever its kind.
//!
//! A check asks a [`System`], which says of each answer where it was read; [`LinuxSystem`] is one. Below it,
//! in comes the byte stream of the probe's channel and that of the console; out come typed calls
//! to the probe, a [`Session`], and a bounded log, a [`Console`].
//!
//! Whatever a guest prints or sends may be crafted. The [`Console`] keeps a bounded log and shows
//! it without control characters, and a [`Session`] reads bounded frames only.

mod ask;
mod console;
mod diagnosis;
mod error;
mod forms;
mod linux;
mod session;
mod system;
pub mod tap;
pub mod text;
mod trace;

pub use ask::*;
pub use console::{Console, ConsoleClosed, ConsoleError};
pub use diagnosis::{Diagnosis, Undone, diagnose, diagnosed};
pub use error::{Done, SystemError, Told};
pub use linux::LinuxSystem;
pub use session::{
    BlockInfo, CONFIG, ClockScan, DEFAULT_LIMIT, DRIVER_TABLE, DriverLoad, HANDOVER, Hello,
    MemoryScan, OwnedReply, Patch, PatternDone, Platform, Ran, Range, Session, SessionError, Ticks,
};
pub use system::System;
pub use trace::{LastLines, Trace};
