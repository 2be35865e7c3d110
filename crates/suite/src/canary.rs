//! The canary of a run: a machine with a real defect, which a regular check has to find.
//!
//! A suite that does not notice a lying disk in a machine that was given one on purpose proves nothing about the
//! others. Which defect it is, is drawn anew for each run.

use hospitium_host::Defect;

use crate::{Check, Lab, checks, device};

/// A defect that a clone can be given, and the check that has to find it.
#[derive(Debug, Clone, Copy)]
pub struct Canary {
    /// What is wrong, as a clause: "the network cable is dead".
    pub what: &'static str,
    /// Id of the check.
    pub found_by: &'static str,
    /// The defect.
    pub defect: fn() -> Defect,
}

/// All of them. Defects that [need a boot](Defect::needs_boot) would cost a run too much.
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
];

/// The canary of this draw for this lab, with its check: the first, from the drawn one on, that the host can give a
/// machine and whose check applies. None if there is none.
pub fn draw(lab: &Lab, drawn: u64) -> Option<(&'static Canary, &'static Check)> {
    let begin = usize::try_from(drawn % CANARIES.len() as u64).unwrap_or(0);
    (0..CANARIES.len()).find_map(|n| {
        let canary = &CANARIES[(begin + n) % CANARIES.len()];
        let check = checks::all().into_iter().find(|check| check.id == canary.found_by)?;
        let applies = check.needs.iter().all(|need| need.missing(lab).is_none());
        let can = lab.host().with_defects(&[(canary.defect)()]).is_ok();
        (applies && can).then_some((canary, check))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_canary_is_found_by_a_check_that_there_is_and_needs_no_boot() {
        for canary in CANARIES {
            assert!(!(canary.defect)().needs_boot(), "{}", canary.what);
            let check = checks::all().into_iter().find(|check| check.id == canary.found_by);
            assert!(check.is_some(), "{} is no check", canary.found_by);
        }
    }
}
