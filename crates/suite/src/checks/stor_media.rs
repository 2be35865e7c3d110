//! Storage: media that grow, shrink and fill up while the guest runs.

use std::time::Instant;

use hospitium_host::{EventKind, MachineState, PowerVerb};
use hospitium_model::{ByteSize, Capability, Finding, Observations};

use super::disks::{self, Range, Write};
use crate::fault::{Call, SeamFault};
use crate::{Check, Fault, Need, check, device};

/// All of this file.
pub const CHECKS: &[&Check] = &[&RESIZE_ONLINE, &DISCARD, &ENOSPC];

const MIB: u64 = 1 << 20;

check! {
    /// A disk that is made larger while in use is larger in the guest without a restart, and what is
    /// written in the new part is on the medium.
    pub RESIZE_ONLINE = "stor.resize-online", tier: Reversible,
        needs: [
            Need::Device(device::SCRATCH),
            Need::TellsOfSize(device::SCRATCH),
            Need::Host(Capability::ResizeDisk),
        ],
        fault: Fault::Seam(SeamFault::Ignore(Call::ResizeDisk));
    async fn resize_online(cell) {
        let disk = disks::configured(cell, device::SCRATCH)?;
        let Some(found) = disks::find(cell, &disk).await? else {
            return disks::absent(cell, &disk).await;
        };
        let old = cell.guest.block_info(&found.path).await?.size;
        let new = disk.size.as_bytes() + 16 * MIB;
        cell.media()?.resize_disk(&disk.id, ByteSize::bytes(new)).await?;
        let until = Instant::now() + disks::SETTLE;
        let mut size = old;
        while size != new && Instant::now() < until {
            tokio::time::sleep(disks::PAUSE).await;
            size = cell.guest.block_info(&found.path).await?.size;
        }
        let host = disks::seen_by_host(cell, &disk.id).await?.map_or(0, |seen| seen.size.as_bytes());
        let mut seen = Observations::of([
            Finding::recorded("size before").inside(hospitium_model::Value::from(old)).outside(hospitium_model::Value::from(disk.size.as_bytes())).unit("B"),
            Finding::same_as("size", size, host, new).unit("B"),
        ]);
        if size == new {
            let range = Range { offset: new - 2 * MIB, length: 2 * MIB };
            let pattern = cell.pattern(0);
            let written = disks::write(&cell.guest, &found, range, pattern, Write::Flushed).await?.digest;
            let medium = cell.media()?.medium(&disk.id).await?;
            let on_medium = medium.digest(range.offset, range.length)?;
            let wanted = pattern.digest(range.length);
            seen.push(Finding::same_as("digest of what is in the new part", written, on_medium, wanted));
        }
        Ok(seen)
    }
}

check! {
    /// What the guest discards no longer takes room on the host, and what it keeps stays as it is.
    pub DISCARD = "stor.discard", tier: Reversible,
        needs: [Need::Device(device::SCRATCH), Need::TakesDiscard(device::SCRATCH)],
        fault: Fault::Seam(SeamFault::Allocated(|size| *size = ByteSize::mib(64)));
    async fn discard(cell) {
        let disk = disks::configured(cell, device::SCRATCH)?;
        let Some(found) = disks::find(cell, &disk).await? else {
            return disks::absent(cell, &disk).await;
        };
        let dropped = Range { offset: 0, length: 6 * MIB };
        let kept = Range { offset: 6 * MIB, length: 2 * MIB };
        let (waste, pattern) = (cell.pattern(0), cell.pattern(1));
        disks::write(&cell.guest, &found, dropped, waste, Write::Flushed).await?;
        disks::write(&cell.guest, &found, kept, pattern, Write::Flushed).await?;
        let full = cell.media()?.medium(&disk.id).await?.allocated;
        let answer = cell.guest.block_discard(&found.path, dropped.offset, dropped.length).await;
        let answer = disks::answer(answer.map(|()| "done"))?;
        // A flush makes it durable, as it does with writes.
        let elsewhere = Range { offset: 32 * MIB, length: 4096 };
        disks::write(&cell.guest, &found, elsewhere, cell.pattern(2), Write::Flushed).await?;
        let inside = disks::reread(&cell.guest, &found, kept).await?.digest;
        let medium = cell.media()?.medium(&disk.id).await?;
        let freed = full.as_bytes().saturating_sub(medium.allocated.as_bytes());
        let outside = medium.digest(kept.offset, kept.length)?;
        Ok(Observations::of([
            Finding::guest_is("answer to the discard", answer, "done"),
            Finding::host_between("room that came free", "B", freed as f64, 5e6, 7e6),
            Finding::same_as("digest of what was kept", inside, outside, pattern.digest(kept.length)),
        ]))
    }
}

check! {
    /// When the medium is full the guest stalls and the machine pauses; given room, the very write goes
    /// on and nothing of it is lost.
    pub ENOSPC = "stor.enospc", tier: Disruptive, needs: [Need::Device(device::CRAMPED)],
        fault: Fault::Seam(SeamFault::HideEvents(|kind| matches!(kind, EventKind::DiskError { .. })));
    async fn enospc(cell) {
        let disk = disks::configured(cell, device::CRAMPED)?;
        let Some(found) = disks::find(cell, &disk).await? else {
            return disks::absent(cell, &disk).await;
        };
        // More than there is room for.
        let room = disk.room.unwrap_or(disk.size).as_bytes();
        let range = Range { offset: 0, length: (room + 2 * MIB).min(disk.size.as_bytes()) };
        let tail = Range { offset: range.length - 2 * MIB, length: 2 * MIB };
        let pattern = cell.pattern(0);
        let from = cell.events_so_far();
        let mut writing = std::pin::pin!(disks::write(&cell.guest, &found, range, pattern, Write::Flushed));
        let full = cell.event(from, "the medium to be full", disks::SETTLE, |kind| {
            matches!(kind, EventKind::DiskError { id, no_space: true } if *id == disk.id)
        });
        let (early, noticed) = tokio::select! {
            written = &mut writing => (Some(written), false),
            event = full => (None, event?.is_some()),
        };
        let state = cell.look().await?.state?.value;
        let stalled = early.is_none();
        cell.media()?.grow_backing(&disk.id, disk.size).await?;
        if state != MachineState::Running {
            cell.power(PowerVerb::Resume).await?;
        }
        let written = match early {
            Some(written) => written?,
            None => writing.await?,
        };
        let medium = cell.media()?.medium(&disk.id).await?;
        let inside = disks::reread(&cell.guest, &found, tail).await?.digest;
        let outside = medium.digest(range.offset, range.length)?;
        Ok(Observations::of([
            Finding::host_is("the host noticed that the medium is full", noticed, true),
            Finding::host_is("machine state while it was", format!("{state:?}"), "IoError"),
            Finding::guest_is("the write waited for room", stalled, true),
            Finding::same_as("digest of what was written", written.digest, outside, pattern.digest(range.length)),
            Finding::same("digest of its end, read again", inside, medium.digest(tail.offset, tail.length)?),
        ]))
    }
}
