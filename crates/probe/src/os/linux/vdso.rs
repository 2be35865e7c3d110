//! The vDSO: the kernel's code in every program, by which programs read the clock. A clock that
//! is right by the system call can still be wrong here (and the other way round), and programs
//! come this way.

use core::sync::atomic::{AtomicUsize, Ordering};

use super::sys::Timespec;
use super::{clock, files};

type Function = unsafe extern "C" fn(i32, *mut Timespec) -> i32;

/// How the clock is read.
#[derive(Clone, Copy)]
pub struct ClockGettime(Option<Function>);

impl ClockGettime {
    /// A clock in ns; 0 if the kernel does not have it.
    pub fn read(self, clock: i32) -> i64 {
        let Some(function) = self.0 else {
            return clock::by_system_call(clock);
        };
        let mut time = Timespec { seconds: 0, nanoseconds: 0 };
        // SAFETY: the vDSO's clock_gettime has the signature of clock_gettime(2).
        match unsafe { function(clock, &mut time) } {
            0 => time.seconds.wrapping_mul(1_000_000_000).wrapping_add(time.nanoseconds),
            _ => 0,
        }
    }
}

/// By the vDSO if the kernel has one (x86-64: 2.6.23), else by the system call.
pub fn clock_gettime() -> ClockGettime {
    const UNKNOWN: usize = 0;
    const NONE: usize = 1;
    static FOUND: AtomicUsize = AtomicUsize::new(UNKNOWN);
    let mut address = FOUND.load(Ordering::Relaxed);
    if address == UNKNOWN {
        // SAFETY: the base comes from the kernel, and what is there is an ELF image it made.
        address = base().and_then(|base| unsafe { find(base) }).unwrap_or(NONE);
        FOUND.store(address, Ordering::Relaxed);
    }
    if address == NONE {
        return ClockGettime(None);
    }
    // SAFETY: the address of the function of that name in the vDSO.
    ClockGettime(Some(unsafe { core::mem::transmute::<usize, Function>(address) }))
}

/// Where the vDSO is: AT_SYSINFO_EHDR of the auxiliary vector.
fn base() -> Option<usize> {
    const AT_SYSINFO_EHDR: u64 = 33;
    let mut vector = [0; 1024];
    let vector = files::read("/proc/self/auxv", 0, &mut vector).ok()?;
    let (words, _) = vector.as_chunks::<8>();
    let entry = words.chunks_exact(2).find(|entry| u64::from_le_bytes(entry[0]) == AT_SYSINFO_EHDR);
    entry.map(|entry| u64::from_le_bytes(entry[1]) as usize).filter(|&base| base != 0)
}

/// The bytes of `T` at an address.
///
/// # Safety
///
/// There is a `T` there, aligned or not.
unsafe fn at<T: Copy>(address: usize) -> T {
    // SAFETY: the caller's word.
    unsafe { (address as *const T).read_unaligned() }
}

/// Looks for the function in the image's dynamic symbols.
///
/// # Safety
///
/// There is a whole, sound ELF64 image at `base`.
unsafe fn find(base: usize) -> Option<usize> {
    const LOAD: u32 = 1;
    const DYNAMIC: u32 = 2;
    const HASH: u64 = 4;
    const STRTAB: u64 = 5;
    const SYMTAB: u64 = 6;
    // SAFETY: offsets of Elf64_Ehdr, Elf64_Phdr, Elf64_Dyn and Elf64_Sym, within a sound image.
    unsafe {
        let headers = base + at::<u64>(base + 32) as usize;
        let (size, count) = (usize::from(at::<u16>(base + 54)), usize::from(at::<u16>(base + 56)));
        let (mut shift, mut dynamic) = (None, None);
        for header in (0..count).map(|n| headers + n * size) {
            let offset = at::<u64>(header + 8) as usize;
            match at::<u32>(header) {
                LOAD if shift.is_none() => {
                    let address = at::<u64>(header + 16) as usize;
                    shift = Some(base.wrapping_add(offset).wrapping_sub(address));
                }
                DYNAMIC => dynamic = Some(base + offset),
                _ => {}
            }
        }
        let (shift, mut dynamic) = (shift?, dynamic?);
        let (mut hash, mut names, mut symbols) = (None, None, None);
        loop {
            let value = shift.wrapping_add(at::<u64>(dynamic + 8) as usize);
            match at::<u64>(dynamic) {
                0 => break,
                HASH => hash = Some(value),
                STRTAB => names = Some(value),
                SYMTAB => symbols = Some(value),
                _ => {}
            }
            dynamic += 16;
        }
        let (names, symbols) = (names?, symbols?);
        let count = match hash {
            // nchain is the number of symbols.
            Some(hash) => at::<u32>(hash + 4) as usize,
            // With only a GNU hash: linkers put the names right behind the symbols.
            None => names.checked_sub(symbols)? / 24,
        };
        (0..count.min(256)).map(|n| symbols + n * 24).find_map(|symbol| {
            let name = names + at::<u32>(symbol) as usize;
            let wanted = c"__vdso_clock_gettime".to_bytes_with_nul();
            let same = wanted.iter().enumerate().all(|(n, &byte)| at::<u8>(name + n) == byte);
            let value = at::<u64>(symbol + 8) as usize;
            (same && value != 0).then(|| shift.wrapping_add(value))
        })
    }
}
