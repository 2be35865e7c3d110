//! A record: its envelope, and the statement in it.
#![no_main]

use hospitium_ledger::Statement;
use hospitium_ledger::dsse::Envelope;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(envelope) = Envelope::parse(bytes) {
        let again = Envelope::parse(&envelope.to_bytes());
        assert_eq!(again.as_ref(), Ok(&envelope));
        let _ = Statement::parse(envelope.payload());
    }
    let _ = Statement::parse(bytes);
});
