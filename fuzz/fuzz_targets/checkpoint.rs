//! A signed note with a checkpoint from another party.
#![no_main]

use hospitium_ledger::Checkpoint;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(checkpoint) = Checkpoint::parse(bytes) {
        assert_eq!(checkpoint.as_bytes(), bytes);
        assert!(checkpoint.text().starts_with(checkpoint.head().text().as_bytes()));
    }
});
