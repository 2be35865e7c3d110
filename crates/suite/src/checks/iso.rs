//! Isolation: the VMM's confinement, and what one tenant leaves for the next.

use hospitium_host::alter;
use hospitium_model::{Capability, Digest, Finding, Observations};

use super::disks::{self, Range, Write};
use crate::fault::SeamFault;
use crate::{Check, CheckError, Fault, Need, check, device};

/// All of this file.
pub const CHECKS: &[&Check] = &[&VMM_CONFINED, &MEMORY_ZEROED];

check! {
    /// The VMM runs unprivileged, behind a system-call filter, without a way to gain privileges.
    pub VMM_CONFINED = "iso.vmm-confined", tier: Reads, needs: [Need::Host(Capability::Sandbox)],
        fault: Fault::Seam(SeamFault::Process(|process| alter(&mut process.seccomp, |mode| *mode = 0)));
    async fn vmm_confined(cell) {
        let process = cell.process().await?;
        let mut seen = Observations::of([
            Finding::host_is("runs as root", process.uid?.value == 0, false),
            Finding::host_is("system-call filter (seccomp mode)", process.seccomp?.value, 2),
            Finding::host_is("may gain privileges by executing a program", process.may_gain_privileges?.value, false),
            Finding::host_is("capabilities", format!("{:x}", process.capabilities?.value), "0"),
        ]);
        let spaces = process.own_namespaces?.value;
        seen.push(Finding::recorded("name spaces of its own").outside(hospitium_model::Value::from(spaces)));
        Ok(seen.only_one_witness("confinement is what the guest cannot see"))
    }
}

/// The first MiB of a disk.
const MIB: Range = Range { offset: 0, length: 1 << 20 };

/// How much of the earlier tenant's memory is filled with its canary.
const PLANTED: u64 = 4 << 20;

check! {
    /// Fresh memory and fresh disk blocks hold nothing of an earlier tenant.
    pub MEMORY_ZEROED = "iso.memory-zeroed", tier: Disruptive, needs: [Need::Device(device::SCRATCH)],
        fault: Fault::StaleClone, limit: 180 s;
    async fn memory_zeroed(cell) {
        let canary = cell.pattern(0);
        let mut needle = [0; 32];
        // Any 32 bytes of the planted pattern will do; 64-byte aligned, as the scan looks.
        canary.fill(4096, &mut needle);
        let planted = cell.guest.memory_fill(0, PLANTED, canary.seed()).await?;
        let scratch = disks::configured(cell, device::SCRATCH)?;
        let Some(disk) = disks::find(cell, &scratch).await? else {
            return disks::absent(cell, &scratch).await;
        };
        disks::write(&cell.guest, &disk, MIB, canary, Write::Flushed).await?;
        let control = cell.guest.memory_scan(needle).await?;

        let mut next = if cell.is_stale() { None } else { Some(cell.another_clone().await?) };
        let tenant = next.as_mut().unwrap_or(cell);
        let scan = tenant.guest.memory_scan(needle).await?;
        let found = disks::reread(&tenant.guest, &disk, MIB).await?;
        if let Some(next) = next {
            next.finish().await?;
        }
        if planted.digest != canary.digest(PLANTED) {
            return Err(CheckError::unreadable("the planted canary", "its digest is another"));
        }
        let zeros = Digest::of(&vec![0; 1 << 20]);
        let mut seen = Observations::of([
            Finding::guest_between("hits in the earlier tenant's own memory (the control)", "", control.hits as f64, 1.0, 1e9),
            Finding::guest_is("hits in the next tenant's memory", scan.hits, 0_u32),
            Finding::guest_is("the next tenant's disk is all zeros", found.digest == zeros, true),
            Finding::host_is("canary planted by the earlier tenant", planted.digest, canary.digest(PLANTED)),
        ]);
        seen.note(format!("{} MiB of memory were looked through", scan.scanned >> 20));
        Ok(seen)
    }
}
