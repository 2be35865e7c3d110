//! Storage: disks that come and go while the guest runs.

use hospitium_host::{Attachment, EventKind};
use hospitium_model::{Bus, ByteSize, Capability, Disk, Finding, Observations};
use hospitium_system::OwnedReply;
use hospitium_wire::Request;

use super::disks::{self, Range, Write};
use crate::fault::{Call, SeamFault};
use crate::standard::disk;
use crate::{Check, Fault, Need, check};

/// All of this file.
pub const CHECKS: &[&Check] =
    &[&ON_VIRTIO, &ON_VIRTIO_SCSI, &ON_SATA, &ON_NVME, &ON_USB, &SECTOR_4K];

const MIB: u64 = 1 << 20;
/// A size that no disk of the standard machine has, so that it tells the disk apart where the
/// guest shows no serial number.
const SIZE: ByteSize = ByteSize::mib(24);

/// A disk to plug in.
pub fn hot_disk(id: &str, bus: Bus) -> Disk {
    disk(id, bus, SIZE)
}

/// The bus that a variant of the check is about.
fn bus_of(variant: &str) -> Bus {
    [Bus::VirtioScsi, Bus::Sata, Bus::Nvme, Bus::Usb]
        .into_iter()
        .find(|bus| bus.name() == variant)
        .unwrap_or(Bus::Virtio)
}

check! {
    /// A disk plugged in while the guest runs appears with its serial number and size, keeps what is
    /// written on it, and goes away cleanly.
    pub [ON_VIRTIO = "stor.hot-add-remove/virtio" needs [
            Need::Host(Capability::HotplugDisk(Bus::Virtio)), Need::Driver("virtio")]],
        [ON_VIRTIO_SCSI = "stor.hot-add-remove/virtio-scsi" needs [
            Need::Host(Capability::HotplugDisk(Bus::VirtioScsi)), Need::Driver("virtio-scsi")]],
        [ON_SATA = "stor.hot-add-remove/sata" needs [
            Need::Host(Capability::HotplugDisk(Bus::Sata)), Need::Driver("sata")]],
        [ON_NVME = "stor.hot-add-remove/nvme" needs [
            Need::Host(Capability::HotplugDisk(Bus::Nvme)), Need::Driver("nvme")]],
        [ON_USB = "stor.hot-add-remove/usb" needs [
            Need::Host(Capability::HotplugDisk(Bus::Usb)), Need::Driver("usb-storage")]],
        tier: Reversible, fault: Fault::Seam(SeamFault::Ignore(Call::Detach));
    async fn hot_add_remove(cell) {
        let disk = hot_disk("hot", bus_of(cell.variant()));
        cell.hotplug()?.attach(&Attachment::Disk(disk.clone())).await?;
        let Some(found) = disks::find(cell, &disk).await? else {
            return disks::absent(cell, &disk).await;
        };
        let size = cell.guest.block_info(&found.path).await?.size;
        let host = disks::seen_by_host(cell, &disk.id).await?;
        let mut seen = Observations::of([
            Finding::same("size", size, host.map_or(0, |seen| seen.size.as_bytes())).unit("B"),
        ]);
        match &found.serial {
            Some(number) => seen.push(Finding::same("serial number", number.as_str(), disk.serial.as_str())),
            None => seen.note("the guest shows no serial number; the disk was told by its size"),
        }
        let range = Range { offset: MIB, length: 2 * MIB };
        let pattern = cell.pattern(0);
        let written = disks::write(&cell.guest, &found, range, pattern, Write::Flushed).await?.digest;
        let from = cell.events_so_far();
        cell.hotplug()?.detach(&disk.id).await?;
        let released = cell
            .event(from, "the guest to let go of the disk", disks::SETTLE, |kind| match kind {
                EventKind::DeviceRemoved { id } | EventKind::DetachRefused { id } => *id == disk.id,
                _ => false,
            })
            .await?;
        let released = released.is_some_and(|e| matches!(e.kind, EventKind::DeviceRemoved { .. }));
        // Without the event it will not go; nothing is won by waiting once more.
        let gone = released && disks::gone(&cell.guest, &found).await?;
        seen.push(Finding::same_as("the disk went away", gone, released, true));
        let medium = cell.media()?.medium(&disk.id).await?;
        let on_medium = medium.digest(range.offset, range.length)?;
        let wanted = pattern.digest(range.length);
        seen.push(Finding::same_as("digest of what was written", written, on_medium, wanted));
        Ok(seen)
    }
}

check! {
    /// A disk with 4096-byte sectors has them in the guest, and takes writes in them.
    pub SECTOR_4K = "stor.sector-4k", tier: Reversible,
        needs: [Need::Host(Capability::HotplugDisk(Bus::Virtio)), Need::Driver("virtio")],
        fault: Fault::Reply(|request, reply| {
            if let (Request::BlockInfo { .. }, OwnedReply::Block { logical, .. }) = (request, reply) {
                *logical = 512;
            }
        });
    async fn sector_4k(cell) {
        let mut disk = hot_disk("big-sectors", Bus::Virtio);
        disk.logical_sector = 4096;
        disk.physical_sector = 4096;
        cell.hotplug()?.attach(&Attachment::Disk(disk.clone())).await?;
        let Some(found) = disks::find(cell, &disk).await? else {
            return disks::absent(cell, &disk).await;
        };
        let info = cell.guest.block_info(&found.path).await?;
        let range = Range { offset: 4096, length: MIB };
        let pattern = cell.pattern(0);
        let written = disks::write(&cell.guest, &found, range, pattern, Write::Flushed).await?.digest;
        let medium = cell.media()?.medium(&disk.id).await?;
        let on_medium = medium.digest(range.offset, range.length)?;
        Ok(Observations::of([
            Finding::same("logical sector", info.logical, disk.logical_sector).unit("B"),
            Finding::same("physical sector", info.physical, disk.physical_sector).unit("B"),
            Finding::same_as("digest of what was written", written, on_medium, pattern.digest(range.length)),
        ]))
    }
}
