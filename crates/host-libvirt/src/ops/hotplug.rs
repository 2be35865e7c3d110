//! Devices that come and go while the machine runs.

use std::ffi::CString;
use std::sync::Arc;
use std::time::Duration;

use hospitium_host::{Attachment, EventKind, HostError};
use hospitium_model::{Boot, Bus, ByteSize, Channel, ChannelKind, Disk, MachineSpec, Nic};
use hospitium_xml::Element;
use virt::connect::Connect;
use virt::sys;

use crate::connection::WORK;
use crate::ffi;
use crate::image::DiskPlan;
use crate::running::LibvirtMachine;
use crate::shared::locked;
use crate::watched::ALIAS;
use crate::xml::parts::{self, DiskParts};
use crate::xml::{domain, live, tree};

/// See [`Hotplug::attach`](hospitium_host::Hotplug::attach).
pub(crate) async fn attach(machine: &LibvirtMachine, what: &Attachment) -> Result<(), HostError> {
    let _turn = machine.turn.lock().await;
    match what {
        Attachment::Disk(disk) => attach_disk(machine, disk).await,
        Attachment::Nic(nic) => attach_nic(machine, nic).await,
        Attachment::Vcpu { id } => attach_vcpu(machine, id).await,
        Attachment::Memory { id, size } => attach_memory(machine, id, *size).await,
        Attachment::UsbKeyboard { id } => {
            check_id(machine, id, &machine.live().await?)?;
            // By its serial number the guest tells it from others.
            Err(HostError::Unsupported {
                what: format!("a USB keyboard with the serial number {id}"),
                why: "libvirt gives input devices no serial number".into(),
            })
        }
    }
}

/// An id from a caller, held to the rules of a specification's ids.
fn check_id(machine: &LibvirtMachine, id: &str, live: &Element) -> Result<(), HostError> {
    let mut probe = MachineSpec::new(ByteSize::mib(16), Boot::Nothing);
    probe.channels = vec![Channel { name: id.to_owned(), kind: ChannelKind::Serial }];
    probe.check()?;
    if live::has(live, id) || locked(&machine.plugged_vcpus).iter().any(|other| other == id) {
        let why = "the machine has a device of this id".into();
        return Err(HostError::Refused { doing: format!("plugging in {id}"), why });
    }
    Ok(())
}

async fn add(machine: &LibvirtMachine, doing: &str, device: &Element) -> Result<(), HostError> {
    let xml = tree::write(device);
    let flags = sys::VIR_DOMAIN_AFFECT_LIVE;
    machine.ask(doing, move |domain| domain.attach_device_flags(&xml, flags)).await.map(drop)
}

/// Why a bus takes no disk while the machine runs.
pub(crate) const fn no_hotplug(bus: Bus) -> Option<&'static str> {
    match bus {
        Bus::Sata => Some("QEMU's AHCI controller has no hot plug"),
        Bus::Ide => Some("IDE has no hot plug"),
        Bus::Floppy => Some("a floppy drive has no hot plug"),
        Bus::Nvme => Some("this libvirt emulates no NVMe controllers"),
        Bus::Virtio | Bus::VirtioScsi | Bus::Usb => None,
    }
}

async fn attach_disk(machine: &LibvirtMachine, disk: &Disk) -> Result<(), HostError> {
    let live = machine.live().await?;
    check_id(machine, &disk.id, &live)?;
    if let Some(why) = no_hotplug(disk.bus) {
        let what = format!("hot plug of a disk on {}", disk.bus.name());
        return Err(HostError::Unsupported { what, why: why.into() });
    }
    let doing = format!("plugging in the disk {}", disk.id);
    let plan = DiskPlan::of(disk).await?;
    plan.make(&machine.place.files, machine.place.user()).await?;
    let made = machine.host.made(&machine.place, &plan)?;
    let lossy = plan.lossy(&machine.place, &machine.outside)?;
    let taken: Vec<String> = live::disks(&live).into_iter().map(|(_, target)| target).collect();
    let mut targets = domain::Targets::default();
    let target = loop {
        let target = targets.next(disk.bus)?;
        if !taken.contains(&target) {
            break target;
        }
    };
    let device = parts::disk(&DiskParts {
        disk,
        layers: &made.layers,
        room: made.room,
        server: made.server.as_deref(),
        target: &target,
        unit: None,
        boot: None,
    })?;
    add(machine, &doing, &device).await?;
    if let Some(lossy) = lossy {
        locked(&machine.lossy).insert(disk.id.clone(), Arc::new(lossy));
    }
    let mut disks = locked(&machine.disks);
    disks.retain(|plan| plan.disk.id != disk.id);
    disks.push(plan);
    Ok(())
}

/// Why no interface comes while the machine runs (libvirt 9, qemu_hotplug.c, `qemuDomainAttachNetDevice`).
pub(crate) const NO_NIC: &str =
    "libvirt plugs in no interface whose cable is a socket; a guest's frames go nowhere else here";

async fn attach_nic(machine: &LibvirtMachine, nic: &Nic) -> Result<(), HostError> {
    check_id(machine, &nic.id, &machine.live().await?)?;
    let what = format!("plugging in the interface {}", nic.id);
    Err(HostError::Unsupported { what, why: NO_NIC.into() })
}

/// vCPUs of a socket, and those that are there.
async fn vcpus(machine: &LibvirtMachine, doing: &str) -> Result<(u32, u32), HostError> {
    let per_socket = machine.spec.cpus.cores * machine.spec.cpus.threads;
    let flags = sys::VIR_DOMAIN_VCPU_LIVE;
    let now = machine.ask(doing, move |domain| domain.get_vcpus_flags(flags)).await?;
    Ok((per_socket, now))
}

async fn set_vcpus(machine: &LibvirtMachine, doing: &str, count: u32) -> Result<(), HostError> {
    let flags = sys::VIR_DOMAIN_VCPU_LIVE;
    machine
        .ask_within(doing, WORK, move |domain| domain.set_vcpus_flags(count, flags))
        .await
        .map(drop)
}

async fn attach_vcpu(machine: &LibvirtMachine, id: &str) -> Result<(), HostError> {
    check_id(machine, id, &machine.live().await?)?;
    let doing = "plugging in a vCPU";
    let (per_socket, now) = vcpus(machine, doing).await?;
    if now + per_socket > machine.spec.cpus.max_count() {
        return Err(HostError::Refused {
            doing: doing.into(),
            why: "every socket of the machine is populated; define it with max_sockets".into(),
        });
    }
    set_vcpus(machine, doing, now + per_socket).await?;
    locked(&machine.plugged_vcpus).push(id.to_owned());
    Ok(())
}

async fn attach_memory(
    machine: &LibvirtMachine,
    id: &str,
    size: ByteSize,
) -> Result<(), HostError> {
    check_id(machine, id, &machine.live().await?)?;
    add(machine, &format!("plugging in the memory {id}"), &parts::dimm(id, size)).await
}

/// See [`Hotplug::detach`](hospitium_host::Hotplug::detach).
pub(crate) async fn detach(machine: &LibvirtMachine, id: &str) -> Result<(), HostError> {
    let _turn = machine.turn.lock().await;
    let doing = format!("detaching {}", id.chars().take(40).collect::<String>());
    let last = locked(&machine.plugged_vcpus).last().cloned();
    if last.as_deref() == Some(id) {
        return detach_vcpu(machine, id, &doing).await;
    }
    if locked(&machine.plugged_vcpus).iter().any(|other| other == id) {
        return Err(HostError::Unsupported {
            what: doing,
            why: "libvirt takes out the vCPU that came last first".into(),
        });
    }
    if !live::has(&machine.live().await?, id) {
        return Err(HostError::Refused { doing, why: "the machine has no such device".into() });
    }
    let alias = CString::new(format!("{ALIAS}{id}")).unwrap_or_default();
    machine.ask(&doing, move |domain| ffi::detach_alias(domain, &alias)).await
}

/// How long a guest is given to let go of a vCPU; libvirt itself waits 5 s and then takes back its word.
const REMOVAL: Duration = Duration::from_secs(120);

/// Libvirt waits until the guest has let go of a vCPU, and sends no event.
async fn detach_vcpu(machine: &LibvirtMachine, id: &str, doing: &str) -> Result<(), HostError> {
    let (per_socket, now) = vcpus(machine, doing).await?;
    let wanted = now.saturating_sub(per_socket);
    let asked = set_vcpus(machine, doing, wanted).await;
    if let Err(error @ (HostError::Ended { .. } | HostError::Unusable { .. })) = asked {
        return Err(error);
    }
    locked(&machine.plugged_vcpus).retain(|other| other != id);
    if asked.is_ok() {
        machine.watched.history.push(EventKind::DeviceRemoved { id: id.to_owned() });
        return Ok(());
    }
    // The guest may still let go of it.
    let watched = Arc::downgrade(&machine.watched);
    let (host, domain, id) = (machine.host.clone(), machine.domain(), id.to_owned());
    tokio::spawn(async move {
        let started = std::time::Instant::now();
        while started.elapsed() < REMOVAL {
            let domain = domain.clone();
            let question = move |_: &Connect| {
                domain.qemu_monitor_command(r#"{"execute":"query-cpus-fast"}"#, 0)
            };
            let Ok(answer) = host.connection.call("watching for a vCPU to go", question).await
            else {
                return;
            };
            let answer: serde_json::Value = serde_json::from_str(&answer).unwrap_or_default();
            let count = answer.get("return").and_then(|cpus| cpus.as_array().map(Vec::len));
            let Some(watched) = watched.upgrade() else { return };
            if count.is_some_and(|count| count <= wanted as usize) {
                watched.history.push(EventKind::DeviceRemoved { id });
                return;
            }
            drop(watched);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    Ok(())
}
