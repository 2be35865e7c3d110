//! Identity: what the guest is told about the machine, and what it finds there.

use hospitium_host::{SeenDevice, SeenSmbios, alter};
use hospitium_model::{
    Capability, Finding, GuestKind, HostSource, Inability, Inside, Observations, Outside, Value,
};
use hospitium_system::{DriverLoad, PciFunction, SmbiosSystem, System};

use crate::fault::SeamFault;
use crate::{Cell, Check, CheckError, Fault, Need, SightKind, check};

/// All of this file.
pub const CHECKS: &[&Check] =
    &[&SMBIOS, &HYPERVISOR_SIG, &OS_REPORTED, &PCI_INVENTORY, &DRIVER_VERSIONS, &GENERATION_ID];

check! {
    /// The guest reads in its SMBIOS tables what the machine's firmware was given, and that is what is configured.
    pub SMBIOS = "ident.smbios", tier: Reads,
        needs: [Need::Sight(SightKind::Uuid)],
        fault: Fault::Guest("smbios", |_, told| told["serial"] = "another".into());
    async fn smbios(cell) {
        let configured = cell.spec().smbios.clone();
        let guest = cell.system().smbios().await?;
        let look = cell.look().await?;
        let part = |of: fn(SmbiosSystem) -> String| guest.clone().map(of);
        let mut seen = Observations::new();
        let (manufacturer, product, serial) = (part(|s| s.manufacturer), part(|s| s.product), part(|s| s.serial));
        match look.smbios {
            Ok(host) => {
                let given = |value: &str| host.source.saw(value.to_owned());
                let SeenSmbios { manufacturer: m, product: p, serial: s } = &host.value;
                seen.push(Finding::same_as("system manufacturer", manufacturer, given(m), configured.manufacturer));
                seen.push(Finding::same_as("product name", product, given(p), configured.product));
                seen.push(Finding::same_as("serial number", serial, given(s), configured.serial));
            }
            Err(unseen) => {
                let unseen = cell.never_shown(SightKind::Smbios, unseen)?;
                seen.push(Finding::guest_is("system manufacturer", manufacturer, configured.manufacturer));
                seen.push(Finding::guest_is("product name", product, configured.product));
                seen.push(Finding::guest_is("serial number", serial, configured.serial));
                seen.note(format!("strings by the guest's account alone: {unseen}"));
            }
        }
        // QEMU's firmware tables name the machine type as the product's version (hw/i386/fw_cfg.c, fw_cfg_build_smbios).
        match look.machine_type {
            Ok(host) => {
                let guest = part(|s| s.version);
                seen.push(match cell.spec().machine_type.clone() {
                    Some(named) => Finding::same_as("machine type", guest, host, named),
                    None => Finding::same("machine type", guest, host),
                });
            }
            Err(unseen) => seen.note(format!("no second witness of the machine type: {unseen}")),
        }
        let uuid = configured.uuid.to_ascii_lowercase();
        let host = look.uuid?.map(|uuid| uuid.to_ascii_lowercase());
        seen.push(Finding::same_as("UUID", part(|s| s.uuid), host, uuid));
        Ok(seen)
    }
}

/// The twelve characters that CPUID leaf 0x40000000 gives, trailing NULs cut off.
pub async fn hypervisor_signature(system: &dyn System) -> Result<Inside<String>, CheckError> {
    let words = system.cpuid(0, 0x4000_0000, 0).await?;
    Ok(words.map(|words| {
        let bytes = [words.ebx, words.ecx, words.edx].map(u32::to_le_bytes).concat();
        let text: String = bytes.iter().take_while(|b| **b != 0).map(|b| char::from(*b)).collect();
        text.escape_default().to_string()
    }))
}

/// The name of the CPU that CPUID leaves 0x80000002 to 0x80000004 give (AMD64 APM vol. 3, E.4.2; Intel SDM vol. 2,
/// "CPUID"); empty if there are no such leaves.
async fn cpu_name(system: &dyn System) -> Result<Inside<String>, CheckError> {
    let highest = system.cpuid(0, 0x8000_0000, 0).await?;
    let mut bytes = Vec::new();
    for leaf in 0x8000_0002..=highest.value.eax.min(0x8000_0004) {
        let words = system.cpuid(0, leaf, 0).await?.value;
        bytes.extend([words.eax, words.ebx, words.ecx, words.edx].map(u32::to_le_bytes).concat());
    }
    let name: String = bytes.iter().take_while(|b| **b != 0).map(|b| char::from(*b)).collect();
    Ok(highest.map(|_| name.trim().escape_default().to_string()))
}

check! {
    /// The guest sees, by CPUID, the CPU and the hypervisor that it runs on.
    pub HYPERVISOR_SIG = "ident.hypervisor-sig", tier: Reads,
        needs: [Need::Sight(SightKind::Accelerator)],
        fault: Fault::Guest("cpuid", |asked, told| {
            if asked["leaf"] == 0x4000_0000 {
                told["ebx"] = 0x4D56_4D56.into();
            }
        });
    async fn hypervisor_sig(cell) {
        let present = cell.system().cpuid(0, 1, 0).await?.map(|words| words.ecx >> 31 == 1);
        let signature = hypervisor_signature(cell.system()).await?;
        let expected = cell.expect("signature")?;
        let look = cell.look().await?;
        let used = look.accelerator?.map(|used| used.name());
        let measured = cell.lab().host().facts().accelerator.used;
        let mut seen = Observations::of([
            Finding::guest_is("hypervisor bit of CPUID leaf 1", present, true),
            Finding::each("signature, and accelerator in use", signature, expected, used, measured.name()),
        ]);
        match look.cpu_model {
            Ok(host) => {
                let host = host.map(|name| name.trim().escape_default().to_string());
                seen.push(Finding::same("name of the CPU", cpu_name(cell.system()).await?, host));
            }
            Err(unseen) => seen.note(format!("no second witness of the CPU's name: {unseen}")),
        }
        match (look.cpu_type, cell.spec().cpu_model.clone()) {
            (Ok(host), Some(named)) => seen.push(Finding::host_is("CPU model", host, named)),
            (Ok(host), None) => seen.push(Finding::recorded("CPU model").outside(host)),
            (Err(unseen), _) => seen.note(format!("the CPU model is unseen: {unseen}")),
        }
        Ok(seen)
    }
}

check! {
    /// The guest reports the operating system that it was declared to be, and its image or its console the same.
    pub OS_REPORTED = "ident.os-reported", tier: Reads, needs: [Need::DeclaredVersion],
        fault: Fault::Guest("version", |_, told| *told = "0".into());
    async fn os_reported(cell) {
        let facts = cell.lab().guest().facts().clone();
        let version = cell.system().version().await?;
        let name = cell.system().name().await?;
        let console = &cell.lab().boot_facts().console;
        let shown = console.iter().find_map(|line| name.value.in_line(line).map(str::to_owned));
        let mut seen = Observations::of([match facts.kind {
            // What a kernel guest was declared to be was read in the image of its kernel.
            GuestKind::Kernel => {
                let image = HostSource::Files.saw(facts.version);
                Finding::same("version, and that in the kernel's image", version, image)
            }
            GuestKind::Disk => Finding::guest_is("version", version, facts.version),
        }]);
        match shown {
            Some(shown) => {
                let inside = name.map(|name| name.name);
                let shown = HostSource::Wire.saw(shown);
                seen.push(Finding::same("what it calls itself, inside and on its console", inside, shown));
                Ok(seen)
            }
            None => {
                let why = "the console showed no name of the system as it started";
                Ok(match facts.kind {
                    GuestKind::Kernel => seen,
                    GuestKind::Disk => seen.only_one_witness(why),
                })
            }
        }
    }
}

/// A function as either side sees it.
pub fn id(vendor: u16, device: u16, class: u16) -> String {
    format!("{vendor:04x}:{device:04x} class {class:04x}")
}

pub fn ids_of_host<'a>(devices: impl Iterator<Item = &'a SeenDevice>) -> Vec<String> {
    let mut all: Vec<String> = devices.map(|d| id(d.vendor, d.device, d.class)).collect();
    all.sort();
    all
}

pub fn ids_of_guest<'a>(functions: impl Iterator<Item = &'a PciFunction>) -> Vec<String> {
    let mut all: Vec<String> = functions.map(|f| id(f.vendor, f.device, f.class)).collect();
    all.sort();
    all
}

check! {
    /// The guest finds every PCI device that the host has put there, and no other.
    pub PCI_INVENTORY = "ident.pci-inventory", tier: Reads,
        needs: [Need::Sight(SightKind::Devices)],
        fault: Fault::Seam(SeamFault::Look(|look| alter(&mut look.devices, |all| drop(all.pop()))));
    async fn pci_inventory(cell) {
        let guest = cell.system().pci().await?;
        let host = cell.look().await?.devices?;
        let unbound = guest.as_ref().map(|all| {
            let unbound = all.iter().filter(|f| f.bound.is_none());
            unbound.map(|f| format!("{} {}", f.address, id(f.vendor, f.device, f.class))).collect::<Value>()
        });
        Ok(Observations::of([
            Finding::same("functions by id", guest.map(|all| ids_of_guest(all.iter())), host.map(|all| ids_of_host(all.iter()))),
            Finding::recorded("functions without a driver").inside(unbound),
        ]))
    }
}

/// PCI vendor of virtio devices (VIRTIO 1.2, 4.1.2).
pub const VIRTIO: u16 = 0x1AF4;

/// The driver of a virtio device, by its name in `guests/linux-modules.toml`: from its PCI id, transitional or not
/// (VIRTIO 1.2, 4.1.2.1 and 5).
const fn virtio_driver(device: u16) -> Option<&'static str> {
    Some(match device {
        0x1000 | 0x1041 => "virtio-net",
        0x1001 | 0x1042 => "virtio",
        0x1002 | 0x1045 => "balloon",
        0x1003 | 0x1043 => "virtio-console",
        0x1004 | 0x1048 => "virtio-scsi",
        0x1005 | 0x1044 => "rng",
        _ => return None,
    })
}

/// The machine's paravirtual functions, as far as the guest was given drivers for them.
pub struct Paravirtual {
    /// Those that the host has.
    pub host: Outside<Vec<SeenDevice>>,
    /// Device ids that the guest was given no driver for.
    without: Vec<u16>,
    /// What the reader is told of those.
    pub notes: Vec<String>,
}

impl Paravirtual {
    /// Asks the host, and why the guest drives what it does not.
    ///
    /// # Errors
    /// A skip if there is none that the guest could drive.
    pub async fn of(cell: &Cell, functions: &[PciFunction]) -> Result<Self, CheckError> {
        let devices = cell.look().await?.devices?;
        let source = devices.source;
        let driven = |id: u16| {
            functions.iter().any(|f| f.vendor == VIRTIO && f.device == id && f.driver.is_some())
        };
        let (mut with, mut without, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        for device in devices.value.into_iter().filter(|device| device.vendor == VIRTIO) {
            let load = match virtio_driver(device.device) {
                Some(driver) if !driven(device.device) => cell.system().load_driver(driver).await?,
                _ => DriverLoad::Unmanaged,
            };
            if load == DriverLoad::Absent {
                without.push(device.device);
                let id = id(device.vendor, device.device, device.class);
                notes.push(format!("{id}: no driver is built in, and none was given as a module"));
            } else {
                with.push(device);
            }
        }
        if with.is_empty() {
            return Err(match &notes[..] {
                [] => {
                    let what = "the hypervisor's list of PCI devices";
                    CheckError::unreadable(what, "none of them is paravirtual")
                }
                _ => Inability::of_guest(notes.join("; ")).into(),
            });
        }
        Ok(Self { host: source.saw(with), without, notes })
    }

    /// True if it is one of those.
    pub fn holds(&self, function: &PciFunction) -> bool {
        function.vendor == VIRTIO && !self.without.contains(&function.device)
    }
}

check! {
    /// Each paravirtual device is driven by the driver of its kind, whose name and version are written down.
    pub DRIVER_VERSIONS = "ident.driver-versions", tier: Reads,
        needs: [Need::Sight(SightKind::Devices), Need::Paravirtual],
        fault: Fault::Guest("pci", |_, told| {
            // Bound to their transport alone.
            for function in told.as_array_mut().into_iter().flatten() {
                function["driver"] = serde_json::Value::Null;
            }
        });
    async fn driver_versions(cell) {
        let guest = cell.system().pci().await?;
        let paravirtual = Paravirtual::of(cell, &guest.value).await?;
        let drivers = guest.as_ref().map(|all| {
            let drivers = all.iter().filter_map(|f| {
                let driver = f.driver.as_deref()?;
                let version = f.version.as_deref().unwrap_or("of the system itself");
                Some(format!("{} {driver} ({version})", f.address))
            });
            drivers.collect::<Value>()
        });
        let driven = guest.map(|all| {
            ids_of_guest(all.iter().filter(|&f| paravirtual.holds(f) && f.driver.is_some()))
        });
        let host = paravirtual.host.map(|all| ids_of_host(all.iter()));
        let mut seen = Observations::of([
            Finding::same("paravirtual functions that a driver of their kind drives", driven, host),
            Finding::recorded("drivers").inside(drivers),
        ]);
        paravirtual.notes.into_iter().for_each(|note| seen.note(note));
        Ok(seen)
    }
}

check! {
    /// The guest reads, where its firmware tables say, the VM generation id that the hypervisor has set; each clone
    /// has another.
    pub GENERATION_ID = "ident.generation-id", tier: Disruptive,
        needs: [
            Need::GenerationId,
            Need::Host(Capability::GenerationId),
            Need::Clones,
            Need::Sight(SightKind::GenerationId),
        ],
        fault: Fault::StaleClone;
    async fn generation_id(cell) {
        let (guest, host) = ids_of(cell).await?;
        let other = cell.another_clone().await?;
        let ids = ids_of(&other).await;
        other.finish().await?;
        let (other_guest, other_host) = ids?;
        let differ = (
            guest.as_ref().map(|id| *id != other_guest.value),
            host.as_ref().map(|id| *id != other_host.value),
        );
        Ok(Observations::of([
            Finding::same("id of a clone", guest, host),
            Finding::same("id of another", other_guest, other_host),
            Finding::same_as("they differ", differ.0, differ.1, true),
        ]))
    }
}

/// The generation id of a machine as its guest reads it and as the hypervisor has it.
async fn ids_of(cell: &Cell) -> Result<(Inside<String>, Outside<String>), CheckError> {
    let guest = cell.system().generation_id().await?;
    let guest = guest.map(|id| id.unwrap_or_else(|| "no such device".into()).to_ascii_lowercase());
    let host = cell.look().await?.generation_id?.map(|id| id.to_ascii_lowercase());
    Ok((guest, host))
}
