//! Defects on purpose: what a host makes is not what was declared.
//!
//! A check that a defect does not turn red proves nothing. A defect belongs to the host
//! ([`Host::with_defects`](crate::Host::with_defects)), never to a specification, so nobody who
//! reads the specification can know of it.

use std::time::Duration;

use hospitium_model::{ByteSize, MachineSpec};

use crate::HostError;

/// What is wrong with every machine of a defective host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Defect {
    /// This disk acknowledges flushes and does not carry them out.
    IgnoreFlushes {
        /// The disk.
        disk: String,
    },
    /// Two disks are exchanged: each has the other's content.
    SwapDisks {
        /// One.
        one: String,
        /// The other.
        other: String,
    },
    /// The cable of this interface is dead from the start.
    DeadCable {
        /// The interface.
        nic: String,
    },
    /// A machine's memory is what the machine before it on this host, in the same folder, has left.
    KeepsMemory,
    /// One vCPU is missing.
    VcpuShort,
    /// A quarter of the memory is missing.
    MemoryShort,
    /// The hardware clock goes this much ahead.
    ClockAhead {
        /// By how much.
        by: Duration,
    },
}

impl Defect {
    /// True if a machine that is saved already cannot get it, so that it needs a boot of its own: the saved
    /// state says how many vCPUs there are, how much memory, and what time the hardware clock has.
    pub const fn needs_boot(&self) -> bool {
        matches!(self, Self::VcpuShort | Self::MemoryShort | Self::ClockAhead { .. })
    }
}

/// The machine that is really made: the specification without what these defects take from it. vCPUs are taken by
/// [`vcpus_of`], for what is declared of their topology stays.
///
/// # Errors
/// The machine has not got what is to be missing.
pub fn altered_by(defects: &[Defect], spec: &MachineSpec) -> Result<MachineSpec, HostError> {
    let mut real = spec.clone();
    if defects.contains(&Defect::MemoryShort) {
        let mib = real.memory.size.as_mib();
        real.memory.size = ByteSize::mib(mib - mib / 4);
    }
    if defects.contains(&Defect::VcpuShort) && spec.cpus.count() < 2 {
        return Err(HostError::Unsupported {
            what: "a machine that lacks one vCPU".into(),
            why: "it has only one".into(),
        });
    }
    Ok(real)
}

/// vCPUs that are really there from the start.
pub fn vcpus_of(defects: &[Defect], spec: &MachineSpec) -> u32 {
    spec.cpus.count() - u32::from(defects.contains(&Defect::VcpuShort))
}

/// How far the hardware clock is ahead.
pub fn clock_ahead(defects: &[Defect]) -> Duration {
    let each = defects.iter().map(|defect| match defect {
        Defect::ClockAhead { by } => *by,
        _ => Duration::ZERO,
    });
    each.sum()
}

/// Interfaces whose cable is dead.
pub fn dead_cables(defects: &[Defect]) -> impl Iterator<Item = &str> {
    defects.iter().filter_map(|defect| match defect {
        Defect::DeadCable { nic } => Some(nic.as_str()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use hospitium_model::Boot;

    use super::*;

    #[test]
    fn what_is_built_lacks_what_the_defect_takes_and_the_declaration_stays() {
        let spec = MachineSpec::new(ByteSize::mib(256), Boot::Nothing);
        let defects = [Defect::MemoryShort, Defect::VcpuShort];
        assert_eq!(altered_by(&defects, &spec).expect("altered").memory.size, ByteSize::mib(192));
        assert_eq!((vcpus_of(&defects, &spec), vcpus_of(&[], &spec)), (1, 2));
        let mut single = spec;
        single.cpus.cores = 1;
        assert!(matches!(altered_by(&defects, &single), Err(HostError::Unsupported { .. })));
    }
}
