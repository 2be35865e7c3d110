//! Makes a guest bootable and gets the probe into it.
//!
//! In comes something that a person has: a kernel package, a kernel image and its modules, or a
//! disk image. [`open`] tells by the bytes which it is. What goes out is a [`Guest`], which puts
//! its boot media into a [`MachineSpec`](hospitium_model::MachineSpec) and, once the machine
//! runs, waits for the probe inside and hands out a [`Session`]: one typed call for each message
//! of [`hospitium_wire`].
//!
//! Whatever a guest prints or sends may be crafted. The [`Console`] keeps a bounded log and shows
//! it without control characters, and a [`Session`] reads bounded frames only.

mod console;
pub mod disk;
mod guest;
pub mod image;
pub mod kernel;
mod probe;
mod session;
pub mod text;

pub use console::{Console, ConsoleClosed, ConsoleError};
pub use guest::{Guest, GuestError, LastLines, Trace, await_probe, open};
pub use probe::{PROBE, probe_digest};
pub use session::{
    BlockInfo, ClockScan, DEFAULT_LIMIT, DriverLoad, Hello, MemoryScan, OwnedReply, Patch,
    PatternDone, Ran, Range, Session, SessionError, Ticks,
};
