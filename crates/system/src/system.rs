//! A guest as a check sees it.

use hospitium_model::OperatingSystem;

use crate::ask::{
    Clocks, Cpus, Debug, Devices, Disks, Entropy, Files, Firmwares, Memory, Network, Power,
    Terminals,
};

/// All that a check may ask of a guest. Each answer names the place that it was read at. What this guest cannot
/// tell is [unable](crate::SystemError::Unable), with the reason that becomes the skip's.
pub trait System:
    Clocks
    + Cpus
    + Debug
    + Devices
    + Disks
    + Entropy
    + Files
    + Firmwares
    + Memory
    + Network
    + Power
    + Terminals
    + Send
    + Sync
{
    /// Its family.
    fn os(&self) -> OperatingSystem;
}
