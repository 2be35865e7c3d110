//! The canary of a run: a machine with a real defect, which a regular check has to find.
//!
//! A suite that does not notice a lying disk in a machine that was given one on purpose proves nothing about the
//! others. Which defect it is, is drawn anew for each run.

use std::time::Duration;

use hospitium_host::Defect;

use crate::{Check, Lab, Need, checks, device};

/// A defect that a machine can be given, and the check that has to find it.
#[derive(Debug, Clone, Copy)]
pub struct Canary {
    /// What is wrong, as a clause: "the network cable is dead".
    pub what: &'static str,
    /// Id of the check.
    pub found_by: &'static str,
    /// What a machine must have to be without it.
    pub needs: &'static [Need],
    /// The defect.
    pub defect: fn() -> Defect,
}

/// All of them. Those that [need a boot](Defect::needs_boot) are for hosts on which every machine boots: elsewhere
/// a boot more would cost a run too much.
pub const CANARIES: &[Canary] = &[
    Canary {
        what: "the scratch disk acknowledges flushes and drops them",
        found_by: "stor.flush-durable",
        needs: &[],
        defect: || Defect::IgnoreFlushes { disk: device::SCRATCH.into() },
    },
    Canary {
        what: "the network cable is dead",
        found_by: "net.mac-ip",
        needs: &[],
        defect: || Defect::DeadCable { nic: device::NIC.into() },
    },
    Canary {
        what: "one vCPU is missing",
        found_by: "cpu.count",
        needs: &[Need::Vcpus(2)],
        defect: || Defect::VcpuShort,
    },
    Canary {
        what: "a quarter of the memory is missing",
        found_by: "mem.size",
        needs: &[],
        defect: || Defect::MemoryShort,
    },
    Canary {
        what: "the hardware clock goes an hour ahead",
        found_by: "clk.offset",
        needs: &[],
        defect: || Defect::ClockAhead { by: Duration::from_secs(3600) },
    },
];

/// Those that the host can give a machine of this lab and whose check applies, each with its check: the drawn one
/// first. Empty if there is none.
pub fn draw(lab: &Lab, drawn: u64) -> Vec<(&'static Canary, &'static Check)> {
    let can = |canary: &'static Canary| {
        let check = checks::all().into_iter().find(|check| check.id == canary.found_by)?;
        let applies =
            check.needs.iter().chain(canary.needs).all(|need| need.missing(lab).is_none());
        let defect = (canary.defect)();
        let can = lab.can_get(&defect) && lab.host().with_defects(&[defect]).is_ok();
        (applies && can).then_some((canary, check))
    };
    let mut fit: Vec<_> = CANARIES.iter().filter_map(can).collect();
    if let Some(at) = drawn.checked_rem(fit.len() as u64) {
        fit.rotate_left(usize::try_from(at).unwrap_or(0));
    }
    fit
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
