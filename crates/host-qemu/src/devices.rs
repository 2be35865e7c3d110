//! A machine's devices as arguments of QEMU.

use hospitium_model::{
    Boot, Bus, ChannelKind, Chipset, Disk, DiskRole, MachineSpec, Network, Nic, NicModel,
    TpmVersion, WatchdogAction,
};
use serde_json::{Map, Value, json};

use crate::plugged::{Plugged, slot_name};
use crate::setup::{Arguments, Setup};
use hospitium_host::HostError;

/// The disk controller that a bus needs beyond the chipset, and its device.
pub(crate) fn controller(bus: Bus, chipset: Chipset) -> Option<Value> {
    Some(match (bus, chipset) {
        (Bus::VirtioScsi, _) => json!({"driver": "virtio-scsi-pci", "id": "x.scsi"}),
        (Bus::Usb, Chipset::Modern) => json!({"driver": "qemu-xhci", "id": "x.usb"}),
        (Bus::Usb, Chipset::Legacy) => json!({"driver": "usb-ehci", "id": "x.usb"}),
        (Bus::Sata, Chipset::Legacy) => json!({"driver": "ich9-ahci", "id": "x.ahci"}),
        (Bus::Floppy, Chipset::Modern) => json!({"driver": "isa-fdc", "id": "x.fdc"}),
        _ => return None,
    })
}

fn unsupported(what: impl Into<String>, why: impl Into<String>) -> HostError {
    HostError::Unsupported { what: what.into(), why: why.into() }
}

/// The network interface, without its place on a bus.
pub(crate) fn nic_device(nic: &Nic) -> Result<Map<String, Value>, HostError> {
    if nic.queues > 1 {
        return Err(unsupported(
            format!("{} queues of the interface {}", nic.queues, nic.id),
            "QEMU has several queues only on interfaces of the physical machine's kernel",
        ));
    }
    let driver = match nic.model {
        NicModel::Virtio => "virtio-net-pci",
        NicModel::E1000 => "e1000",
        NicModel::E1000e => "e1000e",
        NicModel::Rtl8139 => "rtl8139",
        NicModel::Vmxnet3 => "vmxnet3",
    };
    let mut device = Map::new();
    device.insert("driver".into(), json!(driver));
    device.insert("id".into(), json!(nic.id));
    device.insert("netdev".into(), json!(format!("n.{}", nic.id)));
    device.insert("mac".into(), json!(nic.mac));
    Ok(device)
}

/// Everything but disks and network interfaces.
pub(crate) fn platform_devices(setup: &Setup<'_>, args: &mut Arguments) -> Result<(), HostError> {
    let spec = setup.spec;
    if spec.chipset == Chipset::Modern {
        for n in 0..spec.hotplug_slots {
            args.device(setup, json!({"driver": "pcie-root-port", "id": slot_name(n), "chassis": n + 1, "port": n}));
        }
    }
    if spec.display {
        args.device(setup, json!({"driver": "VGA", "id": "x.vga"}));
    }
    let mut buses: Vec<Bus> = spec.controllers.clone();
    buses.extend(spec.disks.iter().map(|disk| disk.bus));
    if spec.input {
        buses.push(Bus::Usb);
    }
    buses.sort_unstable();
    buses.dedup();
    for bus in buses {
        if let Some(device) = controller(bus, spec.chipset) {
            args.device(setup, device);
        }
    }
    if spec.input {
        args.device(setup, json!({"driver": "usb-tablet", "id": "x.tablet", "bus": "x.usb.0"}));
        args.device(setup, json!({"driver": "usb-kbd", "id": "x.keyboard", "bus": "x.usb.0"}));
    }
    if spec.rng {
        args.two("-object", json!({"qom-type": "rng-builtin", "id": "x.entropy"}).to_string());
        args.device(setup, json!({"driver": "virtio-rng-pci", "id": "x.rng", "rng": "x.entropy"}));
    }
    if spec.balloon {
        args.device(setup, json!({"driver": "virtio-balloon-pci", "id": "x.balloon"}));
    }
    if spec.panic_notifier {
        let driver = match spec.chipset {
            Chipset::Modern if (setup.has)("pvpanic-pci") => "pvpanic-pci",
            _ => "pvpanic",
        };
        args.device(setup, json!({"driver": driver, "id": "x.panic"}));
    }
    if let Some(id) = setup.generation_id {
        args.device(setup, json!({"driver": "vmgenid", "id": "x.generation", "guid": id}));
    }
    if let Some(watchdog) = spec.watchdog {
        let action = match watchdog.action {
            WatchdogAction::Reset => "reset",
            WatchdogAction::PowerOff => "poweroff",
            WatchdogAction::Pause => "pause",
            WatchdogAction::Nothing => "none",
        };
        args.two("-action", format!("watchdog={action}"));
        args.device(setup, json!({"driver": "i6300esb", "id": "x.watchdog"}));
    }
    if let (Some(version), Some(fd)) = (spec.tpm, setup.tpm) {
        // The command-response buffer came with TPM 2.0 (TCG PC Client Platform TPM Profile); the FIFO has no bus of its own
        // but LPC, and a chipset of before has no other.
        let driver = match (version, spec.chipset) {
            (TpmVersion::V2_0, Chipset::Modern) => "tpm-crb",
            _ => "tpm-tis",
        };
        args.two("-chardev", format!("socket,id=x.tpmctl,fd={fd}"));
        args.two("-tpmdev", "emulator,id=x.tpmdev,chardev=x.tpmctl");
        args.device(setup, json!({"driver": driver, "id": "x.tpm", "tpmdev": "x.tpmdev"}));
    }
    let mut serial = 0;
    if spec.channels.iter().any(|channel| channel.kind == ChannelKind::Virtio) {
        args.device(setup, json!({"driver": "virtio-serial-pci", "id": "x.vserial"}));
    }
    for (channel, fd) in spec.channels.iter().zip(setup.channels) {
        let chardev = format!("c.{}", channel.name);
        args.two("-chardev", format!("socket,id={chardev},fd={fd}"));
        let id = format!("x.port.{}", channel.name);
        match channel.kind {
            ChannelKind::Serial if serial == 4 => {
                return Err(unsupported("a fifth serial port", "a PC has four at most"));
            }
            ChannelKind::Serial => {
                args.device(
                    setup,
                    json!({"driver": "isa-serial", "id": id, "chardev": chardev, "index": serial}),
                );
                serial += 1;
            }
            ChannelKind::Virtio => args.device(
                setup,
                json!({
                    "driver": "virtserialport", "id": id, "bus": "x.vserial.0", "chardev": chardev,
                    "name": channel.name,
                }),
            ),
        }
    }
    Ok(())
}

/// The boot index of a device: its place in the order.
fn boot_index(spec: &MachineSpec, id: &str) -> Option<usize> {
    match &spec.boot {
        Boot::Devices { order } => order.iter().position(|other| other == id),
        _ => None,
    }
}

/// Disks and their block nodes.
pub(crate) fn disks(setup: &Setup<'_>, args: &mut Arguments) -> Result<(), HostError> {
    let spec = setup.spec;
    let mut sata = 0;
    let mut ide = 0;
    for (plan, handed) in setup.disks {
        let Disk { id, bus, role, .. } = &plan.disk;
        let plugged = setup.plugged.iter().any(|plugged| plugged.id() == id);
        let defined = spec.disk(id).is_some() && !setup.removed.contains(id);
        if !plugged && !defined {
            // Removed while the machine ran; its images are kept to be looked at.
            continue;
        }
        for node in plan.nodes(handed) {
            args.two("-blockdev", node.to_string());
        }
        if plugged {
            continue;
        }
        let mut device = plan.device()?;
        let place: Option<(String, Option<u32>)> = match (bus, spec.chipset) {
            (Bus::Virtio | Bus::Nvme, _) => None,
            (Bus::VirtioScsi, _) => Some(("x.scsi.0".into(), None)),
            (Bus::Usb, _) => Some(("x.usb.0".into(), None)),
            (Bus::Sata, chipset) => {
                sata += 1;
                if sata > 6 {
                    return Err(unsupported("a seventh SATA disk", "the controller has six ports"));
                }
                let controller = if chipset == Chipset::Modern { "ide" } else { "x.ahci" };
                Some((format!("{controller}.{}", sata - 1), None))
            }
            (Bus::Ide, Chipset::Legacy) => {
                ide += 1;
                if ide > 4 {
                    return Err(unsupported(
                        "a fifth IDE disk",
                        "the chipset has two channels of two",
                    ));
                }
                Some((format!("ide.{}", (ide - 1) / 2), Some((ide - 1) % 2)))
            }
            (Bus::Ide, Chipset::Modern) => {
                return Err(unsupported(
                    format!("the IDE disk {id}"),
                    "the modern chipset (Q35) has SATA instead; use the legacy one, or sata",
                ));
            }
            (Bus::Floppy, Chipset::Modern) => Some(("x.fdc.0".into(), None)),
            (Bus::Floppy, Chipset::Legacy) => None,
        };
        if let Some((bus, unit)) = place {
            device.insert("bus".into(), json!(bus));
            if let Some(unit) = unit {
                device.insert("unit".into(), json!(unit));
            }
        }
        if let Some(index) = boot_index(spec, id) {
            device.insert("bootindex".into(), json!(index));
        }
        if *bus == Bus::Usb && *role != DiskRole::Cdrom {
            device.insert("removable".into(), json!(true));
        }
        args.device(setup, Value::Object(device));
    }
    Ok(())
}

/// Network interfaces and what they are connected to.
pub(crate) fn nics(setup: &Setup<'_>, args: &mut Arguments) -> Result<(), HostError> {
    let plugged = setup.plugged.iter().filter_map(|plugged| match plugged {
        Plugged::Nic { nic, .. } => Some((nic, true)),
        _ => None,
    });
    let defined = setup.spec.nics.iter().map(|nic| (nic, false));
    let defined = defined.filter(|(nic, _)| !setup.removed.contains(&nic.id));
    for (n, (nic, plugged)) in defined.chain(plugged).enumerate() {
        let id = format!("n.{}", nic.id);
        let cable = setup.cables.iter().find(|(name, _)| *name == nic.id);
        match (&nic.network, cable) {
            (Network::Harness, Some((_, fd))) => {
                args.two("-netdev", format!("socket,id={id},fd={fd}"))
            }
            // A hub with one port: frames into it go nowhere.
            _ => args.two("-netdev", format!("hubport,id={id},hubid={n}")),
        }
        if plugged {
            continue;
        }
        let mut device = nic_device(nic)?;
        match boot_index(setup.spec, &nic.id) {
            Some(index) => device.insert("bootindex".into(), json!(index)),
            // No boot ROM where it is not to boot.
            None => device.insert("romfile".into(), json!("")),
        };
        args.device(setup, Value::Object(device));
    }
    Ok(())
}
