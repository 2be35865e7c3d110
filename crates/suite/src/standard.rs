//! The standard machine: the devices that the checks count on, as far as guest and host have them.

use hospitium_guest::Guest;
use hospitium_host::Host;
use hospitium_model::{
    Boot, Bus, ByteSize, Capability, Channel, ChannelKind, CpuTopology, CrashAction, Disk,
    DiskRole, Firmware, MachineSpec, Memory, Network, Nic, NicModel, Smbios, Watchdog,
    WatchdogAction,
};

use crate::device;

/// What a person can choose of the standard machine.
#[derive(Debug, Clone, PartialEq)]
pub struct StandardOptions {
    /// Memory there from the start.
    pub memory: ByteSize,
    /// vCPUs there from the start, each a socket of its own.
    pub vcpus: u32,
    /// Firmware.
    pub firmware: Firmware,
    /// NUMA nodes.
    pub nodes: u32,
}

impl Default for StandardOptions {
    fn default() -> Self {
        Self { memory: ByteSize::mib(512), vcpus: 2, firmware: Firmware::Bios, nodes: 0 }
    }
}

/// Memory that can be hot-plugged: one Linux memory block on x86-64 is 128 MiB.
const HOT_MEMORY: ByteSize = ByteSize::mib(128);

/// The standard machine for this guest on this host. Boot media come in later, by the guest.
pub fn standard_machine(
    guest: &dyn Guest,
    host: &dyn Host,
    options: &StandardOptions,
) -> MachineSpec {
    let has = |device: &str| guest.driver(device).is_yes();
    let can = |what| host.capability(what).is_yes();
    let mut spec = MachineSpec::new(options.memory, Boot::Nothing);
    spec.firmware = options.firmware;
    spec.cpus = CpuTopology {
        sockets: options.vcpus,
        cores: 1,
        threads: 1,
        max_sockets: options.vcpus + u32::from(can(Capability::HotplugVcpu)),
    };
    let more = if can(Capability::HotplugMemory) { HOT_MEMORY.as_bytes() } else { 0 };
    spec.memory = Memory {
        size: options.memory,
        max: ByteSize::bytes(options.memory.as_bytes() + more),
        nodes: options.nodes,
    };
    // Paravirtual where the guest has the driver; else what systems of before 2008 have.
    let bus = if has("virtio") { Bus::Virtio } else { Bus::Sata };
    let scratch = Disk {
        power_loss_log: can(Capability::PowerLossLog),
        ..disk(device::SCRATCH, bus, ByteSize::mib(64))
    };
    let cramped =
        Disk { room: Some(ByteSize::mib(8)), ..disk(device::CRAMPED, bus, ByteSize::mib(64)) };
    let sealed = Disk { read_only: true, ..disk(device::SEALED, bus, ByteSize::mib(16)) };
    let mut cdrom = disk(device::CDROM, Bus::Sata, ByteSize::default());
    cdrom.role = DiskRole::Cdrom;
    spec.disks = vec![scratch, cramped, sealed, cdrom];
    for (bus, driver) in [(Bus::VirtioScsi, "virtio-scsi"), (Bus::Usb, "xhci")] {
        if has(driver) && can(Capability::HotplugDisk(bus)) {
            spec.controllers.push(bus);
        }
    }
    let model = [
        (NicModel::Virtio, "virtio-net"),
        (NicModel::E1000e, "e1000e"),
        (NicModel::E1000, "e1000"),
        (NicModel::Rtl8139, "rtl8139"),
    ];
    if let Some((model, _)) = model.into_iter().find(|(_, driver)| has(driver)) {
        spec.nics.push(Nic {
            id: device::NIC.into(),
            model,
            mac: "52:54:00:48:4f:53".into(),
            network: Network::Harness,
            queues: 0,
        });
    }
    let kind = if has("virtio-console") { ChannelKind::Virtio } else { ChannelKind::Serial };
    spec.channels = vec![
        Channel { name: "console".into(), kind: ChannelKind::Serial },
        Channel { name: "probe".into(), kind },
    ];
    spec.smbios = Smbios {
        manufacturer: "Hospitium".into(),
        product: "Validation machine".into(),
        serial: "HOSP-2009-0216".into(),
        uuid: "6f737069-7469-4d20-8000-484f53504954".into(),
    };
    spec.generation_id =
        can(Capability::GenerationId).then(|| "324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87".to_owned());
    spec.watchdog = can(Capability::Watchdog).then_some(Watchdog { action: WatchdogAction::Pause });
    spec.rng = can(Capability::RngDevice);
    spec.balloon = can(Capability::Balloon);
    spec.panic_notifier = can(Capability::PanicNotifier);
    spec.display = can(Capability::Screenshot);
    spec.on_crash = CrashAction::Pause;
    spec.hotplug_slots = 4;
    spec
}

/// A disk for the checks, its serial number its id in capitals, by which the guest finds it.
pub(crate) fn disk(id: &str, bus: Bus, size: ByteSize) -> Disk {
    Disk {
        id: id.into(),
        role: DiskRole::Scratch,
        bus,
        image: None,
        format: None,
        size,
        serial: serial(id),
        logical_sector: 0,
        physical_sector: 0,
        read_only: false,
        power_loss_log: false,
        ignore_flushes: false,
        room: None,
    }
}

/// The serial number that a disk of this id has.
pub fn serial(id: &str) -> String {
    format!("HOSP-{}", id.to_ascii_uppercase())
}
