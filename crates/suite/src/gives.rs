//! What a host gives of the machines of a cell: their facets, what it sees of them, which events it tells of.
//!
//! Asked of the first machine, before any check begins, so that what is not given is a skip by declared needs. A host
//! that says in the middle of a check that it cannot would otherwise turn a failure into a skip.

use hospitium_host::{
    EventClass, Host, HostError, Look, Machine, ProcessFacts, SeenDisk, Sight, alter,
};
use hospitium_model::{Answer, Inability};
use serde::{Deserialize, Serialize};

#[cfg(feature = "transcripts")]
use crate::Need;

/// A facet of a machine's, or of its host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the facets' own names")]
pub enum FacetKind {
    Hotplug,
    Wires,
    Media,
    Display,
    Inject,
    Balloon,
    Confinement,
    Saving,
    Moving,
    Dump,
    /// Of the host: machines that go on from a saved one.
    Cloning,
    /// Of the host: what the system of its computer says.
    Witness,
}

impl FacetKind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Hotplug,
        Self::Wires,
        Self::Media,
        Self::Display,
        Self::Inject,
        Self::Balloon,
        Self::Confinement,
        Self::Saving,
        Self::Moving,
        Self::Dump,
        Self::Cloning,
        Self::Witness,
    ];

    /// For a person.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Hotplug => "hot plug",
            Self::Wires => "network cables",
            Self::Media => "media of disks",
            Self::Display => "the display",
            Self::Inject => "injection of interrupts",
            Self::Balloon => "the memory balloon",
            Self::Confinement => "the hypervisor's process",
            Self::Saving => "saving to files",
            Self::Moving => "live migration",
            Self::Dump => "a dump of the memory",
            Self::Cloning => "going on from a saved machine",
            Self::Witness => "what the host's system says",
        }
    }

    fn of(self, host: &dyn Host, machine: &dyn Machine) -> Result<(), Inability> {
        match self {
            Self::Hotplug => machine.hotplug().map(|_| ()),
            Self::Wires => machine.wires().map(|_| ()),
            Self::Media => machine.media().map(|_| ()),
            Self::Display => machine.display().map(|_| ()),
            Self::Inject => machine.inject().map(|_| ()),
            Self::Balloon => machine.balloon().map(|_| ()),
            Self::Confinement => machine.confinement().map(|_| ()),
            Self::Saving => machine.saving().map(|_| ()),
            Self::Moving => machine.moving().map(|_| ()),
            Self::Dump => machine.dump().map(|_| ()),
            Self::Cloning => host.cloning().map(|_| ()),
            Self::Witness => host.witness().map(|_| ()),
        }
    }
}

/// A value that a host may see or not, of a machine, its process or its own computer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields' own names")]
pub enum SightKind {
    State,
    Vcpus,
    VcpuThreads,
    CpuModel,
    CpuType,
    MachineType,
    CpuFeatures,
    Memory,
    PluggedMemory,
    Balloon,
    Nodes,
    Devices,
    Disks,
    /// The serial number of each disk.
    DiskSerials,
    /// The sectors of each disk.
    DiskSectors,
    /// Whether each disk is read-only.
    DiskAccess,
    /// Whether a disc is in a drive.
    DiskMedium,
    Nics,
    Tpm,
    Uuid,
    GenerationId,
    HardwareClock,
    Smbios,
    Accelerator,
    Firmware,
    /// The number of the hypervisor's process.
    Process,
    /// User, system-call filter, privileges and capabilities of that process.
    ProcessRights,
    /// CPU time of that process.
    ProcessTime,
    /// Memory that it takes besides the guest's.
    Overhead,
    /// CPU time of the threads that run vCPUs.
    VcpuTimes,
    /// How the host's computer stands to CPU vulnerabilities.
    Vulnerabilities,
}

impl SightKind {
    /// All of a [`Look`].
    pub const OF_LOOK: [Self; 25] = [
        Self::State,
        Self::Vcpus,
        Self::VcpuThreads,
        Self::CpuModel,
        Self::CpuType,
        Self::MachineType,
        Self::CpuFeatures,
        Self::Memory,
        Self::PluggedMemory,
        Self::Balloon,
        Self::Nodes,
        Self::Devices,
        Self::Disks,
        Self::DiskSerials,
        Self::DiskSectors,
        Self::DiskAccess,
        Self::DiskMedium,
        Self::Nics,
        Self::Tpm,
        Self::Uuid,
        Self::GenerationId,
        Self::HardwareClock,
        Self::Smbios,
        Self::Accelerator,
        Self::Firmware,
    ];

    /// Takes it out of a look.
    pub(crate) fn hide(self, look: &mut Look, why: &Inability) {
        let why = why.clone();
        match self {
            Self::State => look.state = Err(why),
            Self::Vcpus => look.vcpus = Err(why),
            Self::VcpuThreads => look.vcpu_threads = Err(why),
            Self::CpuModel => look.cpu_model = Err(why),
            Self::CpuType => look.cpu_type = Err(why),
            Self::MachineType => look.machine_type = Err(why),
            Self::CpuFeatures => look.cpu_features = Err(why),
            Self::Memory => look.memory = Err(why),
            Self::PluggedMemory => look.plugged_memory = Err(why),
            Self::Balloon => look.balloon = Err(why),
            Self::Nodes => look.nodes = Err(why),
            Self::Devices => look.devices = Err(why),
            Self::Disks => look.disks = Err(why),
            Self::DiskSerials => alter(&mut look.disks, |disks| {
                disks.iter_mut().for_each(|disk| disk.serial = None);
            }),
            Self::DiskSectors => alter(&mut look.disks, |disks| {
                disks.iter_mut().for_each(|disk| disk.logical_sector = None);
            }),
            Self::DiskAccess => alter(&mut look.disks, |disks| {
                disks.iter_mut().for_each(|disk| disk.read_only = None);
            }),
            Self::DiskMedium => alter(&mut look.disks, |disks| {
                disks.iter_mut().for_each(|disk| disk.medium_in = None);
            }),
            Self::Nics => look.nics = Err(why),
            Self::Tpm => look.tpm = Err(why),
            Self::Uuid => look.uuid = Err(why),
            Self::GenerationId => look.generation_id = Err(why),
            Self::HardwareClock => look.hardware_clock = Err(why),
            Self::Smbios => look.smbios = Err(why),
            Self::Accelerator => look.accelerator = Err(why),
            Self::Firmware => look.firmware = Err(why),
            Self::Process
            | Self::ProcessRights
            | Self::ProcessTime
            | Self::Overhead
            | Self::VcpuTimes
            | Self::Vulnerabilities => {}
        }
    }

    /// Why it is not in a look; none if it is, or is no part of looks.
    fn lack(self, look: &Look) -> Option<Inability> {
        match self {
            Self::State => unseen(&look.state),
            Self::Vcpus => unseen(&look.vcpus),
            Self::VcpuThreads => unseen(&look.vcpu_threads),
            Self::CpuModel => unseen(&look.cpu_model),
            Self::CpuType => unseen(&look.cpu_type),
            Self::MachineType => unseen(&look.machine_type),
            Self::CpuFeatures => unseen(&look.cpu_features),
            Self::Memory => unseen(&look.memory),
            Self::PluggedMemory => unseen(&look.plugged_memory),
            Self::Balloon => unseen(&look.balloon),
            Self::Nodes => unseen(&look.nodes),
            Self::Devices => unseen(&look.devices),
            Self::Disks => unseen(&look.disks),
            Self::DiskSerials => each_disk(look, "serial number", |disk| disk.serial.is_some()),
            Self::DiskSectors => each_disk(look, "sectors", |disk| {
                disk.logical_sector.is_some() && disk.physical_sector.is_some()
            }),
            Self::DiskAccess => each_disk(look, "being read-only", |d| d.read_only.is_some()),
            Self::DiskMedium => each_disk(look, "medium being in", |d| d.medium_in.is_some()),
            Self::Nics => unseen(&look.nics),
            Self::Tpm => unseen(&look.tpm),
            Self::Uuid => unseen(&look.uuid),
            Self::GenerationId => unseen(&look.generation_id),
            Self::HardwareClock => unseen(&look.hardware_clock),
            Self::Smbios => unseen(&look.smbios),
            Self::Accelerator => unseen(&look.accelerator),
            Self::Firmware => unseen(&look.firmware),
            Self::Process
            | Self::ProcessRights
            | Self::ProcessTime
            | Self::Overhead
            | Self::VcpuTimes
            | Self::Vulnerabilities => None,
        }
    }
}

/// Why this is not seen.
fn unseen<T>(sight: &Sight<T>) -> Option<Inability> {
    sight.as_ref().err().cloned()
}

/// Why the disks of a look do not tell this.
fn each_disk(look: &Look, what: &str, tells: impl Fn(&SeenDisk) -> bool) -> Option<Inability> {
    match &look.disks {
        Err(unseen) => Some(unseen.clone()),
        Ok(disks) if disks.value.iter().any(tells) => None,
        Ok(_) => Some(Inability::of_host(format!("it does not tell a disk's {what}"))),
    }
}

/// What a host does not give, each with its reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gives {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    facets: Vec<(FacetKind, Inability)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sights: Vec<(SightKind, Inability)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    events: Vec<(EventClass, Inability)>,
}

impl Gives {
    /// Asks a host and a machine of it.
    ///
    /// # Errors
    /// The machine cannot be looked at.
    pub async fn of(host: &dyn Host, machine: &dyn Machine) -> Result<Self, HostError> {
        let lacks = |kind: FacetKind| Some((kind, kind.of(host, machine).err()?));
        let facets = FacetKind::ALL.into_iter().filter_map(lacks).collect();
        let look = machine.look().await?;
        let unseen = |kind: SightKind| Some((kind, kind.lack(&look)?));
        let mut sights: Vec<_> = SightKind::OF_LOOK.into_iter().filter_map(unseen).collect();
        sights.extend(of_process(machine).await?);
        let known = match host.witness() {
            Ok(witness) => witness.vulnerabilities().await.map(|_| ()),
            Err(why) => Err(why),
        };
        sights.extend(known.err().map(|why| (SightKind::Vulnerabilities, why)));
        let untold = |class: EventClass| match machine.observes(class) {
            Answer::Yes => None,
            Answer::No(why) => Some((class, Inability::of_host(why))),
        };
        Ok(Self {
            facets,
            sights,
            events: EventClass::ALL.into_iter().filter_map(untold).collect(),
        })
    }

    /// A host that does not give these.
    #[cfg(feature = "transcripts")]
    pub(crate) fn without(needs: &[Need]) -> Self {
        let mut gives = Self::default();
        for need in needs {
            let why = Inability::of_host("a seeded fault");
            match need {
                Need::Facet(kind) => gives.facets.push((*kind, why)),
                Need::Sight(kind) => gives.sights.push((*kind, why)),
                Need::Events(class) => gives.events.push((*class, why)),
                _ => {}
            }
        }
        gives
    }

    /// Why something is not in a look that was seen when the host was asked. SMBIOS lies in the guest's memory, and is not
    /// there between a reset and the firmware's work: its check asks for it by itself.
    pub(crate) fn hidden(&self, look: &Look) -> Option<Inability> {
        let lasting = SightKind::OF_LOOK.into_iter().filter(|kind| *kind != SightKind::Smbios);
        let seen = lasting.filter(|kind| self.unseen(*kind).is_none());
        seen.into_iter().find_map(|kind| kind.lack(look))
    }

    /// Why something is not among a process's facts that was when the host was asked.
    pub(crate) fn hidden_of_process(&self, facts: &ProcessFacts) -> Option<Inability> {
        let lacking = lacking_of_process(facts).into_iter();
        let hidden = lacking.filter(|(kind, _)| self.unseen(*kind).is_none());
        hidden.map(|(_, why)| why).next()
    }

    /// Why there is no such facet.
    pub fn no_facet(&self, kind: FacetKind) -> Option<&Inability> {
        reason(&self.facets, kind)
    }

    /// Why this is not seen.
    pub fn unseen(&self, kind: SightKind) -> Option<&Inability> {
        reason(&self.sights, kind)
    }

    /// Why events of this class are not told of.
    pub fn untold(&self, class: EventClass) -> Option<&Inability> {
        reason(&self.events, class)
    }
}

fn reason<K: PartialEq>(all: &[(K, Inability)], kind: K) -> Option<&Inability> {
    all.iter().find(|(lacking, _)| *lacking == kind).map(|(_, why)| why)
}

/// What is not seen of a machine's process.
async fn of_process(machine: &dyn Machine) -> Result<Vec<(SightKind, Inability)>, HostError> {
    use SightKind::{Overhead, Process, ProcessRights, ProcessTime, VcpuTimes};

    let confinement = match machine.confinement() {
        Ok(confinement) => confinement,
        Err(why) => {
            let all = [Process, ProcessRights, ProcessTime, Overhead, VcpuTimes];
            return Ok(all.map(|kind| (kind, why.clone())).into());
        }
    };
    let facts = confinement.process().await?;
    let mut unseen = lacking_of_process(&facts);
    unseen.extend(confinement.overhead().await?.err().map(|why| (Overhead, why)));
    unseen.extend(confinement.vcpu_times().await?.err().map(|why| (VcpuTimes, why)));
    Ok(unseen)
}

/// What is not among a process's facts.
fn lacking_of_process(facts: &ProcessFacts) -> Vec<(SightKind, Inability)> {
    let rights = [
        unseen(&facts.uid),
        unseen(&facts.seccomp),
        unseen(&facts.may_gain_privileges),
        unseen(&facts.capabilities),
    ];
    let all = [
        (SightKind::Process, unseen(&facts.pid)),
        (SightKind::ProcessRights, rights.into_iter().flatten().next()),
        (SightKind::ProcessTime, unseen(&facts.cpu_time)),
    ];
    all.into_iter().filter_map(|(kind, why)| Some((kind, why?))).collect()
}
