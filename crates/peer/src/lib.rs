//! The other end of a guest's network cable: a small IPv4 host that witnesses every frame.
//!
//! In comes the stream of Ethernet frames of one network interface, each led by its length as a
//! big-endian `u32` (what QEMU's `-netdev stream` speaks). On it a [`Peer`] answers as a well-behaved
//! neighbour does: ARP, ICMP echo, DHCP (one address, one gateway), and on the well-known ports
//! [`ECHO_PORT`] (TCP and UDP), [`SINK_PORT`] and [`SOURCE_PORT`]. The stack is smoltcp's, in this
//! process: no socket of the operating system is opened, no privilege is needed, and nothing but the
//! peer can be reached from the guest.
//!
//! Out goes the host's witness of what the guest did: [`PeerStats`] (counters, addresses seen, leases,
//! checksums verified), [`Transfer`]s (a digest for each connection), a [log](Peer::log) of frames and,
//! if asked for, a pcap file. Every wait is for an event and has a limit.
//!
//! Frames are hostile. A length over [`LONGEST_FRAME`] ends the cable, everything that is kept is
//! bounded, and what does not parse is counted and dropped.

mod cable;
mod connections;
mod datagrams;
mod dhcp;
mod frame;
mod mac;
mod options;
mod pcap;
mod peer;
mod stack;
mod stats;
mod task;

pub use cable::{CableFault, FrameStream, LONGEST_FRAME};
pub use connections::{ECHO_PORT, SINK_PORT, SOURCE_PORT};
pub use frame::{Frame, FrameKind};
pub use mac::{Mac, MacError};
pub use options::{Capture, PeerOptions, Source, Vlan};
pub use peer::{Peer, PeerError};
pub use stats::{FrameRecord, Lease, PeerStats, Service, Transfer, TransferEnd};
