//! Linux on x86-64: the `syscall` instruction and arch/x86/entry/syscalls/syscall_64.tbl.

use core::arch::asm;

use hospitium_wire::Arch;

use super::{Fd, Timespec, call, calls, plain};
use crate::failure::Result;
use crate::os::linux::vdso::VdsoClock;

/// The instruction set.
pub const ARCH: Arch = Arch::X86_64;
/// What programs read the clock by.
pub const VDSO_CLOCKS: &[VdsoClock] = &[VdsoClock { name: c"__vdso_clock_gettime", wide: true }];
/// Files of any size are opened without a flag.
pub const LARGE: i32 = 0;
/// BLKGETSIZE64: `_IOR(0x12, 114, size_t)`.
pub const BLKGETSIZE64: u64 = 0x8008_1272;

calls! {
    READ = 0 "read"; WRITE = 1 "write"; OPEN = 2 "open"; CLOSE = 3 "close"; POLL = 7 "poll";
    LSEEK = 8 "lseek"; MMAP = 9 "mmap"; MUNMAP = 11 "munmap"; SIGACTION = 13 "rt_sigaction";
    IOCTL = 16 "ioctl"; PREAD = 17 "pread"; PWRITE = 18 "pwrite"; PIPE = 22 "pipe";
    DUP2 = 33 "dup2"; NANOSLEEP = 35 "nanosleep"; GETPID = 39 "getpid"; SOCKET = 41 "socket";
    CONNECT = 42 "connect"; SENDTO = 44 "sendto"; SHUTDOWN = 48 "shutdown";
    SETSOCKOPT = 54 "setsockopt"; GETSOCKOPT = 55 "getsockopt"; FORK = 57 "fork";
    EXECVE = 59 "execve"; WAIT4 = 61 "wait4"; KILL = 62 "kill"; UNAME = 63 "uname";
    FCNTL = 72 "fcntl"; FSYNC = 74 "fsync"; MKDIR = 83 "mkdir"; RMDIR = 84 "rmdir";
    UNLINK = 87 "unlink"; CHDIR = 80 "chdir"; CHROOT = 161 "chroot"; READLINK = 89 "readlink"; SYSLOG = 103 "syslog"; SETSID = 112 "setsid";
    MKNOD = 133 "mknod"; PRCTL = 157 "prctl"; SYNC = 162 "sync"; MOUNT = 165 "mount";
    UMOUNT = 166 "umount2"; REBOOT = 169 "reboot"; INIT_MODULE = 175 "init_module";
    DELETE_MODULE = 176 "delete_module"; SETAFFINITY = 203 "sched_setaffinity";
    GETAFFINITY = 204 "sched_getaffinity"; GETDENTS64 = 217 "getdents64";
    CLOCK_GETTIME = 228 "clock_gettime"; CLOCK_NANOSLEEP = 230 "clock_nanosleep";
    EXIT_GROUP = 231 "exit_group"; GETRANDOM = 318 "getrandom";
}

/// Enters the kernel. Returns what it does: a number, or a negated errno.
///
/// # Safety
///
/// As [`call`].
pub unsafe fn enter(number: usize, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result: isize;
    // SAFETY: the x86-64 calling convention of Linux; rcx and r11 are overwritten, memory may
    // be. The caller answers for the arguments.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// An offset as the calls on files take it.
pub const fn words(offset: u64) -> [usize; 2] {
    [offset as usize, 0]
}

/// Where the end of a file or block device is, in bytes.
pub fn size(fd: &Fd) -> Result<u64> {
    const END: usize = 2;
    plain(LSEEK, [fd.arg(), 0, END, 0, 0, 0]).map(|size| size as u64)
}

/// A clock in ns.
pub fn clock_ns(clock: i32) -> Result<i64> {
    let mut time = Timespec::ZERO;
    let at = core::ptr::from_mut(&mut time) as usize;
    // SAFETY: a struct timespec to write.
    unsafe { call(CLOCK_GETTIME, [super::arg(clock), at, 0, 0, 0, 0]) }?;
    Ok(time.to_ns())
}
