//! Isolation: the VMM's confinement, and what one tenant leaves for the next.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use hospitium_host::{Defect, HostError, Machine, PowerVerb, alter};
use hospitium_model::{
    ByteSize, Capability, Digest, Disk, Finding, GuestKind, GuestSource, HostSource, Inside,
    Observations, Outside, Pattern,
};
use hospitium_system::{GuestDisk, Span, System, Write};
use serde_json::json;

use super::disks::{self, MIB, MIB_SPAN, on_medium};
use super::wait::{SETTLE, until};
use crate::fault::SeamFault;
use crate::tenant::Tenant;
use crate::{Cell, Check, CheckError, FacetKind, Fault, Need, SightKind, check, device};

/// All of this file.
pub const CHECKS: &[&Check] = &[&VMM_CONFINED, &MEMORY_ZEROED];

check! {
    /// The VMM runs unprivileged, behind a system-call filter, without a way to gain privileges.
    pub VMM_CONFINED = "iso.vmm-confined", tier: Reads,
        needs: [
            Need::Host(Capability::Sandbox),
            Need::Facet(FacetKind::Confinement),
            Need::Sight(SightKind::ProcessRights),
        ],
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

/// How much of the earlier tenant's memory is filled with its canary, so many times: the next tenant's own start
/// overwrites some of it.
const PLANTED: u64 = 8 * MIB;
const SLOTS: u8 = 7;
/// Memory of a tenant that boots: as little as any guest boots in, so that looking through it is quick.
const MEMORY: ByteSize = ByteSize::mib(256);
/// How long a tenant may take to boot.
const BOOT: Duration = Duration::from_secs(120);
/// A page in a cluster of an image (64 KiB for qcow2) that was never written, and the rest of that cluster.
const ONE_PAGE: Span = Span { offset: 8 * MIB, length: 4096 };
const ITS_NEIGHBOURS: Span = Span { offset: 8 * MIB + 4096, length: 60 << 10 };

check! {
    /// Memory and disk blocks that a machine gets hold nothing of an earlier tenant, which had them before.
    pub MEMORY_ZEROED = "iso.memory-zeroed", tier: Disruptive,
        needs: [Need::Device(device::SCRATCH), Need::Facet(FacetKind::Dump), Need::Facet(FacetKind::Media)],
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
    let mut seen = Observations::new();
    let Some(disk) = find(&*system, scratch).await? else {
        seen.push(no_disk("the tenant"));
        return Ok(seen);
    };
    plant(&*system, &disk, canary).await?;
    let control = system.scan(needle).await?.map(|scan| scan.hits as f64);
    seen.push(control_finding(control));
    seen.push(own_finding(in_memory(cell, &*first.machine, first.folder(), needle).await?));
    cell.say("the first tenant ends");
    first.end(cell).await?;

    let (second, system) = cell.boot_tenant(&spec, BOOT).await?;
    let scan = system.scan(needle).await?;
    let outside = in_memory(cell, &*second.machine, second.folder(), needle).await?;
    seen.push(Finding::same_as(
        "places in the next tenant's memory with the earlier one's canary",
        scan.map(|scan| scan.hits),
        outside,
        0,
    ));
    seen.note(format!("{} MiB of memory were looked through", scan.value.scanned >> 20));
    match find(&*system, scratch).await? {
        Some(disk) => fresh_blocks(cell, &*system, &second, &disk, &mut seen).await?,
        None => seen.push(no_disk("the next tenant")),
    }
    second.end(cell).await?;
    Ok(seen)
}

/// This clone, and after it a machine that boots nothing: only the host looks through that one's memory.
async fn this_tenant_and_a_bare_one(
    cell: &mut Cell,
    scratch: &Disk,
    canary: Pattern,
) -> Result<Observations, CheckError> {
    let needle = needle(canary);
    let Some(disk) = disks::find(cell, scratch).await? else {
        return disks::absent(cell, scratch).await;
    };
    let mut seen = Observations::new();
    plant(cell.system(), &disk, canary).await?;
    let control = cell.system().scan(needle).await?.map(|scan| scan.hits as f64);
    seen.push(control_finding(control));
    seen.push(own_finding(in_memory(cell, cell.machine(), &cell.work_dir().folder, needle).await?));
    cell.say("the first tenant ends");
    cell.power(PowerVerb::Off).await?;

    let mut spec = cell.spec().clone();
    spec.memory.max = spec.memory.size;
    let next = cell.bare_tenant(&spec).await?;
    let outside = in_memory(cell, &*next.machine, next.folder(), needle).await?;
    let what = "places in the next tenant's memory with the earlier one's canary";
    seen.push(Finding::host_is(what, outside, 0));
    let medium = next.machine.media()?.medium(&scratch.id).await?;
    let blocks = on_medium(cell, &medium, MIB_SPAN).await?;
    seen.push(Finding::host_is("digest of blocks that it never wrote", blocks, zeros(MIB)));
    next.end(cell).await?;
    Ok(seen.only_one_witness(
        "the next machine boots nothing, so that only the host looks through its memory",
    ))
}

/// A tenant of its own did not get its disk.
fn no_disk(whose: &str) -> Finding {
    let there = GuestSource::Kernel.saw(false);
    Finding::guest_is(format!("the scratch disk of {whose} is there"), there, true)
}

/// 32 bytes of the canary, as the scan looks for them.
fn needle(canary: Pattern) -> [u8; 32] {
    let mut needle = [0; 32];
    canary.fill(4096, &mut needle);
    needle
}

fn zeros(length: u64) -> Digest {
    Digest::of(&vec![0; usize::try_from(length).unwrap_or(0)])
}

async fn find(system: &dyn System, disk: &Disk) -> Result<Option<GuestDisk>, CheckError> {
    let wanted = disks::wanted(disk);
    system.load_driver(disks::driver(disk.bus)).await?;
    let look = async || Ok(system.disk(&wanted).await?.value);
    until(SETTLE, look, Option::is_some).await
}

/// Fills memory and blocks with the canary.
async fn plant(system: &dyn System, disk: &GuestDisk, canary: Pattern) -> Result<(), CheckError> {
    let digest = canary.digest(PLANTED);
    for slot in 0..SLOTS {
        if system.hold(slot, PLANTED, canary).await?.value != digest {
            return Err(CheckError::unreadable("the planted canary", "its digest is another"));
        }
    }
    system.write(disk, MIB_SPAN, canary, Write::Flushed).await?;
    Ok(())
}

fn control_finding(hits: Inside<f64>) -> Finding {
    let what = "places in the earlier tenant's own memory with its canary (the control)";
    Finding::guest_between(what, "", hits, 1.0, 1e9)
}

fn own_finding(hits: Outside<u64>) -> Finding {
    let what = "the same as the host finds them in its memory";
    Finding::host_between(what, "", hits.map(|hits| hits as f64), 1.0, 1e9)
}

/// How often the host finds the needle in a machine's memory, which it writes to a file for that.
async fn in_memory(
    cell: &Cell,
    machine: &dyn Machine,
    folder: &Path,
    needle: [u8; 32],
) -> Result<Outside<u64>, CheckError> {
    let path = folder.join("memory.elf");
    machine.dump()?.dump_memory(&path).await?;
    let measure = async {
        let scanned = path.clone();
        let scan = tokio::task::spawn_blocking(move || occurrences(&scanned, &needle));
        let hits = scan.await.unwrap_or_else(|broke| Err(std::io::Error::other(broke)));
        let hits = hits.map_err(HostError::io("looking through a machine's memory"))?;
        std::fs::remove_file(&path).map_err(HostError::io("removing a machine's memory"))?;
        Ok(hits)
    };
    let with = json!({ "machine": machine.name() });
    let hits = cell.measured("places in a memory", with, measure).await?;
    Ok(HostSource::Files.saw(hits))
}

/// How often a file holds the needle.
fn occurrences(path: &Path, needle: &[u8]) -> std::io::Result<u64> {
    const CHUNK: usize = 1 << 20;
    let mut file = std::fs::File::open(path)?;
    let finder = memchr::memmem::Finder::new(needle);
    let (mut buffer, mut kept, mut hits) = (vec![0; CHUNK + needle.len()], 0, 0);
    loop {
        let got = file.read(&mut buffer[kept..])?;
        if got == 0 {
            return Ok(hits);
        }
        let have = kept + got;
        hits += finder.find_iter(&buffer[..have]).count() as u64;
        // One that begins at the end may go on in the next part; one that is whole was counted.
        kept = have.min(needle.len() - 1);
        buffer.copy_within(have - kept..have, 0);
    }
}

/// What a machine reads of a disk that it got anew: of blocks that it never wrote, and of those beside a page that it
/// wrote.
async fn fresh_blocks(
    cell: &Cell,
    system: &dyn System,
    tenant: &Tenant,
    disk: &GuestDisk,
    seen: &mut Observations,
) -> Result<(), CheckError> {
    let guest = system.read_back(disk, MIB_SPAN).await?.map(|done| done.digest);
    system.write(disk, ONE_PAGE, cell.pattern(1), Write::Flushed).await?;
    let beside = system.read_back(disk, ITS_NEIGHBOURS).await?.map(|done| done.digest);
    let medium = tenant.machine.media()?.medium(device::SCRATCH).await?;
    let host = on_medium(cell, &medium, MIB_SPAN).await?;
    seen.push(Finding::same_as("digest of blocks that it never wrote", guest, host, zeros(MIB)));
    let host = on_medium(cell, &medium, ITS_NEIGHBOURS).await?;
    let what = "digest of blocks beside a page that it wrote";
    seen.push(Finding::same_as(what, beside, host, zeros(ITS_NEIGHBOURS.length)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_needle_is_counted_once_wherever_the_parts_of_a_file_meet() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let needle = *b"needle-needle-needle-needle-0032";
        let mut bytes = vec![0_u8; 3 << 20];
        for at in [0, (1 << 20) - 5, (2 << 20) + 17, (3 << 20) - 32] {
            bytes[at..at + 32].copy_from_slice(&needle);
        }
        std::fs::write(file.path(), &bytes).expect("written");
        assert_eq!(occurrences(file.path(), &needle).expect("read"), 4);
        assert_eq!(occurrences(file.path(), b"not in it").expect("read"), 0);
    }
}
