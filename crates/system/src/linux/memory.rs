//! Memory of a Linux guest.

use async_trait::async_trait;
use hospitium_model::GuestSource::{Kernel, Memory as Physical};
use hospitium_model::{ByteSize, Digest, Inability, Pattern};

use super::cpus::bring_online;
use super::{LinuxSystem, memory_map, read};
use crate::ask::Memory;
use crate::{Done, MemoryScan, SystemError, Told};

impl LinuxSystem {
    /// The same of a kernel that has no folder for it (Linux has since 2.6.27): by its log, else by what it made of it.
    async fn firmware_map_of_old(&self) -> Told<ByteSize> {
        let log = self.session.kernel_log().await?;
        let log = String::from_utf8_lossy(&log);
        let bytes = match memory_map::of_log(log.lines()) {
            Some(bytes) => Some(bytes),
            None => {
                let text = read::text_if_there(&self.session, "/proc/iomem").await?;
                memory_map::of_iomem(&text.unwrap_or_default())
            }
        };
        let none = || Inability::of_guest("this kernel does not show the firmware's memory map");
        Ok(Kernel.saw(ByteSize::bytes(bytes.ok_or_else(none)?)))
    }
}

#[async_trait]
impl Memory for LinuxSystem {
    async fn total(&self) -> Told<ByteSize> {
        let info = read::text(&self.session, "/proc/meminfo").await?;
        let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kib: Option<u64> =
            line.and_then(|text| text.trim().trim_end_matches("kB").trim().parse().ok());
        let kib = kib.ok_or_else(|| SystemError::unreadable("MemTotal", &info))?;
        Ok(Kernel.saw(ByteSize::bytes(kib.saturating_mul(1024))))
    }

    async fn firmware_map(&self) -> Told<ByteSize> {
        const FOLDER: &str = "/sys/firmware/memmap";
        let entries = read::names(&self.session, FOLDER).await?;
        if entries.is_empty() {
            return self.firmware_map_of_old().await;
        }
        let mut ram = 0_i64;
        for entry in entries {
            let at = format!("{FOLDER}/{entry}");
            if read::text(&self.session, &format!("{at}/type")).await? == "System RAM" {
                let start = read::number(&self.session, &format!("{at}/start")).await?;
                let end = read::number(&self.session, &format!("{at}/end")).await?;
                ram = ram.saturating_add(end.saturating_sub(start).saturating_add(1));
            }
        }
        Ok(Kernel.saw(ByteSize::bytes(ram.unsigned_abs())))
    }

    async fn nodes(&self) -> Told<usize> {
        let names = read::names(&self.session, "/sys/devices/system/node").await?;
        let numbered = |n: &&String| {
            n.strip_prefix("node")
                .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        };
        // A kernel without NUMA support has no folder for nodes, and one node.
        Ok(Kernel.saw(names.iter().filter(numbered).count().max(1)))
    }

    async fn bring_memory_online(&self) -> Done {
        bring_online(self, "/sys/devices/system/memory", "memory").await
    }

    async fn hold(&self, slot: u8, length: u64, pattern: Pattern) -> Told<Digest> {
        Ok(Physical.saw(self.session.memory_fill(slot, length, pattern.seed()).await?.digest))
    }

    async fn held(&self, slot: u8) -> Told<Digest> {
        Ok(Physical.saw(self.session.memory_digest(slot).await?.digest))
    }

    async fn scan(&self, needle: [u8; 32]) -> Told<MemoryScan> {
        Ok(Physical.saw(self.session.memory_scan(needle).await?))
    }
}
