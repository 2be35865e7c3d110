//! What the firmware told the guest.

use async_trait::async_trait;
use hospitium_model::Firmware;
use serde::{Deserialize, Serialize};

use crate::Told;

/// SMBIOS, system information (DSP0134, 7.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmbiosSystem {
    /// Manufacturer.
    pub manufacturer: String,
    /// Product name.
    pub product: String,
    /// Version of the product; empty if the firmware says none.
    #[serde(default)]
    pub version: String,
    /// Serial number.
    pub serial: String,
    /// UUID, lower case.
    pub uuid: String,
}

/// What the firmware told the guest.
#[async_trait]
pub trait Firmwares {
    /// Which firmware started it.
    async fn firmware(&self) -> Told<Firmware>;

    /// SMBIOS, system information.
    async fn smbios(&self) -> Told<SmbiosSystem>;

    /// The 16 bytes of the VM generation id, as a UUID in lower case: read where the ACPI device's ADDR method
    /// says (Microsoft, "Virtual Machine Generation ID", 2012). None if there is no such device.
    async fn generation_id(&self) -> Told<Option<String>>;
}
