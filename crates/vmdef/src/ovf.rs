//! DMTF's Open Virtualization Format (DSP0243 1.x and 2.x): one virtual system of an envelope.

use hospitium_model::{Bus, ByteSize, CpuTopology, FormError};

use crate::definition::{
    Device, DiskBus, DiskDefinition, GuestHint, Hypervisor, NicDefinition, SourceFormat, Told,
    VmDefinition, Why,
};
use crate::ovf_vendors::{configs, defaults, xenserver};
use crate::tree::Node;
use crate::{hints, ovirt, vbox, vmx};

/// One element `Item`, `StorageItem` or `EthernetPortItem`.
struct Item<'a> {
    node: &'a Node,
    kind: u32,
    subtype: Option<Told<String>>,
    instance: String,
    parent: Option<String>,
    name: Option<Told<String>>,
}

/// Reads an envelope.
pub(crate) fn read(file: &str, text: &str, root: &Node) -> Result<VmDefinition, FormError> {
    if let Some(content) = root.first("Content") {
        return ovirt::read(file, text, root, content);
    }
    let mut d = VmDefinition::new(SourceFormat::Ovf);
    root.excuse(&["NetworkSection", "Strings", "StartupSection"]);
    root.excuse_attributes(&["version", "buildId", "lang", "Name"]);
    let at = |node: &Node, what: String| FormError::at(file, text, node.line as usize, 0, what);
    let mut systems = root
        .all("VirtualSystem")
        .chain(root.all("VirtualSystemCollection").flat_map(|c| c.all("VirtualSystem")));
    let system = systems.next().ok_or_else(|| {
        at(
            root,
            "no <VirtualSystem> in the envelope; OVF before 1.0 has to be exported again".into(),
        )
    })?;
    for other in systems {
        d.leave(other.line, "a second VirtualSystem, which was not read", Why::NotUnderstood);
        other.take();
    }
    d.name = system.text_of("Name").or_else(|| system.attribute("id"));
    system.excuse_attributes(&["id"]);
    system.excuse(&[
        "Info",
        "AnnotationSection",
        "ProductSection",
        "EulaSection",
        "SnapshotSection",
    ]);
    if let Some(os) = system.first("OperatingSystemSection") {
        guest(os, &mut d);
    }
    // Several hardware sections are alternatives; the first is the preferred one.
    let mut hardware = system.all("VirtualHardwareSection");
    let section = hardware
        .next()
        .ok_or_else(|| at(system, "the virtual system has no <VirtualHardwareSection>".into()))?;
    for other in hardware {
        d.leave(
            other.line,
            "another VirtualHardwareSection, which was not read",
            Why::NotUnderstood,
        );
        other.take();
    }
    section.excuse(&["Info"]);
    section.excuse_attributes(&["transport", "id"]);
    if let Some(kind) = section.first("System").and_then(|s| {
        s.excuse(&[
            "ElementName",
            "InstanceID",
            "VirtualSystemIdentifier",
            "Caption",
            "Description",
        ]);
        s.text_of("VirtualSystemType")
    }) {
        hypervisor(kind, &mut d);
    }
    configs(section, &mut d);
    let default = root
        .first("DeploymentOptionSection")
        .and_then(|options| {
            options.take();
            let mut all = options.children.iter().filter(|c| c.name == "Configuration");
            let marked =
                all.clone().find(|c| c.attribute("default").is_some_and(|t| t.value == "true"));
            marked.or_else(|| all.next()).and_then(|c| c.attribute("id"))
        })
        .map(|told| told.value);
    let mut items = Vec::new();
    for node in &section.children {
        if !matches!(node.name.as_str(), "Item" | "StorageItem" | "EthernetPortItem") {
            continue;
        }
        let only_in = node.attribute("configuration");
        if let Some(only) =
            only_in.filter(|t| !t.value.split_whitespace().any(|c| Some(c) == default.as_deref()))
        {
            d.leave(node.line, &format!("Item of configuration {}", only.value), Why::NotCompared);
            node.take();
            continue;
        }
        // DSP0243, 8.4: `normal` is the value itself, what no attribute says as well; `min` and `max` bound it.
        if node.attribute("bound").is_some_and(|told| told.value != "normal") {
            d.leave(node.line, "Item that only bounds a range", Why::NotCompared);
            node.take();
            continue;
        }
        node.excuse_attributes(&["required", "bound"]);
        let kind = node.text_of("ResourceType").and_then(|t| t.value.parse().ok());
        let Some(kind) = kind else {
            return Err(at(node, "an <Item> without a number as ResourceType".into()));
        };
        node.excuse(&[
            "Description",
            "Caption",
            "AutomaticAllocation",
            "Reservation",
            "Limit",
            "Weight",
            "Address",
            "AddressOnParent",
            "AutomaticDeallocation",
            "Connection",
            "PoolID",
            "ConsumerVisibility",
            "Bandwidth",
            "MappingBehavior",
        ]);
        items.push(Item {
            node,
            kind,
            subtype: node.text_of("ResourceSubType"),
            instance: node.text_of("InstanceID").map(|t| t.value).unwrap_or_default(),
            parent: node.text_of("Parent").map(|t| t.value),
            name: node.text_of("ElementName").or_else(|| node.text_of("Caption")),
        });
    }
    for item in &items {
        take_item(file, text, root, item, &items, &mut d)?;
    }
    xenserver(section, &mut d);
    if let Some(machine) = system.first("Machine") {
        vbox::beside(machine, &mut d);
        machine.take();
    }
    defaults(&mut d);
    excuse_references(root);
    Ok(d)
}

/// File names and sizes were looked up where a disk names them; the rest is known.
fn excuse_references(root: &Node) {
    if let Some(references) = root.first("References") {
        references.take();
    }
    if let Some(section) = root.first("DiskSection") {
        section.take();
    }
}

fn guest(os: &Node, d: &mut VmDefinition) {
    os.excuse(&["Info"]);
    os.excuse_attributes(&["version", "required"]);
    // VirtualBox writes its own name of the system beside the standard's number.
    if let Some(node) = os.first("OSType") {
        node.excuse_attributes(&["required"]);
    }
    if let Some(told) = os.text_of("OSType") {
        arch_of(&told, d);
        d.guest.push(told.map(GuestHint::VirtualBox));
    }
    if let Some(told) = os.attribute("osType") {
        arch_of(&told, d);
        d.guest.push(told.map(GuestHint::Vsphere));
    }
    if let Some(told) = os.attribute("id") {
        match told.value.parse() {
            Ok(number) => d.guest.push(told.map(|_| GuestHint::CimOsType(number))),
            Err(_) => d.leave(
                told.line,
                &format!("OperatingSystemSection@id = {}", told.value),
                Why::NotUnderstood,
            ),
        }
    }
    if let Some(told) = os.text_of("Description") {
        arch_of(&told, d);
        d.guest.push(told.map(GuestHint::Words));
    }
}

fn arch_of(told: &Told<String>, d: &mut VmDefinition) {
    let lower = told.value.to_ascii_lowercase();
    let arch = if lower.starts_with("arm") || lower.ends_with("_arm64") {
        "aarch64"
    } else if ["64guest", "_64", "64-bit", "(64 bit)"]
        .iter()
        .any(|s| lower.ends_with(s) || lower.contains("64-bit"))
    {
        "x86_64"
    } else if lower.contains("32-bit") || lower.ends_with("guest") {
        "i686"
    } else {
        return;
    };
    if d.arch.is_none() {
        d.arch = Some(told.clone().map(|_| arch.to_owned()));
    }
}

fn hypervisor(kind: Told<String>, d: &mut VmDefinition) {
    // VMware may name several versions, the preferred one last.
    let last = kind.value.split_whitespace().last().unwrap_or_default().to_owned();
    let lower = last.to_ascii_lowercase();
    let of = if last.starts_with("vmx-") {
        d.hypervisor_from = hints::vmware_from(&last).map(|from| kind.clone().map(|_| from));
        // What is exported for one of VMware's products is meant for the server product, too.
        let server = hints::vmware_hosts(&last).into_iter().find(|name| name.contains("ESX"));
        d.hosts.extend(server.map(|name| kind.clone().map(|_| name.to_owned())));
        Hypervisor::Vmware
    } else if lower.starts_with("virtualbox") {
        Hypervisor::VirtualBox
    } else if last.contains("qemu") {
        Hypervisor::Qemu
    } else if lower.starts_with("xen-3.") || lower.starts_with("hvm-3.") {
        // `hvm-3.0-unknown` and `xen-3.0-unknown` (xenadmin, OVF.cs).
        Hypervisor::XenServer
    } else if lower.contains("xen") {
        Hypervisor::Xen
    } else {
        Hypervisor::Other(last.clone())
    };
    d.hypervisor = Some(kind.clone().map(|_| of));
    d.hardware = Some(kind.map(|_| last));
}

fn take_item(
    file: &str,
    text: &str,
    root: &Node,
    item: &Item<'_>,
    items: &[Item<'_>],
    d: &mut VmDefinition,
) -> Result<(), FormError> {
    let node = item.node;
    let wrong = |what: String| FormError::at(file, text, node.line as usize, 0, what);
    let id = Told {
        value: item.name.as_ref().map_or_else(|| item.instance.clone(), |n| n.value.clone()),
        line: node.line,
        from: format!("Item {}", item.instance),
    };
    let named = |default: &str| {
        item.subtype.clone().unwrap_or_else(|| id.clone().map(|_| default.to_owned()))
    };
    match item.kind {
        3 => {
            node.excuse(&["AllocationUnits"]);
            let count = node
                .text_of("VirtualQuantity")
                .ok_or_else(|| wrong("vCPUs without VirtualQuantity".into()))?;
            let n: u32 = count
                .value
                .parse()
                .map_err(|_| wrong(format!("{:?} is no number of vCPUs", count.value)))?;
            if let Some(cores) = node.text_of("CoresPerSocket")
                && let Some(per) = cores.value.parse::<u32>().ok().filter(|c| *c > 0)
            {
                let topology = CpuTopology {
                    sockets: (n / per).max(1),
                    cores: per,
                    threads: 1,
                    max_sockets: 0,
                };
                d.vcpus.topology = Some(cores.map(|_| topology));
            }
            d.vcpus.count = Some(count.map(|_| n));
        }
        4 => {
            let units = node.text_of("AllocationUnits").map_or_else(|| "byte".into(), |t| t.value);
            let size = node
                .text_of("VirtualQuantity")
                .ok_or_else(|| wrong("memory without VirtualQuantity".into()))?;
            let bytes = size.value.parse().ok().and_then(|n| in_units(n, &units));
            let bytes = bytes
                .ok_or_else(|| wrong(format!("{:?} {units:?} is no size of memory", size.value)))?;
            d.memory.size = Some(size.map(|_| bytes));
        }
        // Controllers: disks on them name them as parent.
        5 | 6 | 20 | 23 => {
            let used = items.iter().any(|i| i.parent.as_deref() == Some(item.instance.as_str()));
            configs(node, d);
            if !used {
                d.leave(
                    node.line,
                    &format!("{} (a controller without disks)", id.value),
                    Why::NotCompared,
                );
            }
        }
        10 => {
            configs(node, d);
            // XenServer writes Microsoft's words for a card of its own, and Hyper-V has no OVF.
            let xen = d.hypervisor.as_ref().is_some_and(|told| told.value == Hypervisor::XenServer);
            let model = item.subtype.clone().filter(|_| !xen);
            let model = model.map(|told| told.map(|name| vmx::nic_named(&name)));
            d.nics.push(NicDefinition { id, model });
        }
        // 19 is "other storage": XenServer's disks.
        14..=17 | 19 | 31 => disk(root, item, items, id, d),
        24 => {
            configs(node, d);
            let model = named("video");
            d.devices.push(Device { kind: "video", model });
        }
        35 => {
            let model = named("sound");
            d.devices.push(Device { kind: "sound", model });
        }
        _ => {
            let subtype = item.subtype.as_ref().map_or("", |t| t.value.as_str());
            let what = format!("Item {} {subtype} of ResourceType {}", id.value, item.kind);
            if subtype.eq_ignore_ascii_case("vmware.vtpm") {
                d.devices.push(Device { kind: "tpm", model: named("tpm") });
            } else {
                // VMware: vmci and keyboard/pointing devices come as "other".
                let known = matches!(item.kind, 1 | 13 | 21) && !subtype.is_empty();
                d.leave(
                    node.line,
                    &what,
                    if known { Why::NotCompared } else { Why::NotUnderstood },
                );
            }
            node.take();
        }
    }
    Ok(())
}

fn disk(root: &Node, item: &Item<'_>, items: &[Item<'_>], id: Told<String>, d: &mut VmDefinition) {
    configs(item.node, d);
    item.node.excuse(&["VirtualQuantity", "VirtualQuantityUnits", "AllocationUnits"]);
    let parent = item.parent.as_ref().and_then(|p| items.iter().find(|i| i.instance == *p));
    let bus = parent.and_then(|parent| {
        let subtype = parent.subtype.as_ref();
        let name = subtype.map_or_else(String::new, |t| t.value.to_ascii_lowercase());
        let place =
            Told { value: (), line: parent.node.line, from: format!("Item {}", parent.instance) };
        let bus = match (parent.kind, name.as_str()) {
            (5, _) => DiskBus::Known(Bus::Ide),
            (6, "virtio-scsi" | "virtioscsi") => DiskBus::Known(Bus::VirtioScsi),
            (_, "virtio") => DiskBus::Known(Bus::Virtio),
            (20, n) if n.contains("ahci") => DiskBus::Known(Bus::Sata),
            (20, n) if n.contains("nvme") => DiskBus::Known(Bus::Nvme),
            (6, "") => DiskBus::Other("scsi".into()),
            (_, "") => return None,
            _ => DiskBus::Other(subtype.map(|t| t.value.clone()).unwrap_or_default()),
        };
        Some(place.map(|()| bus))
    });
    let bus =
        bus.or_else(|| (item.kind == 14).then(|| id.clone().map(|_| DiskBus::Known(Bus::Floppy))));
    let cdrom = matches!(item.kind, 15 | 16);
    let mut disk =
        DiskDefinition { id, bus, image: None, format: None, size: None, readonly: cdrom, cdrom };
    if let Some(resource) = item.node.text_of("HostResource") {
        // `ovf:/disk/vmdisk1`; before 1.1 also `/disk/vmdisk1`.
        let path = resource.value.trim_start_matches("ovf:");
        let find = |section: &str, element: &str, key: &str, wanted: &str| {
            let found = root.children.iter().find(|c| c.name == section)?;
            found.children.iter().find(|c| {
                c.name == element && c.attributes.iter().any(|a| a.name == key && a.value == wanted)
            })
        };
        let mut image = path.strip_prefix("/file/").map(str::to_owned);
        if let Some(entry) =
            path.strip_prefix("/disk/").and_then(|id| find("DiskSection", "Disk", "diskId", id))
        {
            let units = entry
                .attribute("capacityAllocationUnits")
                .map_or_else(|| "byte".into(), |t| t.value);
            disk.size = entry.attribute("capacity").and_then(|told| {
                let size = told.value.parse().ok().and_then(|n| in_units(n, &units))?;
                Some(told.map(|_| size))
            });
            disk.format = entry.attribute("format").map(|told| told.map(|url| format_of(&url)));
            image = entry.attribute("fileRef").map(|t| t.value);
        }
        disk.image = image
            .and_then(|id| find("References", "File", "id", &id))
            .and_then(|entry| entry.attribute("href"))
            .or(Some(resource));
    }
    d.disks.push(disk);
}

/// An image's format by the address that OVF names it with.
fn format_of(url: &str) -> String {
    let lower = url.to_ascii_lowercase();
    let known = [("vmdk", "vmdk"), ("vhdspec", "vhd"), ("vhdx", "vhdx"), ("qcow", "qcow2")];
    known.iter().find(|(part, _)| lower.contains(part)).map_or(url, |(_, name)| name).to_owned()
}

/// A number in the units of DSP0004 (`byte * 2^20`) or in the older words (`MegaBytes`).
pub(crate) fn in_units(number: u64, units: &str) -> Option<ByteSize> {
    let units = units.trim().to_ascii_lowercase();
    let factor = match units.as_str() {
        "byte" | "bytes" | "" => 1,
        "kb" | "kilobytes" => 1 << 10,
        "mb" | "megabytes" => 1 << 20,
        "gb" | "gigabytes" => 1 << 30,
        "tb" | "terabytes" => 1 << 40,
        _ => {
            let (base, power) =
                units.strip_prefix("byte")?.trim().strip_prefix('*')?.split_once('^')?;
            base.trim().parse::<u64>().ok()?.checked_pow(power.trim().parse().ok()?)?
        }
    };
    number.checked_mul(factor).map(ByteSize::bytes)
}
