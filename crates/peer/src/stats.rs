//! The witness: what was seen on the cable, within bounds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use hospitium_model::Digest;
use serde::{Deserialize, Serialize};

use crate::frame::{self, Checksum};
use crate::{CableFault, Frame, FrameKind, Mac};

/// Addresses and leases that are kept; a machine has few.
const KEPT: usize = 64;
/// Connections that a peer takes in its life.
pub(crate) const TRANSFERS: usize = 1024;
/// First frames and last frames that the log keeps.
const LOGGED: usize = 128;

/// What a peer has seen so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStats {
    /// Frames from the guest.
    pub frames_from_guest: u64,
    /// Their bytes, without FCS.
    pub bytes_from_guest: u64,
    /// Frames to the guest.
    pub frames_to_guest: u64,
    /// Their bytes.
    pub bytes_to_guest: u64,
    /// Answers that were dropped because the guest's side did not read.
    pub dropped_to_guest: u64,
    /// Source addresses of the guest's frames, with how many frames each sent. At most 64.
    pub guest_macs: BTreeMap<Mac, u64>,
    /// IPv4 addresses that the guest sent from or claimed by ARP. At most 64.
    pub guest_addresses: BTreeSet<Ipv4Addr>,
    /// Frames from further addresses than the 64 that are kept.
    pub further_macs: u64,
    /// Leases given and renewed, in order: at most 64, the last being the latest.
    pub leases: Vec<Lease>,
    /// How many there were.
    pub leases_given: u64,
    /// DHCP messages from the guest that parsed.
    pub dhcp_messages: u64,
    /// Longest frame from the guest in bytes, Ethernet header included.
    pub longest_from_guest: u64,
    /// Frames from the guest that were fragments of IPv4 datagrams.
    pub fragments_from_guest: u64,
    /// Frames to the guest that were fragments.
    pub fragments_to_guest: u64,
    /// TCP resets from the guest.
    pub resets_from_guest: u64,
    /// TCP resets to the guest.
    pub resets_to_guest: u64,
    /// Frames from the guest with an 802.1Q tag, by VLAN identifier.
    pub tagged_from_guest: BTreeMap<u16, u64>,
    /// IPv4 frames from the guest whose checksums are right, header and transport.
    pub checksums_right: u64,
    /// Those with a wrong one, which the peer dropped.
    pub checksums_wrong: u64,
    /// Frames from the guest that did not parse.
    pub malformed_from_guest: u64,
    /// Times a cable was plugged in.
    pub plugged: u64,
    /// Why the cable carries no frames now.
    pub fault: Option<CableFault>,
    /// Frames written to the capture.
    pub captured: u64,
    /// Why the capture ended early, if it did.
    pub capture_ended: Option<String>,
}

/// An address that DHCP gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// To whom.
    pub mac: Mac,
    /// The address.
    pub address: Ipv4Addr,
    /// In which VLAN.
    pub vlan: Option<u16>,
    /// When, since the peer was started.
    pub at: Duration,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// The guest sends, the peer counts and digests.
    Sink,
    /// The peer sends a pattern and closes.
    Source,
    /// The peer sends back what it gets.
    Echo,
}

/// A TCP connection that the guest made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// What it is for.
    pub service: Service,
    /// The guest's side.
    pub guest: SocketAddrV4,
    /// In which VLAN.
    pub vlan: Option<u16>,
    /// Bytes from the guest so far.
    pub received: u64,
    /// Bytes handed to the guest's side so far.
    pub sent: u64,
    /// When it was made, since the peer was started.
    pub began: Duration,
    /// How and when it ended; none while it goes on.
    pub end: Option<(TransferEnd, Duration)>,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransferEnd {
    /// The sender closed it and all was acknowledged.
    Whole {
        /// SHA-256 of what the guest sent (sink, echo), or of what the peer sent (source).
        digest: Digest,
    },
    /// It was reset, timed out, or closed by the guest too early.
    Broken,
}

impl Transfer {
    /// The digest if it ended as it should.
    pub const fn digest(&self) -> Option<Digest> {
        match self.end {
            Some((TransferEnd::Whole { digest }, _)) => Some(digest),
            _ => None,
        }
    }
}

/// A frame that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FrameRecord {
    /// When, since the peer was started.
    pub at: Duration,
    /// True if the guest sent it.
    pub from_guest: bool,
    /// Bytes, Ethernet header included.
    pub length: u32,
    /// What it is.
    pub frame: Frame,
}

/// All that the peer's task writes down and its handle reads.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub stats: PeerStats,
    pub transfers: Vec<Transfer>,
    first: Vec<FrameRecord>,
    last: VecDeque<FrameRecord>,
}

/// Where a frame from the guest goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Nowhere: it is broken.
    Drop,
    /// To the stack of this VLAN, or of none.
    Stack(Option<u16>),
}

impl Books {
    /// The frames that the log keeps: the first and the last ones.
    pub fn log(&self) -> Vec<FrameRecord> {
        self.first.iter().chain(&self.last).copied().collect()
    }

    /// Writes down a frame from the guest.
    pub fn receive(&mut self, bytes: &[u8], at: Duration) -> Way {
        let (frame, checksum) = frame::read(bytes, true);
        let stats = &mut self.stats;
        stats.frames_from_guest += 1;
        stats.bytes_from_guest += bytes.len() as u64;
        stats.longest_from_guest = stats.longest_from_guest.max(bytes.len() as u64);
        if bytes.len() >= 12 && !frame.from.is_multicast() {
            let room = stats.guest_macs.len() < KEPT;
            match stats.guest_macs.get_mut(&frame.from) {
                Some(count) => *count += 1,
                None if room => {
                    stats.guest_macs.insert(frame.from, 1);
                }
                None => stats.further_macs += 1,
            }
        }
        if let Some(id) = frame.vlan {
            *stats.tagged_from_guest.entry(id).or_default() += 1;
        }
        stats.fragments_from_guest += u64::from(matches!(frame.kind, FrameKind::Fragment { .. }));
        stats.resets_from_guest += u64::from(frame.kind.is_reset());
        match checksum {
            Checksum::Absent => {}
            Checksum::Right => stats.checksums_right += 1,
            Checksum::Wrong => stats.checksums_wrong += 1,
        }
        let malformed = frame.kind == FrameKind::Malformed || frame.from.is_multicast();
        stats.malformed_from_guest += u64::from(malformed);
        let drop = malformed || checksum == Checksum::Wrong;
        if let Some(sender) = frame.kind.sender()
            && !drop
            && !sender.is_unspecified()
            && stats.guest_addresses.len() < KEPT
        {
            stats.guest_addresses.insert(sender);
        }
        self.record(FrameRecord { at, from_guest: true, length: length(bytes), frame });
        if drop { Way::Drop } else { Way::Stack(frame.vlan) }
    }

    /// Writes down a frame to the guest.
    pub fn send(&mut self, bytes: &[u8], at: Duration) {
        let (frame, _) = frame::read(bytes, false);
        let stats = &mut self.stats;
        stats.frames_to_guest += 1;
        stats.bytes_to_guest += bytes.len() as u64;
        stats.fragments_to_guest += u64::from(matches!(frame.kind, FrameKind::Fragment { .. }));
        stats.resets_to_guest += u64::from(frame.kind.is_reset());
        self.record(FrameRecord { at, from_guest: false, length: length(bytes), frame });
    }

    /// Writes down a lease.
    pub fn leased(&mut self, lease: Lease) {
        self.stats.leases_given += 1;
        self.stats.leases.truncate(KEPT - 1);
        self.stats.leases.push(lease);
    }

    fn record(&mut self, record: FrameRecord) {
        if self.first.len() < LOGGED {
            self.first.push(record);
            return;
        }
        if self.last.len() == LOGGED {
            self.last.pop_front();
        }
        self.last.push_back(record);
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_addresses_and_frames_fills_no_memory() {
        let mut books = Books::default();
        for n in 0..10_000u32 {
            let mut bytes = vec![0; 42];
            bytes[6..10].copy_from_slice(&(n << 1).to_le_bytes());
            bytes[6] &= 0xfe;
            bytes[12..14].copy_from_slice(&[0x88, 0xb5]);
            books.receive(&bytes, Duration::ZERO);
        }
        assert_eq!(books.stats.guest_macs.len(), KEPT);
        assert_eq!(books.log().len(), 2 * LOGGED);
        assert_eq!(books.stats.frames_from_guest, 10_000);
        assert_eq!(books.stats.guest_macs.values().sum::<u64>() + books.stats.further_macs, 10_000);
    }
}
