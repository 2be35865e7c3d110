//! The facets of a machine on libvirt: each forwards to what does it, or is one call.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use hospitium_host::{
    Attachment, Balloon, ByteStream, Confinement, CpuUse, Display, Dump, HostError, Hotplug,
    Inject, Machine as _, Media, Medium, ProcessFacts, Saving, Screenshot, Sight, Snapshot, Wires,
    local,
};
use hospitium_model::{ByteSize, HostSource, Inability};
use virt::sys;

use crate::ffi;
use crate::ops::{dump, hotplug, media, save, screen};
use crate::running::LibvirtMachine;
use crate::vmm::Vmm;
use crate::xml::live;
use crate::xml::tree::{self, Build as _, element};

/// Mappings of the guest's memory (QEMU's backend `memory-backend-memfd`).
const MEMORY: &str = "memfd:memory-backend-memfd";

#[async_trait]
impl Hotplug for LibvirtMachine {
    async fn attach(&self, what: &Attachment) -> Result<(), HostError> {
        hotplug::attach(self, what).await
    }

    async fn detach(&self, id: &str) -> Result<(), HostError> {
        hotplug::detach(self, id).await
    }
}

#[async_trait]
impl Wires for LibvirtMachine {
    async fn frames(&self, nic: &str) -> Result<Box<dyn ByteStream>, HostError> {
        Self::take(&self.cables, "cable of the interface", nic)
    }

    async fn set_link(&self, nic: &str, up: bool) -> Result<(), HostError> {
        let doing = format!("setting the link of {nic}");
        let domain = self.live().await?;
        let mut device =
            live::device(&domain, "interface", nic).cloned().ok_or_else(|| HostError::Refused {
                doing: doing.clone(),
                why: "the machine has no such interface".into(),
            })?;
        device.children.retain(|child| child.name != "link");
        let state = if up { "up" } else { "down" };
        let xml = tree::write(&device.child(element("link").with("state", state)));
        let flags = sys::VIR_DOMAIN_AFFECT_LIVE;
        self.ask(&doing, move |domain| domain.update_device_flags(&xml, flags)).await.map(drop)
    }
}

#[async_trait]
impl Media for LibvirtMachine {
    async fn medium(&self, disk: &str) -> Result<Medium, HostError> {
        media::medium(self, disk).await
    }

    async fn resize_disk(&self, id: &str, size: ByteSize) -> Result<(), HostError> {
        media::resize(self, id, size).await
    }

    async fn grow_backing(&self, id: &str, room: ByteSize) -> Result<(), HostError> {
        media::grow_backing(self, id, room).await
    }

    async fn change_medium(&self, id: &str, image: Option<&Path>) -> Result<(), HostError> {
        media::change_medium(self, id, image).await
    }
}

#[async_trait]
impl Display for LibvirtMachine {
    async fn screenshot(&self) -> Result<Screenshot, HostError> {
        screen::screenshot(self).await
    }

    async fn send_key(&self, key: &str) -> Result<(), HostError> {
        screen::send_key(self, key).await
    }
}

#[async_trait]
impl Inject for LibvirtMachine {
    async fn nmi(&self) -> Result<(), HostError> {
        self.ask("injecting an NMI", ffi::inject_nmi).await
    }
}

#[async_trait]
impl Balloon for LibvirtMachine {
    async fn set_balloon(&self, size: ByteSize) -> Result<(), HostError> {
        let doing = format!("asking the balloon for {size}");
        let kib = size.as_bytes() >> 10;
        let flags = sys::VIR_DOMAIN_AFFECT_LIVE;
        self.ask(&doing, move |domain| domain.set_memory_flags(kib, flags)).await.map(drop)
    }
}

#[async_trait]
impl Confinement for LibvirtMachine {
    async fn process(&self) -> Result<ProcessFacts, HostError> {
        local::process(self.pid()?)
    }

    async fn cpu_use(&self) -> Result<CpuUse, HostError> {
        local::cpu_use(self.pid()?)
    }

    async fn overhead(&self) -> Result<Sight<ByteSize>, HostError> {
        Ok(local::overhead(self.pid()?, |file| file.starts_with(MEMORY)))
    }

    async fn vcpu_times(&self) -> Result<Sight<BTreeMap<u32, Duration>>, HostError> {
        let threads = self.look().await?.vcpu_threads;
        let pid = self.pid()?;
        Ok(threads.map(|threads| HostSource::Process.saw(local::thread_times(pid, &threads.value))))
    }
}

impl LibvirtMachine {
    fn pid(&self) -> Result<u32, HostError> {
        let unseen = || Inability::of_host("which process runs the machine is not known");
        Ok(self.vmm.as_ref().map(Vmm::pid).ok_or_else(unseen)?)
    }
}

#[async_trait]
impl Saving for LibvirtMachine {
    async fn snapshot(&self, folder: &Path) -> Result<Snapshot, HostError> {
        save::save(self, folder).await
    }
}

#[async_trait]
impl Dump for LibvirtMachine {
    async fn dump_memory(&self, file: &Path) -> Result<(), HostError> {
        dump::dump(self, file).await
    }
}
