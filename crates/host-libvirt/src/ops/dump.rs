//! The memory as a file.

use std::path::Path;

use hospitium_host::HostError;
use virt::sys;

use crate::connection::WORK;
use crate::ops::media::take_over;
use crate::running::LibvirtMachine;

/// See [`Dump::dump_memory`](hospitium_host::Dump::dump_memory).
pub(crate) async fn dump(machine: &LibvirtMachine, file: &Path) -> Result<(), HostError> {
    let doing = format!("writing the memory to {}", file.display());
    if file.exists() {
        let there = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
        return Err(HostError::io(doing)(there));
    }
    // The daemon makes the file, as the user that it is.
    let made = machine.place.files.join(format!("memory-{}.elf", machine.next_serial()));
    let path = made.to_string_lossy().into_owned();
    let work = move |domain: &virt::domain::Domain| {
        let format = sys::VIR_DOMAIN_CORE_DUMP_FORMAT_RAW;
        domain.core_dump_with_format(&path, format, sys::VIR_DUMP_MEMORY_ONLY)
    };
    machine.ask_within(&doing, WORK, work).await?;
    take_over(&made, file)
}
