//! The memory functions that the compiler calls, on 32-bit x86.
//!
//! They are string instructions: four bytes at a time, because an emulator takes them one by one. esi is the
//! compiler's own and cannot be asked for: edx holds what belongs there, and they change places for a moment.

use core::arch::asm;

// SAFETY (of the four): the C library's contracts; the direction flag is clear by the ABI and is
// left clear.

#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: by memcpy's contract both are good for `count` bytes and do not overlap.
    unsafe {
        asm!(
            "xchg esi, edx", "rep movsd", "mov ecx, eax", "rep movsb", "xchg esi, edx",
            in("eax") count & 3, inout("edx") from => _,
            inout("ecx") count / 4 => _, inout("edi") to => _,
            options(nostack, preserves_flags),
        );
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= count {
        // SAFETY: forward, `to` is never ahead of what is still to be read.
        return unsafe { memcpy(to, from, count) };
    }
    let last = count.wrapping_sub(1);
    // SAFETY: by memmove's contract both are good for `count` bytes; backward, `to` is never
    // behind what is still to be read. The flag is cleared again.
    unsafe {
        asm!(
            "std", "xchg esi, edx", "rep movsb", "xchg esi, edx", "cld",
            inout("edx") from.wrapping_add(last) => _,
            inout("ecx") count => _, inout("edi") to.wrapping_add(last) => _,
            options(nostack),
        );
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    let word = u32::from(byte as u8) * 0x0101_0101;
    // SAFETY: by memset's contract `to` is good for `count` bytes.
    unsafe {
        asm!(
            "rep stosd", "mov ecx, edx", "rep stosb",
            in("edx") count & 3,
            inout("ecx") count / 4 => _, inout("edi") to => _, in("eax") word,
            options(nostack, preserves_flags),
        );
    }
    to
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    let difference: i32;
    // SAFETY: by memcmp's contract both are good for `count` bytes. Equal if `count` is 0: the
    // comparison before sets the flags for that case.
    unsafe {
        asm!(
            "xchg esi, edx", "xor eax, eax", "cmp ecx, ecx", "repe cmpsb", "je 2f",
            "movzx eax, byte ptr [edi - 1]", "movzx ecx, byte ptr [esi - 1]", "sub eax, ecx", "2:",
            "mov esi, edx",
            inout("edx") b => _,
            out("eax") difference,
            inout("ecx") count => _, inout("edi") a => _,
            options(nostack, readonly),
        );
    }
    difference
}
