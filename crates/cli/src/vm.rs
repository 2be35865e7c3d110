//! `hospitium run --vm FILE`: the machine as somebody's definition has it, as far as a host can have one, and what it
//! lacks. Nothing that the file names is opened, and nothing of it is dropped in silence: what cannot be built is a limit.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use hospitium_host::Host;
use hospitium_model::{
    Answer, Capability, CpuTopology, DefinitionPin, Digest, Firmware, TpmVersion,
};
use hospitium_vmdef::{DiskBus, Hypervisor, NicKind, SourceFormat, Told, VmDefinition, read_file};

use crate::args::RunArguments;
use crate::failure::Usage;
use crate::open::Wishes;
use crate::out::note;
use crate::view::safe;

/// The most vCPUs of a machine here, as with `--vcpus`.
const MOST_VCPUS: u32 = 256;

/// A definition that was read.
pub struct Vm {
    path: PathBuf,
    sha256: Digest,
    read: VmDefinition,
}

/// What a host makes of a definition.
#[derive(Debug, Default)]
pub struct Built {
    /// The machine.
    pub wishes: Wishes,
    /// What of the definition the machine has.
    has: Vec<String>,
    /// What it has not, each with the reason.
    limits: Vec<String>,
}

impl Vm {
    /// The definition that the arguments name, if they name one: for one host, which decides what can be built.
    pub fn of(arguments: &RunArguments) -> Result<Option<Self>> {
        let Some(path) = &arguments.vm else { return Ok(None) };
        if arguments.on.len() != 1 {
            return Err(Usage::error(
                format!("--vm is for one host, and {} are named", arguments.on.len()),
                "run once for each host: hospitium run GUEST --vm FILE --on HOST",
            ));
        }
        Self::read(path).map(Some)
    }

    /// Reads a definition of which a machine can be built at all.
    fn read(path: &Path) -> Result<Self> {
        let doing = || format!("{} is not read", path.display());
        let read = read_file(path).map_err(|error| {
            let next = "give a definition that `hospitium ask FILE` reads: docs/vm-definitions.md lists the formats";
            Usage::because(error, doing(), next)
        })?;
        let (sha256, _) = File::open(path).and_then(Digest::of_all).with_context(doing)?;
        let refused = |what: String| {
            let next = "a run needs a definition in the clear of an x86-64 machine; leave out --vm and name the machine \
                        by options (`hospitium run --help`)";
            Err(Usage::error(format!("{}: {what}", path.display()), next))
        };
        if read.encrypted.as_ref().is_some_and(|told| told.value) {
            return refused("what makes up the machine is encrypted".into());
        }
        if let Some(arch) = &read.arch
            && !matches!(arch.value.as_str(), "x86_64" | "amd64" | "i686" | "i386" | "x86")
        {
            let arch = safe(&arch.value);
            return refused(format!("it is for {arch}, and no driver here has such machines"));
        }
        if let Some(count) = &read.vcpus.count
            && !(1..=MOST_VCPUS).contains(&count.value)
        {
            let count = count.value;
            return refused(format!(
                "it has {count} vCPUs, and a machine here has 1 to {MOST_VCPUS}"
            ));
        }
        Ok(Self { path: path.to_owned(), sha256, read })
    }

    /// What this host makes of it; what is asked beside it stays.
    pub fn on(&self, host: &dyn Host, asked: Wishes) -> Built {
        let mut built = Built { wishes: asked, ..Built::default() };
        built.base(&self.read, host);
        built.processors(&self.read, host);
        built.firmware(&self.read);
        built.disks(&self.read);
        built.nics(&self.read);
        built.devices(&self.read, host);
        for left in self.read.not_understood() {
            built.limits.push(format!("line {} is not understood: {}", left.line, left.what));
        }
        if self.read.left_more > 0 {
            built.limits.push(format!("{} more lines are not understood", self.read.left_more));
        }
        built
    }

    /// Says what is built and what is not, before anything is started.
    pub fn tell(&self, built: &Built) {
        let title = self.read.format.title();
        note!("machine of {} ({title}): {}", self.path.display(), safe(&built.has.join(", ")));
        for limit in &built.limits {
            note!("limit: {}", safe(limit));
        }
    }

    /// What the evidence keeps of it.
    pub fn pin(&self, built: Built) -> DefinitionPin {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        DefinitionPin {
            name,
            format: self.read.format.title().to_owned(),
            sha256: self.sha256,
            has: built.has,
            limits: built.limits,
        }
    }
}

/// Where the file says something.
fn at<T>(told: &Told<T>) -> String {
    match told.line {
        0 => told.from.clone(),
        line => format!("line {line}, {}", told.from),
    }
}

impl Built {
    fn has<T>(&mut self, what: impl std::fmt::Display, told: &Told<T>) {
        self.has.push(format!("{what} [{}]", at(told)));
    }

    fn limit<T>(&mut self, what: impl std::fmt::Display, told: &Told<T>, why: &str) {
        self.limits.push(format!("{what} [{}]: {why}", at(told)));
    }

    /// Hypervisor, chipset and machine type.
    fn base(&mut self, vm: &VmDefinition, host: &dyn Host) {
        if let Some(for_) = &vm.hypervisor
            && !matches!(for_.value, Hypervisor::Qemu | Hypervisor::Kvm)
        {
            let why = format!("the run is on {}", host.facts().name);
            self.limit(format!("a machine for {}", for_.value), for_, &why);
        }
        match &vm.chipset {
            Some(told) => {
                self.wishes.chipset = Some(told.value);
                self.has(format!("chipset {}", word(&told.value)), told);
            }
            None => self
                .limits
                .push("the chipset is not told or is none of ours: modern is taken".into()),
        }
        let Some(hardware) = &vm.hardware else { return };
        let choices = host.choices();
        let offered = choices.as_ref().is_ok_and(|choices| {
            choices.machine_types.iter().any(|choice| {
                let named = choice.name == hardware.value
                    || choice.alias.as_deref() == Some(hardware.value.as_str());
                named && vm.chipset.as_ref().is_none_or(|told| told.value == choice.chipset)
            })
        });
        let what = format!("virtual hardware {}", hardware.value);
        if offered {
            self.wishes.machine_type = Some(hardware.value.clone());
            self.has(what, hardware);
        } else {
            self.limit(what, hardware, "this host has no such machine type; its newest is taken");
        }
    }

    /// vCPUs, CPU model and memory.
    fn processors(&mut self, vm: &VmDefinition, host: &dyn Host) {
        match &vm.vcpus.count {
            Some(told) => {
                self.wishes.vcpus = Some(told.value);
                self.has(format!("{} vCPUs", told.value), told);
            }
            None => self.limits.push("the number of vCPUs is not told: 2 are taken".into()),
        }
        if let Some(told) = &vm.vcpus.max {
            let why = "room for vCPUs is what the checks need";
            self.limit(format!("up to {} vCPUs", told.value), told, why);
        }
        if let Some(told) = &vm.vcpus.topology {
            let CpuTopology { sockets, cores, threads, .. } = told.value;
            if (cores, threads) != (1, 1) {
                let what = format!("{sockets} sockets × {cores} cores × {threads} threads");
                self.limit(what, told, "each vCPU is a socket of its own");
            }
        }
        if let Some(told) = &vm.cpu_model {
            let what = format!("CPU model {}", told.value);
            let usable = host.choices().is_ok_and(|choices| {
                let of = |choice: &&hospitium_host::CpuChoice| choice.name == told.value;
                choices.cpu_models.iter().find(of).is_some_and(|choice| choice.unusable.is_none())
            });
            match told.value.as_str() {
                "host" | "host-passthrough" | "host-model" | "max" => self.has(what, told),
                _ if usable => {
                    self.wishes.cpu_model = Some(told.value.clone());
                    self.has(what, told);
                }
                _ => {
                    let why = "this host cannot have it; all that its CPUs can do is taken";
                    self.limit(what, told, why);
                }
            }
        }
        match &vm.memory.size {
            Some(told) => {
                self.wishes.memory = Some(told.value);
                self.has(format!("{} of memory", told.value), told);
            }
            None => {
                self.limits.push("the memory is not told: the guest's own size is taken".into())
            }
        }
        if let Some(told) = &vm.memory.max {
            let why = "room for memory is what the checks need";
            self.limit(format!("up to {} of memory", told.value), told, why);
        }
    }

    fn firmware(&mut self, vm: &VmDefinition) {
        match &vm.firmware {
            Some(told) => {
                self.wishes.firmware = Some(told.value);
                let name = if told.value == Firmware::Uefi { "UEFI" } else { "BIOS" };
                self.has(name, told);
            }
            None => self.limits.push("the firmware is not told: the guest's own is taken".into()),
        }
        if let Some(told) = vm.secure_boot.as_ref().filter(|told| told.value) {
            self.limit("Secure Boot", told, "machines here start without it");
        }
    }

    /// One bus for all disks: that of the first which we have.
    fn disks(&mut self, vm: &VmDefinition) {
        let mut taken = None;
        for disk in &vm.disks {
            if disk.cdrom {
                self.limit("an optical drive", &disk.id, "machines of checks have none but theirs");
                continue;
            }
            let id = format!("disk {}", disk.id.value);
            match &disk.bus {
                None => self.limit(id, &disk.id, "its bus is not told"),
                Some(bus) => match &bus.value {
                    DiskBus::Known(known) if taken.is_none_or(|taken| taken == *known) => {
                        if taken.replace(*known).is_none() {
                            self.wishes.disk = Some(*known);
                            self.has(format!("disks on {}", known.name()), bus);
                        }
                    }
                    other => {
                        let why = match (&other, taken) {
                            (DiskBus::Known(_), Some(taken)) => {
                                format!("all disks are on one bus, {}", taken.name())
                            }
                            _ => "no machine here has such a bus".into(),
                        };
                        self.limit(format!("{id} on {other}"), bus, &why);
                    }
                },
            }
        }
        let hard = vm.disks.iter().filter(|disk| !disk.cdrom).count();
        if hard > 1 {
            self.limits.push(format!(
                "{hard} disks: the machine has the guest's own and those of the checks"
            ));
        }
    }

    /// One adapter, of the first model that we have.
    fn nics(&mut self, vm: &VmDefinition) {
        let mut taken = None;
        for nic in &vm.nics {
            let Some(model) = &nic.model else {
                self.limit(format!("NIC {}", nic.id.value), &nic.id, "its model is not told");
                continue;
            };
            match &model.value {
                NicKind::Known(known) if taken.is_none_or(|taken| taken == *known) => {
                    if taken.replace(*known).is_none() {
                        self.wishes.nic = Some(*known);
                        self.has(format!("NIC {}", model.value), model);
                    }
                }
                NicKind::Known(_) => {
                    let why = "all adapters are of one model, the first";
                    self.limit(format!("NIC {}", model.value), model, why);
                }
                NicKind::Other(_) => {
                    let why = "no machine here has such an adapter";
                    self.limit(format!("NIC {}", model.value), model, why);
                }
            }
        }
        if vm.nics.len() > 1 {
            let count = vm.nics.len();
            self.limits.push(format!("{count} NICs: the machine has those of the checks"));
        }
    }

    /// A TPM; all else is a limit.
    fn devices(&mut self, vm: &VmDefinition, host: &dyn Host) {
        for device in &vm.devices {
            let what = format!("{} {}", device.kind, device.model.value);
            if device.kind != "tpm" || self.wishes.tpm.is_some() {
                let why = "machines of checks have their own devices, and not this one";
                self.limit(what, &device.model, why);
                continue;
            }
            if let Answer::No(why) = host.offers(Capability::Tpm) {
                self.limit(what, &device.model, &why);
                continue;
            }
            let model = device.model.value.replace('_', ".");
            let version = match model.contains("1.2") {
                true => TpmVersion::V1_2,
                false => TpmVersion::V2_0,
            };
            self.wishes.tpm = Some(version);
            self.has(format!("TPM {}", version.name()), &device.model);
            // CRB is an interface of version 2.0 alone.
            if !model.contains("1.2") && !model.contains("2.0") && !model.contains("crb") {
                let why = "its version is not told there; 2.0 is taken";
                self.limit("TPM", &device.model, why);
            }
        }
        let ours = [SourceFormat::Libvirt, SourceFormat::Proxmox, SourceFormat::KubeVirt];
        if !ours.contains(&vm.format) {
            self.limits.push("machine types and CPU models have other names in this format".into());
        }
    }
}

/// A value's word in files.
fn word(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
