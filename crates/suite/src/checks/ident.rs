//! Identity: what the guest is told about the machine, and what it finds there.

use hospitium_host::alter;
use hospitium_model::{Capability, Finding, HostSource, Inside, Observations};
use hospitium_system::{PciFunction, SmbiosSystem};

use crate::fault::SeamFault;
use crate::{Cell, Check, CheckError, Fault, Need, check};

/// Vendor id of paravirtual devices (VIRTIO 1.2, 4.1.2).
const VIRTIO: u16 = 0x1AF4;

/// All of this file.
pub const CHECKS: &[&Check] =
    &[&SMBIOS, &HYPERVISOR_SIG, &OS_REPORTED, &PCI_INVENTORY, &DRIVER_VERSIONS, &GENERATION_ID];

check! {
    /// The SMBIOS tables that the guest reads say what is configured.
    pub SMBIOS = "ident.smbios", tier: Reads, needs: [],
        fault: Fault::Guest("smbios", |_, told| told["serial"] = "another".into());
    async fn smbios(cell) {
        let guest = cell.system().smbios().await?;
        let look = cell.look().await?;
        let configured = cell.spec().smbios.clone();
        let mut seen = Observations::new();
        let text = |field: fn(&SmbiosSystem) -> &String| guest.as_ref().map(|smbios| field(smbios).clone());
        let fields = [
            ("system manufacturer", text(|s| &s.manufacturer), configured.manufacturer),
            ("product name", text(|s| &s.product), configured.product),
            ("serial number", text(|s| &s.serial), configured.serial),
        ];
        let host = |what: &str| look.smbios.as_ref().ok().map(|seen| {
            seen.as_ref().map(|smbios| match what {
                "system manufacturer" => smbios.manufacturer.clone(),
                "product name" => smbios.product.clone(),
                _ => smbios.serial.clone(),
            })
        });
        for (what, guest, expected) in fields {
            seen.push(match host(what) {
                Some(host) => Finding::same_as(what, guest, host, expected),
                None => Finding::guest_is(what, guest, expected),
            });
        }
        if let Err(unseen) = &look.smbios {
            seen.note(format!("the host's view of these texts: {unseen}"));
        }
        let uuid = look.uuid?.map(|uuid| uuid.to_ascii_lowercase());
        let configured = configured.uuid.to_ascii_lowercase();
        seen.push(Finding::same_as("UUID", text(|s| &s.uuid), uuid, configured));
        Ok(seen)
    }
}

/// The twelve characters that CPUID leaf 0x40000000 gives, trailing NULs cut off.
pub async fn hypervisor_signature(cell: &Cell) -> Result<Inside<String>, CheckError> {
    Ok(cell.system().cpuid(0, 0x4000_0000, 0).await?.map(|words| {
        let bytes = [words.ebx, words.ecx, words.edx].map(u32::to_le_bytes).concat();
        let text: String = bytes.iter().take_while(|b| **b != 0).map(|b| char::from(*b)).collect();
        text.escape_default().to_string()
    }))
}

check! {
    /// The guest sees, by CPUID, the hypervisor that it runs on.
    pub HYPERVISOR_SIG = "ident.hypervisor-sig", tier: Reads, needs: [],
        fault: Fault::Guest("cpuid", |asked, told| {
            if asked["leaf"] == 0x4000_0000 {
                told["ebx"] = 0x4D56_4D56.into();
            }
        });
    async fn hypervisor_sig(cell) {
        let present = cell.system().cpuid(0, 1, 0).await?.map(|words| words.ecx >> 31 == 1);
        let signature = hypervisor_signature(cell).await?;
        let expected = cell.expect("signature")?;
        let used = cell.look().await?.accelerator?.map(|used| used.name());
        let measured = cell.lab().host().facts().accelerator.used;
        Ok(Observations::of([
            Finding::guest_is("hypervisor bit of CPUID leaf 1", present, true),
            Finding::each("the hypervisor: its signature, and what runs the machine", signature, expected, used, measured.name()),
        ]))
    }
}

check! {
    /// The guest reports the operating system that it was declared to be.
    pub OS_REPORTED = "ident.os-reported", tier: Reads, needs: [Need::DeclaredVersion],
        fault: Fault::Guest("version", |_, told| *told = "0".into());
    async fn os_reported(cell) {
        let declared = cell.lab().guest().facts().version.clone();
        let version = cell.system().version().await?;
        let name = cell.system().name().await?;
        let lines = &cell.lab().boot_facts().console;
        let shown = lines.iter().find_map(|line| name.value.in_line(line)).unwrap_or("nothing").to_owned();
        Ok(Observations::of([
            Finding::guest_is("version", version, declared),
            Finding::same("what it calls itself, inside and on its console", name.map(|name| name.name), HostSource::Wire.saw(shown)),
        ]))
    }
}

check! {
    /// The guest finds every PCI device that the host has put there, and no other.
    pub PCI_INVENTORY = "ident.pci-inventory", tier: Reads, needs: [],
        fault: Fault::Seam(SeamFault::Look(|look| alter(&mut look.devices, |all| drop(all.pop()))));
    async fn pci_inventory(cell) {
        let functions = cell.system().pci().await?;
        let name = |vendor: u16, device: u16, class: u16| format!("{vendor:04x}:{device:04x} class {class:04x}");
        let guest = functions.as_ref().map(|all| {
            let mut names: Vec<String> = all.iter().map(|f| name(f.vendor, f.device, f.class)).collect();
            names.sort();
            names
        });
        let host = cell.look().await?.devices?.map(|all| {
            let mut names: Vec<String> = all.iter().map(|d| name(d.vendor, d.device, d.class)).collect();
            names.sort();
            names
        });
        let unbound = functions.as_ref().map(|all| {
            let unbound = all.iter().filter(|f| f.bound.is_none());
            unbound.map(|f| format!("{} {}", f.address, name(f.vendor, f.device, f.class))).collect::<Vec<_>>()
        });
        Ok(Observations::of([
            Finding::same("functions by id", guest, host),
            Finding::recorded("functions without a driver").inside(unbound),
        ]))
    }
}

check! {
    /// Each paravirtual device is bound to a driver, whose name and version are written down.
    pub DRIVER_VERSIONS = "ident.driver-versions", tier: Reads, needs: [],
        fault: Fault::Seam(SeamFault::Look(|look| alter(&mut look.devices, Vec::clear)));
    async fn driver_versions(cell) {
        let functions = cell.system().pci().await?;
        let kernel = cell.system().version().await?.value;
        // A bound transport drives nothing: what counts is who makes use of the device behind it.
        let driven = functions.as_ref().map(|all| {
            let mut ids: Vec<String> = all.iter().filter(|f| f.vendor == VIRTIO && f.driver.is_some()).map(|f| format!("{:04x}", f.device)).collect();
            ids.sort();
            ids
        });
        let host = cell.look().await?.devices?.map(|all| {
            let mut ids: Vec<String> = all.iter().filter(|d| d.vendor == VIRTIO).map(|d| format!("{:04x}", d.device)).collect();
            ids.sort();
            ids
        });
        let drivers = functions.as_ref().map(|all| {
            let bound = all.iter().filter_map(|f| Some((f, f.driver.as_ref()?)));
            let line = |(f, driver): (&PciFunction, &String)| {
                let version = f.version.clone().unwrap_or_else(|| format!("of the system, {kernel}"));
                format!("{} {driver} ({version})", f.address)
            };
            bound.map(line).collect::<Vec<_>>()
        });
        Ok(Observations::of([
            Finding::same("paravirtual devices that a driver makes use of", driven, host),
            Finding::recorded("drivers").inside(drivers),
        ]))
    }
}

check! {
    /// The VM generation id that the guest's firmware tables hold is the one that is configured.
    pub GENERATION_ID = "ident.generation-id", tier: Disruptive,
        needs: [Need::GenerationId, Need::Host(Capability::GenerationId)],
        fault: Fault::Seam(SeamFault::Look(|look| {
            alter(&mut look.generation_id, |id| *id = "00000000-0000-4000-8000-000000000000".into());
        }));
    async fn generation_id(cell) {
        let here = cell.system().generation_id().await?.map(|id| id.unwrap_or_else(|| "none".to_owned()));
        let told = cell.look().await?.generation_id?;
        let other = cell.another_clone().await?;
        let there = other.system().generation_id().await?.map(|id| id.unwrap_or_else(|| "none".to_owned()));
        let told_there = other.look().await?.generation_id?;
        other.finish().await?;
        let lower = |id: String| id.to_ascii_lowercase();
        let differ = there.as_ref().map(|there| *there != here.value);
        let told_differ = told_there.as_ref().map(|there| *there != told.value);
        Ok(Observations::of([
            Finding::same("id of this clone", here, told.map(lower)),
            Finding::same("id of another clone", there, told_there.map(lower)),
            Finding::same_as("the two differ", differ, told_differ, true),
        ]))
    }
}
