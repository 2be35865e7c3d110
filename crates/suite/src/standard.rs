//! The standard machine: the devices that the checks count on, as far as guest and host have them.

use hospitium_guest::Guest;
use hospitium_host::Host;
use hospitium_model::{
    Boot, Bus, ByteSize, Capability, Channel, ChannelKind, Chipset, CpuTopology, CrashAction, Disk,
    DiskRole, Firmware, GuestKind, MachineRow, MachineSpec, Memory, Network, Nic, NicModel, Smbios,
    TpmVersion, Watchdog, WatchdogAction,
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
    /// A TPM.
    pub tpm: Option<TpmVersion>,
    /// NUMA nodes.
    pub nodes: u32,
    /// Chipset generation.
    pub chipset: Chipset,
    /// Machine type by the hypervisor's own name; none for its newest of the chipset.
    pub machine_type: Option<String>,
    /// CPU model by the hypervisor's own name; none for all that the host's CPUs can do.
    pub cpu_model: Option<String>,
    /// Bus of the disks; none to take the best that the guest drives.
    pub disk: Option<Bus>,
    /// Network adapter; none to take the best that the guest drives.
    pub nic: Option<NicModel>,
    /// How the guest sees the probe's channel; none to take the best that it drives.
    pub channel: Option<ChannelKind>,
}

impl From<MachineRow> for StandardOptions {
    /// The machine of a row, all of it chosen but what is a hypervisor's own.
    fn from(row: MachineRow) -> Self {
        Self {
            memory: row.memory,
            vcpus: row.vcpus,
            firmware: row.firmware,
            nodes: if row.nodes > 1 { row.nodes } else { 0 },
            chipset: row.chipset,
            machine_type: None,
            cpu_model: None,
            tpm: None,
            disk: Some(row.disk),
            nic: Some(row.nic),
            channel: Some(row.channel),
        }
    }
}

impl Default for StandardOptions {
    fn default() -> Self {
        Self {
            memory: ByteSize::mib(512),
            vcpus: 2,
            firmware: Firmware::Bios,
            nodes: 0,
            chipset: Chipset::Modern,
            machine_type: None,
            cpu_model: None,
            tpm: None,
            disk: None,
            nic: None,
            channel: None,
        }
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
    let can = |what| host.offers(what).is_yes();
    let mut spec = MachineSpec::new(options.memory, Boot::Nothing);
    spec.firmware = options.firmware;
    spec.chipset = options.chipset;
    // What an alias means changes with the hypervisor; the name does not.
    let lasting = |name: &String| match host.choices().ok().and_then(|all| all.machine_type(name)) {
        Some(choice) => choice.name.clone(),
        None => name.clone(),
    };
    spec.machine_type = options.machine_type.as_ref().map(lasting);
    spec.cpu_model.clone_from(&options.cpu_model);
    spec.tpm = options.tpm;
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
    let usual = if has("virtio") { Bus::Virtio } else { own_bus(options.chipset) };
    let bus = options.disk.unwrap_or(usual);
    let scratch = Disk {
        power_loss_log: can(Capability::PowerLossLog),
        ..disk(device::SCRATCH, bus, ByteSize::mib(64))
    };
    // No two disks have one size: kernels that show no serial number tell them apart by it.
    let cramped =
        Disk { room: Some(ByteSize::mib(8)), ..disk(device::CRAMPED, bus, ByteSize::mib(48)) };
    // ATA knows no write-protected disk: on another bus then, or there is none.
    let paravirtual = [(Bus::Virtio, "virtio"), (Bus::VirtioScsi, "virtio-scsi")];
    let paravirtual =
        || paravirtual.into_iter().find(|(_, driver)| has(driver)).map(|(bus, _)| bus);
    let sealed = match bus {
        Bus::Sata | Bus::Ide | Bus::Floppy => paravirtual(),
        other => Some(other),
    };
    let sealed =
        sealed.map(|bus| Disk { read_only: true, ..disk(device::SEALED, bus, ByteSize::mib(16)) });
    let mut cdrom = disk(device::CDROM, own_bus(options.chipset), ByteSize::default());
    cdrom.role = DiskRole::Cdrom;
    spec.disks =
        [Some(scratch), Some(cramped), sealed, Some(cdrom)].into_iter().flatten().collect();
    // Where a bus is chosen, the system's own disk is on it; its image comes in by the guest.
    if guest.facts().kind == GuestKind::Disk
        && let Some(bus) = options.disk
    {
        let system = Disk {
            role: DiskRole::System,
            serial: SYSTEM.into(),
            ..disk(SYSTEM, bus, ByteSize::default())
        };
        spec.disks.insert(0, system);
    }
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
    let usual = || model.into_iter().find(|(_, driver)| has(driver)).map(|(model, _)| model);
    if let Some(model) = options.nic.or_else(usual) {
        spec.nics.push(Nic {
            id: device::NIC.into(),
            model,
            mac: "52:54:00:48:4f:53".into(),
            network: Network::Harness,
            queues: 0,
        });
    }
    let usual = if has("virtio-console") { ChannelKind::Virtio } else { ChannelKind::Serial };
    let kind = options.channel.unwrap_or(usual);
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
    spec.hotplug_slots = match options.chipset {
        Chipset::Modern => 4,
        Chipset::Legacy => 0,
    };
    spec
}

/// Id of a system's own disk.
const SYSTEM: &str = "system";

/// The bus of the chipset's own disk controller.
const fn own_bus(chipset: Chipset) -> Bus {
    match chipset {
        Chipset::Modern => Bus::Sata,
        Chipset::Legacy => Bus::Ide,
    }
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
        room: None,
    }
}

/// The serial number that a disk of this id has.
pub fn serial(id: &str) -> String {
    format!("HOSP-{}", id.to_ascii_uppercase())
}
