//! A device that was plugged into a running machine.

use hospitium_model::Nic;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Name of the n-th free slot for hot plug.
pub(crate) fn slot_name(n: u32) -> String {
    format!("x.slot{n}")
}

/// A device that was plugged in, so that a later process of the same machine has it too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Plugged {
    /// A disk. Its images are among the machine's disks.
    Disk { id: String, device: Value },
    /// A network interface.
    Nic { nic: Nic, device: Value },
    /// Anything else: an object that it needs, and its devices.
    Other { id: String, object: Option<Value>, devices: Vec<Value> },
}

impl Plugged {
    /// Id that it is detached by.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Disk { id, .. } | Self::Other { id, .. } => id,
            Self::Nic { nic, .. } => &nic.id,
        }
    }

    /// Its devices.
    pub(crate) fn devices(&self) -> &[Value] {
        match self {
            Self::Disk { device, .. } | Self::Nic { device, .. } => std::slice::from_ref(device),
            Self::Other { devices, .. } => devices,
        }
    }
}
