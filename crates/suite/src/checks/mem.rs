//! Memory: how much, in how many nodes, and what it costs.

use hospitium_host::{SeenNode, alter};
use hospitium_model::{ByteSize, Finding, Observations};

use crate::fault::SeamFault;
use crate::{Check, Fault, check};

/// All of this file.
pub const CHECKS: &[&Check] = &[&SIZE, &NUMA, &OVERHEAD];

#[expect(clippy::cast_precision_loss, reason = "a machine's memory stays far below 2^53 bytes")]
fn mib(size: ByteSize) -> f64 {
    size.as_bytes() as f64 / f64::from(1 << 20)
}

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
        let map = cell.system().firmware_map().await?.map(mib);
        let total = cell.system().total().await?.map(|total| mib(total).round());
        let host = cell.look().await?.memory?.map(mib);
        let configured = mib(cell.spec().memory.size);
        Ok(Observations::of([
            Finding::within("memory in the firmware's map", "MiB", map, host, gap),
            Finding::within("memory that the kernel has", "MiB", total, host, kernel),
            Finding::host_is("memory that the hypervisor gives", host, configured).unit("MiB"),
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
        let guest = cell.system().nodes().await?;
        let host = cell.look().await?.nodes?.map(|nodes| nodes.len().max(1));
        let configured = cell.spec().memory.nodes.max(1);
        Ok(Observations::of([Finding::same_as("nodes", guest, host, configured)]))
    }
}

check! {
    /// The VMM takes no more memory than the guest's own and a declared overhead.
    pub OVERHEAD = "mem.overhead", tier: Reads, needs: [],
        fault: Fault::Seam(SeamFault::Overhead(|size| {
            *size = ByteSize::bytes(size.as_bytes() + ByteSize::gib(1).as_bytes());
        }));
    async fn overhead(cell) {
        let budget = cell.expect_number("budget-mib")?;
        let process = cell.process().await?;
        let besides = cell.machine().confinement()?.overhead().await??.map(|size| mib(size).round());
        let mut seen = Observations::of([
            Finding::host_between("memory that the VMM takes besides the guest's", "MiB", besides, 1.0, budget),
        ]);
        if let (Ok(rss), Ok(pss)) = (process.rss, process.pss) {
            seen.note(format!("resident {} MiB, proportional share {} MiB, the guest's memory included", rss.value.as_mib(), pss.value.as_mib()));
        }
        Ok(seen.only_one_witness("a guest cannot see what its VMM takes"))
    }
}
