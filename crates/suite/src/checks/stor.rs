//! Storage: what is written is on the medium, and only what may be written is.

use hospitium_host::Defect;
use hospitium_model::{Capability, Disk, Finding, Observations};

use super::disks::{self, Range, Write};
use crate::fault::SeamFault;
use crate::{Cell, Check, CheckError, Fault, Need, check, device};

/// All of this file.
pub const CHECKS: &[&Check] = &[&RW_INTEGRITY, &FLUSH_DURABLE, &READONLY];

const MIB: u64 = 1 << 20;

check! {
    /// What the guest writes, at both ends of a disk, it reads back, and it is what is on the medium.
    pub RW_INTEGRITY = "stor.rw-integrity", tier: Reversible, needs: [Need::Device(device::SCRATCH)],
        fault: Fault::Seam(SeamFault::MediumBit);
    async fn rw_integrity(cell) {
        let disk = disks::configured(cell, device::SCRATCH)?;
        let Some(found) = disks::find(cell, &disk).await? else {
            return disks::absent(cell, &disk).await;
        };
        let before = writes(cell, &disk).await?;
        let ends = [
            ("first 2 MiB", Range { offset: 0, length: 2 * MIB }, cell.pattern(0)),
            ("last 2 MiB", Range { offset: disk.size.as_bytes() - 2 * MIB, length: 2 * MIB }, cell.pattern(1)),
        ];
        for (_, range, pattern) in ends {
            disks::write(&cell.guest, &found, range, pattern, Write::Flushed).await?;
        }
        let medium = cell.media()?.medium(device::SCRATCH).await?;
        let mut seen = Observations::new();
        for (what, range, pattern) in ends {
            let guest = disks::reread(&cell.guest, &found, range).await?.digest;
            let host = medium.digest(range.offset, range.length)?;
            let wanted = pattern.digest(range.length);
            seen.push(Finding::same_as(format!("digest of the {what}"), guest, host, wanted));
        }
        let counted = writes(cell, &disk).await?.saturating_sub(before);
        seen.push(Finding::host_between("writes that the host counted", "", counted as f64, 1.0, 1e6));
        seen.note(format!("medium: {}", medium.how));
        Ok(seen)
    }
}

async fn writes(cell: &Cell, disk: &Disk) -> Result<u64, CheckError> {
    Ok(disks::seen_by_host(cell, &disk.id).await?.map_or(0, |seen| seen.writes))
}

check! {
    /// Data that the guest has flushed is on the medium although the power goes at once.
    pub FLUSH_DURABLE = "stor.flush-durable", tier: Disruptive,
        needs: [Need::Device(device::SCRATCH), Need::Host(Capability::PowerLossLog)],
        fault: Fault::Defect(|| Defect::IgnoreFlushes { disk: device::SCRATCH.into() });
    async fn flush_durable(cell) {
        let disk = disks::configured(cell, device::SCRATCH)?;
        let Some(found) = disks::find(cell, &disk).await? else {
            return disks::absent(cell, &disk).await;
        };
        let flushed = Range { offset: 4 * MIB, length: 4 * MIB };
        let unflushed = Range { offset: 16 * MIB, length: MIB };
        let (kept, lost) = (cell.pattern(0), cell.pattern(1));
        let before = disks::seen_by_host(cell, &disk.id).await?.map_or(0, |seen| seen.flushes);
        let written = disks::write(&cell.guest, &found, flushed, kept, Write::Flushed).await?.digest;
        let risked = disks::write(&cell.guest, &found, unflushed, lost, Write::Unflushed).await?.digest;
        let after = disks::seen_by_host(cell, &disk.id).await?.map_or(0, |seen| seen.flushes);
        let medium = cell.cut_and_read(device::SCRATCH).await?;
        let on_medium = medium.digest(flushed.offset, flushed.length)?;
        let survived = medium.digest(unflushed.offset, unflushed.length)? == risked;
        let mut seen = Observations::of([
            Finding::same_as("digest of what was flushed", written, on_medium, kept.digest(flushed.length)),
            Finding::host_between("flushes before the cut", "", after.saturating_sub(before) as f64, 1.0, 1e6),
            Finding::recorded("what was written later and not flushed survived").outside(hospitium_model::Value::from(survived)),
        ]);
        seen.note(format!("medium: {}", medium.how));
        Ok(seen)
    }
}

check! {
    /// A disk that is configured read-only refuses writes, and nothing on it changes.
    pub READONLY = "stor.readonly", tier: Reversible, needs: [Need::Device(device::SEALED)],
        fault: Fault::Machine(|spec| {
            for disk in spec.disks.iter_mut().filter(|disk| disk.id == device::SEALED) {
                disk.read_only = false;
            }
        });
    async fn readonly(cell) {
        let disk = disks::configured(cell, device::SEALED)?;
        let Some(found) = disks::find(cell, &disk).await? else {
            return disks::absent(cell, &disk).await;
        };
        let refusal = cell.expect_text(&format!("errno on {}", disk.bus.name()))?;
        let all = disk.size.as_bytes();
        let start = Range { offset: 0, length: MIB };
        let before = cell.media()?.medium(device::SEALED).await?.digest(0, all)?;
        let marked = cell.guest.block_info(&found.path).await?.read_only;
        let pattern = cell.pattern(0);
        let answer = disks::write(&cell.guest, &found, start, pattern, Write::Flushed).await;
        let answer = disks::answer(answer.map(|_| "done"))?;
        let inside = disks::reread(&cell.guest, &found, start).await?.digest;
        let medium = cell.media()?.medium(device::SEALED).await?;
        let outside = medium.digest(start.offset, start.length)?;
        let host = disks::seen_by_host(cell, &disk.id).await?;
        Ok(Observations::of([
            Finding::same_as("the disk is read-only", marked, host.is_some_and(|d| d.read_only), true),
            Finding::guest_is("answer to a write", answer, refusal),
            Finding::same("digest of where it was to go", inside, outside),
            Finding::host_is("digest of the whole medium afterwards", medium.digest(0, all)?, before),
        ]))
    }
}
