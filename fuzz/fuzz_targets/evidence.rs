//! An evidence bundle from another party.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = hospitium_evidence::read_bytes(bytes);
});
