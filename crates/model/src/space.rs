//! The space of machine configurations: which parameters a machine has, which values of them are
//! tried, which cannot be, and which row of it a machine is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Bus, ByteSize, ChannelKind, Chipset, DiskRole, Firmware, MachineSpec, NicModel};

/// The parameters, in the order of a row's words.
pub const MACHINE_PARAMETERS: [&str; 8] =
    ["chipset", "firmware", "disk", "nic", "vcpus", "memory", "nodes", "channel"];

/// Values of one parameter at most.
pub const MOST_MACHINE_VALUES: usize = 32;

/// The values of each parameter that are to be tried, as an agreement promises them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MachineValues {
    /// Chipset generations.
    pub chipset: Vec<Chipset>,
    /// Firmware.
    pub firmware: Vec<Firmware>,
    /// Buses of disks: of the system's, where the guest has one, and of those that checks write on.
    pub disk: Vec<Bus>,
    /// Models of the network adapter.
    pub nic: Vec<NicModel>,
    /// vCPUs at the start.
    pub vcpus: Vec<u32>,
    /// Memory at the start.
    pub memory: Vec<ByteSize>,
    /// NUMA nodes; 1 is none.
    pub nodes: Vec<u32>,
    /// How the guest sees the probe's channel.
    pub channel: Vec<ChannelKind>,
}

impl Default for MachineValues {
    /// What an agreement promises that names no values.
    fn default() -> Self {
        Self {
            chipset: vec![Chipset::Modern],
            firmware: vec![Firmware::Bios, Firmware::Uefi],
            disk: vec![Bus::Virtio, Bus::VirtioScsi, Bus::Sata, Bus::Nvme],
            nic: vec![NicModel::Virtio, NicModel::E1000e, NicModel::E1000, NicModel::Rtl8139],
            vcpus: vec![1, 2, 4],
            memory: vec![ByteSize::mib(512), ByteSize::mib(1024)],
            nodes: vec![1, 2],
            channel: vec![ChannelKind::Virtio, ChannelKind::Serial],
        }
    }
}

impl MachineValues {
    /// What cannot be meant: a parameter without a value, a value twice, a number out of bounds.
    ///
    /// # Errors
    /// The parameter and what is wrong with it, in words.
    pub fn check(&self) -> Result<(), String> {
        for (name, words) in self.words() {
            if words.is_empty() {
                return Err(format!("{name} has no value; name one at least, or leave it out"));
            }
            if words.len() > MOST_MACHINE_VALUES {
                return Err(format!("{name} has more than {MOST_MACHINE_VALUES} values"));
            }
            if let Some(twice) = words.iter().enumerate().find(|(n, w)| words[..*n].contains(w)) {
                return Err(format!("{name} names {} twice", twice.1));
            }
        }
        if let Some(count) = self.vcpus.iter().find(|count| !(1..=256).contains(*count)) {
            return Err(format!("vcpus are 1 to 256, and not {count}"));
        }
        if let Some(count) = self.nodes.iter().find(|count| !(1..=16).contains(*count)) {
            return Err(format!("nodes are 1 to 16, and not {count}"));
        }
        let wrong = |size: &&ByteSize| {
            size.as_bytes() < 16 << 20 || !size.as_bytes().is_multiple_of(1 << 20)
        };
        if let Some(size) = self.memory.iter().find(wrong) {
            return Err(format!("memory is at least 16 MiB, in whole MiB, and not {size}"));
        }
        if self.disk.contains(&Bus::Floppy) {
            return Err("disk cannot be floppy: no system's disk is one".into());
        }
        Ok(())
    }

    /// Each parameter with the words of its values.
    pub fn words(&self) -> [(&'static str, Vec<String>); 8] {
        let [chipset, firmware, disk, nic, vcpus, memory, nodes, channel] = MACHINE_PARAMETERS;
        [
            (chipset, self.chipset.iter().map(word).collect()),
            (firmware, self.firmware.iter().map(word).collect()),
            (disk, self.disk.iter().map(word).collect()),
            (nic, self.nic.iter().map(word).collect()),
            (vcpus, self.vcpus.iter().map(ToString::to_string).collect()),
            (memory, self.memory.iter().map(|size| size_word(*size)).collect()),
            (nodes, self.nodes.iter().map(ToString::to_string).collect()),
            (channel, self.channel.iter().map(word).collect()),
        ]
    }
}

/// One machine configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MachineRow {
    /// Chipset generation.
    pub chipset: Chipset,
    /// Firmware.
    pub firmware: Firmware,
    /// Bus of the disks.
    pub disk: Bus,
    /// Network adapter.
    pub nic: NicModel,
    /// vCPUs at the start.
    pub vcpus: u32,
    /// Memory at the start.
    pub memory: ByteSize,
    /// NUMA nodes; 1 is none.
    pub nodes: u32,
    /// How the guest sees the probe's channel.
    pub channel: ChannelKind,
}

impl MachineRow {
    /// The row that a machine is; none if it has no disk, no network adapter or no probe channel.
    pub fn of(machine: &MachineSpec) -> Option<Self> {
        let with = |role| machine.disks.iter().find(|disk| disk.role == role);
        let disk = with(DiskRole::System).or_else(|| with(DiskRole::Scratch))?;
        Some(Self {
            chipset: machine.chipset,
            firmware: machine.firmware,
            disk: disk.bus,
            nic: machine.nics.first()?.model,
            vcpus: machine.cpus.count(),
            memory: machine.memory.size,
            nodes: machine.memory.nodes.max(1),
            channel: machine.channels.iter().find(|channel| channel.name == "probe")?.kind,
        })
    }

    /// The words of its values, in the order of [`MACHINE_PARAMETERS`].
    pub fn words(&self) -> [String; 8] {
        [
            word(&self.chipset),
            word(&self.firmware),
            word(&self.disk),
            word(&self.nic),
            self.vcpus.to_string(),
            size_word(self.memory),
            self.nodes.to_string(),
            word(&self.channel),
        ]
    }

    /// The row of these words.
    pub fn from_words(words: &[impl AsRef<str>]) -> Option<Self> {
        let [chipset, firmware, disk, nic, vcpus, memory, nodes, channel] = words else {
            return None;
        };
        Some(Self {
            chipset: unword(chipset)?,
            firmware: unword(firmware)?,
            disk: unword(disk)?,
            nic: unword(nic)?,
            vcpus: vcpus.as_ref().parse().ok()?,
            memory: memory.as_ref().parse().ok()?,
            nodes: nodes.as_ref().parse().ok()?,
            channel: unword(channel)?,
        })
    }
}

/// What can be tried of a guest on a host: parameters with values, and what cannot be, with reasons.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MachineSpace {
    /// The parameters, in the order of a row's words.
    pub parameters: Vec<SpaceParameter>,
    /// Settings that no machine has together.
    pub infeasible: Vec<SpaceRule>,
}

/// A parameter with its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SpaceParameter {
    /// Its name.
    pub name: String,
    /// The words of its values.
    pub values: Vec<String>,
}

/// Settings that no machine has together, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SpaceRule {
    /// Parameters with their values.
    pub settings: BTreeMap<String, String>,
    /// Why not.
    pub reason: String,
}

impl SpaceRule {
    /// The settings in one line: `disk=ide chipset=modern`.
    pub fn what(&self) -> String {
        let all: Vec<_> =
            self.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        all.join(" ")
    }
}

/// The name that a value has in files.
fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).ok();
    value.and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

fn unword<T: for<'a> Deserialize<'a>>(word: &impl AsRef<str>) -> Option<T> {
    serde_json::from_value(serde_json::Value::String(word.as_ref().to_owned())).ok()
}

/// Without the space, so that a word is one.
fn size_word(size: ByteSize) -> String {
    size.to_string().replace(' ', "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Boot;

    fn row() -> MachineRow {
        MachineRow {
            chipset: Chipset::Legacy,
            firmware: Firmware::Uefi,
            disk: Bus::VirtioScsi,
            nic: NicModel::E1000e,
            vcpus: 4,
            memory: ByteSize::gib(1),
            nodes: 2,
            channel: ChannelKind::Serial,
        }
    }

    #[test]
    fn a_row_survives_its_words() {
        let words = row().words();
        assert_eq!(words.join(" "), "legacy uefi virtio-scsi e1000e 4 1GiB 2 serial");
        assert_eq!(MachineRow::from_words(&words), Some(row()));
        for bad in [&words[..7], &["x".to_owned(), String::new()][..]] {
            assert_eq!(MachineRow::from_words(bad), None);
        }
        let mut other = words.clone();
        other[2] = "scsi;rm".into();
        assert_eq!(MachineRow::from_words(&other), None);
    }

    #[test]
    fn a_machine_without_what_a_row_says_is_none() {
        let spec = MachineSpec::new(ByteSize::mib(512), Boot::Nothing);
        assert_eq!(MachineRow::of(&spec), None);
    }

    #[test]
    fn values_that_cannot_be_meant_are_told() {
        assert_eq!(MachineValues::default().check(), Ok(()));
        let values = |change: fn(&mut MachineValues)| {
            let mut values = MachineValues::default();
            change(&mut values);
            values.check().expect_err("is wrong")
        };
        assert!(values(|v| v.nic.clear()).starts_with("nic has no value"));
        assert!(values(|v| v.disk.push(Bus::Sata)).contains("disk names sata twice"));
        assert!(values(|v| v.vcpus.push(0)).contains("not 0"));
        assert!(values(|v| v.nodes = vec![17]).contains("not 17"));
        assert!(values(|v| v.memory = vec![ByteSize::bytes(5)]).contains("16 MiB"));
        assert!(values(|v| v.disk.push(Bus::Floppy)).contains("floppy"));
        assert!(values(|v| v.vcpus = (1..=33).collect()).contains("more than 32"));
    }
}
