//! Network interfaces, TCP and UDP over IPv4.

use super::clock::Deadline;
use super::sys::{self, EAGAIN, EINPROGRESS, EINTR, Fd, POLLIN, POLLOUT, Poll};
use crate::failure::{Failure, Result};
use crate::pattern::{Pattern, Tally};

const INET: usize = 2;
const STREAM: usize = 1;
const DATAGRAM: usize = 2;
/// How long a transfer may make no progress.
const STALL_MS: u32 = 30_000;

// include/uapi/linux/sockios.h.
const GET_FLAGS: u64 = 0x8913;
const SET_FLAGS: u64 = 0x8914;
const SET_ADDRESS: u64 = 0x8916;
const SET_NETMASK: u64 = 0x891C;
const SET_MTU: u64 = 0x8922;
const UP_RUNNING: u16 = 0x1 | 0x40;

/// struct ifreq: a name of 16 bytes and 24 bytes of whatever the request is about.
#[repr(C, align(8))]
struct InterfaceRequest {
    name: [u8; 16],
    value: [u8; 24],
}

impl InterfaceRequest {
    fn new(name: &str) -> Result<Self> {
        let mut request = Self { name: [0; 16], value: [0; 24] };
        if name.is_empty() || name.len() > 15 || name.contains('\0') {
            return Err(Failure::invalid("interface"));
        }
        request.name[..name.len()].copy_from_slice(name.as_bytes());
        Ok(request)
    }

    fn with(mut self, socket: &Fd, request: u64, value: &[u8]) -> Result<Self> {
        self.value = [0; 24];
        self.value[..value.len()].copy_from_slice(value);
        // SAFETY: these requests read and write a struct ifreq.
        unsafe { sys::ioctl(socket, request, &mut self) }?;
        Ok(self)
    }

    /// Turns flags on or off.
    fn flags(self, socket: &Fd, on: u16, off: u16) -> Result<()> {
        let request = self.with(socket, GET_FLAGS, &[])?;
        let flags = u16::from_le_bytes([request.value[0], request.value[1]]);
        request.with(socket, SET_FLAGS, &((flags | on) & !off).to_le_bytes()).map(drop)
    }
}

/// struct sockaddr_in.
fn socket_address(address: [u8; 4], port: u16) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[0] = INET as u8;
    bytes[2..4].copy_from_slice(&port.to_be_bytes());
    bytes[4..8].copy_from_slice(&address);
    bytes
}

fn socket(kind: usize) -> Result<Fd> {
    sys::plain(sys::SOCKET, [INET, kind, 0, 0, 0, 0]).map(Fd::from_call)
}

/// Brings an interface up. The address 0.0.0.0 leaves it without one.
pub fn up(name: &str, address: [u8; 4], prefix: u8, mtu: u32) -> Result<()> {
    let ones = 32_u32.checked_sub(prefix.into()).ok_or(Failure::invalid("prefix"))?;
    let mask = u32::MAX.checked_shl(ones).unwrap_or(0).to_be_bytes();
    let socket = socket(DATAGRAM)?;
    let mut request = InterfaceRequest::new(name)?;
    if mtu != 0 {
        request = request.with(&socket, SET_MTU, &mtu.to_le_bytes())?;
    }
    if address != [0; 4] {
        request = request.with(&socket, SET_ADDRESS, &socket_address(address, 0))?;
        request = request.with(&socket, SET_NETMASK, &socket_address(mask, 0))?;
    }
    request.flags(&socket, UP_RUNNING, 0)
}

/// Takes an interface down.
pub fn down(name: &str) -> Result<()> {
    InterfaceRequest::new(name)?.flags(&socket(DATAGRAM)?, 0, 1)
}

/// A connected socket that never blocks.
pub struct Connection(Fd);

impl Connection {
    fn new(kind: usize, address: [u8; 4], port: u16) -> Result<Self> {
        const SET_STATUS_FLAGS: usize = 4;
        let socket = socket(kind)?;
        let arguments = [socket.arg(), SET_STATUS_FLAGS, sys::arg(sys::O_NONBLOCK), 0, 0, 0];
        sys::plain(sys::FCNTL, arguments)?;
        let target = socket_address(address, port);
        let arguments = [socket.arg(), target.as_ptr() as usize, target.len(), 0, 0, 0];
        // SAFETY: a struct sockaddr_in with its length.
        match unsafe { sys::call(sys::CONNECT, arguments) } {
            Err(failure) if failure.is(&[EINPROGRESS, EINTR]) => {}
            other => return other.map(|_| Self(socket)),
        }
        let connection = Self(socket);
        connection.ready(POLLOUT, Deadline::after_ms(STALL_MS), "connect")?;
        match connection.pending_error()? {
            0 => Ok(connection),
            number => Err(Failure::errno(number, "connect")),
        }
    }

    /// Connects by TCP.
    pub fn open(address: [u8; 4], port: u16) -> Result<Self> {
        Self::new(STREAM, address, port)
    }

    fn pending_error(&self) -> Result<i32> {
        const SOL_SOCKET: usize = 1;
        const SO_ERROR: usize = 4;
        let (mut value, mut length) = (0_i32, 4_u32);
        let (at, size) = (&raw mut value as usize, &raw mut length as usize);
        // SAFETY: an int to write, and its length.
        unsafe { sys::call(sys::GETSOCKOPT, [self.0.arg(), SOL_SOCKET, SO_ERROR, at, size, 0]) }?;
        Ok(value)
    }

    /// Waits until it can be read or written.
    fn ready(&self, events: i16, deadline: Deadline, call: &'static str) -> Result<()> {
        loop {
            let mut file = [Poll::new(self.0.number(), events)];
            if sys::poll(&mut file, deadline.left_ms(i32::MAX)) > 0 {
                return Ok(());
            }
            if deadline.passed() {
                return Err(Failure::timeout(call));
            }
        }
    }

    /// Sends all, waiting no longer than the deadline.
    fn send(&self, mut bytes: &[u8], deadline: Deadline) -> Result<()> {
        const NO_SIGNAL: usize = 0x4000;
        while !bytes.is_empty() {
            let (at, length) = (bytes.as_ptr() as usize, bytes.len());
            // SAFETY: the bytes are good for their length; no address.
            match unsafe { sys::call(sys::SENDTO, [self.0.arg(), at, length, NO_SIGNAL, 0, 0]) } {
                Ok(count) => bytes = &bytes[count..],
                Err(failure) if failure.is(&[EAGAIN, EINTR]) => {
                    self.ready(POLLOUT, deadline, "sendto")?;
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Takes what comes next; 0 at the end.
    fn receive(&self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> {
        loop {
            match sys::read(&self.0, buffer) {
                Err(failure) if failure.is(&[EAGAIN, EINTR]) => {
                    self.ready(POLLIN, deadline, "read")?;
                }
                other => return other,
            }
        }
    }

    /// Sends and waits for as many bytes. Fewer only if the other side closes.
    pub fn exchange<'b>(&self, data: &[u8], limit_ms: u32, out: &'b mut [u8]) -> Result<&'b [u8]> {
        let deadline = Deadline::after_ms(limit_ms);
        let room = out.get_mut(..data.len()).ok_or(Failure::invalid("exchange"))?;
        self.send(data, deadline)?;
        let mut used = 0;
        while used < room.len() {
            match self.receive(&mut room[used..], deadline)? {
                0 => break,
                count => used += count,
            }
        }
        Ok(&room[..used])
    }
}

/// Sends a pattern, closes this side, and waits for the other side's close.
pub fn tcp_send(
    address: [u8; 4],
    port: u16,
    length: u64,
    seed: u64,
    room: &mut [u8],
) -> Result<Tally> {
    const WRITES: usize = 1;
    let connection = Connection::open(address, port)?;
    let mut tally = Tally::new();
    let mut done = 0;
    while done < length {
        let part = super::block::portion(length - done, room);
        Pattern::seeded(seed).fill(done, part);
        connection.send(part, Deadline::after_ms(STALL_MS))?;
        tally.add(part);
        done += part.len() as u64;
    }
    sys::plain(sys::SHUTDOWN, [connection.0.arg(), WRITES, 0, 0, 0, 0])?;
    while connection.receive(room, Deadline::after_ms(STALL_MS))? > 0 {}
    Ok(tally)
}

/// Reads to the end, or to the limit.
pub fn tcp_receive(address: [u8; 4], port: u16, length: u64, room: &mut [u8]) -> Result<Tally> {
    let connection = Connection::open(address, port)?;
    let mut tally = Tally::new();
    let mut done = 0;
    while done < length {
        let part = super::block::portion(length - done, room);
        match connection.receive(part, Deadline::after_ms(STALL_MS))? {
            0 => break,
            count => {
                tally.add(&part[..count]);
                done += count as u64;
            }
        }
    }
    Ok(tally)
}

/// Sends one datagram in one piece and waits for it to come back.
pub fn udp_echo(
    address: [u8; 4],
    port: u16,
    length: u32,
    seed: u64,
    limit_ms: u32,
    room: &mut [u8],
) -> Result<Tally> {
    const IPPROTO_IP: usize = 0;
    const MTU_DISCOVER: usize = 10;
    const DO_NOT_FRAGMENT: i32 = 2;
    let data = room.get_mut(..length as usize).filter(|data| data.len() <= 16384);
    let data = data.ok_or(Failure::invalid("datagram"))?;
    let connection = Connection::new(DATAGRAM, address, port)?;
    let value = core::ptr::from_ref(&DO_NOT_FRAGMENT) as usize;
    let arguments = [connection.0.arg(), IPPROTO_IP, MTU_DISCOVER, value, 4, 0];
    // SAFETY: an int to read, and its length.
    unsafe { sys::call(sys::SETSOCKOPT, arguments) }?;
    Pattern::seeded(seed).fill(0, data);
    let deadline = Deadline::after_ms(limit_ms);
    connection.send(data, deadline)?;
    let count = connection.receive(data, deadline)?;
    let mut tally = Tally::new();
    tally.add(&data[..count]);
    Ok(tally)
}
