//! Which modules drive which device, and which devices a machine has.

use std::collections::BTreeSet;

use hospitium_model::{Bus, ChannelKind, Chipset, DiskRole, MachineSpec, NicModel};
use serde::Deserialize;

/// The table that ships with the program.
pub const SHIPPED: &str = include_str!("../../../../guests/linux-modules.toml");

/// The table: devices by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// In the order in which they are loaded.
    #[serde(rename = "device")]
    pub devices: Vec<Device>,
}

/// A device and its modules.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Name.
    pub name: String,
    /// Devices whose modules come first.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Modules; `a | b` is the first of them that is there.
    pub modules: Vec<String>,
    /// Modules that are taken where they are there.
    #[serde(default)]
    pub optional: Vec<String>,
    /// Every machine has it.
    #[serde(default)]
    pub always: bool,
    /// Carried in the initramfs when the machine does not have it at boot.
    #[serde(default = "yes")]
    pub carried: bool,
}

fn yes() -> bool {
    true
}

/// The table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Not its form.
    #[error("the table of kernel modules cannot be read")]
    Form(#[from] toml::de::Error),
    /// A device that is not there, or comes later.
    #[error(
        "in the table of kernel modules, {device:?} needs {needed:?}, which does not come before it"
    )]
    Order {
        /// Device.
        device: String,
        /// What it needs.
        needed: String,
    },
    /// Twice.
    #[error("the table of kernel modules has the device {0:?} twice")]
    Twice(String),
}

impl Table {
    /// Reads a table. A device may need only devices that come before it, so there are no circles.
    pub fn from_toml(text: &str) -> Result<Self, TableError> {
        let table: Self = toml::from_str(text)?;
        let mut before = BTreeSet::new();
        for device in &table.devices {
            if let Some(needed) = device.needs.iter().find(|n| !before.contains(n.as_str())) {
                let (device, needed) = (device.name.clone(), needed.clone());
                return Err(TableError::Order { device, needed });
            }
            if !before.insert(device.name.as_str()) {
                return Err(TableError::Twice(device.name.clone()));
            }
        }
        Ok(table)
    }

    /// The device of this name.
    pub fn device(&self, name: &str) -> Option<&Device> {
        self.devices.iter().find(|device| device.name == name)
    }

    /// All module names in it, alternatives included, `-` written as `_`.
    pub fn module_names(&self) -> BTreeSet<String> {
        let entries = self.devices.iter().flat_map(|d| d.modules.iter().chain(&d.optional));
        entries.flat_map(|entry| alternatives(entry)).collect()
    }
}

/// The names in `a | b`, normalised.
pub fn alternatives(entry: &str) -> impl Iterator<Item = String> {
    entry.split('|').map(|name| normalised(name.trim()))
}

/// The kernel takes `-` and `_` in module names as the same.
pub fn normalised(name: &str) -> String {
    name.replace('-', "_")
}

/// The devices of the table that a machine has from the start, without those that every one has.
pub fn devices_of(spec: &MachineSpec) -> BTreeSet<&'static str> {
    let mut devices = BTreeSet::new();
    let buses = spec.disks.iter().map(|d| d.bus).chain(spec.controllers.iter().copied());
    devices.extend(buses.map(|bus| match bus {
        Bus::Virtio => "virtio",
        Bus::VirtioScsi => "virtio-scsi",
        Bus::Nvme => "nvme",
        Bus::Usb => "usb-storage",
        Bus::Floppy => "floppy",
        // A modern chipset has no IDE; what asks for it is on the AHCI controller.
        Bus::Ide if spec.chipset == Chipset::Legacy => "ide",
        Bus::Sata | Bus::Ide => "sata",
    }));
    if spec.input || devices.contains("usb-storage") {
        devices.insert(if spec.chipset == Chipset::Modern { "xhci" } else { "ehci" });
    }
    if spec.disks.iter().any(|disk| disk.role == DiskRole::Cdrom) {
        devices.insert("cdrom");
    }
    devices.extend(spec.nics.iter().map(|nic| match nic.model {
        NicModel::Virtio => "virtio-net",
        NicModel::E1000 => "e1000",
        NicModel::E1000e => "e1000e",
        NicModel::Rtl8139 => "rtl8139",
        NicModel::Vmxnet3 => "vmxnet3",
    }));
    let others = [
        ("virtio-console", spec.channels.iter().any(|c| c.kind == ChannelKind::Virtio)),
        ("usb-input", spec.input),
        ("rng", spec.rng),
        ("balloon", spec.balloon),
        ("panic-notifier", spec.panic_notifier),
        ("generation-id", spec.generation_id.is_some()),
        ("watchdog", spec.watchdog.is_some()),
    ];
    devices.extend(others.into_iter().filter(|(_, there)| *there).map(|(name, _)| name));
    devices
}

#[cfg(test)]
mod tests {
    use hospitium_model::{Boot, ByteSize, Network, Nic, Watchdog, WatchdogAction};

    use super::*;

    #[test]
    fn the_shipped_table_knows_every_device_that_a_machine_can_have() {
        let table = Table::from_toml(SHIPPED).expect("the shipped table is good");
        let mut spec = MachineSpec::new(ByteSize::mib(256), Boot::Nothing);
        use Bus::{Floppy, Ide, Nvme, Sata, Usb, Virtio, VirtioScsi};
        spec.controllers = vec![Virtio, VirtioScsi, Sata, Ide, Nvme, Usb, Floppy];
        use NicModel::{E1000, E1000e, Rtl8139, Vmxnet3};
        spec.nics = [NicModel::Virtio, E1000, E1000e, Rtl8139, Vmxnet3]
            .map(|model| Nic {
                id: "n".into(),
                model,
                mac: "52:54:00:00:00:01".into(),
                network: Network::Isolated,
                queues: 0,
            })
            .to_vec();
        spec.channels[1].kind = ChannelKind::Virtio;
        spec.generation_id = Some(String::new());
        spec.watchdog = Some(Watchdog { action: WatchdogAction::Reset });
        for chipset in [Chipset::Modern, Chipset::Legacy] {
            spec.chipset = chipset;
            for device in devices_of(&spec) {
                assert!(table.device(device).is_some(), "{device}");
            }
        }
    }

    #[test]
    fn a_table_with_circles_or_doubles_is_refused() {
        let circle = "[[device]]\nname = 'a'\nneeds = ['a']\nmodules = []\n";
        assert!(matches!(Table::from_toml(circle), Err(TableError::Order { .. })));
        let twice = "[[device]]\nname = 'a'\nmodules = []\n".repeat(2);
        assert!(matches!(Table::from_toml(&twice), Err(TableError::Twice(_))));
        assert!(matches!(Table::from_toml("device = 3"), Err(TableError::Form(_))));
    }

    #[test]
    fn alternatives_are_normalised() {
        let names: Vec<String> = alternatives("hid-generic | hid").collect();
        assert_eq!(names, ["hid_generic", "hid"]);
    }
}
