//! Random numbers of a Linux guest.

use std::time::Duration;

use async_trait::async_trait;
use hospitium_model::GuestSource::{Device, Kernel};
use hospitium_model::Inability;

use super::{LinuxSystem, read};
use crate::ask::Entropy;
use crate::{Done, Told};

#[async_trait]
impl Entropy for LinuxSystem {
    async fn random(&self, count: u32) -> Told<Vec<u8>> {
        Ok(Kernel.saw(self.session.random(count).await?))
    }

    async fn hardware_source(&self) -> Told<String> {
        Ok(Kernel.saw(read::text(&self.session, "/sys/class/misc/hw_random/rng_current").await?))
    }

    async fn hardware_random(&self, count: u32) -> Told<Vec<u8>> {
        let bytes = self.session.read_device("/dev/hwrng", count, Duration::from_secs(5)).await?;
        Ok(Device.saw(bytes))
    }

    async fn adopt(&self, entropy: [u8; 32]) -> Done {
        Ok(self.session.adopt(entropy).await?)
    }

    async fn reseeds_on_generation(&self) -> Told<bool> {
        // drivers/virt/vmgenid.c, since Linux 5.18, calls add_vmfork_randomness; by ACPI, since 6.10 as a platform driver.
        let mut drivers = Vec::new();
        for bus in ["acpi", "platform"] {
            let folder = format!("/sys/bus/{bus}/drivers/vmgenid");
            drivers.extend(read::names(&self.session, &folder).await?);
        }
        // A driver that is there and has no device shows files all the same: `bind`, `uevent`.
        if drivers.is_empty() {
            let why = "this kernel has no driver that reseeds for a VM generation id (Linux has one since 5.18)";
            return Err(Inability::of_guest(why).into());
        }
        let bound = |name: &String| {
            name.contains("VMGENCTR") || name.contains("QEMUVGID") || name.contains("VMGENID")
        };
        Ok(Kernel.saw(drivers.iter().any(bound)))
    }

    async fn reseeds_by_generation(&self) -> Told<u32> {
        // drivers/char/random.c, add_vmfork_randomness.
        const WORDS: &str = "crng reseeded due to virtual machine fork";
        let log = self.session.kernel_log().await?;
        let times = String::from_utf8_lossy(&log).lines().filter(|l| l.contains(WORDS)).count();
        Ok(Kernel.saw(u32::try_from(times).unwrap_or(u32::MAX)))
    }
}
