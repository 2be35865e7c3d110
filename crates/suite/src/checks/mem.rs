//! Memory: how much, in how many nodes, and what it costs.

use hospitium_host::{SeenNode, alter};
use hospitium_model::{ByteSize, Finding, Observations};

use super::read;
use crate::fault::SeamFault;
use crate::{Check, Fault, check};

/// All of this file.
pub const CHECKS: &[&Check] = &[&SIZE, &NUMA, &OVERHEAD];

check! {
    /// The guest has the configured memory, less only what the firmware declares as its own.
    pub SIZE = "mem.size", tier: Reads, needs: [],
        fault: Fault::Machine(|spec| {
            let less = spec.memory.size.as_bytes() - ByteSize::mib(64).as_bytes();
            spec.memory.size = ByteSize::bytes(less);
        });
    async fn size(cell) {
        let gap = cell.expect_number("firmware-gap-mib")?;
        let kernel = cell.expect_number("kernel-gap-mib")?;
        let mut ram = 0_i64;
        for entry in read::names(&cell.guest, "/sys/firmware/memmap").await? {
            let at = format!("/sys/firmware/memmap/{entry}");
            if read::text(&cell.guest, &format!("{at}/type")).await? == "System RAM" {
                let start = read::number(&cell.guest, &format!("{at}/start")).await?;
                let end = read::number(&cell.guest, &format!("{at}/end")).await?;
                ram = ram.saturating_add(end.saturating_sub(start).saturating_add(1));
            }
        }
        let total = read::total_mib(&cell.guest).await?;
        let memory = cell.look().await?.memory?.value;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let host = mib(memory.as_bytes());
        let configured = mib(cell.spec().memory.size.as_bytes());
        Ok(Observations::of([
            Finding::within("memory in the firmware's map", "MiB", mib(ram.unsigned_abs()), host, gap),
            Finding::within("memory that the kernel has", "MiB", total.round(), host, kernel),
            Finding::host_is("configured", host, configured).unit("MiB"),
        ]))
    }
}

check! {
    /// The guest sees the configured NUMA nodes.
    pub NUMA = "mem.numa", tier: Reads, needs: [],
        fault: Fault::Seam(SeamFault::Look(|look| {
            alter(&mut look.nodes, |nodes| nodes.extend([SeenNode::default(), SeenNode::default()]));
        }));
    async fn numa(cell) {
        let names = read::names(&cell.guest, "/sys/devices/system/node").await?;
        let nodes = names.iter().filter(|n| {
            n.strip_prefix("node").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        });
        // A kernel without NUMA support has no folder for nodes, and one node.
        let guest = nodes.count().max(1);
        let host = cell.look().await?.nodes?.value.len().max(1);
        let configured = cell.spec().memory.nodes.max(1);
        Ok(Observations::of([Finding::same_as("nodes", guest, host, configured)]))
    }
}

check! {
    /// The VMM takes no more memory than the guest's own and a declared overhead.
    pub OVERHEAD = "mem.overhead", tier: Reads, needs: [],
        fault: Fault::Seam(SeamFault::Process(|process| {
            alter(&mut process.rss, |rss| *rss = ByteSize::bytes(rss.as_bytes() + ByteSize::gib(8).as_bytes()));
        }));
    async fn overhead(cell) {
        let budget = cell.expect_number("budget-mib")?;
        let process = cell.process().await?;
        let (rss, pss) = (process.rss?.value, process.pss?.value);
        let size = cell.spec().memory.size;
        let over = rss.as_bytes() as f64 - size.as_bytes() as f64;
        let mut seen = Observations::of([Finding::host_between(
            "resident memory above the guest's size", "MiB",
            (over / f64::from(1 << 20)).round(), -1e6, budget,
        )]);
        seen.note(format!("resident {} MiB, proportional share {} MiB", rss.as_mib(), pss.as_mib()));
        Ok(seen.only_one_witness("a guest cannot see what its VMM takes"))
    }
}
