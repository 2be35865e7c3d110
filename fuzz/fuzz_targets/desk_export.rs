//! An exported case from anybody: a tar archive with a manifest that is signed, whose signer may be hostile.
#![no_main]

use std::sync::LazyLock;

use hospitium_desk::export::{EXPORT_TYPE, import};
use hospitium_desk::{PartyKeys, PartyName};
use hospitium_ledger::dsse::Envelope;
use hospitium_ledger::{Algorithm, SecretKey, VerifierKey};
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<(SecretKey, VerifierKey)> = LazyLock::new(|| {
    let key = SecretKey::generate(Algorithm::Ed25519).expect("made");
    let known = VerifierKey::for_records("guest.example", key.public()).expect("named");
    (key, known)
});

const MANIFEST: &[u8] = br#"{"case":"c-07070707070707070707070707070707","exporter":"guest.example",
"at":"2026-03-02T08:00:00Z","heads":{"submitter":null,"receiver":null},
"state":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}"#;

fuzz_target!(|bytes: &[u8]| {
    let (key, known) = &*KEY;
    let keys = |_: &PartyName| PartyKeys { now: vec![known.clone()], before: Vec::new() };
    assert!(import(bytes, keys, None).is_err());
    // Behind a manifest that holds.
    let manifest = Envelope::sign_as(EXPORT_TYPE, MANIFEST, &[key]).to_bytes();
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(manifest.len() as u64);
    if archive.append_data(&mut header, "manifest.json", manifest.as_slice()).is_err() {
        return;
    }
    // Without the end of an archive, which comes when the builder is done.
    let mut whole = archive.get_ref().clone();
    whole.extend_from_slice(bytes);
    assert!(import(whole.as_slice(), keys, None).is_err());
});
