//! The vDSO: the kernel's code in every program, by which programs read the clock. A clock that
//! is right by the system call can still be wrong here (and the other way round), and programs
//! come this way.

use core::ffi::{CStr, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};

use super::sys::VDSO_CLOCKS;
use super::{clock, files, older};

/// The first argument is the clock, the second where the time goes.
type Function = unsafe extern "C" fn(i32, *mut c_void) -> i32;

/// A function of the vDSO that reads a clock.
pub struct VdsoClock {
    /// Its name.
    pub name: &'static CStr,
    /// Seconds and nanoseconds are of 64 bits each, not of 32.
    pub wide: bool,
}

/// How the clock is read.
#[derive(Clone, Copy)]
pub struct ClockGettime(Option<(Function, bool)>);

impl ClockGettime {
    /// A clock in ns; 0 if the kernel does not have it.
    pub fn read(self, clock: i32) -> i64 {
        let Some((function, wide)) = self.0.filter(|_| !older::lacks_clock(clock)) else {
            return clock::by_system_call(clock);
        };
        let (mut long, mut short) = ([0_i64; 2], [0_i32; 2]);
        let time = if wide { (&raw mut long).cast() } else { (&raw mut short).cast() };
        // SAFETY: the vDSO's function has the signature of clock_gettime(2), and `time` is of the size
        // that goes with its name.
        if unsafe { function(clock, time) } != 0 {
            return 0;
        }
        let [seconds, rest] = if wide { long } else { short.map(i64::from) };
        seconds.wrapping_mul(1_000_000_000).wrapping_add(rest)
    }
}

/// By the vDSO if the kernel has such a function in it (x86-64: 2.6.23, 32-bit x86: 3.15), else by the
/// system call.
pub fn clock_gettime() -> ClockGettime {
    if older::lacks_vdso_clock() {
        return ClockGettime(None);
    }
    const UNKNOWN: usize = 0;
    const NONE: usize = 1;
    static FOUND: [AtomicUsize; VDSO_CLOCKS.len()] =
        [const { AtomicUsize::new(UNKNOWN) }; VDSO_CLOCKS.len()];
    for (VdsoClock { name, wide }, found) in VDSO_CLOCKS.iter().zip(&FOUND) {
        let mut address = found.load(Ordering::Relaxed);
        if address == UNKNOWN {
            // SAFETY: the base comes from the kernel, and what is there is an ELF image it made.
            address = base().and_then(|base| unsafe { find(base, name) }).unwrap_or(NONE);
            found.store(address, Ordering::Relaxed);
        }
        if address != NONE {
            // SAFETY: the address of the function of that name in the vDSO.
            let function = unsafe { core::mem::transmute::<usize, Function>(address) };
            return ClockGettime(Some((function, *wide)));
        }
    }
    ClockGettime(None)
}

/// Bytes of a word.
const WORD: usize = size_of::<usize>();

/// Where the vDSO is: AT_SYSINFO_EHDR of the auxiliary vector.
fn base() -> Option<usize> {
    const AT_SYSINFO_EHDR: usize = 33;
    let mut vector = [0; 1024];
    let vector = files::read("/proc/self/auxv", 0, &mut vector).ok()?;
    let (words, _) = vector.as_chunks::<WORD>();
    let mut entries =
        words.chunks_exact(2).map(|pair| [pair[0], pair[1]].map(usize::from_le_bytes));
    entries.find_map(|[kind, value]| (kind == AT_SYSINFO_EHDR && value != 0).then_some(value))
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

/// Offsets in ELF structures: of a file's own class, of which the words are as long as the program's.
mod elf {
    use super::WORD;

    /// `e_phoff`, `e_phentsize` and `e_phnum` of the header.
    pub const TABLE: usize = 24 + WORD;
    pub const ENTRY_SIZE: usize = 30 + 3 * WORD;
    pub const ENTRIES: usize = 32 + 3 * WORD;
    /// `p_offset` and `p_vaddr` of a program header, behind `p_type` (and `p_flags`, in 64 bits).
    pub const OFFSET: usize = WORD;
    pub const ADDRESS: usize = 2 * WORD;
    /// An entry of the dynamic section: a tag, a value.
    pub const DYNAMIC: usize = 2 * WORD;
    /// A symbol, and `st_value` in it.
    pub const SYMBOL: usize = 8 + 2 * WORD;
    pub const VALUE: usize = WORD;
}

/// Looks for a function in the image's dynamic symbols.
///
/// # Safety
///
/// There is a whole, sound ELF image at `base`, of the class of this program.
unsafe fn find(base: usize, wanted: &CStr) -> Option<usize> {
    const LOAD: u32 = 1;
    const DYNAMIC: u32 = 2;
    const HASH: usize = 4;
    const STRTAB: usize = 5;
    const SYMTAB: usize = 6;
    // SAFETY: offsets of the ELF structures, within a sound image.
    unsafe {
        let headers = base + at::<usize>(base + elf::TABLE);
        let size = usize::from(at::<u16>(base + elf::ENTRY_SIZE));
        let count = usize::from(at::<u16>(base + elf::ENTRIES));
        let (mut shift, mut dynamic) = (None, None);
        for header in (0..count).map(|n| headers + n * size) {
            let offset = at::<usize>(header + elf::OFFSET);
            match at::<u32>(header) {
                LOAD if shift.is_none() => {
                    let address = at::<usize>(header + elf::ADDRESS);
                    shift = Some(base.wrapping_add(offset).wrapping_sub(address));
                }
                DYNAMIC => dynamic = Some(base + offset),
                _ => {}
            }
        }
        let (shift, mut dynamic) = (shift?, dynamic?);
        let (mut hash, mut names, mut symbols) = (None, None, None);
        loop {
            let value = shift.wrapping_add(at::<usize>(dynamic + WORD));
            match at::<usize>(dynamic) {
                0 => break,
                HASH => hash = Some(value),
                STRTAB => names = Some(value),
                SYMTAB => symbols = Some(value),
                _ => {}
            }
            dynamic += elf::DYNAMIC;
        }
        let (names, symbols) = (names?, symbols?);
        let count = match hash {
            // nchain is the number of symbols.
            Some(hash) => at::<u32>(hash + 4) as usize,
            // With only a GNU hash: linkers put the names right behind the symbols.
            None => names.checked_sub(symbols)? / elf::SYMBOL,
        };
        (0..count.min(256)).map(|n| symbols + n * elf::SYMBOL).find_map(|symbol| {
            let name = names + at::<u32>(symbol) as usize;
            let wanted = wanted.to_bytes_with_nul();
            let same = wanted.iter().enumerate().all(|(n, &byte)| at::<u8>(name + n) == byte);
            let value = at::<usize>(symbol + elf::VALUE);
            (same && value != 0).then(|| shift.wrapping_add(value))
        })
    }
}
