//! A machine's specification as QEMU's command line. Pure: everything opened or made is given.
//!
//! Ids of our own contain a dot, which ids in a specification can't, so the two never meet.

use hospitium_model::{
    Accelerator, Boot, Bus, ChannelKind, Chipset, CrashAction, Disk, DiskRole, Firmware,
    MachineSpec, Network, Nic, NicModel, WatchdogAction,
};
use serde_json::{Map, Value, json};

use super::attach::Plugged;
use super::disks::DiskPlan;
use crate::HostError;

/// What has been opened or made for the machine, and how it comes into being.
pub(super) struct Setup<'a> {
    pub spec: &'a MachineSpec,
    pub name: &'a str,
    pub accelerator: Accelerator,
    /// Device types that this QEMU has.
    pub has: &'a dyn Fn(&str) -> bool,
    /// Disks with the descriptor sets of their layers.
    pub disks: &'a [(DiskPlan, Vec<u32>)],
    /// Descriptors that go into sets.
    pub sets: &'a [(i32, u32)],
    /// Descriptor of the control connection.
    pub qmp: i32,
    /// Descriptors of the channels, in the order of the specification.
    pub channels: &'a [i32],
    /// Descriptors of the cables that end in the harness, by interface.
    pub cables: &'a [(String, i32)],
    /// Kernel and initial RAM disk as the VMM can open them.
    pub kernel: Option<(String, Option<String>)>,
    /// Descriptor set of the UEFI code; its variables are in `uefi-vars.fd`.
    pub uefi: Option<u32>,
    /// Files of the memory, one a NUMA node.
    pub memory: &'a [String],
    pub memory_mapping: Mapping,
    /// VM generation id of this very machine.
    pub generation_id: Option<&'a str>,
    /// Whether its state comes in from elsewhere.
    pub incoming: bool,
    /// Devices that were plugged in before its state was taken.
    pub plugged: &'a [Plugged],
    /// Ids of devices that were removed before.
    pub removed: &'a [String],
}

/// How the memory's file is mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mapping {
    /// Writes go to the file.
    Shared,
    /// Writes stay in the process. `read_only` opens the file so, where QEMU can.
    Private {
        /// Whether this QEMU can map a file privately that it opened for reading only.
        read_only: bool,
    },
}

/// Name of the n-th free slot for hot plug.
pub(super) fn slot_name(n: u32) -> String {
    format!("x.slot{n}")
}

/// The disk controller that a bus needs beyond the chipset, and its device.
pub(super) fn controller(bus: Bus, chipset: Chipset) -> Option<Value> {
    Some(match (bus, chipset) {
        (Bus::VirtioScsi, _) => json!({"driver": "virtio-scsi-pci", "id": "x.scsi"}),
        (Bus::Usb, Chipset::Modern) => json!({"driver": "qemu-xhci", "id": "x.usb"}),
        (Bus::Usb, Chipset::Legacy) => json!({"driver": "usb-ehci", "id": "x.usb"}),
        (Bus::Sata, Chipset::Legacy) => json!({"driver": "ich9-ahci", "id": "x.ahci"}),
        (Bus::Floppy, Chipset::Modern) => json!({"driver": "isa-fdc", "id": "x.fdc"}),
        _ => return None,
    })
}

/// Text in an option that is not JSON: a comma is written twice.
fn plain(text: &str) -> String {
    text.replace(',', ",,")
}

fn unsupported(what: impl Into<String>, why: impl Into<String>) -> HostError {
    HostError::Unsupported {
        what: what.into(),
        why: why.into(),
    }
}

/// The network interface, without its place on a bus.
pub(super) fn nic_device(nic: &Nic) -> Result<Map<String, Value>, HostError> {
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

/// The arguments after the program's own.
pub(super) fn arguments(setup: &Setup<'_>) -> Result<Vec<String>, HostError> {
    let mut args = Arguments(Vec::new());
    base(setup, &mut args);
    memory(setup, &mut args);
    firmware_and_boot(setup, &mut args);
    platform_devices(setup, &mut args)?;
    disks(setup, &mut args)?;
    nics(setup, &mut args)?;
    for plugged in setup.plugged {
        if let Plugged::Other {
            object: Some(object),
            ..
        } = plugged
        {
            args.two("-object", object.to_string());
        }
        for device in plugged.devices() {
            args.two("-device", device.to_string());
        }
    }
    if setup.incoming {
        args.two("-incoming", "defer");
    }
    Ok(args.0)
}

struct Arguments(Vec<String>);

impl Arguments {
    fn one(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    fn two(&mut self, name: &str, value: impl Into<String>) {
        self.0.extend([name.to_owned(), value.into()]);
    }

    /// A device, unless it was removed before the state was taken.
    fn device(&mut self, setup: &Setup<'_>, device: Value) {
        let id = device.get("id").and_then(Value::as_str).unwrap_or_default();
        if !setup.removed.iter().any(|removed| removed == id) {
            self.two("-device", device.to_string());
        }
    }
}

fn base(setup: &Setup<'_>, args: &mut Arguments) {
    let spec = setup.spec;
    args.two("-name", format!("{},debug-threads=on", plain(setup.name)));
    args.one("-nodefaults");
    args.one("-no-user-config");
    args.one("-S");
    args.two(
        "-sandbox",
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
    );
    args.two("-msg", "timestamp=on");
    args.two("-display", "none");
    for (fd, set) in setup.sets {
        args.two("-add-fd", format!("fd={fd},set={set}"));
    }
    args.two("-chardev", format!("socket,id=x.qmp,fd={}", setup.qmp));
    args.two("-mon", "chardev=x.qmp,mode=control");
    let kind = match spec.chipset {
        Chipset::Modern => "q35",
        Chipset::Legacy => "pc",
    };
    let mut machine = format!("{kind},usb=off,vmport=off,dump-guest-core=off");
    if spec.memory.nodes <= 1 {
        machine += ",memory-backend=x.ram0";
    }
    if setup.uefi.is_some() {
        machine += ",pflash0=x.code,pflash1=x.vars";
    }
    args.two("-machine", machine);
    match setup.accelerator {
        Accelerator::Kvm => {
            args.two("-accel", "kvm");
            args.two("-cpu", "host");
        }
        _ => {
            args.two("-accel", "tcg,thread=multi");
            args.two("-cpu", "max");
        }
    }
    let cpus = &spec.cpus;
    args.two(
        "-smp",
        format!(
            "cpus={},sockets={},cores={},threads={},maxcpus={}",
            cpus.count(),
            cpus.max_sockets.max(cpus.sockets),
            cpus.cores,
            cpus.threads,
            cpus.max_count()
        ),
    );
    args.two("-rtc", "base=utc,clock=host");
    let panic = match spec.on_crash {
        CrashAction::PowerOff => "shutdown",
        // QEMU has no such action: the driver presses reset when it sees the crash.
        CrashAction::Reset | CrashAction::Pause => "pause",
    };
    args.two("-action", format!("panic={panic}"));
    let smbios = &spec.smbios;
    let mut strings = String::new();
    for (key, value) in [
        ("manufacturer", &smbios.manufacturer),
        ("product", &smbios.product),
        ("serial", &smbios.serial),
    ] {
        if !value.is_empty() {
            strings += &format!(",{key}={}", plain(value));
        }
    }
    if !strings.is_empty() {
        args.two("-smbios", format!("type=1{strings}"));
    }
    if !smbios.uuid.is_empty() {
        args.two("-uuid", &*smbios.uuid);
    }
}

fn memory(setup: &Setup<'_>, args: &mut Arguments) {
    let memory = &setup.spec.memory;
    let nodes = setup.memory.len() as u64;
    let mut options = format!("size={}M", memory.size.as_mib());
    if memory.max > memory.size {
        options += &format!(",slots=8,maxmem={}M", memory.max.as_mib());
    }
    args.two("-m", options);
    for (n, (path, size)) in setup
        .memory
        .iter()
        .zip(node_sizes(memory.size.as_mib(), nodes))
        .enumerate()
    {
        let mut object = json!({
            "qom-type": "memory-backend-file", "id": format!("x.ram{n}"),
            "mem-path": path, "size": size << 20,
        });
        match setup.memory_mapping {
            Mapping::Shared => object["share"] = json!(true),
            Mapping::Private { read_only } => {
                object["share"] = json!(false);
                object["reserve"] = json!(false);
                if read_only {
                    object["readonly"] = json!(true);
                    object["rom"] = json!("off");
                }
            }
        }
        args.two("-object", object.to_string());
    }
    if nodes > 1 {
        for n in 0..nodes {
            args.two("-numa", format!("node,nodeid={n},memdev=x.ram{n}"));
        }
        let sockets = u64::from(setup.spec.cpus.max_sockets.max(setup.spec.cpus.sockets));
        for socket in 0..sockets {
            args.two(
                "-numa",
                format!(
                    "cpu,node-id={},socket-id={socket}",
                    socket * nodes / sockets
                ),
            );
        }
    }
}

/// MiB of each NUMA node: even, the rest to the first.
pub(super) fn node_sizes(mib: u64, nodes: u64) -> impl Iterator<Item = u64> {
    let nodes = nodes.max(1);
    (0..nodes).map(move |n| mib / nodes + if n == 0 { mib % nodes } else { 0 })
}

fn firmware_and_boot(setup: &Setup<'_>, args: &mut Arguments) {
    if let Some(set) = setup.uefi {
        args.two(
            "-blockdev",
            json!({"driver": "file", "node-name": "x.codefile", "read-only": true,
            "filename": format!("/dev/fdset/{set}")})
            .to_string(),
        );
        args.two(
            "-blockdev",
            json!({"driver": "raw", "node-name": "x.code", "read-only": true,
            "file": "x.codefile"})
            .to_string(),
        );
        args.two(
            "-blockdev",
            json!({"driver": "file", "node-name": "x.varsfile",
            "filename": "uefi-vars.fd", "cache": {"no-flush": true}})
            .to_string(),
        );
        args.two(
            "-blockdev",
            json!({"driver": "raw", "node-name": "x.vars", "file": "x.varsfile"}).to_string(),
        );
    }
    args.two("-boot", "strict=on,menu=off");
    if let Boot::Kernel { command_line, .. } = &setup.spec.boot
        && let Some((kernel, initrd)) = &setup.kernel
    {
        args.two("-kernel", kernel);
        if let Some(initrd) = initrd {
            args.two("-initrd", initrd);
        }
        args.two("-append", command_line);
    }
}

fn platform_devices(setup: &Setup<'_>, args: &mut Arguments) -> Result<(), HostError> {
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
        args.device(
            setup,
            json!({"driver": "usb-tablet", "id": "x.tablet", "bus": "x.usb.0"}),
        );
        args.device(
            setup,
            json!({"driver": "usb-kbd", "id": "x.keyboard", "bus": "x.usb.0"}),
        );
    }
    if spec.rng {
        args.two(
            "-object",
            json!({"qom-type": "rng-builtin", "id": "x.entropy"}).to_string(),
        );
        args.device(
            setup,
            json!({"driver": "virtio-rng-pci", "id": "x.rng", "rng": "x.entropy"}),
        );
    }
    if spec.balloon {
        args.device(
            setup,
            json!({"driver": "virtio-balloon-pci", "id": "x.balloon"}),
        );
    }
    if spec.panic_notifier {
        let driver = match spec.chipset {
            Chipset::Modern if (setup.has)("pvpanic-pci") => "pvpanic-pci",
            _ => "pvpanic",
        };
        args.device(setup, json!({"driver": driver, "id": "x.panic"}));
    }
    if let Some(id) = setup.generation_id {
        args.device(
            setup,
            json!({"driver": "vmgenid", "id": "x.generation", "guid": id}),
        );
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
    let mut serial = 0;
    if spec
        .channels
        .iter()
        .any(|channel| channel.kind == ChannelKind::Virtio)
    {
        args.device(
            setup,
            json!({"driver": "virtio-serial-pci", "id": "x.vserial"}),
        );
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

fn disks(setup: &Setup<'_>, args: &mut Arguments) -> Result<(), HostError> {
    let spec = setup.spec;
    let mut sata = 0;
    let mut ide = 0;
    for (plan, sets) in setup.disks {
        let Disk { id, bus, role, .. } = &plan.disk;
        let plugged = setup.plugged.iter().any(|plugged| plugged.id() == id);
        let defined = spec.disk(id).is_some() && !setup.removed.contains(id);
        if !plugged && !defined {
            // Removed while the machine ran; its images are kept to be looked at.
            continue;
        }
        for node in plan.nodes(sets) {
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
                    return Err(unsupported(
                        "a seventh SATA disk",
                        "the controller has six ports",
                    ));
                }
                let controller = if chipset == Chipset::Modern {
                    "ide"
                } else {
                    "x.ahci"
                };
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

fn nics(setup: &Setup<'_>, args: &mut Arguments) -> Result<(), HostError> {
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

/// True if the machine starts UEFI.
pub(super) fn is_uefi(spec: &MachineSpec) -> bool {
    spec.firmware == Firmware::Uefi
}
