//! Finding a disk in a Linux guest by its serial number, and patterns on it.

use std::time::{Duration, Instant};

use hospitium_host::{HostError, SeenDisk};
use hospitium_model::{Bus, Disk, Finding, Observations, Pattern};
use hospitium_system::{PatternDone, Session, SessionError};
use hospitium_wire::{Domain, Node, errno};

use super::{load, read};
use crate::{Cell, CheckError};

/// How long a disk may take to appear or to go away. An idle guest needs well under a second; on a
/// machine where many clones are emulated at once it is several.
pub const SETTLE: Duration = Duration::from_secs(10);
/// Between two looks into the guest.
pub const PAUSE: Duration = Duration::from_millis(25);
/// Longest name of a block device that is believed.
const NAME_MAX: usize = 32;

/// A disk as the guest knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestDisk {
    /// The kernel's name: `vda`.
    pub name: String,
    /// Its device node.
    pub path: String,
    /// The serial number that the guest reads; none if the kernel shows none.
    pub serial: Option<String>,
}

/// A range of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First byte, a multiple of 4096.
    pub offset: u64,
    /// Bytes, a multiple of 4096.
    pub length: u64,
}

impl Range {
    fn on(self, disk: &GuestDisk, direct: bool) -> hospitium_system::Range<'_> {
        hospitium_system::Range {
            path: &disk.path,
            offset: self.offset,
            length: self.length,
            direct,
        }
    }
}

/// How a pattern is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// Through the page cache, and flushed to the medium before the answer.
    Flushed,
    /// Past the page cache, so that it reaches the hypervisor, and not flushed.
    Unflushed,
}

/// The driver of disks on this bus, by its name in `guests/linux-modules.toml`.
pub const fn driver(bus: Bus) -> &'static str {
    match bus {
        Bus::Usb => "usb-storage",
        other => other.name(),
    }
}

/// Loads the disk's driver and waits until the guest lists the disk and opens it. `None` if it does
/// not in time, which is an observation.
pub async fn find(cell: &mut Cell, disk: &Disk) -> Result<Option<GuestDisk>, CheckError> {
    load::driver(cell, driver(disk.bus)).await?;
    let until = Instant::now() + SETTLE;
    loop {
        if let Some(found) = look(&cell.guest, disk).await?
            && opens(&cell.guest, &found).await?
        {
            return Ok(Some(found));
        }
        if Instant::now() >= until {
            return Ok(None);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The disk of this id in the machine's specification.
pub fn configured(cell: &Cell, id: &str) -> Result<Disk, CheckError> {
    let missing = || HostError::Refused {
        doing: format!("looking for the disk {id:?}"),
        why: "the machine is configured without it".into(),
    };
    Ok(cell.spec().disk(id).cloned().ok_or_else(missing)?)
}

/// What a check reports when the guest does not have a disk that the host does.
pub async fn absent(cell: &Cell, disk: &Disk) -> Result<Observations, CheckError> {
    let host = seen_by_host(cell, &disk.id).await?.is_some();
    let what = format!("a disk of serial number {}", disk.serial);
    Ok(Observations::of([Finding::same_as(what, false, host, true)]))
}

/// Waits until the guest no longer lists the disk; false if it still does after the time.
pub async fn gone(guest: &Session, disk: &GuestDisk) -> Result<bool, CheckError> {
    let until = Instant::now() + SETTLE;
    loop {
        if !read::names(guest, "/sys/block").await?.contains(&disk.name) {
            return Ok(true);
        }
        if Instant::now() >= until {
            return Ok(false);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The disk as the hypervisor has it now.
pub async fn seen_by_host(cell: &Cell, id: &str) -> Result<Option<SeenDisk>, CheckError> {
    Ok(cell.look().await?.disks?.value.into_iter().find(|disk| disk.id == id))
}

/// Has the guest write a pattern.
pub async fn write(
    guest: &Session,
    disk: &GuestDisk,
    range: Range,
    pattern: Pattern,
    how: Write,
) -> Result<PatternDone, SessionError> {
    let at = range.on(disk, how == Write::Unflushed);
    guest.pattern_write(at, pattern.seed(), how == Write::Flushed).await
}

/// Has the guest read a range from the medium, past its page cache.
pub async fn reread(
    guest: &Session,
    disk: &GuestDisk,
    range: Range,
) -> Result<PatternDone, SessionError> {
    guest.pattern_read(range.on(disk, true)).await
}

/// What the guest's kernel answered: `done`, or the name of the errno, its number if it has no name.
pub fn answer(result: Result<&str, SessionError>) -> Result<String, CheckError> {
    match result {
        Ok(done) => Ok(done.to_owned()),
        Err(SessionError::Guest { domain: Domain::Errno, code: errno, .. }) => {
            Ok(match errno::name(errno) {
                "error" => format!("errno {errno}"),
                name => name.to_owned(),
            })
        }
        Err(other) => Err(other.into()),
    }
}

/// One look for the disk: by serial number, else by a size that no other disk has.
async fn look(guest: &Session, disk: &Disk) -> Result<Option<GuestDisk>, CheckError> {
    let mut nameless = Vec::new();
    for name in read::names(guest, "/sys/block").await?.into_iter().filter(|n| is_disk(n)) {
        let found = |serial| GuestDisk { path: format!("/dev/{name}"), name: name.clone(), serial };
        match serial_number(guest, &name).await? {
            Some(serial) if serial == disk.serial => return Ok(Some(found(Some(serial)))),
            Some(_) => {}
            None => {
                let sectors = text_if_there(guest, &format!("/sys/block/{name}/size")).await?;
                if sectors.and_then(|s| s.parse().ok()) == Some(disk.size.as_bytes() / 512) {
                    nameless.push(found(None));
                }
            }
        }
    }
    Ok(if nameless.len() == 1 { nameless.pop() } else { None })
}

/// The serial number that the guest's kernel shows for a block device.
async fn serial_number(guest: &Session, name: &str) -> Result<Option<String>, CheckError> {
    let folder = format!("/sys/block/{name}");
    if name.starts_with("vd") {
        return Ok(filled(text_if_there(guest, &format!("{folder}/serial")).await?));
    }
    if name.starts_with("nvme") {
        return Ok(filled(text_if_there(guest, &format!("{folder}/device/serial")).await?));
    }
    // SCSI and ATA: vital product data page 0x80, four bytes of header before the number.
    if let Some(page) = bytes_if_there(guest, &format!("{folder}/device/vpd_pg80")).await?
        && let Some(number) = page.get(4..)
        && let Some(number) = filled(Some(String::from_utf8_lossy(number).trim().to_owned()))
    {
        return Ok(Some(number));
    }
    // USB storage is never asked for that page; the number is its USB device's, which is above
    // the SCSI device, target, host and USB interface.
    let usb = format!("{folder}/device/../../../../serial");
    Ok(filled(text_if_there(guest, &usb).await?))
}

/// Most bytes that are read of a file in sysfs.
const ATTRIBUTE: u64 = 4096;

/// A small file's content, `None` if it is not there or cannot be read.
pub async fn bytes_if_there(guest: &Session, path: &str) -> Result<Option<Vec<u8>>, CheckError> {
    match guest.read_file(path, ATTRIBUTE).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(SessionError::Guest { .. }) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// The same as text, white space around it cut off.
pub async fn text_if_there(guest: &Session, path: &str) -> Result<Option<String>, CheckError> {
    let bytes = bytes_if_there(guest, path).await?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()))
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// True for the name of a real block device.
fn is_disk(name: &str) -> bool {
    let known = ["vd", "sd", "hd", "nvme", "xvd"].iter().any(|prefix| name.starts_with(prefix));
    known && name.len() <= NAME_MAX && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// True if the guest opens the disk, whose node is made if need be. Linux lists a disk a moment before
/// it can be opened: `device_add_disk` (block/genhd.c) makes the entry in sysfs first and the block
/// device after, and answers ENXIO in between.
async fn opens(guest: &Session, disk: &GuestDisk) -> Result<bool, CheckError> {
    make_node(guest, disk).await?;
    let opened = guest.block_info(&disk.path).await;
    Ok(!matches!(
        opened,
        Err(SessionError::Guest { domain: Domain::Errno, code: errno::ENXIO, .. })
    ))
}

/// Makes the device node if the guest has not made it by itself.
pub async fn make_node(guest: &Session, disk: &GuestDisk) -> Result<(), CheckError> {
    match guest.block_info(&disk.path).await {
        Err(SessionError::Guest { domain: Domain::Errno, code: errno::ENOENT, .. }) => {}
        // Whatever else is wrong with it shows when it is used.
        _ => return Ok(()),
    }
    let file = format!("/sys/block/{}/dev", disk.name);
    let text = text_if_there(guest, &file).await?.unwrap_or_default();
    let (major, minor) = text
        .split_once(':')
        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)))
        .ok_or_else(|| CheckError::unreadable(&file, &text))?;
    guest.make_node(&disk.path, Node::Block, major, minor).await?;
    Ok(())
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
    }
}
