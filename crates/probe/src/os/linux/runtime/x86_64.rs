//! The memory functions that the compiler calls, on x86-64.
//!
//! They are string instructions: eight bytes at a time, because an emulator takes them one by one.

use core::arch::asm;

// SAFETY (of the four): the C library's contracts; the direction flag is clear by the ABI and is
// left clear.

#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: by memcpy's contract both are good for `count` bytes and do not overlap.
    unsafe {
        asm!(
            "rep movsq", "mov rcx, {rest}", "rep movsb",
            rest = in(reg) count & 7,
            inout("rcx") count / 8 => _, inout("rdi") to => _, inout("rsi") from => _,
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
            "std", "rep movsb", "cld",
            inout("rcx") count => _,
            inout("rdi") to.wrapping_add(last) => _, inout("rsi") from.wrapping_add(last) => _,
            options(nostack),
        );
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    let word = u64::from(byte as u8) * 0x0101_0101_0101_0101;
    // SAFETY: by memset's contract `to` is good for `count` bytes.
    unsafe {
        asm!(
            "rep stosq", "mov rcx, {rest}", "rep stosb",
            rest = in(reg) count & 7,
            inout("rcx") count / 8 => _, inout("rdi") to => _, in("rax") word,
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
            "xor eax, eax", "cmp rcx, rcx", "repe cmpsb", "je 2f",
            "movzx eax, byte ptr [rdi - 1]", "movzx ecx, byte ptr [rsi - 1]", "sub eax, ecx", "2:",
            out("eax") difference,
            inout("rcx") count => _, inout("rdi") a => _, inout("rsi") b => _,
            options(nostack, readonly),
        );
    }
    difference
}
