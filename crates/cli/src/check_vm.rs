//! `hospitium check-vm`: reads the definition of a machine that somebody has, and answers for it.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueHint};
use hospitium_model::Firmware;
use hospitium_products::{ProductKind, Products};
use hospitium_vmdef::{Hypervisor, VmDefinition, VmdefError, Words, read_file};

use crate::ask::{self, AskOptions};
use crate::failure::{End, Usage};
use crate::out::{note, out};
use crate::view::safe;

#[derive(Debug, Args)]
pub struct CheckVmArguments {
    /// The definition: libvirt XML, .vmx, .ovf, .ova, a Hyper-V export's XML, or Get-VM's JSON
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// The guest, where the file does not tell or tells too little
    #[arg(long, value_name = "PRODUCT")]
    pub guest: Option<String>,
    /// The host that runs it, where the file does not tell
    #[arg(long, value_name = "PRODUCT")]
    pub host: Option<String>,
    #[command(flatten)]
    pub ask: AskOptions,
}

/// `hospitium check-vm`.
pub async fn check_vm(arguments: CheckVmArguments) -> Result<End> {
    let CheckVmArguments { file, guest, host, ask } = arguments;
    let vm = read_file(&file).map_err(|error| match error {
        VmdefError::Vmcx { .. } => anyhow::Error::new(error),
        error => anyhow::Error::new(error).context(format!("{} is not read", file.display())),
    })?;
    let products = ask.sources.clone().load()?;
    let guest = guest.or_else(|| guest_of(&vm, &products)).ok_or_else(|| {
        Usage::error(
            "the file does not tell which system the machine runs",
            "name it: --guest \"rhel 5.3\"",
        )
    })?;
    let host = host.or_else(|| host_of(&vm)).ok_or_else(|| {
        Usage::error(
            "the file does not tell which host runs the machine",
            "name it: --host \"qemu 7.2\"",
        )
    })?;
    let question = question(&vm, &guest, &host);
    if !ask.json {
        let name = vm.name.as_ref().map_or("the machine", |name| name.value.as_str());
        out!("{} ({}): {}", safe(name), vm.format.title(), safe(&question));
        let found = |what: &str, words: Vec<String>| {
            if !words.is_empty() {
                out!("  {what:<12} {}", safe(&words.join(", ")));
            }
        };
        found(
            "disks",
            vm.disks
                .iter()
                .map(|disk| {
                    disk.bus
                        .as_ref()
                        .map_or_else(|| "unknown bus".into(), |bus| bus.value.to_string())
                })
                .collect(),
        );
        found(
            "network",
            vm.nics
                .iter()
                .map(|nic| {
                    nic.model
                        .as_ref()
                        .map_or_else(|| "unknown".into(), |model| model.value.to_string())
                })
                .collect(),
        );
        for left in vm.not_understood() {
            note!("note: line {} is not understood: {}", left.line, left.what);
        }
    }
    ask::answer(&question, &products, ask).await
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

fn question(vm: &VmDefinition, guest: &str, host: &str) -> String {
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
    question
}
