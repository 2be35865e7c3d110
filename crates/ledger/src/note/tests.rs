//! Promises of checkpoints and cosignatures.

use proptest::prelude::*;

use super::*;
use crate::key::Algorithm;
use crate::text::to_base64;
use crate::vkey::Purpose;

fn key(name: &str, purpose: Purpose) -> (VerifierKey, SecretKey) {
    let key = SecretKey::generate(Algorithm::Ed25519).expect("made");
    (VerifierKey::new(name, purpose, key.public()).expect("named"), key)
}

fn head() -> Head {
    Head { origin: "vendor.example/log".into(), size: 42, root: [7; 32] }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time")
}

const NOW: i64 = 1_790_000_000;

#[test]
fn a_checkpoint_survives_its_bytes_and_verifies() {
    let (name, key) = key("vendor.example/log", Purpose::Note);
    let checkpoint = Checkpoint::sign(&head(), &name, &key).expect("signed");
    let read = Checkpoint::parse(checkpoint.as_bytes()).expect("reads");
    assert_eq!(read.verify_log(&name), Ok(&head()));
    assert_eq!(read.as_bytes(), checkpoint.as_bytes());
}

#[test]
fn any_changed_byte_of_the_head_or_signature_is_noticed() {
    let (name, key) = key("vendor.example/log", Purpose::Note);
    let bytes = Checkpoint::sign(&head(), &name, &key).expect("signed").as_bytes().to_vec();
    for at in 0..bytes.len() {
        let mut bent = bytes.clone();
        bent[at] ^= 1;
        let verified = Checkpoint::parse(&bent).and_then(|c| c.verify_log(&name).cloned());
        assert!(verified.is_err(), "byte {at}");
    }
}

#[test]
fn another_key_another_log_and_an_unsigned_note_are_told_apart() {
    let (name, secret) = key("vendor.example/log", Purpose::Note);
    let checkpoint = Checkpoint::sign(&head(), &name, &secret).expect("signed");
    let (twin, _) = key("vendor.example/log", Purpose::Note);
    assert!(matches!(checkpoint.verify_log(&twin), Err(NoteError::Unsigned { .. })));
    let (other, _) = key("other.example/log", Purpose::Note);
    assert!(matches!(checkpoint.verify_log(&other), Err(NoteError::Origin { .. })));
}

#[test]
fn cosignatures_carry_their_time_and_replace_their_own_older_ones() {
    let (log, log_key) = key("vendor.example/log", Purpose::Note);
    let (witness, witness_key) = key("other.example/witness", Purpose::Cosignature);
    let plain = Checkpoint::sign(&head(), &log, &log_key).expect("signed");
    assert_eq!(plain.cosignature(&witness, at(NOW)), Ok(Seen::None));
    let (first, _) = plain.cosigned(&witness, &witness_key, at(NOW - 10)).expect("cosigned");
    let (second, line) = first.cosigned(&witness, &witness_key, at(NOW)).expect("cosigned");
    assert_eq!(second.lines().count(), 2);
    assert_eq!(plain.with_line(&line).expect("added").as_bytes(), second.as_bytes());
    let Ok(Seen::At(cosigned)) = second.cosignature(&witness, at(NOW)) else {
        panic!("it is there")
    };
    assert_eq!((cosigned.by.as_str(), cosigned.at), ("other.example/witness", at(NOW)));
    second.verify_log(&log).expect("still the log's");
}

#[test]
fn a_cosignature_from_the_future_does_not_count_beyond_the_tolerance() {
    let (log, log_key) = key("vendor.example/log", Purpose::Note);
    let (witness, witness_key) = key("other.example/witness", Purpose::Cosignature);
    let plain = Checkpoint::sign(&head(), &log, &log_key).expect("signed");
    let cosign = |seconds| plain.cosigned(&witness, &witness_key, at(seconds)).expect("made").0;
    assert!(matches!(cosign(NOW + 299).cosignature(&witness, at(NOW)), Ok(Seen::At(_))));
    let ahead = cosign(NOW + 301).cosignature(&witness, at(NOW));
    assert!(matches!(&ahead, Ok(Seen::Ahead(why)) if why.contains("in the future")), "{ahead:?}");
}

#[test]
fn a_cosignature_moved_to_another_head_or_time_is_wrong() {
    let (log, log_key) = key("vendor.example/log", Purpose::Note);
    let (witness, witness_key) = key("other.example/witness", Purpose::Cosignature);
    let plain = Checkpoint::sign(&head(), &log, &log_key).expect("signed");
    let (_, line) = plain.cosigned(&witness, &witness_key, at(NOW)).expect("made");
    let other = Head { size: 43, ..head() };
    let other = Checkpoint::sign(&other, &log, &log_key).expect("signed");
    let moved = other.with_line(&line).expect("added");
    assert!(matches!(moved.cosignature(&witness, at(NOW)), Err(NoteError::Wrong { .. })));
}

#[test]
fn floods_of_signatures_and_bytes_are_refused() {
    let (name, key) = key("vendor.example/log", Purpose::Note);
    let good = Checkpoint::sign(&head(), &name, &key).expect("signed");
    let line = |n: u32| {
        let mut bytes = n.to_be_bytes().to_vec();
        bytes.extend([0; 64]);
        format!("\u{2014} w{n}.example {}\n", to_base64(&bytes))
    };
    let with = |count| {
        let mut bytes = good.as_bytes().to_vec();
        (0..count).for_each(|n| bytes.extend(line(n).into_bytes()));
        Checkpoint::parse(&bytes)
    };
    with(40).expect("unknown signatures are ignored").verify_log(&name).expect("verifies");
    assert_eq!(with(70).err(), Some(NoteError::TooLarge));
    assert_eq!(Checkpoint::parse(&vec![b'x'; 1 << 20]).err(), Some(NoteError::TooLarge));
}

#[test]
fn heads_that_are_none_are_refused() {
    let root = to_base64(&[7; 32]);
    for bad in [
        "",
        "\n",
        "a\n1\n",
        &format!("a\n01\n{root}\n"),
        &format!("a b\n1\n{root}\n"),
        &format!("\n1\n{root}\n"),
        &format!("a\n1\n{root}x\n"),
        &format!("a\n-1\n{root}\n"),
        &format!("a\n2000000000000\n{root}\n"),
        &format!("a\n1\n{root}\n\nx\n"),
        &format!("a\u{202e}\t\n1\n{root}\n"),
    ] {
        let note = format!("{bad}\n\u{2014} a AAAAAAAA\n");
        assert!(Checkpoint::parse(note.as_bytes()).is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(0_u8.., 0..300)) {
        let _ = Checkpoint::parse(&bytes);
    }

    #[test]
    fn any_lines_are_read_without_a_panic(text in "[a\n1\u{2014} =+A]{0,120}") {
        let _ = Checkpoint::parse(text.as_bytes());
    }
}
