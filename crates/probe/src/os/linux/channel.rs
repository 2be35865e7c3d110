//! The line to the harness: a serial port or a virtio-serial port.

use hospitium_wire::{MAX_DATA, errno};

use super::clock::Deadline;
use super::config::Source;
use super::sys::{self, EAGAIN, EINTR, Fd, POLLERR, POLLHUP, POLLIN, POLLOUT, Poll};
use super::{console, files};

/// How long one channel is waited for, before the next is tried.
const APPEAR_MS: u32 = 20_000;
/// How long a write may make no progress before its frame is given up.
const STALL_MS: u32 = 10_000;
/// Pause where a hung-up line would make `poll` return at once.
const PAUSE_MS: u64 = 5;

const TCGETS: u64 = 0x5401;
const TCSETS: u64 = 0x5402;
const TCSBRK: u64 = 0x5409;

/// struct termios of the kernel (not the C library's).
#[repr(C)]
struct Termios {
    input: u32,
    output: u32,
    control: u32,
    local: u32,
    line: u8,
    characters: [u8; 19],
}

/// An open line.
pub struct Channel<'a> {
    source: Source<'a>,
    fd: Fd,
}

impl<'a> Channel<'a> {
    /// Waits for each channel in turn to appear, and opens it. `None` if none did.
    pub fn open(source: Source<'a>) -> Option<Self> {
        let mut n = 0;
        while let Some(path) = source.channel(n) {
            let deadline = Deadline::after_ms(APPEAR_MS);
            loop {
                if let Some(fd) = open_line(path) {
                    return Some(Self { source, fd });
                }
                if deadline.passed() {
                    break;
                }
                sys::sleep_ms(10);
            }
            console::say(&["hospitium-probe: ", path, " did not appear"]);
            n += 1;
        }
        None
    }

    /// Waits at most a second until there is something to read here or from `other`.
    pub fn wait(&self, other: i32) {
        let mut files = [Poll::new(self.fd.number(), POLLIN), Poll::new(other, POLLIN)];
        sys::poll(&mut files, 1000);
        if files[0].revents & (POLLHUP | POLLERR) != 0 && files[0].revents & POLLIN == 0 {
            sys::sleep_ms(PAUSE_MS);
        }
    }

    /// Takes what is there; 0 if there is nothing. A line that broke is opened again.
    pub fn read(&mut self, buffer: &mut [u8]) -> usize {
        match sys::read(&self.fd, buffer) {
            Ok(0) => {
                // A virtio port whose other side is away.
                sys::sleep_ms(PAUSE_MS);
                0
            }
            Ok(count) => count,
            Err(failure) if failure.is(&[EAGAIN, EINTR]) => 0,
            Err(_) => {
                sys::sleep_ms(PAUSE_MS);
                if let Some(Self { fd, .. }) = Self::open(self.source) {
                    self.fd = fd;
                }
                0
            }
        }
    }

    /// Sends a frame. It is given up if the other side takes nothing for long; the delimiter
    /// before the next one ends what was sent of it.
    pub fn write(&self, frame: &[u8]) {
        let _ = self.write_part(&[0]).and_then(|()| self.write_part(frame));
    }

    fn write_part(&self, mut bytes: &[u8]) -> Option<()> {
        let mut deadline = Deadline::after_ms(STALL_MS);
        while !bytes.is_empty() {
            match sys::write(&self.fd, &bytes[..bytes.len().min(MAX_DATA)]) {
                Ok(count) if count > 0 => {
                    bytes = &bytes[count..];
                    deadline = Deadline::after_ms(STALL_MS);
                    continue;
                }
                Err(failure) if !failure.is(&[EAGAIN, EINTR]) => return None,
                _ if deadline.passed() => return None,
                _ => {}
            }
            let mut file = [Poll::new(self.fd.number(), POLLOUT)];
            sys::poll(&mut file, 100);
            if file[0].revents & POLLOUT == 0 {
                sys::sleep_ms(PAUSE_MS);
            }
        }
        Some(())
    }

    /// Waits until what was written has left.
    pub fn drain(&self) {
        // TCSBRK with an argument other than 0 is tcdrain.
        let _ = sys::plain(sys::IOCTL, [self.fd.arg(), TCSBRK as usize, 1, 0, 0, 0]);
    }
}

/// Opens a line and makes it raw. `None` if it is not there, or only its node is.
fn open_line(path: &str) -> Option<Fd> {
    let flags = sys::O_RDWR | sys::O_NOCTTY | sys::O_NONBLOCK;
    let fd = match sys::open(path, flags, 0) {
        Ok(fd) => fd,
        Err(_) => open_virtio_port(path.strip_prefix("/dev/virtio-ports/")?, flags)?,
    };
    let mut termios =
        Termios { input: 0, output: 0, control: 0, local: 0, line: 0, characters: [0; 19] };
    // SAFETY: TCGETS writes a struct termios.
    match unsafe { sys::ioctl(&fd, TCGETS, &mut termios) } {
        Ok(_) => make_raw(&fd, &mut termios),
        // A serial port without hardware opens all the same, and then refuses everything.
        Err(failure) if failure.is(&[errno::EIO]) => return None,
        // Not a terminal.
        Err(_) => {}
    }
    Some(fd)
}

/// No echo, no line editing, no signals, no flow control; 8 bits at 115200 baud, whatever the
/// modem lines say.
fn make_raw(fd: &Fd, termios: &mut Termios) {
    const B115200: u32 = 0x1002;
    const CS8_CREAD_CLOCAL: u32 = 0x30 | 0x80 | 0x800;
    const VTIME: usize = 5;
    const VMIN: usize = 6;
    termios.input = 0;
    termios.output = 0;
    termios.local = 0;
    termios.control = B115200 | CS8_CREAD_CLOCAL;
    termios.characters[VTIME] = 0;
    termios.characters[VMIN] = 1;
    // SAFETY: TCSETS reads a struct termios.
    let _ = unsafe { sys::ioctl(fd, TCSETS, termios) };
}

/// Finds a virtio-serial port by its name. The links by name are udev's work, and there may be
/// no udev.
fn open_virtio_port(name: &str, flags: i32) -> Option<Fd> {
    const CLASS: &str = "/sys/class/virtio-ports";
    let (mut room, mut names) = ([0; 1024], [0; 1024]);
    let ports = files::list(CLASS, 0, &mut room, &mut names).ok()?;
    let ports = ports.split(|&byte| byte == 0).filter(|port| !port.is_empty());
    for port in ports.filter_map(|port| core::str::from_utf8(port).ok()) {
        let (mut path, mut found) = ([0; 128], [0; 64]);
        let Some(file) = join(&mut path, &[CLASS, "/", port, "/name"]) else {
            continue;
        };
        let Ok(found) = files::read(file, 0, &mut found) else {
            continue;
        };
        if found.trim_ascii_end() == name.as_bytes() {
            return sys::open(join(&mut path, &["/dev/", port])?, flags, 0).ok();
        }
    }
    None
}

/// Puts the parts of a path together. `None` if they do not fit.
fn join<'b>(room: &'b mut [u8], parts: &[&str]) -> Option<&'b str> {
    let mut used = 0;
    for part in parts {
        room.get_mut(used..used + part.len())?.copy_from_slice(part.as_bytes());
        used += part.len();
    }
    core::str::from_utf8(&room[..used]).ok()
}
