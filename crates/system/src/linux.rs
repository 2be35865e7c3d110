//! Linux, from 2.6.18 on.
//!
//! Reads what a kernel shows in /proc and /sys and by system calls. Where a newer kernel has an easier way, an
//! older one has another; a question is [unable](crate::SystemError::Unable) only where there is none.

mod acpi;
mod aml;
mod bytes;
mod clocks;
mod cpus;
mod debug;
mod devices;
mod disks;
mod drivers;
mod entropy;
mod files;
mod firmware;
#[cfg(test)]
mod log_tests;
mod memory;
mod memory_map;
mod network;
#[cfg(test)]
mod old_kernel_tests;
mod physical;
mod power;
mod read;
mod smbios;
#[cfg(test)]
mod stand_in;
mod terminals;

use std::sync::Mutex;
use std::sync::atomic::AtomicU8;

use hospitium_model::{GuestKind, OperatingSystem};

use crate::{Session, System};

/// A Linux guest, by the probe in it.
pub struct LinuxSystem {
    session: Session,
    kind: GuestKind,
    /// Slots of keyboards that are open.
    keyboards: AtomicU8,
    /// Readers of the serial console that hold still, parents before their children.
    still: Mutex<Vec<u32>>,
}

impl LinuxSystem {
    /// The system that the probe of this session is in.
    pub fn new(session: Session, kind: GuestKind) -> Self {
        Self { session, kind, keyboards: AtomicU8::new(0), still: Mutex::default() }
    }
}

impl System for LinuxSystem {
    fn os(&self) -> OperatingSystem {
        OperatingSystem::Linux
    }
}
