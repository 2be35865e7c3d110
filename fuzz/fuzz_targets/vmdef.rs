//! A definition of a virtual machine, in any form.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = hospitium_vmdef::read_text("fuzz", bytes);
});
