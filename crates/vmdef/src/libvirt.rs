//! libvirt's domain XML (libvirt.org, "Domain XML format").

use hospitium_model::{Bus, ByteSize, CpuTopology, Firmware, FormError};

use crate::definition::{
    Device, DiskBus, DiskDefinition, GuestHint, Hypervisor, NicDefinition, NicKind, SourceFormat,
    Told, VmDefinition, Why,
};
use crate::machine_type::{arch_of, by_machine_type, chipset_of};
use crate::tree::Node;

/// Elements of a domain that say nothing about whether guest and host work together.
const NOT_COMPARED: [&str; 22] = [
    "memoryBacking",
    "uuid",
    "genid",
    "title",
    "description",
    "currentMemory",
    "on_poweroff",
    "on_reboot",
    "on_crash",
    "on_lockfailure",
    "seclabel",
    "resource",
    "clock",
    "pm",
    "blkiotune",
    "memtune",
    "cputune",
    "iothreads",
    "sysinfo",
    "bootloader",
    "bootloader_args",
    "perf",
];

/// The same among the devices.
const DEVICES_NOT_COMPARED: [&str; 14] = [
    "emulator",
    "serial",
    "parallel",
    "console",
    "channel",
    "input",
    "graphics",
    "audio",
    "redirdev",
    "redirfilter",
    "hub",
    "smartcard",
    "panic",
    "controller",
];

/// Reads a domain.
pub(crate) fn read(file: &str, text: &str, root: &Node) -> Result<VmDefinition, FormError> {
    let mut d = VmDefinition::new(SourceFormat::Libvirt);
    d.name = root.text_of("name");
    d.hypervisor = root.attribute("type").map(|told| {
        told.map(|kind| match kind.as_str() {
            "qemu" => Hypervisor::Qemu,
            "kvm" => Hypervisor::Kvm,
            "xen" => Hypervisor::Xen,
            "hyperv" => Hypervisor::HyperV,
            "vmware" => Hypervisor::Vmware,
            "vbox" => Hypervisor::VirtualBox,
            _ => Hypervisor::Other(kind),
        })
    });
    root.excuse_attributes(&["id"]);
    // libvirt passes over text between elements; people write notes there.
    root.excuse_notes();
    root.excuse(&NOT_COMPARED);
    if let Some(metadata) = root.first("metadata") {
        for osinfo in metadata.all("libosinfo") {
            let ids = osinfo.all("os").filter_map(|os| os.attribute("id"));
            d.guest.extend(ids.map(|told| told.map(GuestHint::Osinfo)));
        }
    }
    let paravirtual = system(root, &mut d);
    if d.firmware.is_none() && d.may_be_pc() && !paravirtual {
        d.firmware = Some(Told::by_default(Firmware::Bios, "libvirt, x86 without <loader>"));
    }
    vcpus(file, text, root, &mut d)?;
    for (name, is_max) in [("memory", false), ("maxMemory", true)] {
        let Some(node) = root.first(name) else { continue };
        node.excuse_attributes(&["slots", "dumpCore"]);
        let unit = node.attribute("unit").map_or_else(|| "KiB".to_owned(), |told| told.value);
        let Some(number) = node.told() else { continue };
        let size = scaled(&number.value, &unit).ok_or_else(|| {
            let what = format!("{:?} {unit} is no size of memory", number.value);
            FormError::at(file, text, node.line as usize, 0, what)
        })?;
        let told = Some(number.map(|_| size));
        if is_max { d.memory.max = told } else { d.memory.size = told }
    }
    if let Some(features) = root.first("features") {
        let known = [
            "acpi", "apic", "pae", "hyperv", "vmport", "kvm", "hap", "smm", "pmu", "gic", "xen",
            "ioapic",
        ];
        features.excuse(&known);
    }
    if let Some(devices) = root.first("devices") {
        disks(devices, &mut d);
        for (n, node) in devices.all("interface").enumerate() {
            nic(n, node, paravirtual, &mut d);
        }
        others(devices, &mut d);
        devices.excuse(&DEVICES_NOT_COMPARED);
    }
    Ok(d)
}

/// Reads what is booted, and says whether the machine is a paravirtual one of Xen: it has no firmware and
/// no chipset that the guest could see.
fn system(root: &Node, d: &mut VmDefinition) -> bool {
    let xen = d.hypervisor.as_ref().is_some_and(|told| told.value == Hypervisor::Xen);
    let Some(os) = root.first("os") else { return xen && root.first("bootloader").is_some() };
    os.excuse(&[
        "boot", "bootmenu", "smbios", "bios", "nvram", "kernel", "initrd", "cmdline", "acpi",
    ]);
    let mut paravirtual = false;
    if let Some(kind) = os.first("type") {
        d.arch = kind.attribute("arch").map(|told| told.map(|name| arch_of(&name)));
        if let Some(machine) = kind.attribute("machine") {
            if d.may_be_pc() {
                d.chipset = chipset_of(&machine.value).map(|value| machine.clone().map(|_| value));
            }
            by_machine_type(&machine, d);
            paravirtual = matches!(machine.value.as_str(), "xenpv" | "xenpvh");
            d.hardware = Some(machine);
        }
        match kind.told() {
            // `linux` is what `xen` was called until libvirt 0.4.
            Some(told) if xen && matches!(told.value.as_str(), "xen" | "linux" | "xenpvh") => {
                paravirtual = true;
            }
            Some(told) if told.value != "hvm" => {
                d.leave(told.line, &format!("os/type = {}", told.value), Why::NotUnderstood);
            }
            _ => {}
        }
    }
    if paravirtual {
        d.chipset = None;
        return true;
    }
    let efi = |value: &str| {
        if value == "efi" {
            Some(Firmware::Uefi)
        } else {
            (value == "bios").then_some(Firmware::Bios)
        }
    };
    if let Some(told) = os.attribute("firmware") {
        match efi(&told.value) {
            Some(firmware) => d.firmware = Some(told.map(|_| firmware)),
            None => {
                d.leave(told.line, &format!("os@firmware = {}", told.value), Why::NotUnderstood)
            }
        }
    }
    if let Some(loader) = os.first("loader") {
        loader.excuse_attributes(&["readonly", "stateless", "format"]);
        let path = loader.told();
        if let Some(kind) = loader.attribute("type") {
            let firmware = if kind.value == "pflash" { Firmware::Uefi } else { Firmware::Bios };
            // A BIOS image stands as `rom`; so does OVMF without variables.
            let ovmf = path.as_ref().is_some_and(|p| p.value.to_ascii_uppercase().contains("OVMF"));
            let firmware = if ovmf { Firmware::Uefi } else { firmware };
            d.firmware.get_or_insert(kind.map(|_| firmware));
        }
        // `secure` only says that the firmware image can do Secure Boot with SMM.
        if let Some(told) = loader.attribute("secure") {
            d.secure_boot = Some(told.map(|value| value == "yes"));
        }
    }
    if let Some(features) = os.first("firmware") {
        for feature in features.all("feature") {
            let (name, enabled) = (feature.attribute("name"), feature.attribute("enabled"));
            if let (Some(name), Some(enabled)) = (name, enabled)
                && name.value == "secure-boot"
            {
                d.secure_boot = Some(enabled.map(|value| value == "yes"));
            }
        }
    }
    false
}

fn vcpus(file: &str, text: &str, root: &Node, d: &mut VmDefinition) -> Result<(), FormError> {
    let number = |told: Told<String>| {
        let line = told.line as usize;
        match told.value.parse::<u32>().ok().filter(|n| (1..=65_535).contains(n)) {
            Some(n) => Ok(told.map(|_| n)),
            None => {
                let what = format!("{} is {:?}, no number of vCPUs", told.from, told.value);
                Err(FormError::at(file, text, line, 0, what))
            }
        }
    };
    if let Some(vcpu) = root.first("vcpu") {
        vcpu.excuse_attributes(&["placement", "cpuset"]);
        let most = vcpu.told().map(number).transpose()?;
        match vcpu.attribute("current").map(number).transpose()? {
            Some(current) => {
                d.vcpus.count = Some(current);
                d.vcpus.max = most;
            }
            None => d.vcpus.count = most,
        }
    }
    root.excuse(&["vcpus"]);
    let Some(cpu) = root.first("cpu") else { return Ok(()) };
    cpu.excuse_attributes(&["mode", "match", "check", "migratable"]);
    d.cpu_model = cpu.text_of("model");
    if let Some(model) = cpu.first("model") {
        model.excuse_attributes(&["fallback", "vendor_id"]);
    }
    cpu.excuse(&["vendor", "feature", "cache", "numa", "maxphysaddr"]);
    if let Some(node) = cpu.first("topology") {
        let part =
            |name| node.attribute(name).map(number).transpose().map(|t| t.map_or(1, |t| t.value));
        let (sockets, cores, threads) = (part("sockets")?, part("cores")?, part("threads")?);
        let dies = part("dies")?.saturating_mul(part("clusters")?);
        let topology =
            CpuTopology { sockets, cores: cores.saturating_mul(dies), threads, max_sockets: 0 };
        let from = "cpu/topology".into();
        d.vcpus.topology = Some(Told { value: topology, line: node.line, from });
    }
    Ok(())
}

/// libvirt's scaled integers: `KB` is 1000 bytes, `k` and `KiB` are 1024.
fn scaled(number: &str, unit: &str) -> Option<ByteSize> {
    let factor: u64 = match unit {
        "b" | "bytes" => 1,
        "KB" => 1000,
        "k" | "K" | "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "m" | "M" | "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "g" | "G" | "GiB" => 1 << 30,
        "TB" => 1_000_000_000_000,
        "t" | "T" | "TiB" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).map(ByteSize::bytes)
}

fn disks(devices: &Node, d: &mut VmDefinition) {
    // The model of the SCSI controller decides what the guest sees of a disk on it.
    let scsi: Vec<(String, Option<Told<String>>)> = devices
        .children
        .iter()
        .filter(|c| c.name == "controller")
        .filter(|c| c.attributes.iter().any(|a| a.name == "type" && a.value == "scsi"))
        .map(|c| {
            c.excuse_attributes(&["type"]);
            c.excuse(&["address", "driver", "alias"]);
            let index = c.attribute("index").map_or_else(|| "0".into(), |told| told.value);
            (index, c.attribute("model"))
        })
        .collect();
    for node in devices.all("disk") {
        node.excuse_attributes(&["type", "snapshot", "model"]);
        node.excuse(&[
            "alias",
            "boot",
            "backingStore",
            "serial",
            "wwn",
            "shareable",
            "iotune",
            "address",
        ]);
        let device = node.attribute("device").map_or_else(|| "disk".into(), |told| told.value);
        let Some(target) = node.first("target") else {
            d.leave(node.line, "disk without <target>", Why::NotUnderstood);
            continue;
        };
        target.excuse_attributes(&["tray", "removable", "rotation_rate"]);
        let id = target.attribute("dev").unwrap_or(Told {
            value: String::new(),
            line: target.line,
            from: "target".into(),
        });
        let named = target.attribute("bus").or_else(|| {
            // Without `bus`, libvirt takes it from the name's beginning.
            let bus = match id.value.get(..2) {
                Some("hd") => "ide",
                Some("sd") => "scsi",
                Some("vd") => "virtio",
                Some("xv") => "xen",
                Some("fd") => "fdc",
                _ => return None,
            };
            Some(id.clone().map(|_| bus.to_owned()))
        });
        let at = node.first("address").and_then(|address| address.attribute("controller"));
        let at = at.map_or_else(|| "0".into(), |told| told.value);
        let bus = named.map(|told| match told.value.as_str() {
            "virtio" => told.map(|_| DiskBus::Known(Bus::Virtio)),
            "ide" => told.map(|_| DiskBus::Known(Bus::Ide)),
            "sata" => told.map(|_| DiskBus::Known(Bus::Sata)),
            "usb" => told.map(|_| DiskBus::Known(Bus::Usb)),
            "nvme" => told.map(|_| DiskBus::Known(Bus::Nvme)),
            "fdc" => told.map(|_| DiskBus::Known(Bus::Floppy)),
            "scsi" => match scsi.iter().find(|(index, _)| *index == at) {
                Some((_, Some(model))) => model.clone().map(|model| match model.as_str() {
                    "virtio-scsi" | "virtio-transitional" | "virtio-non-transitional" => {
                        DiskBus::Known(Bus::VirtioScsi)
                    }
                    _ => DiskBus::Other(model),
                }),
                _ => told.map(DiskBus::Other),
            },
            _ => told.map(DiskBus::Other),
        });
        let source = node.first("source");
        let image = source.and_then(|source| {
            source.excuse_attributes(&[
                "startupPolicy",
                "index",
                "protocol",
                "pool",
                "volume",
                "dir",
            ]);
            source.excuse(&["host", "auth", "privateData", "seclabel"]);
            ["file", "dev", "name", "volume"].iter().find_map(|name| source.attribute(name))
        });
        let format = node.first("driver").and_then(|driver| {
            let known = [
                "name",
                "cache",
                "io",
                "discard",
                "detect_zeroes",
                "queues",
                "error_policy",
                "iothread",
            ];
            driver.excuse_attributes(&known);
            driver.attribute("type")
        });
        let readonly = node.first("readonly").is_some() || device == "cdrom";
        let cdrom = device == "cdrom";
        d.disks.push(DiskDefinition { id, bus, image, format, size: None, readonly, cdrom });
    }
}

fn nic(n: usize, node: &Node, paravirtual: bool, d: &mut VmDefinition) {
    node.excuse(&[
        "mac",
        "source",
        "address",
        "alias",
        "boot",
        "link",
        "target",
        "driver",
        "virtualport",
        "vlan",
        "mtu",
        "bandwidth",
        "filterref",
        "script",
        "backend",
    ]);
    let kind = node.attribute("type");
    let mut model = node
        .first("model")
        .and_then(|model| model.attribute("type"))
        .map(|told| told.map(|name| NicKind::named(&name)));
    if let Some(kind) = kind.filter(|kind| kind.value == "hostdev") {
        model.get_or_insert(kind.map(NicKind::Other));
    }
    if paravirtual {
        let default =
            || Told::by_default(NicKind::Other("xen-netfront".into()), "Xen, paravirtual");
        model.get_or_insert_with(default);
    }
    let id = Told { value: format!("nic{n}"), line: node.line, from: "interface".into() };
    d.nics.push(NicDefinition { id, model });
}

/// Devices of the host, its folders and its memory in the guest, each as a whole.
fn of_host(devices: &Node, d: &mut VmDefinition) {
    let kinds = [
        ("hostdev", "passthrough"),
        ("filesystem", "shared-folder"),
        ("shmem", "shared-memory"),
        ("nvram", "passthrough"),
        ("vsock", "vsock"),
        ("iommu", "iommu"),
        ("crypto", "crypto"),
        ("memory", "memory-module"),
    ];
    for (element, kind) in kinds {
        for node in devices.all(element) {
            let model = node.attribute("type").or_else(|| node.attribute("model"));
            let plain = Told { value: element.to_owned(), line: node.line, from: element.into() };
            d.devices.push(Device { kind, model: model.unwrap_or(plain) });
            node.take();
        }
    }
}

fn others(devices: &Node, d: &mut VmDefinition) {
    of_host(devices, d);
    let kinds = [
        ("tpm", "tpm"),
        ("rng", "rng"),
        ("memballoon", "balloon"),
        ("watchdog", "watchdog"),
        ("sound", "sound"),
    ];
    for video in devices.all("video") {
        video.excuse(&["address", "alias", "driver"]);
        if let Some(model) = video.first("model") {
            model.excuse_attributes(&[
                "ram", "vram", "vram64", "vgamem", "heads", "primary", "blob", "edid",
            ]);
            model.excuse(&["acceleration", "resolution"]);
            if let Some(told) = model.attribute("type") {
                d.devices.push(Device { kind: "video", model: told });
            }
        }
    }
    for (element, kind) in kinds {
        for node in devices.all(element) {
            node.excuse_attributes(&["action", "autodeflate", "freePageReporting"]);
            node.excuse(&[
                "address", "alias", "backend", "rate", "stats", "codec", "audio", "driver",
            ]);
            match node.attribute("model") {
                Some(told) if told.value == "none" => {}
                Some(model) => d.devices.push(Device { kind, model }),
                None => {
                    d.leave(node.line, &format!("{element} without a model"), Why::NotUnderstood)
                }
            }
        }
    }
}
