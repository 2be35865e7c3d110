//! Linux on 32-bit x86: `int 0x80` and arch/x86/entry/syscalls/syscall_32.tbl, as far as 2.6.18 has it.
//!
//! Sockets have no calls of their own there before 4.3: all go through `socketcall`, and their numbers here are
//! those of include/uapi/linux/net.h above [`SOCKETCALLS`].

use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};

use hospitium_wire::{Arch, errno};

use super::{Fd, Timespec, arg, call, calls};
use crate::failure::Result;
use crate::os::linux::vdso::VdsoClock;

/// The instruction set.
pub const ARCH: Arch = Arch::X86;
/// What programs read the clock by, the better first (Linux 5.3 and 3.15).
pub const VDSO_CLOCKS: &[VdsoClock] = &[
    VdsoClock { name: c"__vdso_clock_gettime64", wide: true },
    VdsoClock { name: c"__vdso_clock_gettime", wide: false },
];
/// O_LARGEFILE: a file may be larger than an offset of 32 bits can say.
pub const LARGE: i32 = 0o100_000;
/// BLKGETSIZE64: `_IOR(0x12, 114, size_t)`.
pub const BLKGETSIZE64: u64 = 0x8004_1272;

/// Where the numbers of `socketcall` begin.
const SOCKETCALLS: usize = 0x1_0000;
const SOCKETCALL: usize = 102;

calls! {
    READ = 3 "read";
    WRITE = 4 "write";
    OPEN = 5 "open";
    CLOSE = 6 "close";
    POLL = 168 "poll";
    LLSEEK = 140 "_llseek";
    MMAP = 192 "mmap2";
    MUNMAP = 91 "munmap";
    SIGACTION = 174 "rt_sigaction";
    IOCTL = 54 "ioctl";
    PREAD = 180 "pread";
    PWRITE = 181 "pwrite";
    PIPE = 42 "pipe";
    DUP2 = 63 "dup2";
    NANOSLEEP = 162 "nanosleep";
    GETPID = 20 "getpid";
    FORK = 2 "fork";
    EXECVE = 11 "execve";
    WAIT4 = 114 "wait4";
    KILL = 37 "kill";
    UNAME = 122 "uname";
    FCNTL = 55 "fcntl";
    FSYNC = 118 "fsync";
    MKDIR = 39 "mkdir";
    RMDIR = 40 "rmdir";
    UNLINK = 10 "unlink";
    CHDIR = 12 "chdir";
    CHROOT = 61 "chroot";
    READLINK = 85 "readlink";
    SYSLOG = 103 "syslog";
    SETSID = 66 "setsid";
    MKNOD = 14 "mknod";
    PRCTL = 172 "prctl";
    SYNC = 36 "sync";
    MOUNT = 21 "mount";
    UMOUNT = 52 "umount2";
    REBOOT = 88 "reboot";
    INIT_MODULE = 128 "init_module";
    DELETE_MODULE = 129 "delete_module";
    SETAFFINITY = 241 "sched_setaffinity";
    GETAFFINITY = 242 "sched_getaffinity";
    GETDENTS64 = 220 "getdents64";
    CLOCK_GETTIME = 265 "clock_gettime";
    CLOCK_GETTIME64 = 403 "clock_gettime64";
    CLOCK_NANOSLEEP = 267 "clock_nanosleep";
    EXIT_GROUP = 252 "exit_group";
    GETRANDOM = 355 "getrandom";
    SOCKET = 0x1_0001 "socket";
    CONNECT = 0x1_0003 "connect";
    SENDTO = 0x1_000B "sendto";
    SHUTDOWN = 0x1_000D "shutdown";
    SETSOCKOPT = 0x1_000E "setsockopt";
    GETSOCKOPT = 0x1_000F "getsockopt";
}

/// Enters the kernel. Returns what it does: a number, or a negated errno.
///
/// # Safety
///
/// As [`call`].
pub unsafe fn enter(number: usize, arguments: [usize; 6]) -> isize {
    if number >= SOCKETCALLS {
        let through = [number - SOCKETCALLS, arguments.as_ptr() as usize, 0, 0, 0, 0];
        // SAFETY: an array of as many words as any of them takes, each of which the caller answers for.
        return unsafe { interrupt(SOCKETCALL, &through) };
    }
    // SAFETY: the caller answers for the arguments.
    unsafe { interrupt(number, &arguments) }
}

/// `int 0x80`, which every kernel and every processor has.
///
/// # Safety
///
/// As [`call`].
unsafe fn interrupt(number: usize, arguments: &[usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the i386 calling convention of Linux: it keeps all registers but eax, and memory may be
    // overwritten. The caller answers for the arguments. esi and ebp are the compiler's own and
    // put back.
    unsafe {
        asm!(
            "push esi",
            "push ebp",
            "mov ebx, [edi]",
            "mov ecx, [edi + 4]",
            "mov edx, [edi + 8]",
            "mov esi, [edi + 12]",
            "mov ebp, [edi + 20]",
            "mov edi, [edi + 16]",
            "int 0x80",
            "pop ebp",
            "pop esi",
            inlateout("eax") number => result,
            inlateout("edi") arguments.as_ptr() => _,
            lateout("ebx") _, lateout("ecx") _, lateout("edx") _,
        );
    }
    result
}

/// An offset as the calls on files take it: the low word first.
pub const fn words(offset: u64) -> [usize; 2] {
    [offset as usize, (offset >> 32) as usize]
}

/// Where the end of a file or block device is, in bytes.
pub fn size(fd: &Fd) -> Result<u64> {
    const END: usize = 2;
    let mut place = 0_u64;
    let at = core::ptr::from_mut(&mut place) as usize;
    // SAFETY: 64 bits to write.
    unsafe { call(LLSEEK, [fd.arg(), 0, 0, at, END, 0]) }?;
    Ok(place)
}

/// A clock in ns. Kernels since 5.1 are asked with seconds of 64 bits, which do not end in 2038.
pub fn clock_ns(clock: i32) -> Result<i64> {
    static LACKS_64: AtomicBool = AtomicBool::new(false);
    if !LACKS_64.load(Ordering::Relaxed) {
        let mut time = [0_i64; 2];
        let at = time.as_mut_ptr() as usize;
        // SAFETY: a struct __kernel_timespec to write.
        match unsafe { call(CLOCK_GETTIME64, [arg(clock), at, 0, 0, 0, 0]) } {
            Err(failure) if failure.is(&[errno::ENOSYS]) => {
                LACKS_64.store(true, Ordering::Relaxed);
            }
            other => {
                return other.map(|_| time[0].wrapping_mul(1_000_000_000).wrapping_add(time[1]));
            }
        }
    }
    let mut time = Timespec::ZERO;
    let at = core::ptr::from_mut(&mut time) as usize;
    // SAFETY: a struct timespec to write.
    unsafe { call(CLOCK_GETTIME, [arg(clock), at, 0, 0, 0, 0]) }?;
    Ok(time.to_ns())
}
