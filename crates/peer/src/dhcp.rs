//! The DHCP server (RFC 2131): one address, one gateway, no memory between peers.

use std::net::Ipv4Addr;

use smoltcp::wire::{
    DHCP_CLIENT_PORT, DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, EthernetAddress,
    IpEndpoint,
};

use crate::Mac;

/// Lifetime of a lease in seconds.
const LEASE: u32 = 24 * 3600;
/// Option "interface MTU", RFC 2132 section 5.1.
const INTERFACE_MTU: u8 = 26;
/// BOOTP's smallest message (RFC 951); some clients take none shorter.
const SHORTEST: usize = 300;

/// What the server gives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DhcpServer {
    pub server: Ipv4Addr,
    pub guest: Ipv4Addr,
    pub prefix: u8,
    pub mtu: u16,
}

/// What the server makes of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DhcpAnswer {
    /// Whom the guest's address was given to, if it was.
    pub leased: Option<Mac>,
    /// The reply and where it goes.
    pub reply: Option<(Vec<u8>, IpEndpoint)>,
}

impl DhcpServer {
    /// The answer to a message; `None` if it is none that a client sends.
    pub fn answer(self, message: &[u8]) -> Option<DhcpAnswer> {
        let packet = DhcpPacket::new_checked(message).ok()?;
        let asked = DhcpRepr::parse(&packet).ok()?;
        let nothing = DhcpAnswer { leased: None, reply: None };
        let for_us = asked.server_identifier.is_none_or(|id| id == self.server);
        let (kind, leased) = match asked.message_type {
            DhcpMessageType::Discover => (DhcpMessageType::Offer, None),
            DhcpMessageType::Request if for_us => {
                let wanted = asked.requested_ip.unwrap_or(asked.client_ip);
                if wanted == self.guest {
                    (DhcpMessageType::Ack, Some(asked.client_hardware_address.into()))
                } else {
                    (DhcpMessageType::Nak, None)
                }
            }
            DhcpMessageType::Inform => (DhcpMessageType::Ack, None),
            DhcpMessageType::Request | DhcpMessageType::Release | DhcpMessageType::Decline => {
                return Some(nothing);
            }
            _ => return None,
        };
        let reply = self.reply(&asked, kind);
        // Broadcast unless the client has an address: it is the way that every client hears.
        let known = !asked.client_ip.is_unspecified() && kind != DhcpMessageType::Nak;
        let to = if known { asked.client_ip } else { Ipv4Addr::BROADCAST };
        Some(DhcpAnswer {
            leased,
            reply: reply.map(|bytes| (bytes, IpEndpoint::new(to.into(), DHCP_CLIENT_PORT))),
        })
    }

    fn reply(self, asked: &DhcpRepr<'_>, kind: DhcpMessageType) -> Option<Vec<u8>> {
        let refused = kind == DhcpMessageType::Nak;
        let informed = asked.message_type == DhcpMessageType::Inform;
        let mtu = self.mtu.to_be_bytes();
        let options = [DhcpOption { kind: INTERFACE_MTU, data: &mtu }];
        let mask =
            Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0));
        let repr = DhcpRepr {
            message_type: kind,
            transaction_id: asked.transaction_id,
            secs: 0,
            client_hardware_address: EthernetAddress(asked.client_hardware_address.0),
            client_ip: if refused { Ipv4Addr::UNSPECIFIED } else { asked.client_ip },
            your_ip: if refused || informed { Ipv4Addr::UNSPECIFIED } else { self.guest },
            server_ip: Ipv4Addr::UNSPECIFIED,
            router: (!refused).then_some(self.server),
            subnet_mask: (!refused).then_some(mask),
            relay_agent_ip: asked.relay_agent_ip,
            broadcast: asked.broadcast,
            requested_ip: None,
            client_identifier: None,
            server_identifier: Some(self.server),
            parameter_request_list: None,
            dns_servers: None,
            max_size: None,
            lease_duration: (!refused && !informed).then_some(LEASE),
            renew_duration: None,
            rebind_duration: None,
            additional_options: if refused { &[] } else { &options },
        };
        let mut bytes = vec![0; repr.buffer_len().max(SHORTEST)];
        repr.emit(&mut DhcpPacket::new_unchecked(&mut bytes)).ok()?;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GUEST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
    const SERVER: DhcpServer =
        DhcpServer { server: Ipv4Addr::new(10, 77, 0, 1), guest: GUEST, prefix: 24, mtu: 1500 };

    fn message(message_type: DhcpMessageType, requested_ip: Option<Ipv4Addr>) -> Vec<u8> {
        let repr = DhcpRepr {
            message_type,
            transaction_id: 7,
            secs: 0,
            client_hardware_address: EthernetAddress([2, 0, 0, 0, 0, 9]),
            client_ip: Ipv4Addr::UNSPECIFIED,
            your_ip: Ipv4Addr::UNSPECIFIED,
            server_ip: Ipv4Addr::UNSPECIFIED,
            router: None,
            subnet_mask: None,
            relay_agent_ip: Ipv4Addr::UNSPECIFIED,
            broadcast: false,
            requested_ip,
            client_identifier: None,
            server_identifier: None,
            parameter_request_list: None,
            dns_servers: None,
            max_size: None,
            lease_duration: None,
            renew_duration: None,
            rebind_duration: None,
            additional_options: &[],
        };
        let mut bytes = vec![0; repr.buffer_len()];
        repr.emit(&mut DhcpPacket::new_unchecked(&mut bytes)).expect("fits");
        bytes
    }

    #[test]
    fn the_guest_gets_its_one_address_and_no_other() {
        let kind_of = |answer: &DhcpAnswer| {
            let (bytes, to) = answer.reply.as_ref().expect("a reply");
            assert_eq!(to.addr, Ipv4Addr::BROADCAST.into());
            let packet = DhcpPacket::new_checked(&bytes[..]).expect("well formed");
            let repr = DhcpRepr::parse(&packet).expect("well formed");
            (repr.message_type, repr.your_ip, repr.subnet_mask)
        };
        let offer = SERVER.answer(&message(DhcpMessageType::Discover, None)).expect("an offer");
        let mask = Some(Ipv4Addr::new(255, 255, 255, 0));
        assert_eq!(kind_of(&offer), (DhcpMessageType::Offer, GUEST, mask));
        assert_eq!(offer.leased, None);
        let ack = SERVER.answer(&message(DhcpMessageType::Request, Some(GUEST))).expect("an ack");
        assert_eq!(kind_of(&ack), (DhcpMessageType::Ack, GUEST, mask));
        assert_eq!(ack.leased, Some(Mac([2, 0, 0, 0, 0, 9])));
        let other = Some(Ipv4Addr::new(10, 77, 0, 3));
        let nak = SERVER.answer(&message(DhcpMessageType::Request, other)).expect("a nak");
        assert_eq!(kind_of(&nak).0, DhcpMessageType::Nak);
        assert_eq!(nak.leased, None);
    }

    #[test]
    fn a_server_is_not_answered() {
        assert_eq!(SERVER.answer(&message(DhcpMessageType::Offer, None)), None);
    }

    proptest! {
        #[test]
        fn no_message_is_too_bad(tail in prop::collection::vec(any::<u8>(), 0..200), good in any::<bool>()) {
            let mut bytes = message(DhcpMessageType::Request, None);
            if good { bytes.pop(); bytes.extend(&tail) } else { bytes = tail }
            let _ = SERVER.answer(&bytes);
        }
    }
}
