//! The question that the definition of a machine asks.

use hospitium_model::Firmware;
use hospitium_products::{ProductKind, Products};
use hospitium_vmdef::{Hypervisor, VmDefinition, Words};

/// What a definition does not tell and nobody has named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untold {
    /// The system that runs in it.
    #[error("the definition does not tell which system the machine runs")]
    Guest,
    /// Which one of several it is, or of a product that is known.
    #[error("of the system in the machine the definition tells {0:?}, which means no one product")]
    WhichGuest(String),
    /// The host that runs it.
    #[error("the definition does not tell which host runs the machine")]
    Host,
}

/// The question whether this machine's guest is validated on its host, with what it has of vCPUs,
/// memory and firmware. What is named goes before what the definition tells.
///
/// # Errors
/// If a side is neither named nor told.
pub fn question_of(
    vm: &VmDefinition,
    guest: Option<String>,
    host: Option<String>,
    products: &Products,
) -> Result<String, Untold> {
    let guest = match guest {
        Some(named) => named,
        None => guest_of(vm, products)?,
    };
    let host = host.or_else(|| host_of(vm, products)).ok_or(Untold::Host)?;
    let mut question = format!("{guest} on {host}");
    if let Some(count) = &vm.vcpus.count {
        question.push_str(&format!(", {} vcpu", count.value));
    }
    if let Some(size) = &vm.memory.size {
        question.push_str(&format!(", {}", size.value));
    }
    if let Some(firmware) = &vm.firmware {
        let word = if firmware.value == Firmware::Uefi { "uefi" } else { "bios" };
        question.push_str(&format!(", {word}"));
    }
    Ok(question)
}

/// What the file says of its system, as a product: the most exact hint that means exactly one.
fn guest_of(vm: &VmDefinition, products: &Products) -> Result<String, Untold> {
    let mut untold = Untold::Guest;
    for hint in &vm.guest {
        let Some(Words::Id(text) | Words::Search(text)) = hint.value.words() else { continue };
        match products.resolve_kind(&text, Some(ProductKind::Guest)) {
            Ok(product) => return Ok(product.short().to_owned()),
            Err(_) if untold == Untold::Guest => {
                untold = Untold::WhichGuest(hospitium_model::printable(&text, 200));
            }
            Err(_) => {}
        }
    }
    Err(untold)
}

/// The hypervisor, in the version that the virtual hardware tells: the one that runs it may be newer.
fn host_of(vm: &VmDefinition, products: &Products) -> Option<String> {
    let version = &vm.hypervisor_from.as_ref()?.value;
    let known = |name: &String| products.resolve_kind(name, Some(ProductKind::Host)).is_ok();
    Some(match &vm.hypervisor.as_ref()?.value {
        // A libvirt machine type is QEMU's, whatever accelerates it.
        Hypervisor::Qemu | Hypervisor::Kvm => format!("QEMU {version}"),
        // The server product of that version, which was called ESX until 4.1.
        Hypervisor::Vmware => ["ESXi", "ESX"]
            .map(|name| format!("VMware {name} {version}"))
            .into_iter()
            .find(known)
            .unwrap_or_else(|| format!("VMware {version}")),
        other => format!("{other} {version}"),
    })
}
