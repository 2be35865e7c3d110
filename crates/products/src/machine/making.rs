//! One choice after the other: firmware, chipset, vCPUs, memory, disk, network, and the rest.

use hospitium_model::{
    Boot, Bus, ByteSize, ChannelKind, Chipset, CpuTopology, Disk, DiskRole, Firmware, MachineSpec,
    Memory, Network, Nic, Watchdog, WatchdogAction,
};

use super::devices::*;
use super::{Choice, MachineError, Part, Side};
use crate::{Arch, DeviceId, Product, Products, Property};

/// Memory where nothing is said of any.
pub(super) const MEMORY: ByteSize = ByteSize::mib(1024);
/// vCPUs where no more is said: two, so that the guest shows whether it can do with several.
const VCPUS: u64 = 2;
/// Disk where nothing is said of any.
const STORAGE: ByteSize = ByteSize::gib(20);

/// A machine in the making.
pub(super) struct Making<'a> {
    pub(super) products: &'a Products,
    pub(super) guest: &'a Product,
    pub(super) host: &'a Product,
    pub(super) arch: &'a Arch,
    pub(super) driven: Side,
    pub(super) offered: Side,
    pub(super) spec: MachineSpec,
    pub(super) choices: Vec<Choice>,
}

impl Making<'_> {
    /// The first of these devices that both sides have.
    fn shared(&self, tails: &[&str]) -> Option<(DeviceId, Vec<String>)> {
        tails.iter().find_map(|tail| {
            let (id, guest) = self.driven.iter().find(|(id, _)| is(id, tail))?;
            let host = self.offered.get(id)?;
            Some((id.clone(), vec![guest.clone(), host.clone()]))
        })
    }

    /// Who drives one of these, if the guest does.
    fn drives(&self, tails: &[&str]) -> Option<&String> {
        let fits = |id: &&DeviceId| tails.iter().any(|tail| is(id, tail));
        self.driven.keys().find(fits).and_then(|id| self.driven.get(id))
    }

    /// What is said of a limit: of the product, else, if nothing at all is said of memory, CPUs or
    /// storage there, of the nearest that it derives from.
    fn said(&self, product: &Product, property: Property) -> Option<(&crate::Fact, String)> {
        let product = self.products.get(&product.id)?;
        for ancestor in self.products.ancestry(product) {
            if let Some(fact) = ancestor.best_for(property, self.arch) {
                let of = match ancestor.id == product.id {
                    true => String::new(),
                    false => format!(": said of {}", ancestor.short()),
                };
                return Some((fact, format!("{}{of}", fact.source)));
            }
            if ancestor.facts.iter().any(|fact| fact.property.is_limit()) {
                return None;
            }
        }
        None
    }

    fn name(&self, id: &DeviceId) -> String {
        self.products.device(id).map_or_else(|| id.to_string(), |device| device.name.clone())
    }

    fn choose(&mut self, part: Part, chosen: impl Into<String>, reason: impl Into<String>) {
        self.choose_by(part, chosen, reason, Vec::new());
    }

    fn choose_by(
        &mut self,
        part: Part,
        chosen: impl Into<String>,
        reason: impl Into<String>,
        sources: Vec<String>,
    ) {
        let (chosen, reason) = (chosen.into(), reason.into());
        let device = None;
        self.choices.push(Choice { part, chosen, device, reason, sources, in_machine: true });
    }

    fn choose_device(&mut self, part: Part, id: DeviceId, reason: String, sources: Vec<String>) {
        let chosen = self.name(&id);
        let device = Some(id);
        self.choices.push(Choice { part, chosen, device, reason, sources, in_machine: true });
    }

    pub(super) fn firmware(&mut self) -> Result<(), MachineError> {
        let of = |product, firmware| self.products.firmware_of(product, firmware, self.arch);
        let bios = of(self.guest, Firmware::Bios);
        let has_uefi = of(self.host, Firmware::Uefi).filter(|said| said.supported);
        if let Some(said) = bios.filter(|said| !said.supported) {
            let Some(host) = has_uefi else {
                return Err(MachineError::NoFirmware {
                    guest: self.guest.name.clone(),
                    host: self.host.name.clone(),
                });
            };
            let sources = vec![said.source.to_string(), host.source.to_string()];
            self.spec.firmware = Firmware::Uefi;
            self.choose_by(Part::Firmware, "UEFI", "the guest does not start from BIOS", sources);
            return Ok(());
        }
        let uefi = of(self.guest, Firmware::Uefi).filter(|said| said.supported);
        let (reason, sources) = match uefi {
            Some(said) => (
                "the guest starts from both; BIOS starts faster and is there on every host",
                vec![said.source.to_string()],
            ),
            None => ("nothing says that the guest starts from UEFI", Vec::new()),
        };
        self.spec.firmware = Firmware::Bios;
        self.choose_by(Part::Firmware, "BIOS", reason, sources);
        Ok(())
    }

    pub(super) fn chipset(&mut self) {
        let guest = self.drives(&[Q35]).cloned();
        let host = self.offered.iter().find(|(id, _)| is(id, Q35)).map(|(_, by)| by.clone());
        let old_virtio =
            self.drives(&VIRTIO_NET[1..]).is_some() && self.drives(&VIRTIO_NET[..1]).is_none();
        let (chipset, reason, sources) = match (guest, host) {
            (Some(_), _) if old_virtio => (
                Chipset::Legacy,
                "the guest knows PCI Express, but its virtio drivers are those of before 1.0, \
                 which find no device behind a PCI Express port",
                Vec::new(),
            ),
            (Some(guest), Some(host)) => {
                (Chipset::Modern, "both have PCI Express (Q35)", vec![guest, host])
            }
            (Some(_), None) => {
                (Chipset::Legacy, "no source says that the host offers PCI Express", Vec::new())
            }
            (None, _) => (
                Chipset::Legacy,
                "no source says that the guest runs on a PCI Express chipset; every PC system \
                 runs on PCI and IDE",
                Vec::new(),
            ),
        };
        let name = match chipset {
            Chipset::Modern => "Q35",
            Chipset::Legacy => "PCI and IDE",
        };
        self.spec.chipset = chipset;
        self.spec.hotplug_slots = match chipset {
            Chipset::Modern => 4,
            Chipset::Legacy => 0,
        };
        self.choose_by(Part::Chipset, name, reason, sources);
    }

    pub(super) fn cpus(&mut self) -> Result<(), MachineError> {
        let count = |product: &Product, property| {
            let (fact, source) = self.said(product, property)?;
            Some((fact.value.as_count()?, source))
        };
        let told_least = count(self.guest, Property::MinimumCpus);
        let least = told_least.as_ref().map_or(1, |(n, _)| (*n).max(1));
        let recommended = count(self.guest, Property::RecommendedCpus);
        let guest_most = count(self.guest, Property::MaximumCpus);
        let host_most = count(self.host, Property::MaximumCpus);
        if let Some((given, _)) = host_most.as_ref().filter(|(given, _)| *given < least) {
            return Err(MachineError::TooFewCpus {
                guest: self.guest.name.clone(),
                host: self.host.name.clone(),
                needed: least,
                given: *given,
            });
        }
        let (mut chosen, mut reason, mut sources) = match (recommended, told_least) {
            (Some((n, source)), _) => (n.max(least), "as recommended".to_owned(), vec![source]),
            (None, Some((_, source))) => (
                least.saturating_mul(2),
                format!("nothing is recommended; twice the minimum of {least}"),
                vec![source],
            ),
            (None, None) => (
                VCPUS,
                "nothing is said of it; two, so that the guest shows that it runs on several"
                    .to_owned(),
                Vec::new(),
            ),
        };
        for (most, source) in [guest_most, host_most].into_iter().flatten() {
            if chosen > most {
                chosen = most.max(1);
                reason = format!("no more than {most} are supported");
                sources = vec![source];
            }
        }
        let cores = u32::try_from(chosen).unwrap_or(1).clamp(1, 256);
        // Systems that are licensed by socket count all cores of one as one.
        self.spec.cpus = CpuTopology { sockets: 1, cores, threads: 1, max_sockets: 0 };
        self.choose_by(Part::Vcpus, cores.to_string(), reason, sources);
        Ok(())
    }

    pub(super) fn memory(&mut self) -> Result<(), MachineError> {
        let size = |product: &Product, property| {
            let (fact, source) = self.said(product, property)?;
            Some((fact.value.as_size()?, source))
        };
        let least = size(self.guest, Property::MinimumMemory);
        let (mut chosen, mut reason, mut sources) =
            match (size(self.guest, Property::RecommendedMemory), &least) {
                (Some((size, source)), least) => {
                    let least = least.as_ref().map_or(ByteSize::default(), |(size, _)| *size);
                    (size.max(least), "as recommended".to_owned(), vec![source])
                }
                (None, Some((size, source))) => (
                    ByteSize::bytes(size.as_bytes().saturating_mul(2)),
                    format!("nothing is recommended; twice the minimum of {size}"),
                    vec![source.clone()],
                ),
                (None, None) => (MEMORY, "nothing is said of it".to_owned(), Vec::new()),
            };
        let host_most = size(self.host, Property::MaximumMemory);
        if let (Some((least, _)), Some((most, _))) = (&least, &host_most)
            && least > most
        {
            return Err(MachineError::TooLittleMemory {
                guest: self.guest.name.clone(),
                host: self.host.name.clone(),
                needed: *least,
                given: *most,
            });
        }
        let guest_most = size(self.guest, Property::MaximumMemory);
        for (most, source) in [guest_most, host_most].into_iter().flatten() {
            if chosen > most {
                chosen = most;
                reason = format!("no more than {most} is supported");
                sources = vec![source];
            }
        }
        // Machines have whole MiB, and no fewer than 16.
        let mib = chosen.as_bytes().div_ceil(1 << 20).clamp(16, 1 << 24);
        let size = ByteSize::mib(mib);
        self.spec.memory = Memory { size, max: ByteSize::default(), nodes: 0 };
        self.choose_by(Part::Memory, size.to_string(), reason, sources);
        Ok(())
    }

    pub(super) fn disk(&mut self) -> Result<(), MachineError> {
        let old_on_new = self.spec.chipset == Chipset::Legacy;
        let found = self
            .shared(&VIRTIO_BLOCK)
            .map(|found| (Bus::Virtio, found, "both have virtio"))
            .or_else(|| {
                let reason = "no virtio in common; AHCI is the best that both have";
                let ahci = self.shared(&AHCI)?;
                // QEMU's PCI chipset has no AHCI of its own; its IDE is what firmware boots from.
                let built_in = !old_on_new || is(&ahci.0, AHCI[1]);
                built_in.then_some((Bus::Sata, ahci, reason))
            })
            .or_else(|| {
                let reason = "no virtio in common, and no AHCI on this chipset; every PC system \
                              drives IDE";
                Some((Bus::Ide, self.shared(&IDE)?, reason))
            });
        let Some((bus, (id, sources), reason)) = found else {
            let offered: Vec<_> = self
                .offered
                .keys()
                .filter(|id| self.products.device(id).is_some_and(|d| d.class == "block"))
                .map(|id| self.name(id))
                .collect();
            return Err(MachineError::NoDisk {
                guest: self.guest.name.clone(),
                host: self.host.name.clone(),
                offered: offered.join(", "),
            });
        };
        let unsaid: Vec<_> = OTHER_DISKS
            .iter()
            .filter_map(|tail| self.shared(&[tail]).map(|(id, _)| self.name(&id)))
            .collect();
        let reason = match unsaid.as_slice() {
            [] => reason.to_owned(),
            some => format!(
                "{reason}; {} would do, too, but machines here have no such bus",
                some.join(" and ")
            ),
        };
        let size = self
            .said(self.guest, Property::RecommendedStorage)
            .or_else(|| self.said(self.guest, Property::MinimumStorage))
            .and_then(|(fact, _)| fact.value.as_size())
            .unwrap_or(STORAGE);
        self.spec.disks.push(disk("system", DiskRole::System, bus, size));
        self.choose_device(Part::Disk, id, reason, sources);
        let bus = match self.spec.chipset {
            Chipset::Modern => Bus::Sata,
            Chipset::Legacy => Bus::Ide,
        };
        self.spec.disks.push(disk("cdrom", DiskRole::Cdrom, bus, ByteSize::default()));
        self.choose(Part::Cdrom, bus.name(), "the chipset's own controller");
        self.spec.boot = Boot::Devices { order: vec!["system".into(), "cdrom".into()] };
        Ok(())
    }

    pub(super) fn network(&mut self) {
        let mut passed: Vec<&str> = Vec::new();
        for (tails, model) in NETWORK {
            let Some((id, sources)) = self.shared(tails) else {
                if let Some(tail) = tails.first() {
                    passed.push(tail);
                }
                continue;
            };
            let before: Vec<_> = passed
                .iter()
                .filter(|tail| self.offered.keys().any(|id| is(id, tail)))
                .filter_map(|tail| self.offered.keys().find(|id| is(id, tail)))
                .map(|id| self.name(id))
                .collect();
            let reason = match before.as_slice() {
                [] => "the best that the host offers, and the guest drives it".to_owned(),
                some => format!(
                    "no source says that the guest drives {} by itself; this it does",
                    some.join(" or ")
                ),
            };
            match model {
                Some(model) => {
                    self.spec.nics.push(Nic {
                        id: "net0".into(),
                        model,
                        mac: "52:54:00:48:4f:53".into(),
                        network: Network::Harness,
                        queues: 0,
                    });
                    self.choose_device(Part::Network, id, reason, sources);
                }
                None => {
                    let reason = format!(
                        "{reason}; machines here have no such adapter, so this one has none"
                    );
                    self.choose_device(Part::Network, id, reason, sources);
                    if let Some(choice) = self.choices.last_mut() {
                        choice.in_machine = false;
                    }
                }
            }
            return;
        }
        let reason = "no adapter is known that the host offers and the guest drives";
        self.choose(Part::Network, "none", reason);
    }

    pub(super) fn rest(&mut self) {
        let mut optional = |part, tails: &[&str], reason: &str| {
            let found = self.shared(tails);
            let is_shared = found.is_some();
            match found {
                Some((id, sources)) => self.choose_device(part, id, reason.to_owned(), sources),
                None => self.choose(part, "none", "no such device in common"),
            }
            is_shared
        };
        let console = optional(Part::Channel, &VIRTIO_CONSOLE, "both have virtio-serial");
        let rng = optional(Part::Rng, &VIRTIO_RNG, "both have it");
        let balloon = optional(Part::Balloon, &VIRTIO_BALLOON, "both have it");
        let watchdog = optional(Part::Watchdog, &WATCHDOG, "both have it");
        let tablet = optional(Part::Input, &["usb/80ee/0021"], "both have the USB tablet");
        for choice in &mut self.choices {
            if choice.device.is_none() && choice.part == Part::Channel {
                choice.chosen = "serial port".into();
                choice.reason = "every system has it, and no virtio-serial is in common".into();
            }
            if choice.device.is_none() && choice.part == Part::Input {
                choice.chosen = "PS/2".into();
                choice.reason = "the chipset's own; nothing says that the guest drives a USB \
                                 tablet that the host offers"
                    .into();
            }
        }
        for channel in &mut self.spec.channels {
            if console && channel.name == "probe" {
                channel.kind = ChannelKind::Virtio;
            }
        }
        self.spec.rng = rng;
        self.spec.balloon = balloon;
        self.spec.input = tablet;
        self.spec.watchdog = watchdog.then_some(Watchdog { action: WatchdogAction::Pause });
        // No source tells of these; a machine without them runs everywhere.
        self.spec.panic_notifier = false;
        self.spec.generation_id = None;
        self.spec.display = true;
        self.choose(Part::Display, "VGA", "every PC system shows something on VGA");
    }
}

fn disk(id: &str, role: DiskRole, bus: Bus, size: ByteSize) -> Disk {
    Disk {
        id: id.into(),
        role,
        bus,
        image: None,
        format: None,
        size,
        serial: String::new(),
        logical_sector: 0,
        physical_sector: 0,
        read_only: role == DiskRole::Cdrom,
        power_loss_log: false,
        room: None,
    }
}
