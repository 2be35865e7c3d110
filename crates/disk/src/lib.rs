//! A disk of the harness's own, which loses what was not flushed when its power is cut.
//!
//! Killing a hypervisor leaves the page cache of its computer intact, so the file of an image shows what was written and
//! not what was flushed. Here the image lies behind a [`Disk`]: the hypervisor reads and writes it by NBD over a socket,
//! as it would any network disk, and only a flush, or a write with "force unit access", takes what was written to the
//! image's file. What a hypervisor does with a guest's flush is therefore seen where it must arrive.
//!
//! The other end of the socket is hostile: a guest may have taken over the hypervisor. Nothing that it sends reaches
//! past the image's size, takes unbounded memory or stops the harness.
//!
//! Layers, from the ground up: `extents` · `store` (what is kept and what is not yet) · `nbd` (the protocol) · `disk`.

mod disk;
mod extents;
mod nbd;
mod store;

pub use disk::Disk;
pub use nbd::{ProtocolError, serve};
pub use store::{Seen, Store};
