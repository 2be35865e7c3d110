//! A disk of the machine, as guest and host find it.

use hospitium_host::{HostError, Medium, SeenDisk};
use hospitium_model::{
    Bus, Digest, Disk, Finding, GuestSource, HostSource, Inability, Inside, Observations, Outside,
};
use hospitium_system::{Done, GuestDisk, Span, SystemError, WantedDisk};
use serde_json::json;

use super::devices;
use super::wait::{SETTLE, until};
use crate::{Cell, CheckError};

/// A mebibyte.
pub const MIB: u64 = 1 << 20;
/// The first mebibyte of a disk.
pub const MIB_SPAN: Span = Span { offset: 0, length: MIB };

/// The driver of disks on this bus, by its name in `guests/linux-modules.toml`.
pub const fn driver(bus: Bus) -> &'static str {
    match bus {
        Bus::Usb => "usb-storage",
        other => other.name(),
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

/// What a disk of the specification is told by.
pub fn wanted(disk: &Disk) -> WantedDisk {
    WantedDisk { serial: disk.serial.clone(), size: disk.size.as_bytes(), bus: disk.bus }
}

/// Loads the disk's driver and waits until the guest lists the disk and opens it. None if it does not in time,
/// which is an observation. A skip if the running guest has no driver for disks on its bus.
pub async fn find(cell: &Cell, disk: &Disk) -> Result<Option<GuestDisk>, CheckError> {
    let wanted = wanted(disk);
    let look = async || Ok(cell.system().disk(&wanted).await?.value);
    devices::appears(cell, driver(disk.bus), look).await
}

/// What a check reports when the guest did not have a disk in time that the host has. The guest is not asked again: one
/// that has it by now has it too late, and nothing of the check was tried.
pub async fn absent(cell: &Cell, disk: &Disk) -> Result<Observations, CheckError> {
    let guest = GuestSource::Kernel.saw(false);
    let what = format!("a disk of serial number {}", disk.serial);
    Ok(Observations::of([match seen_by_host(cell, &disk.id).await {
        Ok(host) => Finding::same_as(what, guest, host.map(|found| found.is_some()), true),
        Err(CheckError::Unable(_)) => Finding::guest_is(what, guest, true),
        Err(other) => return Err(other),
    }]))
}

/// Waits until the guest no longer lists the disk; false if it still does after the time.
pub async fn gone(cell: &Cell, disk: &GuestDisk) -> Result<Inside<bool>, CheckError> {
    let ask = async || Ok(cell.system().lists(disk).await?.map(|there| !there));
    until(SETTLE, ask, |gone| gone.value).await
}

/// The disk as the hypervisor has it now.
pub async fn seen_by_host(cell: &Cell, id: &str) -> Result<Outside<Option<SeenDisk>>, CheckError> {
    let Outside { value, source } = cell.look().await?.disks?;
    let mut own = value.into_iter().filter(|disk| disk.id == id);
    match (own.next(), own.next()) {
        (found, None) => Ok(source.saw(found)),
        _ => Err(CheckError::unreadable("the hypervisor's list of disks", "it has two of one id")),
    }
}

/// What the host tells of a disk.
///
/// # Errors
/// It does not tell it.
pub fn told<T>(
    seen: &Outside<Option<SeenDisk>>,
    what: &str,
    of: impl Fn(&SeenDisk) -> Option<T>,
) -> Result<Outside<T>, CheckError> {
    let value = seen.value.as_ref().and_then(of);
    let value = value.ok_or_else(|| Inability::of_host(format!("it does not tell {what}")))?;
    Ok(Outside { value, source: seen.source })
}

/// Digest of what is at this place of a medium.
pub async fn on_medium(
    cell: &Cell,
    medium: &Medium,
    at: Span,
) -> Result<Outside<Digest>, CheckError> {
    let measure = async { medium.digest(at.offset, at.length) };
    let digest = cell.measured("digest on a medium", json!({ "at": at }), measure).await?;
    Ok(HostSource::Medium.saw(digest))
}

/// What the guest's system answered to something that it may refuse: `done`, or its own name of the refusal.
pub fn answer<T>(told: Done<T>) -> Result<Inside<String>, CheckError> {
    use hospitium_model::GuestSource::Kernel;

    match told {
        Ok(_) => Ok(Kernel.saw("done".to_owned())),
        Err(SystemError::Refused { code, .. }) => Ok(Kernel.saw(code)),
        Err(other) => Err(other.into()),
    }
}
