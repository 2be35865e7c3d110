//! The checks: what a guest on a hypervisor must be shown to do.
//!
//! One file a subsystem under [`checks`], one short async function a check. In comes a [`Cell`]: a
//! clone of the booted machine with the probe answering inside and the hypervisor outside. Out come
//! [`Observations`](hospitium_model::Observations) of two witnesses, from which the verdict follows
//! by rule. Every check names a [`Fault`] that must turn it red; a test shows that it does.
//! docs/writing-a-check.md tells how to add one.

mod booted;
pub mod canary;
mod cell;
mod check;
pub mod checks;
mod dump;
mod error;
mod fault;
mod gives;
mod hand_over;
mod lab;
mod life;
mod listen;
mod needs;
mod origin;
mod patience;
pub mod silence;
mod sink;
mod standard;
#[cfg(feature = "transcripts")]
pub mod studio;
#[cfg_attr(not(feature = "transcripts"), expect(dead_code, reason = "what plays is left out"))]
pub mod tape;
mod tenant;
mod vmcoreinfo;

pub use booted::{BootClocks, BootFacts, Booted, LabError, boot};
pub use cell::{Cell, Finished, Moved};
pub use check::{Check, CheckFuture};
pub use error::CheckError;
pub use fault::{Call, Fault, FaultyMachine, SeamFault};
pub use gives::{FacetKind, Gives, SightKind};
pub use lab::{CloneOptions, Lab, LabParts};
pub use life::Action;
pub use listen::Listening;
pub use needs::Need;
pub use origin::Origin;
pub use patience::time_left;
pub use sink::Sink;
pub use standard::{StandardOptions, serial, standard_machine};
pub use tape::{Cable, CableError};

/// The expectations that ship with the suite: what is right for which guest on which host.
pub const EXPECTATIONS: &str = include_str!("../expectations.toml");

/// Ids of the devices that the standard machine has, by their purpose.
pub mod device {
    /// The disk that checks write on; with a power-loss log.
    pub const SCRATCH: &str = "scratch";
    /// A second disk whose medium has little room.
    pub const CRAMPED: &str = "cramped";
    /// A disk that refuses writes.
    pub const SEALED: &str = "sealed";
    /// An optical drive.
    pub const CDROM: &str = "cdrom";
    /// The network interface whose cable ends in the harness.
    pub const NIC: &str = "net0";
}
