//! What a peer is on its network.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use hospitium_model::Pattern;

use crate::{Mac, PeerError};

/// What a peer is on its network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerOptions {
    /// The peer's own address on the link.
    pub mac: Mac,
    /// The peer's own address, which is also the gateway that DHCP gives.
    pub address: Ipv4Addr,
    /// Length of the network's prefix in bits, 8 to 30.
    pub prefix: u8,
    /// The address that DHCP gives to the guest.
    pub guest: Ipv4Addr,
    /// MTU in bytes without the Ethernet header, 576 to 9216: larger datagrams of the peer are
    /// fragmented, and the MSS that it announces follows from it. Larger frames of the guest are taken
    /// all the same.
    pub mtu: u16,
    /// What the source port sends; [`Peer::set_source`](crate::Peer::set_source) changes it.
    pub source: Source,
    /// Answer on this VLAN too.
    pub vlan: Option<Vlan>,
    /// Write frames to a file.
    pub capture: Option<Capture>,
}

/// What the source port sends on each connection before it closes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The bytes.
    pub pattern: Pattern,
    /// How many.
    pub length: u64,
}

/// An IEEE 802.1Q network on the same cable on which the peer has the same services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vlan {
    /// VLAN identifier, 1 to 4094.
    pub id: u16,
    /// The peer's address in it.
    pub address: Ipv4Addr,
    /// Length of its prefix in bits, 8 to 30.
    pub prefix: u8,
    /// The address that DHCP gives in it.
    pub guest: Ipv4Addr,
}

/// Frames of both directions as a pcap file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// The file; replaced if it is there.
    pub path: PathBuf,
    /// The file ends before the frame that would make it larger than this, in bytes.
    pub limit: u64,
}

impl Default for PeerOptions {
    /// 10.77.0.1/24 with a locally administered address, the guest being 10.77.0.2, MTU 1500.
    fn default() -> Self {
        Self {
            mac: Mac([0x52, 0x54, 0x00, 0x77, 0x00, 0x01]),
            address: Ipv4Addr::new(10, 77, 0, 1),
            prefix: 24,
            guest: Ipv4Addr::new(10, 77, 0, 2),
            mtu: 1500,
            source: Source { pattern: Pattern::seeded(0), length: 0 },
            vlan: None,
            capture: None,
        }
    }
}

impl PeerOptions {
    pub(crate) fn check(&self) -> Result<(), PeerError> {
        let bad = |what: String| Err(PeerError::Options { what });
        if self.mac.is_multicast() || self.mac == Mac([0; 6]) {
            return bad(format!("{} is no address of a single station", self.mac));
        }
        if !(576..=9216).contains(&self.mtu) {
            return bad(format!("an MTU of {} is not from 576 to 9216", self.mtu));
        }
        let networks = std::iter::once((self.address, self.guest, self.prefix))
            .chain(self.vlan.map(|vlan| (vlan.address, vlan.guest, vlan.prefix)));
        for (address, guest, prefix) in networks {
            if !(8..=30).contains(&prefix) {
                return bad(format!("a prefix of {prefix} bits is not from 8 to 30"));
            }
            let host = u32::MAX >> prefix;
            let is_host = |a: Ipv4Addr| a.to_bits() & host != 0 && a.to_bits() & host != host;
            let same = address.to_bits() & !host == guest.to_bits() & !host;
            let single = |a: Ipv4Addr| !a.is_multicast() && !a.is_loopback() && is_host(a);
            if !same || address == guest || !single(address) || !single(guest) {
                return bad(format!("{address} and {guest} are no two hosts of one /{prefix}"));
            }
        }
        match self.vlan {
            Some(vlan) if !(1..=4094).contains(&vlan.id) => {
                bad(format!("VLAN {} is not from 1 to 4094", vlan.id))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_no_network_can_have_are_refused() {
        let good = PeerOptions::default();
        assert!(good.check().is_ok());
        let refused = |change: fn(&mut PeerOptions)| {
            let mut options = PeerOptions::default();
            change(&mut options);
            assert!(matches!(options.check(), Err(PeerError::Options { .. })), "{options:?}");
        };
        refused(|o| o.mac = Mac([1, 0, 0, 0, 0, 0]));
        refused(|o| o.mtu = 100);
        refused(|o| o.prefix = 31);
        refused(|o| o.guest = o.address);
        refused(|o| o.guest = Ipv4Addr::new(10, 78, 0, 2));
        refused(|o| o.guest = Ipv4Addr::new(10, 77, 0, 255));
        refused(|o| {
            let (address, guest) = (Ipv4Addr::new(10, 9, 0, 1), Ipv4Addr::new(10, 9, 0, 2));
            o.vlan = Some(Vlan { id: 4095, address, prefix: 24, guest });
        });
    }
}
