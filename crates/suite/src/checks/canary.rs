//! The canary where no machine can be given a defect: a check that must fail. A cell in which it passes proves
//! nothing.

use hospitium_model::{Finding, Observations};

use crate::{Fault, check};

check! {
    /// Claims one vCPU more than there is, and must therefore fail.
    pub CANARY = "canary.must-fail", tier: Reads, needs: [], fault: Fault::Guest("online", |_, _| {});
    async fn canary(cell) {
        let guest = cell.system().online().await?.map(|cpus| cpus.len());
        let host = cell.look().await?.vcpus?.map(|vcpus| vcpus.len());
        Ok(Observations::of([Finding::same_as("online vCPUs", guest, host, host.value + 1)]))
    }
}
