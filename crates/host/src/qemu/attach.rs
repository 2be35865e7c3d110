//! Hot plug: devices that come and go while the machine runs.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hospitium_model::{Bus, ByteSize, Chipset, Disk, MachineSpec, Network, Nic};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::build::{open, pair};
use super::command::{nic_device, slot_name};
use super::events::History;
use super::machine::{QemuMachine, locked};
use super::qmp::Qmp;
use crate::{Attachment, EventKind, HostError};

/// A device that was plugged in, so that a later process of the same machine has it too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Plugged {
    /// A disk. Its images are among the machine's disks.
    Disk { id: String, device: Value },
    /// A network interface.
    Nic { nic: Nic, device: Value },
    /// Anything else: an object that it needs, and its devices.
    Other {
        id: String,
        object: Option<Value>,
        devices: Vec<Value>,
    },
}

impl Plugged {
    /// Id that it is detached by.
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Disk { id, .. } | Self::Other { id, .. } => id,
            Self::Nic { nic, .. } => &nic.id,
        }
    }

    /// Its devices.
    pub(super) fn devices(&self) -> &[Value] {
        match self {
            Self::Disk { device, .. } | Self::Nic { device, .. } => std::slice::from_ref(device),
            Self::Other { devices, .. } => devices,
        }
    }
}

/// How the machine's hardware differs from what it was defined with.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Changes {
    pub plugged: Vec<Plugged>,
    pub removed: Vec<String>,
    /// Ids of devices that are gone and left their back ends behind.
    left: Vec<String>,
    /// Events up to here are accounted for.
    seen: usize,
}

impl Changes {
    pub(super) fn new(plugged: Vec<Plugged>, removed: Vec<String>) -> Self {
        Self {
            plugged,
            removed,
            left: Vec::new(),
            seen: 0,
        }
    }

    /// Takes account of the devices that have gone since the last time.
    fn settle(&mut self, history: &History) {
        let fresh = history.since(self.seen);
        self.seen += fresh.len();
        for event in fresh {
            if let EventKind::DeviceRemoved { id } = event.kind {
                match self.plugged.iter().position(|plugged| plugged.id() == id) {
                    Some(at) => drop(self.plugged.remove(at)),
                    None => self.removed.push(id.clone()),
                }
                self.left.push(id);
            }
        }
    }

    fn free_slot(&self, spec: &MachineSpec) -> Result<String, HostError> {
        let taken = |name: &str| {
            let mut devices = self.plugged.iter().flat_map(Plugged::devices);
            devices.any(|device| device.get("bus").and_then(Value::as_str) == Some(name))
        };
        (0..spec.hotplug_slots)
            .map(slot_name)
            .find(|name| !taken(name))
            .ok_or_else(|| HostError::Refused {
                doing: "looking for a free slot".into(),
                why: format!(
                    "all {} hot-plug slots of the machine are taken",
                    spec.hotplug_slots
                ),
            })
    }
}

/// What plugs devices in and out, one at a time.
pub(super) struct Hardware {
    changes: Mutex<Changes>,
    turn: tokio::sync::Mutex<()>,
    qmp: Arc<Qmp>,
    history: Arc<History>,
}

impl Hardware {
    pub(super) fn new(changes: Changes, qmp: Arc<Qmp>, history: Arc<History>) -> Self {
        Self {
            changes: Mutex::new(changes),
            turn: tokio::sync::Mutex::new(()),
            qmp,
            history,
        }
    }

    /// How the machine's hardware differs now.
    pub(super) fn changes(&self) -> MutexGuard<'_, Changes> {
        let mut changes = locked(&self.changes);
        changes.settle(&self.history);
        changes
    }

    /// Removes what devices that are gone left behind.
    pub(super) async fn tidy(&self) {
        let _turn = self.turn.lock().await;
        self.tidy_now().await;
    }

    async fn tidy_now(&self) {
        let left = std::mem::take(&mut self.changes().left);
        let doing = "cleaning up behind a removed device";
        for id in left {
            // Each device has some of these. What can't be removed does no harm but to a second
            // device of the same id, which is then refused.
            remove_nodes(&self.qmp, &id).await;
            let _ = self
                .qmp
                .call(doing, "netdev_del", json!({"id": netdev(&id)}))
                .await;
            let _ = self
                .qmp
                .call(doing, "object-del", json!({"id": memory_object(&id)}))
                .await;
        }
    }
}

fn netdev(id: &str) -> String {
    format!("n.{id}")
}

fn memory_object(id: &str) -> String {
    format!("x.mem.{id}")
}

/// How long a device's back end is still held after the event that tells of the device's end.
const LETTING_GO: Duration = Duration::from_secs(2);

/// Removes a disk's block nodes; those that others stand on go after them.
async fn remove_nodes(qmp: &Qmp, id: &str) {
    let doing = "removing a disk's block nodes";
    let Ok(nodes) = qmp
        .call(doing, "query-named-block-nodes", json!({"flat": true}))
        .await
    else {
        return;
    };
    let prefix = format!("d.{id}.");
    let own = |name: &&str| *name == format!("d.{id}") || name.starts_with(&prefix);
    let nodes = nodes.as_array().map(Vec::as_slice).unwrap_or_default();
    let names = nodes
        .iter()
        .filter_map(|node| node.get("node-name")?.as_str())
        .filter(own);
    let mut names: Vec<&str> = names.collect();
    let started = std::time::Instant::now();
    while !names.is_empty() && started.elapsed() < LETTING_GO {
        let mut left = Vec::new();
        for &name in &names {
            match qmp
                .call(doing, "blockdev-del", json!({"node-name": name}))
                .await
            {
                Ok(_) => {}
                Err(HostError::Refused { .. }) => left.push(name),
                Err(_) => return,
            }
        }
        if left.len() == names.len() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        names = left;
    }
}

pub(super) async fn attach(machine: &QemuMachine, what: &Attachment) -> Result<(), HostError> {
    let _turn = machine.hardware.turn.lock().await;
    machine.hardware.tidy_now().await;
    match what {
        Attachment::Disk(disk) => attach_disk(machine, disk).await,
        Attachment::Nic(nic) => attach_nic(machine, nic).await,
        Attachment::Vcpu { id } => attach_vcpu(machine, id).await,
        Attachment::Memory { id, size } => attach_memory(machine, id, *size).await,
        Attachment::UsbKeyboard { id } => {
            let device = json!({"driver": "usb-kbd", "id": id, "bus": "x.usb.0"});
            add_devices(machine, id, None, vec![device]).await
        }
    }
}

/// An id from a caller, held to the rules of a specification's ids.
fn check_id(machine: &QemuMachine, id: &str) -> Result<(), HostError> {
    let mut probe = MachineSpec::new(ByteSize::mib(16), hospitium_model::Boot::Nothing);
    probe.channels = vec![hospitium_model::Channel {
        name: id.to_owned(),
        kind: hospitium_model::ChannelKind::Serial,
    }];
    probe.check()?;
    let changes = machine.hardware.changes();
    let defined = machine.spec.disk(id).is_some() || machine.spec.nic(id).is_some();
    let there = (defined && !changes.removed.iter().any(|removed| removed == id))
        || changes.plugged.iter().any(|plugged| plugged.id() == id);
    if there {
        let why = "the machine has a device of this id".into();
        return Err(HostError::Refused {
            doing: format!("plugging in {id}"),
            why,
        });
    }
    Ok(())
}

async fn attach_disk(machine: &QemuMachine, disk: &Disk) -> Result<(), HostError> {
    check_id(machine, &disk.id)?;
    let doing = format!("plugging in the disk {}", disk.id);
    let plan = machine.host.plan_disk(disk).await?;
    let mut device = plan.device()?;
    let bus = match (disk.bus, machine.spec.chipset) {
        (Bus::Virtio | Bus::Nvme, Chipset::Modern) => {
            machine.hardware.changes().free_slot(&machine.spec)?
        }
        (Bus::Virtio | Bus::Nvme, Chipset::Legacy) => "pci.0".into(),
        (Bus::VirtioScsi, _) => "x.scsi.0".into(),
        (Bus::Usb, _) => "x.usb.0".into(),
        (bus @ (Bus::Sata | Bus::Ide | Bus::Floppy), _) => {
            let why = super::no_hotplug(bus).into();
            return Err(HostError::Unsupported {
                what: format!("hot plug of a disk on {}", bus.name()),
                why,
            });
        }
    };
    device.insert("bus".into(), json!(bus));
    let mut sets = Vec::new();
    for layer in &plan.layers {
        sets.push(add_file(machine, &layer.path).await?);
    }
    for name in [plan.overlay(), plan.log()] {
        // Left from a disk of the same id that was removed.
        let _ = std::fs::remove_file(machine.folder.join(name));
    }
    for file in plan.make(&machine.folder)? {
        machine.host.give_away(&file, &machine.folder)?;
    }
    for node in plan.nodes(&sets) {
        if let Err(error) = machine.qmp.call(&doing, "blockdev-add", node).await {
            remove_nodes(&machine.qmp, &disk.id).await;
            return Err(error);
        }
    }
    let mut device = Value::Object(device);
    if let Err(error) = machine.qmp.call(&doing, "device_add", device.clone()).await {
        remove_nodes(&machine.qmp, &disk.id).await;
        return Err(error);
    }
    pin_slot(machine, &mut device).await?;
    {
        let mut disks = locked(&machine.disks);
        disks.retain(|plan| plan.disk.id != disk.id);
        disks.push(plan);
    }
    plugged(
        machine,
        Plugged::Disk {
            id: disk.id.clone(),
            device,
        },
    );
    Ok(())
}

/// A device that QEMU put into a slot of its own choice is to be in the same one in a later process.
async fn pin_slot(machine: &QemuMachine, device: &mut Value) -> Result<(), HostError> {
    if device.get("bus").and_then(Value::as_str) == Some("pci.0") {
        let path = format!(
            "/machine/peripheral/{}",
            device.get("id").and_then(Value::as_str).unwrap_or_default()
        );
        let arguments = json!({"path": path, "property": "addr"});
        let slot = machine
            .qmp
            .call("asking for a device's slot", "qom-get", arguments)
            .await?;
        device["addr"] = slot;
    }
    Ok(())
}

fn plugged(machine: &QemuMachine, what: Plugged) {
    let mut changes = machine.hardware.changes();
    // What was defined and removed stays so: the new device stands on the other list.
    changes.plugged.push(what);
}

/// Opens an input and gives it to the VMM in a descriptor set of its own.
async fn add_file(machine: &QemuMachine, path: &Path) -> Result<u32, HostError> {
    let file = open(path)?;
    let set = machine.sets.fetch_add(1, Ordering::Relaxed) + 1;
    let doing = format!("handing over {}", path.display());
    machine
        .qmp
        .call_with(
            &doing,
            "add-fd",
            json!({"fdset-id": set}),
            Some(file.as_fd()),
        )
        .await?;
    Ok(set)
}

async fn attach_nic(machine: &QemuMachine, nic: &Nic) -> Result<(), HostError> {
    check_id(machine, &nic.id)?;
    let doing = format!("plugging in the interface {}", nic.id);
    let mut device = nic_device(nic)?;
    device.insert("romfile".into(), json!(""));
    let bus = match machine.spec.chipset {
        Chipset::Modern => machine.hardware.changes().free_slot(&machine.spec)?,
        Chipset::Legacy => "pci.0".into(),
    };
    device.insert("bus".into(), json!(bus));
    let netdev = netdev(&nic.id);
    let back_end = match nic.network {
        Network::Isolated => {
            json!({"type": "hubport", "id": netdev, "hubid": 1000 + machine.next_serial()})
        }
        Network::Harness => {
            let (ours, theirs): (_, OwnedFd) = pair()?;
            let name = format!("x.{netdev}");
            machine
                .qmp
                .call_with(
                    &doing,
                    "getfd",
                    json!({"fdname": name}),
                    Some(theirs.as_fd()),
                )
                .await?;
            locked(&machine.cables).insert(nic.id.clone(), Some(ours));
            json!({"type": "socket", "id": netdev, "fd": name})
        }
    };
    machine.qmp.call(&doing, "netdev_add", back_end).await?;
    let mut device = Value::Object(device);
    if let Err(error) = machine.qmp.call(&doing, "device_add", device.clone()).await {
        let _ = machine
            .qmp
            .call(&doing, "netdev_del", json!({"id": netdev}))
            .await;
        return Err(error);
    }
    plugged(
        machine,
        Plugged::Nic {
            nic: nic.clone(),
            device,
        },
    );
    Ok(())
}

/// Plugs in all threads of the first socket that has none.
async fn attach_vcpu(machine: &QemuMachine, id: &str) -> Result<(), HostError> {
    check_id(machine, id)?;
    let doing = "looking for a free vCPU socket";
    let slots = machine
        .qmp
        .call(doing, "query-hotpluggable-cpus", json!({}))
        .await?;
    let slots = slots.as_array().map(Vec::as_slice).unwrap_or_default();
    let socket = |slot: &Value| slot.get("props")?.get("socket-id")?.as_u64();
    let free = |slot: &&Value| slot.get("qom-path").is_none();
    let first = slots.iter().filter(free).filter_map(socket).min();
    let first = first.ok_or_else(|| HostError::Refused {
        doing: doing.into(),
        why: "every socket of the machine is populated; define it with max_sockets".into(),
    })?;
    let mut of_socket: Vec<&Value> = slots
        .iter()
        .filter(|slot| socket(slot) == Some(first))
        .collect();
    let part = |slot: &Value, name: &str| {
        slot.get("props")
            .and_then(|p| p.get(name)?.as_u64())
            .unwrap_or(0)
    };
    of_socket.sort_by_key(|slot| (part(slot, "core-id"), part(slot, "thread-id")));
    let mut devices = Vec::new();
    for (n, slot) in of_socket.into_iter().enumerate() {
        let mut device: Map<String, Value> = slot
            .get("props")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        device.insert(
            "driver".into(),
            slot.get("type").cloned().unwrap_or_default(),
        );
        let name = if n == 0 {
            id.to_owned()
        } else {
            format!("{id}.{n}")
        };
        device.insert("id".into(), json!(name));
        devices.push(Value::Object(device));
    }
    add_devices(machine, id, None, devices).await
}

async fn attach_memory(machine: &QemuMachine, id: &str, size: ByteSize) -> Result<(), HostError> {
    check_id(machine, id)?;
    let back_end = memory_object(id);
    let object = json!({"qom-type": "memory-backend-ram", "id": back_end, "size": size.as_bytes()});
    let mut device = json!({"driver": "pc-dimm", "id": id, "memdev": back_end});
    if machine.spec.memory.nodes > 1 {
        device["node"] = json!(0);
    }
    add_devices(machine, id, Some(object), vec![device]).await
}

async fn add_devices(
    machine: &QemuMachine,
    id: &str,
    object: Option<Value>,
    devices: Vec<Value>,
) -> Result<(), HostError> {
    check_id(machine, id)?;
    let doing = format!("plugging in {id}");
    if let Some(object) = &object {
        machine
            .qmp
            .call(&doing, "object-add", object.clone())
            .await?;
    }
    for device in &devices {
        if let Err(error) = machine.qmp.call(&doing, "device_add", device.clone()).await {
            if let Some(name) = object
                .as_ref()
                .and_then(|object| object.get("id")?.as_str())
            {
                let _ = machine
                    .qmp
                    .call(&doing, "object-del", json!({"id": name}))
                    .await;
            }
            return Err(error);
        }
    }
    plugged(
        machine,
        Plugged::Other {
            id: id.to_owned(),
            object,
            devices,
        },
    );
    Ok(())
}

pub(super) async fn detach(machine: &QemuMachine, id: &str) -> Result<(), HostError> {
    let doing = format!("detaching {}", id.chars().take(40).collect::<String>());
    let found = machine
        .hardware
        .changes()
        .plugged
        .iter()
        .find(|plugged| plugged.id() == id)
        .cloned();
    let ids: Vec<String> = match &found {
        Some(plugged) => {
            let id_of = |device: &Value| device.get("id")?.as_str().map(str::to_owned);
            plugged.devices().iter().filter_map(id_of).collect()
        }
        None => vec![id.to_owned()],
    };
    let is_vcpu = found.as_ref().is_some_and(|plugged| {
        let driver = |device: &Value| {
            device
                .get("driver")?
                .as_str()
                .map(|name| name.ends_with("-cpu"))
        };
        plugged.devices().first().and_then(driver) == Some(true)
    });
    let from = machine.history.count();
    for id in &ids {
        machine
            .qmp
            .call(&doing, "device_del", json!({"id": id}))
            .await?;
    }
    if is_vcpu {
        let (qmp, history) = (machine.qmp.clone(), machine.history.clone());
        tokio::spawn(watch_vcpus(qmp, history, ids, from));
    }
    Ok(())
}

/// How long a guest is given to let go of a vCPU.
const VCPU_REMOVAL: Duration = Duration::from_secs(120);

/// Tells when vCPUs are gone: QEMU itself sends no event, because under TCG something keeps hold of
/// the object (seen with 7.2.22).
async fn watch_vcpus(qmp: Arc<Qmp>, history: Arc<History>, ids: Vec<String>, from: usize) {
    let doing = "watching for a vCPU to go";
    let started = std::time::Instant::now();
    while started.elapsed() < VCPU_REMOVAL {
        let Ok(cpus) = qmp.call(doing, "query-cpus-fast", json!({})).await else {
            return;
        };
        let cpus = cpus.as_array().map(Vec::as_slice).unwrap_or_default();
        let there = |id: &String| {
            let path = format!("/machine/peripheral/{id}");
            cpus.iter()
                .any(|cpu| cpu.get("qom-path").and_then(Value::as_str) == Some(path.as_str()))
        };
        if !ids.iter().any(there) {
            let Some(id) = ids.into_iter().next() else {
                return;
            };
            let kind = EventKind::DeviceRemoved { id };
            if !history.since(from).iter().any(|event| event.kind == kind) {
                history.push(kind);
            }
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub(super) async fn give_room(
    machine: &QemuMachine,
    id: &str,
    room: ByteSize,
) -> Result<(), HostError> {
    let plan = machine.disk_plan(id)?;
    let doing = format!("giving the disk {id} room for {room}");
    let Some(before) = plan.disk.room else {
        return Err(HostError::Refused {
            doing,
            why: "its room is not limited".into(),
        });
    };
    if room < before {
        return Err(HostError::Refused {
            doing,
            why: format!("it has room for {before} already"),
        });
    }
    let path = machine.folder.join(plan.overlay());
    let file = std::fs::OpenOptions::new().write(true).open(&path);
    let file = file.map_err(HostError::io(format!("opening {}", path.display())))?;
    let length = file.metadata().map_err(HostError::io(&doing))?.len();
    let wanted = length.max(plan.size * 2 + room.as_bytes() + (16 << 20));
    file.set_len(wanted).map_err(HostError::io(&doing))?;
    let options = json!({"options": [plan.room_node(room)]});
    machine.qmp.call(&doing, "blockdev-reopen", options).await?;
    for plan in locked(&machine.disks)
        .iter_mut()
        .filter(|plan| plan.disk.id == id)
    {
        plan.disk.room = Some(room);
    }
    Ok(())
}

/// How long a guest that locked its drive is given to open it.
const TRAY: Duration = Duration::from_secs(5);

pub(super) async fn change_medium(
    machine: &QemuMachine,
    id: &str,
    image: Option<&Path>,
) -> Result<(), HostError> {
    machine.disk_plan(id)?;
    let doing = format!("changing the disc in {id}");
    let events = machine.history.count();
    let opened = machine
        .qmp
        .call(
            &doing,
            "blockdev-open-tray",
            json!({"id": id, "force": false}),
        )
        .await;
    if opened.is_err() {
        // The guest has locked the drive and was sent the eject button's request: it may open it.
        let open = |kind: &EventKind| matches!(kind, EventKind::Tray { id: tray, open: true } if tray == id);
        match machine
            .history
            .wait(events, "the guest to open the drive", TRAY, &open)
            .await
        {
            Ok(_) => {}
            Err(HostError::TimedOut { .. }) => {
                machine
                    .qmp
                    .call(
                        &doing,
                        "blockdev-open-tray",
                        json!({"id": id, "force": true}),
                    )
                    .await?;
            }
            Err(error) => return Err(error),
        }
    }
    machine
        .qmp
        .call(&doing, "blockdev-remove-medium", json!({"id": id}))
        .await?;
    remove_nodes(&machine.qmp, id).await;
    if let Some(image) = image {
        let set = add_file(machine, image).await?;
        let file = format!("d.{id}.disc");
        let nodes = [
            json!({"driver": "file", "node-name": file, "read-only": true, "filename": format!("/dev/fdset/{set}")}),
            json!({"driver": "raw", "node-name": format!("d.{id}"), "read-only": true, "file": file}),
        ];
        for node in nodes {
            machine.qmp.call(&doing, "blockdev-add", node).await?;
        }
        let insert = json!({"id": id, "node-name": format!("d.{id}")});
        machine
            .qmp
            .call(&doing, "blockdev-insert-medium", insert)
            .await?;
    }
    machine
        .qmp
        .call(&doing, "blockdev-close-tray", json!({"id": id}))
        .await?;
    let mut disks = locked(&machine.disks);
    for plan in disks.iter_mut().filter(|plan| plan.disk.id == id) {
        plan.layers = image
            .iter()
            .map(|path| super::disks::Layer {
                path: path.to_path_buf(),
                driver: "raw".into(),
                ours: false,
            })
            .collect();
    }
    Ok(())
}
