//! Loading drivers that a kernel guest carries but does not load at boot.

use hospitium_system::DriverLoad;

use crate::{Cell, CheckError};

/// Loads the driver of a device of `guests/linux-modules.toml`. On a guest that manages its devices
/// itself, this is its own affair.
pub async fn driver(cell: &mut Cell, device: &str) -> Result<DriverLoad, CheckError> {
    Ok(cell.guest.load_driver(device).await?)
}
