//! What a definition says, whichever tool wrote it.

use std::fmt;

use hospitium_model::{Bus, ByteSize, Chipset, CpuTopology, Firmware, NicModel};
use serde::Serialize;

/// A value and the place where the file says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told<T> {
    /// The value.
    pub value: T,
    /// The line, from 1; 0 if the file says nothing and this is the format's documented default.
    pub line: u32,
    /// The element, attribute or key that says it, in the format's own words.
    pub from: String,
}

impl<T> Told<T> {
    /// The same place with another value.
    pub fn map<U>(self, to: impl FnOnce(T) -> U) -> Told<U> {
        Told { value: to(self.value), line: self.line, from: self.from }
    }

    /// A default of the format, which stands nowhere in the file.
    pub(crate) fn by_default(value: T, from: &str) -> Self {
        Self { value, line: 0, from: format!("default: {from}") }
    }
}

/// The form of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceFormat {
    /// libvirt's domain XML.
    Libvirt,
    /// VMware's configuration file.
    Vmx,
    /// DMTF's Open Virtualization Format, descriptor or archive.
    Ovf,
    /// Hyper-V's settings XML (`<configuration>`), 2008 to 2012 R2.
    HypervSettings,
    /// Hyper-V's export of WMI instances (`.exp`, CIM-XML), 2008 and 2008 R2.
    HypervInstances,
    /// What [`HYPERV_COMMAND`](crate::HYPERV_COMMAND) prints.
    HypervJson,
    /// oVirt's and RHV's own OVF, of which DMTF's reader understands nothing.
    OvirtOvf,
    /// VirtualBox's settings (`.vbox`).
    Vbox,
    /// Xen's `xl` and `xm` configuration.
    XenCfg,
    /// Proxmox VE's `/etc/pve/qemu-server/ID.conf`, which `qm config` prints too.
    Proxmox,
    /// KubeVirt's `VirtualMachine` or `VirtualMachineInstance`.
    KubeVirt,
}

impl SourceFormat {
    /// Its name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Libvirt => "libvirt domain XML",
            Self::Vmx => "VMware .vmx",
            Self::Ovf => "OVF",
            Self::HypervSettings => "Hyper-V settings XML",
            Self::HypervInstances => "Hyper-V export (WMI instances)",
            Self::HypervJson => "Hyper-V facts as JSON",
            Self::OvirtOvf => "oVirt's OVF",
            Self::Vbox => "VirtualBox .vbox",
            Self::XenCfg => "Xen xl configuration",
            Self::Proxmox => "Proxmox VE configuration",
            Self::KubeVirt => "KubeVirt VirtualMachine",
        }
    }
}

/// The kind of hypervisor that a definition is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the hypervisors' own names")]
pub enum Hypervisor {
    /// QEMU's emulation.
    Qemu,
    Kvm,
    Xen,
    /// Xen as XenServer and XCP-ng run it.
    XenServer,
    HyperV,
    /// ESX, ESXi, Workstation and the like.
    Vmware,
    VirtualBox,
    /// QEMU and KVM as Proxmox VE runs them.
    ProxmoxVe,
    /// QEMU and KVM as oVirt and RHV run them.
    OVirt,
    /// QEMU and KVM as KubeVirt and OpenShift Virtualization run them.
    KubeVirt,
    /// Another, by the format's name for it.
    Other(String),
}

impl fmt::Display for Hypervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Qemu => "QEMU",
            Self::Kvm => "KVM",
            Self::Xen => "Xen",
            Self::XenServer => "XenServer or XCP-ng",
            Self::HyperV => "Hyper-V",
            Self::Vmware => "VMware",
            Self::VirtualBox => "VirtualBox",
            Self::ProxmoxVe => "Proxmox VE",
            Self::OVirt => "oVirt",
            Self::KubeVirt => "KubeVirt",
            Self::Other(name) => name,
        })
    }
}

/// What a definition says about the system in the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "value", rename_all = "kebab-case")]
pub enum GuestHint {
    /// A libosinfo id: `http://redhat.com/rhel/5.3`.
    Osinfo(String),
    /// A `guestOS` value of a `.vmx`: `rhel5-64`.
    Vmx(String),
    /// A vSphere guest id, in OVF `vmw:osType`: `rhel5_64Guest`.
    Vsphere(String),
    /// A number of CIM_OperatingSystem.OSType.
    CimOsType(u32),
    /// VirtualBox's name of a system: `Ubuntu22_LTS_64`.
    VirtualBox(String),
    /// oVirt's name of a system: `rhel_8x64`.
    Ovirt(String),
    /// Words for people, such as OVF's description of the system.
    Words(String),
}

/// On what a disk is attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskBus {
    /// One that our machines have, too.
    Known(Bus),
    /// Another, by the format's own name: `lsilogic`, `pvscsi`, `xen`.
    Other(String),
}

impl fmt::Display for DiskBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(bus) => f.write_str(bus.name()),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// A disk or drive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiskDefinition {
    /// Its name in the file: `vda`, `scsi0:0`, an instance id.
    pub id: Told<String>,
    /// On what it is attached; none if the file does not tell.
    pub bus: Option<Told<DiskBus>>,
    /// The image or device, as named there. It is never opened.
    pub image: Option<Told<String>>,
    /// The image's format, as named there or by the image's ending.
    pub format: Option<Told<String>>,
    /// Its size, where the file tells it.
    pub size: Option<Told<ByteSize>>,
    /// Whether the guest can only read it.
    pub readonly: bool,
    /// Whether it is an optical drive.
    pub cdrom: bool,
}

/// A model of network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NicKind {
    /// One that our machines have, too.
    Known(NicModel),
    /// Another, by the format's own name: `vlance`, `PCNet32`, `synthetic`.
    Other(String),
}

impl NicKind {
    /// By a name that several formats use.
    pub(crate) fn named(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "virtio"
            | "virtio-net"
            | "virtio-net-pci"
            | "virtio-transitional"
            | "virtio-non-transitional" => Self::Known(NicModel::Virtio),
            "e1000" | "e1000-82540em" | "e1000-82544gc" | "e1000-82545em" | "82540em"
            | "82543gc" | "82545em" => Self::Known(NicModel::E1000),
            "e1000e" => Self::Known(NicModel::E1000e),
            "rtl8139" => Self::Known(NicModel::Rtl8139),
            "vmxnet3" => Self::Known(NicModel::Vmxnet3),
            _ => Self::Other(name.to_owned()),
        }
    }
}

impl fmt::Display for NicKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Known(NicModel::Virtio) => "virtio",
            Self::Known(NicModel::E1000) => "e1000",
            Self::Known(NicModel::E1000e) => "e1000e",
            Self::Known(NicModel::Rtl8139) => "rtl8139",
            Self::Known(NicModel::Vmxnet3) => "vmxnet3",
            Self::Other(name) => name,
        })
    }
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NicDefinition {
    /// Its name in the file, or its place in the order.
    pub id: Told<String>,
    /// Its model; none if the hypervisor chooses.
    pub model: Option<Told<NicKind>>,
}

/// Virtual CPUs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Vcpus {
    /// There at the start.
    pub count: Option<Told<u32>>,
    /// Up to here by hot plug, where more than that.
    pub max: Option<Told<u32>>,
    /// How the guest sees them.
    pub topology: Option<Told<CpuTopology>>,
}

/// Memory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Memories {
    /// There at the start.
    pub size: Option<Told<ByteSize>>,
    /// Up to here by hot plug or dynamic memory, where more than that.
    pub max: Option<Told<ByteSize>>,
}

/// Another device of which there is a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// `video`, `tpm`, `rng`, `balloon`, `watchdog`, `sound`, `passthrough`, `shared-folder` or `shared-memory`.
    pub kind: &'static str,
    /// Its model, by the format's own name.
    pub model: Told<String>,
}

/// Why something is not among the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// It is not known what it means, or its value makes no sense.
    NotUnderstood,
    /// It is known, and says nothing about whether the guest and the host work together.
    NotCompared,
    /// The same key was there before; the first one was taken.
    Repeated,
}

/// Something that is in the file and not among the values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Its line, from 1.
    pub line: u32,
    /// What it is: a path of elements, or a key, with the beginning of its value. Fit for a
    /// terminal.
    pub what: String,
    /// Why.
    pub why: Why,
}

/// One machine. What the file does not say is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VmDefinition {
    /// The form of the file.
    pub format: SourceFormat,
    /// The machine's name.
    pub name: Option<Told<String>>,
    /// For which hypervisor it is.
    pub hypervisor: Option<Told<Hypervisor>>,
    /// The version of the virtual hardware, in the format's words: `pc-q35-7.2`, `vmx-10`, `5.0`.
    pub hardware: Option<Told<String>>,
    /// The oldest version of the hypervisor that has this virtual hardware, where that is known; the
    /// one that runs it may be newer.
    pub hypervisor_from: Option<Told<String>>,
    /// The oldest hosts that can run it, as words to search the products for. Several if the file leaves
    /// open which it is; none if it says too little.
    pub hosts: Vec<Told<String>>,
    /// Whether what makes up the machine is encrypted. Then nothing that is absent has its default.
    pub encrypted: Option<Told<bool>>,
    /// What it says about the system in the machine, the most exact first.
    pub guest: Vec<Told<GuestHint>>,
    /// Architecture: `x86_64`, `i686`, `aarch64`.
    pub arch: Option<Told<String>>,
    /// Firmware.
    pub firmware: Option<Told<Firmware>>,
    /// Whether Secure Boot is on.
    pub secure_boot: Option<Told<bool>>,
    /// Chipset generation; none where the machine has neither.
    pub chipset: Option<Told<Chipset>>,
    /// CPU model, where the file asks for one by name.
    pub cpu_model: Option<Told<String>>,
    /// Virtual CPUs.
    pub vcpus: Vcpus,
    /// Memory.
    pub memory: Memories,
    /// Disks and drives.
    pub disks: Vec<DiskDefinition>,
    /// Network interfaces.
    pub nics: Vec<NicDefinition>,
    /// Other devices.
    pub devices: Vec<Device>,
    /// What is in the file besides, by line; at most 2,000.
    pub left: Vec<Left>,
    /// How much more than that there is.
    pub left_more: usize,
}

impl VmDefinition {
    pub(crate) fn new(format: SourceFormat) -> Self {
        Self {
            format,
            name: None,
            hypervisor: None,
            hardware: None,
            hypervisor_from: None,
            hosts: Vec::new(),
            encrypted: None,
            guest: Vec::new(),
            arch: None,
            firmware: None,
            secure_boot: None,
            chipset: None,
            cpu_model: None,
            vcpus: Vcpus::default(),
            memory: Memories::default(),
            disks: Vec::new(),
            nics: Vec::new(),
            devices: Vec::new(),
            left: Vec::new(),
            left_more: 0,
        }
    }

    /// The architecture of a PC, or none told: only such machines have a BIOS and these chipsets.
    pub(crate) fn may_be_pc(&self) -> bool {
        self.arch.as_ref().is_none_or(|arch| arch.value == "x86_64" || arch.value == "i686")
    }

    /// Disks that are no optical and no floppy drives.
    pub fn hard_disks(&self) -> impl Iterator<Item = &DiskDefinition> {
        let floppy = DiskBus::Known(Bus::Floppy);
        self.disks
            .iter()
            .filter(move |d| !d.cdrom && d.bus.as_ref().is_none_or(|bus| bus.value != floppy))
    }

    /// The devices of a kind.
    pub fn devices_of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Device> {
        self.devices.iter().filter(move |device| device.kind == kind)
    }

    /// What was not understood: everything in [`left`](Self::left) that is not merely of no
    /// concern.
    pub fn not_understood(&self) -> impl Iterator<Item = &Left> {
        self.left.iter().filter(|left| left.why != Why::NotCompared)
    }

    /// Adds to what is left.
    pub(crate) fn leave(&mut self, line: u32, what: &str, why: Why) {
        const MOST: usize = 2000;
        if self.left.len() < MOST {
            self.left.push(Left { line, what: hospitium_model::printable(what, 160), why });
        } else {
            self.left_more += 1;
        }
    }
}
