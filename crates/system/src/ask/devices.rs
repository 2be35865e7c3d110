//! Devices, their drivers and their interrupts.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Done, DriverLoad, Told};

/// A PCI function as the guest sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PciFunction {
    /// `0000:00:02.0`.
    pub address: String,
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Base class and subclass.
    pub class: u16,
    /// What is bound to the function itself; for virtio that is its transport.
    pub bound: Option<String>,
    /// The driver that makes use of it: what is bound, or what drives the device behind a transport.
    pub driver: Option<String>,
    /// Version of that driver, where it tells one.
    pub version: Option<String>,
    /// It interrupts by message (MSI or MSI-X).
    pub by_message: bool,
}

/// A USB device as the guest sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsbDevice {
    /// Where it is: bus and ports.
    pub place: String,
    /// `iSerialNumber`, empty if it has none.
    pub serial: String,
    /// Its drivers have taken it.
    pub taken: bool,
}

/// Interrupts that a kernel counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Interrupts {
    /// Each processor's own timer.
    Timer,
    /// Non-maskable ones.
    NonMaskable,
    /// Those of a network interface's device.
    Interface(String),
}

/// Devices, their drivers and their interrupts.
#[async_trait]
pub trait Devices {
    /// Every PCI function, by address.
    async fn pci(&self) -> Told<Vec<PciFunction>>;

    /// Every USB device but the controllers' own hubs.
    async fn usb(&self) -> Told<Vec<UsbDevice>>;

    /// Loads the driver of a device (its name in `guests/linux-modules.toml`), where that is ours to do.
    async fn load_driver(&self, device: &str) -> Done<DriverLoad>;

    /// [Unable](crate::SystemError::Unable) if the running system has no driver for a device (its name in
    /// `guests/linux-modules.toml`) and none that it would load by itself, with the reason for the skip. Where
    /// nothing tells, it is taken to have one.
    async fn require_driver(&self, device: &str) -> Done;

    /// Interrupts counted so far, by processor.
    async fn interrupts(&self, of: &Interrupts) -> Told<Vec<u64>>;

    /// Has all interrupts of these served by one processor.
    async fn steer(&self, which: &Interrupts, cpu: u32) -> Done;
}
