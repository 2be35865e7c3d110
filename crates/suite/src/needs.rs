//! What must be there for a check to apply. Decided from declared facts and capability queries
//! before anything runs, never from a failure.

use hospitium_host::EventClass;
use hospitium_model::{
    Answer, Bus, Capability, ChannelKind, Disk, Firmware, GuestKind, Inability, MachineSpec,
    NicModel, SkipReason, Verdict,
};

use crate::{FacetKind, Lab, SightKind};

/// A condition under which a check applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The host can do this.
    Host(Capability),
    /// Machines go on from a saved one.
    Clones,
    /// The host's machines have this facet. As for the two that follow: without it the check cannot come to its end,
    /// and an inability that shows only then is an error.
    Facet(FacetKind),
    /// The host sees this of its machines.
    Sight(SightKind),
    /// The host tells of events of this class.
    Events(EventClass),
    /// The guest has a driver, built in or as a module, for this device of
    /// `guests/linux-modules.toml`.
    Driver(&'static str),
    /// The machine has a device of this id.
    Device(&'static str),
    /// The disk of this id is on a bus by which blocks can be given back.
    TakesDiscard(&'static str),
    /// The disk of this id is on a bus by which the guest is told of a new size.
    TellsOfSize(&'static str),
    /// Somebody says which version the guest is.
    DeclaredVersion,
    /// The machine has at least so many vCPUs.
    Vcpus(u32),
    /// The machine can be given more vCPUs.
    SpareVcpus,
    /// The machine can be given more memory.
    SpareMemory,
    /// The machine has a display.
    Display,
    /// Guest instructions run on hardware virtualization, as measured.
    HardwareVirtualization,
    /// Only on this kind of guest.
    Guest(GuestKind),
    /// Only under this firmware.
    Firmware(Firmware),
    /// The machine has a VM generation id.
    GenerationId,
    /// The machine has a paravirtual (virtio) device on its PCI bus.
    Paravirtual,
    /// The machine has a watchdog.
    Watchdog,
}

impl Need {
    /// `None` if it is there, else the skip with its reason; a miss if it was chosen to be absent.
    pub fn missing(self, lab: &Lab) -> Option<Verdict> {
        let spec = lab.spec();
        let skip = |why, reason: String| Some(Verdict::Skip { why, reason });
        let guest = |reason: String| skip(SkipReason::UnsupportedByGuest, reason);
        let machine = |holds: bool, what: &str| {
            if holds {
                None
            } else {
                skip(SkipReason::NotRequired, format!("the machine is configured without {what}"))
            }
        };
        match self {
            Self::Host(what) => match lab.host().offers(what) {
                Answer::Yes => None,
                Answer::No(why) => skip(SkipReason::UnsupportedByHost, why),
            },
            Self::Clones => lab.origin().no_clones(),
            Self::Facet(kind) => lab.gives().and_then(|gives| skipped(gives.no_facet(kind))),
            Self::Sight(kind) => lab.gives().and_then(|gives| skipped(gives.unseen(kind))),
            Self::Events(class) => lab.gives().and_then(|gives| skipped(gives.untold(class))),
            Self::Driver(device) => match lab.guest().driver(device) {
                Answer::Yes => None,
                Answer::No(why) => guest(why),
            },
            Self::Device(id) => machine(
                spec.disk(id).is_some() || spec.nic(id).is_some(),
                &format!("the device {id:?}"),
            ),
            Self::TakesDiscard(id) => match spec.disk(id).map(|disk| disk.bus.takes_discard()) {
                Some(Answer::No(why)) => guest(why),
                Some(Answer::Yes) | None => None,
            },
            Self::TellsOfSize(id) => match spec.disk(id).map(|disk| disk.bus.tells_of_size()) {
                Some(Answer::No(why)) => skip(SkipReason::UnsupportedByHost, why),
                Some(Answer::Yes) | None => None,
            },
            Self::DeclaredVersion => match lab.guest().facts().tells_version() {
                Answer::No(why) => skip(SkipReason::NotRequired, why),
                Answer::Yes => None,
            },
            Self::Vcpus(n) => machine(spec.cpus.count() >= n, &format!("{n} vCPUs")),
            Self::SpareVcpus => machine(spec.cpus.max_count() > spec.cpus.count(), "spare vCPUs"),
            Self::SpareMemory => {
                machine(spec.memory.max > spec.memory.size, "room for more memory")
            }
            Self::Display => machine(spec.display, "a display"),
            Self::GenerationId => machine(spec.generation_id.is_some(), "a VM generation id"),
            Self::Paravirtual => machine(is_paravirtual(spec), "a paravirtual device"),
            Self::Watchdog => machine(spec.watchdog.is_some(), "a watchdog"),
            Self::HardwareVirtualization => {
                let proof = &lab.host().facts().accelerator;
                if proof.used.is_hardware() {
                    None
                } else {
                    skip(SkipReason::UnsupportedByHost, proof.how.clone())
                }
            }
            Self::Guest(kind) => {
                if lab.guest().facts().kind == kind {
                    None
                } else {
                    let what = match kind {
                        GuestKind::Kernel => "made for kernel guests, where the probe is init",
                        GuestKind::Disk => "needs a whole system; this guest is a bare kernel",
                    };
                    guest(what.to_owned())
                }
            }
            Self::Firmware(kind) => machine(
                spec.firmware == kind,
                match kind {
                    Firmware::Bios => "BIOS firmware",
                    Firmware::Uefi => "UEFI firmware",
                },
            ),
        }
    }
}

/// Whether a machine has a virtio device of the PCI bus.
fn is_paravirtual(spec: &MachineSpec) -> bool {
    let on_virtio = |disk: &Disk| matches!(disk.bus, Bus::Virtio | Bus::VirtioScsi);
    spec.balloon
        || spec.rng
        || spec.disks.iter().any(on_virtio)
        || spec.nics.iter().any(|nic| nic.model == NicModel::Virtio)
        || spec.channels.iter().any(|channel| channel.kind == ChannelKind::Virtio)
}

fn skipped(why: Option<&Inability>) -> Option<Verdict> {
    why.cloned().map(Inability::skip)
}
