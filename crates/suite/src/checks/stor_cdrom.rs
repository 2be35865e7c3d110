//! Storage: optical discs that are changed while the guest runs.

use std::path::PathBuf;
use std::time::Instant;

use hospitium_host::{EventKind, HostError};
use hospitium_model::{Digest, Finding, Observations, Pattern};
use hospitium_system::SessionError;

use super::disks::{self, GuestDisk, Range};
use super::{load, read};
use crate::fault::{Call, SeamFault};
use crate::{Cell, Check, CheckError, Fault, Need, check, device};

/// All of this file.
pub const CHECKS: &[&Check] = &[&CDROM_CHANGE];

const MIB: u64 = 1 << 20;
/// Linux's errno for a drive with no disc in it.
const ENOMEDIUM: i32 = 123;

check! {
    /// A disc that is put in, changed and taken out while the guest runs is what the guest reads.
    pub CDROM_CHANGE = "stor.cdrom-change", tier: Reversible,
        needs: [Need::Device(device::CDROM), Need::Driver("cdrom")],
        fault: Fault::Seam(SeamFault::Ignore(Call::ChangeMedium));
    async fn cdrom_change(cell) {
        load::driver(cell, "cdrom").await?;
        let Some(drive) = drive(cell).await? else {
            let host = disks::seen_by_host(cell, device::CDROM).await?.is_some();
            return Ok(Observations::of([Finding::same_as("an optical drive", false, host, true)]));
        };
        let mut seen = Observations::new();
        for (what, pattern) in [("first", cell.pattern(0)), ("second", cell.pattern(1))] {
            let (image, wanted) = disc(cell, what, pattern)?;
            let from = cell.events_so_far();
            cell.media()?.change_medium(device::CDROM, Some(&image)).await?;
            let seen_inside = read_when(cell, &drive, |read| *read == Reading::Disc(wanted));
            let (moved, inside) = tokio::try_join!(tray(cell, from, false), seen_inside)?;
            let host = disks::seen_by_host(cell, device::CDROM).await?.is_some_and(|d| d.medium_in);
            seen.push(Finding::same(format!("digest of the {what} disc"), inside.text(), wanted));
            seen.push(Finding::host_is(format!("the {what} disc is in"), host, true));
            seen.push(Finding::host_is(format!("the tray closed on the {what} disc"), moved, true));
            if inside != Reading::Disc(wanted) {
                // Without this disc the next step shows nothing more.
                return Ok(seen);
            }
        }
        let from = cell.events_so_far();
        cell.media()?.change_medium(device::CDROM, None).await?;
        let seen_inside = read_when(cell, &drive, |read| *read == Reading::Empty);
        let (moved, inside) = tokio::try_join!(tray(cell, from, true), seen_inside)?;
        let host = disks::seen_by_host(cell, device::CDROM).await?.is_some_and(|d| d.medium_in);
        seen.push(Finding::same_as("a disc is in at the end", inside != Reading::Empty, host, false));
        seen.push(Finding::host_is("the tray opened", moved, true));
        Ok(seen)
    }
}

/// What a drive gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Empty,
    Disc(Digest),
}

impl Reading {
    fn text(self) -> String {
        match self {
            Self::Empty => "no disc".to_owned(),
            Self::Disc(digest) => digest.to_string(),
        }
    }
}

/// Makes a disc in the clone's place. Returns the image and its digest.
fn disc(cell: &Cell, name: &str, pattern: Pattern) -> Result<(PathBuf, Digest), CheckError> {
    let path = cell.work_dir().folder.join(format!("{name}.iso"));
    let mut content = vec![0; MIB as usize];
    pattern.fill(0, &mut content);
    std::fs::write(&path, &content)
        .map_err(|e| HostError::io(format!("making the disc {}", path.display()))(e))?;
    Ok((path, Digest::of(&content)))
}

/// The guest's optical drive that is the machine's: the one with its serial number in the
/// identification page, or the only one.
async fn drive(cell: &mut Cell) -> Result<Option<GuestDisk>, CheckError> {
    let serial = disks::configured(cell, device::CDROM)?.serial;
    let until = Instant::now() + disks::SETTLE;
    loop {
        let names = read::names(&cell.guest, "/sys/block").await?;
        let mut drives = Vec::new();
        for name in names.into_iter().filter(|n| is_drive(n)) {
            let page = format!("/sys/block/{name}/device/vpd_pg83");
            let page = disks::bytes_if_there(&cell.guest, &page).await?.unwrap_or_default();
            let page = String::from_utf8_lossy(&page).into_owned();
            let found = GuestDisk { path: format!("/dev/{name}"), name, serial: None };
            drives.push((page.contains(&serial), found));
        }
        if let Some(at) =
            drives.iter().position(|(named, _)| *named).or((drives.len() == 1).then_some(0))
        {
            let (_, found) = drives.swap_remove(at);
            disks::make_node(&cell.guest, &found).await?;
            return Ok(Some(found));
        }
        if Instant::now() >= until {
            return Ok(None);
        }
        tokio::time::sleep(disks::PAUSE).await;
    }
}

fn is_drive(name: &str) -> bool {
    name.len() <= 8
        && name
            .strip_prefix("sr")
            .is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()) && !n.is_empty())
}

/// True once the host has told that the tray moved so.
async fn tray(cell: &Cell, from: usize, wanted: bool) -> Result<bool, CheckError> {
    let event = cell.event(from, "the tray to move", disks::SETTLE, |kind| {
        matches!(kind, EventKind::Tray { id, open } if id == device::CDROM && *open == wanted)
    });
    Ok(event.await?.is_some())
}

/// What the guest reads from the drive as soon as it is what is wanted, else after the time.
async fn read_when(
    cell: &Cell,
    drive: &GuestDisk,
    wanted: impl Fn(&Reading) -> bool,
) -> Result<Reading, CheckError> {
    let until = Instant::now() + disks::SETTLE;
    loop {
        let all = Range { offset: 0, length: MIB };
        let reading = match disks::reread(&cell.guest, drive, all).await {
            Ok(done) => Reading::Disc(done.digest),
            Err(SessionError::Guest { code: ENOMEDIUM, .. }) => Reading::Empty,
            Err(SessionError::Guest { code: errno, call, .. }) => {
                cell.say(format!("reading the disc: {call} answers with errno {errno}"));
                Reading::Empty
            }
            Err(other) => return Err(other.into()),
        };
        if wanted(&reading) || Instant::now() >= until {
            return Ok(reading);
        }
        tokio::time::sleep(disks::PAUSE).await;
    }
}
