//! What another desk sends: as it comes, and behind a signature that holds, for whoever signs may be hostile.
#![no_main]

use std::sync::LazyLock;

use hospitium_desk::PartyName;
use hospitium_desk::exchange::{
    MESSAGE_TYPE, RECEIPT_TYPE, Thread, case_of, verify_message, verify_receipt,
};
use hospitium_ledger::dsse::Envelope;
use hospitium_ledger::{Algorithm, SecretKey, VerifierKey};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<(SecretKey, VerifierKey)> = LazyLock::new(|| {
    let key = SecretKey::generate(Algorithm::Ed25519).expect("made");
    let known = VerifierKey::for_records("guest.example", key.public()).expect("named");
    (key, known)
});
static US: LazyLock<PartyName> = LazyLock::new(|| "host.example".parse().expect("a name"));

fuzz_target!(|bytes: &[u8]| {
    let (key, known) = &*KEY;
    let (keys, now) = (std::slice::from_ref(known), Timestamp::UNIX_EPOCH);
    let _ = case_of(bytes);
    assert!(verify_message(bytes, keys).is_err());
    assert!(verify_receipt(bytes, keys, now).is_err());
    let signed = Envelope::sign_as(MESSAGE_TYPE, bytes, &[key]).to_bytes();
    if let Ok((mut thread, _)) = Thread::begin(&signed, keys, &US, now) {
        // Said again, it changes nothing.
        let before = thread.case().digest();
        assert!(thread.receive(&signed, keys, now).is_ok());
        assert_eq!(thread.case().digest(), before);
    }
    let signed = Envelope::sign_as(RECEIPT_TYPE, bytes, &[key]).to_bytes();
    let _ = verify_receipt(&signed, keys, now);
});
