//! The names that records give to what they are: those of before are read as the present ones, and are not written.

mod common;

use common::{Lab, now, passing};
use hospitium_ledger::dsse::Envelope;
use hospitium_ledger::statement::{KeyRole, NAMESPACE, Record, Resource, WaiverRecord, predicate};
use hospitium_ledger::{Algorithm, GivenUp, Party, Standing, Statement, given_up};
use hospitium_model::Digest;

/// What the names began with before.
const BEFORE: &str = "https://hospitium.example/";

/// A statement as it was written before.
fn of_before(statement: &Statement) -> Vec<u8> {
    let present = String::from_utf8(statement.to_bytes().expect("written")).expect("text");
    assert_eq!(present.matches(NAMESPACE).count(), 1, "{present}");
    assert!(!present.contains(BEFORE), "{present}");
    present.replacen(NAMESPACE, BEFORE, 1).into_bytes()
}

#[test]
fn every_kind_of_record_with_its_name_of_before_says_what_it_says_with_the_present_one() {
    let lab = Lab::new(Algorithm::Ed25519);
    let (name, record) = (lab.party.public.name.as_str(), Digest::of(b"a record"));
    let key = &lab.party.public.record;
    let waiver = WaiverRecord {
        format: 1,
        party: name.into(),
        issued: now(),
        check: "net.link-flap".parse().expect("an id"),
        reason: "why".into(),
        until: now(),
        by: "the board".into(),
        host: None,
    };
    for statement in [
        Statement::suspension(name, now(), record, "why", Some(now())),
        Statement::lifting(name, now(), record, "why"),
        Statement::withdrawal(name, now(), record, "why"),
        Statement::key_change(name, now(), KeyRole::Record, key.clone(), key.clone(), "why"),
        Statement::waiver(Resource::of("a guest", record), waiver),
    ] {
        let read = Statement::parse(&of_before(&statement)).expect("reads");
        assert_eq!(read, statement);
        assert!(!matches!(read.record, Record::Unknown(_)));
    }
}

#[test]
fn a_withdrawal_and_a_change_of_key_of_before_still_hold() {
    let lab = Lab::new(Algorithm::Ed25519);
    let certificate = lab.certify(&passing());
    let append = |statement: &Statement| {
        let entry = Envelope::sign(of_before(statement), &[&lab.party.record]).to_bytes();
        lab.log().append(&[entry]).expect("appended");
    };
    let name = lab.party.public.name.as_str();
    append(&Statement::withdrawal(name, now(), certificate.record(), "data loss"));
    let folder = lab.folder();
    let read = lab.verify_with(&certificate.to_bytes(), &lab.policy(), None, Some(&folder));
    let read = read.expect("accepted");
    assert!(matches!(read.standing, Standing::Withdrawn { .. }), "{:?}", read.standing);

    let again = Party::init(&lab.path("again"), name, Algorithm::Ed25519).expect("made");
    let (old, new) = (lab.party.public.record.clone(), again.public.record);
    append(&Statement::key_change(name, now(), KeyRole::Record, old.clone(), new.clone(), "why"));
    let head = folder.checkpoint().expect("there");
    let found = given_up(&folder, head.head(), &old, 0).expect("read");
    assert_eq!(found, Some(GivenUp { until: 2, new }));
}

#[test]
fn names_of_others_and_unknown_ones_of_ours_stay_as_they_are() {
    for name in [
        predicate::TEST_RESULT,
        predicate::WAIVER,
        "https://hospitium.example/waiver/v2",
        "https://hospitium.example.org/waiver/v1",
        "https://vendor.example/x",
    ] {
        assert_eq!(predicate::present(name), name);
    }
    assert_eq!(predicate::present("https://hospitium.example/waiver/v1"), predicate::WAIVER);
}
