//! The TCP services: sink, source and echo.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use hospitium_model::Digest;
use sha2::{Digest as _, Sha256};
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{CongestionControl, RecvError, Socket, SocketBuffer, State};
use smoltcp::wire::IpAddress;

use crate::stats::{Books, TRANSFERS};
use crate::{Service, Source, Transfer, TransferEnd};

/// Port of the echo service, TCP and UDP (RFC 862).
pub const ECHO_PORT: u16 = 7;
/// Port of the sink, where everything is received and digested (RFC 863, "discard").
pub const SINK_PORT: u16 = 9;
/// Port of the source, which sends its pattern and closes (RFC 864's port, "chargen").
pub const SOURCE_PORT: u16 = 19;

const SERVICES: [(Service, u16); 3] =
    [(Service::Echo, ECHO_PORT), (Service::Sink, SINK_PORT), (Service::Source, SOURCE_PORT)];
/// Connections at once; more are refused by a reset, as a closed port does.
const OPEN: usize = 128;
/// A guest that acknowledges nothing for so long has lost its connection. Long, since a machine may be
/// paused or saved meanwhile.
const SILENCE: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(120);
/// How long a guest may take to close its own side after the peer did.
const LINGER: Duration = Duration::from_secs(10);
/// Buffer of the direction that carries the data.
const LARGE: usize = 512 << 10;
const SMALL: usize = 16 << 10;

/// The connections of one stack.
pub(crate) struct Connections {
    vlan: Option<u16>,
    listeners: Vec<(Service, u16, Option<SocketHandle>)>,
    open: Vec<Connection>,
}

struct Connection {
    service: Service,
    handle: SocketHandle,
    guest: SocketAddrV4,
    /// Its place among the transfers, once it is established.
    transfer: Option<usize>,
    source: Source,
    hasher: Sha256,
    /// Since when the peer waits for nothing but the guest's close.
    closing: Option<Duration>,
}

impl Connections {
    pub fn new(vlan: Option<u16>) -> Self {
        let listeners = SERVICES.map(|(service, port)| (service, port, None)).into();
        Self { vlan, listeners, open: Vec::new() }
    }

    /// True if there is something that only time ends.
    pub fn needs_time(&self) -> bool {
        self.open.iter().any(|connection| connection.closing.is_some())
    }

    /// Takes new connections, and moves the data of all.
    pub fn pump(
        &mut self,
        sockets: &mut SocketSet<'static>,
        books: &mut Books,
        source: Source,
        now: Duration,
    ) {
        for (service, _, listener) in &mut self.listeners {
            let Some(handle) = *listener else { continue };
            let socket = sockets.get::<Socket>(handle);
            if socket.state() != State::Listen {
                let (service, guest, hasher) = (*service, remote(socket), Sha256::new());
                let connection = Connection {
                    service,
                    handle,
                    guest,
                    transfer: None,
                    source,
                    hasher,
                    closing: None,
                };
                self.open.push(connection);
                *listener = None;
            }
        }
        self.open.retain_mut(|connection| {
            let keep =
                connection.pump(sockets.get_mut(connection.handle), self.vlan, books, source, now);
            if !keep {
                sockets.remove(connection.handle);
            }
            keep
        });
        for (service, port, listener) in &mut self.listeners {
            let room = self.open.len() < OPEN && books.transfers.len() < TRANSFERS;
            match *listener {
                None if room => *listener = Some(sockets.add(listening(*service, *port))),
                Some(handle) if !room => {
                    sockets.remove(handle);
                    *listener = None;
                }
                _ => {}
            }
        }
    }
}

fn listening(service: Service, port: u16) -> Socket<'static> {
    let buffer = |size: usize| SocketBuffer::new(vec![0; size]);
    let (receive, send) = match service {
        Service::Sink => (LARGE, SMALL),
        Service::Source => (SMALL, LARGE),
        Service::Echo => (SMALL * 4, SMALL * 4),
    };
    let mut socket = Socket::new(buffer(receive), buffer(send));
    socket.set_nagle_enabled(false);
    // Frames are handled in batches, so there is one acknowledgement a batch anyway.
    socket.set_ack_delay(None);
    socket.set_timeout(Some(SILENCE));
    // An adapter takes what it has descriptors for and loses the rest (an rtl8139 has 64). Without this, whole windows
    // are sent at once, after each loss again.
    socket.set_congestion_control(CongestionControl::Reno);
    // Fails only for port 0 or a socket in use.
    let _listens = socket.listen(port);
    socket
}

impl Connection {
    /// False if it is over.
    fn pump(
        &mut self,
        socket: &mut Socket<'static>,
        vlan: Option<u16>,
        books: &mut Books,
        source: Source,
        now: Duration,
    ) -> bool {
        let Some(index) = self.transfer else {
            match socket.state() {
                State::SynReceived => return true,
                // Reset before it was established.
                State::Listen => return false,
                _ => {}
            }
            if books.transfers.len() >= TRANSFERS {
                let over = socket.state() == State::Closed;
                socket.abort();
                return !over;
            }
            self.source = source;
            self.transfer = Some(books.transfers.len());
            books.transfers.push(Transfer {
                service: self.service,
                guest: self.guest,
                vlan,
                received: 0,
                sent: 0,
                began: now,
                end: None,
            });
            return self.pump(socket, vlan, books, source, now);
        };
        let Some(transfer) = books.transfers.get_mut(index) else {
            return false;
        };
        let whole = match self.service {
            Service::Sink => self.sink(socket, transfer),
            Service::Source => self.source(socket, transfer),
            Service::Echo => self.echo(socket, transfer),
        };
        let over = matches!(socket.state(), State::Closed);
        if transfer.end.is_none() {
            if whole {
                let digest = Digest::from_bytes(self.hasher.finalize_reset().into());
                transfer.end = Some((TransferEnd::Whole { digest }, now));
            } else if over {
                transfer.end = Some((TransferEnd::Broken, now));
            }
        }
        if transfer.end.is_some() && !over {
            let since = *self.closing.get_or_insert(now);
            if now.saturating_sub(since) > LINGER && socket.state() != State::TimeWait {
                socket.abort();
            }
        }
        !over
    }

    fn sink(&mut self, socket: &mut Socket<'static>, transfer: &mut Transfer) -> bool {
        let finished = take(socket, |data| {
            self.hasher.update(data);
            transfer.received += data.len() as u64;
            data.len()
        });
        if finished {
            socket.close();
        }
        finished
    }

    fn source(&mut self, socket: &mut Socket<'static>, transfer: &mut Transfer) -> bool {
        take(socket, |data| {
            transfer.received += data.len() as u64;
            data.len()
        });
        let Source { pattern, length } = self.source;
        while transfer.sent < length && socket.can_send() {
            let put = socket.send(|room| {
                let left = usize::try_from(length - transfer.sent).unwrap_or(usize::MAX);
                // Whole words but for the end, so that the pattern can go on where it stopped. The
                // buffer's size is a multiple of 8, so this never waits for ever.
                let count = if left <= room.len() { left } else { room.len() & !7 };
                let part = &mut room[..count];
                pattern.fill(transfer.sent, part);
                self.hasher.update(&*part);
                (count, count)
            });
            match put {
                Ok(0) | Err(_) => break,
                Ok(count) => transfer.sent += count as u64,
            }
        }
        if transfer.sent == length {
            socket.close();
        }
        let acknowledged =
            matches!(socket.state(), State::FinWait2 | State::TimeWait | State::Closed);
        transfer.sent == length && acknowledged && socket.send_queue() == 0
    }

    fn echo(&mut self, socket: &mut Socket<'static>, transfer: &mut Transfer) -> bool {
        let mut moved = Vec::new();
        loop {
            let room = socket.send_capacity() - socket.send_queue();
            moved.clear();
            let finished = take_once(socket, |data| {
                let part = &data[..data.len().min(room)];
                moved.extend_from_slice(part);
                part.len()
            });
            if finished {
                socket.close();
                return true;
            }
            if moved.is_empty() {
                return false;
            }
            self.hasher.update(&moved);
            transfer.received += moved.len() as u64;
            match socket.send_slice(&moved) {
                Ok(count) => transfer.sent += count as u64,
                Err(_) => return false,
            }
        }
    }
}

fn remote(socket: &Socket<'_>) -> SocketAddrV4 {
    match socket.remote_endpoint() {
        Some(endpoint) => {
            let IpAddress::Ipv4(address) = endpoint.addr;
            SocketAddrV4::new(address, endpoint.port)
        }
        None => SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0),
    }
}

/// Takes all that was received; true if the guest has closed its side and nothing is left.
fn take(socket: &mut Socket<'_>, mut each: impl FnMut(&[u8]) -> usize) -> bool {
    while socket.can_recv() {
        if take_once(socket, &mut each) {
            return true;
        }
    }
    take_once(socket, |_| 0)
}

fn take_once(socket: &mut Socket<'_>, each: impl FnOnce(&[u8]) -> usize) -> bool {
    let taken = socket.recv(|data| (each(data), ()));
    matches!(taken, Err(RecvError::Finished))
}
