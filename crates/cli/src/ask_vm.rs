//! `hospitium ask FILE`: reads the definition of a virtual machine that somebody has, and answers for it.

use std::path::Path;

use anyhow::{Context, Result};
use clap::Args;
use hospitium_catalog::{Limits, Missing, Question, Reply, Untold, question_with};
use hospitium_vmdef::{VmDefinition, VmdefError, read_file};
use serde::Serialize;

use crate::ask::{self, AskOptions};
use crate::failure::{End, Usage};
use crate::out::{note, out};
use crate::view::safe;

/// What a person tells of a machine beside its definition.
#[derive(Debug, Args)]
pub struct Told {
    /// With a definition: the guest, where the file does not tell or tells too little
    #[arg(long, value_name = "PRODUCT")]
    pub guest: Option<String>,
    /// With a definition: the host that runs it, where the file does not tell
    #[arg(long, value_name = "PRODUCT")]
    pub host: Option<String>,
    /// With a definition: what the machine has, where the file cannot be read: "4 vcpu, 8 GiB, uefi, virtio"
    #[arg(long, value_name = "MACHINE")]
    pub machine: Option<String>,
}

impl Told {
    /// One of the options that were given.
    pub fn given(&self) -> Option<&'static str> {
        let given =
            [("--guest", &self.guest), ("--host", &self.host), ("--machine", &self.machine)];
        given.into_iter().find(|(_, value)| value.is_some()).map(|(option, _)| option)
    }
}

/// What `--json` prints: the definition, and the reply or what is missing for one.
#[derive(Serialize)]
struct Checked<'a> {
    #[serde(flatten)]
    reply: Option<&'a Reply>,
    definition: &'a VmDefinition,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<&'a Untold>,
}

/// `hospitium ask FILE`.
pub async fn ask_vm(file: &Path, told: Told, ask: AskOptions) -> Result<End> {
    let Told { guest, host, machine } = told;
    let vm = read_file(file).map_err(|error| match error {
        VmdefError::Vmcx { .. } => anyhow::Error::new(error),
        error => anyhow::Error::new(error).context(format!("{} is not read", file.display())),
    })?;
    let machine = machine.as_deref().map(Limits::parse).transpose().map_err(|error| {
        Usage::error(error.to_string(), "say what it has: --machine \"4 vcpu, 8 GiB, uefi\"")
    })?;
    let products = ask.sources.clone().load()?;
    let json = ask.json;
    // What was read comes first, whatever becomes of the question.
    if !json {
        show(&vm);
    }
    let question = match question_with(&vm, guest, host, machine, &products) {
        Ok(question) => question,
        Err(untold) => {
            if json {
                print(&Checked { reply: None, definition: &vm, missing: Some(&untold) })?;
            }
            return Err(Usage::error(untold.to_string(), next(&untold)));
        }
    };
    answer(&vm, &question, &products, ask).await
}

async fn answer(
    vm: &VmDefinition,
    question: &Question,
    products: &hospitium_products::Products,
    ask: AskOptions,
) -> Result<End> {
    if !ask.json {
        return ask::answer(question, products, ask).await;
    }
    let (reply, _) = ask::reply(question, products, ask).await?;
    print(&Checked { reply: Some(&reply), definition: vm, missing: None })?;
    Ok(ask::end(&reply))
}

fn print(checked: &Checked<'_>) -> Result<()> {
    out!("{}", serde_json::to_string(checked).context("cannot write JSON")?);
    Ok(())
}

/// All that is to be named, in one command.
fn next(untold: &Untold) -> String {
    let mut options: Vec<String> = Vec::new();
    for missing in &untold.0 {
        let option = format!("--{} \"{}\"", missing.option(), missing.example());
        if !options.contains(&option) {
            options.push(option);
        }
    }
    let which = |missing: &Missing| {
        matches!(missing, Missing::WhichGuest { .. } | Missing::WhichHost { .. })
    };
    let search = match untold.0.iter().any(which) {
        true => "; `hospitium product search WORDS` shows which there are",
        false => "",
    };
    format!("name it: {}{search}", options.join(" "))
}

/// Every value with its line, then what was not understood.
fn show(vm: &VmDefinition) {
    let name = vm.name.as_ref().map_or("the machine", |name| name.value.as_str());
    out!("{} ({})", safe(name), vm.format.title());
    for line in vm.lines() {
        let place = match line.line {
            0 => line.from.clone(),
            number => format!("line {number}, {}", line.from),
        };
        out!("  {:<12} {}  [{}]", line.what, safe(&line.value), safe(&place));
    }
    for left in vm.not_understood() {
        note!("note: line {} is not understood: {}", left.line, left.what);
    }
}
