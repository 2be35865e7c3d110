//! Storage: what is written is on the medium, and only what may be written is.

use hospitium_host::Defect;
use hospitium_model::{Capability, Finding, HostSource, Observations, Outside};
use hospitium_system::{Span, Write};

use super::disks::{self, MIB, MIB_SPAN, on_medium};
use crate::fault::SeamFault;
use crate::{Cell, Check, CheckError, FacetKind, Fault, Need, SightKind, check, device};

/// All of this file.
pub const CHECKS: &[&Check] = &[&RW_INTEGRITY, &FLUSH_DURABLE, &READONLY];

check! {
    /// What the guest writes, at both ends of a disk, it reads back, and it is what is on the medium, while the
    /// machine runs and after it has ended.
    pub RW_INTEGRITY = "stor.rw-integrity", tier: Disruptive,
        needs: [Need::Device(device::SCRATCH), Need::Facet(FacetKind::Media), Need::Sight(SightKind::Disks)],
        fault: Fault::Seam(SeamFault::MediumBit);
    async fn rw_integrity(cell) {
        let disk = disks::configured(cell, device::SCRATCH)?;
        let Some(found) = disks::find(cell, &disk).await? else {
            return disks::absent(cell, &disk).await;
        };
        let before = counted(cell, &disk.id).await?.value.writes;
        let ends = [
            ("first 2 MiB", Span { offset: 0, length: 2 * MIB }, cell.pattern(0)),
            ("last 2 MiB", Span { offset: disk.size.as_bytes() - 2 * MIB, length: 2 * MIB }, cell.pattern(1)),
        ];
        for (_, span, pattern) in ends {
            cell.system().write(&found, span, pattern, Write::Flushed).await?;
        }
        let mut inside = Vec::new();
        for (_, span, _) in ends {
            inside.push(cell.system().read_back(&found, span).await?.map(|read| read.digest));
        }
        let counted = counted(cell, &disk.id).await?.map(|now| now.writes.saturating_sub(before) as f64);
        let running = cell.media()?.medium(&disk.id).await?;
        cell.say("the machine is ended");
        cell.end_machine().await?;
        let ended = cell.media()?.medium(&disk.id).await?;
        let mut seen = Observations::new();
        for (when, medium) in [("while it runs", &running), ("after its end", &ended)] {
            for ((what, span, pattern), inside) in ends.into_iter().zip(&inside) {
                let what = format!("digest of the {what} {when}");
                let wanted = pattern.digest(span.length);
                seen.push(Finding::same_as(what, *inside, on_medium(cell, medium, span).await?, wanted));
            }
            seen.note(format!("medium {when}: {}", medium.how));
        }
        seen.push(Finding::host_between("writes that reached the hypervisor", "", counted, 1.0, 1e6));
        Ok(seen)
    }
}

/// What the hypervisor has counted of a disk.
struct Counted {
    writes: u64,
    flushes: u64,
}

async fn counted(cell: &Cell, disk: &str) -> Result<Outside<Counted>, CheckError> {
    let seen = disks::seen_by_host(cell, disk).await?;
    Ok(seen.map(|seen| {
        seen.map_or(Counted { writes: 0, flushes: 0 }, |seen| Counted {
            writes: seen.writes,
            flushes: seen.flushes,
        })
    }))
}

check! {
    /// Data that the guest has flushed is on the medium although the power goes at once: the hypervisor sends the flush
    /// on to the disk.
    pub FLUSH_DURABLE = "stor.flush-durable", tier: Disruptive,
        needs: [
            Need::Device(device::SCRATCH),
            Need::Host(Capability::PowerLossLog),
            Need::Facet(FacetKind::Media),
            Need::Sight(SightKind::Disks),
        ],
        fault: Fault::Defect(|| Defect::IgnoreFlushes { disk: device::SCRATCH.into() });
    async fn flush_durable(cell) {
        let disk = disks::configured(cell, device::SCRATCH)?;
        let Some(found) = disks::find(cell, &disk).await? else {
            return disks::absent(cell, &disk).await;
        };
        let flushed = Span { offset: 4 * MIB, length: 4 * MIB };
        let unflushed = Span { offset: 16 * MIB, length: MIB };
        let (kept, lost) = (cell.pattern(0), cell.pattern(1));
        let before = counted(cell, &disk.id).await?.value.flushes;
        // Nobody in the guest can read it back: its power goes. So the guest says that it was acknowledged, and the
        // medium what became of it.
        let told = cell.system().write(&found, flushed, kept, Write::Flushed).await;
        let acknowledged = disks::answer(told)?;
        cell.system().write(&found, unflushed, lost, Write::Unflushed).await?;
        let reached = counted(cell, &disk.id).await?.map(|now| now.flushes.saturating_sub(before) as f64);
        let medium = cell.cut_and_read(&disk.id).await?;
        let survived = on_medium(cell, &medium, unflushed).await?.map(|now| now == lost.digest(unflushed.length));
        let mut seen = Observations::of([
            Finding::each(
                "what was flushed: the answer to write and flush, and its digest on the medium",
                acknowledged,
                "done",
                on_medium(cell, &medium, flushed).await?,
                kept.digest(flushed.length),
            ),
            Finding::host_between("flushes that reached the hypervisor", "", reached, 1.0, 1e6),
            Finding::recorded("what was written later and not flushed survived").outside(survived),
        ]);
        if let Some(flushes) = medium.flushes {
            let flushes = HostSource::Medium.saw(flushes as f64);
            seen.push(Finding::host_between("flushes that the hypervisor sent on to the disk", "", flushes, 1.0, 1e6));
        }
        seen.note(format!("medium: {}", medium.how));
        Ok(seen)
    }
}

check! {
    /// A disk that is configured read-only refuses writes, and nothing on it changes.
    pub READONLY = "stor.readonly", tier: Reversible,
        needs: [Need::Device(device::SEALED), Need::Facet(FacetKind::Media), Need::Sight(SightKind::Disks), Need::Sight(SightKind::DiskAccess)],
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
        let refusal = cell.expect_text(&format!("refusal on {}", disk.bus.name()))?;
        let all = Span { offset: 0, length: disk.size.as_bytes() };
        let before = on_medium(cell, &cell.media()?.medium(&disk.id).await?, all).await?;
        let marked = cell.system().block(&found).await?.map(|info| info.read_only);
        cell.breaks(&found);
        let told = cell.system().write(&found, MIB_SPAN, cell.pattern(0), Write::Flushed).await;
        let inside = cell.system().read_back(&found, MIB_SPAN).await?.map(|read| read.digest);
        let medium = cell.media()?.medium(&disk.id).await?;
        let host = disks::seen_by_host(cell, &disk.id).await?;
        Ok(Observations::of([
            Finding::same_as("the disk is read-only", marked, disks::told(&host, "whether a disk is read-only", |d| d.read_only)?, true),
            Finding::guest_is("answer to a write", disks::answer(told)?, refusal),
            Finding::same("digest of where it was to go", inside, on_medium(cell, &medium, MIB_SPAN).await?),
            Finding::host_is("digest of the whole medium afterwards", on_medium(cell, &medium, all).await?, before.value),
        ]))
    }
}
