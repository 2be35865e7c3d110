//! One virtual machine, said without any hypervisor's private notions.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Answer, ByteSize};

/// What a machine is made of. Device ids are unique in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineSpec {
    /// Chipset generation.
    #[serde(default)]
    pub chipset: Chipset,
    /// Machine type by the hypervisor's own name (`pc-q35-7.2`), of that chipset generation; none for the newest that
    /// the hypervisor has of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_type: Option<String>,
    /// Firmware.
    #[serde(default)]
    pub firmware: Firmware,
    /// CPU model by the hypervisor's own name (`Haswell`); none for all that the host's CPUs can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_model: Option<String>,
    /// Virtual CPUs.
    #[serde(default)]
    pub cpus: CpuTopology,
    /// Memory.
    pub memory: Memory,
    /// What it boots.
    pub boot: Boot,
    /// Disks and optical drives.
    #[serde(default)]
    pub disks: Vec<Disk>,
    /// Disk controllers without a disk yet, so that some can be attached later.
    #[serde(default)]
    pub controllers: Vec<Bus>,
    /// Network interfaces.
    #[serde(default)]
    pub nics: Vec<Nic>,
    /// Byte channels between guest and harness, the console among them.
    #[serde(default)]
    pub channels: Vec<Channel>,
    /// What the firmware's SMBIOS tables say.
    #[serde(default)]
    pub smbios: Smbios,
    /// A graphics adapter, for screenshots.
    #[serde(default = "yes")]
    pub display: bool,
    /// Keyboard and tablet beyond what the chipset has.
    #[serde(default = "yes")]
    pub input: bool,
    /// A paravirtual random-number device.
    #[serde(default = "yes")]
    pub rng: bool,
    /// A memory balloon.
    #[serde(default = "yes")]
    pub balloon: bool,
    /// A device by which the guest's kernel tells that it panicked.
    #[serde(default = "yes")]
    pub panic_notifier: bool,
    /// A VM generation id, as a GUID.
    #[serde(default)]
    pub generation_id: Option<String>,
    /// A watchdog.
    #[serde(default)]
    pub watchdog: Option<Watchdog>,
    /// A TPM, empty when the machine is switched on for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<TpmVersion>,
    /// What the machine does when the guest crashes.
    #[serde(default)]
    pub on_crash: CrashAction,
    /// Free hot-plug slots to offer.
    #[serde(default = "four")]
    pub hotplug_slots: u32,
}

fn yes() -> bool {
    true
}

fn four() -> u32 {
    4
}

/// Chipset generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Chipset {
    /// PCI Express, AHCI, ACPI hot plug (Intel Q35 and the like).
    #[default]
    Modern,
    /// PCI and IDE (Intel 440FX and the like), for guests of before about 2008.
    Legacy,
}

/// Firmware kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Firmware {
    /// PC BIOS.
    #[default]
    Bios,
    /// UEFI.
    Uefi,
}

/// Virtual CPUs: `sockets × cores × threads` are there from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuTopology {
    /// Sockets populated at the start.
    pub sockets: u32,
    /// Cores in a socket.
    pub cores: u32,
    /// Threads in a core.
    pub threads: u32,
    /// Sockets in all, those for hot plug included; 0 means no more than `sockets`.
    #[serde(default)]
    pub max_sockets: u32,
}

impl Default for CpuTopology {
    fn default() -> Self {
        Self { sockets: 1, cores: 2, threads: 1, max_sockets: 0 }
    }
}

impl CpuTopology {
    /// vCPUs there from the start.
    pub const fn count(&self) -> u32 {
        self.sockets * self.cores * self.threads
    }

    /// vCPUs with every socket populated.
    pub const fn max_count(&self) -> u32 {
        let sockets = if self.max_sockets > self.sockets { self.max_sockets } else { self.sockets };
        sockets * self.cores * self.threads
    }
}

/// Memory of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// There from the start.
    pub size: ByteSize,
    /// Up to here by hot plug; equal to or less than `size` means none.
    #[serde(default)]
    pub max: ByteSize,
    /// NUMA nodes, the memory and sockets divided evenly among them; 0 and 1 mean none.
    #[serde(default)]
    pub nodes: u32,
}

/// What a machine boots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Boot {
    /// A kernel that the hypervisor loads itself.
    Kernel {
        /// Kernel image.
        kernel: PathBuf,
        /// Initial RAM disk.
        initrd: Option<PathBuf>,
        /// Kernel command line.
        command_line: String,
    },
    /// The first bootable of these device ids.
    Devices {
        /// Device ids, first choice first.
        order: Vec<String>,
    },
    /// Nothing to boot from at all.
    Nothing,
}

/// The bus of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the buses' own names")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Bus {
    Virtio,
    VirtioScsi,
    Sata,
    Ide,
    Nvme,
    Usb,
    Floppy,
}

impl Bus {
    /// Its name in files and check variants.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Virtio => "virtio",
            Self::VirtioScsi => "virtio-scsi",
            Self::Sata => "sata",
            Self::Ide => "ide",
            Self::Nvme => "nvme",
            Self::Usb => "usb",
            Self::Floppy => "floppy",
        }
    }

    /// Whether a guest can give back blocks of a disk on it that it no longer needs; else why not.
    pub fn takes_discard(self) -> Answer {
        match self {
            Self::Virtio | Self::VirtioScsi | Self::Sata | Self::Ide | Self::Nvme => Answer::Yes,
            // Linux drivers/usb/storage/scsiglue.c, skip_vpd_pages.
            Self::Usb => Answer::No(
                "USB mass storage is not asked for the pages that tell that blocks can be given back".into(),
            ),
            Self::Floppy => Answer::No("floppy disks know no blocks that are given back".into()),
        }
    }

    /// Whether a disk on it can tell the guest, by itself, that its size is another; else why not.
    pub fn tells_of_size(self) -> Answer {
        match self {
            // virtio 1.2, 5.2.4 (configuration change) and 5.6.6.3 (parameter change); NVM Express Base 2.0,
            // figure 145 (namespace attribute changed).
            Self::Virtio | Self::VirtioScsi | Self::Nvme => Answer::Yes,
            // ACS-4: IDENTIFY DEVICE is read when the disk is found, and nothing says that it has changed.
            Self::Sata | Self::Ide => {
                Answer::No("ATA has no way to tell that a disk's size has changed".into())
            }
            // USB Mass Storage Bulk-Only 1.0: a device speaks only when it is asked.
            Self::Usb | Self::Floppy => {
                Answer::No(format!("{} devices speak only when they are asked", self.name()))
            }
        }
    }
}

/// What a disk is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskRole {
    /// The guest's own system disk. Never written: the driver puts an overlay over it.
    System,
    /// Empty, for the checks to write on.
    Scratch,
    /// Read-only data for the guest, such as the drive that carries the probe.
    Data,
    /// A removable optical disc.
    Cdrom,
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// Device id.
    pub id: String,
    /// Role.
    pub role: DiskRole,
    /// Bus.
    pub bus: Bus,
    /// The image; none for an empty drive, or for a scratch disk that the driver makes.
    #[serde(default)]
    pub image: Option<PathBuf>,
    /// Image format (`raw`, `qcow2`, `vhd`, `vhdx`, `vmdk`), as probed and never guessed again.
    #[serde(default)]
    pub format: Option<String>,
    /// Size of a scratch disk that the driver makes.
    #[serde(default)]
    pub size: ByteSize,
    /// Serial number that the guest can read.
    #[serde(default)]
    pub serial: String,
    /// Logical sector size in bytes, 0 for the default.
    #[serde(default)]
    pub logical_sector: u32,
    /// Physical sector size in bytes, 0 for the default.
    #[serde(default)]
    pub physical_sector: u32,
    /// Writes are refused.
    #[serde(default)]
    pub read_only: bool,
    /// A power cut takes what was not flushed, as it would from a physical disk. (The name is that of how it was done
    /// first.)
    #[serde(default)]
    pub power_loss_log: bool,
    /// The medium has room for only this many bytes; the machine pauses when it is full.
    #[serde(default)]
    pub room: Option<ByteSize>,
}

/// Network interface model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the models' own names")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum NicModel {
    Virtio,
    E1000,
    E1000e,
    Rtl8139,
    Vmxnet3,
}

impl NicModel {
    /// Its name in files and questions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Virtio => "virtio",
            Self::E1000 => "e1000",
            Self::E1000e => "e1000e",
            Self::Rtl8139 => "rtl8139",
            Self::Vmxnet3 => "vmxnet3",
        }
    }
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nic {
    /// Device id.
    pub id: String,
    /// Model.
    pub model: NicModel,
    /// MAC address, `52:54:00:…`.
    pub mac: String,
    /// What it is connected to.
    pub network: Network,
    /// Queue pairs; 0 and 1 mean one.
    #[serde(default)]
    pub queues: u32,
}

/// What a network interface is connected to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// A cable that ends nowhere.
    Isolated,
    /// A cable that ends in the harness, which answers ARP, DHCP, ICMP and TCP itself. Nothing
    /// else is reachable. Frames pass over the machine's frame channel
    /// (`Wires::frames`), each led by its length as a big-endian `u32`.
    Harness,
}

/// A byte channel between guest and harness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Name: `console` and `probe` are used by all guests.
    pub name: String,
    /// How the guest sees it.
    pub kind: ChannelKind,
}

/// How the guest sees a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum ChannelKind {
    /// The n-th 16550 serial port, in the order of the list.
    Serial,
    /// A virtio-serial port of the channel's name.
    Virtio,
}

/// SMBIOS strings; empty ones are left to the hypervisor.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Smbios {
    /// System manufacturer.
    pub manufacturer: String,
    /// System product name.
    pub product: String,
    /// System serial number.
    pub serial: String,
    /// System UUID.
    pub uuid: String,
}

/// A watchdog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watchdog {
    /// What the machine does when it expires.
    pub action: WatchdogAction,
}

/// Which TPM (Trusted Computing Group, "TPM Main Specification" 1.2, "TPM 2.0 Library").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TpmVersion {
    /// 1.2, whose digests are SHA-1.
    #[serde(rename = "1.2")]
    V1_2,
    /// 2.0.
    #[serde(rename = "2.0")]
    V2_0,
}

impl TpmVersion {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
            Self::V2_0 => "2.0",
        }
    }
}

/// What a machine does when its watchdog expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the actions' own names")]
pub enum WatchdogAction {
    Reset,
    PowerOff,
    Pause,
    Nothing,
}

/// What a machine does when the guest crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the actions' own names")]
pub enum CrashAction {
    #[default]
    Pause,
    Reset,
    PowerOff,
}

/// Why a machine cannot be as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum SpecError {
    /// Two devices of one id.
    #[error("the id {0:?} is used by two devices")]
    DuplicateId(String),
    /// An id that could be taken for something else.
    #[error("{0:?} cannot be a device id; use up to 32 letters, digits and '-', a letter first")]
    BadId(String),
    /// Boot order names something that is not there.
    #[error("the boot order names {0:?}, which is no device of this machine")]
    UnknownBootDevice(String),
    /// Zero vCPUs, or more than anything can run.
    #[error("{0} vCPUs; a machine has 1 to 1024")]
    CpuCount(u32),
    /// Too little memory.
    #[error("{0} of memory; a machine has at least 16 MiB, in whole MiB")]
    MemorySize(ByteSize),
    /// Not a MAC address.
    #[error("{0:?} is no MAC address; it looks like 52:54:00:12:34:56")]
    Mac(String),
    /// A CPU model or machine type that could be taken for something else.
    #[error(
        "{0:?} cannot be the name of a CPU model or machine type; use up to 64 letters, digits, '.', '_', '+' and '-', \
         a letter or digit first"
    )]
    BadName(String),
}

/// Whether a hypervisor could name a CPU model or a machine type so, and nothing else be meant.
pub fn names_a_model(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b))
}

impl MachineSpec {
    /// A small machine with `size` of memory that boots `boot`.
    pub fn new(size: ByteSize, boot: Boot) -> Self {
        Self {
            chipset: Chipset::default(),
            machine_type: None,
            firmware: Firmware::default(),
            cpu_model: None,
            cpus: CpuTopology::default(),
            memory: Memory { size, max: ByteSize::default(), nodes: 0 },
            boot,
            disks: Vec::new(),
            controllers: Vec::new(),
            nics: Vec::new(),
            channels: vec![
                Channel { name: "console".into(), kind: ChannelKind::Serial },
                Channel { name: "probe".into(), kind: ChannelKind::Serial },
            ],
            smbios: Smbios::default(),
            display: true,
            input: true,
            rng: true,
            balloon: true,
            panic_notifier: true,
            generation_id: None,
            watchdog: None,
            tpm: None,
            on_crash: CrashAction::default(),
            hotplug_slots: 4,
        }
    }

    /// The disk of this id.
    pub fn disk(&self, id: &str) -> Option<&Disk> {
        self.disks.iter().find(|disk| disk.id == id)
    }

    /// The network interface of this id.
    pub fn nic(&self, id: &str) -> Option<&Nic> {
        self.nics.iter().find(|nic| nic.id == id)
    }

    /// Checks what a type cannot say.
    pub fn check(&self) -> Result<(), SpecError> {
        let names = self.cpu_model.iter().chain(&self.machine_type);
        if let Some(name) = names.into_iter().find(|name| !names_a_model(name)) {
            return Err(SpecError::BadName(name.chars().take(60).collect()));
        }
        let ids = self.disks.iter().map(|d| &d.id).chain(self.nics.iter().map(|n| &n.id));
        let ids: Vec<&String> = ids.chain(self.channels.iter().map(|c| &c.name)).collect();
        for (i, id) in ids.iter().enumerate() {
            let good = id.len() <= 32
                && id.starts_with(|c: char| c.is_ascii_alphabetic())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if !good {
                return Err(SpecError::BadId(id.chars().take(60).collect()));
            }
            if ids[..i].contains(id) {
                return Err(SpecError::DuplicateId((*id).clone()));
            }
        }
        if let Boot::Devices { order } = &self.boot
            && let Some(id) =
                order.iter().find(|id| self.disk(id).is_none() && self.nic(id).is_none())
        {
            return Err(SpecError::UnknownBootDevice(id.clone()));
        }
        let CpuTopology { sockets, cores, threads, max_sockets } = self.cpus;
        let count = sockets.max(max_sockets).saturating_mul(cores).saturating_mul(threads);
        if count == 0 || count > 1024 || sockets == 0 {
            return Err(SpecError::CpuCount(count));
        }
        let size = self.memory.size.as_bytes();
        if size < 16 << 20 || !size.is_multiple_of(1 << 20) {
            return Err(SpecError::MemorySize(self.memory.size));
        }
        let is_mac = |mac: &str| {
            mac.len() == 17
                && mac.split(':').count() == 6
                && mac.split(':').all(|b| b.len() == 2 && u8::from_str_radix(b, 16).is_ok())
        };
        match self.nics.iter().find(|nic| !is_mac(&nic.mac)) {
            Some(nic) => Err(SpecError::Mac(nic.mac.chars().take(40).collect())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(id: &str) -> Disk {
        Disk {
            id: id.into(),
            role: DiskRole::Scratch,
            bus: Bus::Virtio,
            image: None,
            format: None,
            size: ByteSize::mib(64),
            serial: String::new(),
            logical_sector: 0,
            physical_sector: 0,
            read_only: false,
            power_loss_log: false,
            room: None,
        }
    }

    #[test]
    fn ids_that_could_be_options_or_paths_are_refused() {
        for bad in ["", "a,b=c", "../x", "-drive", "9a", "a b"] {
            let mut spec = MachineSpec::new(ByteSize::mib(256), Boot::Nothing);
            spec.disks.push(disk(bad));
            assert!(matches!(spec.check(), Err(SpecError::BadId(_))), "{bad}");
        }
    }

    #[test]
    fn names_of_models_that_could_be_options_are_refused() {
        for bad in ["", "max,+vmx", "-cpu", "a b", "x=y", &"a".repeat(65)] {
            let mut spec = MachineSpec::new(ByteSize::mib(256), Boot::Nothing);
            spec.cpu_model = Some(bad.to_owned());
            assert!(matches!(spec.check(), Err(SpecError::BadName(_))), "{bad}");
            let machine_type = spec.cpu_model.take();
            let spec = MachineSpec { machine_type, ..spec };
            assert!(matches!(spec.check(), Err(SpecError::BadName(_))), "{bad}");
        }
        let mut spec = MachineSpec::new(ByteSize::mib(256), Boot::Nothing);
        spec.cpu_model = Some("EPYC-Rome-v1".into());
        spec.machine_type = Some("pc-q35-7.2+pve0".into());
        assert_eq!(spec.check(), Ok(()));
    }

    #[test]
    fn a_machine_whose_models_are_left_open_is_written_as_before() {
        let spec = MachineSpec::new(ByteSize::mib(256), Boot::Nothing);
        let text = toml::to_string(&spec).expect("serialises");
        assert!(!text.contains("cpu_model") && !text.contains("machine_type"), "{text}");
    }

    #[test]
    fn two_devices_cannot_share_an_id() {
        let mut spec = MachineSpec::new(ByteSize::mib(256), Boot::Nothing);
        spec.disks = vec![disk("a"), disk("a")];
        assert_eq!(spec.check(), Err(SpecError::DuplicateId("a".into())));
    }

    #[test]
    fn a_machine_survives_its_toml_form() {
        let mut spec = MachineSpec::new(
            ByteSize::mib(512),
            Boot::Kernel { kernel: "k".into(), initrd: None, command_line: "quiet".into() },
        );
        spec.disks.push(disk("scratch"));
        let text = toml::to_string(&spec).expect("serialises");
        assert_eq!(toml::from_str::<MachineSpec>(&text).expect("reads back"), spec);
    }
}
