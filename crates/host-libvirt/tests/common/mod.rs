//! A libvirt daemon of each test's own, and folders for machines.

use std::path::Path;

use hospitium_host_libvirt::daemon::Daemon;
use hospitium_host_libvirt::{Libvirt, LibvirtOptions};

/// A daemon, a host on it and a folder.
pub struct Lab {
    pub host: Libvirt,
    pub daemon: Daemon,
    folder: tempfile::TempDir,
}

impl Lab {
    pub async fn new() -> Self {
        let daemon = Daemon::start().expect("a daemon");
        let host = Libvirt::open(LibvirtOptions::new(daemon.uri())).await.expect("a host");
        Self { host, daemon, folder: tempfile::tempdir().expect("a folder") }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}
