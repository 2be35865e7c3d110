//! Random numbers of a Linux guest.

use std::time::Duration;

use async_trait::async_trait;
use hospitium_model::GuestSource::{Device, Kernel};

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
        // drivers/virt/vmgenid.c, since Linux 5.18, calls add_vmfork_randomness.
        let drivers = read::names(&self.session, "/sys/bus/acpi/drivers/vmgenid").await?;
        let platform = read::names(&self.session, "/sys/bus/platform/drivers/vmgenid").await?;
        let bound = |name: &String| {
            name.contains("VMGENCTR") || name.contains("QEMUVGID") || name.contains("VMGENID")
        };
        Ok(Kernel.saw(drivers.iter().chain(&platform).any(bound)))
    }

    async fn reseeds_by_generation(&self) -> Told<u32> {
        // drivers/char/random.c, add_vmfork_randomness.
        const WORDS: &str = "crng reseeded due to virtual machine fork";
        let log = self.session.kernel_log().await?;
        let times = String::from_utf8_lossy(&log).lines().filter(|l| l.contains(WORDS)).count();
        Ok(Kernel.saw(u32::try_from(times).unwrap_or(u32::MAX)))
    }
}
