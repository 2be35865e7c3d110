//! Dumps of a guest's memory.

use std::collections::BTreeMap;
use std::path::Path;

use hospitium_host::HostError;
use hospitium_model::{Digest, Finding, HostSource, Observations, Pattern};
use hospitium_system::PhysicalRange;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::dump::{MemoryDump, PAGE};
use crate::fault::SeamFault;
use crate::vmcoreinfo::VmCoreInfo;
use crate::{Check, FacetKind, Fault, Need, SightKind, check};

/// All of this file.
pub const CHECKS: &[&Check] = &[&HOST_DUMP];

/// Memory by which the guest is known again in a dump.
const HELD: u64 = 64 * PAGE as u64;
const SLOT: u8 = 2;

/// Fault: all memory is missing from the dump, whose headers are whole.
fn without_memory(file: &Path) -> std::io::Result<()> {
    let file = std::fs::File::options().write(true).open(file)?;
    let size = file.metadata()?.len();
    // More than the headers of a few ranges of memory, and less than the first of them.
    file.set_len(size.min(1 << 16))?;
    file.set_len(size)
}

/// Digest of the pages of a pattern that are in a dump, in the pattern's order.
fn digest_in(dump: &MemoryDump, pattern: Pattern) -> std::io::Result<Digest> {
    let mut pages: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let first = |page: u64| pattern.word(page * PAGE as u64 / 8);
    let wanted: BTreeMap<u64, u64> = (0..HELD / PAGE as u64).map(|n| (first(n), n)).collect();
    dump.each_page(|page| {
        let word = page.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        if let Some(n) = word.and_then(|word| wanted.get(&word)) {
            pages.entry(*n).or_insert_with(|| page.to_vec());
        }
    })?;
    let found: Vec<u8> = pages.into_values().flatten().collect();
    Ok(Digest::of(&found))
}

/// What a debugger finds in a dump.
#[derive(Serialize, Deserialize)]
struct Opened {
    memory: u64,
    digest: Digest,
    release: String,
    by_symbol: String,
}

/// Opens a dump as a debugger does: by the kernel's notes and symbols.
fn open_dump(file: &Path, notes: PhysicalRange, pattern: Pattern) -> std::io::Result<Opened> {
    let dump = MemoryDump::open(file)?;
    let info = VmCoreInfo::read(&dump, notes.address, notes.length)?;
    let by_symbol = match &info {
        Some(info) => info.release_by_symbol(&dump)?,
        None => None,
    };
    let release = info.as_ref().and_then(VmCoreInfo::release).map(str::to_owned);
    let none = || "none".to_owned();
    Ok(Opened {
        memory: dump.memory(),
        digest: digest_in(&dump, pattern)?,
        release: release.unwrap_or_else(none),
        by_symbol: by_symbol.unwrap_or_else(none),
    })
}

check! {
    /// A dump of the memory that the host makes of the running machine opens by the kernel's own notes and symbols.
    pub HOST_DUMP = "crash.host-dump", tier: Disruptive,
        needs: [Need::Facet(FacetKind::Dump), Need::Sight(SightKind::Memory)],
        fault: Fault::Seam(SeamFault::Dump(without_memory)), limit: 120 s;
    async fn host_dump(cell) {
        let notes = cell.system().kernel_notes().await?.value;
        let release = cell.system().kernel_release().await?;
        let pattern = cell.pattern(0);
        cell.system().hold(SLOT, HELD, pattern).await?;
        let file = cell.work_dir().folder.join("memory.core");
        cell.dump()?.dump_memory(&file).await?;
        // The machine goes on, with what it had.
        let held = cell.system().held(SLOT).await?;
        let memory = cell.look().await?.memory?;
        let opening = async {
            let opening = tokio::task::spawn_blocking(move || {
                let opened = open_dump(&file, notes, pattern);
                let _ = std::fs::remove_file(&file);
                opened
            });
            let opened = opening.await.map_err(std::io::Error::other).and_then(|opened| opened);
            opened.map_err(HostError::io("reading the dump of the memory"))
        };
        let with = json!({ "notes": notes, "pattern": pattern });
        let dump: Opened = cell.measured("what is in a dump", with, opening).await?;
        let host = HostSource::Files;
        Ok(Observations::of([
            Finding::same("kernel's version, by its symbols", release.as_ref().map(|r| r.as_str()), host.saw(dump.by_symbol)),
            Finding::same("kernel's version, by its notes", release.as_ref().map(|r| r.as_str()), host.saw(dump.release)),
            Finding::same_as("memory held", held, host.saw(dump.digest), pattern.digest(HELD)),
            Finding::host_between("memory in the dump", "MiB", host.saw((dump.memory >> 20) as f64), memory.value.as_mib() as f64, f64::from(1 << 30)),
        ]))
    }
}
