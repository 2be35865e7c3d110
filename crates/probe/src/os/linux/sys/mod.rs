//! System calls: safe wrappers; the instruction and the table are in the file of the instruction set.

use hospitium_wire::{Refusal, errno};

use super::older;
use crate::failure::{Failure, Result};

#[cfg(target_arch = "x86")]
mod x86;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "x86")]
pub use x86::*;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

/// A system call.
#[derive(Clone, Copy)]
pub struct Call {
    /// Its number in the table of the instruction set, or as that one's own file says.
    number: usize,
    name: &'static str,
}

macro_rules! calls {
    ($($constant:ident = $number:literal $name:literal;)*) => {
        $(pub const $constant: crate::os::linux::sys::Call =
            crate::os::linux::sys::Call { number: $number, name: $name };)*
    };
}
use calls;

pub const O_RDONLY: i32 = 0;
pub const O_WRONLY: i32 = 1;
pub const O_RDWR: i32 = 2;
pub const O_CREAT: i32 = 0o100;
pub const O_NOCTTY: i32 = 0o400;
pub const O_TRUNC: i32 = 0o1000;
pub const O_APPEND: i32 = 0o2000;
pub const O_NONBLOCK: i32 = 0o4000;
pub const O_DIRECT: i32 = 0o40000;
pub const O_DIRECTORY: i32 = 0o200_000;
pub const POLLIN: i16 = 1;
pub const POLLOUT: i16 = 4;
pub const POLLERR: i16 = 8;
pub const POLLHUP: i16 = 16;
pub const EINTR: i32 = 4;
pub const EAGAIN: i32 = 11;
pub const ENODEV: i32 = 19;
pub const EISDIR: i32 = 21;
pub const ESPIPE: i32 = 29;
pub const EINPROGRESS: i32 = 115;

/// Makes a system call.
///
/// # Safety
///
/// The arguments are what the call takes: every pointer among them is good for what the kernel
/// does with it.
pub unsafe fn call(call: Call, arguments: [usize; 6]) -> Result<usize> {
    // SAFETY: the caller answers for the arguments.
    let result = unsafe { enter(call.number, arguments) };
    match usize::try_from(result) {
        Ok(value) => Ok(value),
        Err(_) if result >= -4095 => Err(Failure::errno(-result as i32, call.name)),
        // An address in the upper half.
        Err(_) => Ok(result as usize),
    }
}

/// A system call with no pointers in its arguments.
pub fn plain(what: Call, arguments: [usize; 6]) -> Result<usize> {
    // SAFETY: nothing is pointed to; callers of this pass numbers only.
    unsafe { call(what, arguments) }
}

/// A number as the kernel takes it.
pub const fn arg(value: i32) -> usize {
    value as isize as usize
}

/// An open file, closed when dropped.
#[derive(Debug)]
pub struct Fd(i32);

impl Fd {
    /// Takes over a number that a system call gave.
    pub fn from_call(number: usize) -> Self {
        Self(number as i32)
    }

    /// Its number.
    pub const fn number(&self) -> i32 {
        self.0
    }

    /// Its number as an argument.
    pub const fn arg(&self) -> usize {
        arg(self.0)
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        let _ = plain(CLOSE, [self.arg(), 0, 0, 0, 0, 0]);
    }
}

/// Text with a NUL at its end, as the kernel takes paths and names.
pub struct Text([u8; 4096]);

impl Text {
    /// Copies `text`; refused if it holds a NUL or is longer than PATH_MAX.
    pub fn new(text: &str) -> Result<Self> {
        let mut bytes = [0; 4096];
        let room = bytes.get_mut(..text.len()).filter(|room| room.len() < 4096);
        let room = room.ok_or(Failure::refused(Refusal::TooLong, "path"))?;
        if text.as_bytes().contains(&0) {
            return Err(Failure::invalid("path"));
        }
        room.copy_from_slice(text.as_bytes());
        Ok(Self(bytes))
    }

    /// Where it is.
    pub fn arg(&self) -> usize {
        self.0.as_ptr() as usize
    }
}

/// A call on a path with two more numbers.
pub fn on_path(what: Call, path: &str, second: usize, third: usize) -> Result<usize> {
    older::path(path, what.name)?;
    let path = Text::new(path)?;
    // SAFETY: the path is NUL-ended and outlives the call; the others are numbers.
    unsafe { call(what, [path.arg(), second, third, 0, 0, 0]) }
}

pub fn open(path: &str, flags: i32, mode: usize) -> Result<Fd> {
    on_path(OPEN, path, arg(flags | LARGE), mode).map(Fd::from_call)
}

pub fn read(fd: &Fd, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the buffer is good for its length.
    unsafe { call(READ, [fd.arg(), buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0]) }
}

pub fn write(fd: &Fd, bytes: &[u8]) -> Result<usize> {
    // SAFETY: the bytes are good for their length.
    unsafe { call(WRITE, [fd.arg(), bytes.as_ptr() as usize, bytes.len(), 0, 0, 0]) }
}

pub fn pread(fd: &Fd, buffer: &mut [u8], offset: u64) -> Result<usize> {
    let (at, length) = (buffer.as_mut_ptr() as usize, buffer.len());
    let [low, high] = words(offset);
    // SAFETY: the buffer is good for its length.
    unsafe { call(PREAD, [fd.arg(), at, length, low, high, 0]) }
}

pub fn pwrite(fd: &Fd, bytes: &[u8], offset: u64) -> Result<usize> {
    let (at, length) = (bytes.as_ptr() as usize, bytes.len());
    let [low, high] = words(offset);
    // SAFETY: the bytes are good for their length.
    unsafe { call(PWRITE, [fd.arg(), at, length, low, high, 0]) }
}

/// An ioctl on something of type `T`.
///
/// # Safety
///
/// `T` is at least as large as what the request reads and writes, and any bits are a value of it.
pub unsafe fn ioctl<T>(fd: &Fd, request: u64, argument: &mut T) -> Result<usize> {
    older::ioctl(request)?;
    let at = core::ptr::from_mut(argument) as usize;
    // SAFETY: the caller answers for the type.
    unsafe { call(IOCTL, [fd.arg(), request as usize, at, 0, 0, 0]) }
}

/// One file to wait for (struct pollfd).
#[repr(C)]
pub struct Poll {
    pub fd: i32,
    pub events: i16,
    pub revents: i16,
}

impl Poll {
    pub const fn new(fd: i32, events: i16) -> Self {
        Self { fd, events, revents: 0 }
    }
}

/// Waits for one of the files, or as many milliseconds; an interruption counts as time out.
pub fn poll(files: &mut [Poll], milliseconds: i32) -> usize {
    let (at, count) = (files.as_mut_ptr() as usize, files.len());
    // SAFETY: an array of struct pollfd with its length.
    unsafe { call(POLL, [at, count, arg(milliseconds), 0, 0, 0]) }.unwrap_or(0)
}

/// struct timespec, with what is a C `long` there.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Timespec {
    pub seconds: isize,
    pub nanoseconds: isize,
}

impl Timespec {
    /// The epoch, or no time at all.
    pub const ZERO: Self = Self { seconds: 0, nanoseconds: 0 };

    pub const fn from_ns(ns: u64) -> Self {
        let (seconds, rest) = (ns / 1_000_000_000, ns % 1_000_000_000);
        Self { seconds: seconds as isize, nanoseconds: rest as isize }
    }

    pub const fn to_ns(self) -> i64 {
        (self.seconds as i64).wrapping_mul(1_000_000_000).wrapping_add(self.nanoseconds as i64)
    }
}

/// Sleeps.
pub fn sleep_ms(milliseconds: u64) {
    let time = Timespec::from_ns(milliseconds * 1_000_000);
    // SAFETY: a struct timespec to read; what is left is not asked for.
    let _ = unsafe { call(NANOSLEEP, [core::ptr::from_ref(&time) as usize, 0, 0, 0, 0, 0]) };
}

pub fn uname(names: &mut [u8; 390]) -> Result<()> {
    // SAFETY: a struct new_utsname is six fields of 65 bytes.
    unsafe { call(UNAME, [names.as_mut_ptr() as usize, 0, 0, 0, 0, 0]) }.map(drop)
}

/// Ends the process.
pub fn exit(code: i32) -> ! {
    loop {
        let _ = plain(EXIT_GROUP, [arg(code), 0, 0, 0, 0, 0]);
    }
}

/// Writes everything, waiting where the file is not ready.
pub fn write_all(fd: &Fd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match write(fd, bytes) {
            Ok(0) => {
                return Err(Failure::errno(errno::EIO, WRITE.name));
            }
            Ok(count) => bytes = &bytes[count..],
            Err(failure) if failure.is(&[EINTR]) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

/// Writes to a file that is there.
pub fn write_file(path: &str, bytes: &[u8]) -> Result<()> {
    write_all(&open(path, O_WRONLY, 0)?, bytes)
}
