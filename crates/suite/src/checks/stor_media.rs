//! Storage: media that grow, shrink and fill up while the guest runs.

use hospitium_host::{EventClass, EventKind, MachineState, PowerVerb};
use hospitium_model::{ByteSize, Capability, Finding, GuestSource, HostSource, Observations};
use hospitium_system::{Span, Write};

use super::disks::{self, MIB, on_medium};
use super::wait::{SETTLE, until};
use crate::fault::{Call, SeamFault};
use crate::{Check, FacetKind, Fault, Need, SightKind, check, device};

/// All of this file.
pub const CHECKS: &[&Check] = &[&RESIZE_ONLINE, &DISCARD, &ENOSPC];

check! {
    /// A disk that is made larger while in use is larger in the guest without a restart, and what is
    /// written in the new part is on the medium.
    pub RESIZE_ONLINE = "stor.resize-online", tier: Reversible,
        needs: [
            Need::Device(device::SCRATCH),
            Need::TellsOfSize(device::SCRATCH),
            Need::Host(Capability::ResizeDisk),
            Need::Facet(FacetKind::Media),
            Need::Sight(SightKind::Disks),
        ],
        fault: Fault::Seam(SeamFault::Ignore(Call::ResizeDisk));
    async fn resize_online(cell) {
        let disk = disks::configured(cell, device::SCRATCH)?;
        let Some(found) = disks::find(cell, &disk).await? else {
            return disks::absent(cell, &disk).await;
        };
        let size_inside = async || Ok(cell.system().block(&found).await?.map(|info| info.size));
        let size_outside = async || {
            let seen = disks::seen_by_host(cell, &disk.id).await?;
            Result::<_, crate::CheckError>::Ok(seen.map(|seen| seen.map_or(0, |seen| seen.size.as_bytes())))
        };
        let before = (size_inside().await?, size_outside().await?);
        let new = disk.size.as_bytes() + 16 * MIB;
        cell.media()?.resize_disk(&disk.id, ByteSize::bytes(new)).await?;
        let size = until(SETTLE, size_inside, |size| size.value == new).await?;
        let mut seen = Observations::of([
            Finding::same_as("size before", before.0, before.1, disk.size.as_bytes()).unit("B"),
            Finding::same_as("size", size, size_outside().await?, new).unit("B"),
        ]);
        if size.value == new {
            let span = Span { offset: new - 2 * MIB, length: 2 * MIB };
            let pattern = cell.pattern(0);
            cell.system().write(&found, span, pattern, Write::Flushed).await?;
            let inside = cell.system().read_back(&found, span).await?.map(|read| read.digest);
            let medium = cell.media()?.medium(&disk.id).await?;
            seen.push(Finding::same_as(
                "digest of what is in the new part",
                inside,
                on_medium(cell, &medium, span).await?,
                pattern.digest(span.length),
            ));
        }
        Ok(seen)
    }
}

check! {
    /// What the guest discards no longer takes room on the host, and what it keeps stays as it is.
    pub DISCARD = "stor.discard", tier: Reversible,
        needs: [
            Need::Device(device::SCRATCH),
            Need::TakesDiscard(device::SCRATCH),
            Need::Facet(FacetKind::Media),
        ],
        fault: Fault::Seam(SeamFault::Allocated(|size| *size = ByteSize::mib(64)));
    async fn discard(cell) {
        let disk = disks::configured(cell, device::SCRATCH)?;
        let Some(found) = disks::find(cell, &disk).await? else {
            return disks::absent(cell, &disk).await;
        };
        let dropped = Span { offset: 0, length: 6 * MIB };
        let kept = Span { offset: 6 * MIB, length: 2 * MIB };
        // A flush makes a discard durable, as it does with writes.
        let elsewhere = Span { offset: 32 * MIB, length: 4096 };
        let system = cell.system();
        system.write(&found, dropped, cell.pattern(0), Write::Flushed).await?;
        system.write(&found, kept, cell.pattern(1), Write::Flushed).await?;
        let full = cell.media()?.medium(&disk.id).await?.allocated;
        let told = system.discard(&found, dropped).await;
        let answer = disks::answer(told)?;
        system.write(&found, elsewhere, cell.pattern(2), Write::Flushed).await?;
        let inside = system.read_back(&found, kept).await?.map(|read| read.digest);
        let medium = cell.media()?.medium(&disk.id).await?;
        // To the nearest mebibyte: an image has some kilobytes of tables of its own.
        let freed = full.as_bytes().saturating_sub(medium.allocated.as_bytes());
        let freed = HostSource::Medium.saw((freed + MIB / 2) / MIB);
        let mut seen = Observations::of([
            Finding::each(
                "the discard: the guest's answer, and MiB that came free",
                answer,
                "done",
                freed,
                dropped.length / MIB,
            ),
            Finding::same_as(
                "digest of what was kept",
                inside,
                on_medium(cell, &medium, kept).await?,
                cell.pattern(1).digest(kept.length),
            ),
        ]);
        seen.note(format!("room taken: {full} before, {} after", medium.allocated));
        Ok(seen)
    }
}

check! {
    /// When the medium is full the guest stalls and the machine pauses; given room, the very write goes
    /// on and nothing of it is lost.
    pub ENOSPC = "stor.enospc", tier: Disruptive,
        needs: [
            Need::Device(device::CRAMPED),
            Need::Host(Capability::GrowRoom),
            Need::Facet(FacetKind::Media),
            Need::Sight(SightKind::State),
            Need::Events(EventClass::DiskError),
        ],
        fault: Fault::Seam(SeamFault::HideEvents(|kind| matches!(kind, EventKind::DiskError { .. })));
    async fn enospc(cell) {
        let disk = disks::configured(cell, device::CRAMPED)?;
        let Some(found) = disks::find(cell, &disk).await? else {
            return disks::absent(cell, &disk).await;
        };
        // More than there is room for.
        let room = disk.room.unwrap_or(disk.size).as_bytes();
        let span = Span { offset: 0, length: (room + 2 * MIB).min(disk.size.as_bytes()) };
        let pattern = cell.pattern(0);
        cell.means_full(&disk.id);
        let from = cell.events_so_far();
        let mut writing = std::pin::pin!(cell.system().write(&found, span, pattern, Write::Flushed));
        let full = cell.event(from, "the medium to be full", SETTLE, |kind| {
            matches!(kind, EventKind::DiskError { id, no_space: true } if *id == disk.id)
        });
        let (early, noticed) = tokio::select! {
            written = &mut writing => (Some(written), false),
            event = full => (None, event?.is_some()),
        };
        let state = cell.look().await?.state?;
        let stalls = GuestSource::Device.saw(early.is_none());
        cell.media()?.grow_backing(&disk.id, disk.size).await?;
        if state.value != MachineState::Running {
            cell.power(PowerVerb::Resume).await?;
        }
        match early {
            Some(written) => written?,
            None => writing.await?,
        };
        let medium = cell.media()?.medium(&disk.id).await?;
        let inside = cell.system().read_back(&found, span).await?.map(|read| read.digest);
        Ok(Observations::of([
            Finding::host_is("the host noticed that the medium is full", HostSource::Hypervisor.saw(noticed), true),
            Finding::each(
                "when it was full: the guest's write waits, and the machine's state",
                stalls,
                true,
                state.map(|state| format!("{state:?}")),
                "IoError",
            ),
            Finding::same_as(
                "digest of what was written",
                inside,
                on_medium(cell, &medium, span).await?,
                pattern.digest(span.length),
            ),
        ]))
    }
}
