//! Xen's text configuration, `xl.cfg(5)` and its forerunner of `xm`: Python's assignments of strings, numbers
//! and lists.

use hospitium_model::{Bus, ByteSize, Chipset, Firmware, FormError, NicModel};

use crate::definition::{
    Device, DiskBus, DiskDefinition, Hypervisor, NicDefinition, NicKind, SourceFormat, Told,
    VmDefinition, Why,
};

/// Most keys, and most elements of a list.
const MOST: usize = 2000;

/// Keys that every such file has one of, and that no `.vmx` has in this form.
const TELLING: [&str; 12] = [
    "disk",
    "vif",
    "vcpus",
    "memory",
    "builder",
    "kernel",
    "bootloader",
    "maxmem",
    "on_crash",
    "type",
    "extra",
    "root",
];

/// Keys that say nothing about whether guest and host work together.
const NOT_COMPARED: [&str; 34] = [
    "uuid",
    "on_poweroff",
    "on_reboot",
    "on_crash",
    "on_watchdog",
    "kernel",
    "ramdisk",
    "extra",
    "root",
    "cmdline",
    "bootloader",
    "bootloader_args",
    "boot",
    "vnc",
    "vnclisten",
    "vncdisplay",
    "vncpasswd",
    "vncunused",
    "vfb",
    "sdl",
    "spice",
    "serial",
    "cpus",
    "cpu_weight",
    "cap",
    "pool",
    "localtime",
    "rtc_timeoffset",
    "keymap",
    "usbdevice",
    "usb",
    "device_model_override",
    "autoballoon",
    "autoballon",
];

/// Keys of the platform that a guest sees, which are not compared one by one.
const PLATFORM: [&str; 14] = [
    "acpi",
    "apic",
    "pae",
    "hap",
    "nx",
    "viridian",
    "xen_platform_pci",
    "device_model_version",
    "stdvga",
    "videoram",
    "hpet",
    "tsc_mode",
    "timer_mode",
    "altp2m",
];

struct Entry {
    key: String,
    /// One value, or the elements of a list.
    values: Vec<String>,
    line: u32,
}

/// Whether a text that is neither XML nor JSON is worth reading as this: some line has a key of such a file,
/// and a list, a string in single quotes or a bare value, which no `.vmx` of VMware's has.
pub(crate) fn looks_like(text: &str) -> bool {
    let mut telling = 0;
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')).take(MOST) {
        let Some((key, value)) = line.split_once('=') else { continue };
        let (key, value) = (key.trim(), value.trim());
        if key.contains('.') || key.contains(':') {
            return false;
        }
        if !TELLING.contains(&key) {
            continue;
        }
        let list = matches!(key, "disk" | "vif") && value.starts_with('[');
        telling += if list { 2 } else { 1 };
    }
    telling >= 2
}

/// Reads a configuration.
pub(crate) fn read(file: &str, text: &str) -> Result<VmDefinition, FormError> {
    let mut d = VmDefinition::new(SourceFormat::XenCfg);
    let entries = entries(file, text, &mut d)?;
    let told = |key: &str| -> Option<Told<String>> {
        let entry = entries.iter().find(|entry| entry.key == key)?;
        let value = entry.values.first()?.trim().to_owned();
        (!value.is_empty()).then(|| Told { value, line: entry.line, from: entry.key.clone() })
    };
    let wrong = |told: &Told<String>, what: &str| {
        let what = format!("{} is {:?}, no {what}", told.from, told.value);
        FormError::at(file, text, told.line as usize, 0, what)
    };
    d.name = told("name");
    d.hypervisor = Some(Told::by_default(Hypervisor::Xen, "every such file"));
    // `builder` is what `type` was called before Xen 4.10.
    let kind = told("type").or_else(|| told("builder"));
    let hvm = kind.as_ref().is_some_and(|kind| kind.value == "hvm");
    let known = ["hvm", "pv", "pvh", "generic", "linux"];
    if let Some(kind) = kind.filter(|kind| !known.contains(&kind.value.as_str())) {
        d.leave(kind.line, &format!("{} = {}", kind.from, kind.value), Why::NotUnderstood);
    }
    if hvm {
        let bios = told("bios").or_else(|| told("firmware"));
        d.firmware = Some(match bios {
            Some(bios) => {
                let uefi = matches!(bios.value.as_str(), "ovmf" | "uefi");
                bios.map(|_| if uefi { Firmware::Uefi } else { Firmware::Bios })
            }
            None => Told::by_default(Firmware::Bios, "xl.cfg, bios"),
        });
        d.chipset = Some(Told::by_default(Chipset::Legacy, "Xen's HVM board, a 440FX"));
    }
    let count = |key: &str| match told(key) {
        Some(told) => {
            let n = told.value.parse::<u32>().ok().filter(|n| (1..=65_535).contains(n));
            n.map(|n| Some(told.clone().map(|_| n))).ok_or_else(|| wrong(&told, "number of vCPUs"))
        }
        None => Ok(None),
    };
    d.vcpus.count = Some(count("vcpus")?.unwrap_or_else(|| Told::by_default(1, "xl.cfg, vcpus")));
    d.vcpus.max = count("maxvcpus")?;
    let size = |key: &str| match told(key) {
        Some(told) => {
            let bytes = told.value.parse::<u64>().ok().and_then(|mib| mib.checked_mul(1 << 20));
            let bytes = bytes.ok_or_else(|| wrong(&told, "size of memory in MiB"))?;
            Ok(Some(told.map(|_| ByteSize::bytes(bytes))))
        }
        None => Ok(None),
    };
    d.memory.size = size("memory")?;
    d.memory.max = size("maxmem")?;
    for entry in &entries {
        match entry.key.as_str() {
            "disk" => entry.values.iter().for_each(|value| disk(value, entry.line, hvm, &mut d)),
            "vif" => {
                for (n, value) in entry.values.iter().enumerate() {
                    nic(n, value, entry.line, hvm, &mut d);
                }
            }
            "vga" | "soundhw" | "vtpm" | "pci" | "usbdev" | "p9" | "gfx_passthru" => {
                let kind = match entry.key.as_str() {
                    "vga" => "video",
                    "soundhw" => "sound",
                    "vtpm" => "tpm",
                    "p9" => "shared-folder",
                    _ => "passthrough",
                };
                for value in
                    entry.values.iter().filter(|v| !matches!(v.as_str(), "" | "0" | "none"))
                {
                    let (value, from) = (value.clone(), entry.key.clone());
                    d.devices.push(Device { kind, model: Told { value, line: entry.line, from } });
                }
            }
            "name" | "type" | "vcpus" | "maxvcpus" | "memory" | "maxmem" => {}
            "builder" | "bios" | "firmware" => {}
            key => {
                let of_no_concern = NOT_COMPARED.contains(&key) || PLATFORM.contains(&key);
                let why = if of_no_concern { Why::NotCompared } else { Why::NotUnderstood };
                d.leave(entry.line, &format!("{key} = {}", entry.values.join(", ")), why);
            }
        }
    }
    d.left.sort_by_key(|left| left.line);
    Ok(d)
}

/// Reads the assignments. Lists may go over several lines; nothing of Python but literals is understood.
fn entries(file: &str, text: &str, d: &mut VmDefinition) -> Result<Vec<Entry>, FormError> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut rest = text;
    let mut line = 1_u32;
    while !rest.is_empty() {
        let (this, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let start = line;
        let trimmed = this.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            (rest, line) = (after, line + 1);
            continue;
        }
        let wrong = |what: &str| FormError::at(file, text, start as usize, 0, what);
        let Some((key, value)) = this.split_once('=') else {
            return Err(wrong("a line of an xl configuration is key = value"));
        };
        let key = key.trim();
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(wrong("the part before '=' is no key of an xl configuration"));
        }
        // The value begins in this line, and ends where its bracket does.
        let from = this.len() - value.len();
        let body = rest.get(from..).unwrap_or_default();
        let (values, used) = value_of(body).map_err(wrong)?;
        let consumed = from + used;
        let end = rest.get(consumed..).and_then(|tail| tail.find('\n')).map(|n| consumed + n);
        let whole = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        line += whole.bytes().filter(|b| *b == b'\n').count() as u32 + 1;
        rest = end.and_then(|end| rest.get(end + 1..)).unwrap_or_default();
        if entries.len() >= MOST {
            return Err(wrong("more keys than any xl configuration has"));
        }
        if let Some(before) = entries.iter_mut().find(|entry| entry.key == key) {
            // As in Python, the last one counts.
            let what = format!("{key} = {} (again in line {start})", before.values.join(", "));
            d.leave(before.line, &what, Why::Repeated);
            (before.values, before.line) = (values, start);
            continue;
        }
        entries.push(Entry { key: key.to_owned(), values, line: start });
    }
    Ok(entries)
}

/// A value at the beginning of a text, and how many bytes it takes.
fn value_of(text: &str) -> Result<(Vec<String>, usize), &'static str> {
    let mut values = Vec::new();
    let mut list = false;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '[' if !list && values.is_empty() => list = true,
            ']' if list => return Ok((values, at + 1)),
            ',' if list => {}
            '#' => while chars.next_if(|(_, c)| *c != '\n').is_some() {},
            '\n' if !list => return Ok((values, at)),
            '"' | '\'' => {
                let mut value = String::new();
                let mut closed = false;
                for (_, inner) in chars.by_ref() {
                    if inner == c {
                        closed = true;
                        break;
                    }
                    if inner == '\n' {
                        break;
                    }
                    value.push(inner);
                }
                if !closed {
                    return Err("the value has no closing quote");
                }
                values.push(value);
            }
            c if c.is_whitespace() => {}
            c => {
                let mut value = String::from(c);
                while let Some((_, c)) = chars
                    .next_if(|(_, c)| !matches!(c, ',' | ']' | '\n' | '#') && !c.is_whitespace())
                {
                    value.push(c);
                }
                values.push(value);
            }
        }
        if values.len() > MOST {
            return Err("a list with more elements than any xl configuration has");
        }
    }
    if list { Err("the list has no closing bracket") } else { Ok((values, text.len())) }
}

/// A disk: `target, format, vdev, access`, with or without the keys' names (xl-disk-configuration(5)), or the
/// older `phy:/dev/vg/disk,xvda,w`.
fn disk(spec: &str, line: u32, hvm: bool, d: &mut VmDefinition) {
    let parts: Vec<&str> = spec.split(',').map(str::trim).collect();
    let named = |key: &str| {
        parts.iter().find_map(|part| {
            let (name, value) = part.split_once('=')?;
            (name.trim() == key).then(|| value.trim().to_owned())
        })
    };
    let is_vdev = |part: &&&str| {
        let name = part.split(':').next().unwrap_or_default();
        ["xvd", "hd", "sd", "vd", "d"].iter().any(|begin| {
            name.strip_prefix(begin).is_some_and(|rest| {
                (1..=4).contains(&rest.len()) && rest.chars().all(|c| c.is_ascii_alphanumeric())
            })
        })
    };
    let place = parts.iter().skip(1).find(is_vdev).map(|part| (*part).to_owned());
    let Some(vdev) = named("vdev").or(place) else {
        d.leave(line, &format!("disk {spec:?} without a virtual device"), Why::NotUnderstood);
        return;
    };
    let (name, suffix) = vdev.split_once(':').unwrap_or((&vdev, ""));
    let cdrom = suffix == "cdrom"
        || named("devtype").is_some_and(|kind| kind == "cdrom")
        || parts.contains(&"cdrom");
    let told = |value: &str| Told { value: value.to_owned(), line, from: "disk".into() };
    let id = told(name);
    // An `hd` of an HVM machine is an IDE disk until the guest's drivers unplug it; of a paravirtual one it
    // is only a name.
    let bus = match (hvm, name.get(..2)) {
        (true, Some("hd")) => DiskBus::Known(Bus::Ide),
        (true, Some("sd")) => DiskBus::Other("scsi".into()),
        _ => DiskBus::Other("xen".into()),
    };
    let target = named("target").or_else(|| {
        let first = parts.first().filter(|first| !first.is_empty() && !first.contains('='))?;
        let plain = ["phy:", "file:", "tap:aio:", "tap2:aio:", "tap:qcow2:", "tap:qcow:"]
            .iter()
            .find_map(|prefix| first.strip_prefix(prefix));
        Some(plain.unwrap_or(first).to_owned())
    });
    let format = named("format").or_else(|| {
        let known = ["raw", "qcow2", "qcow", "vhd", "qed"];
        parts.iter().skip(1).find(|part| known.contains(part)).map(|part| (*part).to_owned())
    });
    let readonly =
        cdrom || parts.iter().any(|part| matches!(*part, "r" | "ro" | "access=r" | "access=ro"));
    d.disks.push(DiskDefinition {
        bus: Some(id.clone().map(|_| bus)),
        id,
        image: target.as_deref().map(told),
        format: format.as_deref().map(told),
        size: None,
        readonly,
        cdrom,
    });
}

/// A network interface: `model=e1000, type=ioemu` (xl-network-configuration(5)).
fn nic(n: usize, spec: &str, line: u32, hvm: bool, d: &mut VmDefinition) {
    let named = |key: &str| {
        spec.split(',').find_map(|part| {
            let (name, value) = part.split_once('=')?;
            (name.trim() == key).then(|| value.trim().to_owned())
        })
    };
    let told = |value| Told { value, line, from: "vif".to_owned() };
    let netfront = || NicKind::Other("xen-netfront".into());
    let model = match (hvm, named("model"), named("type")) {
        (false, ..) => Told::by_default(netfront(), "Xen, paravirtual"),
        (true, _, Some(kind)) if matches!(kind.as_str(), "vif" | "netfront") => told(netfront()),
        (true, Some(model), _) => told(NicKind::named(&model)),
        (true, None, _) => {
            Told::by_default(NicKind::Known(NicModel::Rtl8139), "xl-network-configuration, model")
        }
    };
    let id = Told { value: format!("vif{n}"), line, from: "vif".into() };
    d.nics.push(NicDefinition { id, model: Some(model) });
}
