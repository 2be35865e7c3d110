//! Which drivers a running Linux kernel has.

use std::time::Duration;

use hospitium_model::{GuestKind, Inability};

use super::{LinuxSystem, read};
use crate::{Done, SessionError};

const BUSES: &str = "/sys/bus";
/// Where our initramfs has the modules that were given.
const MODULES: &str = "/lib/modules";
/// An emulated guest that boots other programs meanwhile takes a second for such a program.
const MODPROBE: Duration = Duration::from_secs(20);

/// A driver by the bus that it registers at, its name there, and the module that carries it.
type Driver = (&'static str, &'static str, &'static str);

const VIRTIO_PCI: &[Driver] = &[("pci", "virtio-pci", "virtio_pci")];
const SD: &[Driver] = &[("scsi", "sd", "sd_mod")];

/// What drives a device of `guests/linux-modules.toml`: one driver of each group. Names are those of the
/// kernel's `struct …_driver`.
fn drivers(device: &str) -> &'static [&'static [Driver]] {
    match device {
        "virtio" => &[VIRTIO_PCI, &[("virtio", "virtio_blk", "virtio_blk")]],
        "virtio-scsi" => &[VIRTIO_PCI, &[("virtio", "virtio_scsi", "virtio_scsi")], SD],
        "sata" => &[&[("pci", "ahci", "ahci")], SD],
        "ide" => &[
            &[
                ("pci", "ata_piix", "ata_piix"),
                ("pci", "PIIX_IDE", "piix"),
                ("pci", "ata_generic", "ata_generic"),
            ],
            &[
                ("scsi", "sd", "sd_mod"),
                ("ide", "ide-disk", "ide_disk"),
                ("ide", "ide-gd", "ide_gd_mod"),
            ],
        ],
        "nvme" => &[&[("pci", "nvme", "nvme")]],
        "usb-storage" => &[
            &[
                ("pci", "xhci_hcd", "xhci_pci"),
                ("pci", "ehci-pci", "ehci_pci"),
                ("pci", "ehci_hcd", "ehci_hcd"),
                ("pci", "uhci_hcd", "uhci_hcd"),
            ],
            &[("usb", "usb-storage", "usb_storage")],
            SD,
        ],
        "cdrom" => &[&[("scsi", "sr", "sr_mod"), ("ide", "ide-cdrom", "ide_cd_mod")]],
        "virtio-net" => &[VIRTIO_PCI, &[("virtio", "virtio_net", "virtio_net")]],
        "e1000" => &[&[("pci", "e1000", "e1000")]],
        "e1000e" => &[&[("pci", "e1000e", "e1000e")]],
        "rtl8139" => &[&[("pci", "8139cp", "8139cp"), ("pci", "8139too", "8139too")]],
        "vmxnet3" => &[&[("pci", "vmxnet3", "vmxnet3")]],
        _ => &[],
    }
}

/// What engineers call the device.
fn usual_name(device: &str) -> &str {
    if device == "virtio" { "virtio-blk" } else { device }
}

impl LinuxSystem {
    /// See [`Devices::require_driver`](crate::Devices::require_driver).
    pub(super) async fn has_driver(&self, device: &str) -> Done {
        for group in drivers(device) {
            if self.has_one_of(group).await? == Some(false) {
                return Err(self.lacks(device).await?.into());
            }
        }
        Ok(())
    }

    /// None if nothing tells.
    async fn has_one_of(&self, group: &[Driver]) -> Done<Option<bool>> {
        for (bus, name, _) in group {
            let registered = format!("{BUSES}/{bus}/drivers");
            if read::names(&self.session, &registered).await?.iter().any(|n| n == name) {
                return Ok(Some(true));
            }
        }
        if read::names(&self.session, BUSES).await?.is_empty() {
            return Ok(None);
        }
        match self.kind {
            // Nobody but us loads modules in it.
            GuestKind::Kernel => Ok(Some(false)),
            GuestKind::Disk => self.has_module_of(group).await,
        }
    }

    /// Whether a whole system has the module of one of these drivers, which it loads when a device for it comes.
    async fn has_module_of(&self, group: &[Driver]) -> Done<Option<bool>> {
        for (_, _, module) in group {
            let ran = self.session.run(&["/sbin/modprobe", "-n", "-q", module], MODPROBE).await;
            match ran {
                Ok(ran) if ran.code == 0 => return Ok(Some(true)),
                // It is not there, and says nothing of it. What says something does not know these options.
                Ok(ran) if ran.output.is_empty() => {}
                Ok(_) | Err(SessionError::Guest { .. }) => return Ok(None),
                Err(other) => return Err(other.into()),
            }
        }
        Ok(Some(false))
    }

    async fn lacks(&self, device: &str) -> Done<Inability> {
        let name = usual_name(device);
        let why = match self.kind {
            GuestKind::Disk => format!("the running system has no driver for {name}"),
            GuestKind::Kernel if read::names(&self.session, MODULES).await?.is_empty() => {
                format!(
                    "no driver for {name} is built in, and no modules were given \
                     (KERNEL+MODULES-FOLDER)"
                )
            }
            GuestKind::Kernel => {
                format!("no driver for {name} is built in or among the kernel's modules")
            }
        };
        Ok(Inability::of_guest(why))
    }
}

#[cfg(test)]
mod tests {
    use hospitium_wire::{Reply, Request};

    use super::*;
    use crate::linux::stand_in::{Folders, system};
    use crate::{Devices as _, SystemError};

    const BARE: Folders = &[
        ("/sys/bus", &["pci", "virtio"]),
        ("/sys/bus/pci/drivers", &["virtio-pci", "e1000"]),
        ("/sys/bus/virtio/drivers", &["virtio_console"]),
    ];

    async fn answer(kind: GuestKind, folders: Folders, device: &str) -> Result<(), String> {
        let system = system(kind, folders, |request| match request {
            Request::Run { arguments, .. } if arguments.ends_with(b"virtio_blk\0") => {
                Some(Reply::Exit { code: 0, output: b"" })
            }
            Request::Run { .. } => Some(Reply::Exit { code: 1, output: b"" }),
            _ => None,
        });
        match system.require_driver(device).await {
            Err(SystemError::Unable(inability)) => Err(inability.to_string()),
            other => other.map_err(|e| panic!("{e}")),
        }
    }

    #[tokio::test]
    async fn a_bare_kernel_without_the_driver_says_that_no_modules_were_given() {
        let why = answer(GuestKind::Kernel, BARE, "virtio").await.expect_err("no driver");
        assert!(why.contains("no driver for virtio-blk is built in, and no modules"), "{why}");
        assert!(why.starts_with("the guest cannot"), "{why}");
        answer(GuestKind::Kernel, BARE, "e1000").await.expect("built in");
        answer(GuestKind::Kernel, BARE, "a device of next year").await.expect("nothing tells");
        answer(GuestKind::Kernel, &[], "virtio").await.expect("nothing tells");
    }

    #[tokio::test]
    async fn a_whole_system_has_the_drivers_that_it_would_load() {
        answer(GuestKind::Disk, BARE, "virtio").await.expect("its module is there");
        let why = answer(GuestKind::Disk, BARE, "nvme").await.expect_err("no driver");
        assert!(why.contains("the running system has no driver for nvme"), "{why}");
    }
}
