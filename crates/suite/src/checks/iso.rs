//! Isolation: the VMM's confinement, and what one tenant leaves for the next.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use hospitium_host::{Defect, HostError, Machine, alter};
use hospitium_model::{
    Boot, ByteSize, Capability, Digest, Disk, Finding, GuestKind, HostSource, MachineSpec,
    Observations, Outside, Pattern,
};
use hospitium_system::{GuestDisk, Span, System, WantedDisk, Write};

use super::disks::{self, MIB, MIB_SPAN, on_medium};
use super::wait::{SETTLE, until};
use crate::fault::SeamFault;
use crate::tenant::Tenant;
use crate::{Cell, Check, CheckError, Fault, Need, check, device};

/// All of this file.
pub const CHECKS: &[&Check] = &[&VMM_CONFINED, &MEMORY_ZEROED];

check! {
    /// The VMM runs unprivileged, behind a system-call filter, without a way to gain privileges.
    pub VMM_CONFINED = "iso.vmm-confined", tier: Reads, needs: [Need::Host(Capability::Sandbox)],
        fault: Fault::Seam(SeamFault::Process(|process| alter(&mut process.seccomp, |mode| *mode = 0)));
    async fn vmm_confined(cell) {
        let process = cell.process().await?;
        let mut seen = Observations::of([
            Finding::host_is("runs as root", process.uid?.map(|uid| uid == 0), false),
            Finding::host_is("system-call filter (seccomp mode)", process.seccomp?, 2),
            Finding::host_is("may gain privileges by executing a program", process.may_gain_privileges?, false),
            Finding::host_is("capabilities", process.capabilities?.map(|set| format!("{set:x}")), "0"),
        ]);
        match process.own_namespaces {
            Ok(spaces) => seen.push(Finding::recorded("name spaces of its own").outside(spaces)),
            Err(unseen) => seen.note(format!("name spaces of its own: {unseen}")),
        }
        Ok(seen.only_one_witness("confinement is what the guest cannot see"))
    }
}

/// How much of the earlier tenant's memory is filled with its canary.
const PLANTED: u64 = 4 * MIB;
/// Slot of the memory that is held.
const SLOT: u8 = 0;
/// Memory of a tenant that boots: as little as any guest boots in, so that looking through it is quick.
const MEMORY: ByteSize = ByteSize::mib(256);
/// How long a tenant may take to boot.
const BOOT: Duration = Duration::from_secs(120);
/// A page in a cluster of an image (64 KiB for qcow2) that was never written, and the rest of that cluster.
const ONE_PAGE: Span = Span { offset: 8 * MIB, length: 4096 };
const ITS_NEIGHBOURS: Span = Span { offset: 8 * MIB + 4096, length: 60 << 10 };

check! {
    /// Memory and disk blocks that a machine gets hold nothing of an earlier tenant, which had them before.
    pub MEMORY_ZEROED = "iso.memory-zeroed", tier: Disruptive, needs: [Need::Device(device::SCRATCH)],
        fault: Fault::Defect(|| Defect::KeepsMemory), limit: 360 s;
    async fn memory_zeroed(cell) {
        let canary = cell.pattern(0);
        let scratch = disks::configured(cell, device::SCRATCH)?;
        match cell.lab().guest().facts().kind {
            GuestKind::Kernel => booted_tenants(cell, &scratch, canary).await,
            GuestKind::Disk => this_tenant_and_a_bare_one(cell, &scratch, canary).await,
        }
    }
}

/// Two machines of this guest, booted one after the other: the second looks for what the first has left.
async fn booted_tenants(
    cell: &mut Cell,
    scratch: &Disk,
    canary: Pattern,
) -> Result<Observations, CheckError> {
    let mut spec = cell.spec().clone();
    spec.memory.size = spec.memory.size.min(MEMORY);
    spec.memory.max = spec.memory.size;
    let needle = needle(canary);

    let (first, system) = cell.boot_tenant(&spec, BOOT).await?;
    let Some(disk) = find(&*system, scratch).await? else {
        return disks::absent(cell, scratch).await;
    };
    let mut seen = Observations::new();
    plant(&*system, &disk, canary).await?;
    let control = system.scan(needle).await?.map(|scan| scan.hits as f64);
    seen.push(control_finding(control));
    seen.push(own_finding(in_memory(&*first.machine, first.folder(), needle).await?));
    cell.say("the first tenant ends");
    first.end().await?;

    let (second, system) = cell.boot_tenant(&spec, BOOT).await?;
    let scan = system.scan(needle).await?;
    let outside = in_memory(&*second.machine, second.folder(), needle).await?;
    seen.push(Finding::same_as(
        "places in the next tenant's memory with the earlier one's canary",
        scan.map(|scan| scan.hits),
        outside,
        0,
    ));
    seen.note(format!("{} MiB of memory were looked through", scan.value.scanned >> 20));
    match find(&*system, scratch).await? {
        Some(disk) => fresh_blocks(cell, &*system, &second, &disk, &mut seen).await?,
        None => return disks::absent(cell, scratch).await,
    }
    second.end().await?;
    Ok(seen)
}
