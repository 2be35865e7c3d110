//! A file that is said to be of TSANet Connect: read, taken as a new case, and into one that is there.
#![no_main]

use std::sync::LazyLock;

use hospitium_desk::bridge::{Given, Receiving, TOLD, incoming, opening, read};
use hospitium_desk::exchange::Thread;
use hospitium_desk::{Channel, Opening, sample};
use hospitium_ledger::{Algorithm, SecretKey};
use libfuzzer_sys::fuzz_target;

static OURS: LazyLock<(SecretKey, Thread)> = LazyLock::new(|| {
    let key = SecretKey::generate(Algorithm::Ed25519).expect("made");
    let bridged = Opening { channel: Channel::Bridge, ..sample::opening() };
    let at = sample::start();
    let thread = Thread::offer(bridged, &[], at, at, None, &key).expect("offered");
    (key, thread)
});

fn take(thread: &mut Thread, bytes: &[u8], key: &SecretKey) {
    let Ok(request) = read(bytes) else { return };
    let now = sample::later(sample::start(), 30 * sample::DAY);
    let new = incoming(thread, &request, &Given::default(), now).expect("one request");
    assert!(new.told.len() <= TOLD + 1);
    for (event, heard) in new.parts {
        assert!(thread.hear(event, heard, key).expect("legal").is_some());
    }
    assert!(thread.hears_rightly());
    // Once more: what did not follow before may follow by now, and nothing is heard twice.
    let again = incoming(thread, &request, &Given::default(), now).expect("one request");
    for (event, heard) in again.parts {
        assert!(thread.hear(event, heard, key).expect("legal").is_some());
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (key, thread) = &*OURS;
    take(&mut thread.clone(), bytes, key);
    let Ok(request) = read(bytes) else { return };
    let Opening { configuration, verdict, terms, .. } = sample::opening();
    let receiving = Receiving {
        id: sample::text("c-09090909090909090909090909090909"),
        us: sample::text("host.example"),
        vendor: sample::text("guest.example"),
        engineer: Some(sample::engineer(hospitium_desk::Side::Submitter)),
        customer: Some(sample::text("Customer Inc.")),
        configuration,
        verdict,
        terms,
    };
    let now = sample::later(sample::start(), 30 * sample::DAY);
    let Ok(opened) = opening(&request, receiving, now) else { return };
    let begun = Thread::begin_heard(opened.opening, opened.at, opened.person, &opened.heard, key);
    take(&mut begun.expect("opens"), bytes, key);
});
