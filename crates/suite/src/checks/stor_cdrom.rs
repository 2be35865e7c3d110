//! Storage: optical discs that are changed while the guest runs.

use std::path::PathBuf;

use hospitium_host::{EventClass, EventKind, HostError};
use hospitium_model::{Digest, Finding, GuestSource, Inside, Observations, Outside, Pattern};
use hospitium_system::{DriveContent, GuestDisk, SystemError};
use serde_json::json;

use super::devices::appears;
use super::disks::{self, MIB};
use super::wait::{SETTLE, until};
use crate::fault::{Call, SeamFault};
use crate::{Cell, Check, CheckError, FacetKind, Fault, Need, SightKind, check, device};

/// All of this file.
pub const CHECKS: &[&Check] = &[&CDROM_CHANGE];

const NO_DISC: &str = "no disc";

check! {
    /// A disc that is put in, changed and taken out while the guest runs is what the guest reads.
    pub CDROM_CHANGE = "stor.cdrom-change", tier: Reversible,
        needs: [
            Need::Device(device::CDROM),
            Need::Driver("cdrom"),
            Need::Facet(FacetKind::Media),
            Need::Sight(SightKind::Disks), Need::Sight(SightKind::DiskMedium),
            Need::Events(EventClass::Tray),
        ],
        fault: Fault::Seam(SeamFault::Ignore(Call::ChangeMedium));
    async fn cdrom_change(cell) {
        let serial = disks::configured(cell, device::CDROM)?.serial;
        let look = async || Ok(cell.system().drive(&serial).await?.value);
        let Some(drive) = appears(cell, "cdrom", look).await? else {
            // Not asked again: what comes now comes too late.
            let guest = GuestSource::Kernel.saw(false);
            let host = disks::seen_by_host(cell, device::CDROM).await?.map(|drive| drive.is_some());
            return Ok(Observations::of([Finding::same_as("an optical drive", guest, host, true)]));
        };
        cell.breaks(&drive);
        let mut seen = Observations::new();
        for (what, pattern) in [("first", cell.pattern(0)), ("second", cell.pattern(1))] {
            let (image, wanted) = disc(cell, what, pattern).await?;
            let wanted = wanted.to_string();
            let from = cell.events_so_far();
            let image = cell.host()?.store().put(&image).await?.path;
            cell.media()?.change_medium(device::CDROM, Some(&image)).await?;
            let (moved, inside) = tokio::try_join!(tray(cell, from, false), content(cell, &drive, &wanted))?;
            let there = inside.value == wanted;
            seen.push(Finding::each(
                format!("the {what} disc: digest in the guest, and the drive"),
                inside,
                wanted,
                drive_now(cell, moved, "tray closed").await?,
                "tray closed, disc in",
            ));
            if !there {
                // Without this disc the next step shows nothing more.
                return Ok(seen);
            }
        }
        let from = cell.events_so_far();
        cell.media()?.change_medium(device::CDROM, None).await?;
        let (moved, inside) = tokio::try_join!(tray(cell, from, true), content(cell, &drive, NO_DISC))?;
        seen.push(Finding::each(
            "at the end: what the guest reads, and the drive",
            inside,
            NO_DISC,
            drive_now(cell, moved, "tray opened").await?,
            "tray opened, empty",
        ));
        Ok(seen)
    }
}

/// Makes a disc in the clone's folder. Returns the image and its digest.
async fn disc(cell: &Cell, name: &str, pattern: Pattern) -> Result<(PathBuf, Digest), CheckError> {
    let path = cell.work_dir().folder.join(format!("{name}.iso"));
    let make = async {
        let mut content = vec![0; MIB as usize];
        pattern.fill(0, &mut content);
        let doing = HostError::io(format!("making the disc {}", path.display()));
        std::fs::write(&path, &content).map_err(doing)
    };
    let () = cell.measured("a disc is made", json!({ "name": name }), make).await?;
    Ok((path, pattern.digest(MIB)))
}

/// True once the host has told that the tray moved so.
async fn tray(cell: &Cell, from: usize, wanted: bool) -> Result<bool, CheckError> {
    let event = cell.event(from, "the tray to move", SETTLE, |kind| {
        matches!(kind, EventKind::Tray { id, open } if id == device::CDROM && *open == wanted)
    });
    Ok(event.await?.is_some())
}

/// The drive as the hypervisor tells of it: whether its tray was seen to move, and whether a disc is in.
async fn drive_now(cell: &Cell, moved: bool, how: &str) -> Result<Outside<String>, CheckError> {
    let seen = disks::seen_by_host(cell, device::CDROM).await?;
    let disc = disks::told(&seen, "whether a disc is in a drive", |seen| seen.medium_in)?;
    Ok(disc.map(|disc| {
        let tray = if moved { how } else { "tray not moved" };
        let disc = if disc { "disc in" } else { "empty" };
        format!("{tray}, {disc}")
    }))
}

/// What the guest reads from the drive as soon as it is what is wanted, else after the time: the digest of the
/// disc, or that there is none.
async fn content(
    cell: &Cell,
    drive: &GuestDisk,
    wanted: &str,
) -> Result<Inside<String>, CheckError> {
    let ask = async || match cell.system().content(drive, MIB).await {
        Ok(content) => Ok(content.map(|content| match content {
            DriveContent::Empty => NO_DISC.to_owned(),
            DriveContent::Disc(digest) => digest.to_string(),
        })),
        // A disc that is just being changed.
        Err(SystemError::Refused { code, .. }) => {
            cell.say(format!("reading the disc: the guest's system answers with {code}"));
            Ok(GuestSource::Kernel.saw(code))
        }
        Err(other) => Err(CheckError::from(other)),
    };
    until(SETTLE, ask, |content| content.value == wanted).await
}
