//! Hosts that a libvirt drives: named `libvirt` or `libvirt:URI`. Libvirt's library must be there when this
//! program is built, so the driver is a feature of it.

use std::sync::Arc;

use anyhow::Result;
use hospitium_host::{Host, Reaper};

use crate::args::AcceleratorArgument;

/// What begins the name of a host that a libvirt drives.
pub const PREFIX: &str = "libvirt";

/// The connection that a host's name means; none if it is the name of something else.
pub fn uri(what: &str) -> Option<String> {
    match what.strip_prefix(PREFIX)? {
        // What `virsh` takes if it is told nothing (libvirt's URI docs).
        "" if rustix::process::geteuid().is_root() => Some("qemu:///system".into()),
        "" => Some("qemu:///session".into()),
        rest => rest.strip_prefix(':').map(str::to_owned),
    }
}

/// Opens one.
#[cfg(feature = "libvirt")]
pub async fn open(uri: &str, accelerator: AcceleratorArgument) -> Result<Arc<dyn Host>> {
    use anyhow::Context as _;
    use hospitium_host_libvirt::{Libvirt, LibvirtOptions};

    use crate::failure::Usage;

    if matches!(accelerator, AcceleratorArgument::Kvm) {
        return Err(Usage::error(
            "the driver for libvirt does not use KVM yet",
            "leave out --accelerator, or name the QEMU itself: --on qemu",
        ));
    }
    let opened = Libvirt::open(LibvirtOptions::new(uri)).await;
    let opened = opened.with_context(|| format!("the host libvirt:{uri} cannot be used"))?;
    Ok(Arc::new(opened))
}

/// Says how to get the driver.
#[cfg(not(feature = "libvirt"))]
#[expect(clippy::unused_async, reason = "the driver's own way in waits")]
pub async fn open(_uri: &str, _accelerator: AcceleratorArgument) -> Result<Arc<dyn Host>> {
    Err(crate::failure::Usage::error(
        "this hospitium was built without its driver for libvirt",
        "build it with libvirt's library (Debian: apt install libvirt-dev libvirt-daemon \
         libvirt-daemon-driver-qemu): cargo build --release -p hospitium --features libvirt",
    ))
}

/// What ends machines that killed runs left.
#[cfg(feature = "libvirt")]
pub fn reaper() -> Option<Box<dyn Reaper>> {
    Some(Box::new(hospitium_host_libvirt::LibvirtReaper))
}

/// There are none without the driver.
#[cfg(not(feature = "libvirt"))]
pub fn reaper() -> Option<Box<dyn Reaper>> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_named_as_virsh_names_it() {
        assert_eq!(uri("libvirt:qemu:///session").as_deref(), Some("qemu:///session"));
        assert!(uri("libvirt").is_some_and(|uri| uri.starts_with("qemu:///s")));
        assert_eq!(uri("qemu"), None);
        assert_eq!(uri("libvirtd"), None);
    }
}
