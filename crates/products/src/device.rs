//! Devices, by the ids of their bus, as osinfo-db has them.

use serde::{Deserialize, Serialize};

use crate::{DeviceId, Source};

/// A device that guests drive and hosts offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// Name: `virtio-block`, `rtl8139`.
    pub name: String,
    /// Class, as osinfo-db has it: `net`, `block`, `video`, `rng`, …; empty if not told.
    pub class: String,
    /// Bus: `pci`, `usb`, `xen`, `vmbus`, …; empty if not told.
    pub bus: String,
    /// Who makes it, if told.
    pub vendor: String,
    /// What it is in its vendor's words, if told.
    pub product: String,
    /// Who says so.
    pub source: Source,
}

/// A device as a product has it, after inheritance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceSupport<'a> {
    /// The device's id.
    pub device: &'a DeviceId,
    /// The device, if it is described anywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub described: Option<&'a Device>,
    /// Only with drivers that do not come with the product.
    pub with_drivers: bool,
    /// The product that says so: itself, or one that it derives from.
    pub said_by: &'a crate::ProductId,
    /// Who says so.
    pub source: &'a Source,
}

/// Guest, host and devices that were tried together: osinfo-db's `deployment`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its id.
    pub id: String,
    /// The guest.
    pub guest: crate::ProductId,
    /// The host.
    pub host: crate::ProductId,
    /// The devices to use, each with its driver if one is named.
    pub devices: Vec<(DeviceId, Option<String>)>,
    /// Who says so.
    pub source: Source,
}
