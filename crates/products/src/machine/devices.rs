//! The devices that choices are made among, by the ends of their ids, the one to prefer first.

use hospitium_model::{Bus, Chipset, NicModel};

use crate::DeviceId;

pub(super) const Q35: &str = "http://qemu.org/chipset/x86/q35";
pub(super) const VIRTIO_BLOCK: [&str; 2] = ["pci/1af4/1042", "pci/1af4/1001"];
pub(super) const VIRTIO_SCSI: [&str; 2] = ["pci/1af4/1048", "pci/1af4/1004"];
pub(super) const VIRTIO_NET: [&str; 2] = ["pci/1af4/1041", "pci/1af4/1000"];
pub(super) const VIRTIO_CONSOLE: [&str; 2] = ["pci/1af4/1043", "pci/1af4/1003"];
pub(super) const VIRTIO_RNG: [&str; 2] = ["pci/1af4/1044", "pci/1af4/1005"];
pub(super) const VIRTIO_BALLOON: [&str; 2] = ["pci/1af4/1045", "pci/1af4/1002"];
pub(super) const AHCI: [&str; 2] = ["pci/8086/2922", "pci/15ad/07e0"];
pub(super) const IDE: [&str; 2] = ["pci/8086/7010", "pci/8086/7111"];
pub(super) const WATCHDOG: [&str; 2] = ["pci/8086/25ab", "isa/ib700"];

/// Network adapters, the one to prefer first, and what a machine's description has for it.
pub(super) const NETWORK: [(&[&str], Option<NicModel>); 11] = [
    (&VIRTIO_NET, Some(NicModel::Virtio)),
    (&["vmbus/f8615163-df3e-46c5-913f-f2d2f965ed0e"], None),
    (&["pci/15ad/07b0"], Some(NicModel::Vmxnet3)),
    (&["pci/8086/10d3"], Some(NicModel::E1000e)),
    (&["pci/8086/100e", "pci/8086/100f"], Some(NicModel::E1000)),
    (&["pci/15ad/0720"], None),
    (&["pci/10ec/8139"], Some(NicModel::Rtl8139)),
    (&["pci/1022/2000"], None),
    (&["pci/1011/0009"], None),
    (&["pci/10ec/8029"], None),
    (&["xen/vif"], None),
];

/// Disk controllers for which a machine's description has no bus.
pub(super) const OTHER_DISKS: [&str; 6] = [
    "pci/15ad/07c0",
    "pci/1000/0054",
    "pci/1000/0030",
    "pci/104b/1040",
    "xen/vbd",
    "vmbus/ba6163d9-04a1-4d29-b605-72e2ffb1dc7f",
];

/// Whether an id ends in `pci/1af4/1001` and the like.
pub(super) fn is(id: &DeviceId, tail: &str) -> bool {
    id.as_str().strip_suffix(tail).is_some_and(|before| before.ends_with('/'))
        || id.as_str() == tail
}

/// The ids by which osinfo-db (20221130 and later) knows the devices of a machine that was tried: its
/// virtio disk controllers and its network adapters; of AHCI, IDE, NVMe and vmxnet3 it has none. Behind a PCI Express port, QEMU's virtio devices have the ids of virtio
/// 1.0 (OASIS virtio 1.1, section 4.1.2), on PCI those of before.
pub fn osinfo_devices(chipset: Chipset, buses: &[Bus], nics: &[NicModel]) -> Vec<String> {
    let generation = |[modern, legacy]: [&'static str; 2]| match chipset {
        Chipset::Modern => modern,
        Chipset::Legacy => legacy,
    };
    let buses = buses.iter().filter_map(|bus| match bus {
        Bus::Virtio => Some(generation(VIRTIO_BLOCK)),
        Bus::VirtioScsi => Some(generation(VIRTIO_SCSI)),
        _ => None,
    });
    let nics = nics.iter().filter_map(|nic| match nic {
        NicModel::Virtio => Some(generation(VIRTIO_NET)),
        NicModel::Vmxnet3 => None,
        other => {
            let mut known = NETWORK.into_iter();
            known.find(|(_, model)| *model == Some(*other))?.0.first().copied()
        }
    });
    let mut ids: Vec<String> =
        buses.chain(nics).map(|tail| format!("http://pcisig.com/{tail}")).collect();
    ids.sort();
    ids.dedup();
    ids
}
