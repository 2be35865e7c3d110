//! A machine's files on their way to the host that runs it, which may be another computer.

use std::path::PathBuf;

use hospitium_host::{Host, HostError};
use hospitium_model::{Boot, MachineSpec};

/// Puts every file that a machine begins with into the host's store, and names each as the host does.
///
/// # Errors
/// A file is not there, or the host does not take it.
pub async fn hand_over(host: &dyn Host, mut spec: MachineSpec) -> Result<MachineSpec, HostError> {
    let mut files: Vec<&mut PathBuf> = Vec::new();
    if let Boot::Kernel { kernel, initrd, .. } = &mut spec.boot {
        files.push(kernel);
        files.extend(initrd);
    }
    files.extend(spec.disks.iter_mut().filter_map(|disk| disk.image.as_mut()));
    for file in files {
        *file = host.store().put(file).await?.path;
    }
    Ok(spec)
}
