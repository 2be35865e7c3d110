//! A libvirt daemon of each test's own, and folders for machines.

#![allow(dead_code, reason = "each test file uses some of it")]

use std::path::Path;

use hospitium_host::{Host as _, Machine, PowerVerb, WorkDir};
use hospitium_host_libvirt::daemon::Daemon;
use hospitium_host_libvirt::{Libvirt, LibvirtOptions};
use hospitium_model::{Boot, ByteSize, MachineSpec};

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

    pub fn dir(&self, name: &str) -> WorkDir {
        let folder = self.path().join(name);
        std::fs::create_dir(&folder).expect("made");
        WorkDir { name: name.into(), folder }
    }

    /// A machine that boots nothing and runs.
    pub async fn running(&self, name: &str, spec: &MachineSpec) -> Box<dyn Machine> {
        let machine = self.host.define(spec, &self.dir(name)).await.expect("defined");
        machine.power(PowerVerb::On).await.expect("switched on");
        machine
    }
}

/// A machine that boots nothing.
pub fn spec() -> MachineSpec {
    let mut spec = MachineSpec::new(ByteSize::mib(64), Boot::Nothing);
    spec.cpus.cores = 1;
    spec
}

/// Whether a process is there and not only what is left of one.
pub fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
