//! What a check asks of a guest, one trait a subject. [`System`](crate::System) is all of them together.

mod clocks;
mod cpus;
mod debug;
mod devices;
mod disks;
mod entropy;
mod files;
mod firmware;
mod memory;
mod network;
mod power;
mod terminals;

pub use self::clocks::{ClockSource, Clocks};
pub use self::cpus::{Cpus, Topology};
pub use self::debug::{Debug, PhysicalRange};
pub use self::devices::{Devices, Interrupts, PciFunction, UsbDevice};
pub use self::disks::{Disks, DriveContent, GuestDisk, Span, WantedDisk, Write};
pub use self::entropy::Entropy;
pub use self::files::Files;
pub use self::firmware::{Firmwares, SmbiosSystem};
pub use self::memory::Memory;
pub use self::network::{Counters, Endpoint, Network};
pub use self::power::{Button, LogLine, LogPosition, Power, SystemName};
pub use self::terminals::Terminals;
