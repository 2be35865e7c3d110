//! System calls: the instruction, the table, and safe wrappers.

use core::arch::asm;

use hospitium_wire::{Refusal, errno};

use crate::failure::{Failure, Result};

/// A system call of the x86-64 table (arch/x86/entry/syscalls/syscall_64.tbl).
#[derive(Clone, Copy)]
pub struct Call {
    number: usize,
    name: &'static str,
}

macro_rules! calls {
    ($($constant:ident = $number:literal $name:literal;)*) => {
        $(pub const $constant: Call = Call { number: $number, name: $name };)*
    };
}

calls! {
    READ = 0 "read"; WRITE = 1 "write"; OPEN = 2 "open"; CLOSE = 3 "close"; POLL = 7 "poll";
    LSEEK = 8 "lseek"; MMAP = 9 "mmap"; MUNMAP = 11 "munmap"; SIGACTION = 13 "rt_sigaction";
    IOCTL = 16 "ioctl"; PREAD = 17 "pread"; PWRITE = 18 "pwrite"; PIPE = 22 "pipe";
    DUP2 = 33 "dup2"; NANOSLEEP = 35 "nanosleep"; GETPID = 39 "getpid"; SOCKET = 41 "socket";
    CONNECT = 42 "connect"; SENDTO = 44 "sendto"; SHUTDOWN = 48 "shutdown";
    SETSOCKOPT = 54 "setsockopt"; GETSOCKOPT = 55 "getsockopt"; FORK = 57 "fork";
    EXECVE = 59 "execve"; WAIT4 = 61 "wait4"; KILL = 62 "kill"; UNAME = 63 "uname";
    FCNTL = 72 "fcntl"; FSYNC = 74 "fsync"; MKDIR = 83 "mkdir"; RMDIR = 84 "rmdir";
    UNLINK = 87 "unlink"; READLINK = 89 "readlink"; SYSLOG = 103 "syslog"; SETSID = 112 "setsid";
    MKNOD = 133 "mknod"; PRCTL = 157 "prctl"; SYNC = 162 "sync"; MOUNT = 165 "mount";
    UMOUNT = 166 "umount2"; REBOOT = 169 "reboot"; INIT_MODULE = 175 "init_module";
    DELETE_MODULE = 176 "delete_module"; SETAFFINITY = 203 "sched_setaffinity";
    GETAFFINITY = 204 "sched_getaffinity"; GETDENTS64 = 217 "getdents64";
    CLOCK_GETTIME = 228 "clock_gettime"; CLOCK_NANOSLEEP = 230 "clock_nanosleep";
    EXIT_GROUP = 231 "exit_group"; GETRANDOM = 318 "getrandom";
}

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
    let [a, b, c, d, e, f] = arguments;
    let result: isize;
    // SAFETY: the x86-64 calling convention of Linux; rcx and r11 are overwritten, memory may
    // be. The caller answers for the arguments.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") call.number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
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
    let path = Text::new(path)?;
    // SAFETY: the path is NUL-ended and outlives the call; the others are numbers.
    unsafe { call(what, [path.arg(), second, third, 0, 0, 0]) }
}

pub fn open(path: &str, flags: i32, mode: usize) -> Result<Fd> {
    on_path(OPEN, path, arg(flags), mode).map(Fd::from_call)
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
    // SAFETY: the buffer is good for its length.
    unsafe { call(PREAD, [fd.arg(), at, length, offset as usize, 0, 0]) }
}

pub fn pwrite(fd: &Fd, bytes: &[u8], offset: u64) -> Result<usize> {
    let (at, length) = (bytes.as_ptr() as usize, bytes.len());
    // SAFETY: the bytes are good for their length.
    unsafe { call(PWRITE, [fd.arg(), at, length, offset as usize, 0, 0]) }
}

/// Where the end of a file or block device is, in bytes.
pub fn size(fd: &Fd) -> Result<usize> {
    plain(LSEEK, [fd.arg(), 0, 2, 0, 0, 0])
}

/// An ioctl on something of type `T`.
///
/// # Safety
///
/// `T` is at least as large as what the request reads and writes, and any bits are a value of it.
pub unsafe fn ioctl<T>(fd: &Fd, request: u64, argument: &mut T) -> Result<usize> {
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

/// struct timespec.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Timespec {
    pub seconds: i64,
    pub nanoseconds: i64,
}

impl Timespec {
    pub const fn from_ns(ns: u64) -> Self {
        Self { seconds: (ns / 1_000_000_000) as i64, nanoseconds: (ns % 1_000_000_000) as i64 }
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
