//! Makes a guest bootable and gets the probe into it.
//!
//! In comes something that a person has: a kernel package, a kernel image and its modules, or a
//! disk image. [`open`] tells by the bytes which it is. What goes out is a [`Guest`], which puts
//! its boot media into a [`MachineSpec`](hospitium_model::MachineSpec) and, once the machine
//! runs, waits for the probe inside and hands out a [`Session`](hospitium_system::Session) with it.

pub mod direct;
pub mod disk;
mod guest;
pub mod image;
pub mod kernel;
mod open;
pub mod probe;

pub use guest::{Guest, GuestError, Seen, await_probe};
pub use open::{open, open_with};
pub use probe::Probe;
