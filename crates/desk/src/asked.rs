//! What a customer has, and what the catalog says of it, as a case is opened with both: from what was typed, from a
//! machine's definition, and from the catalog's reply.

use hospitium_catalog::Reply;
use hospitium_model::printable;
use hospitium_vmdef::VmDefinition;
use jiff::civil::Date;

use crate::facts::{Configuration, Driver, FrozenVerdict};
use crate::freeze::{freeze, unknown};
use crate::text::{LINE_LIMIT, Line, TextError};

/// The most lines that a machine's definition makes.
const LINES: usize = 100;

/// What was typed beside the definition.
#[derive(Debug, Clone, Default)]
pub struct Typed {
    /// The guest.
    pub guest: Option<String>,
    /// The host.
    pub host: Option<String>,
    /// Drivers in the guest.
    pub drivers: Vec<Driver>,
    /// Features in use.
    pub features: Vec<Line>,
}

/// What a case is opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What the customer has.
    pub configuration: Configuration,
    /// What the catalog says of it.
    pub verdict: FrozenVerdict,
    /// The catalog does not know which products are meant.
    pub unclear: bool,
}

/// Freezes the reply of the catalog to a question (`GUEST on HOST, …`) into what a case is opened with.
///
/// # Errors
/// If guest or host cannot stand in a case.
pub fn asked(
    question: &str,
    typed: Typed,
    vm: Option<&VmDefinition>,
    reply: &Reply,
    as_of: Date,
) -> Result<Asked, TextError> {
    let (told, verdict) = match reply {
        Reply::Answer(answer) => {
            (Some((answer.guest.clone(), answer.host.clone())), freeze(answer))
        }
        Reply::Unclear { .. } => {
            (None, unknown(as_of, "the catalog does not know which products are meant"))
        }
    };
    let unclear = told.is_none();
    let (asked_guest, asked_host) = question.split_once(" on ").unwrap_or((question, ""));
    let asked_host = asked_host.split(',').next().unwrap_or_default();
    // What was typed says more than the product that was found: a build, a service pack.
    let (told_guest, told_host) = told.unwrap_or((asked_guest.to_owned(), asked_host.to_owned()));
    let both = |typed: Option<String>, told: String| match typed {
        Some(typed) if typed != told => format!("{told} ({typed})"),
        _ => told,
    };
    let configuration = Configuration {
        guest: printable(&both(typed.guest, told_guest), LINE_LIMIT).parse()?,
        host: printable(&both(typed.host, told_host), LINE_LIMIT).parse()?,
        vcpus: vm.and_then(|vm| vm.vcpus.count.as_ref()).map(|count| count.value),
        memory: vm.and_then(|vm| vm.memory.size.as_ref()).map(|size| size.value.as_bytes()),
        machine: vm.map(machine).unwrap_or_default(),
        buses: vm.map(buses).unwrap_or_default(),
        drivers: typed.drivers,
        features: typed.features,
    };
    Ok(Asked { configuration, verdict, unclear })
}

fn machine(vm: &VmDefinition) -> Vec<Line> {
    let mut words = vec![format!("definition: {}", vm.format.title())];
    words.extend(vm.hypervisor.as_ref().map(|told| format!("hypervisor: {}", told.value)));
    words.extend(vm.firmware.as_ref().map(|told| format!("firmware: {}", form(&told.value))));
    words.extend(vm.chipset.as_ref().map(|told| format!("chipset: {}", form(&told.value))));
    lines(words)
}

/// A word of the model as its file form has it.
fn form(word: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(word).ok();
    value.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

fn buses(vm: &VmDefinition) -> Vec<Line> {
    let disks = vm.disks.iter().filter_map(|disk| disk.bus.as_ref());
    let nics = vm.nics.iter().filter_map(|nic| nic.model.as_ref());
    let disks = disks.map(|bus| format!("disk: {}", bus.value));
    lines(disks.chain(nics.map(|model| format!("network: {}", model.value))).collect())
}

fn lines(words: Vec<String>) -> Vec<Line> {
    words.iter().filter_map(|word| printable(word, LINE_LIMIT).parse().ok()).take(LINES).collect()
}
