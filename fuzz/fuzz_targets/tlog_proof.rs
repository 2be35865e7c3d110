//! A tlog-proof file from anybody.
#![no_main]

use hospitium_ledger::{TlogProof, check_inclusion};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(proof) = TlogProof::parse(bytes) {
        assert_eq!(proof.to_bytes(), bytes);
        let _ = check_inclusion(&proof.hashes, proof.checkpoint.head(), proof.index, [0; 32]);
    }
});
