//! Identity: what the guest is told about the machine, and what it finds there.

use hospitium_host::alter;
use hospitium_model::{Capability, Finding, Observations, OperatingSystem, Value};
use hospitium_system::OwnedReply;
use hospitium_wire::Request;

use super::read;
use crate::fault::SeamFault;
use crate::{Cell, Check, CheckError, Fault, Need, check};

/// All of this file.
pub const CHECKS: &[&Check] =
    &[&SMBIOS, &HYPERVISOR_SIG, &OS_REPORTED, &PCI_INVENTORY, &DRIVER_VERSIONS, &GENERATION_ID];

check! {
    /// The SMBIOS tables that the guest reads say what is configured.
    pub SMBIOS = "ident.smbios", tier: Reads, needs: [],
        fault: Fault::Guest(|request, reply| {
            if let (Request::ReadFile { path: "/sys/class/dmi/id/product_serial", .. }, OwnedReply::Data(data)) = (request, reply) {
                *data = b"another\n".to_vec();
            }
        });
    async fn smbios(cell) {
        let configured = cell.spec().smbios.clone();
        let mut seen = Observations::new();
        for (what, file, value) in [
            ("system manufacturer", "sys_vendor", configured.manufacturer),
            ("product name", "product_name", configured.product),
            ("serial number", "product_serial", configured.serial),
        ] {
            let guest = read::text(&cell.guest, &format!("/sys/class/dmi/id/{file}")).await?;
            seen.push(Finding::same(what, guest, value));
        }
        let guest = read::text(&cell.guest, "/sys/class/dmi/id/product_uuid").await?;
        let host = cell.look().await?.uuid?.value;
        let uuid = configured.uuid.to_ascii_lowercase();
        seen.push(Finding::same_as("UUID", guest.to_ascii_lowercase(), host.to_ascii_lowercase(), uuid));
        Ok(seen)
    }
}

/// The twelve characters that CPUID leaf 0x40000000 gives, trailing NULs cut off.
pub async fn hypervisor_signature(cell: &mut Cell) -> Result<String, CheckError> {
    let words = cell.guest.cpuid(0, 0x4000_0000, 0).await?;
    let bytes = [words.ebx, words.ecx, words.edx].map(u32::to_le_bytes).concat();
    let text: String = bytes.iter().take_while(|b| **b != 0).map(|b| char::from(*b)).collect();
    Ok(text.escape_default().to_string())
}

check! {
    /// The guest sees, by CPUID, the hypervisor that it runs on.
    pub HYPERVISOR_SIG = "ident.hypervisor-sig", tier: Reads, needs: [],
        fault: Fault::Guest(|request, reply| {
            if let (Request::Cpuid { leaf: 0x4000_0000, .. }, OwnedReply::Cpuid(words)) = (request, reply) {
                words.ebx = 0x4D56_4D56;
            }
        });
    async fn hypervisor_sig(cell) {
        let present = cell.guest.cpuid(0, 1, 0).await?.ecx >> 31 == 1;
        let signature = hypervisor_signature(cell).await?;
        let expected = cell.expect("signature")?;
        let used = cell.look().await?.accelerator?.value;
        let measured = cell.lab().host().facts().accelerator.used;
        Ok(Observations::of([
            Finding::guest_is("hypervisor bit of CPUID leaf 1", present, true),
            Finding::guest_is("signature", signature, expected),
            Finding::host_is("accelerator in use", used.name(), measured.name()),
        ]))
    }
}

check! {
    /// The guest reports the operating system that it was declared to be.
    pub OS_REPORTED = "ident.os-reported", tier: Reads, needs: [Need::DeclaredVersion],
        fault: Fault::Guest(|request, reply| {
            if let (Request::ReadFile { path: "/proc/sys/kernel/osrelease" | "/etc/os-release", .. }, OwnedReply::Data(data)) = (request, reply) {
                *data = b"VERSION_ID=\"0\"\n".to_vec();
            }
        });
    async fn os_reported(cell) {
        let facts = cell.lab().guest().facts().clone();
        let guest = match facts.kind {
            hospitium_model::GuestKind::Kernel => {
                read::text(&cell.guest, "/proc/sys/kernel/osrelease").await?
            }
            hospitium_model::GuestKind::Disk => {
                let text = read::text(&cell.guest, "/etc/os-release").await?;
                let version = text.lines().find_map(|line| line.strip_prefix("VERSION_ID="));
                version.unwrap_or_default().trim_matches('"').to_owned()
            }
        };
        Ok(Observations::of([Finding::same("version", guest, facts.version)]))
    }
}

check! {
    /// The guest finds every PCI device that the host has put there, and no other.
    pub PCI_INVENTORY = "ident.pci-inventory", tier: Reads, needs: [],
        fault: Fault::Seam(SeamFault::Look(|look| alter(&mut look.devices, |all| drop(all.pop()))));
    async fn pci_inventory(cell) {
        let root = "/sys/bus/pci/devices";
        let mut guest = Vec::new();
        let mut unbound = Vec::new();
        for address in read::names(&cell.guest, root).await? {
            let vendor = read::number(&cell.guest, &format!("{root}/{address}/vendor")).await?;
            let device = read::number(&cell.guest, &format!("{root}/{address}/device")).await?;
            let class = read::number(&cell.guest, &format!("{root}/{address}/class")).await?;
            let name = format!("{vendor:04x}:{device:04x} class {:04x}", class >> 8);
            if read::link_name(&cell.guest, &format!("{root}/{address}/driver")).await?.is_none() {
                unbound.push(format!("{address} {name}"));
            }
            guest.push(name);
        }
        let devices = cell.look().await?.devices?.value;
        let mut host: Vec<String> = devices
            .iter()
            .map(|d| format!("{:04x}:{:04x} class {:04x}", d.vendor, d.device, d.class))
            .collect();
        guest.sort();
        host.sort();
        Ok(Observations::of([
            Finding::same("functions", guest.len(), host.len()),
            Finding::same("functions by id", guest, host),
            Finding::recorded("functions without a driver").inside(Value::from(unbound)),
        ]))
    }
}

check! {
    /// Each paravirtual device is bound to a driver, whose name and version are written down.
    pub DRIVER_VERSIONS = "ident.driver-versions", tier: Reads, needs: [],
        fault: Fault::Seam(SeamFault::Look(|look| alter(&mut look.devices, Vec::clear)));
    async fn driver_versions(cell) {
        let root = "/sys/bus/pci/devices";
        let release = read::text(&cell.guest, "/proc/sys/kernel/osrelease").await?;
        let mut bound: Vec<Value> = Vec::new();
        let mut paravirtual = 0_usize;
        for address in read::names(&cell.guest, root).await? {
            let driver = read::link_name(&cell.guest, &format!("{root}/{address}/driver")).await?;
            let vendor = read::number(&cell.guest, &format!("{root}/{address}/vendor")).await?;
            if let Some(driver) = driver {
                paravirtual += usize::from(vendor == 0x1AF4);
                let module = format!("/sys/module/{}/version", driver.replace('-', "_"));
                let version = read::text_if_there(&cell.guest, &module).await?;
                let version = version.unwrap_or_else(|| format!("of the kernel, {release}"));
                bound.push(format!("{address} {driver} ({version})").into());
            }
        }
        let devices = cell.look().await?.devices?.value;
        let host = devices.iter().filter(|d| d.vendor == 0x1AF4).count();
        let mut seen = Observations::of([Finding::same("paravirtual devices with a driver", paravirtual, host)]);
        seen.push(Finding::recorded("drivers").inside(Value::from(Value::List(bound))));
        Ok(seen)
    }
}

check! {
    /// The VM generation id that the guest's firmware tables hold is the one that is configured.
    pub GENERATION_ID = "ident.generation-id", tier: Disruptive,
        needs: [Need::GenerationId, Need::Host(Capability::GenerationId)],
        fault: Fault::Seam(SeamFault::Look(|look| {
            look.generation_id = Err(hospitium_model::Inability::of_host("a fault on purpose hides it"));
        }));
    async fn generation_id(cell) {
        let there = match cell.lab().os() {
            OperatingSystem::Linux => {
                let names = read::names(&cell.guest, "/sys/bus/acpi/devices").await?;
                names.iter().any(|name| name.starts_with("QEMUVGID") || name.starts_with("VMGENCTR"))
            }
            OperatingSystem::Windows => false,
        };
        let first = cell.look().await?.generation_id.ok().map(|seen| seen.value);
        let other = cell.another_clone().await?;
        let second = other.look().await?.generation_id.ok().map(|seen| seen.value);
        other.finish().await?;
        let (Some(first), Some(second)) = (first, second) else {
            return Ok(Observations::of([
                Finding::guest_is("a generation-id device in ACPI", there, true),
                Finding::host_is("a generation id is set", false, true),
            ]));
        };
        let configured = cell.spec().generation_id.clone().unwrap_or_default();
        let mut seen = Observations::of([
            Finding::guest_is("a generation-id device in ACPI", there, true),
            Finding::host_is("two clones have different ids", first != second, true),
        ]);
        seen.push(Finding::recorded("ids: as configured, and of two clones").outside(Value::from(vec![configured, first, second])));
        Ok(seen)
    }
}
