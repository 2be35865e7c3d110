//! What the firmware told a Linux guest.

use async_trait::async_trait;
use hospitium_model::GuestSource::Kernel;
use hospitium_model::{Firmware, Inability};

use super::{LinuxSystem, read};
use crate::Told;
use crate::ask::{Firmwares, SmbiosSystem};

#[async_trait]
impl Firmwares for LinuxSystem {
    async fn firmware(&self) -> Told<Firmware> {
        let names = read::names(&self.session, "/sys/firmware").await?;
        let efi = names.iter().any(|name| name == "efi");
        Ok(Kernel.saw(if efi { Firmware::Uefi } else { Firmware::Bios }))
    }

    async fn smbios(&self) -> Told<SmbiosSystem> {
        let field = async |file: &str| {
            let text =
                read::text_if_there(&self.session, &format!("/sys/class/dmi/id/{file}")).await?;
            text.ok_or_else(|| {
                crate::SystemError::from(Inability::of_guest("this kernel does not show SMBIOS"))
            })
        };
        Ok(Kernel.saw(SmbiosSystem {
            manufacturer: field("sys_vendor").await?,
            product: field("product_name").await?,
            serial: field("product_serial").await?,
            uuid: field("product_uuid").await?.to_ascii_lowercase(),
        }))
    }

    async fn generation_id(&self) -> Told<Option<String>> {
        Err(Inability::of_guest("reading the generation id from memory is not written yet").into())
    }
}
