//! The machine for a guest on a host: what the guest drives of what the host offers, each choice
//! with its reason and with who says so.

mod devices;
mod making;

use std::collections::BTreeMap;

use hospitium_model::{Boot, Bus, ByteSize, Firmware, MachineSpec, NicModel};
use serde::Serialize;

pub use self::devices::osinfo_devices;
use self::making::{MEMORY, Making};
use crate::{Arch, DeviceId, Product, ProductId, Products, Property};

/// What a choice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the parts' own names")]
pub enum Part {
    Chipset,
    Firmware,
    Vcpus,
    Memory,
    Disk,
    Cdrom,
    Network,
    Channel,
    Input,
    Display,
    Rng,
    Balloon,
    Watchdog,
}

impl Part {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chipset => "chipset",
            Self::Firmware => "firmware",
            Self::Vcpus => "vCPUs",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Cdrom => "CD-ROM",
            Self::Network => "network",
            Self::Channel => "channel",
            Self::Input => "input",
            Self::Display => "display",
            Self::Rng => "random numbers",
            Self::Balloon => "balloon",
            Self::Watchdog => "watchdog",
        }
    }
}

/// A choice, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// What it is about.
    pub part: Part,
    /// What was chosen, in a word or two.
    pub chosen: String,
    /// The device, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// Why this and nothing else.
    pub reason: String,
    /// Who says so.
    pub sources: Vec<String>,
    /// Whether the machine's description can express it. If not, the machine does without.
    pub in_machine: bool,
}

/// A machine with the reason for each of its parts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Resolved {
    /// The guest.
    pub guest: ProductId,
    /// The host.
    pub host: ProductId,
    /// The architecture.
    pub arch: Arch,
    /// The machine. Its system disk has no image yet.
    pub machine: MachineSpec,
    /// The choices.
    pub choices: Vec<Choice>,
}

/// Why there is no machine for a guest on a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// Nothing is known of the host's devices.
    #[error("no source says which devices {host} offers; add them to a definition of {id}")]
    HostUnknown {
        /// The host's name.
        host: String,
        /// Its id.
        id: ProductId,
    },
    /// No disk that both have.
    #[error("{guest} drives none of the disk controllers that {host} offers ({offered})")]
    NoDisk {
        /// The guest's name.
        guest: String,
        /// The host's name.
        host: String,
        /// The host's.
        offered: String,
    },
    /// The guest needs UEFI and the host has none.
    #[error("{guest} starts from UEFI only, and no source says that {host} has it")]
    NoFirmware {
        /// The guest's name.
        guest: String,
        /// The host's name.
        host: String,
    },
    /// The guest needs more than the host gives to one machine.
    #[error("{guest} needs {needed} of memory and {host} gives {given} to a machine")]
    TooLittleMemory {
        /// The guest's name.
        guest: String,
        /// The host's name.
        host: String,
        /// The guest's minimum.
        needed: ByteSize,
        /// The host's maximum.
        given: ByteSize,
    },
    /// The guest needs more vCPUs than the host gives to one machine.
    #[error("{guest} needs {needed} vCPUs and {host} gives {given} to a machine")]
    TooFewCpus {
        /// The guest's name.
        guest: String,
        /// The host's name.
        host: String,
        /// The guest's minimum.
        needed: u64,
        /// The host's maximum.
        given: u64,
    },
}

/// Something that a machine could be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineOption {
    /// Disks on this bus.
    Disk(Bus),
    /// A network adapter.
    Nic(NicModel),
    /// Firmware.
    Firmware(Firmware),
    /// So many vCPUs.
    Vcpus(u32),
    /// So much memory.
    Memory(ByteSize),
}

/// A device on one side, and who says so.
type Side = BTreeMap<DeviceId, String>;

/// Two products whose limits a quantity is held against.
struct Beyond<'a> {
    guest: &'a Product,
    host: &'a Product,
    arch: &'a Arch,
    unit: &'static str,
}

impl Beyond<'_> {
    /// Which of the limits is not kept, if one is not.
    fn limit(
        &self,
        [least, most]: [Property; 2],
        given: u64,
        value: impl Fn(&crate::Fact) -> Option<u64>,
    ) -> Option<String> {
        let said = |product: &Product, property| {
            let fact = product.best_for(property, self.arch)?;
            Some((value(fact)?, format!("{} {} ({})", fact.value, self.unit, fact.source)))
        };
        if let Some((limit, words)) = said(self.guest, least)
            && given < limit
        {
            return Some(format!("{} needs {words}", self.guest.name));
        }
        [self.guest, self.host].into_iter().find_map(|product| {
            let (limit, words) = said(product, most)?;
            (given > limit).then(|| format!("{} has at most {words}", product.name))
        })
    }
}

impl Products {
    /// What the guest drives without drivers from elsewhere, and who says so.
    fn driven(&self, guest: &Product, arch: &Arch) -> Side {
        let mut side = Side::new();
        for support in self.devices_of(guest, arch) {
            if !support.with_drivers {
                let by = self.get(support.said_by).map_or("", |product| product.short());
                let words = format!("{}: said of {by}", support.source);
                side.insert(support.device.clone(), words);
            }
        }
        let told = guest.best(Property::Version).map(|fact| fact.value.to_string());
        let told = crate::Version::new(told.as_deref().unwrap_or(guest.release.as_str()));
        for (implied, source) in &self.implied {
            let fits = implied.families.contains(&guest.family)
                && implied
                    .version_from
                    .as_deref()
                    .is_none_or(|from| told >= crate::Version::new(from))
                && implied
                    .version_before
                    .as_deref()
                    .is_none_or(|before| told < crate::Version::new(before))
                && implied
                    .released_from
                    .is_none_or(|from| guest.released().is_some_and(|day| day >= from));
            if fits {
                for device in &implied.devices {
                    let words = format!("{source}: {}", implied.why);
                    side.entry(device.clone()).or_insert(words);
                }
            }
        }
        side
    }

    /// Why a guest on a host cannot have this, by what is said of both; none if nothing speaks against
    /// it. Of devices, silence speaks against them where others are known; of limits it does not.
    pub fn cannot(
        &self,
        guest: &Product,
        host: &Product,
        arch: &Arch,
        what: MachineOption,
    ) -> Option<String> {
        let silent = |tails: &[&str], name: &str| {
            let is = |id: &DeviceId| tails.iter().any(|tail| devices::is(id, tail));
            let driven = self.driven(guest, arch);
            if !driven.is_empty() && !driven.keys().any(is) {
                return Some(format!("no source says that {} drives {name}", guest.name));
            }
            let offered = self.devices_of(host, arch);
            let offers = offered.iter().any(|support| is(support.device));
            (!offered.is_empty() && !offers)
                .then(|| format!("no source says that {} offers {name}", host.name))
        };
        match what {
            MachineOption::Disk(bus) => match bus {
                Bus::Virtio => silent(&devices::VIRTIO_BLOCK, "virtio-blk"),
                Bus::VirtioScsi => silent(&devices::VIRTIO_SCSI, "virtio-scsi"),
                Bus::Sata => silent(&devices::AHCI, "AHCI"),
                Bus::Ide => silent(&devices::IDE, "IDE"),
                // No source tells of these.
                Bus::Nvme | Bus::Usb | Bus::Floppy => None,
            },
            MachineOption::Nic(model) => {
                let all = devices::NETWORK.into_iter();
                let (tails, _) = all.clone().find(|(_, known)| *known == Some(model))?;
                let known = self.devices.values();
                let mut named = known.filter(|d| tails.iter().any(|tail| devices::is(&d.id, tail)));
                let name = named.next().map_or("this network adapter", |d| d.name.as_str());
                silent(tails, name)
            }
            MachineOption::Firmware(firmware) => [guest, host].into_iter().find_map(|product| {
                let said = self.firmware_of(product, firmware, arch)?;
                let name = if firmware == Firmware::Uefi { "UEFI" } else { "BIOS" };
                (!said.supported)
                    .then(|| format!("{} has no {name} ({})", product.name, said.source))
            }),
            MachineOption::Vcpus(count) => {
                let beyond = Beyond { guest, host, arch, unit: "vCPUs" };
                let limits = [Property::MinimumCpus, Property::MaximumCpus];
                beyond.limit(limits, u64::from(count), |fact| fact.value.as_count())
            }
            MachineOption::Memory(size) => {
                let beyond = Beyond { guest, host, arch, unit: "of memory" };
                let limits = [Property::MinimumMemory, Property::MaximumMemory];
                let bytes = |fact: &crate::Fact| fact.value.as_size().map(ByteSize::as_bytes);
                beyond.limit(limits, size.as_bytes(), bytes)
            }
        }
    }

    /// The machine for a guest on a host.
    ///
    /// # Errors
    /// The two have no disk, no firmware or not enough room in common, or nothing is known of the
    /// host's devices.
    pub fn machine(
        &self,
        guest: &Product,
        host: &Product,
        arch: &Arch,
    ) -> Result<Resolved, MachineError> {
        let offered: Side = self
            .devices_of(host, arch)
            .into_iter()
            .map(|support| {
                let by = self.get(support.said_by).map_or("", |product| product.short());
                (support.device.clone(), format!("{}: offered by {by}", support.source))
            })
            .collect();
        if offered.is_empty() {
            return Err(MachineError::HostUnknown { host: host.name.clone(), id: host.id.clone() });
        }
        let mut making = Making {
            products: self,
            guest,
            host,
            arch,
            driven: self.driven(guest, arch),
            offered,
            spec: MachineSpec::new(MEMORY, Boot::Nothing),
            choices: Vec::new(),
        };
        making.firmware()?;
        making.chipset();
        making.cpus()?;
        making.memory()?;
        making.disk()?;
        making.network();
        making.rest();
        Ok(Resolved {
            guest: guest.id.clone(),
            host: host.id.clone(),
            arch: arch.clone(),
            machine: making.spec,
            choices: making.choices,
        })
    }
}
