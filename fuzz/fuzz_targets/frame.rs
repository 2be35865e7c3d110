//! Bytes from a guest, as the harness reads them.
#![no_main]

use hospitium_wire::{Decoder, Envelope, Greeting, Reply, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut decoder = Decoder::new();
    for &byte in bytes {
        if let Some(Ok(frame)) = decoder.push(byte) {
            let _ = Decoder::message::<Envelope<Reply>>(frame);
            let _ = Decoder::message::<Envelope<Request>>(frame);
            let _ = Greeting::read(frame);
        }
    }
});
