//! What the host sees of a machine: libvirt's own answers, and of what libvirt does not tell the answers of its
//! VMM, which libvirt passes on. The live XML repeats what was written into it and is no witness but of what
//! is there.

use hospitium_host::{HostError, Look, MachineState, SeenDisk, Sight, alter};
use hospitium_model::{ByteSize, HostSource};
use virt::domain::Domain;
use virt::error::Error;
use virt::sys;

use crate::running::LibvirtMachine;
use crate::watched::id_of;
use crate::xml::live;

/// See [`Machine::look`](hospitium_host::Machine::look).
pub(crate) async fn look(machine: &LibvirtMachine) -> Result<Look, HostError> {
    let mut look = match hospitium_qmp::look(machine).await {
        Ok(look) => look,
        // Libvirt does not let everybody ask the VMM.
        Err(HostError::Refused { why, .. } | HostError::Unsupported { why, .. }) => {
            Look::unseen(&format!("libvirt does not pass on questions to the VMM: {why}"))
        }
        Err(error) => return Err(error),
    };
    let (state, reason) = machine.ask("asking for the state", Domain::get_state).await?;
    look.state = Ok(HostSource::Hypervisor.saw(state_of(state, reason)));
    let domain = machine.live().await?;
    // The addresses in the XML are those that were written into it.
    alter(&mut look.nics, |nics| nics.iter_mut().for_each(|nic| nic.id = id_of(&nic.id)));
    look.disks = disks(machine, &domain, look.disks).await?;
    Ok(look)
}

/// `virDomainState` and its reason.
fn state_of(state: sys::virDomainState, reason: i32) -> MachineState {
    let reason = reason.cast_unsigned();
    match state {
        sys::VIR_DOMAIN_RUNNING => MachineState::Running,
        sys::VIR_DOMAIN_PAUSED => match reason {
            sys::VIR_DOMAIN_PAUSED_IOERROR => MachineState::IoError,
            sys::VIR_DOMAIN_PAUSED_WATCHDOG => MachineState::Watchdog,
            sys::VIR_DOMAIN_PAUSED_CRASHED => MachineState::Crashed,
            sys::VIR_DOMAIN_PAUSED_SHUTTING_DOWN => MachineState::Off,
            sys::VIR_DOMAIN_PAUSED_SAVE | sys::VIR_DOMAIN_PAUSED_DUMP => MachineState::Other,
            // "Migration" is what libvirt 9 says of one that waits after it was restored, too.
            _ => MachineState::Paused,
        },
        sys::VIR_DOMAIN_CRASHED => MachineState::Crashed,
        sys::VIR_DOMAIN_SHUTDOWN | sys::VIR_DOMAIN_SHUTOFF => MachineState::Off,
        sys::VIR_DOMAIN_PMSUSPENDED => MachineState::Suspended,
        _ => MachineState::Other,
    }
}

/// Sizes and counters of disks by libvirt, the rest by the VMM.
async fn disks(
    machine: &LibvirtMachine,
    domain: &hospitium_xml::Element,
    by_vmm: Sight<Vec<SeenDisk>>,
) -> Result<Sight<Vec<SeenDisk>>, HostError> {
    let by_vmm: Vec<SeenDisk> = by_vmm.map(|seen| seen.value).unwrap_or_default();
    let mut all = Vec::new();
    for (id, target) in live::disks(domain) {
        let name = target.clone();
        let asked = machine.ask("asking for a disk", move |domain| numbers(domain, &name)).await;
        let (size, writes, flushes) = match asked {
            Ok(numbers) => numbers,
            // One that is just going.
            Err(HostError::Refused { .. } | HostError::Unsupported { .. }) => continue,
            Err(error) => return Err(error),
        };
        let by_vmm = by_vmm.iter().find(|disk| id_of(&disk.id) == id);
        all.push(SeenDisk {
            id,
            size: ByteSize::bytes(size),
            writes,
            flushes,
            read_only: by_vmm.and_then(|disk| disk.read_only),
            medium_in: by_vmm.and_then(|disk| disk.medium_in),
            serial: by_vmm.and_then(|disk| disk.serial.clone()),
            logical_sector: by_vmm.and_then(|disk| disk.logical_sector),
            physical_sector: by_vmm.and_then(|disk| disk.physical_sector),
        });
    }
    all.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Ok(HostSource::Hypervisor.saw(all)))
}

/// Size in bytes, writes, flushes.
fn numbers(domain: &Domain, target: &str) -> Result<(u64, u64, u64), Error> {
    // An empty drive has no size.
    let size = domain.get_block_info(target, 0).map_or(0, |info| info.capacity);
    let counters = crate::ffi::block_counters(domain, target)?;
    Ok((size, counters.writes, counters.flushes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_told_from_a_stop_that_something_caused() {
        let paused = |reason: u32| state_of(sys::VIR_DOMAIN_PAUSED, reason.cast_signed());
        assert_eq!(paused(sys::VIR_DOMAIN_PAUSED_USER), MachineState::Paused);
        assert_eq!(paused(sys::VIR_DOMAIN_PAUSED_MIGRATION), MachineState::Paused);
        assert_eq!(paused(sys::VIR_DOMAIN_PAUSED_IOERROR), MachineState::IoError);
        assert_eq!(paused(sys::VIR_DOMAIN_PAUSED_WATCHDOG), MachineState::Watchdog);
        assert_eq!(paused(sys::VIR_DOMAIN_PAUSED_CRASHED), MachineState::Crashed);
        assert_eq!(state_of(sys::VIR_DOMAIN_SHUTOFF, 0), MachineState::Off);
        assert_eq!(state_of(99, 0), MachineState::Other);
    }
}
