//! The header of a disk image.
#![no_main]

use hospitium_guest::image::{Raw, probe_bytes};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &[u8], u64, bool)| {
    let (head, tail, size, asked) = input;
    let raw = if asked { Raw::Asked } else { Raw::WithBootSignature };
    let _ = probe_bytes(head, tail, size, raw);
});
