//! What was read, line by line, for people.

use hospitium_model::{Chipset, Firmware};

use crate::definition::{DiskDefinition, GuestHint, NicDefinition, Told, VmDefinition};

/// A value that was read, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it is: `guest`, `vCPUs`, `disk`, …
    pub what: &'static str,
    /// The value, which has to be escaped where it is shown.
    pub value: String,
    /// Its line in the file, from 1; 0 for a default.
    pub line: u32,
    /// What says it.
    pub from: String,
}

impl Line {
    fn of<T>(what: &'static str, told: &Told<T>, value: String) -> Self {
        Self { what, value, line: told.line, from: told.from.clone() }
    }
}

impl VmDefinition {
    /// Every value that was read with its place, sides first, then the machine and its devices.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        if let Some(told) = &self.encrypted {
            lines.push(Line::of(
                "encrypted",
                told,
                "yes: what is not shown here is not known".into(),
            ));
        }
        lines.extend(self.guest.iter().map(|told| Line::of("guest", told, hint(&told.value))));
        lines.extend(self.arch.iter().map(|t| Line::of("architecture", t, t.value.clone())));
        if let Some(told) = &self.hypervisor {
            lines.push(Line::of("hypervisor", told, told.value.to_string()));
        }
        lines.extend(self.hardware.iter().map(|t| Line::of("hardware", t, t.value.clone())));
        lines.extend(self.hosts.iter().map(|t| {
            Line::of("host", t, format!("{} or later, by its virtual hardware", t.value))
        }));
        lines.extend(self.firmware.iter().map(|told| {
            let word = match told.value {
                Firmware::Bios => "BIOS",
                Firmware::Uefi => "UEFI",
            };
            Line::of("firmware", told, word.to_owned())
        }));
        lines.extend(self.secure_boot.iter().map(|told| {
            Line::of("Secure Boot", told, if told.value { "on" } else { "off" }.to_owned())
        }));
        lines.extend(self.chipset.iter().map(|told| {
            let word = match told.value {
                Chipset::Modern => "modern",
                Chipset::Legacy => "legacy",
            };
            Line::of("chipset", told, word.to_owned())
        }));
        lines.extend(self.cpu_model.iter().map(|t| Line::of("CPU model", t, t.value.clone())));
        let counts = [("vCPUs", &self.vcpus.count), ("most vCPUs", &self.vcpus.max)];
        for (what, told) in counts {
            lines.extend(told.iter().map(|told| Line::of(what, told, told.value.to_string())));
        }
        lines.extend(self.vcpus.topology.iter().map(|told| {
            let t = told.value;
            let value =
                format!("{} sockets × {} cores × {} threads", t.sockets, t.cores, t.threads);
            Line::of("topology", told, value)
        }));
        let sizes = [("memory", &self.memory.size), ("most memory", &self.memory.max)];
        for (what, told) in sizes {
            lines.extend(told.iter().map(|told| Line::of(what, told, told.value.to_string())));
        }
        lines.extend(self.disks.iter().map(disk));
        lines.extend(self.nics.iter().map(nic));
        lines.extend(self.devices.iter().map(|device| {
            Line::of("device", &device.model, format!("{} {}", device.kind, device.model.value))
        }));
        lines
    }
}

fn hint(hint: &GuestHint) -> String {
    match hint {
        GuestHint::Osinfo(text)
        | GuestHint::Vmx(text)
        | GuestHint::Vsphere(text)
        | GuestHint::VirtualBox(text)
        | GuestHint::Ovirt(text)
        | GuestHint::Words(text) => text.clone(),
        GuestHint::CimOsType(number) => format!("CIM operating system {number}"),
    }
}

fn disk(disk: &DiskDefinition) -> Line {
    let floppy = disk.bus.as_ref().is_some_and(|bus| bus.value.to_string() == "floppy");
    let what = match (disk.cdrom, floppy) {
        (true, _) => "CD or DVD",
        (false, true) => "floppy",
        (false, false) => "disk",
    };
    let bus = disk.bus.as_ref().map_or_else(|| "bus not told".into(), |bus| bus.value.to_string());
    let mut words = vec![bus];
    words.extend(disk.format.as_ref().map(|told| told.value.clone()));
    words.extend(disk.size.as_ref().map(|told| told.value.to_string()));
    words.extend(disk.image.as_ref().map(|told| told.value.clone()));
    if disk.cdrom && disk.image.is_none() {
        words.push("empty".into());
    }
    Line { what, value: words.join(", "), line: disk.id.line, from: disk.id.value.clone() }
}

fn nic(nic: &NicDefinition) -> Line {
    let value = nic.model.as_ref().map_or_else(|| "model not told".into(), |m| m.value.to_string());
    Line { what: "network", value, line: nic.id.line, from: nic.id.value.clone() }
}
