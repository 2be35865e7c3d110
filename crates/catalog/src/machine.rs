//! The question that the definition of a machine asks.

use std::fmt;

use hospitium_model::{Chipset, printable};
use hospitium_products::{Arch, ProductKind, Products, ResolveError};
use hospitium_vmdef::{NicKind, Told, VmDefinition, Words};
use serde::Serialize;

use crate::{Limits, Question};

/// Things of one kind that are named one by one.
const LINES: usize = 10;

/// Something that a definition does not tell and nobody has named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "missing")]
pub enum Missing {
    /// The system that runs in it.
    Guest,
    /// Which one of several it is, or of a product that is known.
    WhichGuest {
        /// What the definition tells.
        told: String,
        /// Why that is not enough.
        why: String,
    },
    /// The host that runs it.
    Host {
        /// The kind of hypervisor, if that is told.
        kind: Option<String>,
    },
    /// Which of several hosts it is, or of a product that is known.
    WhichHost {
        /// Those that it may be.
        may_be: Vec<String>,
    },
    /// The machine itself.
    Encrypted,
}

impl Missing {
    /// The word by which it is named on the command line and in the API: `guest`, `host` or `machine`.
    pub const fn option(&self) -> &'static str {
        match self {
            Self::Guest | Self::WhichGuest { .. } => "guest",
            Self::Host { .. } | Self::WhichHost { .. } => "host",
            Self::Encrypted => "machine",
        }
    }

    /// A value for it.
    pub fn example(&self) -> &str {
        match self {
            Self::Guest | Self::WhichGuest { .. } => "rhel 5.3",
            Self::Host { .. } => "qemu 7.2",
            Self::WhichHost { may_be } => may_be.first().map_or("qemu 7.2", String::as_str),
            Self::Encrypted => "4 vcpu, 8 GiB, uefi",
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guest => f.write_str("the definition does not tell which system the machine runs"),
            Self::WhichGuest { told, why } => write!(
                f,
                "of the system in the machine the definition tells {told:?}, which means no one product: {why}"
            ),
            Self::Host { kind: None } => {
                f.write_str("the definition does not tell which host runs the machine")
            }
            Self::Host { kind: Some(kind) } => {
                write!(f, "the definition is for {kind} and does not tell which version runs the machine")
            }
            Self::WhichHost { may_be } => write!(
                f,
                "the definition may be for {}, or a later version; it does not tell which host runs the machine",
                may_be.join(", ")
            ),
            Self::Encrypted => f.write_str(
                "the definition is encrypted: its vCPUs, memory, firmware and devices cannot be read; decrypt it, \
                 or say what it has",
            ),
        }
    }
}

/// Everything that a definition does not tell and nobody has named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Untold(pub Vec<Missing>);

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, missing) in self.0.iter().enumerate() {
            let between = if number == 0 { "" } else { "; " };
            write!(f, "{between}{missing}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Untold {}

/// The question whether this machine's guest is validated on its host. What is named goes before what the
/// definition tells. All that it has, and all that it leaves open, is asked for: what no record can be held
/// against becomes a limit.
///
/// # Errors
/// If a side is neither named nor told, or the machine is encrypted and nothing is said of it by `named`.
pub fn question_of(
    vm: &VmDefinition,
    guest: Option<String>,
    host: Option<String>,
    products: &Products,
) -> Result<Question, Untold> {
    question_with(vm, guest, host, None, products)
}

/// The same, with what somebody says of the machine itself.
///
/// # Errors
/// As [`question_of`].
pub fn question_with(
    vm: &VmDefinition,
    guest: Option<String>,
    host: Option<String>,
    machine: Option<Limits>,
    products: &Products,
) -> Result<Question, Untold> {
    let mut missing = Vec::new();
    let guest = guest.map_or_else(|| guest_of(vm, products), Ok);
    let named_host = host.is_some();
    let host = host.map_or_else(|| host_of(vm, products), Ok);
    let encrypted = vm.encrypted.is_some() && machine.is_none();
    let mut limits = limits_of(vm);
    if let Some(machine) = machine {
        over(&mut limits, machine);
    }
    if let (Ok(host), false) = (&host, named_host) {
        // The version of the virtual hardware is the oldest that has it.
        limits.untested.push(format!(
            "the definition tells {host} by its virtual hardware; what runs it may be later, and is to be named"
        ));
    }
    match (guest, host) {
        (Ok(guest), Ok(host)) if !encrypted => {
            let words = limits.words();
            let with =
                if words.is_empty() { String::new() } else { format!(", {}", words.join(", ")) };
            let text = printable(&format!("{guest} on {host}{with}"), 500);
            return Ok(Question { text, sides: vec![(guest, host)], limits });
        }
        (guest, host) => {
            missing.extend(guest.err());
            missing.extend(host.err());
        }
    }
    if encrypted {
        missing.push(Missing::Encrypted);
    }
    Err(Untold(missing))
}

/// What is said goes before what was read.
fn over(limits: &mut Limits, said: Limits) {
    let Limits { vcpus, memory, firmware, arch, buses, nics, chipset, .. } = said;
    limits.vcpus = vcpus.or(limits.vcpus);
    limits.memory = memory.or(limits.memory);
    limits.firmware = firmware.or(limits.firmware);
    limits.arch = arch.or_else(|| limits.arch.take());
    limits.chipset = chipset.or_else(|| limits.chipset.take());
    limits.secure_boot = said.secure_boot.or(limits.secure_boot);
    limits.buses.extend(buses);
    limits.nics.extend(nics);
    limits.devices.extend(said.devices);
}

/// What the file says of its system, as a product: the most exact hint that means exactly one.
fn guest_of(vm: &VmDefinition, products: &Products) -> Result<String, Missing> {
    let mut untold = Missing::Guest;
    for hint in &vm.guest {
        let Some(Words::Id(text) | Words::Search(text)) = hint.value.words() else { continue };
        match products.resolve_kind(&text, Some(ProductKind::Guest)) {
            Ok(product) => return Ok(product.short().to_owned()),
            Err(error) if untold == Missing::Guest => {
                let why = printable(&error.to_string(), 400);
                untold = Missing::WhichGuest { told: printable(&text, 200), why };
            }
            Err(_) => {}
        }
    }
    Err(untold)
}

/// The host, in the version that the virtual hardware tells.
fn host_of(vm: &VmDefinition, products: &Products) -> Result<String, Missing> {
    let resolve = |told: &Told<String>| products.resolve_kind(&told.value, Some(ProductKind::Host));
    match vm.hosts.as_slice() {
        [] => {
            Err(Missing::Host { kind: vm.hypervisor.as_ref().map(|told| told.value.to_string()) })
        }
        // What is no known product is asked for by its name, and the answer says so.
        [only] => match resolve(only) {
            Ok(_) | Err(ResolveError::Unknown { .. } | ResolveError::Newer { .. }) => {
                Ok(only.value.clone())
            }
            Err(ResolveError::Ambiguous { candidates, .. }) => {
                Err(Missing::WhichHost { may_be: candidates })
            }
        },
        several => {
            let may_be = several.iter().map(|told| told.value.clone()).collect();
            Err(Missing::WhichHost { may_be })
        }
    }
}

/// A device's kind as records name it; none of those that no record tells.
fn recorded(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "video" => "display",
        "rng" => "rng",
        "balloon" => "balloon",
        "watchdog" => "watchdog",
        "tpm" => "tpm",
        _ => return None,
    })
}

/// All that is asked of the machine.
fn limits_of(vm: &VmDefinition) -> Limits {
    let mut limits = Limits {
        // What it can have by hot plug is what it may have.
        vcpus: vm.vcpus.max.as_ref().max_by(vm.vcpus.count.as_ref()),
        memory: vm.memory.max.as_ref().max_by(vm.memory.size.as_ref()),
        firmware: vm.firmware.as_ref().map(|told| told.value),
        arch: vm.arch.as_ref().map(|told| Arch::new(&told.value)),
        chipset: vm.chipset.as_ref().map(|told| {
            match told.value {
                Chipset::Modern => "modern",
                Chipset::Legacy => "legacy",
            }
            .to_owned()
        }),
        machine_type: vm.chipset.as_ref().and(vm.hardware.as_ref()).map(|told| told.value.clone()),
        cpu_model: vm.cpu_model.as_ref().map(|told| told.value.clone()),
        secure_boot: vm.secure_boot.as_ref().map(|told| told.value),
        ..Limits::default()
    };
    for disk in &vm.disks {
        let Some(bus) = &disk.bus else { continue };
        let name = bus.value.to_string();
        if !limits.buses.contains(&name) {
            limits.buses.push(name);
        }
    }
    for model in vm.nics.iter().filter_map(|nic| nic.model.as_ref()) {
        let name = match &model.value {
            // Hyper-V's own card, by the name of the model in records.
            NicKind::Other(name) if name == "synthetic" => "netvsc".to_owned(),
            other => other.to_string(),
        };
        if !limits.nics.contains(&name) {
            limits.nics.push(name);
        }
    }
    for device in &vm.devices {
        match recorded(device.kind) {
            Some(name) if limits.devices.iter().any(|known| known == name) => {}
            Some(name) => limits.devices.push(name.to_owned()),
            None => limits.untested.push(format!(
                "the definition has a device that no record speaks of, {} {} (line {})",
                device.kind, device.model.value, device.model.line
            )),
        }
    }
    let more = limits.untested.len().saturating_sub(LINES);
    limits.untested.truncate(LINES);
    if more > 0 {
        limits
            .untested
            .push(format!("the definition has {more} more devices that no record speaks of"));
    }
    limits.untested.extend(open(vm));
    limits
}

/// The larger of two values that may not be told.
trait Larger<T> {
    fn max_by(self, other: Option<&Told<T>>) -> Option<T>;
}

impl<T: Ord + Copy> Larger<T> for Option<&Told<T>> {
    fn max_by(self, other: Option<&Told<T>>) -> Option<T> {
        self.map(|told| told.value).max(other.map(|told| told.value))
    }
}

/// What the definition leaves open, each as a limit.
fn open(vm: &VmDefinition) -> Vec<String> {
    if vm.encrypted.is_some() {
        return vec!["the definition is encrypted: what else it has is not known".into()];
    }
    let mut open = Vec::new();
    let mut untold = |what: &str| open.push(format!("the definition does not tell {what}"));
    if vm.arch.is_none() {
        untold("its architecture");
    }
    if vm.vcpus.count.is_none() {
        untold("how many vCPUs it has");
    }
    if vm.memory.size.is_none() {
        untold("how much memory it has");
    }
    if vm.firmware.is_none() {
        untold("which firmware it has, if any");
    }
    let without = vm.hard_disks().filter(|disk| disk.bus.is_none()).count();
    if without > 0 {
        untold(&format!("on which bus {without} of its disks are"));
    }
    if vm.nics.iter().any(|nic| nic.model.is_none()) {
        untold("of which model a network interface is");
    }
    match (&vm.chipset, &vm.hardware) {
        (None, Some(hardware)) => open.push(format!(
            "the definition has the machine type {}, whose chipset is none that records speak of",
            printable(&hardware.value, 80)
        )),
        (None, None) => untold("which chipset it has"),
        _ => {}
    }
    let not_understood: Vec<_> = vm.not_understood().collect();
    for left in not_understood.iter().take(LINES) {
        open.push(format!(
            "the definition says in line {} what is not understood: {}",
            left.line, left.what
        ));
    }
    let more = not_understood.len().saturating_sub(LINES);
    if more > 0 {
        open.push(format!("the definition says {more} more things that are not understood"));
    }
    open
}
