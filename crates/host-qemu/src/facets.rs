//! The facets of a machine on QEMU: each forwards to what does it, or is a QMP command.

use std::any::Any;
use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use hospitium_model::{ByteSize, HostSource, Inability};
use serde_json::json;

use crate::build::MEMORY;
use crate::locked::locked;
use crate::machine::QemuMachine;
use crate::setup::Mapping;
use crate::{Qemu, attach, keys, media, medium, migrate, save, screen};
use hospitium_host::{
    Attachment, Balloon, ByteStream, Confinement, CpuUse, Destination, Display, Dump, HostError,
    Hotplug, Inject, Machine as _, Media, Medium, Moved, Moving, ProcessFacts, Saving, Screenshot,
    Sight, Snapshot, Wires, WorkDir, local,
};

#[async_trait]
impl Hotplug for QemuMachine {
    async fn attach(&self, what: &Attachment) -> Result<(), HostError> {
        attach::attach(self, what).await
    }

    async fn detach(&self, id: &str) -> Result<(), HostError> {
        attach::detach(self, id).await
    }
}

#[async_trait]
impl Wires for QemuMachine {
    async fn frames(&self, nic: &str) -> Result<Box<dyn ByteStream>, HostError> {
        Self::take(&self.cables, "cable of the interface", nic)
    }

    async fn set_link(&self, nic: &str, up: bool) -> Result<(), HostError> {
        let doing = format!("setting the link of {nic}");
        self.qmp.call(&doing, "set_link", json!({"name": nic, "up": up})).await.map(drop)
    }
}

#[async_trait]
impl Media for QemuMachine {
    async fn medium(&self, disk: &str) -> Result<Medium, HostError> {
        medium::medium(self, disk).await
    }

    async fn resize_disk(&self, id: &str, size: ByteSize) -> Result<(), HostError> {
        let plan = self.disk_plan(id)?;
        let doing = format!("resizing the disk {id} to {size}");
        if size.as_bytes() < plan.size {
            return Err(HostError::Refused {
                doing,
                why: format!("it has {} bytes already", plan.size),
            });
        }
        let node = plan.node().unwrap_or_default();
        let arguments = json!({"node-name": node, "size": size.as_bytes()});
        self.qmp.call(&doing, "block_resize", arguments).await?;
        for plan in locked(&self.disks).iter_mut().filter(|plan| plan.disk.id == id) {
            plan.size = size.as_bytes();
        }
        Ok(())
    }

    async fn grow_backing(&self, id: &str, room: ByteSize) -> Result<(), HostError> {
        media::grow_backing(self, id, room).await
    }

    async fn change_medium(&self, id: &str, image: Option<&Path>) -> Result<(), HostError> {
        media::change_medium(self, id, image).await
    }
}

#[async_trait]
impl Display for QemuMachine {
    async fn screenshot(&self) -> Result<Screenshot, HostError> {
        screen::screenshot(&self.qmp, &self.folder, self.next_serial()).await
    }

    async fn send_key(&self, key: &str) -> Result<(), HostError> {
        let code = keys::code(key).ok_or_else(|| HostError::Unsupported {
            what: format!("the key {:?}", key.chars().take(20).collect::<String>()),
            why: "QEMU has no code for it".into(),
        })?;
        let keys = json!({"keys": [{"type": "qcode", "data": code}]});
        self.qmp.call(&format!("typing the key {key}"), "send-key", keys).await.map(drop)
    }
}

#[async_trait]
impl Inject for QemuMachine {
    async fn nmi(&self) -> Result<(), HostError> {
        self.simple("injecting an NMI", "inject-nmi").await
    }
}

#[async_trait]
impl Balloon for QemuMachine {
    async fn set_balloon(&self, size: ByteSize) -> Result<(), HostError> {
        let doing = format!("asking the balloon for {size}");
        if matches!(self.mapping, Mapping::Private { .. }) {
            let why = "its memory is a snapshot's, and what a balloon takes would be gone from every clone";
            return Err(HostError::Refused { doing, why: why.into() });
        }
        self.qmp.call(&doing, "balloon", json!({"value": size.as_bytes()})).await.map(drop)
    }
}

#[async_trait]
impl Confinement for QemuMachine {
    async fn process(&self) -> Result<ProcessFacts, HostError> {
        local::process(self.process.pid())
    }

    async fn cpu_use(&self) -> Result<CpuUse, HostError> {
        local::cpu_use(self.process.pid())
    }

    async fn overhead(&self) -> Result<Sight<ByteSize>, HostError> {
        if self.mapping == Mapping::None {
            let why = "the guest's memory cannot be told from the VMM's: it came by a stream";
            return Ok(Err(Inability::of_host(why)));
        }
        Ok(local::overhead(self.process.pid(), |file| file.starts_with(MEMORY)))
    }

    async fn vcpu_times(&self) -> Result<Sight<BTreeMap<u32, Duration>>, HostError> {
        let threads = self.look().await?.vcpu_threads;
        let pid = self.process.pid();
        Ok(threads.map(|threads| HostSource::Process.saw(local::thread_times(pid, &threads.value))))
    }
}

#[async_trait]
impl Saving for QemuMachine {
    async fn snapshot(&self, folder: &Path) -> Result<Snapshot, HostError> {
        save::save(self, folder).await
    }
}

#[async_trait]
impl Moving for QemuMachine {
    async fn migrate(&self, to: &dyn Destination, dir: &WorkDir) -> Result<Moved, HostError> {
        let Some(qemu) = (to as &dyn Any).downcast_ref::<Qemu>() else {
            return Err(HostError::Unsupported {
                what: format!("moving a machine to {}", to.facts().name),
                why: "QEMU moves machines to QEMU".into(),
            });
        };
        migrate::migrate(self, &qemu.inner, dir).await
    }
}

#[async_trait]
impl Dump for QemuMachine {
    async fn dump_memory(&self, file: &Path) -> Result<(), HostError> {
        let doing = format!("writing the memory to {}", file.display());
        let out = std::fs::File::create_new(file).map_err(HostError::io(&doing))?;
        let name = json!({"fdname": "x.dump"});
        self.qmp.call_with(&doing, "getfd", name, Some(out.as_fd())).await?;
        let arguments = json!({"paging": false, "protocol": "fd:x.dump"});
        self.qmp.call(&doing, "dump-guest-memory", arguments).await.map(drop)
    }
}
