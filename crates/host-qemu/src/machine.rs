//! One machine on QEMU: what it is made of, and the core of the seam. Its facets are in `facets`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hospitium_model::{Answer, CrashAction, Inability, MachineSpec};
use serde_json::{Value, json};
use tokio::net::UnixStream;

use crate::Inner;
use crate::disks::DiskPlan;
use crate::hardware::{Changes, Hardware};
use crate::locked::locked;
use crate::plugged::Plugged;
use crate::process::{Confinement, Process};
use crate::qmp::Qmp;
use crate::setup::Mapping;
use hospitium_host::{
    Balloon, ByteStream, Display, Dump, Ended, Event, EventClass, EventKind, Facet, History,
    HostError, Hotplug, Inject, Inspection, Look, Machine, Media, Moving, PowerVerb, Saving, Wires,
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
    /// The TPM's emulator.
    pub tpm: Option<Process>,
    pub qmp: Qmp,
    pub history: Arc<History>,
    pub channels: BTreeMap<String, UnixStream>,
    pub cables: BTreeMap<String, UnixStream>,
    pub disks: Vec<DiskPlan>,
    pub lossy: BTreeMap<String, Arc<hospitium_disk::Disk>>,
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
    /// The TPM's emulator, which ends with it.
    _tpm: Option<Process>,
    pub(crate) qmp: Arc<Qmp>,
    pub(crate) history: Arc<History>,
    channels: Mutex<BTreeMap<String, Option<UnixStream>>>,
    pub(crate) cables: Mutex<BTreeMap<String, Option<UnixStream>>>,
    /// All disks, those plugged in later included.
    pub(crate) disks: Mutex<Vec<DiskPlan>>,
    /// Those that lose what was not flushed, by id.
    pub(crate) lossy: Mutex<BTreeMap<String, Arc<hospitium_disk::Disk>>>,
    pub(crate) mapping: Mapping,
    pub(crate) generation_id: Option<String>,
    pub(crate) hardware: Arc<Hardware>,
    /// The last descriptor set that was used.
    pub(crate) sets: AtomicU32,
    /// Numbers for files and nodes that are made while it runs.
    pub(crate) serials: AtomicU32,
    started: AtomicBool,
    /// The plug was pulled: nothing that was not flushed is on its media.
    unplugged: AtomicBool,
}

/// How long a VMM that was asked to end is waited for.
const END: Duration = Duration::from_secs(5);

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
            _tpm: parts.tpm,
            qmp,
            history: parts.history,
            channels: streams(parts.channels),
            cables: streams(parts.cables),
            disks: Mutex::new(parts.disks),
            lossy: Mutex::new(parts.lossy),
            mapping: parts.mapping,
            generation_id: parts.generation_id,
            hardware,
            sets: parts.sets,
            serials: AtomicU32::new(0),
            started: AtomicBool::new(false),
            unplugged: AtomicBool::new(false),
        };
        tokio::spawn(caretaker(
            machine.qmp.clone(),
            machine.history.clone(),
            machine.hardware.clone(),
            machine.spec.on_crash,
        ));
        machine
    }

    /// Ends the process at once, as pulling the plug ends a machine.
    async fn unplug(&self) -> Ended {
        self.unplugged.store(true, Ordering::SeqCst);
        locked(&self.lossy).values().for_each(|disk| disk.cut());
        self.process.kill().await
    }

    /// True if it has ended, and not by the plug: then its media hold all that it wrote.
    pub(crate) fn has_ended_in_order(&self) -> bool {
        let ended = self.process.has_ended();
        ended.is_some_and(|ended| ended.expected()) && !self.unplugged.load(Ordering::SeqCst)
    }

    /// Disks that have kept their power write what they were given; the process has ended.
    pub(crate) async fn settle(&self) -> Result<(), HostError> {
        let doing = "writing what a disk was given";
        let disks: Vec<_> = locked(&self.lossy).values().cloned().collect();
        let work = move || disks.iter().try_for_each(|disk| disk.settle());
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|error| HostError::io(doing)(std::io::Error::other(error)))?
            .map_err(HostError::io(doing))
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

    /// The machine type that it has, without the version of this QEMU taken for granted: `pc-q35-7.2`.
    pub(crate) async fn machine_type(&self) -> Result<String, HostError> {
        let doing = "asking for the machine type";
        let arguments = json!({"path": "/machine", "property": "type"});
        let kind = self.qmp.call(doing, "qom-get", arguments).await?;
        let kind = kind.as_str().and_then(|kind| kind.strip_suffix("-machine"));
        let kind = kind
            .filter(|kind| kind.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)));
        kind.map(str::to_owned).ok_or_else(|| HostError::Refused {
            doing: doing.into(),
            why: "it has no name that could be one".into(),
        })
    }

    /// The plan of a disk.
    pub(crate) fn disk_plan(&self, id: &str) -> Result<DiskPlan, HostError> {
        let found = locked(&self.disks).iter().find(|plan| plan.disk.id == id).cloned();
        found.ok_or_else(|| HostError::Refused {
            doing: format!("looking for the disk {:?}", id.chars().take(40).collect::<String>()),
            why: "the machine has no such disk".into(),
        })
    }

    pub(crate) fn take(
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

    async fn power(&self, verb: PowerVerb) -> Result<(), HostError> {
        match verb {
            PowerVerb::On if self.started.swap(true, Ordering::SeqCst) => {
                let doing = format!("starting the machine {}", self.name);
                Err(HostError::Refused { doing, why: "it was started before".into() })
            }
            PowerVerb::On => self.simple("starting the machine", "cont").await,
            PowerVerb::Off => {
                self.unplug().await;
                Ok(())
            }
            PowerVerb::Reset => self.simple("resetting", "system_reset").await,
            PowerVerb::Button => self.simple("pressing the power button", "system_powerdown").await,
            PowerVerb::Pause => self.simple("pausing", "stop").await,
            PowerVerb::Resume => self.simple("resuming", "cont").await,
        }
    }

    async fn serial(&self, name: &str) -> Result<Box<dyn ByteStream>, HostError> {
        Self::take(&self.channels, "channel", name)
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

    fn observes(&self, _class: EventClass) -> Answer {
        // QMP tells of every class; the end of a vCPU, of which it does not, is watched for (`attach`).
        Answer::Yes
    }

    async fn look(&self) -> Result<Look, HostError> {
        hospitium_qmp::look(self).await
    }

    async fn inspect(&self) -> Result<Inspection, HostError> {
        // A machine need not have a display.
        let shot =
            crate::screen::screenshot(&self.qmp, &self.folder, self.next_serial()).await.ok();
        hospitium_qmp::inspect(self, shot).await
    }

    async fn ended(&self) -> Ended {
        self.process.ended().await
    }

    async fn finish(&self) -> Result<Ended, HostError> {
        self.process.expect_end();
        let asked = self.simple("ending the machine", "quit");
        let ended = async {
            let _ = asked.await;
            self.process.ended().await
        };
        match tokio::time::timeout(END, ended).await {
            Ok(ended) => {
                if self.has_ended_in_order() {
                    self.settle().await?;
                }
                Ok(ended)
            }
            Err(_) => Ok(self.unplug().await),
        }
    }

    fn said(&self) -> Result<Vec<String>, Inability> {
        Ok(self.process.said())
    }

    fn command(&self) -> Vec<String> {
        self.command.clone()
    }

    fn viewer(&self) -> Option<String> {
        None
    }

    fn hotplug(&self) -> Facet<'_, dyn Hotplug> {
        Ok(self)
    }

    fn wires(&self) -> Facet<'_, dyn Wires> {
        Ok(self)
    }

    fn media(&self) -> Facet<'_, dyn Media> {
        Ok(self)
    }

    fn display(&self) -> Facet<'_, dyn Display> {
        Ok(self)
    }

    fn inject(&self) -> Facet<'_, dyn Inject> {
        Ok(self)
    }

    fn balloon(&self) -> Facet<'_, dyn Balloon> {
        match self.spec.balloon {
            true => Ok(self),
            false => Err(Inability::of_machine("the machine is configured without a balloon")),
        }
    }

    fn confinement(&self) -> Facet<'_, dyn hospitium_host::Confinement> {
        Ok(self)
    }

    fn saving(&self) -> Facet<'_, dyn Saving> {
        Ok(self)
    }

    fn moving(&self) -> Facet<'_, dyn Moving> {
        Ok(self)
    }

    fn dump(&self) -> Facet<'_, dyn Dump> {
        Ok(self)
    }
}
