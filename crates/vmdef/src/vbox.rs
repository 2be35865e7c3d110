//! VirtualBox's settings: a `.vbox` file, and the same in an OVF beside what the standard has room for
//! (VirtualBox, `src/VBox/Main/xml/VirtualBox-settings.xsd`).

use hospitium_model::{Bus, ByteSize, Chipset, Firmware, FormError};

use crate::definition::{
    Device, DiskBus, DiskDefinition, GuestHint, Hypervisor, NicDefinition, NicKind, SourceFormat,
    Told, VmDefinition, Why,
};
use crate::hints;
use crate::tree::Node;

/// Reads a `.vbox`.
pub(crate) fn read(file: &str, text: &str, root: &Node) -> Result<VmDefinition, FormError> {
    let mut d = VmDefinition::new(SourceFormat::Vbox);
    d.hypervisor = Some(Told::by_default(Hypervisor::VirtualBox, "every .vbox"));
    let wrong = |node: &Node, what: String| FormError::at(file, text, node.line as usize, 0, what);
    let Some(machine) = root.first("Machine") else {
        let what = "no <Machine> in it: these are VirtualBox' own settings, not those of a machine";
        return Err(wrong(root, what.into()));
    };
    root.excuse_attributes(&["version"]);
    versioned(root.attribute("version"), &mut d);
    machine.excuse_attributes(&[
        "uuid",
        "snapshotFolder",
        "lastStateChange",
        "stateFile",
        "currentSnapshot",
        "nameSync",
        "currentStateModified",
        "aborted",
        "directoryIncludesUUID",
        "icon",
        "processPriority",
    ]);
    machine.excuse(&["ExtraData", "Description", "Snapshot", "Groups", "FaultTolerance"]);
    d.name = machine.attribute("name");
    if let Some(told) = machine.attribute("OSType") {
        d.arch = arch_of(&told);
        d.guest.push(told.map(GuestHint::VirtualBox));
    }
    let Some(hardware) = machine.first("Hardware") else {
        return Err(wrong(machine, "the machine has no <Hardware>".into()));
    };
    hardware.excuse(&[
        "RemoteDisplay",
        "UART",
        "LPT",
        "Clipboard",
        "DragAndDrop",
        "GuestProperties",
        "HID",
        "USB",
        "IO",
        "Guest",
        "EmulatedUSB",
        "VideoCapture",
        "Recording",
        "Paravirt",
        "GuestAdditions",
        "RTC",
    ]);
    hardware.excuse_attributes(&["uuid", "version"]);
    board(hardware, &mut d);
    counts(file, text, hardware, &mut d)?;
    adapters(hardware, &mut d);
    let images = images(machine);
    // From 7.0 on the controllers stand within the hardware.
    for controllers in [hardware.first("StorageControllers"), machine.first("StorageControllers")]
        .into_iter()
        .flatten()
    {
        for controller in controllers.all("StorageController") {
            drives(controller, &images, &mut d);
        }
    }
    devices(hardware, &mut d);
    Ok(d)
}

/// Takes from VirtualBox's own section of an OVF what the standard has no room for.
pub(crate) fn beside(machine: &Node, d: &mut VmDefinition) {
    versioned(machine.attribute("version"), d);
    if let Some(hardware) = machine.first("Hardware") {
        board(hardware, d);
        devices(hardware, d);
    }
}

fn versioned(version: Option<Told<String>>, d: &mut VmDefinition) {
    let Some(version) = version else { return };
    if let Some(from) = hints::virtualbox_from(&version.value) {
        d.hypervisor_from = Some(version.clone().map(|_| from.to_owned()));
        d.hosts.push(version.clone().map(|_| format!("VirtualBox {from}")));
    }
    d.hardware.get_or_insert(version);
}

fn arch_of(os: &Told<String>) -> Option<Told<String>> {
    let lower = os.value.to_ascii_lowercase();
    let arch = if lower.ends_with("_arm64") {
        "aarch64"
    } else if lower.ends_with("_64") || lower.ends_with("_x64") {
        "x86_64"
    } else if lower.starts_with("other") {
        return None;
    } else {
        "i686"
    };
    Some(os.clone().map(|_| arch.to_owned()))
}

/// Firmware, chipset and TPM.
fn board(hardware: &Node, d: &mut VmDefinition) {
    // From 7.1 on chipset and TPM stand in a <Platform>.
    let platform = hardware.first("Platform");
    if let Some(told) = hardware.first("Firmware").and_then(|node| node.attribute("type")) {
        let uefi = told.value.to_ascii_uppercase().starts_with("EFI");
        d.firmware = Some(told.map(|_| if uefi { Firmware::Uefi } else { Firmware::Bios }));
    }
    let chipset = hardware.first("Chipset").or_else(|| platform?.first("Chipset"));
    if let Some(told) = chipset.and_then(|node| node.attribute("type")) {
        match told.value.to_ascii_uppercase().as_str() {
            "PIIX3" | "PIIX4" => d.chipset = Some(told.map(|_| Chipset::Legacy)),
            "ICH9" => d.chipset = Some(told.map(|_| Chipset::Modern)),
            // `ArmV8Virtual` is neither.
            _ => {}
        }
    } else if d.may_be_pc() && d.chipset.is_none() {
        d.chipset = Some(Told::by_default(Chipset::Legacy, "VirtualBox, no Chipset"));
    }
    if d.firmware.is_none() && d.may_be_pc() {
        d.firmware = Some(Told::by_default(Firmware::Bios, "VirtualBox, no Firmware"));
    }
    let tpm = hardware.first("TrustedPlatformModule");
    let tpm = tpm.or_else(|| hardware.first("BIOS")?.first("TrustedPlatformModule"));
    if let Some(model) = tpm.and_then(|node| node.attribute("type")).filter(|t| t.value != "None") {
        d.devices.push(Device { kind: "tpm", model });
    }
    if let Some(tpm) = tpm {
        tpm.excuse_attributes(&["location"]);
    }
    for node in [hardware.first("BIOS"), platform].into_iter().flatten() {
        node.take();
    }
}

fn counts(file: &str, text: &str, hardware: &Node, d: &mut VmDefinition) -> Result<(), FormError> {
    let wrong = |told: &Told<String>, what: &str| {
        let what = format!("{} is {:?}, no {what}", told.from, told.value);
        FormError::at(file, text, told.line as usize, 0, what)
    };
    let cpu = hardware.first("CPU");
    d.vcpus.count = match cpu.and_then(|cpu| cpu.attribute("count")) {
        Some(told) => {
            let count = told.value.parse::<u32>().ok().filter(|n| (1..=65_535).contains(n));
            let count = count.ok_or_else(|| wrong(&told, "number of vCPUs"))?;
            Some(told.map(|_| count))
        }
        None => Some(Told::by_default(1, "VirtualBox, no CPU count")),
    };
    if let Some(cpu) = cpu {
        cpu.take();
    }
    if let Some(told) = hardware.first("Memory").and_then(|node| node.attribute("RAMSize")) {
        let mib = told.value.parse::<u64>().ok().and_then(|mib| mib.checked_mul(1 << 20));
        let size = mib.ok_or_else(|| wrong(&told, "size of memory in MiB"))?;
        d.memory.size = Some(told.map(|_| ByteSize::bytes(size)));
    }
    if let Some(memory) = hardware.first("Memory") {
        memory.excuse_attributes(&["PageFusion"]);
    }
    Ok(())
}

fn adapters(hardware: &Node, d: &mut VmDefinition) {
    let Some(network) = hardware.first("Network") else { return };
    for adapter in network.all("Adapter") {
        let on = adapter.attribute("enabled").is_some_and(|told| told.value == "true");
        let model = adapter.attribute("type").map(|told| told.map(|name| NicKind::named(&name)));
        let slot = adapter.attribute("slot").map(|told| told.value).unwrap_or_default();
        adapter.take();
        if on {
            let value = format!("adapter {slot}");
            let id = Told { value, line: adapter.line, from: "Adapter".into() };
            let default = || Told::by_default(NicKind::Other("Am79C970A".into()), "VirtualBox");
            d.nics.push(NicDefinition { id, model: Some(model.unwrap_or_else(default)) });
        }
    }
}

/// An image of the media registry: identifier, location and format.
type Medium = (String, Option<Told<String>>, Option<Told<String>>);

/// The images of the media registry.
fn images(machine: &Node) -> Vec<Medium> {
    fn collect(node: &Node, into: &mut Vec<Medium>) {
        for child in &node.children {
            if let Some(id) = child.attribute("uuid") {
                let (place, format) = (child.attribute("location"), child.attribute("format"));
                into.push((id.value, place, format.map(|t| t.map(|f| f.to_ascii_lowercase()))));
            }
            collect(child, into);
        }
    }
    let mut found = Vec::new();
    if let Some(registry) = machine.first("MediaRegistry") {
        collect(registry, &mut found);
        registry.take();
    }
    found
}

fn drives(controller: &Node, images: &[Medium], d: &mut VmDefinition) {
    let Some(kind) = controller.attribute("type") else {
        d.leave(controller.line, "StorageController without a type", Why::NotUnderstood);
        return;
    };
    controller.excuse_attributes(&[
        "name",
        "PortCount",
        "useHostIOCache",
        "Bootable",
        "IDE0MasterEmulationPort",
        "Instance",
        "IDE0SlaveEmulationPort",
        "IDE1MasterEmulationPort",
        "IDE1SlaveEmulationPort",
        "hotpluggable",
    ]);
    let bus = match kind.value.to_ascii_uppercase().as_str() {
        "PIIX3" | "PIIX4" | "ICH6" => DiskBus::Known(Bus::Ide),
        "AHCI" | "INTELAHCI" => DiskBus::Known(Bus::Sata),
        "NVME" => DiskBus::Known(Bus::Nvme),
        "VIRTIOSCSI" => DiskBus::Known(Bus::VirtioScsi),
        "USB" => DiskBus::Known(Bus::Usb),
        "I82078" => DiskBus::Known(Bus::Floppy),
        _ => DiskBus::Other(kind.value.to_ascii_lowercase()),
    };
    for device in controller.all("AttachedDevice") {
        let what = device.attribute("type").map(|told| told.value).unwrap_or_default();
        let image = device.first("Image").and_then(|node| node.attribute("uuid"));
        let known = images.iter().find(|(id, ..)| image.as_ref().is_some_and(|i| i.value == *id));
        let (place, format) =
            known.map_or((None, None), |(_, place, format)| (place.clone(), format.clone()));
        let value = format!(
            "{} {}",
            kind.value,
            device.attribute("port").map(|told| told.value).unwrap_or_default()
        );
        let id = Told { value, line: device.line, from: "AttachedDevice".into() };
        let cdrom = what == "DVD";
        d.disks.push(DiskDefinition {
            id,
            bus: Some(kind.clone().map(|_| bus.clone())),
            image: place.or(image),
            format,
            size: None,
            readonly: cdrom,
            cdrom,
        });
        device.take();
    }
}

/// Display, sound and devices of the host.
fn devices(hardware: &Node, d: &mut VmDefinition) {
    if let Some(display) = hardware.first("Display") {
        if let Some(model) = display.attribute("controller") {
            d.devices.push(Device { kind: "video", model });
        }
        display.take();
    }
    if let Some(audio) = hardware.first("AudioAdapter") {
        let on = audio.attribute("enabled").is_some_and(|told| told.value == "true");
        let plain = Told { value: "AC97".into(), line: audio.line, from: "AudioAdapter".into() };
        let model = audio.attribute("controller").unwrap_or(plain);
        audio.take();
        if on && d.devices_of("sound").next().is_none() {
            d.devices.push(Device { kind: "sound", model });
        }
    }
    if let Some(pci) = hardware.first("HostPci") {
        for device in pci.first("Devices").into_iter().flat_map(|list| list.all("Device")) {
            let model = Told { value: "pci".into(), line: device.line, from: "HostPci".into() };
            d.devices.push(Device { kind: "passthrough", model });
        }
        pci.take();
    }
    if let Some(folders) = hardware.first("SharedFolders") {
        for folder in folders.all("SharedFolder") {
            let model =
                Told { value: "vboxsf".into(), line: folder.line, from: "SharedFolder".into() };
            d.devices.push(Device { kind: "shared-folder", model });
        }
        folders.take();
    }
}
