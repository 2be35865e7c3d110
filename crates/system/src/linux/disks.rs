//! Disks and drives of a Linux guest.

use async_trait::async_trait;
use hospitium_model::GuestSource::{Device, Kernel};
use hospitium_model::Pattern;
use hospitium_wire::{Node, errno};

use super::{LinuxSystem, read};
use crate::ask::{Disks, DriveContent, GuestDisk, Span, WantedDisk, Write};
use crate::{BlockInfo, Done, PatternDone, Range, SessionError, SystemError, Told};

const FOLDER: &str = "/sys/block";
/// Longest name of a block device that is believed.
const NAME_MAX: usize = 32;
/// A drive with no disc in it (asm-generic/errno.h).
const ENOMEDIUM: i32 = 123;

impl LinuxSystem {
    /// The serial number that the kernel shows for a block device.
    async fn serial_number(&self, name: &str) -> Done<Option<String>> {
        let guest = &self.session;
        let folder = format!("{FOLDER}/{name}");
        let text = async |file: String| {
            let bytes = read::bytes_if_there(guest, &file).await?;
            let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
            Done::Ok(text.filter(|text| !text.is_empty()))
        };
        if name.starts_with("vd") {
            return text(format!("{folder}/serial")).await;
        }
        if name.starts_with("nvme") {
            return text(format!("{folder}/device/serial")).await;
        }
        // SCSI and ATA: vital product data page 0x80, four bytes of header before the number.
        if let Some(page) =
            read::bytes_if_there(guest, &format!("{folder}/device/vpd_pg80")).await?
            && let Some(number) = page.get(4..)
        {
            let number = String::from_utf8_lossy(number).trim().to_owned();
            if !number.is_empty() {
                return Ok(Some(number));
            }
        }
        // USB storage is never asked for that page; the number is its USB device's, which is above
        // the SCSI device, target, host and USB interface.
        text(format!("{folder}/device/../../../../serial")).await
    }

    /// Makes the device node if the guest has not made it by itself.
    async fn make_node(&self, disk: &GuestDisk) -> Done {
        match self.session.block_info(&disk.path).await {
            Err(SessionError::Guest { code: errno::ENOENT, .. }) => {}
            // Whatever else is wrong with it shows when it is used.
            _ => return Ok(()),
        }
        let file = format!("{FOLDER}/{}/dev", disk.name);
        let text = read::text_if_there(&self.session, &file).await?.unwrap_or_default();
        let (major, minor) = text
            .split_once(':')
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)))
            .ok_or_else(|| SystemError::unreadable(&file, &text))?;
        self.session.make_node(&disk.path, Node::Block, major, minor).await?;
        Ok(())
    }

    /// True if the guest opens the disk, whose node is made if need be. Linux lists a disk a moment before
    /// it can be opened: `device_add_disk` (block/genhd.c) makes the entry in sysfs first and the block
    /// device after, and answers ENXIO in between.
    async fn opens(&self, disk: &GuestDisk) -> Done<bool> {
        self.make_node(disk).await?;
        let opened = self.session.block_info(&disk.path).await;
        Ok(!matches!(opened, Err(SessionError::Guest { code: errno::ENXIO, .. })))
    }

    async fn look(&self, wanted: &WantedDisk) -> Done<Option<GuestDisk>> {
        let mut nameless = Vec::new();
        let names = read::names(&self.session, FOLDER).await?;
        for name in names.into_iter().filter(|n| is_disk(n)) {
            let found =
                |serial| GuestDisk { path: format!("/dev/{name}"), name: name.clone(), serial };
            match self.serial_number(&name).await? {
                Some(serial) if serial == wanted.serial => return Ok(Some(found(Some(serial)))),
                Some(_) => {}
                None => {
                    let file = format!("{FOLDER}/{name}/size");
                    let sectors = read::text_if_there(&self.session, &file).await?;
                    if sectors.and_then(|s| s.parse().ok()) == Some(wanted.size / 512) {
                        nameless.push(found(None));
                    }
                }
            }
        }
        Ok(if nameless.len() == 1 { nameless.pop() } else { None })
    }
}

#[async_trait]
impl Disks for LinuxSystem {
    async fn disk(&self, wanted: &WantedDisk) -> Told<Option<GuestDisk>> {
        let found = match self.look(wanted).await? {
            Some(found) if self.opens(&found).await? => Some(found),
            _ => None,
        };
        Ok(Kernel.saw(found))
    }

    async fn drive(&self, serial: &str) -> Told<Option<GuestDisk>> {
        let mut drives = Vec::new();
        let names = read::names(&self.session, FOLDER).await?;
        for name in names.into_iter().filter(|n| is_drive(n)) {
            let page = format!("{FOLDER}/{name}/device/vpd_pg83");
            let page = read::bytes_if_there(&self.session, &page).await?.unwrap_or_default();
            let page = String::from_utf8_lossy(&page).into_owned();
            let found = GuestDisk { path: format!("/dev/{name}"), name, serial: None };
            drives.push((page.contains(serial), found));
        }
        let named = drives.iter().position(|(named, _)| *named);
        let Some(at) = named.or((drives.len() == 1).then_some(0)) else {
            return Ok(Kernel.saw(None));
        };
        let (_, found) = drives.swap_remove(at);
        self.make_node(&found).await?;
        Ok(Kernel.saw(Some(found)))
    }

    async fn lists(&self, disk: &GuestDisk) -> Told<bool> {
        let names = read::names(&self.session, FOLDER).await?;
        Ok(Kernel.saw(names.contains(&disk.name)))
    }

    async fn block(&self, disk: &GuestDisk) -> Told<BlockInfo> {
        Ok(Kernel.saw(self.session.block_info(&disk.path).await?))
    }

    async fn write(
        &self,
        disk: &GuestDisk,
        span: Span,
        pattern: Pattern,
        how: Write,
    ) -> Told<PatternDone> {
        let at = range(disk, span, how == Write::Unflushed);
        let done = self.session.pattern_write(at, pattern.seed(), how == Write::Flushed).await?;
        Ok(Device.saw(done))
    }

    async fn read_back(&self, disk: &GuestDisk, span: Span) -> Told<PatternDone> {
        Ok(Device.saw(self.session.pattern_read(range(disk, span, true)).await?))
    }

    async fn discard(&self, disk: &GuestDisk, span: Span) -> Done {
        Ok(self.session.block_discard(&disk.path, span.offset, span.length).await?)
    }

    async fn content(&self, drive: &GuestDisk, length: u64) -> Told<DriveContent> {
        let all = range(drive, Span { offset: 0, length }, true);
        match self.session.pattern_read(all).await {
            Ok(done) => Ok(Device.saw(DriveContent::Disc(done.digest))),
            Err(SessionError::Guest { code: ENOMEDIUM, .. }) => Ok(Device.saw(DriveContent::Empty)),
            Err(other) => Err(other.into()),
        }
    }
}

fn range(disk: &GuestDisk, span: Span, direct: bool) -> Range<'_> {
    Range { path: &disk.path, offset: span.offset, length: span.length, direct }
}

/// True for the name of a real block device.
fn is_disk(name: &str) -> bool {
    let known = ["vd", "sd", "hd", "nvme", "xvd"].iter().any(|prefix| name.starts_with(prefix));
    known && name.len() <= NAME_MAX && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn is_drive(name: &str) -> bool {
    name.len() <= 8
        && name
            .strip_prefix("sr")
            .is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()) && !n.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_real_disks_are_followed() {
        for good in ["vda", "sdaa", "nvme0n1"] {
            assert!(is_disk(good), "{good}");
        }
        for bad in ["loop0", "sr0", "vd/../..", "sda\n", "zram0", "", &"v".repeat(64)] {
            assert!(!is_disk(bad), "{bad:?}");
        }
        assert!(is_drive("sr0") && !is_drive("sr") && !is_drive("sra"));
    }
}
