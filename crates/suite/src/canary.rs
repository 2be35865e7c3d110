//! The canary of a run: a machine with a real defect, which a regular check has to find.
//!
//! A suite that does not notice a lying disk in a machine that was given one on purpose proves nothing about the
//! others. Which defect it is, is drawn anew for each run.

use std::time::Duration;

use hospitium_host::Defect;

use crate::{Check, Lab, checks, device};

/// A defect that a machine can be given, and the check that has to find it.
#[derive(Debug, Clone, Copy)]
pub struct Canary {
    /// What is wrong, as a clause: "the network cable is dead".
    pub what: &'static str,
    /// Id of the check.
    pub found_by: &'static str,
    /// The defect.
    pub defect: fn() -> Defect,
}

/// All of them. Those that [need a boot](Defect::needs_boot) are for hosts on which every machine boots: elsewhere
/// a boot more would cost a run too much.
pub const CANARIES: &[Canary] = &[
    Canary {
        what: "the scratch disk acknowledges flushes and drops them",
        found_by: "stor.flush-durable",
        defect: || Defect::IgnoreFlushes { disk: device::SCRATCH.into() },
    },
    Canary {
        what: "the network cable is dead",
        found_by: "net.mac-ip",
        defect: || Defect::DeadCable { nic: device::NIC.into() },
    },
    Canary { what: "one vCPU is missing", found_by: "cpu.count", defect: || Defect::VcpuShort },
    Canary {
        what: "a quarter of the memory is missing",
        found_by: "mem.size",
        defect: || Defect::MemoryShort,
    },
    Canary {
        what: "the hardware clock goes an hour ahead",
        found_by: "clk.offset",
        defect: || Defect::ClockAhead { by: Duration::from_secs(3600) },
    },
];

/// The canary of this draw for this lab, with its check, from those that the host can give a machine and whose check
/// applies. None if there is none.
pub fn draw(lab: &Lab, drawn: u64) -> Option<(&'static Canary, &'static Check)> {
    let can = |canary: &'static Canary| {
        let check = checks::all().into_iter().find(|check| check.id == canary.found_by)?;
        let applies = check.needs.iter().all(|need| need.missing(lab).is_none());
        let defect = (canary.defect)();
        let can = lab.can_get(&defect) && lab.host().with_defects(&[defect]).is_ok();
        (applies && can).then_some((canary, check))
    };
    let fit: Vec<_> = CANARIES.iter().filter_map(can).collect();
    let at = usize::try_from(drawn.checked_rem(fit.len() as u64)?).unwrap_or(0);
    fit.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_canary_is_found_by_a_check_that_there_is() {
        for canary in CANARIES {
            let check = checks::all().into_iter().find(|check| check.id == canary.found_by);
            assert!(check.is_some(), "{} is no check", canary.found_by);
        }
    }
}
