//! Promises of policies.

use proptest::prelude::*;

use super::*;
use crate::key::{Algorithm, SecretKey};
use crate::vkey::Purpose;

fn key(name: &str, purpose: Purpose) -> VerifierKey {
    let key = SecretKey::generate(Algorithm::Ed25519).expect("made").public();
    VerifierKey::new(name, purpose, key).expect("named")
}

fn witness(name: &str) -> String {
    key(&format!("{name}.example/witness"), Purpose::Cosignature).to_string()
}

fn parse(text: &str) -> Result<Policy, PolicyError> {
    Policy::parse("policy", text.as_bytes())
}

/// The two levels of groups of the specification's example.
fn example() -> String {
    let mut text = format!("log {}\n\n", key("a.example/log", Purpose::Note));
    for name in ["X1", "X2", "X3", "Y1", "Y2", "Y3"] {
        text.push_str(&format!("witness {name} {}\n", witness(&name.to_lowercase())));
    }
    text + "group X-witnesses 2 X1 X2 X3\n\
            \t group  Y-witnesses any Y1 Y2\tY3 \n\
            group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n"
}

#[test]
fn the_specifications_example_asks_for_two_of_one_group_and_one_of_the_other() {
    let policy = parse(&example()).expect("reads");
    let enough = |places: &[usize]| policy.is_quorum(&places.iter().copied().collect());
    assert!(enough(&[0, 2, 4]) && enough(&[0, 1, 2, 3, 4, 5]));
    assert!(!enough(&[0, 1, 2]) && !enough(&[0, 3, 4, 5]) && !enough(&[]));
    assert!(policy.quorum_words().contains("2 of (X1, X2, X3)"));
}

#[test]
fn no_quorum_and_a_single_witness_are_quorums() {
    assert!(parse("quorum none\n").expect("reads").is_quorum(&BTreeSet::new()));
    let one = parse(&format!("witness w {}\nquorum w\n", witness("w"))).expect("reads");
    assert!(one.is_quorum(&BTreeSet::from([0])) && !one.is_quorum(&BTreeSet::new()));
}

#[test]
fn our_lines_are_comments_to_others_and_strict_to_us() {
    let signer = key("vendor.example", Purpose::Note);
    let text = format!("#hospitium:signer {signer}\n # anything\nquorum none\n");
    let span = KeySpan { key: signer.clone(), from: 0, until: None };
    assert_eq!(parse(&text).expect("reads").signers_of("vendor.example"), [span]);
    let given_up = parse(&format!("#hospitium:signer {signer} until=41\nquorum none\n"));
    assert_eq!(given_up.expect("reads").signers[0].until, Some(41));
    assert!(parse(&format!("#hospitium:signer {signer} until=x\nquorum none\n")).is_err());
    assert!(parse("#hospitium:singer x\nquorum none\n").is_err());
    assert!(parse(&format!("#hospitium:signer {}\nquorum none\n", witness("w"))).is_err());
}

#[test]
fn what_breaks_a_rule_is_told_with_line_and_caret() {
    let w = witness("w");
    let log = key("a.example/log", Purpose::Note);
    for (text, line, what) in [
        ("", 0, "no quorum line"),
        ("quorum none", 1, "end with a newline"),
        ("quorum none\nquorum none\n", 2, "already"),
        ("quorum other\n", 1, "not defined"),
        ("quorum none more\n", 1, "nothing more"),
        ("qurom none\n", 1, "a line is"),
        ("log x\nquorum none\n", 1, "no verifier key"),
        (&format!("log {w}\nquorum none\n"), 1, "0x01"),
        (&format!("witness w {log}\nquorum w\n"), 1, "0x04"),
        (&format!("log {log}\nlog {log}\nquorum none\n"), 2, "already"),
        (&format!("witness none {w}\nquorum none\n"), 1, "meaning of its own"),
        (&format!("witness w {w}\nwitness v {w}\nquorum w\n"), 2, "another witness's"),
        (&format!("witness w {w}\ngroup g 2 w\nquorum g\n"), 2, "from 1 to 1"),
        (&format!("witness w {w}\ngroup g 0 w\nquorum g\n"), 2, "from 1 to 1"),
        (&format!("witness w {w}\ngroup g any w w\nquorum g\n"), 2, "already"),
        (&format!("witness w {w}\ngroup g any\nquorum g\n"), 2, "at least one member"),
        (&format!("group g any w\nwitness w {w}\nquorum g\n"), 1, "not defined"),
        ("quorum \u{1b}[31mnone\n", 1, "control characters"),
        ("quorum none\r\n", 1, "control characters"),
    ] {
        let error = parse(text).expect_err(text);
        assert_eq!(error.line, line, "{error}");
        assert!(error.message.contains(what), "{error}");
        assert!(!error.to_string().contains('\u{1b}'));
    }
    let shown = parse("quorum  other\n").expect_err("not defined").to_string();
    assert!(shown.ends_with("1 | quorum  other\n  |         ^^^^^"), "{shown}");
}

#[test]
fn names_are_octets_and_no_text() {
    let w = witness("w");
    let mut text = b"witness \xff\xfe ".to_vec();
    text.extend(format!("{w}\nquorum ").into_bytes());
    text.extend(b"\xff\xfe\n");
    Policy::parse("policy", &text).expect("reads");
    let kelvin = format!("witness K {w}\nquorum \u{212a}\n");
    assert!(parse(&kelvin).is_err(), "the Kelvin sign is not the letter");
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(0_u8.., 0..300)) {
        if let Err(error) = Policy::parse("policy", &bytes) {
            let _ = error.to_string();
        }
    }

    #[test]
    fn any_words_are_read_without_a_panic(
        words in proptest::collection::vec("log|witness|group|quorum|none|any|all|a|b|2|\n|#hospitium:signer|\u{e9}", 0..40)
    ) {
        if let Err(error) = Policy::parse("policy", words.join(" ").as_bytes()) {
            let _ = error.to_string();
        }
    }
}
