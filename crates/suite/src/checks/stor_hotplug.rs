//! Storage: disks that come and go while the guest runs.

use hospitium_host::{Attachment, EventClass};
use hospitium_model::{
    Bus, ByteSize, Capability, Disk, Finding, GuestSource, Inside, Observations,
};
use hospitium_system::{GuestDisk, Span, Write};

use super::devices::{self, unplug};
use super::disks::{self, MIB, on_medium};
use crate::fault::{Call, SeamFault};
use crate::standard::disk;
use crate::{Cell, Check, CheckError, FacetKind, Fault, Need, SightKind, check};

/// All of this file.
pub const CHECKS: &[&Check] =
    &[&ON_VIRTIO, &ON_VIRTIO_SCSI, &ON_SATA, &ON_NVME, &ON_USB, &SECTOR_4K];

const SIZE: ByteSize = ByteSize::mib(24);

/// The bus that a variant of the check is about.
fn bus_of(variant: &str) -> Bus {
    [Bus::VirtioScsi, Bus::Sata, Bus::Nvme, Bus::Usb]
        .into_iter()
        .find(|bus| bus.name() == variant)
        .unwrap_or(Bus::Virtio)
}

/// Plugs in a disk. Returns the one that is new in the guest, by nothing but that it was not there before, or
/// what is to be reported where none comes in time.
async fn plug_in(cell: &Cell, disk: &Disk) -> Result<Result<GuestDisk, Observations>, CheckError> {
    let driver = disks::driver(disk.bus);
    // Before the look: a driver may find other disks that are there already.
    devices::must_drive(cell, driver).await?;
    let before = cell.system().disks_besides(&[]).await?.value;
    cell.hotplug()?.attach(&Attachment::Disk(disk.clone())).await?;
    let new = async || Ok::<_, CheckError>(cell.system().disks_besides(&before).await?);
    let look = async || Ok(new().await?.value.into_iter().next());
    if let Some(found) = devices::appears(cell, driver, look).await? {
        return Ok(Ok(found));
    }
    // Not asked again: what comes now comes too late.
    let guest = GuestSource::Kernel.saw(false);
    let host = disks::seen_by_host(cell, &disk.id).await?.map(|seen| seen.is_some());
    Ok(Err(Observations::of([Finding::same_as("a new disk", guest, host, true)])))
}

check! {
    /// A disk plugged in while the guest runs appears with its serial number and size, keeps what is
    /// written on it, and goes away cleanly.
    pub [ON_VIRTIO = "stor.hot-add-remove/virtio" needs [
            Need::Host(Capability::HotplugDisk(Bus::Virtio)), Need::Driver("virtio"), Need::Facet(FacetKind::Hotplug),
            Need::Facet(FacetKind::Media), Need::Sight(SightKind::Disks), Need::Sight(SightKind::DiskSerials),
            Need::Events(EventClass::Removal)]],
        [ON_VIRTIO_SCSI = "stor.hot-add-remove/virtio-scsi" needs [
            Need::Host(Capability::HotplugDisk(Bus::VirtioScsi)), Need::Driver("virtio-scsi"), Need::Facet(FacetKind::Hotplug),
            Need::Facet(FacetKind::Media), Need::Sight(SightKind::Disks), Need::Sight(SightKind::DiskSerials),
            Need::Events(EventClass::Removal)]],
        [ON_SATA = "stor.hot-add-remove/sata" needs [
            Need::Host(Capability::HotplugDisk(Bus::Sata)), Need::Driver("sata"), Need::Facet(FacetKind::Hotplug),
            Need::Facet(FacetKind::Media), Need::Sight(SightKind::Disks), Need::Sight(SightKind::DiskSerials),
            Need::Events(EventClass::Removal)]],
        [ON_NVME = "stor.hot-add-remove/nvme" needs [
            Need::Host(Capability::HotplugDisk(Bus::Nvme)), Need::Driver("nvme"), Need::Facet(FacetKind::Hotplug),
            Need::Facet(FacetKind::Media), Need::Sight(SightKind::Disks), Need::Sight(SightKind::DiskSerials),
            Need::Events(EventClass::Removal)]],
        [ON_USB = "stor.hot-add-remove/usb" needs [
            Need::Host(Capability::HotplugDisk(Bus::Usb)), Need::Driver("usb-storage"), Need::Facet(FacetKind::Hotplug),
            Need::Facet(FacetKind::Media), Need::Sight(SightKind::Disks), Need::Sight(SightKind::DiskSerials),
            Need::Events(EventClass::Removal)]],
        tier: Reversible, fault: Fault::Seam(SeamFault::Ignore(Call::Detach));
    async fn hot_add_remove(cell) {
        let disk = disk("hot", bus_of(cell.variant()), SIZE);
        let found = match plug_in(cell, &disk).await? {
            Ok(found) => found,
            Err(seen) => return Ok(seen),
        };
        let info = cell.system().block(&found).await?;
        let host = disks::seen_by_host(cell, &disk.id).await?;
        let size = disks::told(&host, "a disk's size", |seen| Some(seen.size.as_bytes()))?;
        let mut seen = Observations::of([
            Finding::same_as("size", info.map(|info| info.size), size, SIZE.as_bytes()).unit("B"),
        ]);
        match &found.serial {
            Some(number) => {
                let number = Inside { value: number.as_str(), source: info.source };
                let host = disks::told(&host, "a disk's serial number", |seen| seen.serial.clone())?;
                seen.push(Finding::same_as("serial number", number, host, disk.serial.as_str()));
            }
            None => seen.note("the guest's kernel shows no serial number of this disk"),
        }
        let span = Span { offset: MIB, length: 2 * MIB };
        let pattern = cell.pattern(0);
        cell.system().write(&found, span, pattern, Write::Flushed).await?;
        let inside = cell.system().read_back(&found, span).await?.map(|read| read.digest);
        if disk.bus == Bus::Usb {
            // USB asks nobody before a device goes.
            cell.breaks(&found);
        }
        let released = unplug(cell, &disk.id).await?;
        // Without the event it will not go; nothing is won by waiting once more.
        let gone = match released.value {
            true => disks::gone(cell, &found).await?,
            false => cell.system().lists(&found).await?.map(|there| !there),
        };
        seen.push(Finding::same_as("the disk went away", gone, released, true));
        let medium = cell.media()?.medium(&disk.id).await?;
        seen.push(Finding::same_as(
            "digest of what was written",
            inside,
            on_medium(cell, &medium, span).await?,
            pattern.digest(span.length),
        ));
        Ok(seen)
    }
}

check! {
    /// A disk with 4096-byte sectors has them in the guest, and takes writes in them.
    pub SECTOR_4K = "stor.sector-4k", tier: Reversible,
        needs: [
            Need::Host(Capability::HotplugDisk(Bus::Virtio)),
            Need::Driver("virtio"),
            Need::Facet(FacetKind::Hotplug),
            Need::Facet(FacetKind::Media),
            Need::Sight(SightKind::Disks),
            Need::Sight(SightKind::DiskSectors),
        ],
        fault: Fault::Guest("block", |_, told| told["logical"] = 512.into());
    async fn sector_4k(cell) {
        let mut disk = disk("big-sectors", Bus::Virtio, SIZE);
        disk.logical_sector = 4096;
        disk.physical_sector = 4096;
        let found = match plug_in(cell, &disk).await? {
            Ok(found) => found,
            Err(seen) => return Ok(seen),
        };
        let info = cell.system().block(&found).await?;
        let host = disks::seen_by_host(cell, &disk.id).await?;
        let logical = disks::told(&host, "a disk's sectors", |seen| seen.logical_sector)?;
        let span = Span { offset: 4096, length: MIB };
        let pattern = cell.pattern(0);
        cell.system().write(&found, span, pattern, Write::Flushed).await?;
        let inside = cell.system().read_back(&found, span).await?.map(|read| read.digest);
        let medium = cell.media()?.medium(&disk.id).await?;
        let mut seen = Observations::of([
            Finding::same_as("logical sector", info.map(|info| info.logical), logical, 4096).unit("B"),
            Finding::same_as(
                "digest of what was written",
                inside,
                on_medium(cell, &medium, span).await?,
                pattern.digest(span.length),
            ),
        ]);
        match info.value.physical {
            0 => seen.note("the guest's kernel does not tell physical sectors (Linux does since 2.6.32)"),
            size => {
                let host = disks::told(&host, "a disk's sectors", |seen| seen.physical_sector)?;
                let size = Inside { value: size, source: info.source };
                seen.push(Finding::same_as("physical sector", size, host, 4096).unit("B"));
            }
        }
        Ok(seen)
    }
}
