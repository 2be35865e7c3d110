//! Proxmox VE's configuration of a machine, `/etc/pve/qemu-server/ID.conf`: lines of `key: value`
//! (Proxmox VE, `qm.conf(5)`).

use hospitium_model::{Bus, ByteSize, Chipset, CpuTopology, Firmware, FormError};

use crate::definition::{
    Device, DiskBus, DiskDefinition, Hypervisor, NicDefinition, NicKind, SourceFormat, Told,
    VmDefinition, Why,
};
use crate::machine_type::chipset_of;

/// Most keys.
const MOST_KEYS: usize = 5000;

/// Keys of which every such file has some.
const TELLING: [&str; 9] =
    ["cores", "sockets", "memory", "ostype", "scsihw", "boot", "bootdisk", "numa", "smbios1"];

/// Keys that say nothing about whether guest and host work together.
const NOT_COMPARED: [&str; 24] = [
    "boot",
    "bootdisk",
    "onboot",
    "startup",
    "protection",
    "tags",
    "description",
    "meta",
    "smbios1",
    "vmgenid",
    "digest",
    "hotplug",
    "lock",
    "parent",
    "snaptime",
    "vmstate",
    "template",
    "numa",
    "cpuunits",
    "cpulimit",
    "affinity",
    "tablet",
    "agent",
    "localtime",
];

struct Entry {
    key: String,
    value: String,
    line: u32,
}

impl Entry {
    fn told(&self) -> Told<String> {
        Told { value: self.value.clone(), line: self.line, from: self.key.clone() }
    }

    /// A part `name=value` of the value.
    fn part(&self, name: &str) -> Option<&str> {
        self.value.split(',').find_map(|part| {
            let (key, value) = part.split_once('=')?;
            (key.trim() == name).then(|| value.trim())
        })
    }

    /// What stands before the first comma.
    fn first(&self) -> &str {
        self.value.split(',').next().unwrap_or_default().trim()
    }
}

/// Whether a text that is neither XML nor JSON is worth reading as this.
pub(crate) fn looks_like(text: &str) -> bool {
    let keys = text.lines().take(MOST_KEYS).filter_map(|line| line.split_once(':'));
    keys.filter(|(key, _)| TELLING.contains(&key.trim())).count() >= 2
        && !text.lines().any(|line| line.trim_start().starts_with("apiVersion:"))
}

/// Reads a configuration: what holds now, not the snapshots behind it.
pub(crate) fn read(file: &str, text: &str) -> Result<VmDefinition, FormError> {
    let mut d = VmDefinition::new(SourceFormat::Proxmox);
    let entries = entries(file, text, &mut d)?;
    let find = |key: &str| entries.iter().find(|entry| entry.key == key);
    let told = |key: &str| find(key).map(Entry::told).filter(|told| !told.value.is_empty());
    d.name = told("name");
    d.hypervisor = Some(Told::by_default(Hypervisor::ProxmoxVe, "every such file"));
    let arch = told("arch").unwrap_or_else(|| Told::by_default("x86_64".into(), "qm.conf, arch"));
    d.arch = Some(arch);
    d.firmware = Some(match told("bios") {
        Some(bios) => {
            let uefi = bios.value == "ovmf";
            bios.map(|_| if uefi { Firmware::Uefi } else { Firmware::Bios })
        }
        None if d.may_be_pc() => Told::by_default(Firmware::Bios, "qm.conf, bios"),
        None => Told::by_default(Firmware::Uefi, "qm.conf, arch aarch64"),
    });
    machine(find("machine"), &mut d);
    counts(file, text, &find, &mut d)?;
    d.cpu_model = find("cpu").map(|cpu| {
        let name = cpu.part("cputype").unwrap_or_else(|| cpu.first()).to_owned();
        cpu.told().map(|_| name)
    });
    // Of the keys that the firmware's variables begin with when they are made.
    if let Some(efi) = find("efidisk0") {
        let enrolled = efi.part("pre-enrolled-keys") == Some("1");
        d.secure_boot = Some(efi.told().map(|_| enrolled));
    }
    let controller =
        told("scsihw").unwrap_or_else(|| Told::by_default("lsi".into(), "qm.conf, scsihw"));
    for entry in &entries {
        take(entry, &controller, &mut d);
    }
    d.left.sort_by_key(|left| left.line);
    Ok(d)
}

fn entries(file: &str, text: &str, d: &mut VmDefinition) -> Result<Vec<Entry>, FormError> {
    let mut entries: Vec<Entry> = Vec::new();
    for (n, whole) in text.lines().enumerate() {
        let wrong = |what: &str| Err(FormError::at(file, text, n + 1, 1, what));
        let line = whole.trim();
        // The notes stand first, as comments.
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with('[') {
            let number = n as u32 + 1;
            d.leave(number, &format!("snapshot {line} and what follows"), Why::NotCompared);
            break;
        }
        let Some((key, value)) = line.split_once(':') else {
            return wrong("a line of a Proxmox VE configuration is key: value");
        };
        let key = key.trim();
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        {
            return wrong("the part before ':' is no key of a Proxmox VE configuration");
        }
        if entries.len() >= MOST_KEYS {
            return wrong("more keys than any machine of Proxmox VE has");
        }
        if let Some(before) = entries.iter().find(|entry| entry.key == key) {
            let what = format!("{key}: {} (already in line {})", value.trim(), before.line);
            d.leave(n as u32 + 1, &what, Why::Repeated);
            continue;
        }
        entries.push(Entry {
            key: key.to_owned(),
            value: value.trim().to_owned(),
            line: n as u32 + 1,
        });
    }
    Ok(entries)
}

/// `q35`, `pc-q35-8.1`, `type=q35,viommu=intel`; without it a 440FX in the newest version.
fn machine(entry: Option<&Entry>, d: &mut VmDefinition) {
    let pc = d.may_be_pc();
    let Some(entry) = entry else {
        if pc {
            d.chipset = Some(Told::by_default(Chipset::Legacy, "qm.conf, machine"));
        }
        return;
    };
    let name = entry.part("type").unwrap_or_else(|| entry.first()).to_owned();
    if pc {
        d.chipset = chipset_of(&name).map(|chipset| entry.told().map(|_| chipset));
    }
    if let Some(iommu) = entry.part("viommu") {
        let model = entry.told().map(|_| iommu.to_owned());
        d.devices.push(Device { kind: "iommu", model });
    }
    d.hardware = Some(entry.told().map(|_| name));
}

fn counts<'e>(
    file: &str,
    text: &str,
    find: &impl Fn(&str) -> Option<&'e Entry>,
    d: &mut VmDefinition,
) -> Result<(), FormError> {
    let number = |entry: &Entry, what: &str| {
        let text_of = entry.part("current").unwrap_or_else(|| entry.first());
        text_of.parse::<u32>().ok().filter(|n| *n > 0).ok_or_else(|| {
            let what = format!("{} is {:?}, no {what}", entry.key, entry.value);
            FormError::at(file, text, entry.line as usize, 0, what)
        })
    };
    let count = |key: &str| find(key).map(|e| number(e, "number of vCPUs")).transpose();
    let (sockets, cores) = (count("sockets")?.unwrap_or(1), count("cores")?.unwrap_or(1));
    let all = sockets.checked_mul(cores).filter(|all| *all <= 65_535);
    let place = find("cores").or_else(|| find("sockets"));
    let all = all.ok_or_else(|| {
        let line = place.map_or(1, |entry| entry.line);
        let what = format!("{sockets} sockets of {cores} cores are more than any machine has");
        FormError::at(file, text, line as usize, 0, what)
    })?;
    let whole = match place {
        Some(entry) => entry.told().map(|_| all),
        None => Told::by_default(all, "qm.conf, sockets and cores"),
    };
    let topology = CpuTopology { sockets, cores, threads: 1, max_sockets: 0 };
    d.vcpus.topology = Some(whole.clone().map(|_| topology));
    match (find("vcpus"), count("vcpus")?) {
        (Some(entry), Some(now)) => {
            d.vcpus.count = Some(entry.told().map(|_| now));
            d.vcpus.max = Some(whole);
        }
        _ => d.vcpus.count = Some(whole),
    }
    d.memory.size = Some(match find("memory") {
        Some(entry) => {
            let mib = number(entry, "size of memory in MiB")?;
            entry.told().map(|_| ByteSize::mib(u64::from(mib)))
        }
        None => Told::by_default(ByteSize::mib(512), "qm.conf, memory"),
    });
    Ok(())
}

/// The number behind a device's name: `scsi12`.
fn numbered(key: &str) -> Option<(&str, u32)> {
    let at = key.find(|c: char| c.is_ascii_digit())?;
    let (name, number) = key.split_at(at);
    Some((name, number.parse().ok()?))
}

fn take(entry: &Entry, controller: &Told<String>, d: &mut VmDefinition) {
    let model = |value: &str| entry.told().map(|_| value.to_owned());
    match numbered(&entry.key) {
        Some(("scsi" | "sata" | "ide" | "virtio", _)) => disk(entry, controller, d),
        Some(("efidisk", _)) => {}
        Some(("net", _)) => {
            // `virtio=MAC,bridge=…` or `model=virtio,macaddr=…`.
            let name = entry
                .part("model")
                .unwrap_or_else(|| entry.first().split('=').next().unwrap_or_default());
            let model = Some(entry.told().map(|_| NicKind::named(name)));
            d.nics.push(NicDefinition { id: entry.told().map(|_| entry.key.clone()), model });
        }
        Some(("tpmstate", _)) => {
            let version = entry.part("version").unwrap_or("v1.2");
            d.devices.push(Device { kind: "tpm", model: model(version) });
        }
        Some(("rng", _)) => d.devices.push(Device { kind: "rng", model: model("virtio") }),
        Some(("audio", _)) => {
            let name = entry.part("device").unwrap_or_else(|| entry.first());
            d.devices.push(Device { kind: "sound", model: model(name) });
        }
        Some(("hostpci", _)) => {
            d.devices.push(Device { kind: "passthrough", model: model(entry.first()) });
        }
        Some(("usb", _)) if entry.first() != "spice" => {
            d.devices.push(Device { kind: "passthrough", model: model(entry.first()) });
        }
        Some(("virtiofs", _)) => {
            d.devices.push(Device { kind: "shared-folder", model: model(entry.first()) });
        }
        Some(("unused", _)) => d.leave(entry.line, &entry.key, Why::NotCompared),
        Some(("serial" | "parallel" | "ipconfig" | "smbios" | "usb" | "numa", _)) => {
            d.leave(entry.line, &format!("{}: {}", entry.key, entry.value), Why::NotCompared);
        }
        _ => match entry.key.as_str() {
            "vga" if entry.first() != "none" => {
                let name = entry.part("type").unwrap_or_else(|| entry.first());
                d.devices.push(Device { kind: "video", model: model(name) });
            }
            "watchdog" => {
                let name = entry.part("model").unwrap_or_else(|| entry.first());
                d.devices.push(Device { kind: "watchdog", model: model(name) });
            }
            "ivshmem" => d.devices.push(Device { kind: "shared-memory", model: model("ivshmem") }),
            // What is typed in at will reaches QEMU as it stands.
            "args" => d.leave(entry.line, &format!("args: {}", entry.value), Why::NotUnderstood),
            // `win10` is Windows 10, Server 2016 or 2019; `l26` is any Linux since 2.6: no product.
            "ostype" => d.leave(
                entry.line,
                &format!("ostype: {}, which stands for several systems", entry.value),
                Why::NotCompared,
            ),
            "name" | "arch" | "bios" | "machine" | "cpu" | "sockets" | "cores" | "vcpus"
            | "memory" | "scsihw" | "vga" => {}
            key => {
                let known = NOT_COMPARED.contains(&key)
                    || key.starts_with("ci")
                    || matches!(key, "acpi" | "kvm" | "balloon" | "shares" | "keyboard" | "tdf")
                    || matches!(key, "sshkeys" | "nameserver" | "searchdomain" | "startdate");
                let why = if known { Why::NotCompared } else { Why::NotUnderstood };
                d.leave(entry.line, &format!("{key}: {}", entry.value), why);
            }
        },
    }
}

fn disk(entry: &Entry, controller: &Told<String>, d: &mut VmDefinition) {
    let id = entry.told().map(|_| entry.key.clone());
    let (name, _) = numbered(&entry.key).unwrap_or((&entry.key, 0));
    let bus = match name {
        "sata" => id.clone().map(|_| DiskBus::Known(Bus::Sata)),
        "ide" => id.clone().map(|_| DiskBus::Known(Bus::Ide)),
        "virtio" => id.clone().map(|_| DiskBus::Known(Bus::Virtio)),
        _ => controller.clone().map(|model| match model.as_str() {
            "virtio-scsi-pci" | "virtio-scsi-single" => DiskBus::Known(Bus::VirtioScsi),
            _ => DiskBus::Other(model),
        }),
    };
    let place = entry.part("file").unwrap_or_else(|| entry.first()).to_owned();
    let cdrom = entry.part("media") == Some("cdrom");
    let size = entry.part("size").and_then(|size| {
        let (number, unit) = size.split_at(size.find(|c: char| !c.is_ascii_digit())?);
        let shift = match unit {
            "K" => 10,
            "M" => 20,
            "G" => 30,
            "T" => 40,
            _ => return None,
        };
        let bytes = number.parse::<u64>().ok()?.checked_mul(1 << shift)?;
        Some(entry.told().map(|_| ByteSize::bytes(bytes)))
    });
    let format = entry.part("format").map(str::to_owned).or_else(|| {
        let (_, ending) = place.rsplit_once('.')?;
        matches!(ending, "qcow2" | "raw" | "vmdk").then(|| ending.to_owned())
    });
    // The cloud-init drive is a CD made on the spot.
    d.disks.push(DiskDefinition {
        id,
        bus: Some(bus),
        image: (place != "none").then(|| entry.told().map(|_| place)),
        format: format.map(|format| entry.told().map(|_| format)),
        size,
        readonly: cdrom,
        cdrom,
    });
}
