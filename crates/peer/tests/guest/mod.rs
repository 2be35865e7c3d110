//! A guest for tests: smoltcp's stack on the other end of an in-memory cable.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{EthernetAddress, IpCidr};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

pub const PEER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
pub const MAC: [u8; 6] = [0x52, 0x54, 0, 0, 0, 2];
/// A test that needs longer hangs.
pub const LIMIT: Duration = Duration::from_secs(30);

pub struct Guest {
    stream: DuplexStream,
    read: Vec<u8>,
    pub device: Queues,
    pub interface: Interface,
    pub sockets: SocketSet<'static>,
    started: Instant,
}

/// Frames of the guest's network card.
pub struct Queues {
    received: VecDeque<Vec<u8>>,
    /// Frames with their lengths, to be written.
    sent: Vec<u8>,
    mtu: usize,
    /// Frames that the card can hold; what comes beyond is lost.
    pub descriptors: usize,
    /// Put into each frame and expected in each.
    pub tag: Option<u16>,
}

impl Guest {
    pub fn new(stream: DuplexStream, mtu: usize) -> Self {
        let mut device = Queues {
            received: VecDeque::new(),
            sent: Vec::new(),
            mtu,
            descriptors: usize::MAX,
            tag: None,
        };
        let mut config = Config::new(EthernetAddress(MAC).into());
        config.random_seed = 42;
        let mut interface = Interface::new(config, &mut device, StackInstant::ZERO);
        interface.update_ip_addrs(|all| all.push(IpCidr::new(ADDRESS.into(), 24)).expect("room"));
        let sockets = SocketSet::new(Vec::new());
        Self { stream, read: Vec::new(), device, interface, sockets, started: Instant::now() }
    }

    pub fn set_address(&mut self, address: Ipv4Addr) {
        self.interface.update_ip_addrs(|all| {
            all.clear();
            all.push(IpCidr::new(address.into(), 24)).expect("room");
        });
    }

    /// A new stream for the same guest, as after a migration.
    pub fn replug(&mut self, stream: DuplexStream) {
        self.stream = stream;
        self.read.clear();
        self.device.sent.clear();
    }

    /// Connects and waits until the connection stands or is refused.
    pub async fn connect(&mut self, to: Ipv4Addr, port: u16, local: u16) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; 512 << 10]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        socket.connect(self.interface.context(), (to, port), local).expect("connects");
        let handle = self.sockets.add(socket);
        self.until("a connection", |sockets| {
            let socket = sockets.get::<tcp::Socket>(handle);
            (socket.may_send() || !socket.is_open()).then_some(())
        })
        .await;
        handle
    }

    pub fn udp(&mut self, port: u16) -> SocketHandle {
        let buffer =
            || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 16], vec![0; 256 << 10]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(port).expect("binds");
        self.sockets.add(socket)
    }

    /// Queues a frame as it is.
    pub fn raw(&mut self, frame: &[u8]) {
        self.device.sent.extend((frame.len() as u32).to_be_bytes());
        self.device.sent.extend(frame);
    }

    /// Runs the guest until `done` gives something.
    pub async fn until<T>(
        &mut self,
        what: &str,
        mut done: impl FnMut(&mut SocketSet<'static>) -> Option<T>,
    ) -> T {
        let end = tokio::time::Instant::now() + LIMIT;
        loop {
            self.poll();
            if let Some(result) = done(&mut self.sockets) {
                self.poll();
                let sent = std::mem::take(&mut self.device.sent);
                tokio::time::timeout_at(end, self.stream.write_all(&sent))
                    .await
                    .expect("sends in time")
                    .expect("sends");
                return result;
            }
            self.poll();
            self.pass(end, what).await;
        }
    }

    fn now(&self) -> StackInstant {
        StackInstant::from_micros(self.started.elapsed().as_micros() as i64)
    }

    fn poll(&mut self) {
        let now = self.now();
        self.interface.poll(now, &mut self.device, &mut self.sockets);
    }

    /// Reads or writes something, or lets the stack's next timer pass.
    async fn pass(&mut self, end: tokio::time::Instant, what: &str) {
        let now = self.now();
        let delay = self.interface.poll_delay(now, &self.sockets).map_or(LIMIT, Duration::from);
        let writing = !self.device.sent.is_empty();
        self.read.reserve(2 << 20);
        if self.device.descriptors != usize::MAX {
            // Its driver is slower than the cable.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let (mut reader, mut writer) = tokio::io::split(&mut self.stream);
        tokio::select! {
            count = reader.read_buf(&mut self.read) => {
                assert!(count.expect("reads") > 0, "the peer closed the cable while waiting for {what}");
            }
            count = writer.write(&self.device.sent), if writing => {
                let count = count.expect("writes");
                self.device.sent.drain(..count);
            }
            () = tokio::time::sleep(delay) => {}
            () = tokio::time::sleep_until(end) => panic!("waited too long for {what}"),
        }
        let mut rest = &self.read[..];
        while let Some((lead, after)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*lead) as usize;
            let Some((frame, after)) = after.split_at_checked(length) else {
                break;
            };
            let mut frame = frame.to_vec();
            let tag =
                (frame[12..14] == [0x81, 0]).then(|| u16::from_be_bytes([frame[14], frame[15]]));
            if tag.is_some() {
                frame.drain(12..16);
            }
            if tag == self.device.tag && self.device.received.len() < self.device.descriptors {
                self.device.received.push_back(frame);
            }
            rest = after;
        }
        let left = rest.len();
        self.read.drain(..self.read.len() - left);
    }
}

pub struct Received(Vec<u8>);
pub struct Sending<'a>(&'a mut Queues);

impl Device for Queues {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: StackInstant) -> Option<(Received, Sending<'_>)> {
        let frame = self.received.pop_front()?;
        Some((Received(frame), Sending(self)))
    }

    fn transmit(&mut self, _: StackInstant) -> Option<Sending<'_>> {
        (self.sent.len() < 512 << 10).then_some(Sending(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ethernet;
        caps.max_transmission_unit = self.mtu + 14;
        caps
    }
}

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        if let Some(tag) = self.0.tag {
            let [high, low] = tag.to_be_bytes();
            frame.splice(12..12, [0x81, 0, high, low]);
        }
        self.0.sent.extend((frame.len() as u32).to_be_bytes());
        self.0.sent.extend(&frame);
        result
    }
}
