//! Devices as libvirt's XML: those that a machine has from the start, and those that come while it runs.

use std::path::PathBuf;

use hospitium_host::HostError;
use hospitium_model::{Bus, ByteSize, Channel, ChannelKind, Disk, DiskRole, Nic, NicModel};
use hospitium_xml::Element;

use super::tree::{Build as _, element};
use crate::watched::ALIAS;

/// An image, and those below it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Layer {
    /// Where the VMM finds it.
    pub path: PathBuf,
    /// `raw`, `qcow2`, and QEMU's other names.
    pub format: String,
}

/// What a disk is made of as the VMM sees it.
#[derive(Debug, Clone)]
pub(crate) struct DiskParts<'a> {
    pub disk: &'a Disk,
    /// Images, the top first; none for an empty drive.
    pub layers: &'a [Layer],
    /// Only so many bytes of the top image's file may be used.
    pub room: Option<u64>,
    /// The socket of an NBD server that has the top image, where it has.
    pub server: Option<&'a str>,
    /// Libvirt's name of it: `vda`.
    pub target: &'a str,
    /// Its place on its controller, where it is told.
    pub unit: Option<u32>,
    /// Its place in the boot order, from 1.
    pub boot: Option<usize>,
}

/// The alias by which a device is known.
pub(crate) fn alias(id: &str) -> Element {
    element("alias").with("name", format!("{ALIAS}{id}"))
}

/// Libvirt's name of a bus, and what names of its disks begin with.
pub(crate) fn bus_name(bus: Bus) -> Result<(&'static str, &'static str), HostError> {
    Ok(match bus {
        Bus::Virtio => ("virtio", "vd"),
        Bus::VirtioScsi => ("scsi", "sd"),
        Bus::Sata => ("sata", "sd"),
        Bus::Ide => ("ide", "hd"),
        Bus::Usb => ("usb", "sd"),
        Bus::Floppy => ("fdc", "fd"),
        Bus::Nvme => {
            return Err(HostError::Unsupported {
                what: "an NVMe disk".into(),
                why: "this libvirt emulates no NVMe controllers".into(),
            });
        }
    })
}

fn image(layer: &Layer, room: Option<u64>, name: &str) -> Element {
    let mut source = element("source").with(name, layer.path.display());
    if let Some(room) = room {
        let slice = element("slice").with("type", "storage").with("offset", 0).with("size", room);
        source = source.child(element("slices").child(slice));
    }
    source
}

/// The images below the top one. All are said, so that no name in an image is followed.
fn backing(layers: &[Layer]) -> Element {
    match layers.split_first() {
        None => element("backingStore"),
        Some((layer, below)) => element("backingStore")
            .with("type", "file")
            .child(element("format").with("type", &layer.format))
            .child(image(layer, None, "file"))
            .child(backing(below)),
    }
}

/// A disk or a drive.
pub(crate) fn disk(parts: &DiskParts<'_>) -> Result<Element, HostError> {
    let disk = parts.disk;
    let (bus, _) = bus_name(disk.bus)?;
    let optical = disk.role == DiskRole::Cdrom;
    let kind = match (optical, disk.bus) {
        (true, Bus::Sata | Bus::Ide | Bus::VirtioScsi) => "cdrom",
        (true, bus) => {
            return Err(HostError::Unsupported {
                what: format!("an optical drive on {}", bus.name()),
                why: "QEMU has optical drives on sata, ide and virtio-scsi".into(),
            });
        }
        (false, Bus::Floppy) => "floppy",
        (false, _) => "disk",
    };
    let top = parts.layers.first();
    let mut driver = element("driver")
        .with("name", "qemu")
        .with("type", top.map_or("raw", |layer| layer.format.as_str()));
    if !optical && disk.bus != Bus::Floppy {
        driver = driver.with("error_policy", "enospace").with("discard", "unmap");
    }
    let place = if parts.server.is_some() { "network" } else { "file" };
    let mut tree = element("disk").with("type", place).with("device", kind).child(driver);
    if let Some(layer) = top {
        let source = match parts.server {
            Some(socket) => element("source")
                .with("protocol", "nbd")
                .with("name", "")
                .child(element("host").with("transport", "unix").with("socket", socket)),
            None => image(layer, parts.room, "file"),
        };
        tree = tree.child(source).child(backing(&parts.layers[1..]));
    }
    let mut target = element("target").with("dev", parts.target).with("bus", bus);
    if disk.bus == Bus::Usb && !optical {
        target = target.with("removable", "on");
    }
    tree = tree.child(target);
    if disk.logical_sector != 0 || disk.physical_sector != 0 {
        let mut sectors = element("blockio");
        for (name, size) in [
            ("logical_block_size", disk.logical_sector),
            ("physical_block_size", disk.physical_sector),
        ] {
            if size != 0 {
                sectors = sectors.with(name, size);
            }
        }
        tree = tree.child(sectors);
    }
    if optical || disk.read_only || disk.role == DiskRole::Data {
        tree = tree.child(element("readonly"));
    }
    if !disk.serial.is_empty() && disk.bus != Bus::Floppy {
        tree = tree.child(element("serial").text(&disk.serial));
    }
    if let Some(place) = parts.boot {
        tree = tree.child(element("boot").with("order", place));
    }
    tree = tree.child(alias(&disk.id));
    if let Some(unit) = parts.unit {
        // IDE has two channels of two; the others have one of many.
        let (bus, unit) = if disk.bus == Bus::Ide { (unit / 2, unit % 2) } else { (0, unit) };
        tree = tree.child(
            element("address")
                .with("type", "drive")
                .with("controller", 0)
                .with("bus", bus)
                .with("target", 0)
                .with("unit", unit),
        );
    }
    Ok(tree)
}

/// A network interface: its cable ends at a port of this computer's loopback interface, or nowhere.
pub(crate) fn nic(
    nic: &Nic,
    port: Option<u16>,
    up: bool,
    boot: Option<usize>,
) -> Result<Element, HostError> {
    if nic.queues > 1 {
        return Err(HostError::Unsupported {
            what: format!("{} queues of the interface {}", nic.queues, nic.id),
            why: "QEMU has several queues only on interfaces of the physical machine's kernel"
                .into(),
        });
    }
    let model = match nic.model {
        NicModel::Virtio => "virtio",
        NicModel::E1000 => "e1000",
        NicModel::E1000e => "e1000e",
        NicModel::Rtl8139 => "rtl8139",
        NicModel::Vmxnet3 => "vmxnet3",
    };
    let tree = match port {
        Some(port) => element("interface")
            .with("type", "client")
            .child(element("source").with("address", "127.0.0.1").with("port", port)),
        None => element("interface").with("type", "null"),
    };
    let tree = tree
        .child(element("mac").with("address", &nic.mac))
        .child(element("model").with("type", model))
        .child(element("link").with("state", if up { "up" } else { "down" }))
        .child(alias(&nic.id));
    Ok(match boot {
        Some(place) => tree.child(element("boot").with("order", place)),
        // No boot ROM where it is not to boot.
        None => tree.child(element("rom").with("enabled", "no")),
    })
}

/// A byte channel whose socket waits for the VMM. `port` counts the serial ports.
pub(crate) fn channel(channel: &Channel, socket: &str, port: u32) -> Element {
    let source = element("source").with("mode", "connect").with("path", socket);
    let (name, target) = match channel.kind {
        ChannelKind::Serial => {
            ("serial", element("target").with("type", "isa-serial").with("port", port))
        }
        ChannelKind::Virtio => {
            ("channel", element("target").with("type", "virtio").with("name", &channel.name))
        }
    };
    element(name).with("type", "unix").child(source).child(target).child(alias(&channel.name))
}

/// Memory that comes while the machine runs.
pub(crate) fn dimm(id: &str, size: ByteSize) -> Element {
    let size = element("size").with("unit", "b").text(size.as_bytes());
    element("memory")
        .with("model", "dimm")
        .child(element("target").child(size).child(element("node").text(0)))
        .child(alias(id))
}
