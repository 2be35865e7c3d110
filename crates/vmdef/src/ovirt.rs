//! oVirt's and RHV's own OVF: an `<Envelope>` with `<Content>` and `<Section xsi:type="…">`, the domain's
//! configuration in an export domain or in the engine (ovirt-engine, `OvfVmWriter.java`, `OvfWriter.java`).

use hospitium_model::{Bus, ByteSize, Chipset, CpuTopology, Firmware, FormError, NicModel};

use crate::definition::{
    Device, DiskBus, DiskDefinition, GuestHint, Hypervisor, NicDefinition, NicKind, SourceFormat,
    Told, VmDefinition, Why,
};
use crate::ovf::in_units;
use crate::tree::Node;

/// Reads an envelope whose `content` is a machine of oVirt.
pub(crate) fn read(
    file: &str,
    text: &str,
    root: &Node,
    content: &Node,
) -> Result<VmDefinition, FormError> {
    let mut d = VmDefinition::new(SourceFormat::OvirtOvf);
    d.hypervisor = Some(Told::by_default(Hypervisor::OVirt, "every such OVF"));
    root.excuse_attributes(&["version"]);
    root.excuse(&["References", "NetworkSection"]);
    let disks = root.all("Section").find(|s| kind_of(s).contains("DiskSection"));
    for section in root.all("Section") {
        section.take();
    }
    d.name = content.text_of("Name");
    if let Some(told) = content.text_of("BiosType") {
        // BiosType.java: 1 is a 440FX with SeaBIOS, 2 to 4 are Q35 with SeaBIOS, OVMF, OVMF and Secure Boot.
        let (chipset, firmware, secure) = match told.value.as_str() {
            "1" => (Chipset::Legacy, Firmware::Bios, false),
            "2" => (Chipset::Modern, Firmware::Bios, false),
            "3" => (Chipset::Modern, Firmware::Uefi, false),
            "4" => (Chipset::Modern, Firmware::Uefi, true),
            _ => {
                let what = format!("BiosType = {}: that of the cluster", told.value);
                d.leave(told.line, &what, Why::NotUnderstood);
                (Chipset::Modern, Firmware::Bios, false)
            }
        };
        if matches!(told.value.as_str(), "1" | "2" | "3" | "4") {
            d.chipset = Some(told.clone().map(|_| chipset));
            d.firmware = Some(told.clone().map(|_| firmware));
            d.secure_boot = Some(told.map(|_| secure));
        }
    }
    d.hardware = content.text_of("CustomEmulatedMachine");
    d.cpu_model = content.text_of("CustomCpuName");
    for section in content.all("Section") {
        let kind = kind_of(section);
        if kind.contains("OperatingSystemSection") {
            if let Some(told) = section.text_of("Description") {
                if told.value.to_ascii_lowercase().ends_with("x64") {
                    d.arch = Some(told.clone().map(|_| "x86_64".to_owned()));
                }
                d.guest.push(told.map(GuestHint::Ovirt));
            }
        } else if kind.contains("VirtualHardwareSection") {
            for item in section.all("Item") {
                take_item(file, text, item, disks, &mut d)?;
            }
        }
        section.take();
    }
    // The rest are settings of the engine: priorities, consoles, dates.
    for child in &content.children {
        if !matches!(child.name.as_str(), "Name" | "Section" | "BiosType") {
            child.take();
        }
    }
    content.take();
    Ok(d)
}

fn kind_of(section: &Node) -> String {
    let kind = section.attributes.iter().find(|a| a.name == "type");
    kind.map(|a| a.value.clone()).unwrap_or_default()
}

fn take_item(
    file: &str,
    text: &str,
    item: &Node,
    disks: Option<&Node>,
    d: &mut VmDefinition,
) -> Result<(), FormError> {
    let wrong = |told: &Told<String>, what: &str| {
        let what = format!("{:?} is no {what}", told.value);
        FormError::at(file, text, told.line as usize, 0, what)
    };
    let count = |name: &str| match item.text_of(name) {
        Some(told) => {
            let n = told.value.parse::<u32>().ok().filter(|n| (1..=4096).contains(n));
            n.map(|n| Some(told.clone().map(|_| n))).ok_or_else(|| wrong(&told, "number of vCPUs"))
        }
        None => Ok(None),
    };
    let kind = item.text_of("ResourceType").map(|told| told.value).unwrap_or_default();
    let id = Told {
        value: item.text_of("Caption").map(|told| told.value).unwrap_or_default(),
        line: item.line,
        from: format!("Item {kind}"),
    };
    match kind.as_str() {
        "3" => {
            let sockets = count("num_of_sockets")?;
            let cores = count("cpu_per_socket")?;
            let threads = count("threads_per_cpu")?;
            if let (Some(sockets), Some(cores)) = (sockets, cores) {
                let threads = threads.map_or(1, |told| told.value);
                let all = sockets.value.saturating_mul(cores.value).saturating_mul(threads);
                let topology = CpuTopology {
                    sockets: sockets.value,
                    cores: cores.value,
                    threads,
                    max_sockets: 0,
                };
                d.vcpus.topology = Some(sockets.clone().map(|_| topology));
                d.vcpus.count = Some(sockets.map(|_| all));
            }
        }
        "4" => {
            let units = item.text_of("AllocationUnits").map_or_else(String::new, |t| t.value);
            if let Some(told) = item.text_of("VirtualQuantity") {
                let size = told.value.parse().ok().and_then(|n| in_units(n, &units));
                let size = size.ok_or_else(|| wrong(&told, "size of memory"))?;
                d.memory.size = Some(told.map(|_| size));
            }
        }
        "17" => disk(item, id, disks, d),
        "15" => {
            let bus = None;
            let (image, format, size) = (None, None, None);
            let disk = DiskDefinition { id, bus, image, format, size, readonly: true, cdrom: true };
            d.disks.push(disk);
        }
        "10" => {
            // VmInterfaceType.java.
            let model = item.text_of("ResourceSubType").map(|told| {
                told.map(|number| match number.as_str() {
                    "1" => NicKind::Known(NicModel::Rtl8139),
                    "2" => NicKind::Known(NicModel::E1000),
                    "3" => NicKind::Known(NicModel::Virtio),
                    "5" => NicKind::Other("passthrough".into()),
                    "6" => NicKind::Known(NicModel::E1000e),
                    other => NicKind::Other(format!("oVirt's type {other}")),
                })
            });
            d.nics.push(NicDefinition { id, model });
        }
        "20" => {
            let model = item.text_of("Device").unwrap_or_else(|| id.map(|_| "video".into()));
            d.devices.push(Device { kind: "video", model });
        }
        "0" => {
            let kind = item.text_of("Type").map(|told| told.value).unwrap_or_default();
            let device = item.text_of("Device").unwrap_or_else(|| id.map(|_| kind.clone()));
            let kind = match kind.as_str() {
                "rng" => "rng",
                "balloon" => "balloon",
                "watchdog" => "watchdog",
                "sound" => "sound",
                "tpm" => "tpm",
                "hostdev" => "passthrough",
                _ => return Ok(()),
            };
            d.devices.push(Device { kind, model: device });
        }
        _ => {}
    }
    Ok(())
}

fn disk(item: &Node, id: Told<String>, disks: Option<&Node>, d: &mut VmDefinition) {
    let instance = item.text_of("InstanceId").or_else(|| item.text_of("InstanceID"));
    let resource = item.text_of("HostResource");
    let of_disk = |disk: &&Node| {
        let told = |name| disk.attribute(name).map(|told| told.value);
        let own = told("diskId");
        own.is_some() && own == instance.as_ref().map(|told| told.value.clone())
            || resource.as_ref().zip(told("fileRef")).is_some_and(|(r, file)| r.value == file)
    };
    let described = disks.and_then(|section| section.all("Disk").find(of_disk));
    let interface = described.and_then(|disk| disk.attribute("disk-interface"));
    let bus = interface.map(|told| {
        told.map(|name| match name.to_ascii_uppercase().as_str() {
            "VIRTIO" => DiskBus::Known(Bus::Virtio),
            "VIRTIO_SCSI" => DiskBus::Known(Bus::VirtioScsi),
            "IDE" => DiskBus::Known(Bus::Ide),
            "SATA" => DiskBus::Known(Bus::Sata),
            _ => DiskBus::Other(name),
        })
    });
    let size = described.and_then(|disk| disk.attribute("size")).and_then(|told| {
        // In GiB.
        let bytes = told.value.parse::<u64>().ok()?.checked_mul(1 << 30)?;
        Some(told.map(|_| ByteSize::bytes(bytes)))
    });
    let format = described.and_then(|disk| disk.attribute("volume-format")).map(|told| {
        told.map(|name| if name == "COW" { "qcow2".to_owned() } else { name.to_ascii_lowercase() })
    });
    let image = resource;
    d.disks.push(DiskDefinition { id, bus, image, format, size, readonly: false, cdrom: false });
}
