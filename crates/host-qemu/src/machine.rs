//! One machine on QEMU: the seam's methods, each a QMP command or two.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hospitium_model::{ByteSize, CrashAction, MachineSpec};
use serde_json::{Value, json};
use tokio::net::UnixStream;

use crate::attach;
use crate::command::Mapping;
use crate::disks::DiskPlan;
use crate::events::History;
use crate::hardware::{Changes, Hardware, Plugged};
use crate::process::{Confinement, Process};
use crate::qmp::Qmp;
use crate::{Inner, facts, keys, media, screen};
use hospitium_host::{
    Attachment, ByteStream, Died, Event, EventKind, HostError, Machine, MachineFacts, Medium,
    Place, ProcessFacts, Screenshot, Snapshot,
};

/// What a machine is put together from.
pub(crate) struct Parts {
    pub host: Arc<Inner>,
    pub name: String,
    pub spec: MachineSpec,
    pub folder: PathBuf,
    pub outside: PathBuf,
    pub confinement: Confinement,
    pub command: Vec<String>,
    pub process: Process,
    pub qmp: Qmp,
    pub history: Arc<History>,
    pub channels: BTreeMap<String, UnixStream>,
    pub cables: BTreeMap<String, UnixStream>,
    pub disks: Vec<DiskPlan>,
    pub mapping: Mapping,
    pub generation_id: Option<String>,
    pub plugged: Vec<Plugged>,
    pub removed: Vec<String>,
    pub sets: AtomicU32,
}

/// A machine on QEMU.
pub(crate) struct QemuMachine {
    pub(crate) host: Arc<Inner>,
    pub(crate) name: String,
    pub(crate) spec: MachineSpec,
    /// The VMM's own folder, where it works.
    pub(crate) folder: PathBuf,
    /// The machine's folder around it, which the VMM can't reach.
    pub(crate) outside: PathBuf,
    pub(crate) confinement: Confinement,
    command: Vec<String>,
    pub(crate) process: Process,
    pub(crate) qmp: Arc<Qmp>,
    pub(crate) history: Arc<History>,
    channels: Mutex<BTreeMap<String, Option<UnixStream>>>,
    pub(crate) cables: Mutex<BTreeMap<String, Option<UnixStream>>>,
    /// All disks, those plugged in later included.
    pub(crate) disks: Mutex<Vec<DiskPlan>>,
    pub(crate) mapping: Mapping,
    pub(crate) generation_id: Option<String>,
    pub(crate) hardware: Arc<Hardware>,
    /// The last descriptor set that was used.
    pub(crate) sets: AtomicU32,
    /// Numbers for files and nodes that are made while it runs.
    pub(crate) serials: AtomicU32,
    started: AtomicBool,
}

/// How long a VMM that was asked to end is waited for.
const END: Duration = Duration::from_secs(5);

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl QemuMachine {
    pub(crate) fn new(parts: Parts) -> Self {
        let changes = Changes::new(parts.plugged, parts.removed);
        let qmp = Arc::new(parts.qmp);
        let hardware = Arc::new(Hardware::new(changes, qmp.clone(), parts.history.clone()));
        let streams = |map: BTreeMap<String, UnixStream>| {
            Mutex::new(map.into_iter().map(|(name, stream)| (name, Some(stream))).collect())
        };
        let machine = Self {
            host: parts.host,
            name: parts.name,
            spec: parts.spec,
            folder: parts.folder,
            outside: parts.outside,
            confinement: parts.confinement,
            command: parts.command,
            process: parts.process,
            qmp,
            history: parts.history,
            channels: streams(parts.channels),
            cables: streams(parts.cables),
            disks: Mutex::new(parts.disks),
            mapping: parts.mapping,
            generation_id: parts.generation_id,
            hardware,
            sets: parts.sets,
            serials: AtomicU32::new(0),
            started: AtomicBool::new(false),
        };
        tokio::spawn(caretaker(
            machine.qmp.clone(),
            machine.history.clone(),
            machine.hardware.clone(),
            machine.spec.on_crash,
        ));
        machine
    }

    /// Its start was done in another process.
    pub(crate) fn mark_started(&self) {
        self.started.store(true, Ordering::SeqCst);
    }

    pub(crate) async fn simple(&self, doing: &str, command: &str) -> Result<(), HostError> {
        self.qmp.call(doing, command, json!({})).await.map(drop)
    }

    pub(crate) fn next_serial(&self) -> u32 {
        self.serials.fetch_add(1, Ordering::Relaxed)
    }

    /// `query-status`'s word.
    pub(crate) async fn status(&self) -> Result<String, HostError> {
        let status = self.qmp.call("asking for the state", "query-status", json!({})).await?;
        Ok(status.get("status").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// The plan of a disk.
    pub(crate) fn disk_plan(&self, id: &str) -> Result<DiskPlan, HostError> {
        let found = locked(&self.disks).iter().find(|plan| plan.disk.id == id).cloned();
        found.ok_or_else(|| HostError::Refused {
            doing: format!("looking for the disk {:?}", id.chars().take(40).collect::<String>()),
            why: "the machine has no such disk".into(),
        })
    }

    fn take(
        streams: &Mutex<BTreeMap<String, Option<UnixStream>>>,
        what: &str,
        name: &str,
    ) -> Result<Box<dyn ByteStream>, HostError> {
        let doing = || format!("taking the {what} {:?}", name.chars().take(40).collect::<String>());
        let refused = |why: &str| HostError::Refused { doing: doing(), why: why.into() };
        match locked(streams).get_mut(name) {
            None => Err(refused("the machine has none of this name")),
            Some(stream) => match stream.take() {
                Some(stream) => Ok(Box::new(stream)),
                None => Err(refused("it was taken before")),
            },
        }
    }
}

/// Does what follows from events: cleans up behind removed devices, presses reset after a crash.
async fn caretaker(
    qmp: Arc<Qmp>,
    history: Arc<History>,
    hardware: Arc<Hardware>,
    on_crash: CrashAction,
) {
    let mut next = 0;
    let wanted = |kind: &EventKind| match kind {
        EventKind::DeviceRemoved { .. } => true,
        EventKind::Crashed => on_crash == CrashAction::Reset,
        _ => false,
    };
    loop {
        let event = history.wait(next, "an event", Duration::from_secs(3600), &wanted).await;
        let (at, event) = match event {
            Ok(found) => found,
            Err(HostError::TimedOut { .. }) => continue,
            Err(_) => return,
        };
        next = at + 1;
        match event.kind {
            EventKind::DeviceRemoved { .. } => hardware.tidy().await,
            _ => {
                // A refusal here means that the machine is ending; its death tells.
                let _ = qmp.call("resetting after a crash", "system_reset", json!({})).await;
                let _ = qmp.call("going on after a crash", "cont", json!({})).await;
            }
        }
    }
}

#[async_trait]
impl Machine for QemuMachine {
    fn name(&self) -> &str {
        &self.name
    }

    fn spec(&self) -> &MachineSpec {
        &self.spec
    }

    async fn start(&self) -> Result<(), HostError> {
        if self.started.swap(true, Ordering::SeqCst) {
            let doing = format!("starting the machine {}", self.name);
            return Err(HostError::Refused { doing, why: "it was started before".into() });
        }
        self.simple("starting the machine", "cont").await
    }

    async fn channel(&self, name: &str) -> Result<Box<dyn ByteStream>, HostError> {
        Self::take(&self.channels, "channel", name)
    }

    async fn frames(&self, nic: &str) -> Result<Box<dyn ByteStream>, HostError> {
        Self::take(&self.cables, "cable of the interface", nic)
    }

    fn events(&self) -> Vec<Event> {
        self.history.all()
    }

    async fn wait_event(
        &self,
        from: usize,
        what: &str,
        limit: Duration,
        wanted: &(dyn for<'a> Fn(&'a EventKind) -> bool + Send + Sync),
    ) -> Result<(usize, Event), HostError> {
        self.history.wait(from, what, limit, wanted).await
    }

    async fn died(&self) -> Died {
        self.process.died().await
    }

    async fn pause(&self) -> Result<(), HostError> {
        self.simple("pausing", "stop").await
    }

    async fn resume(&self) -> Result<(), HostError> {
        self.simple("resuming", "cont").await
    }

    async fn reset(&self) -> Result<(), HostError> {
        self.simple("resetting", "system_reset").await
    }

    async fn power_button(&self) -> Result<(), HostError> {
        self.simple("pressing the power button", "system_powerdown").await
    }

    async fn nmi(&self) -> Result<(), HostError> {
        self.simple("injecting an NMI", "inject-nmi").await
    }

    async fn power_cut(&self) -> Result<(), HostError> {
        self.process.kill().await;
        Ok(())
    }

    async fn attach(&self, what: &Attachment) -> Result<(), HostError> {
        attach::attach(self, what).await
    }

    async fn detach(&self, id: &str) -> Result<(), HostError> {
        attach::detach(self, id).await
    }

    async fn set_link(&self, nic: &str, up: bool) -> Result<(), HostError> {
        let doing = format!("setting the link of {nic}");
        self.qmp.call(&doing, "set_link", json!({"name": nic, "up": up})).await.map(drop)
    }

    async fn set_balloon(&self, size: ByteSize) -> Result<(), HostError> {
        let doing = format!("asking the balloon for {size}");
        self.qmp.call(&doing, "balloon", json!({"value": size.as_bytes()})).await.map(drop)
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
        self.qmp
            .call(&doing, "block_resize", json!({"node-name": node, "size": size.as_bytes()}))
            .await?;
        for plan in locked(&self.disks).iter_mut().filter(|plan| plan.disk.id == id) {
            plan.size = size.as_bytes();
        }
        Ok(())
    }

    async fn give_room(&self, id: &str, room: ByteSize) -> Result<(), HostError> {
        media::give_room(self, id, room).await
    }

    async fn change_medium(&self, id: &str, image: Option<&Path>) -> Result<(), HostError> {
        media::change_medium(self, id, image).await
    }

    async fn send_key(&self, key: &str) -> Result<(), HostError> {
        let code = keys::code(key).ok_or_else(|| HostError::Unsupported {
            what: format!("the key {:?}", key.chars().take(20).collect::<String>()),
            why: "QEMU has no code for it".into(),
        })?;
        let keys = json!({"keys": [{"type": "qcode", "data": code}]});
        self.qmp.call(&format!("typing the key {key}"), "send-key", keys).await.map(drop)
    }

    async fn screenshot(&self) -> Result<Screenshot, HostError> {
        screen::screenshot(self).await
    }

    async fn facts(&self) -> Result<MachineFacts, HostError> {
        facts::machine(self).await
    }

    async fn process(&self) -> Result<ProcessFacts, HostError> {
        facts::process(self.process.pid())
    }

    async fn medium(&self, disk: &str) -> Result<Medium, HostError> {
        crate::medium::medium(self, disk).await
    }

    async fn snapshot(&self, folder: &Path) -> Result<Snapshot, HostError> {
        crate::save::save(self, folder).await
    }

    async fn migrate(&self, place: &Place) -> Result<(Box<dyn Machine>, Duration), HostError> {
        crate::migrate::migrate(self, place).await
    }

    async fn end(&self) -> Result<(), HostError> {
        self.process.expect_end();
        let asked = self.simple("ending the machine", "quit");
        let ended = async {
            let _ = asked.await;
            self.process.died().await
        };
        if tokio::time::timeout(END, ended).await.is_err() {
            self.process.kill().await;
        }
        Ok(())
    }

    fn command(&self) -> Vec<String> {
        self.command.clone()
    }

    fn viewer(&self) -> Option<String> {
        None
    }
}
