//! QEMU machines of a local libvirt.
//!
//! In comes a [`MachineSpec`](hospitium_model::MachineSpec); out comes a transient domain whose channels and
//! cables end at sockets that wait here before its VMM starts. What is told of it is libvirt's own answer;
//! what libvirt does not tell is asked of the VMM through libvirt (`virDomainQemuMonitorCommand`), and
//! nothing is done to a machine that way. The definition that libvirt repeats is no witness.
//!
//! VMMs may be another user's: that user gets a folder of its own, and links to or copies of what it
//! cannot reach. A saved machine goes on under its own name and UUID, so there is one at a time
//! ([`Isolation::Revert`](hospitium_host::Isolation::Revert)).
//!
//! Every call of libvirt blocks, and runs on a thread that nobody waits for longer than its limit. When the
//! connection is lost, everything that waits ends with that reason.
//!
//! Layers, from the ground up: `ffi` (all that is unsafe), `options`, `user`, `vmm` · `watched`, `place`,
//! `sockets`, `xml` (pure), `image` · `connection`, `snapshot`, `firmware`, `orphans` · `shared` · `running` (a machine) ·
//! `monitor`, `look`, `ops`, `defects` · `facets`, `machine` · `build` · `driver`.

mod build;
mod connection;
#[cfg(feature = "daemon")]
pub mod daemon;
mod defects;
mod driver;
mod facets;
mod ffi;
mod firmware;
mod image;
mod look;
mod machine;
mod monitor;
mod ops;
mod options;
mod orphans;
mod place;
mod running;
mod shared;
mod snapshot;
mod sockets;
mod user;
mod vmm;
mod watched;
mod xml;

pub use driver::Libvirt;
pub use options::LibvirtOptions;
pub use orphans::LibvirtReaper;
