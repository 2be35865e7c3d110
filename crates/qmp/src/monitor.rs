//! A connection to a QEMU's monitor, and what is common to reading its answers.

use async_trait::async_trait;
use hospitium_host::HostError;
use hospitium_model::Inability;
use serde_json::{Value, json};

/// A connection to the monitor of one running QEMU.
#[async_trait]
pub trait Monitor: Send + Sync {
    /// Asks it (QEMU QMP Reference Manual); the answer is the member `return`. `doing` is for errors.
    ///
    /// # Errors
    /// [`HostError::Refused`] with QEMU's words if QEMU refuses; another if it cannot be asked.
    async fn call(&self, doing: &str, command: &str, arguments: Value) -> Result<Value, HostError>;

    /// Bytes of the machine's physical memory; fewer where there are no more.
    async fn memory(&self, address: u64, length: u64) -> Result<Vec<u8>, HostError>;
}

/// A question without arguments.
pub(crate) async fn ask(monitor: &dyn Monitor, command: &str) -> Result<Value, HostError> {
    monitor.call("asking for the machine's facts", command, json!({})).await
}

/// A property of an object of the running machine, none if it has no such.
pub(crate) async fn property(
    monitor: &dyn Monitor,
    path: &str,
    name: &str,
) -> Result<Option<Value>, HostError> {
    let arguments = json!({"path": path, "property": name});
    match monitor.call("asking for a property", "qom-get", arguments).await {
        Ok(value) => Ok(Some(value)),
        Err(HostError::Refused { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// An answer, or why there is none; another error than a refusal is one.
pub(crate) fn unless_refused<T>(
    answer: Result<T, HostError>,
) -> Result<Result<T, Inability>, HostError> {
    match answer {
        Ok(value) => Ok(Ok(value)),
        Err(HostError::Refused { why, .. }) => Ok(Err(Inability::of_host(why))),
        Err(error) => Err(error),
    }
}
