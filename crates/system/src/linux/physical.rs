//! Physical memory of a Linux guest: what its firmware left there.

use hospitium_model::Inability;
use hospitium_wire::MAX_DATA;

use super::acpi::{self, HEADER};
use super::{LinuxSystem, read, smbios};
use crate::{Done, SessionError, SystemError};

const PAGE: u64 = 4096;

impl LinuxSystem {
    /// Bytes of physical memory.
    ///
    /// # Errors
    /// Unable where the kernel lets nobody read there: it may keep what it uses itself (CONFIG_STRICT_DEVMEM,
    /// CONFIG_IO_STRICT_DEVMEM), and all of it while it is locked down.
    pub(super) async fn physical(&self, address: u64, length: u32) -> Done<Vec<u8>> {
        let mut all = Vec::new();
        let mut left = length;
        while left > 0 {
            let at = address.saturating_add(all.len() as u64);
            // A page is readable or not; two may differ.
            let room = PAGE - at % PAGE;
            let want = left.min(u32::try_from(room.min(MAX_DATA as u64)).unwrap_or(left));
            let part = match self.session.read_at("/dev/mem", at, want).await {
                Ok(part) => part,
                Err(SessionError::Guest { call, .. }) => return Err(unreadable(at, &call)),
                Err(other) => return Err(other.into()),
            };
            if part.len() != want as usize {
                return Err(unreadable(at, "a short read"));
            }
            left -= want;
            all.extend(part);
        }
        Ok(all)
    }

    /// The address that an EFI system table has for something: `ACPI20`, `SMBIOS`. None if it was not EFI that
    /// started the kernel.
    async fn of_efi(&self, names: &[&str]) -> Done<Option<u64>> {
        for path in ["/sys/firmware/efi/systab", "/proc/efi/systab"] {
            let Some(text) = read::text_if_there(&self.session, path).await? else { continue };
            let of = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
                line.and_then(|address| read::parse(address.trim()))
            };
            return Ok(names.iter().find_map(|name| of(name)).map(i64::unsigned_abs));
        }
        Ok(None)
    }

    /// Where EFI says that a structure begins, else the memory of the BIOS that it is to be looked for in.
    async fn firmware_area(&self, names: &[&str], bios: u64) -> Done<Vec<u8>> {
        match self.of_efi(names).await? {
            Some(address) => self.physical(address, 64).await,
            None => self.physical(bios, (0x10_0000 - bios) as u32).await,
        }
    }

    /// The SMBIOS tables and their version, from memory; none if there are none.
    pub(super) async fn smbios_tables(&self) -> Done<Option<(Vec<u8>, (u8, u8))>> {
        let memory = self.firmware_area(&["SMBIOS3", "SMBIOS"], 0xF_0000).await?;
        let Some(entry) = smbios::entry_point(&memory) else {
            return Ok(None);
        };
        Ok(Some((self.physical(entry.address, entry.length).await?, entry.version)))
    }

    /// All definition blocks, DSDT and SSDT.
    pub(super) async fn definition_blocks(&self) -> Done<Vec<Vec<u8>>> {
        const FOLDER: &str = "/sys/firmware/acpi/tables";
        let mut blocks = Vec::new();
        for name in read::names(&self.session, FOLDER).await? {
            if name.starts_with("DSDT") || name.starts_with("SSDT") {
                let file = format!("{FOLDER}/{name}");
                blocks.extend(read::bytes_if_there(&self.session, &file).await?);
            }
        }
        if blocks.is_empty() {
            return self.definition_blocks_in_memory().await;
        }
        Ok(blocks)
    }

    /// The same by way of the root table, for kernels that do not show them (Linux does since 2.6.25).
    async fn definition_blocks_in_memory(&self) -> Done<Vec<Vec<u8>>> {
        let memory = self.firmware_area(&["ACPI20", "ACPI"], 0xE_0000).await?;
        let Some(root) = acpi::root_table(&memory) else {
            return Ok(Vec::new());
        };
        let mut blocks = Vec::new();
        for address in acpi::entries(&self.acpi_table(root).await?) {
            let table = self.acpi_table(address).await?;
            if table.starts_with(b"FACP")
                && let Some(address) = acpi::dsdt(&table)
            {
                blocks.push(self.acpi_table(address).await?);
            } else if table.starts_with(b"SSDT") {
                blocks.push(table);
            }
        }
        Ok(blocks)
    }

    /// One ACPI table; empty if none begins there.
    async fn acpi_table(&self, address: u64) -> Done<Vec<u8>> {
        let header = self.physical(address, HEADER as u32).await?;
        match acpi::length(&header) {
            Some(length) => self.physical(address, length).await,
            None => Ok(Vec::new()),
        }
    }
}

fn unreadable(address: u64, why: &str) -> SystemError {
    let why =
        format!("this kernel lets nobody read its firmware's memory at {address:#x} ({why} fails)");
    Inability::of_guest(why).into()
}
