//! What a frame is, told without keeping or repeating anything that its sender made up.

use std::fmt;
use std::net::Ipv4Addr;

use serde::Serialize;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, Icmpv4Message, Icmpv4Packet, IpAddress, IpProtocol,
    Ipv4Packet, TcpPacket, UdpPacket,
};

use crate::Mac;

/// A frame's addresses and what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// Who sent it, by its own word.
    pub from: Mac,
    /// Whom it is for.
    pub to: Mac,
    /// Identifier of the VLAN that it is tagged with.
    pub vlan: Option<u16>,
    /// What it carries.
    pub kind: FrameKind,
}

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the protocols' own words")]
pub enum FrameKind {
    ArpRequest {
        sender: Ipv4Addr,
        target: Ipv4Addr,
    },
    ArpReply {
        sender: Ipv4Addr,
        target: Ipv4Addr,
    },
    /// `flags` as in the TCP header: FIN 1, SYN 2, RST 4, PSH 8, ACK 16.
    Tcp {
        source: Ipv4Addr,
        source_port: u16,
        target: Ipv4Addr,
        target_port: u16,
        flags: u8,
        payload: u16,
    },
    Udp {
        source: Ipv4Addr,
        source_port: u16,
        target: Ipv4Addr,
        target_port: u16,
        payload: u16,
    },
    Icmp {
        source: Ipv4Addr,
        target: Ipv4Addr,
        message: u8,
    },
    /// Part of an IPv4 datagram that was fragmented.
    Fragment {
        source: Ipv4Addr,
        target: Ipv4Addr,
        offset: u16,
        more: bool,
    },
    /// Another IPv4 protocol.
    Ipv4 {
        source: Ipv4Addr,
        target: Ipv4Addr,
        protocol: u8,
    },
    Ipv6,
    /// Another type.
    Other {
        ethertype: u16,
    },
    /// Does not parse.
    Malformed,
}

impl FrameKind {
    /// Who sent it at the level of IPv4 or ARP.
    pub const fn sender(self) -> Option<Ipv4Addr> {
        match self {
            Self::ArpRequest { sender: a, .. } | Self::ArpReply { sender: a, .. } => Some(a),
            Self::Tcp { source: a, .. }
            | Self::Udp { source: a, .. }
            | Self::Icmp { source: a, .. } => Some(a),
            Self::Fragment { source: a, .. } | Self::Ipv4 { source: a, .. } => Some(a),
            Self::Ipv6 | Self::Other { .. } | Self::Malformed => None,
        }
    }

    /// True for a TCP segment that resets its connection.
    pub const fn is_reset(self) -> bool {
        matches!(self, Self::Tcp { flags, .. } if flags & 4 != 0)
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {}", self.from, self.to)?;
        if let Some(vlan) = self.vlan {
            write!(f, " vlan {vlan}")?;
        }
        match self.kind {
            FrameKind::ArpRequest { sender, target } => {
                write!(f, " ARP {sender} asks for {target}")
            }
            FrameKind::ArpReply { sender, target } => {
                write!(f, " ARP {sender} is here, to {target}")
            }
            FrameKind::Tcp { source, source_port, target, target_port, flags, payload } => {
                write!(f, " TCP {source}:{source_port} > {target}:{target_port} ")?;
                for (bit, letter) in [(2, 'S'), (1, 'F'), (4, 'R'), (8, 'P'), (16, '.')] {
                    if flags & bit != 0 {
                        write!(f, "{letter}")?;
                    }
                }
                write!(f, " {payload}")
            }
            FrameKind::Udp { source, source_port, target, target_port, payload } => {
                write!(f, " UDP {source}:{source_port} > {target}:{target_port} {payload}")
            }
            FrameKind::Icmp { source, target, message } => {
                write!(f, " ICMP {source} > {target} type {message}")
            }
            FrameKind::Fragment { source, target, offset, more } => {
                let last = if more { "" } else { ", the last" };
                write!(f, " IPv4 {source} > {target} fragment at {offset}{last}")
            }
            FrameKind::Ipv4 { source, target, protocol } => {
                write!(f, " IPv4 {source} > {target} protocol {protocol}")
            }
            FrameKind::Ipv6 => f.write_str(" IPv6"),
            FrameKind::Other { ethertype } => write!(f, " type {ethertype:#06x}"),
            FrameKind::Malformed => f.write_str(" malformed"),
        }
    }
}

/// What the checksums of a frame are. IPv4's header and the transport's are one judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checksum {
    /// There is none to check: not IPv4, UDP without, or another protocol.
    Absent,
    Right,
    Wrong,
}

/// Reads a frame. The checksums are computed only if asked for.
pub(crate) fn read(bytes: &[u8], verify: bool) -> (Frame, Checksum) {
    let mac =
        |at: usize| Mac(bytes.get(at..).and_then(|b| b.first_chunk()).copied().unwrap_or_default());
    let word = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let mut frame = Frame { from: mac(6), to: mac(0), vlan: None, kind: FrameKind::Malformed };
    let mut at = 12;
    if word(at) == Some(0x8100) {
        frame.vlan = word(at + 2).map(|tag| tag & 0x0fff);
        at += 4;
    }
    let (Some(ethertype), Some(payload)) = (word(at), bytes.get(at + 2..)) else {
        return (frame, Checksum::Absent);
    };
    let (kind, checksum) = match ethertype {
        0x0800 => ipv4(payload, verify).unwrap_or((FrameKind::Malformed, Checksum::Absent)),
        0x0806 => (arp(payload).unwrap_or(FrameKind::Malformed), Checksum::Absent),
        0x86dd => (FrameKind::Ipv6, Checksum::Absent),
        ethertype => (FrameKind::Other { ethertype }, Checksum::Absent),
    };
    frame.kind = kind;
    (frame, checksum)
}

fn arp(payload: &[u8]) -> Option<FrameKind> {
    let packet = ArpPacket::new_checked(payload).ok()?;
    let ArpRepr::EthernetIpv4 {
        operation,
        source_protocol_addr: sender,
        target_protocol_addr: target,
        ..
    } = ArpRepr::parse(&packet).ok()?
    else {
        return None;
    };
    match operation {
        ArpOperation::Request => Some(FrameKind::ArpRequest { sender, target }),
        ArpOperation::Reply => Some(FrameKind::ArpReply { sender, target }),
        ArpOperation::Unknown(_) => None,
    }
}

fn ipv4(payload: &[u8], verify: bool) -> Option<(FrameKind, Checksum)> {
    let packet = Ipv4Packet::new_checked(payload).ok()?;
    if packet.version() != 4 {
        return None;
    }
    let (source, target) = (packet.src_addr(), packet.dst_addr());
    let (from, to) = (IpAddress::Ipv4(source), IpAddress::Ipv4(target));
    let header = !verify || packet.verify_checksum();
    let judge = |right: bool| {
        if header && right { Checksum::Right } else { Checksum::Wrong }
    };
    if packet.more_frags() || packet.frag_offset() != 0 {
        let (offset, more) = (packet.frag_offset(), packet.more_frags());
        return Some((FrameKind::Fragment { source, target, offset, more }, judge(true)));
    }
    let data = packet.payload();
    let length = |all: usize| u16::try_from(all).unwrap_or(u16::MAX);
    Some(match packet.next_header() {
        IpProtocol::Tcp => {
            let segment = TcpPacket::new_checked(data).ok()?;
            let bits = [segment.fin(), segment.syn(), segment.rst(), segment.psh(), segment.ack()];
            let flags = bits.iter().rev().fold(0, |flags, &bit| flags << 1 | u8::from(bit));
            let kind = FrameKind::Tcp {
                source,
                source_port: segment.src_port(),
                target,
                target_port: segment.dst_port(),
                flags,
                payload: length(segment.payload().len()),
            };
            (kind, judge(!verify || segment.verify_checksum(&from, &to)))
        }
        IpProtocol::Udp => {
            let datagram = UdpPacket::new_checked(data).ok()?;
            let kind = FrameKind::Udp {
                source,
                source_port: datagram.src_port(),
                target,
                target_port: datagram.dst_port(),
                payload: length(datagram.payload().len()),
            };
            if datagram.checksum() == 0 && header {
                return Some((kind, Checksum::Absent));
            }
            (kind, judge(!verify || datagram.verify_checksum(&from, &to)))
        }
        IpProtocol::Icmp => {
            let message = Icmpv4Packet::new_checked(data).ok()?;
            let kind =
                FrameKind::Icmp { source, target, message: message_number(message.msg_type()) };
            (kind, judge(!verify || message.verify_checksum()))
        }
        other => (FrameKind::Ipv4 { source, target, protocol: other.into() }, judge(true)),
    })
}

fn message_number(message: Icmpv4Message) -> u8 {
    message.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An ICMP echo request as Linux's `ping` made it, to an address of documentation.
    fn ping() -> Vec<u8> {
        let mut bytes = vec![0x52, 0x54, 0, 0, 0, 1, 0x52, 0x54, 0, 0, 0, 2, 8, 0];
        bytes.extend([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
        bytes.extend([8, 0, 0, 0, 0, 1, 0, 1]);
        Ipv4Packet::new_unchecked(&mut bytes[14..]).fill_checksum();
        Icmpv4Packet::new_unchecked(&mut bytes[34..]).fill_checksum();
        bytes
    }

    #[test]
    fn a_frame_is_told_with_its_checksums() {
        let (frame, checksum) = read(&ping(), true);
        assert_eq!(
            frame.to_string(),
            "52:54:00:00:00:02 > 52:54:00:00:00:01 ICMP 192.0.2.1 > 192.0.2.2 type 8"
        );
        assert_eq!(checksum, Checksum::Right);
        for at in [24, 41] {
            let mut wrong = ping();
            wrong[at] ^= 1;
            assert_eq!(read(&wrong, true).1, Checksum::Wrong, "byte {at}");
        }
    }

    #[test]
    fn a_tag_is_seen_and_looked_behind() {
        let mut tagged = ping();
        tagged.splice(12..12, [0x81, 0, 0xe0, 7]);
        let (frame, checksum) = read(&tagged, true);
        assert_eq!((frame.vlan, checksum), (Some(7), Checksum::Right));
        assert!(matches!(frame.kind, FrameKind::Icmp { message: 8, .. }));
    }

    proptest! {
        #[test]
        fn no_frame_is_unreadable(mut bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0u8..6) {
            if bytes.len() > 24 && kind > 0 {
                bytes[12..14].copy_from_slice(if kind == 5 { &[8, 6] } else { &[8, 0] });
                bytes[14] = 0x40 | bytes[14] & 0x0f;
                bytes[23] = [0, 1, 6, 17, 2, 0][usize::from(kind)];
            }
            prop_assert!(!read(&bytes, true).0.to_string().is_empty());
        }
    }
}
