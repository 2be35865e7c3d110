//! Which devices a running guest can drive: asked of it, not of what it was made from.
//!
//! A kernel that is given alone does not tell what is built into it, and a whole system is taken at its word
//! that it cares for its drivers. What is registered with the kernel's buses tells, once it runs; what is not
//! registered may still be a module that waits to be loaded.

use std::time::Duration;

use hospitium_model::Answer;

use super::{Session, SessionError};

/// A device, by its name in `guests/linux-modules.toml`, and what drives it in Linux.
struct Row {
    device: &'static str,
    /// As people know it.
    label: &'static str,
    /// Each must be there: drivers as `bus:name` in `/sys/bus`, of which one is enough.
    drivers: &'static [&'static [&'static str]],
    /// The modules of them, of which one each is enough. In their order.
    modules: &'static [&'static [&'static str]],
}

const VIRTIO_PCI: &[&str] = &["pci:virtio-pci", "platform:virtio-mmio"];
const SCSI_DISK: &[&str] = &["scsi:sd"];

macro_rules! rows {
    ($($device:literal $label:literal [$($driver:expr),*] [$($module:expr),*];)*) => {
        &[$(Row { device: $device, label: $label, drivers: &[$($driver),*], modules: &[$(&$module),*] }),*]
    };
}

/// Drivers under the names that they have had since 2.6.18, where they changed.
const ROWS: &[Row] = rows! {
    "virtio-pci" "virtio on PCI" [VIRTIO_PCI] [["virtio_pci"]];
    "virtio" "virtio-blk" [VIRTIO_PCI, &["virtio:virtio_blk"]] [["virtio_pci"], ["virtio_blk"]];
    "virtio-scsi" "virtio-scsi" [VIRTIO_PCI, &["virtio:virtio_scsi"], SCSI_DISK]
        [["virtio_pci"], ["virtio_scsi"], ["sd_mod"]];
    "sata" "SATA (AHCI)" [&["pci:ahci"], SCSI_DISK] [["ahci"], ["sd_mod"]];
    "ide" "IDE (PIIX)" [&["pci:ata_piix", "pci:PIIX_IDE"], &["scsi:sd", "ide:ide-disk", "ide:ide-gd"]]
        [["ata_piix", "piix"], ["sd_mod", "ide_disk", "ide_gd_mod"]];
    "nvme" "NVMe" [&["pci:nvme"]] [["nvme"]];
    "usb-storage" "USB storage" [&["usb:usb-storage"], SCSI_DISK] [["usb_storage"], ["sd_mod"]];
    "xhci" "USB 3 (xHCI)" [&["pci:xhci_hcd", "pci:xhci-pci"]] [["xhci_pci", "xhci_hcd"]];
    "ehci" "USB 2 (EHCI)" [&["pci:ehci-pci", "pci:ehci_hcd"]] [["ehci_pci", "ehci_hcd"]];
    "floppy" "the floppy drive" [&["platform:floppy"]] [["floppy"]];
    "cdrom" "CD-ROM drives" [&["scsi:sr", "ide:ide-cdrom"]] [["sr_mod", "ide_cd_mod", "ide_cd"]];
    "virtio-net" "virtio-net" [VIRTIO_PCI, &["virtio:virtio_net"]] [["virtio_pci"], ["virtio_net"]];
    "e1000" "e1000" [&["pci:e1000"]] [["e1000"]];
    "e1000e" "e1000e" [&["pci:e1000e"]] [["e1000e"]];
    "rtl8139" "rtl8139" [&["pci:8139cp", "pci:8139too"]] [["8139cp", "8139too"]];
    "vmxnet3" "vmxnet3" [&["pci:vmxnet3"]] [["vmxnet3"]];
    "virtio-console" "virtio-serial" [VIRTIO_PCI, &["virtio:virtio_console"]]
        [["virtio_pci"], ["virtio_console"]];
    "balloon" "virtio-balloon" [VIRTIO_PCI, &["virtio:virtio_balloon"]]
        [["virtio_pci"], ["virtio_balloon"]];
    "rng" "virtio-rng" [VIRTIO_PCI, &["virtio:virtio_rng"]] [["virtio_pci"], ["virtio_rng"]];
    "usb-input" "USB keyboards and mice" [&["usb:usbhid"]] [["usbhid"]];
    "panic-notifier" "pvpanic" [&["pci:pvpanic-pci", "platform:pvpanic-mmio", "acpi:pvpanic"]]
        [["pvpanic_pci", "pvpanic_mmio", "pvpanic"]];
    "generation-id" "the VM generation id" [&["acpi:vmgenid", "platform:vmgenid"]] [["vmgenid"]];
    "watchdog" "the i6300ESB watchdog" [&["pci:i6300ESB timer", "pci:i6300esb"]] [["i6300esb"]];
};

/// How long `modprobe` may take to look a name up.
const LOOK_UP: Duration = Duration::from_secs(20);

impl Session {
    /// Can this guest, as it runs now, drive a device? The names are those of
    /// `guests/linux-modules.toml`. A driver that is a module counts, if the guest has the module. A guest
    /// that does not show its drivers is taken to have them.
    pub async fn driver(&self, device: &str) -> Result<Answer, SessionError> {
        let Some(row) = ROWS.iter().find(|row| row.device == device) else {
            return Ok(Answer::No(format!("nothing is known of a device {device:?}")));
        };
        // No sysfs, or none that is mounted.
        if self.names_in("/sys/bus").await?.is_none() {
            return Ok(Answer::Yes);
        }
        if self.all_registered(row).await? {
            return Ok(Answer::Yes);
        }
        match self.text_of_ours(crate::DRIVER_TABLE).await? {
            // What our own initramfs carries for it is loaded when it is needed.
            Some(table) => Ok(self.carried(row, &table).await?),
            None if self.all_loadable(row).await? => Ok(Answer::Yes),
            None => Ok(Answer::No(format!("this system has no driver for {}", row.label))),
        }
    }

    async fn all_registered(&self, row: &Row) -> Result<bool, SessionError> {
        for group in row.drivers {
            let mut found = false;
            for driver in *group {
                let Some((bus, name)) = driver.split_once(':') else { continue };
                let names = self.names_in(&format!("/sys/bus/{bus}/drivers")).await?;
                found |= names.is_some_and(|names| names.iter().any(|there| there == name));
                if found {
                    break;
                }
            }
            if !found {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Of a kernel guest, whose table says which modules it carries for which device. A row without
    /// modules says that they are built in, and the kernel has just said that they are not.
    async fn carried(&self, row: &Row, table: &str) -> Result<Answer, SessionError> {
        let mut words = table.lines().map(|line| line.split(' '));
        let modules = words.find_map(|mut w| (w.next() == Some(row.device)).then(|| w.count()));
        if modules.is_some_and(|count| count > 0) {
            return Ok(Answer::Yes);
        }
        let any = self.names_in("/lib/modules").await?.is_some_and(|names| !names.is_empty());
        Ok(Answer::No(match any {
            true => {
                format!("no driver for {} is built in, nor is one among its modules", row.label)
            }
            false => format!(
                "no driver for {} is built in, and no modules were given (KERNEL+MODULES)",
                row.label
            ),
        }))
    }

    /// A whole system loads a driver when it sees the device, if it has one.
    async fn all_loadable(&self, row: &Row) -> Result<bool, SessionError> {
        for group in row.modules {
            let mut found = false;
            for module in *group {
                let words = ["modprobe", "-n", "-q", module];
                match self.run(&words, LOOK_UP).await {
                    Ok(ran) => found |= ran.code == 0,
                    // No such program: nothing can be said.
                    Err(SessionError::Guest { .. }) => return Ok(true),
                    Err(other) => return Err(other),
                }
                if found {
                    break;
                }
            }
            if !found {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Names in a folder; none if it is not there.
    async fn names_in(&self, path: &str) -> Result<Option<Vec<String>>, SessionError> {
        match self.list(path).await {
            Ok(names) => Ok(Some(names)),
            Err(SessionError::Guest { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use hospitium_wire::{Request, errno};

    use super::super::tests::{failed, framed, session};
    use super::*;
    use crate::DRIVER_TABLE;
    use hospitium_wire::Reply;

    /// A guest with these folders, and this table.
    fn guest(
        folders: &'static [(&'static str, &'static [u8])],
        table: Option<&'static [u8]>,
    ) -> Session {
        session(move |seq, request| match *request {
            Request::List { skip, path } => match folders.iter().find(|(p, _)| *p == path) {
                Some((_, names)) => {
                    framed(seq, Reply::Data { data: if skip == 0 { names } else { b"" } })
                }
                None => framed(seq, failed(errno::ENOENT, "open")),
            },
            Request::ReadFile { path: DRIVER_TABLE, .. } => match table {
                Some(data) => framed(seq, Reply::Data { data }),
                None => framed(seq, failed(errno::ENOENT, "open")),
            },
            Request::Run { arguments: b"modprobe\0-n\0-q\0nvme\0", .. } => {
                framed(seq, Reply::Exit { code: 0, output: b"" })
            }
            Request::Run { .. } => framed(seq, Reply::Exit { code: 1, output: b"" }),
            _ => framed(seq, failed(errno::EINVAL, "?")),
        })
    }

    const BUSES: (&str, &[u8]) = ("/sys/bus", b"pci\0virtio\0scsi\0");
    const PCI: (&str, &[u8]) = ("/sys/bus/pci/drivers", b"virtio-pci\0ahci\0serial\0");
    const VIRTIO: (&str, &[u8]) = ("/sys/bus/virtio/drivers", b"virtio_net\0");

    async fn why_not(session: &Session, device: &str) -> String {
        match session.driver(device).await.expect("an answer") {
            Answer::No(why) => why,
            Answer::Yes => panic!("it has a driver for {device}"),
        }
    }

    #[tokio::test]
    async fn a_kernel_without_its_modules_drives_what_is_built_in_and_says_so_of_the_rest() {
        // Where nothing told what is built in, the table's rows have no modules.
        let table = b"virtio\nvirtio-net\nsata\n";
        let session = guest(&[BUSES, PCI, VIRTIO], Some(table));
        assert!(session.driver("virtio-net").await.expect("an answer").is_yes());
        assert_eq!(
            why_not(&session, "virtio").await,
            "no driver for virtio-blk is built in, and no modules were given (KERNEL+MODULES)"
        );
        assert!(why_not(&session, "sata").await.contains("AHCI"), "its disks have no driver");
    }

    #[tokio::test]
    async fn a_module_that_is_carried_counts_as_a_driver() {
        const MODULES: (&str, &[u8]) = ("/lib/modules", b"virtio_blk.ko\0");
        let table = b"virtio /lib/modules/virtio_blk.ko\n";
        let session = guest(&[BUSES, PCI, VIRTIO, MODULES], Some(table));
        assert!(session.driver("virtio").await.expect("an answer").is_yes());
        assert!(why_not(&session, "nvme").await.contains("among its modules"));
    }

    #[tokio::test]
    async fn a_whole_system_is_asked_for_the_modules_that_it_can_load() {
        let session = guest(&[BUSES, PCI, VIRTIO], None);
        assert!(session.driver("nvme").await.expect("an answer").is_yes());
        assert_eq!(why_not(&session, "vmxnet3").await, "this system has no driver for vmxnet3");
        assert!(why_not(&session, "flux").await.contains("nothing is known"));
    }

    #[tokio::test]
    async fn a_guest_that_does_not_show_its_drivers_is_taken_to_have_them() {
        let session = guest(&[], None);
        assert!(session.driver("vmxnet3").await.expect("an answer").is_yes());
    }

    #[test]
    fn every_device_of_the_table_has_a_row() {
        let table = include_str!("../../../../guests/linux-modules.toml");
        let names = table.lines().filter_map(|line| line.strip_prefix("name = \""));
        // What every machine has is not asked for.
        let always = ["cpu-inspection", "power-button", "rtc", "keyboard"];
        for name in names.map(|name| name.trim_end_matches('"')).filter(|n| !always.contains(n)) {
            assert!(ROWS.iter().any(|row| row.device == name), "{name}");
        }
    }
}
