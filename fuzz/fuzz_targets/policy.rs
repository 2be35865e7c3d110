//! A policy.
#![no_main]

use hospitium_ledger::Policy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match Policy::parse("policy", bytes) {
        Ok(policy) => assert!(!policy.quorum_words().is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
