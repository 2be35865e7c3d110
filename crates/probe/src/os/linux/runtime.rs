//! What a C library would bring: the entry, the memory functions that the compiler calls, and
//! the end of a panic.

use core::arch::global_asm;

use super::{console, power, process, start, sys};

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, [rsp]",
    "lea rsi, [rsp + 8]",
    "and rsp, -16",
    "call {entry}",
    "ud2",
    entry = sym start::entry,
);

// Both arguments on the stack, which is aligned to 16 bytes where they are pushed.
#[cfg(target_arch = "x86")]
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov eax, [esp]",
    "lea ecx, [esp + 4]",
    "and esp, -16",
    "sub esp, 8",
    "push ecx",
    "push eax",
    "call {entry}",
    "ud2",
    entry = sym start::entry,
);

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    console::say(&["hospitium-probe: panic"]);
    if process::is_init() {
        // Process 1 may not end; a machine that restarts is noticed outside.
        power::restart_now();
    }
    sys::exit(101)
}

/// Referred to by the unwind tables of the precompiled `core`; never called, a panic aborts.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[cfg(target_arch = "x86")]
#[path = "runtime/x86.rs"]
mod memory;
#[cfg(target_arch = "x86_64")]
#[path = "runtime/x86_64.rs"]
mod memory;

// SAFETY (of the two): the C library's contracts.

#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    // SAFETY: the same contract.
    unsafe { memory::memcmp(a, b, count) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut length = 0;
    // SAFETY: by strlen's contract there is a NUL, and all before it is readable. Volatile, or
    // the compiler would see a `strlen` in this loop and call it.
    while unsafe { text.add(length).read_volatile() } != 0 {
        length += 1;
    }
    length
}
