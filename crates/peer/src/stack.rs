//! One IPv4 host on the cable: smoltcp's interface with the services on it.

use std::net::Ipv4Addr;
use std::ops::Range;
use std::time::Duration;

use smoltcp::iface::{Config, Interface, PollResult, SocketSet};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr};
use tokio::sync::oneshot;

use crate::cable::{Cable, Outgoing};
use crate::connections::Connections;
use crate::datagrams::Datagrams;
use crate::dhcp::DhcpServer;
use crate::stats::Books;
use crate::{PeerOptions, Source};

/// Bytes of an Ethernet header.
const HEADER: usize = 14;

/// One host: of the untagged network or of a VLAN.
pub(crate) struct Stack {
    /// Its VLAN.
    pub vlan: Option<u16>,
    mtu: u16,
    interface: Interface,
    sockets: SocketSet<'static>,
    connections: Connections,
    datagrams: Datagrams,
}

impl Stack {
    /// The stacks that these options ask for: the untagged one first.
    pub fn all(options: &PeerOptions, seed: u64, cable: &mut Cable) -> Vec<Self> {
        let mut stacks = vec![Self::new(
            options,
            None,
            options.address,
            options.prefix,
            options.guest,
            seed,
            cable,
        )];
        if let Some(vlan) = options.vlan {
            let (id, seed) = (Some(vlan.id), seed.rotate_left(32));
            stacks.push(Self::new(options, id, vlan.address, vlan.prefix, vlan.guest, seed, cable));
        }
        stacks
    }

    fn new(
        options: &PeerOptions,
        vlan: Option<u16>,
        address: Ipv4Addr,
        prefix: u8,
        guest: Ipv4Addr,
        seed: u64,
        cable: &mut Cable,
    ) -> Self {
        let mut config = Config::new(EthernetAddress(options.mac.0).into());
        config.random_seed = seed;
        let mtu = options.mtu;
        let mut interface =
            Interface::new(config, &mut Port { cable, frame: None, vlan, mtu }, Instant::ZERO);
        // Fails only if there are more addresses than one.
        interface.update_ip_addrs(|all| {
            let _fits = all.push(IpCidr::new(address.into(), prefix));
        });
        let mut sockets = SocketSet::new(Vec::new());
        let server = DhcpServer { server: address, guest, prefix, mtu };
        let datagrams = Datagrams::new(server, vlan, &mut sockets);
        Self { vlan, mtu, interface, sockets, connections: Connections::new(vlan), datagrams }
    }

    /// Takes an untagged frame.
    pub fn take(&mut self, cable: &mut Cable, frame: Range<usize>, now: Duration) {
        let mut port = Port { cable, frame: Some(frame), vlan: self.vlan, mtu: self.mtu };
        self.interface.poll_ingress_single(instant(now), &mut port, &mut self.sockets);
    }

    /// Lets the services work and sends what there is to send.
    pub fn work(&mut self, cable: &mut Cable, books: &mut Books, source: Source, now: Duration) {
        self.connections.pump(&mut self.sockets, books, source, now);
        self.datagrams.pump(&mut self.sockets, books, now);
        let mut port = Port { cable, frame: None, vlan: self.vlan, mtu: self.mtu };
        self.interface.poll_maintenance(instant(now));
        while self.interface.poll_egress(instant(now), &mut port, &mut self.sockets)
            != PollResult::None
        {}
    }

    /// Asks the guest for an echo.
    pub fn ping(
        &mut self,
        to: Ipv4Addr,
        length: usize,
        answer: oneshot::Sender<Duration>,
        now: Duration,
    ) {
        self.datagrams.ping(&mut self.sockets, to, length, answer, now);
    }

    /// How long until it wants to work again though no frame comes.
    pub fn delay(&mut self, now: Duration) -> Option<Duration> {
        let wanted = self.interface.poll_delay(instant(now), &self.sockets).map(Duration::from);
        let tick = self.connections.needs_time().then_some(Duration::from_secs(1));
        [wanted, tick].into_iter().flatten().min()
    }
}

fn instant(since_start: Duration) -> Instant {
    Instant::from_micros(i64::try_from(since_start.as_micros()).unwrap_or(i64::MAX))
}

/// The cable as smoltcp sees it while it handles one frame or sends.
struct Port<'a> {
    cable: &'a mut Cable,
    frame: Option<Range<usize>>,
    vlan: Option<u16>,
    mtu: u16,
}

struct Incoming<'a>(&'a [u8]);

struct Answer<'a> {
    outgoing: Outgoing<'a>,
    vlan: Option<u16>,
}

impl Device for Port<'_> {
    type RxToken<'a>
        = Incoming<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Answer<'a>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Incoming<'_>, Answer<'_>)> {
        let (bytes, outgoing) = self.cable.frame_and_output(self.frame.take()?);
        Some((Incoming(bytes), Answer { outgoing, vlan: self.vlan }))
    }

    fn transmit(&mut self, _: Instant) -> Option<Answer<'_>> {
        let vlan = self.vlan;
        (!self.cable.is_full()).then(|| Answer { outgoing: self.cable.output(), vlan })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ethernet;
        caps.max_transmission_unit = usize::from(self.mtu) + HEADER;
        // The witness has verified what comes in, but for datagrams that are put together from
        // fragments.
        caps.checksum.ipv4 = Checksum::Tx;
        caps.checksum.tcp = Checksum::Tx;
        caps
    }
}

impl RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl TxToken for Answer<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.outgoing.queue(len, self.vlan, f)
    }
}
