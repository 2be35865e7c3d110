//! What the firmware told a Linux guest.

use async_trait::async_trait;
use hospitium_model::GuestSource::{Kernel, Memory};
use hospitium_model::{Firmware, Inability};

use super::aml::{Generation, generation};
use super::bytes::uuid_of;
use super::{LinuxSystem, read, smbios};
use crate::ask::{Firmwares, SmbiosSystem};
use crate::{Done, Told};

const DMI: &str = "/sys/class/dmi/id";

impl LinuxSystem {
    /// What the kernel shows of SMBIOS (since 2.6.26, for root); none if it does not.
    async fn smbios_of_kernel(&self) -> Done<Option<SmbiosSystem>> {
        let mut fields = Vec::new();
        for file in ["sys_vendor", "product_name", "product_serial", "product_uuid"] {
            match read::text_if_there(&self.session, &format!("{DMI}/{file}")).await? {
                Some(text) => fields.push(text),
                None => return Ok(None),
            }
        }
        let Ok([manufacturer, product, serial, uuid]) = <[String; 4]>::try_from(fields) else {
            return Ok(None);
        };
        let uuid = uuid.to_ascii_lowercase();
        // Not there where the firmware says none.
        let version = read::text_if_there(&self.session, &format!("{DMI}/product_version")).await?;
        let version = version.unwrap_or_default();
        Ok(Some(SmbiosSystem { manufacturer, product, version, serial, uuid }))
    }
}

#[async_trait]
impl Firmwares for LinuxSystem {
    async fn firmware(&self) -> Told<Firmware> {
        // Before 2.6.27 a kernel that EFI started showed its variables in /proc.
        for (folder, name) in [("/sys/firmware", "efi"), ("/proc", "efi")] {
            if read::names(&self.session, folder).await?.iter().any(|found| found == name) {
                return Ok(Kernel.saw(Firmware::Uefi));
            }
        }
        Ok(Kernel.saw(Firmware::Bios))
    }

    async fn smbios(&self) -> Told<SmbiosSystem> {
        if let Some(system) = self.smbios_of_kernel().await? {
            return Ok(Kernel.saw(system));
        }
        let tables = self.smbios_tables().await?;
        let system = tables.and_then(|(table, version)| smbios::system(&table, version));
        let none = || Inability::of_guest("this guest has no SMBIOS tables").into();
        system.map(|system| Memory.saw(system)).ok_or_else(none)
    }

    async fn generation_id(&self) -> Told<Option<String>> {
        for block in self.definition_blocks().await? {
            match generation(&block) {
                Generation::None => {}
                Generation::At(address) => {
                    let bytes = self.physical(address, 16).await?;
                    let id = <[u8; 16]>::try_from(bytes).map(|bytes| uuid_of(bytes, true));
                    return Ok(Memory.saw(id.ok()));
                }
                Generation::Unknown => {
                    let why = "the address of the generation id takes more of ACPI than is evaluated here";
                    return Err(Inability::of_guest(why).into());
                }
            }
        }
        Ok(Memory.saw(None))
    }
}
