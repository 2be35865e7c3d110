//! A machine's specification as a libvirt domain. Pure: everything opened or made is given.

use std::path::Path;

use hospitium_host::HostError;
use hospitium_model::{
    Accelerator, Boot, Bus, Chipset, CrashAction, MachineSpec, Network, NicModel, TpmVersion,
    WatchdogAction,
};
use hospitium_xml::Element;

use super::parts::{self, DiskParts, Layer, bus_name};
use super::tree::{Build as _, element};

/// The CPU that is emulated: all that QEMU can, but the flags by which a CPU says that its byte-wise string
/// instructions are the fast ones (ERMS and FSRM, Intel SDM vol. 1, 7.3.9.3): on an emulator they are the
/// slow ones.
const SLOW_UNDER_EMULATION: [&str; 2] = ["erms", "fsrm"];
/// Room for translated code, in MiB: see the driver for QEMU, `command`.
const TRANSLATIONS_MIB: u32 = 64;
/// Libvirt's namespace for arguments of QEMU.
const QEMU_NAMESPACE: &str = "http://libvirt.org/schemas/domain/qemu/1.0";

/// A disk with what it is made of.
pub(crate) struct MadeDisk {
    pub disk: hospitium_model::Disk,
    /// Images as the VMM finds them, the top first.
    pub layers: Vec<Layer>,
    /// Only so many bytes of the top image's file may be used.
    pub room: Option<u64>,
    /// The socket of an NBD server that has the top image, where it has.
    pub server: Option<String>,
}

/// What has been opened or made for a machine.
pub(crate) struct Setup<'a> {
    pub spec: &'a MachineSpec,
    /// Libvirt's name and UUID of it. The UUID that its guest sees is the specification's.
    pub name: &'a str,
    pub uuid: &'a str,
    /// vCPUs there from the start.
    pub vcpus: u32,
    /// Seconds that the hardware clock is ahead.
    pub clock_ahead: u64,
    pub accelerator: Accelerator,
    pub disks: &'a [MadeDisk],
    /// Sockets of the channels, in the order of the specification.
    pub sockets: &'a [String],
    /// Ports of the cables that end in the harness, by interface.
    pub ports: &'a [(String, u16)],
    /// Interfaces whose cable is dead.
    pub dead: &'a [&'a str],
    /// Kernel and initial RAM disk as the VMM finds them.
    pub kernel: Option<(&'a Path, Option<&'a Path>)>,
    /// UEFI code and variables.
    pub uefi: Option<(&'a Path, &'a Path)>,
    /// User and group of the VMM, where libvirt chooses them and is not to give files away.
    pub dac: Option<(u32, u32)>,
}

fn unsupported(what: impl Into<String>, why: impl Into<String>) -> HostError {
    HostError::Unsupported { what: what.into(), why: why.into() }
}

/// The domain.
pub(crate) fn domain(setup: &Setup<'_>) -> Result<Element, HostError> {
    let spec = setup.spec;
    let kind = if setup.accelerator == Accelerator::Kvm { "kvm" } else { "qemu" };
    let mut tree = element("domain")
        .with("type", kind)
        .with("xmlns:qemu", QEMU_NAMESPACE)
        .child(element("name").text(setup.name))
        .child(element("uuid").text(setup.uuid));
    if let Some(id) = &spec.generation_id {
        tree = tree.child(element("genid").text(id));
    }
    let mib = |name: &str, mib: u64| element(name).with("unit", "MiB").text(mib);
    if spec.memory.max > spec.memory.size {
        tree = tree.child(mib("maxMemory", spec.memory.max.as_mib()).with("slots", 8));
    }
    tree = tree
        .child(mib("memory", spec.memory.size.as_mib()))
        // A mapping of its own, so that the guest's memory can be told from the VMM's.
        .child(element("memoryBacking").child(element("source").with("type", "memfd")))
        .child(element("vcpu").with("current", setup.vcpus).text(spec.cpus.max_count()));
    let (sysinfo, any) = sysinfo(spec);
    if any {
        tree = tree.child(sysinfo);
    }
    tree = tree.child(os(setup, any)).child(features(setup)).child(cpu(setup));
    tree = tree.child(match setup.clock_ahead {
        0 => element("clock").with("offset", "utc"),
        ahead => element("clock")
            .with("offset", "variable")
            .with("adjustment", ahead)
            .with("basis", "utc"),
    });
    let crash = match spec.on_crash {
        CrashAction::Pause => "preserve",
        CrashAction::Reset => "restart",
        CrashAction::PowerOff => "destroy",
    };
    for (name, action) in
        [("on_poweroff", "destroy"), ("on_reboot", "restart"), ("on_crash", crash)]
    {
        tree = tree.child(element(name).text(action));
    }
    if let Some((user, group)) = setup.dac {
        tree = tree.child(
            element("seclabel")
                .with("type", "static")
                .with("model", "dac")
                .with("relabel", "no")
                .child(element("label").text(format!("+{user}:+{group}"))),
        );
    }
    tree = tree.child(devices(setup)?);
    if !spec.smbios.uuid.is_empty() {
        // Libvirt's own UUID must differ from machine to machine; what the guest sees is what is declared. The
        // last `-uuid` counts (QEMU softmmu/vl.c).
        let arguments = ["-uuid", &spec.smbios.uuid];
        let arguments = arguments.map(|value| element("qemu:arg").with("value", value));
        tree = tree.child(element("qemu:commandline").children(arguments));
    }
    Ok(tree)
}

fn sysinfo(spec: &MachineSpec) -> (Element, bool) {
    let smbios = &spec.smbios;
    let strings = [
        ("manufacturer", &smbios.manufacturer),
        ("product", &smbios.product),
        ("serial", &smbios.serial),
    ];
    let entries: Vec<Element> = strings
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| element("entry").with("name", name).text(value))
        .collect();
    let any = !entries.is_empty();
    let system = element("system").children(entries);
    (element("sysinfo").with("type", "smbios").child(system), any)
}

fn os(setup: &Setup<'_>, sysinfo: bool) -> Element {
    let spec = setup.spec;
    let machine = match (&spec.machine_type, spec.chipset) {
        (Some(named), _) => named,
        (None, Chipset::Modern) => "q35",
        (None, Chipset::Legacy) => "pc",
    };
    let kind = element("type").with("arch", "x86_64").with("machine", machine).text("hvm");
    let mut os = element("os").child(kind);
    if let Some((code, variables)) = setup.uefi {
        let loader = element("loader").with("readonly", "yes").with("type", "pflash");
        os =
            os.child(loader.text(code.display())).child(element("nvram").text(variables.display()));
    }
    if let (Some((kernel, initrd)), Boot::Kernel { command_line, .. }) = (setup.kernel, &spec.boot)
    {
        os = os.child(element("kernel").text(kernel.display()));
        if let Some(initrd) = initrd {
            os = os.child(element("initrd").text(initrd.display()));
        }
        os = os.child(element("cmdline").text(command_line));
    }
    if sysinfo {
        os = os.child(element("smbios").with("mode", "sysinfo"));
    }
    os
}

fn features(setup: &Setup<'_>) -> Element {
    let features = element("features")
        .child(element("acpi"))
        .child(element("apic"))
        .child(element("vmport").with("state", "off"));
    if setup.accelerator == Accelerator::Kvm {
        return features;
    }
    let room = element("tb-cache").with("unit", "MiB").text(TRANSLATIONS_MIB);
    features.child(element("tcg").child(room))
}

fn cpu(setup: &Setup<'_>) -> Element {
    let spec = setup.spec;
    let cpus = &spec.cpus;
    let sockets = cpus.max_sockets.max(cpus.sockets);
    let hardware = setup.accelerator == Accelerator::Kvm;
    let mut cpu = match &spec.cpu_model {
        // Without a check, as QEMU by itself: what it cannot emulate of a model it leaves out.
        Some(model) => element("cpu")
            .with("mode", "custom")
            .with("match", "exact")
            .with("check", "none")
            .child(element("model").with("fallback", "forbid").text(model)),
        None if hardware => element("cpu").with("mode", "host-passthrough"),
        None => element("cpu").with("mode", "maximum"),
    };
    cpu = cpu.child(
        element("topology")
            .with("sockets", sockets)
            .with("cores", cpus.cores)
            .with("threads", cpus.threads),
    );
    if !hardware && spec.cpu_model.is_none() {
        let disabled = |name| element("feature").with("policy", "disable").with("name", name);
        cpu = cpu.children(SLOW_UNDER_EMULATION.map(disabled));
    }
    // Libvirt plugs in memory only where there are nodes.
    if spec.memory.nodes > 1 || spec.memory.max > spec.memory.size {
        cpu = cpu.child(numa(spec, sockets));
    }
    cpu
}

fn numa(spec: &MachineSpec, sockets: u32) -> Element {
    let nodes = u64::from(spec.memory.nodes.max(1));
    let mib = spec.memory.size.as_mib();
    let per_socket = u64::from(spec.cpus.cores * spec.cpus.threads);
    let cells = (0..nodes).map(|node| {
        let of = |socket: &u64| socket * nodes / u64::from(sockets) == node;
        let vcpus: Vec<String> = (0..u64::from(sockets))
            .filter(of)
            .map(|socket| format!("{}-{}", socket * per_socket, (socket + 1) * per_socket - 1))
            .collect();
        let mut cell = element("cell").with("id", node);
        if !vcpus.is_empty() {
            cell = cell.with("cpus", vcpus.join(","));
        }
        let size = mib / nodes + if node == 0 { mib % nodes } else { 0 };
        cell.with("memory", size).with("unit", "MiB")
    });
    element("numa").children(cells)
}

/// The place of a device in the boot order, from 1.
fn boot_place(spec: &MachineSpec, id: &str) -> Option<usize> {
    match &spec.boot {
        Boot::Devices { order } => order.iter().position(|other| other == id).map(|n| n + 1),
        _ => None,
    }
}

/// Controllers beyond those that libvirt adds by itself.
fn controllers(setup: &Setup<'_>) -> Vec<Element> {
    let spec = setup.spec;
    let uses = |bus: Bus| {
        spec.controllers.contains(&bus) || setup.disks.iter().any(|made| made.disk.bus == bus)
    };
    let controller =
        |kind: &str, index: u32| element("controller").with("type", kind).with("index", index);
    let mut all = Vec::new();
    let usb = uses(Bus::Usb) || spec.input;
    all.push(match (usb, spec.chipset) {
        (false, _) => controller("usb", 0).with("model", "none"),
        (true, Chipset::Modern) => controller("usb", 0).with("model", "qemu-xhci"),
        (true, Chipset::Legacy) => controller("usb", 0).with("model", "ehci"),
    });
    if uses(Bus::VirtioScsi) {
        all.push(controller("scsi", 0).with("model", "virtio-scsi"));
    }
    if spec.chipset == Chipset::Modern {
        let on_slots = setup.disks.iter().filter(|made| made.disk.bus == Bus::Virtio).count()
            + spec.nics.iter().filter(|nic| is_express(nic.model)).count()
            + spec.channels.iter().any(|c| c.kind == hospitium_model::ChannelKind::Virtio) as usize
            + usize::from(uses(Bus::VirtioScsi))
            + usize::from(usb)
            + usize::from(spec.balloon)
            + usize::from(spec.rng);
        let slots = u32::try_from(on_slots).unwrap_or(u32::MAX).saturating_add(spec.hotplug_slots);
        all.push(controller("pci", 0).with("model", "pcie-root"));
        let port = |n| controller("pci", n).with("model", "pcie-root-port");
        // A root complex has no room for more.
        all.extend((1..=slots.min(64)).map(port));
    }
    all
}

/// Slots of the root complex for devices that know only PCI. Left to itself libvirt puts them behind a bridge, whose
/// hot-plug controller Linux registers for slots that ACPI has already: shpchp then says that it failed.
const PCI_NICS: u32 = 0x10;
const PCI_WATCHDOG: u32 = 0x1b;

/// A place on the root complex.
fn on_root(slot: u32) -> Element {
    element("address")
        .with("type", "pci")
        .with("domain", "0x0000")
        .with("bus", "0x00")
        .with("slot", format!("{slot:#04x}"))
        .with("function", "0x0")
}

const fn is_express(model: NicModel) -> bool {
    matches!(model, NicModel::Virtio | NicModel::E1000e | NicModel::Vmxnet3)
}

fn devices(setup: &Setup<'_>) -> Result<Element, HostError> {
    let spec = setup.spec;
    let mut devices = element("devices").children(controllers(setup));
    for disk in disks(setup)? {
        devices = devices.child(disk);
    }
    let mut on_pci = 0;
    for nic in &spec.nics {
        let port = setup.ports.iter().find(|(id, _)| *id == nic.id).map(|(_, port)| *port);
        let port = port.filter(|_| nic.network == Network::Harness);
        let up = !setup.dead.contains(&nic.id.as_str());
        let mut device = parts::nic(nic, port, up, boot_place(spec, &nic.id))?;
        if spec.chipset == Chipset::Modern && !is_express(nic.model) {
            device = device.child(on_root(PCI_NICS + on_pci));
            on_pci += 1;
        }
        devices = devices.child(device);
    }
    let mut serial = 0;
    for (channel, socket) in spec.channels.iter().zip(setup.sockets) {
        devices = devices.child(parts::channel(channel, socket, serial));
        serial += u32::from(channel.kind == hospitium_model::ChannelKind::Serial);
    }
    if serial > 4 {
        return Err(unsupported("a fifth serial port", "a PC has four at most"));
    }
    if spec.input {
        for kind in ["tablet", "keyboard"] {
            devices = devices.child(element("input").with("type", kind).with("bus", "usb"));
        }
    }
    let video = if spec.display { "vga" } else { "none" };
    devices = devices.child(element("video").child(element("model").with("type", video)));
    if let Some(watchdog) = spec.watchdog {
        let action = match watchdog.action {
            WatchdogAction::Reset => "reset",
            WatchdogAction::PowerOff => "poweroff",
            WatchdogAction::Pause => "pause",
            WatchdogAction::Nothing => "none",
        };
        let mut device = element("watchdog").with("model", "i6300esb").with("action", action);
        if spec.chipset == Chipset::Modern {
            device = device.child(on_root(PCI_WATCHDOG));
        }
        devices = devices.child(device);
    }
    if let Some(version) = spec.tpm {
        // As the driver for QEMU has it.
        let (model, version) = match (version, spec.chipset) {
            (TpmVersion::V2_0, Chipset::Modern) => ("tpm-crb", "2.0"),
            (TpmVersion::V2_0, Chipset::Legacy) => ("tpm-tis", "2.0"),
            (TpmVersion::V1_2, _) => ("tpm-tis", "1.2"),
        };
        let backend = element("backend").with("type", "emulator").with("version", version);
        devices = devices.child(element("tpm").with("model", model).child(backend));
    }
    let balloon = if spec.balloon { "virtio" } else { "none" };
    devices = devices.child(element("memballoon").with("model", balloon));
    if spec.rng {
        let backend = element("backend").with("model", "builtin");
        devices = devices.child(element("rng").with("model", "virtio").child(backend));
    }
    if spec.panic_notifier {
        devices = devices.child(element("panic").with("model", "isa"));
    }
    Ok(devices)
}

fn disks(setup: &Setup<'_>) -> Result<Vec<Element>, HostError> {
    let mut targets = Targets::default();
    let mut units = std::collections::BTreeMap::new();
    let mut all = Vec::new();
    for made in setup.disks {
        let disk = &made.disk;
        if disk.bus == Bus::Ide && setup.spec.chipset == Chipset::Modern {
            return Err(unsupported(
                format!("the IDE disk {}", disk.id),
                "the modern chipset (Q35) has SATA instead; use the legacy one, or sata",
            ));
        }
        let unit = units.entry(disk.bus).or_insert(0_u32);
        let most = match disk.bus {
            Bus::Sata => 6,
            Bus::Ide => 4,
            Bus::Floppy => 2,
            _ => u32::MAX,
        };
        if *unit >= most {
            return Err(unsupported(
                format!("the disk {}", disk.id),
                format!("a {} controller takes {most}", disk.bus.name()),
            ));
        }
        let at = matches!(disk.bus, Bus::Sata | Bus::Ide | Bus::VirtioScsi).then_some(*unit);
        *unit += 1;
        all.push(parts::disk(&DiskParts {
            disk,
            layers: &made.layers,
            room: made.room,
            server: made.server.as_deref(),
            target: &targets.next(disk.bus)?,
            unit: at,
            boot: boot_place(setup.spec, &disk.id),
        })?);
    }
    Ok(all)
}

/// Libvirt's names of disks (`vda`), each once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Targets(std::collections::BTreeMap<&'static str, u32>);

impl Targets {
    /// The next name on a bus.
    pub(crate) fn next(&mut self, bus: Bus) -> Result<String, HostError> {
        let (_, prefix) = bus_name(bus)?;
        let n = self.0.entry(prefix).or_insert(0);
        let letter = char::from_u32(u32::from(b'a') + *n).filter(char::is_ascii_lowercase);
        let letter =
            letter.ok_or_else(|| unsupported("a 27th disk of one kind", "names run out"))?;
        *n += 1;
        Ok(format!("{prefix}{letter}"))
    }
}
