//! Devices that come and go while the guest runs.

use hospitium_host::EventKind;
use hospitium_model::{HostSource, Inability, Outside};
use hospitium_system::DriverLoad;

use super::wait::{SETTLE, until};
use crate::{Cell, CheckError};

/// Loads the driver of a device (its name in `guests/linux-modules.toml`), where that is ours to do. A skip if
/// the guest carries none.
pub async fn load_driver(cell: &Cell, device: &str) -> Result<(), CheckError> {
    match cell.system().load_driver(device).await? {
        DriverLoad::Loaded(_) | DriverLoad::Unmanaged => Ok(()),
        DriverLoad::Absent => {
            Err(Inability::of_guest(format!("it carries no driver for {device}")).into())
        }
    }
}

/// The same of a device that is to be plugged in, so that a guest that has no driver for it is known before.
pub async fn must_drive(cell: &Cell, device: &str) -> Result<(), CheckError> {
    load_driver(cell, device).await?;
    Ok(cell.system().require_driver(device).await?)
}

/// Loads the driver of a device and looks until the device is there. None if it does not come in time, which is
/// an observation. A skip if the running guest has no driver for it.
pub async fn appears<T, Answer>(
    cell: &Cell,
    device: &str,
    mut look: impl FnMut() -> Answer,
) -> Result<Option<T>, CheckError>
where
    Answer: Future<Output = Result<Option<T>, CheckError>>,
{
    load_driver(cell, device).await?;
    if let Some(found) = look().await? {
        return Ok(Some(found));
    }
    cell.system().require_driver(device).await?;
    until(SETTLE, look, Option::is_some).await
}

/// Unplugs a device. True once the hypervisor has told that the guest let go of it, false if the guest refused
/// or nothing was told in time.
pub async fn unplug(cell: &Cell, id: &str) -> Result<Outside<bool>, CheckError> {
    let from = cell.events_so_far();
    cell.hotplug()?.detach(id).await?;
    let event = cell.event(from, "the guest to let go of a device", SETTLE, |kind| match kind {
        EventKind::DeviceRemoved { id: of } | EventKind::DetachRefused { id: of } => of == id,
        _ => false,
    });
    let event = event.await?;
    let released = event.is_some_and(|e| matches!(e.kind, EventKind::DeviceRemoved { .. }));
    Ok(HostSource::Hypervisor.saw(released))
}
