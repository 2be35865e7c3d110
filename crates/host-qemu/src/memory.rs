//! A machine's physical memory, read from outside.

use std::io::Read as _;

use serde_json::json;

use crate::files::open_left;
use crate::machine::QemuMachine;
use hospitium_host::HostError;

/// Bytes of the machine's physical memory.
pub(crate) async fn read(
    machine: &QemuMachine,
    address: u64,
    length: u64,
) -> Result<Vec<u8>, HostError> {
    let doing = "reading the machine's memory";
    let name = format!("memory-at-{}.bin", machine.next_serial());
    let arguments = json!({"val": address, "size": length, "filename": name});
    machine.qmp.call(doing, "pmemsave", arguments).await?;
    let path = machine.folder.join(&name);
    // The VMM made the file: it may be anything.
    let mut bytes = Vec::new();
    let read = open_left(&path)?.take(length).read_to_end(&mut bytes);
    let _ = std::fs::remove_file(&path);
    read.map_err(HostError::io(doing))?;
    Ok(bytes)
}
