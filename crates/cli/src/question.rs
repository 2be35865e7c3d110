//! `hospitium ask`: a question in words, or the definition of a virtual machine.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueHint};

use crate::ask::{AskOptions, answer};
use crate::ask_vm::{Told, ask_vm};
use crate::failure::{End, Usage};
use crate::logs::OwnParty;

#[derive(Debug, Args)]
pub struct AskArguments {
    /// GUEST on HOST, and what is asked of the machine: "rhel 5.3 on hyper-v server 2008, 4 vcpu, 8 GiB";
    /// or the file of a virtual machine's definition, as with --vm
    #[arg(value_name = "QUESTION|FILE", required_unless_present = "vm", conflicts_with = "vm")]
    pub question: Vec<String>,
    /// The definition of a virtual machine: libvirt XML, .vmx, .ovf, .ova, .vbox, xl.cfg, a Proxmox VE .conf,
    /// KubeVirt YAML, a Hyper-V export's XML, or Get-VM's JSON
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub vm: Option<PathBuf>,
    #[command(flatten)]
    pub told: Told,
    #[command(flatten)]
    pub own: OwnParty,
    #[command(flatten)]
    pub options: AskOptions,
}

/// `hospitium ask`.
pub async fn ask(arguments: AskArguments) -> Result<End> {
    let AskArguments { question, vm, told, options, .. } = arguments;
    if let Some(file) = vm.or_else(|| file(&question)) {
        return ask_vm(&file, told, options).await;
    }
    if let Some(option) = told.given() {
        return Err(Usage::error(
            format!("{option} says what a definition leaves open, and the question is no file"),
            "say it in the question: \"GUEST on HOST, 4 vcpu, 8 GiB\"",
        ));
    }
    let products = options.sources.clone().load()?;
    answer(question.join(" ").as_str(), &products, options).await
}

/// Endings of the definitions that are read.
const ENDINGS: [&str; 12] =
    ["xml", "vmx", "ovf", "ova", "vbox", "cfg", "conf", "yaml", "yml", "json", "exp", "vmcx"];

/// The file that a question is, if it is one. What looks like a file and is not there is an error later, and no question.
fn file(question: &[String]) -> Option<PathBuf> {
    let [only] = question else { return None };
    let path = Path::new(only);
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let looks_like = !only.contains(' ') && (only.contains('/') || ENDINGS.contains(&ending));
    (path.is_file() || looks_like).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_no_question() {
        let file =
            |words: &[&str]| file(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        for path in ["gone.xml", "./gone", "/srv/vm.vmx", "100.conf"] {
            assert_eq!(file(&[path]), Some(path.into()));
        }
        for question in ["rhel5.3", "debian 12 on qemu 7.2", "windows server 2008 on esx/4.0 u1"] {
            assert_eq!(file(&[question]), None, "{question}");
        }
        assert_eq!(file(&["gone.xml", "on", "qemu"]), None);
    }
}
