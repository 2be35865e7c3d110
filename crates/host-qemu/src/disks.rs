//! Disks as QEMU's block graph: read-only layers, an overlay of the machine's own over them, and
//! what that lies on: its file, or a disk of ours that loses what was not flushed.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use hospitium_disk::{Disk as Lossy, Store};
use hospitium_model::{Bus, ByteSize, Disk, DiskRole};
use serde_json::{Map, Value, json};

use crate::qcow2;
use hospitium_host::HostError;

/// A read-only image below a disk's overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    /// Its file, outside of the machine's folder or hard-linked from a snapshot.
    pub path: PathBuf,
    /// QEMU's name of its format.
    pub driver: String,
    /// True if it is one of our own overlays, of an earlier machine that was saved.
    pub ours: bool,
}

/// A disk and the images that it is made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DiskPlan {
    /// As asked for.
    pub disk: Disk,
    /// Read-only layers, the bottom first. Empty for an empty drive and for a fresh disk.
    pub layers: Vec<Layer>,
    /// Size of what the layers hold.
    pub size: u64,
    /// A defect on purpose: flushes are acknowledged and ignored.
    pub ignore_flushes: bool,
}

/// What a VMM is handed of a disk.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    /// Descriptor sets that hold the layers' open files.
    pub sets: Vec<u32>,
    /// The connection to a disk of ours: the number of a descriptor, or the name that it has at the monitor.
    pub connection: Option<String>,
}

/// Longest chain of backing files that is followed.
const LONGEST_CHAIN: usize = 16;

impl DiskPlan {
    /// Finds out of which images a disk is made. `size_of` asks `qemu-img` for the size of a disk in a
    /// format whose header is not read here.
    pub(crate) fn new(
        disk: &Disk,
        size_of: &dyn Fn(&Path, &str) -> Result<u64, HostError>,
    ) -> Result<Self, HostError> {
        let mut layers = Vec::new();
        let mut size = disk.size.as_bytes();
        if let Some(image) = &disk.image {
            let driver = driver_of(disk.format.as_deref().unwrap_or("raw"))?;
            size = chain(image, driver, &mut layers, size_of)?;
            layers.reverse();
        }
        let needs_size = disk.role != DiskRole::Cdrom && disk.bus != Bus::Floppy;
        if needs_size && (size == 0 || !size.is_multiple_of(512)) {
            return Err(HostError::Refused {
                doing: format!("preparing the disk {}", disk.id),
                why: format!("its size of {size} bytes is no whole number of sectors"),
            });
        }
        Ok(Self { disk: disk.clone(), layers, size, ignore_flushes: false })
    }

    /// True if the guest may write to it, onto an overlay.
    pub(crate) fn writable(&self) -> bool {
        !self.disk.read_only && !matches!(self.disk.role, DiskRole::Data | DiskRole::Cdrom)
    }

    /// True if it has an image of its own in the machine's folder.
    pub(crate) fn has_overlay(&self) -> bool {
        self.writable() || (self.layers.is_empty() && self.disk.role != DiskRole::Cdrom)
    }

    /// File of the overlay, in the machine's folder.
    pub(crate) fn overlay(&self) -> String {
        format!("{}.qcow2", self.disk.id)
    }

    /// True if its overlay lies on a disk of ours that loses what was not flushed.
    pub(crate) fn loses(&self) -> bool {
        self.disk.power_loss_log && self.writable()
    }

    /// The disk of ours that the overlay in `file` lies on, and the VMM's end of the connection to it. What is not
    /// flushed lies in `outside`, which the VMM cannot reach.
    pub(crate) fn lossy(
        &self,
        file: std::fs::File,
        outside: &Path,
    ) -> Result<(Lossy, OwnedFd), HostError> {
        // An overlay has the content, its own tables and room to grow.
        let size = self.size.saturating_mul(4).saturating_add(1 << 30);
        let made = tempfile::tempfile_in(outside)
            .and_then(|now| Store::new(file, now, size, self.ignore_flushes))
            .and_then(Lossy::serve);
        made.map_err(HostError::io(format!("making the disk {} ready", self.disk.id)))
    }

    /// Makes the overlay. Its file is returned so that it can be given away.
    pub(crate) fn make(&self, folder: &Path) -> Result<Option<std::fs::File>, HostError> {
        if !self.has_overlay() {
            return Ok(None);
        }
        let path = folder.join(self.overlay());
        let doing = || format!("making the disk image {}", path.display());
        let file = qcow2::create(&path, self.size).map_err(|e| HostError::io(doing())(e))?;
        if let Some(room) = self.disk.room {
            // `size` of a raw node must lie within its file: make that as long as it can get.
            let all = self.size * 2 + room.as_bytes() + (16 << 20);
            file.set_len(all).map_err(|e| HostError::io(doing())(e))?;
        }
        Ok(Some(file))
    }

    /// Name of the node that the device uses.
    pub(crate) fn node(&self) -> Option<String> {
        (self.has_overlay() || !self.layers.is_empty()).then(|| format!("d.{}", self.disk.id))
    }

    /// The block nodes, those first that others refer to.
    pub(crate) fn nodes(&self, handed: &Handed) -> Vec<Value> {
        let id = &self.disk.id;
        let mut nodes = Vec::new();
        let mut below: Option<String> = None;
        let top = self.node().unwrap_or_default();
        for (n, (layer, set)) in self.layers.iter().zip(&handed.sets).enumerate() {
            let last = n + 1 == self.layers.len() && !self.has_overlay();
            let name = if last { top.clone() } else { format!("d.{id}.{n}") };
            let file = format!("d.{id}.{n}.file");
            nodes.push(json!({
                "driver": "file", "node-name": file, "read-only": true,
                "filename": format!("/dev/fdset/{set}"),
            }));
            let mut node = Map::new();
            node.insert("driver".into(), json!(layer.driver));
            node.insert("node-name".into(), json!(name));
            node.insert("read-only".into(), json!(true));
            node.insert("file".into(), json!(file));
            if takes_backing(&layer.driver) {
                // Said even where there is none, so that no name in the image is followed.
                node.insert("backing".into(), json!(below));
            }
            nodes.push(Value::Object(node));
            below = Some(name);
        }
        if !self.has_overlay() {
            return nodes;
        }
        let read_only = !self.writable();
        let file = format!("d.{id}.file");
        nodes.push(match &handed.connection {
            // What it does with a flush is seen there.
            Some(connection) => json!({
                "driver": "nbd", "node-name": file, "server": {"type": "fd", "str": connection},
                "read-only": read_only, "discard": "unmap", "cache": {"no-flush": false},
            }),
            // Flushes need not reach the physical disk: its page cache outlives the VMM, and nobody asks what a power
            // cut leaves.
            None => json!({
                "driver": "file", "node-name": file, "filename": self.overlay(),
                "read-only": read_only, "discard": "unmap", "cache": {"no-flush": true},
            }),
        });
        let mut under = file;
        if let Some(room) = self.disk.room {
            nodes.push(self.room_node(room));
            under = self.room_name();
        }
        nodes.push(json!({
            "driver": "qcow2", "node-name": top, "file": under, "backing": below,
            "read-only": read_only, "discard": "unmap", "cache": {"no-flush": self.ignore_flushes},
        }));
        nodes
    }

    fn room_name(&self) -> String {
        format!("d.{}.room", self.disk.id)
    }

    /// A raw node answers a write past its `size` with "no space" (raw-format.c,
    /// `raw_adjust_offset`), and the size can be changed while it is in use.
    pub(crate) fn room_node(&self, room: ByteSize) -> Value {
        let size = (room.as_bytes() + qcow2::overhead(self.size)).next_multiple_of(512);
        json!({
            "driver": "raw", "node-name": self.room_name(), "file": format!("d.{}.file", self.disk.id),
            "read-only": false, "discard": "unmap", "size": size,
        })
    }

    /// Description of what is below the overlay, and of the overlay if that is given, for `qemu-img`: paths as given
    /// by `path_of`.
    pub(crate) fn image_options(
        &self,
        overlay: Option<&str>,
        path_of: &dyn Fn(usize) -> String,
    ) -> Option<Value> {
        let mut below: Option<Value> = None;
        for (n, layer) in self.layers.iter().enumerate() {
            let mut node = json!({
                "driver": layer.driver, "file": {"driver": "file", "filename": path_of(n)},
            });
            if takes_backing(&layer.driver) {
                node["backing"] = json!(below);
            }
            below = Some(node);
        }
        if let Some(overlay) = overlay {
            below = Some(json!({
                "driver": "qcow2", "file": {"driver": "file", "filename": overlay},
                "backing": below,
            }));
        }
        below
    }

    /// The device, without its place on a bus.
    pub(crate) fn device(&self) -> Result<Map<String, Value>, HostError> {
        let disk = &self.disk;
        let optical = disk.role == DiskRole::Cdrom;
        let driver = match (disk.bus, optical) {
            (Bus::Virtio, false) => "virtio-blk-pci",
            (Bus::VirtioScsi, false) => "scsi-hd",
            (Bus::VirtioScsi, true) => "scsi-cd",
            (Bus::Sata | Bus::Ide, false) => "ide-hd",
            (Bus::Sata | Bus::Ide, true) => "ide-cd",
            (Bus::Nvme, false) => "nvme",
            (Bus::Usb, false) => "usb-storage",
            (Bus::Floppy, false) => "floppy",
            (bus, true) => {
                return Err(HostError::Unsupported {
                    what: format!("an optical drive on {}", bus.name()),
                    why: "QEMU has optical drives on sata, ide and virtio-scsi".into(),
                });
            }
        };
        let mut device = Map::new();
        device.insert("driver".into(), json!(driver));
        device.insert("id".into(), json!(disk.id));
        if let Some(node) = self.node() {
            device.insert("drive".into(), json!(node));
        }
        if disk.bus != Bus::Floppy {
            let serial = match disk.serial.as_str() {
                "" if disk.bus == Bus::Nvme => &disk.id,
                serial => serial,
            };
            if !serial.is_empty() {
                device.insert("serial".into(), json!(serial));
            }
            for (name, size) in [
                ("logical_block_size", disk.logical_sector),
                ("physical_block_size", disk.physical_sector),
            ] {
                if size != 0 {
                    device.insert(name.into(), json!(size));
                }
            }
        }
        Ok(device)
    }
}

/// QEMU's name of an image format.
fn driver_of(format: &str) -> Result<&'static str, HostError> {
    Ok(match format {
        "raw" => "raw",
        "qcow2" => "qcow2",
        "vhd" | "vpc" => "vpc",
        "vhdx" => "vhdx",
        "vmdk" => "vmdk",
        other => {
            return Err(HostError::Unsupported {
                what: format!("the image format {:?}", other.chars().take(20).collect::<String>()),
                why: "known are raw, qcow2, vhd, vhdx and vmdk".into(),
            });
        }
    })
}

fn takes_backing(driver: &str) -> bool {
    matches!(driver, "qcow2" | "vmdk")
}

/// Follows an image's backing files, the top first; returns the size of the disk.
fn chain(
    image: &Path,
    driver: &str,
    layers: &mut Vec<Layer>,
    size_of: &dyn Fn(&Path, &str) -> Result<u64, HostError>,
) -> Result<u64, HostError> {
    let refused =
        |why: String| HostError::Refused { doing: format!("opening {}", image.display()), why };
    if layers.len() == LONGEST_CHAIN {
        return Err(refused(format!("it is the {LONGEST_CHAIN}th of a chain of backing files")));
    }
    layers.push(Layer { path: image.to_owned(), driver: driver.to_owned(), ours: false });
    let doing = || format!("opening the image {}", image.display());
    match driver {
        "raw" => {
            let length = std::fs::metadata(image).map_err(|e| HostError::io(doing())(e))?.len();
            Ok(length.next_multiple_of(512))
        }
        "qcow2" => {
            let header = qcow2::read(image).map_err(|e| HostError::io(doing())(e))?;
            if let Some((name, format)) = header.backing {
                let Some(format) = format else {
                    return Err(refused(
                        "it does not say of what format its backing file is; \
                        set it with qemu-img rebase -u -F"
                            .into(),
                    ));
                };
                if name.contains(':') {
                    return Err(refused("its backing file is no plain file".into()));
                }
                let backing = image.parent().unwrap_or(Path::new("/")).join(name);
                chain(&backing, driver_of(&format)?, layers, size_of)?;
            }
            Ok(header.size)
        }
        _ => size_of(image, driver),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(role: DiskRole, bus: Bus) -> Disk {
        Disk {
            id: "scratch".into(),
            role,
            bus,
            image: None,
            format: None,
            size: ByteSize::mib(64),
            serial: "S1".into(),
            logical_sector: 0,
            physical_sector: 0,
            read_only: false,
            power_loss_log: false,
            room: None,
        }
    }

    fn no_tool(_: &Path, _: &str) -> Result<u64, HostError> {
        panic!("qemu-img is not needed for this")
    }

    #[test]
    fn an_input_image_is_only_ever_a_read_only_layer() {
        let folder = tempfile::tempdir().expect("a folder");
        let image = folder.path().join("x,y.raw");
        std::fs::write(&image, [0; 1024]).expect("written");
        let disk = Disk { image: Some(image), ..disk(DiskRole::System, Bus::Virtio) };
        let plan = DiskPlan::new(&disk, &no_tool).expect("a plan");
        assert_eq!(plan.size, 1024);
        let nodes = plan.nodes(&Handed { sets: vec![7], connection: None });
        assert_eq!(nodes[0]["filename"], "/dev/fdset/7");
        assert!(nodes[..2].iter().all(|node| node["read-only"] == true));
        assert_eq!(nodes[3]["backing"], nodes[1]["node-name"]);
        assert_eq!(nodes[3]["node-name"], "d.scratch");
    }

    #[test]
    fn flushes_reach_a_disk_of_ours() {
        let disk = Disk { power_loss_log: true, ..disk(DiskRole::Scratch, Bus::Virtio) };
        let plan = DiskPlan::new(&disk, &no_tool).expect("a plan");
        assert!(plan.loses());
        let nodes = plan.nodes(&Handed { connection: Some("17".into()), ..Handed::default() });
        let [file, top] = &nodes[..] else { panic!("{nodes:?}") };
        assert_eq!((&file["driver"], &file["server"]["str"]), (&json!("nbd"), &json!("17")));
        assert_eq!(
            (&file["cache"]["no-flush"], &top["cache"]["no-flush"]),
            (&json!(false), &json!(false))
        );
        assert_eq!(plan.device().expect("a device")["drive"], top["node-name"]);
    }

    #[test]
    fn a_chain_of_backing_files_without_formats_or_without_end_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let image = folder.path().join("a.qcow2");
        // A header by hand whose backing file is the image itself.
        qcow2::create(&image, 1 << 20).expect("written");
        let mut bytes = std::fs::read(&image).expect("read");
        let put = |bytes: &mut Vec<u8>, with_format: bool| {
            let mut at = 104;
            if with_format {
                bytes[at..at + 16].copy_from_slice(b"\xe2\x79\x2a\xca\0\0\0\x05qcow2\0\0\0");
                at += 16;
            }
            bytes[at..at + 8].fill(0);
            bytes[8..16].copy_from_slice(&1024u64.to_be_bytes());
            bytes[16..20].copy_from_slice(&7u32.to_be_bytes());
            bytes[1024..1031].copy_from_slice(b"a.qcow2");
        };
        put(&mut bytes, true);
        std::fs::write(&image, &bytes).expect("written");
        let disk = Disk {
            image: Some(image.clone()),
            format: Some("qcow2".into()),
            ..disk(DiskRole::System, Bus::Virtio)
        };
        let told = DiskPlan::new(&disk, &no_tool).expect_err("a loop").to_string();
        assert!(told.contains("chain"), "{told}");
        put(&mut bytes, false);
        std::fs::write(&image, &bytes).expect("written");
        let told = DiskPlan::new(&disk, &no_tool).expect_err("no format").to_string();
        assert!(told.contains("format"), "{told}");
    }
}
