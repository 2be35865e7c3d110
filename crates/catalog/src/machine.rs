//! The question that the definition of a machine asks.

use hospitium_model::Firmware;
use hospitium_products::{ProductKind, Products};
use hospitium_vmdef::{Hypervisor, VmDefinition, Words};

/// What a definition does not tell and nobody has named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Untold {
    /// The system that runs in it.
    #[error("the definition does not tell which system the machine runs")]
    Guest,
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
    let guest = guest.or_else(|| guest_of(vm, products)).ok_or(Untold::Guest)?;
    let host = host.or_else(|| host_of(vm)).ok_or(Untold::Host)?;
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
fn guest_of(vm: &VmDefinition, products: &Products) -> Option<String> {
    vm.guest.iter().find_map(|hint| {
        let text = match hint.value.words()? {
            Words::Id(text) | Words::Search(text) => text,
        };
        let product = products.resolve_kind(&text, Some(ProductKind::Guest)).ok()?;
        Some(product.short().to_owned())
    })
}

/// The hypervisor, in the version that the virtual hardware tells: the one that runs it may be newer.
fn host_of(vm: &VmDefinition) -> Option<String> {
    let version = vm.hypervisor_from.as_ref()?;
    let kind = match &vm.hypervisor.as_ref()?.value {
        // A libvirt machine type is QEMU's, whatever accelerates it.
        Hypervisor::Qemu | Hypervisor::Kvm => "QEMU".to_owned(),
        other => other.to_string(),
    };
    Some(format!("{kind} {}", version.value))
}
