//! Hyper-V: the settings XML of 2008 to 2012 R2, and the
//! JSON that [`HYPERV_COMMAND`] writes on hosts whose own format is binary.

use hospitium_model::{Bus, ByteSize, Chipset, Firmware, FormError};

use crate::definition::{
    Device, DiskBus, DiskDefinition, Hypervisor, NicDefinition, NicKind, SourceFormat, Told,
    VmDefinition, Why,
};
use crate::tree::Node;

/// The PowerShell command that writes the facts of one machine as JSON, on Windows Server 2012 and
/// later. `NAME` stands for the machine's name.
pub const HYPERV_COMMAND: &str = "Get-VM -Name 'NAME' | Select-Object Name,Version,Generation,ProcessorCount,MemoryStartup,MemoryMaximum,DynamicMemoryEnabled,\
@{n='SecureBoot';e={if($_.Generation -eq 2){\"$((Get-VMFirmware $_).SecureBoot)\"}}},\
@{n='Disks';e={@($_.HardDrives|Select-Object @{n='Controller';e={\"$($_.ControllerType)\"}},ControllerNumber,ControllerLocation,Path)}},\
@{n='Dvds';e={@($_.DVDDrives|Select-Object @{n='Controller';e={\"$($_.ControllerType)\"}},ControllerNumber,ControllerLocation,Path)}},\
@{n='Nics';e={@($_.NetworkAdapters|Select-Object Name,IsLegacy)}} | ConvertTo-Json -Depth 4 | Out-File vm.json";

pub(crate) fn begin(format: SourceFormat) -> VmDefinition {
    let mut d = VmDefinition::new(format);
    d.hypervisor = Some(Told::by_default(Hypervisor::HyperV, "every such file"));
    d
}

/// Generation 1 is a PC with BIOS and a 440BX; generation 2 has UEFI and no chipset of old.
pub(crate) fn generation(two: Told<bool>, d: &mut VmDefinition) {
    d.firmware = Some(two.clone().map(|two| if two { Firmware::Uefi } else { Firmware::Bios }));
    d.chipset = Some(two.map(|two| if two { Chipset::Modern } else { Chipset::Legacy }));
}

/// The Windows Server release that brought a configuration version (Microsoft, "Supported virtual
/// machine configuration versions").
fn release_of(version: &str) -> Option<&'static str> {
    Some(match version {
        "4.0" => "2012",
        "5.0" => "2012 R2",
        "8.0" => "2016",
        "9.0" => "2019",
        "10.0" => "2022",
        "12.0" => "2025",
        _ => return None,
    })
}

fn versioned(told: Told<String>, d: &mut VmDefinition) {
    d.hypervisor_from = release_of(&told.value).map(|release| told.clone().map(|_| release.into()));
    let hosts =
        release_of(&told.value).map(|release| told.clone().map(|_| format!("Hyper-V {release}")));
    d.hosts.extend(hosts);
    d.hardware = Some(told);
}

fn number(file: &str, text: &str, told: &Told<String>, what: &str) -> Result<u64, FormError> {
    told.value.parse().map_err(|_| {
        let what = format!("{:?} is no {what}", told.value);
        FormError::at(file, text, told.line as usize, 0, what)
    })
}

pub(crate) fn mebibytes(
    file: &str,
    text: &str,
    told: Told<String>,
) -> Result<Told<ByteSize>, FormError> {
    let n = number(file, text, &told, "size of memory in MiB")?;
    let bytes = n.checked_mul(1 << 20).ok_or_else(|| {
        FormError::at(file, text, told.line as usize, 0, "more memory than can be counted")
    })?;
    Ok(told.map(|_| ByteSize::bytes(bytes)))
}

pub(crate) fn count(file: &str, text: &str, told: Told<String>) -> Result<Told<u32>, FormError> {
    let n = number(file, text, &told, "number of vCPUs")?;
    let n = u32::try_from(n)
        .ok()
        .filter(|n| (1..=65_535).contains(n))
        .ok_or_else(|| FormError::at(file, text, told.line as usize, 0, format!("{n} vCPUs")))?;
    Ok(told.map(|_| n))
}

pub(crate) fn drive(
    id: Told<String>,
    bus: DiskBus,
    image: Option<Told<String>>,
    cdrom: bool,
) -> DiskDefinition {
    let format = image.as_ref().and_then(|image| {
        let ending = image.value.rsplit_once('.')?.1.to_ascii_lowercase();
        let format = match ending.as_str() {
            "vhd" | "avhd" => "vhd",
            "vhdx" | "avhdx" => "vhdx",
            _ => return None,
        };
        Some(image.clone().map(|_| format.to_owned()))
    });
    let bus = Some(id.clone().map(|_| bus));
    DiskDefinition { id, bus, image, format, size: None, readonly: cdrom, cdrom }
}

/// What Hyper-V calls its paravirtual SCSI controller.
pub(crate) fn synthetic_scsi() -> DiskBus {
    DiskBus::Other("synthetic SCSI".into())
}

/// The settings XML: `<configuration>` with a manifest of devices, and a section for each.
pub(crate) fn settings(file: &str, text: &str, root: &Node) -> Result<VmDefinition, FormError> {
    let mut d = begin(SourceFormat::HypervSettings);
    if root.first("properties").is_none() && root.first("settings").is_none() {
        let what =
            "a <configuration> without <properties> and <settings>; this is no machine of Hyper-V";
        return Err(FormError::at(file, text, root.line as usize, 0, what));
    }
    // Every value carries the type of its text.
    root.excuse_everywhere("type");
    let mut two = None;
    if let Some(properties) = root.first("properties") {
        d.name = properties.text_of("name");
        if let Some(told) = properties.text_of("version") {
            // Major and minor version in one number: 1280 is 5.0.
            let n = number(file, text, &told, "version")?;
            let value = format!("{}.{}", n >> 8, n & 0xff);
            versioned(told.map(|_| value), &mut d);
        }
        two = properties.text_of("subtype").map(|t| t.map(|v| v == "1"));
        properties.excuse(&[
            "global_id",
            "creation_time",
            "notes",
            "type_id",
            "modified",
            "owner",
            "highly_available",
            "last_powered_off_time",
        ]);
    }
    generation(two.unwrap_or_else(|| Told::by_default(false, "Hyper-V, generation 1")), &mut d);
    if let Some(settings) = root.first("settings") {
        if let Some(processors) = settings.first("processors") {
            d.vcpus.count =
                processors.text_of("count").map(|t| count(file, text, t)).transpose()?;
            processors.excuse(&[
                "limit",
                "reservation",
                "weight",
                "limit_cpuid",
                "limit_processor_features",
                "features",
                "numa",
                "vnuma",
                "hardware_threads",
            ]);
        }
        if let Some(memory) = settings.first("memory") {
            memory.excuse(&["vnuma"]);
        }
        if let Some(bank) = settings.at(&["memory", "bank"]) {
            d.memory.size = bank.text_of("size").map(|t| mebibytes(file, text, t)).transpose()?;
            let dynamic = bank.text_of("dynamic_memory_enabled").is_some_and(|t| is_true(&t.value));
            let most = bank.text_of("limit");
            if dynamic {
                d.memory.max = most.map(|t| mebibytes(file, text, t)).transpose()?;
            }
            // Without dynamic memory, the limit has no effect.
            bank.excuse(&["reservation", "weight", "target_memory_buffer", "priority"]);
        }
        if let Some(told) = settings.at(&["security", "secure_boot_enabled"]).and_then(Node::told) {
            d.secure_boot = Some(told.map(|v| is_true(&v)));
        }
        settings.excuse(&[
            "global",
            "stopped_at_host_shutdown",
            "virtual_numa",
            "vnuma",
            "topology",
        ]);
    }
    // The files that Packer writes for Vagrant have it at the root.
    if let Some(told) = root.text_of("secure_boot_enabled") {
        d.secure_boot = Some(told.map(|v| is_true(&v)));
    }
    let mut names = Vec::new();
    if let Some(manifest) = root.first("manifest") {
        for device in manifest.children.iter().filter(|c| c.name.starts_with("vdev")) {
            let name = device.text_of("name");
            let instance = device.text_of("instance").map(|t| t.value.to_ascii_lowercase());
            if let (Some(name), Some(instance)) = (name, instance) {
                names.push((instance, name));
            }
            device.excuse(&["device", "flags"]);
        }
        manifest.excuse(&["size", "version"]);
    }
    for section in root.children.iter().filter(|c| c.name.starts_with('_')) {
        let id = section.name.trim_matches('_').to_ascii_lowercase();
        // What every machine has is not in the manifest of 2012 R2: it is known by its class.
        let own = names.iter().find(|(instance, _)| *instance == id).map(|(_, name)| name.clone());
        let known = || {
            let (_, name) = ALWAYS_THERE.iter().find(|(class, _)| *class == id)?;
            let from = section.name.clone();
            Some(Told { value: (*name).to_owned(), line: section.line, from })
        };
        let Some(name) = own.or_else(known) else { continue };
        if id == BIOS {
            bios(section, &mut d);
            continue;
        }
        device(section, &name, &mut d);
    }
    if let Some(controllers) = root.first("vm-controllers") {
        box_of_packer(root, controllers, &mut d);
    }
    // Generation 1 has no Secure Boot, whatever the file says of it.
    if d.firmware.as_ref().is_some_and(|told| told.value == Firmware::Bios) {
        d.secure_boot = None;
    }
    root.excuse(&[
        "global_settings",
        "savedstate",
        "snapshot",
        "boot",
        "notes",
        "secure_boot_template",
        "AltSwitchName",
    ]);
    for (_, name) in &names {
        let lower = name.value.to_ascii_lowercase();
        if lower.contains("display") || lower.contains("s3 ") || lower.contains("video") {
            d.devices.push(Device { kind: "video", model: name.clone() });
        }
    }
    Ok(d)
}

/// The class of the BIOS.
const BIOS: &str = "ac6b8dc1-3257-4a70-b1b2-a9c9215659ad";

/// Devices that every machine of generation 1 has, by class (Msvm_ResourceAllocationSettingData; the same in
/// the manifests of 2008).
const ALWAYS_THERE: [(&str, &str); 4] = [
    ("83f8638b-8dca-4152-9eda-2ca8b33039b4", "Microsoft Emulated IDE Controller"),
    ("8f0d2762-0b00-4e04-af4f-19010527cb93", "Microsoft Virtual Diskette Controller"),
    ("8e3a359f-559a-4b6a-98a9-1690a6100ed7", "Microsoft Serial Controller"),
    (BIOS, "Microsoft Virtual BIOS"),
];

/// The section of the BIOS, in which generation 2 has Secure Boot.
fn bios(section: &Node, d: &mut VmDefinition) {
    let told = section.text_of("secure_boot_enabled");
    section.take();
    if let Some(told) = told {
        d.secure_boot.get_or_insert(told.map(|v| is_true(&v)));
    }
}

/// What Packer writes beside a `.vmcx`, as Vagrant reads only XML (hashicorp/packer,
/// `common/powershell/hyperv`): controllers at the root, a network adapter by its switch's name alone.
fn box_of_packer(root: &Node, controllers: &Node, d: &mut VmDefinition) {
    d.hosts.clear();
    let scsi = controllers.first("scsi");
    let bus = if scsi.is_some() { synthetic_scsi() } else { DiskBus::Known(Bus::Ide) };
    let name = Told {
        value: if scsi.is_some() { "scsi" } else { "ide" }.into(),
        line: controllers.line,
        from: "vm-controllers".into(),
    };
    controllers.enter();
    let section = scsi.or_else(|| controllers.first("ide")).unwrap_or(controllers);
    section.excuse_attributes(&["ChannelInstanceGuid"]);
    drives(section, &name, &bus, d);
    if let Some(switch) = root.text_of("AltSwitchName") {
        let model = Some(switch.clone().map(|_| NicKind::Other("synthetic".into())));
        d.nics.push(NicDefinition { id: switch, model });
    }
}

fn is_true(value: &str) -> bool {
    value.eq_ignore_ascii_case("true") || value == "1"
}

/// A device's section of the settings, by its name in the manifest.
fn device(section: &Node, name: &Told<String>, d: &mut VmDefinition) {
    let lower = name.value.to_ascii_lowercase();
    if lower.contains("ethernet") {
        section.take();
        let model = nic(&lower).map(|kind| name.clone().map(|_| kind));
        let id = section.text_of("FriendlyName").unwrap_or_else(|| name.clone());
        d.nics.push(NicDefinition { id, model });
        return;
    }
    let bus = if lower.contains("ide") && lower.contains("controller") {
        DiskBus::Known(Bus::Ide)
    } else if lower.contains("scsi") {
        synthetic_scsi()
    } else if lower.contains("diskette") || lower.contains("floppy") {
        DiskBus::Known(Bus::Floppy)
    } else {
        d.leave(section.line, &format!("settings of {}", name.value), Why::NotCompared);
        section.take();
        return;
    };
    drives(section, name, &bus, d);
    section.excuse(&["VDEVVersion", "ChannelInstanceGuid", "VPMEM"]);
}

/// The drives of a section's controllers.
fn drives(section: &Node, name: &Told<String>, bus: &DiskBus, d: &mut VmDefinition) {
    section.enter();
    for controller in section.children.iter().filter(|c| c.name.starts_with("controller")) {
        controller.enter();
        for node in controller.children.iter().filter(|c| c.name.starts_with("drive")) {
            let kind =
                node.text_of("type").map(|t| t.value.to_ascii_uppercase()).unwrap_or_default();
            let image = node.text_of("pathname");
            node.excuse(&[
                "pool_id",
                "iops_limit",
                "iops_reservation",
                "weight",
                "persistent_reservations_supported",
                "write_hardening_method",
            ]);
            // Empty places on a controller are written as NONE; a floppy drive that is empty is always there.
            let empty_floppy = kind == "VFD" && image.is_none();
            if kind == "NONE" || (kind.is_empty() && image.is_none()) || empty_floppy {
                continue;
            }
            let value = format!("{}/{}/{}", name.value, controller.name, node.name);
            let id = Told { value, line: node.line, from: node.name.clone() };
            let cdrom = matches!(kind.as_str(), "ISO" | "PHYSICAL_DVD" | "ATAPI" | "DVD");
            d.disks.push(drive(id, bus.clone(), image, cdrom));
        }
    }
}

pub(crate) fn nic(lower: &str) -> Option<NicKind> {
    if lower.contains("synthetic") {
        Some(NicKind::Other("synthetic".into()))
    } else if lower.contains("emulated") || lower.contains("legacy") {
        // It shows the guest a DEC 21140 (Microsoft, "legacy network adapter").
        Some(NicKind::Other("emulated (DEC 21140)".into()))
    } else {
        None
    }
}

/// What [`HYPERV_COMMAND`] writes.
pub(crate) fn facts(file: &str, text: &str, root: &Node) -> Result<VmDefinition, FormError> {
    let mut d = begin(SourceFormat::HypervJson);
    let machine = root.first("machine").filter(|m| m.first("Generation").is_some());
    let Some(machine) = machine else {
        let what = format!("no facts of a Hyper-V machine; write them by {HYPERV_COMMAND}");
        return Err(FormError::at(file, text, 1, 0, what));
    };
    for other in root.all("machine").skip(1) {
        d.leave(other.line, "a second machine, which was not read", Why::NotUnderstood);
        other.take();
    }
    d.name = machine.text_of("Name");
    if let Some(told) = machine.text_of("Version") {
        versioned(told, &mut d);
    }
    if let Some(told) = machine.text_of("Generation") {
        generation(told.map(|v| v == "2"), &mut d);
    }
    // Generation 1 has none, and the command writes null.
    d.secure_boot = machine.text_of("SecureBoot").map(|t| t.map(|v| v.eq_ignore_ascii_case("on")));
    d.vcpus.count = machine.text_of("ProcessorCount").map(|t| count(file, text, t)).transpose()?;
    let bytes = |told: Told<String>| {
        number(file, text, &told, "number of bytes").map(|n| told.map(|_| ByteSize::bytes(n)))
    };
    d.memory.size = machine.text_of("MemoryStartup").map(bytes).transpose()?;
    let most = machine.text_of("MemoryMaximum");
    if machine.text_of("DynamicMemoryEnabled").is_some_and(|t| is_true(&t.value)) {
        d.memory.max = most.map(bytes).transpose()?;
    }
    for (list, cdrom) in [("Disks", false), ("Dvds", true)] {
        for node in machine.all(list) {
            let controller = node.text_of("Controller").map(|t| t.value).unwrap_or_default();
            let at = |name| node.text_of(name).map(|t| t.value).unwrap_or_default();
            let value =
                format!("{controller} {}:{}", at("ControllerNumber"), at("ControllerLocation"));
            let bus = match controller.to_ascii_uppercase().as_str() {
                "IDE" => DiskBus::Known(Bus::Ide),
                "SCSI" => synthetic_scsi(),
                _ => DiskBus::Other(controller),
            };
            let id = Told { value, line: node.line, from: list.into() };
            d.disks.push(drive(id, bus, node.text_of("Path"), cdrom));
        }
    }
    for node in machine.all("Nics") {
        let legacy = node.text_of("IsLegacy").is_some_and(|t| is_true(&t.value));
        let id = node.text_of("Name").unwrap_or(Told {
            value: String::new(),
            line: node.line,
            from: "Nics".into(),
        });
        let model =
            nic(if legacy { "legacy" } else { "synthetic" }).map(|kind| id.clone().map(|_| kind));
        d.nics.push(NicDefinition { id, model });
    }
    Ok(d)
}
