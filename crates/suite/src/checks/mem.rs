//! Memory: how much, in how many nodes, and what it costs.

use hospitium_host::{SeenNode, alter};
use hospitium_model::{ByteSize, Finding, Observations};

use crate::fault::SeamFault;
use crate::{Check, FacetKind, Fault, Need, SightKind, check};

/// All of this file.
pub const CHECKS: &[&Check] = &[&SIZE, &NUMA, &OVERHEAD];

fn mib(size: ByteSize) -> f64 {
    (size.as_bytes() as f64 / f64::from(1 << 20)).round()
}

check! {
    /// The guest has the configured memory, less only what the firmware declares as its own.
    pub SIZE = "mem.size", tier: Reads,
        needs: [Need::Sight(SightKind::Memory)],
        fault: Fault::Machine(|spec| {
            let less = spec.memory.size.as_bytes() - ByteSize::mib(64).as_bytes();
            spec.memory.size = ByteSize::bytes(less);
        });
    async fn size(cell) {
        let gap = cell.expect_number("firmware-gap-mib")?;
        let kernel = cell.expect_number("kernel-gap-mib")?;
        let host = cell.look().await?.memory?.map(mib);
        let total = cell.system().total().await?.map(mib);
        let mut seen = Observations::of([
            Finding::within("memory that the kernel has", "MiB", total, host, kernel),
            Finding::host_is("memory of the machine", host, mib(cell.spec().memory.size)).unit("MiB"),
        ]);
        // A kernel that does not show the map still says what it has.
        match cell.system().firmware_map().await {
            Ok(map) => seen.push(Finding::within("memory in the firmware's map", "MiB", map.map(mib), host, gap)),
            Err(hospitium_system::SystemError::Unable(why)) => seen.note(why.to_string()),
            Err(other) => return Err(other.into()),
        }
        Ok(seen)
    }
}

check! {
    /// The guest sees the configured NUMA nodes.
    pub NUMA = "mem.numa", tier: Reads,
        needs: [Need::Sight(SightKind::Nodes)],
        fault: Fault::Seam(SeamFault::Look(|look| {
            alter(&mut look.nodes, |nodes| nodes.extend([SeenNode::default(), SeenNode::default()]));
        }));
    async fn numa(cell) {
        let guest = cell.system().nodes().await?;
        // A machine that is defined without nodes has one.
        let host = cell.look().await?.nodes?.map(|nodes| nodes.len().max(1));
        let configured = cell.spec().memory.nodes.max(1);
        Ok(Observations::of([Finding::same_as("nodes", guest, host, configured)]))
    }
}

check! {
    /// Besides the guest's memory the VMM takes no more than is declared.
    pub OVERHEAD = "mem.overhead", tier: Reads,
        needs: [Need::Facet(FacetKind::Confinement), Need::Sight(SightKind::Overhead)],
        fault: Fault::Seam(SeamFault::Overhead(|size| {
            *size = ByteSize::bytes(size.as_bytes() + ByteSize::mib(512).as_bytes());
        }));
    async fn overhead(cell) {
        let (least, most) = (cell.expect_number("least-mib")?, cell.expect_number("budget-mib")?);
        let overhead = cell.confinement()?.overhead().await??.map(mib);
        let process = cell.process().await?;
        let mut seen = Observations::of([Finding::host_between(
            "resident memory besides the guest's", "MiB", overhead, least, most,
        )]);
        if let (Ok(rss), Ok(pss)) = (process.rss, process.pss) {
            let (rss, pss) = (rss.value.as_mib(), pss.value.as_mib());
            seen.note(format!("resident in all {rss} MiB, proportional share {pss} MiB"));
        }
        Ok(seen.only_one_witness("a guest cannot see what its VMM takes"))
    }
}
