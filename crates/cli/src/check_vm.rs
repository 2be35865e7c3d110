//! `hospitium check-vm`: reads the definition of a machine that somebody has, and answers for it.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueHint};
use hospitium_catalog::{Untold, question_of};
use hospitium_vmdef::{VmdefError, read_file};

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
    let question = question_of(&vm, guest, host, &products).map_err(|untold| {
        let next = match untold {
            Untold::Guest => "name it: --guest \"rhel 5.3\"",
            Untold::WhichGuest(_) => {
                "name it: --guest \"rhel 5.3\"; `hospitium product search WORDS` shows which there are"
            }
            Untold::Host => "name it: --host \"qemu 7.2\"",
        };
        Usage::error(untold.to_string(), next)
    })?;
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
