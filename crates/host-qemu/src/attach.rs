//! Hot plug: devices that come and go while the machine runs.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hospitium_model::{Bus, ByteSize, Chipset, Disk, MachineSpec, Network, Nic};
use serde_json::{Map, Value, json};

use crate::build::pair;
use crate::defects::apply_to_disks;
use crate::devices::nic_device;
use crate::disks::Handed;
use crate::hardware::{memory_object, netdev, remove_nodes};
use crate::locked::locked;
use crate::machine::QemuMachine;
use crate::plugged::Plugged;
use crate::qmp::Qmp;
use hospitium_host::History;
use hospitium_host::local::open;
use hospitium_host::{Attachment, EventKind, HostError};

pub(crate) async fn attach(machine: &QemuMachine, what: &Attachment) -> Result<(), HostError> {
    let _turn = machine.hardware.turn.lock().await;
    machine.hardware.tidy_now().await;
    match what {
        Attachment::Disk(disk) => attach_disk(machine, disk).await,
        Attachment::Nic(nic) => attach_nic(machine, nic).await,
        Attachment::Vcpu { id } => attach_vcpu(machine, id).await,
        Attachment::Memory { id, size } => attach_memory(machine, id, *size).await,
        Attachment::UsbKeyboard { id } => {
            let device = json!({"driver": "usb-kbd", "id": id, "bus": "x.usb.0", "serial": id});
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
        return Err(HostError::Refused { doing: format!("plugging in {id}"), why });
    }
    Ok(())
}

async fn attach_disk(machine: &QemuMachine, disk: &Disk) -> Result<(), HostError> {
    check_id(machine, &disk.id)?;
    let doing = format!("plugging in the disk {}", disk.id);
    let mut plan = machine.host.plan_disk(disk).await?;
    apply_to_disks(&machine.host.defects, std::slice::from_mut(&mut plan));
    let mut device = plan.device()?;
    let bus = match (disk.bus, machine.spec.chipset) {
        (Bus::Virtio | Bus::Nvme, Chipset::Modern) => {
            machine.hardware.changes().free_slot(&machine.spec)?
        }
        (Bus::Virtio | Bus::Nvme, Chipset::Legacy) => "pci.0".into(),
        (Bus::VirtioScsi, _) => "x.scsi.0".into(),
        (Bus::Usb, _) => "x.usb.0".into(),
        (bus @ (Bus::Sata | Bus::Ide | Bus::Floppy), _) => {
            let why = crate::no_hotplug(bus).into();
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
    // Left from a disk of the same id that was removed.
    let _ = std::fs::remove_file(machine.folder.join(plan.overlay()));
    let file = plan.make(&machine.folder)?;
    if let Some(file) = &file {
        machine.confinement.give_away(file, &machine.folder)?;
    }
    let mut handed = Handed { sets, connection: None };
    if let Some(file) = file.filter(|_| plan.loses()) {
        let (disk, theirs) = plan.lossy(file, &machine.outside)?;
        let name = format!("x.disk.{}", machine.next_serial());
        let name_it = json!({"fdname": name});
        machine.qmp.call_with(&doing, "getfd", name_it, Some(theirs.as_fd())).await?;
        locked(&machine.lossy).insert(plan.disk.id.clone(), Arc::new(disk));
        handed.connection = Some(name);
    }
    for node in plan.nodes(&handed) {
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
    plugged(machine, Plugged::Disk { id: disk.id.clone(), device });
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
        let slot = machine.qmp.call("asking for a device's slot", "qom-get", arguments).await?;
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
pub(crate) async fn add_file(machine: &QemuMachine, path: &Path) -> Result<u32, HostError> {
    let file = open(path)?;
    let set = machine.sets.fetch_add(1, Ordering::Relaxed) + 1;
    let doing = format!("handing over {}", path.display());
    machine.qmp.call_with(&doing, "add-fd", json!({"fdset-id": set}), Some(file.as_fd())).await?;
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
                .call_with(&doing, "getfd", json!({"fdname": name}), Some(theirs.as_fd()))
                .await?;
            locked(&machine.cables).insert(nic.id.clone(), Some(ours));
            json!({"type": "socket", "id": netdev, "fd": name})
        }
    };
    machine.qmp.call(&doing, "netdev_add", back_end).await?;
    let mut device = Value::Object(device);
    if let Err(error) = machine.qmp.call(&doing, "device_add", device.clone()).await {
        let _ = machine.qmp.call(&doing, "netdev_del", json!({"id": netdev})).await;
        return Err(error);
    }
    pin_slot(machine, &mut device).await?;
    plugged(machine, Plugged::Nic { nic: nic.clone(), device });
    Ok(())
}

/// Plugs in all threads of the first socket that has none.
async fn attach_vcpu(machine: &QemuMachine, id: &str) -> Result<(), HostError> {
    check_id(machine, id)?;
    let doing = "looking for a free vCPU socket";
    let slots = machine.qmp.call(doing, "query-hotpluggable-cpus", json!({})).await?;
    let slots = slots.as_array().map(Vec::as_slice).unwrap_or_default();
    let socket = |slot: &Value| slot.get("props")?.get("socket-id")?.as_u64();
    let free = |slot: &&Value| slot.get("qom-path").is_none();
    let first = slots.iter().filter(free).filter_map(socket).min();
    let first = first.ok_or_else(|| HostError::Refused {
        doing: doing.into(),
        why: "every socket of the machine is populated; define it with max_sockets".into(),
    })?;
    let mut of_socket: Vec<&Value> =
        slots.iter().filter(|slot| socket(slot) == Some(first)).collect();
    let part = |slot: &Value, name: &str| {
        slot.get("props").and_then(|p| p.get(name)?.as_u64()).unwrap_or(0)
    };
    of_socket.sort_by_key(|slot| (part(slot, "core-id"), part(slot, "thread-id")));
    let mut devices = Vec::new();
    for (n, slot) in of_socket.into_iter().enumerate() {
        let mut device: Map<String, Value> =
            slot.get("props").and_then(Value::as_object).cloned().unwrap_or_default();
        device.insert("driver".into(), slot.get("type").cloned().unwrap_or_default());
        let name = if n == 0 { id.to_owned() } else { format!("{id}.{n}") };
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
        machine.qmp.call(&doing, "object-add", object.clone()).await?;
    }
    for device in &devices {
        if let Err(error) = machine.qmp.call(&doing, "device_add", device.clone()).await {
            if let Some(name) = object.as_ref().and_then(|object| object.get("id")?.as_str()) {
                let _ = machine.qmp.call(&doing, "object-del", json!({"id": name})).await;
            }
            return Err(error);
        }
    }
    plugged(machine, Plugged::Other { id: id.to_owned(), object, devices });
    Ok(())
}

pub(crate) async fn detach(machine: &QemuMachine, id: &str) -> Result<(), HostError> {
    let doing = format!("detaching {}", id.chars().take(40).collect::<String>());
    let found =
        machine.hardware.changes().plugged.iter().find(|plugged| plugged.id() == id).cloned();
    let ids: Vec<String> = match &found {
        Some(plugged) => {
            let id_of = |device: &Value| device.get("id")?.as_str().map(str::to_owned);
            plugged.devices().iter().filter_map(id_of).collect()
        }
        None => vec![id.to_owned()],
    };
    let is_vcpu = found.as_ref().is_some_and(|plugged| {
        let driver =
            |device: &Value| device.get("driver")?.as_str().map(|name| name.ends_with("-cpu"));
        plugged.devices().first().and_then(driver) == Some(true)
    });
    let from = machine.history.count();
    for id in &ids {
        machine.qmp.call(&doing, "device_del", json!({"id": id})).await?;
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
