//! A certificate from anybody, against a policy that trusts a log and a party.
#![no_main]

use std::sync::LazyLock;

use hospitium_ledger::{Given, Policy, verify_bytes};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

/// Keys whose secret halves nobody has: what is fuzzed is the way up to the signatures.
const POLICY: &[u8] = b"log sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8\n\
    #hospitium:signer sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8\n\
    quorum none\n";

static TRUSTED: LazyLock<Policy> =
    LazyLock::new(|| Policy::parse("policy", POLICY).expect("a good policy"));

fuzz_target!(|bytes: &[u8]| {
    let given =
        Given { policy: &TRUSTED, evidence: None, log: None, now: Timestamp::UNIX_EPOCH };
    assert!(verify_bytes(bytes, given).is_err());
});
