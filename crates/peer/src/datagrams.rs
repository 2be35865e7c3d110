//! UDP and ICMP: the echo service, the DHCP server's socket, and pings of the guest.

use std::net::Ipv4Addr;
use std::time::Duration;

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::{icmp, udp};
use smoltcp::wire::{DHCP_SERVER_PORT, Icmpv4Packet, Icmpv4Repr};
use tokio::sync::oneshot;

use crate::Lease;
use crate::connections::ECHO_PORT;
use crate::dhcp::DhcpServer;
use crate::stats::Books;

/// Identifier of the peer's own echo requests.
const IDENT: u16 = 0x4850;
/// Pings that wait for their answer at once.
const PINGS: usize = 64;
/// Datagrams that wait in each direction, and their bytes.
const QUEUED: usize = 64;
const QUEUE: usize = 256 << 10;

/// The datagram sockets of one stack.
pub(crate) struct Datagrams {
    server: DhcpServer,
    vlan: Option<u16>,
    echo: SocketHandle,
    dhcp: SocketHandle,
    icmp: SocketHandle,
    pings: Vec<Ping>,
    sequence: u16,
}

struct Ping {
    sequence: u16,
    length: usize,
    since: Duration,
    answer: oneshot::Sender<Duration>,
}

impl Datagrams {
    pub fn new(server: DhcpServer, vlan: Option<u16>, sockets: &mut SocketSet<'static>) -> Self {
        let mut bound = |port: u16| {
            let buffer =
                || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; QUEUED], vec![0; QUEUE]);
            let mut socket = udp::Socket::new(buffer(), buffer());
            // Fails only for port 0 or a socket in use.
            let _bound = socket.bind(port);
            sockets.add(socket)
        };
        let (echo, dhcp) = (bound(ECHO_PORT), bound(DHCP_SERVER_PORT));
        let buffer =
            || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; QUEUED], vec![0; QUEUE]);
        let mut socket = icmp::Socket::new(buffer(), buffer());
        let _bound = socket.bind(icmp::Endpoint::Ident(IDENT));
        let icmp = sockets.add(socket);
        Self { server, vlan, echo, dhcp, icmp, pings: Vec::new(), sequence: 0 }
    }

    /// Answers what has come.
    pub fn pump(&mut self, sockets: &mut SocketSet<'static>, books: &mut Books, now: Duration) {
        let socket = sockets.get_mut::<udp::Socket>(self.echo);
        while socket.can_send() {
            let Ok((payload, from)) = socket.recv() else {
                break;
            };
            let payload = payload.to_vec();
            // Too large for the queue as it is now: lost, as datagrams may be.
            let _sent = socket.send_slice(&payload, from.endpoint);
        }
        let socket = sockets.get_mut::<udp::Socket>(self.dhcp);
        while socket.can_send() {
            let Ok((message, _)) = socket.recv() else {
                break;
            };
            let Some(answer) = self.server.answer(message) else {
                continue;
            };
            books.stats.dhcp_messages += 1;
            if let Some(mac) = answer.leased {
                books.leased(Lease { mac, address: self.server.guest, vlan: self.vlan, at: now });
            }
            if let Some((reply, to)) = answer.reply {
                let _sent = socket.send_slice(&reply, to);
            }
        }
        self.take_pongs(sockets.get_mut(self.icmp), now);
    }

    /// Sends an echo request; the answer's way is dropped if it cannot be sent.
    pub fn ping(
        &mut self,
        sockets: &mut SocketSet<'static>,
        to: Ipv4Addr,
        length: usize,
        answer: oneshot::Sender<Duration>,
        now: Duration,
    ) {
        self.pings.retain(|ping| !ping.answer.is_closed());
        if self.pings.len() >= PINGS {
            return;
        }
        self.sequence = self.sequence.wrapping_add(1);
        let data: Vec<u8> = (0..length).map(|n| n as u8).collect();
        let request = Icmpv4Repr::EchoRequest { ident: IDENT, seq_no: self.sequence, data: &data };
        let socket = sockets.get_mut::<icmp::Socket>(self.icmp);
        if let Ok(room) = socket.send(request.buffer_len(), to.into()) {
            request.emit(&mut Icmpv4Packet::new_unchecked(room), &ChecksumCapabilities::default());
            self.pings.push(Ping { sequence: self.sequence, length, since: now, answer });
        }
    }

    fn take_pongs(&mut self, socket: &mut icmp::Socket<'static>, now: Duration) {
        while let Ok((message, _)) = socket.recv() {
            let Ok(packet) = Icmpv4Packet::new_checked(message) else {
                continue;
            };
            let reply = Icmpv4Repr::parse(&packet, &ChecksumCapabilities::ignored());
            let Ok(Icmpv4Repr::EchoReply { seq_no, data, .. }) = reply else {
                continue;
            };
            let same = |ping: &Ping| {
                ping.sequence == seq_no
                    && ping.length == data.len()
                    && data.iter().enumerate().all(|(n, &byte)| byte == n as u8)
            };
            if let Some(at) = self.pings.iter().position(same) {
                let ping = self.pings.swap_remove(at);
                // Nobody may be waiting any more.
                let _told = ping.answer.send(now.saturating_sub(ping.since));
            }
        }
    }
}
