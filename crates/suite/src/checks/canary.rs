//! The canary: a check that must fail. A cell in which it passes proves nothing.

use hospitium_model::{Finding, Observations};

use super::read;
use crate::{Fault, check};

check! {
    /// Claims one vCPU more than there is, and must therefore fail.
    pub CANARY = "canary.must-fail", tier: Reads, needs: [], fault: Fault::Reply(|_, _| {});
    async fn canary(cell) {
        let online = read::text(&cell.guest, "/sys/devices/system/cpu/online").await?;
        let guest = read::cpu_list(&online).map_or(0, |list| list.len());
        let host = cell.look().await?.vcpus?.value.len();
        Ok(Observations::of([Finding::same_as("online vCPUs", guest, host, host + 1)]))
    }
}
