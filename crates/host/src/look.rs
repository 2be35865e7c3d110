//! What the host sees of a machine: each value with its source, or why it is unseen.

use std::collections::BTreeSet;

use hospitium_model::{Accelerator, ByteSize, Firmware, Inability, Outside};
use serde::{Deserialize, Serialize};

/// A value with its source, or the reason why it is unseen.
pub type Sight<T> = Result<Outside<T>, Inability>;

/// Alters a value that was seen. For faults on purpose.
pub fn alter<T>(sight: &mut Sight<T>, how: impl FnOnce(&mut T)) {
    if let Ok(seen) = sight {
        how(&mut seen.value);
    }
}

/// What the host sees of a machine now. Nothing in it comes from the specification that the harness
/// wrote: what the hypervisor cannot be asked, and what can be read nowhere, is an
/// [`Inability`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Running or not.
    pub state: Sight<MachineState>,
    /// vCPUs that exist: socket, core and thread of each.
    pub vcpus: Sight<Vec<(u32, u32, u32)>>,
    /// Host threads that run vCPUs.
    pub vcpu_threads: Sight<Vec<u32>>,
    /// The name that the CPUs have.
    pub cpu_model: Sight<String>,
    /// The model of vCPU 0 as the hypervisor names it: `Haswell`.
    #[serde(default = "not_asked")]
    pub cpu_type: Sight<String>,
    /// The machine type as the hypervisor names it: `pc-q35-7.2`.
    #[serde(default = "not_asked")]
    pub machine_type: Sight<String>,
    /// CPUID feature words that the hypervisor gives vCPU 0.
    pub cpu_features: Sight<Vec<CpuFeatureWord>>,
    /// Memory of the machine, without hot-plugged.
    pub memory: Sight<ByteSize>,
    /// Hot-plugged memory.
    pub plugged_memory: Sight<ByteSize>,
    /// Memory in the guest's hands by the balloon.
    pub balloon: Sight<ByteSize>,
    /// NUMA nodes that are defined.
    pub nodes: Sight<Vec<SeenNode>>,
    /// PCI devices that the guest should find.
    pub devices: Sight<Vec<SeenDevice>>,
    /// Disks, by id.
    pub disks: Sight<Vec<SeenDisk>>,
    /// Network interfaces, by id.
    pub nics: Sight<Vec<SeenNic>>,
    /// The TPM; none if there is none.
    #[serde(default = "not_asked")]
    pub tpm: Sight<Option<SeenTpm>>,
    /// UUID.
    pub uuid: Sight<String>,
    /// VM generation id.
    pub generation_id: Sight<String>,
    /// Seconds since 1970 that the hardware clock shows, read as UTC.
    pub hardware_clock: Sight<i64>,
    /// SMBIOS strings of the system.
    pub smbios: Sight<SeenSmbios>,
    /// The accelerator that runs this very machine.
    pub accelerator: Sight<Accelerator>,
    /// Firmware that this machine started.
    pub firmware: Sight<Firmware>,
}

/// Of a look that was written down before this was looked for.
fn not_asked<T>() -> Sight<T> {
    Err(Inability::of_host("it was not looked for"))
}

impl Look {
    /// A look in which nothing was seen, for this reason.
    pub fn unseen(why: &str) -> Self {
        fn unseen<T>(why: &str) -> Sight<T> {
            Err(Inability::of_host(why))
        }
        Self {
            state: unseen(why),
            vcpus: unseen(why),
            vcpu_threads: unseen(why),
            cpu_model: unseen(why),
            cpu_type: unseen(why),
            machine_type: unseen(why),
            cpu_features: unseen(why),
            memory: unseen(why),
            plugged_memory: unseen(why),
            balloon: unseen(why),
            nodes: unseen(why),
            devices: unseen(why),
            disks: unseen(why),
            nics: unseen(why),
            tpm: unseen(why),
            uuid: unseen(why),
            generation_id: unseen(why),
            hardware_clock: unseen(why),
            smbios: unseen(why),
            accelerator: unseen(why),
            firmware: unseen(why),
        }
    }

    /// Two answers that cannot both be true, in words; none if there are no such. A host that contradicts itself is no
    /// witness.
    pub fn contradiction(&self) -> Option<String> {
        fn of<T>(sight: &Sight<T>) -> Option<&T> {
            sight.as_ref().ok().map(|seen| &seen.value)
        }
        if let (Some(vcpus), Some(threads)) = (of(&self.vcpus), of(&self.vcpu_threads))
            && vcpus.len() != threads.len()
        {
            let (vcpus, threads) = (vcpus.len(), threads.len());
            return Some(format!("{vcpus} vCPUs, and {threads} threads that run them"));
        }
        if let Some(place) = of(&self.vcpus).and_then(twice) {
            return Some(format!("two vCPUs in one place (socket, core, thread): {place:?}"));
        }
        // What was plugged in and is not seen may be any amount.
        if let (Some(memory), Some(balloon), Some(plugged)) =
            (of(&self.memory), of(&self.balloon), of(&self.plugged_memory))
        {
            let all = memory.as_bytes().saturating_add(plugged.as_bytes());
            if balloon.as_bytes() > all {
                let all = ByteSize::bytes(all);
                return Some(format!("{balloon} in the guest's hands, and {all} in all"));
            }
        }
        if let Some(nodes) = of(&self.nodes)
            && let Some(vcpu) = twice(nodes.iter().flat_map(|node| &node.vcpus))
        {
            return Some(format!("vCPU {vcpu} in two NUMA nodes"));
        }
        let all = of(&self.devices).map(Vec::as_slice).unwrap_or_default();
        if let Some(address) = twice(all.iter().map(|device| &device.address)) {
            return Some(format!("two PCI devices at {address}"));
        }
        let disks = of(&self.disks).map(Vec::as_slice).unwrap_or_default();
        let nics = of(&self.nics).map(Vec::as_slice).unwrap_or_default();
        let ids = disks.iter().map(|disk| &disk.id).chain(nics.iter().map(|nic| &nic.id));
        twice(ids).map(|id| format!("two devices of the id {id:?}"))
    }
}

/// The first that comes twice.
fn twice<T: Ord>(all: impl IntoIterator<Item = T>) -> Option<T> {
    let mut known = BTreeSet::new();
    for one in all {
        if known.contains(&one) {
            return Some(one);
        }
        known.insert(one);
    }
    None
}

/// A NUMA node as the host has it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SeenNode {
    /// Its memory, hot-plugged included.
    pub memory: ByteSize,
    /// Its vCPUs, by their numbers.
    pub vcpus: Vec<u32>,
}

/// A network interface as the host has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenNic {
    /// Id.
    pub id: String,
    /// MAC address.
    pub mac: String,
}

/// A TPM as the host has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenTpm {
    /// The interface that the guest finds, by the hypervisor's name: `tpm-crb`.
    pub interface: String,
    /// What is behind it: `emulator`.
    pub backend: String,
}

/// SMBIOS strings of the system (type 1), as the machine's firmware was given them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SeenSmbios {
    /// Manufacturer.
    pub manufacturer: String,
    /// Product name.
    pub product: String,
    /// Serial number.
    pub serial: String,
}

/// A CPUID register full of feature bits, as the hypervisor says that it gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuFeatureWord {
    /// EAX of the query.
    pub leaf: u32,
    /// ECX of the query.
    pub subleaf: u32,
    /// 0 to 3 for EAX, EBX, ECX, EDX of the answer.
    pub register: u8,
    /// The bits.
    pub bits: u32,
}

/// Running or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MachineState {
    /// vCPUs run.
    Running,
    /// Stopped from outside.
    Paused,
    /// Stopped because a disk had no room or failed.
    IoError,
    /// Stopped because the guest crashed.
    Crashed,
    /// Powered off.
    Off,
    /// Suspended by the guest.
    Suspended,
    /// The watchdog stopped it.
    Watchdog,
    /// Something else: starting, saving, migrating.
    Other,
}

/// A PCI device as the host has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SeenDevice {
    /// Bus, device and function: `0000:00:02.0` where the guest numbers buses as the host does,
    /// else the slot below its bridge.
    pub address: String,
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Class code: base class and subclass.
    pub class: u16,
}

/// A disk as the host has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenDisk {
    /// Id.
    pub id: String,
    /// Size.
    pub size: ByteSize,
    /// Writes that the VMM counted.
    pub writes: u64,
    /// Flushes that the VMM counted.
    pub flushes: u64,
    /// Refuses writes, where the hypervisor tells it.
    pub read_only: Option<bool>,
    /// A disc is in, for removable ones, where the hypervisor tells it.
    pub medium_in: Option<bool>,
    /// Serial number that the guest can read, where the hypervisor tells it.
    pub serial: Option<String>,
    /// Logical sector in bytes, where the hypervisor tells it.
    pub logical_sector: Option<u32>,
    /// Physical sector in bytes, where the hypervisor tells it.
    pub physical_sector: Option<u32>,
}

#[cfg(test)]
mod tests {
    use hospitium_model::HostSource;

    use super::*;

    fn saw<T>(value: T) -> Sight<T> {
        Ok(HostSource::Hypervisor.saw(value))
    }

    #[test]
    fn answers_that_cannot_both_be_true_are_found_and_named() {
        let told = |alter: fn(&mut Look)| {
            let mut look = Look::unseen("nobody looked");
            look.vcpus = saw(vec![(0, 0, 0), (1, 0, 0)]);
            look.vcpu_threads = saw(vec![7, 8]);
            (look.memory, look.balloon) = (saw(ByteSize::mib(512)), saw(ByteSize::mib(512)));
            look.nodes = saw(vec![SeenNode { memory: ByteSize::mib(512), vcpus: vec![0, 1] }]);
            look.nics = saw(vec![SeenNic { id: "net0".into(), mac: String::new() }]);
            look.plugged_memory = saw(ByteSize::default());
            alter(&mut look);
            look.contradiction().unwrap_or_default()
        };
        assert_eq!(told(|_| ()), "");
        assert_eq!(
            told(|look| look.vcpu_threads = saw(vec![7])),
            "2 vCPUs, and 1 threads that run them"
        );
        assert!(told(|look| look.vcpus = saw(vec![(0, 0, 0); 2])).contains("(0, 0, 0)"));
        assert!(told(|look| look.balloon = saw(ByteSize::mib(513))).contains("and 512 MiB in all"));
        let again = |look: &mut Look| alter(&mut look.nodes, |nodes| nodes.push(nodes[0].clone()));
        assert_eq!(told(again), "vCPU 0 in two NUMA nodes");
        let again = |look: &mut Look| alter(&mut look.nics, |nics| nics.push(nics[0].clone()));
        assert_eq!(told(again), "two devices of the id \"net0\"");
        // What was not seen contradicts nothing, and plugged memory counts.
        assert_eq!(Look::unseen("nobody looked").contradiction(), None);
        let plugged = |look: &mut Look| {
            look.plugged_memory = saw(ByteSize::mib(128));
            look.balloon = saw(ByteSize::mib(640));
        };
        assert_eq!(told(plugged), "");
        let hidden = |look: &mut Look| {
            look.balloon = saw(ByteSize::mib(640));
            look.plugged_memory = Err(Inability::of_host("it does not tell"));
        };
        assert_eq!(told(hidden), "");
    }
}
