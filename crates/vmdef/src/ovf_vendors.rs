//! What vendors write into an OVF beside the standard, and what they mean by saying nothing.

use hospitium_model::{Chipset, Firmware};

use crate::definition::{Hypervisor, Told, VmDefinition, Why};
use crate::tree::Node;

/// XenServer's and XCP-ng's own data (xenadmin, `OVF.cs`): the firmware stands nowhere else.
pub(crate) fn xenserver(section: &Node, d: &mut VmDefinition) {
    for node in section.all("VirtualSystemOtherConfigurationData") {
        let name = node.attribute("Name").map(|told| told.value).unwrap_or_default();
        let value = node.text_of("Value");
        node.take();
        let Some(value) = value else { continue };
        match name.as_str() {
            "HVM_boot_params" => {
                let uefi = value.value.split(';').any(|part| part.trim() == "firmware=uefi");
                d.firmware =
                    Some(value.map(|_| if uefi { Firmware::Uefi } else { Firmware::Bios }));
            }
            "platform" => {
                let field = |wanted: &str| {
                    value.value.split(';').any(|part| part.trim().eq_ignore_ascii_case(wanted))
                };
                if field("secureboot=true") {
                    d.secure_boot = Some(value.map(|_| true));
                }
            }
            _ => {}
        }
    }
}

/// What a hypervisor's own descriptors mean by saying nothing.
pub(crate) fn defaults(d: &mut VmDefinition) {
    let hypervisor = d.hypervisor.as_ref().map(|told| told.value.clone());
    if !d.may_be_pc() {
        return;
    }
    let (firmware, chipset) = match hypervisor {
        Some(Hypervisor::Vmware) => (Some("VMware, no firmware"), Some("VMware's 440BX board")),
        Some(Hypervisor::VirtualBox) => {
            (Some("VirtualBox, no Firmware"), Some("VirtualBox, no Chipset"))
        }
        _ => (None, None),
    };
    if let Some(from) = firmware.filter(|_| d.firmware.is_none()) {
        d.firmware = Some(Told::by_default(Firmware::Bios, from));
    }
    if let Some(from) = chipset.filter(|_| d.chipset.is_none()) {
        d.chipset = Some(Told::by_default(Chipset::Legacy, from));
    }
}

/// VMware's own settings: `<vmw:Config vmw:key="firmware" vmw:value="efi"/>`.
pub(crate) fn configs(section: &Node, d: &mut VmDefinition) {
    for node in section.all("Config").chain(section.all("ExtraConfig")) {
        node.excuse_attributes(&["required"]);
        let (Some(key), Some(value)) = (node.attribute("key"), node.attribute("value")) else {
            d.leave(node.line, "Config without key and value", Why::NotUnderstood);
            continue;
        };
        let value = value.map(|v| v.to_ascii_lowercase());
        match (key.value.as_str(), value.value.as_str()) {
            ("firmware", "efi") => d.firmware = Some(value.map(|_| Firmware::Uefi)),
            ("firmware", "bios") => d.firmware = Some(value.map(|_| Firmware::Bios)),
            ("bootOptions.efiSecureBootEnabled" | "uefi.secureBoot.enabled", _) => {
                d.secure_boot = Some(value.map(|v| v == "true"));
            }
            _ => {
                let what = format!("Config {} = {}", key.value, value.value);
                let known = [
                    "cpuHot",
                    "memoryHot",
                    "powerOpInfo.",
                    "tools.",
                    "bootOptions.",
                    "nestedHV",
                    "virtualICH7M",
                    "virtualSMC",
                    "simultaneousThreads",
                    "flags.",
                    "wakeOnLan",
                ];
                let known = known.iter().any(|k| key.value.starts_with(k));
                d.leave(key.line, &what, if known { Why::NotCompared } else { Why::NotUnderstood });
            }
        }
    }
}
