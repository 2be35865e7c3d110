//! VMware's `.vmx`: lines of `key = "value"`.

use std::cell::Cell;
use std::collections::BTreeMap;

use hospitium_model::{Bus, ByteSize, Chipset, CpuTopology, Firmware, FormError, NicModel};

use crate::definition::{
    Device, DiskBus, DiskDefinition, GuestHint, Hypervisor, NicDefinition, NicKind, SourceFormat,
    Told, VmDefinition, Why,
};
use crate::hints;

/// Most keys.
const MOST_KEYS: usize = 20_000;

struct Entry {
    key: String,
    value: String,
    line: u32,
    read: Cell<bool>,
}

/// All keys by their lower case: VMware does not tell them apart by case.
struct Keys(BTreeMap<String, Entry>);

impl Keys {
    fn told(&self, key: &str) -> Option<Told<String>> {
        let entry = self.0.get(&key.to_ascii_lowercase())?;
        entry.read.set(true);
        let value = entry.value.trim().to_owned();
        (!value.is_empty()).then(|| Told { value, line: entry.line, from: entry.key.clone() })
    }

    fn truth(&self, key: &str) -> Option<Told<bool>> {
        let told = self.told(key)?;
        let value = matches!(told.value.to_ascii_lowercase().as_str(), "true" | "yes" | "1");
        Some(told.map(|_| value))
    }

    fn number<T: std::str::FromStr>(&self, key: &str, d: &mut VmDefinition) -> Option<Told<T>> {
        let told = self.told(key)?;
        match told.value.parse::<T>() {
            Ok(n) => Some(told.map(|_| n)),
            Err(_) => {
                d.leave(told.line, &format!("{key} = {}", told.value), Why::NotUnderstood);
                None
            }
        }
    }

    /// The beginnings up to the first dot of all keys that begin so, each once.
    fn devices(&self, begin: &str) -> Vec<String> {
        let mut found: Vec<(u32, String)> = Vec::new();
        for (key, entry) in
            self.0.range(begin.to_owned()..).take_while(|(k, _)| k.starts_with(begin))
        {
            let name = key.split('.').next().unwrap_or_default();
            let digits = name.get(begin.len()..).unwrap_or_default();
            let numbered = digits.starts_with(|c: char| c.is_ascii_digit())
                && digits.chars().all(|c| c.is_ascii_digit() || c == ':');
            if numbered && found.last().is_none_or(|(_, last)| last != name) {
                found.push((entry.line, name.to_owned()));
            }
        }
        found.sort();
        let mut names: Vec<String> = found.into_iter().map(|(_, name)| name).collect();
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }
}

/// Whether a text that is neither XML nor JSON is worth reading as `.vmx`.
pub(crate) fn looks_like(text: &str) -> bool {
    text.lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'))
        .and_then(|line| line.split_once('='))
        .is_some_and(|(key, _)| is_key(key.trim()))
}

fn is_key(key: &str) -> bool {
    !key.is_empty()
        && key.len() <= 200
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '_' | '-' | '/'))
}

/// Reads the lines.
fn keys(file: &str, text: &str, d: &mut VmDefinition) -> Result<Keys, FormError> {
    let mut keys = BTreeMap::<String, Entry>::new();
    for (n, whole) in text.lines().enumerate() {
        let wrong = |column, what: &str| Err(FormError::at(file, text, n + 1, column, what));
        let line = whole.trim();
        // ESX 3 and some copies begin with `#!/usr/bin/vmware`.
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            return wrong(1, "a line of a .vmx is key = \"value\"");
        };
        let (key, value) = (key.trim(), value.trim());
        if !is_key(key) {
            return wrong(1, "the part before '=' is no key of a .vmx");
        }
        let value = match value.strip_prefix('"') {
            Some(rest) => match rest.split_once('"') {
                Some((inner, after))
                    if after.trim().is_empty() || after.trim().starts_with('#') =>
                {
                    inner
                }
                Some(_) => {
                    return wrong(
                        0,
                        "text after the closing quote; VMware writes a quote inside a value as |22",
                    );
                }
                None => return wrong(0, "the value has no closing quote"),
            },
            None => value,
        };
        if keys.len() >= MOST_KEYS {
            return wrong(0, "more keys than any .vmx has");
        }
        let line = n as u32 + 1;
        let value = unescaped(value);
        if let Some(before) = keys.get(&key.to_ascii_lowercase()) {
            let what =
                format!("{key} = {value} (already in line {}, as {})", before.line, before.value);
            d.leave(line, &what, Why::Repeated);
            continue;
        }
        let entry = Entry { key: key.to_owned(), value, line, read: Cell::new(false) };
        keys.insert(key.to_ascii_lowercase(), entry);
    }
    Ok(Keys(keys))
}

/// VMware writes what cannot stand between quotes as `|` and two hexadecimal digits.
fn unescaped(value: &str) -> String {
    let mut parts = value.split('|');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (code, part.get(2..)) {
            (Some(code), Some(rest)) if code.is_ascii() => {
                text.push(char::from(code));
                text.push_str(rest);
            }
            _ => {
                text.push('|');
                text.push_str(part);
            }
        }
    }
    text
}

/// Reads a `.vmx`.
pub(crate) fn read(file: &str, text: &str) -> Result<VmDefinition, FormError> {
    let mut d = VmDefinition::new(SourceFormat::Vmx);
    let keys = keys(file, text, &mut d)?;
    if ![
        "config.version",
        "virtualhw.version",
        "guestos",
        "displayname",
        "memsize",
        "encryption.data",
    ]
    .iter()
    .any(|k| keys.0.contains_key(*k))
    {
        let what =
            "no key of a .vmx that every machine has (virtualHW.version, guestOS, displayName)";
        return Err(FormError::at(file, text, 1, 0, what));
    }
    d.name = keys.told("displayName");
    d.hypervisor = Some(Told::by_default(Hypervisor::Vmware, "every .vmx"));
    d.encrypted = keys.told("encryption.data").map(|told| told.map(|_| true));
    guest(&keys, &mut d);
    host(&keys, &mut d);
    // What is encrypted may say otherwise: then nothing has its default.
    let defaults = d.encrypted.is_none();
    match keys.told("firmware") {
        Some(told) if told.value.eq_ignore_ascii_case("efi") => {
            d.firmware = Some(told.map(|_| Firmware::Uefi));
        }
        Some(told) if told.value.eq_ignore_ascii_case("bios") => {
            d.firmware = Some(told.map(|_| Firmware::Bios));
        }
        Some(told) => d.leave(told.line, &format!("firmware = {}", told.value), Why::NotUnderstood),
        None if !defaults => {}
        None if d.may_be_pc() => {
            d.firmware = Some(Told::by_default(Firmware::Bios, "VMware, no key firmware"));
        }
        None => d.firmware = Some(Told::by_default(Firmware::Uefi, "VMware's Arm machines")),
    }
    d.secure_boot = keys.truth("uefi.secureBoot.enabled");
    // A PC's board is a 440BX in all versions; PCI Express bridges stand beside it.
    if defaults && d.may_be_pc() {
        d.chipset = Some(Told::by_default(Chipset::Legacy, "VMware's 440BX board"));
    }
    let count = keys.number::<u32>("numvcpus", &mut d).filter(|n| n.value > 0);
    let default = || defaults.then(|| Told::by_default(1, "VMware, no key numvcpus"));
    d.vcpus.count = count.or_else(default);
    let cores = keys.number::<u32>("cpuid.coresPerSocket", &mut d).filter(|n| n.value > 0);
    if let (Some(cores), Some(count)) = (cores, &d.vcpus.count) {
        let sockets = (count.value / cores.value).max(1);
        d.vcpus.topology =
            Some(cores.map(|cores| CpuTopology { sockets, cores, threads: 1, max_sockets: 0 }));
    }
    d.memory.size = keys.number::<u64>("memSize", &mut d).and_then(|n| {
        Some(ByteSize::bytes(n.value.checked_mul(1 << 20)?)).map(|size| n.map(|_| size))
    });
    disks(&keys, &mut d);
    nics(&keys, &mut d);
    let devices = [("svga", "video", "svga"), ("vtpm", "tpm", "vtpm"), ("sound", "sound", "sound")];
    for (key, kind, model) in devices {
        let named = keys.told(&format!("{key}.virtualDev"));
        keys.told(&format!("{key}.fileName"));
        if let Some(present) = keys.truth(&format!("{key}.present")).filter(|p| p.value) {
            let model = named.unwrap_or_else(|| present.map(|_| model.to_owned()));
            d.devices.push(Device { kind, model });
        }
    }
    for name in keys.devices("pcipassthru") {
        if let Some(present) = keys.truth(&format!("{name}.present")).filter(|p| p.value) {
            d.devices.push(Device { kind: "passthrough", model: present.map(|_| name) });
        }
    }
    for entry in keys.0.values().filter(|entry| !entry.read.get()) {
        let why = if is_of_no_concern(&entry.key) { Why::NotCompared } else { Why::NotUnderstood };
        d.leave(entry.line, &format!("{} = {}", entry.key, entry.value), why);
    }
    d.left.sort_by_key(|left| left.line);
    Ok(d)
}

/// The system in the machine, and its architecture.
fn guest(keys: &Keys, d: &mut VmDefinition) {
    // Open VM Tools tell the installed system; that is more than what was chosen when it was made.
    if let Some(told) = keys.told("guestOS.detailed.data") {
        let field = |name: &str| {
            let rest = told.value.split_once(&format!("{name}='"))?.1;
            Some(rest.split_once('\'')?.0.to_owned())
        };
        let arch = match (field("architecture").as_deref(), field("bitness").as_deref()) {
            (Some("X86"), Some("64")) => Some("x86_64"),
            (Some("X86"), Some("32")) => Some("i686"),
            (Some("Arm"), Some("64")) => Some("aarch64"),
            _ => None,
        };
        d.arch = arch.map(|arch| told.clone().map(|_| arch.to_owned()));
        let pretty = field("prettyName").unwrap_or_else(|| told.value.clone());
        let plain = pretty.split([',', '(']).next().unwrap_or_default().trim().to_owned();
        d.guest.push(told.map(|_| GuestHint::Words(plain)));
    }
    let Some(os) = keys.told("guestOS") else { return };
    let arch = if os.value.starts_with("arm-") {
        "aarch64"
    } else if os.value.ends_with("-64") {
        "x86_64"
    } else {
        "i686"
    };
    // vmkernel5 and later are 64-bit without saying so; they are left open.
    if !os.value.starts_with("vmkernel") && !os.value.starts_with("darwin") {
        d.arch.get_or_insert(os.clone().map(|_| arch.to_owned()));
    }
    d.guest.push(os.map(GuestHint::Vmx));
}

/// Which of VMware's products it is for. Workstation, Fusion and Player mark their machines as hosted from
/// virtual hardware 6 on; before, nothing tells them from ESX.
fn host(keys: &Keys, d: &mut VmDefinition) {
    let compatibility = keys.told("virtualHW.productCompatibility");
    let hosted = compatibility.is_some_and(|told| told.value.eq_ignore_ascii_case("hosted"));
    let Some(version) = keys.told("virtualHW.version") else { return };
    let number: u32 = version.value.parse().unwrap_or(0);
    let arm = d.arch.as_ref().is_some_and(|arch| arch.value == "aarch64");
    let all = hints::vmware_hosts(&version.value);
    let is_hosted = |name: &&str| !name.starts_with("VMware ESX");
    let mut hosts: Vec<String> = if hosted {
        all.iter().copied().filter(is_hosted).map(str::to_owned).collect()
    } else if number <= 6 {
        all.iter().map(|name| (*name).to_owned()).collect()
    } else {
        all.iter().copied().filter(|name| !is_hosted(name)).map(str::to_owned).collect()
    };
    // Of the hosted ones only Fusion runs Arm machines, from 13 on (virtual hardware 20).
    if hosted && arm {
        hosts.retain(|name| name.starts_with("VMware Fusion"));
        if number < 20 {
            hosts = vec!["VMware Fusion 13.0".into()];
        }
    }
    d.hosts = hosts.into_iter().map(|name| version.clone().map(|_| name)).collect();
    if !hosted && number > 6 {
        d.hypervisor_from =
            hints::vmware_from(&version.value).map(|from| version.clone().map(|_| from));
    }
    d.hardware = Some(version.map(|v| format!("vmx-{v:0>2}")));
}

/// Keys that say nothing about whether guest and host work together.
fn is_of_no_concern(key: &str) -> bool {
    const BEGINNINGS: [&str; 46] = [
        ".encoding",
        "encryption.",
        "bios.bootorder",
        "hgfs.",
        "msg.",
        "vhv.",
        "roamingvm.",
        "mem.hotadd",
        "vcpu.hotadd",
        "displayname",
        "config.version",
        "virtualhw.productcompatibility",
        "nvram",
        "uuid.",
        "vc.uuid",
        "extendedconfigfile",
        "vmxstats.",
        "vmotion.",
        "powertype.",
        "tools.",
        "toolscripts.",
        "sched.",
        "annotation",
        "checkpoint.",
        "snapshot.",
        "replay.",
        "cleanshutdown",
        "softpoweroff",
        "migrate.",
        "numa.",
        "pcibridge",
        "hpet0.",
        "vmci0.",
        "usb",
        "ehci",
        "floating",
        "gui.",
        "mks.",
        "svga.",
        "monitor.",
        "remotedisplay.",
        "serial",
        "parallel",
        "log.",
        "isolation.",
        "guestinfo.",
    ];
    const ENDINGS: [&str; 16] = [
        ".clientdevice",
        ".filetype",
        ".vramsize",
        ".pcislotnumber",
        ".generatedaddress",
        ".generatedaddressoffset",
        ".address",
        ".addresstype",
        ".connectiontype",
        ".networkname",
        ".startconnected",
        ".redo",
        ".autodetect",
        ".vnet",
        ".wakeonpcktrcv",
        ".sharedbus",
    ];
    let key = key.to_ascii_lowercase();
    BEGINNINGS.iter().any(|b| key.starts_with(b)) || ENDINGS.iter().any(|e| key.ends_with(e))
}

fn disks(keys: &Keys, d: &mut VmDefinition) {
    for kind in ["scsi", "sata", "ide", "nvme", "floppy"] {
        for name in keys.devices(kind) {
            let present = keys.truth(&format!("{name}.present"));
            let is_disk = name.contains(':') || kind == "floppy";
            if !is_disk {
                let model = keys.told(&format!("{name}.virtualDev"));
                let model = model.map_or_else(String::new, |told| format!(" ({})", told.value));
                if let Some(there) = present.filter(|p| p.value)
                    && !has_disk(keys, &name)
                {
                    let what = format!("{name}{model}, a controller without a disk");
                    d.leave(there.line, &what, Why::NotCompared);
                }
                continue;
            }
            let image = keys.told(&format!("{name}.fileName"));
            let device = keys.told(&format!("{name}.deviceType"));
            let mode = keys.told(&format!("{name}.mode"));
            let readonly = keys.truth(&format!("{name}.readonly")).is_some_and(|t| t.value);
            // A floppy drive is there unless a key says that it is not.
            let there = present.clone().map_or(kind == "floppy", |p| p.value);
            if !there {
                continue;
            }
            let place = present.as_ref().map(|t| t.clone().map(|_| ()));
            let line = place
                .as_ref()
                .or(None)
                .map_or_else(|| image.as_ref().map_or(0, |i| i.line), |p| p.line);
            let id = Told { value: name.clone(), line, from: name.clone() };
            if let Some(mode) = mode.filter(|m| !m.value.starts_with("persistent")) {
                d.leave(mode.line, &format!("{} = {}", mode.from, mode.value), Why::NotCompared);
            }
            let bus = match kind {
                "scsi" => {
                    let controller = name.split(':').next().unwrap_or_default();
                    keys.told(&format!("{controller}.virtualDev"))
                        .map(|t| t.map(DiskBus::Other))
                        // VMware's default before the key was written.
                        .unwrap_or_else(|| {
                            Told::by_default(
                                DiskBus::Other("buslogic".into()),
                                "VMware, no key virtualDev",
                            )
                        })
                }
                "sata" => id.clone().map(|_| DiskBus::Known(Bus::Sata)),
                "ide" => id.clone().map(|_| DiskBus::Known(Bus::Ide)),
                "nvme" => id.clone().map(|_| DiskBus::Known(Bus::Nvme)),
                _ => id.clone().map(|_| DiskBus::Known(Bus::Floppy)),
            };
            let kind_of = device.map(|t| t.value.to_ascii_lowercase()).unwrap_or_default();
            let ending = image
                .as_ref()
                .and_then(|i| i.value.rsplit_once('.'))
                .map(|(_, e)| e.to_ascii_lowercase());
            let cdrom = kind_of.contains("cdrom") || ending.as_deref() == Some("iso");
            let format = image
                .as_ref()
                .filter(|_| ending.as_deref() == Some("vmdk"))
                .map(|i| i.clone().map(|_| "vmdk".to_owned()));
            d.disks.push(DiskDefinition {
                id,
                bus: Some(bus),
                image,
                format,
                size: None,
                readonly: readonly || cdrom,
                cdrom,
            });
        }
    }
}

/// Whether a disk is on a controller.
fn has_disk(keys: &Keys, controller: &str) -> bool {
    let begin = format!("{controller}:");
    keys.0.iter().any(|(key, entry)| {
        key.starts_with(&begin)
            && key.ends_with(".present")
            && entry.value.trim().eq_ignore_ascii_case("true")
    })
}

fn nics(keys: &Keys, d: &mut VmDefinition) {
    for name in keys.devices("ethernet") {
        let present = keys.truth(&format!("{name}.present"));
        let model = keys.told(&format!("{name}.virtualDev"));
        let Some(present) = present.filter(|p| p.value) else { continue };
        let id = present.map(|_| name);
        let model = model.map(|told| told.map(|name| NicKind::named(&name)));
        d.nics.push(NicDefinition { id, model });
    }
}

/// VMware's names of network interfaces in OVF: `VmxNet3`, `PCNet32`, `E1000`.
pub(crate) fn nic_named(name: &str) -> NicKind {
    if name.eq_ignore_ascii_case("vmxnet3") {
        NicKind::Known(NicModel::Vmxnet3)
    } else {
        NicKind::named(name)
    }
}
