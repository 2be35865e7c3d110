//! Records of other parties: endorsed, repeated, of kinds that are not known here, and keys that nobody handed over.

mod common;

use common::{CELL, Lab, Run, check, failing, now, passing};
use hospitium_evidence::Bundle;
use hospitium_ledger::dsse::Envelope;
use hospitium_ledger::statement::{
    EndorsedRecord, Issue, KeyRole, NotRepeated, Record, Repetition, Validation, repeats,
    validation,
};
use hospitium_ledger::{
    Algorithm, Certificate, Checkpoint, Head, Log, LogFolder, NotFollowed, Party, SecretKey,
    Standing, Statement, VerifierKey, followed, rekey,
};
use hospitium_model::{Bus, Digest, Finding, GuestSource, HostSource, NicModel};

fn of() -> EndorsedRecord {
    EndorsedRecord { party: "vendor.example".into(), log: "vendor.example/log".into(), entry: 0 }
}

fn endorsement(repeated: Option<Repetition>) -> Statement {
    let record = Digest::of(b"record");
    Statement::endorsement(
        "other.example",
        now(),
        record,
        of(),
        "its evidence bears it out",
        repeated,
    )
}

#[test]
fn an_endorsement_is_a_simple_verification_result_that_reads_back() {
    let repetition = Repetition {
        run: "run".into(),
        ended: now(),
        evidence: Digest::of(b"evidence"),
        cell: "one".into(),
        compared: 4,
        machine: None,
        inputs: 3,
    };
    for (repeated, property) in
        [(None, "HOSPITIUM_REVIEWED"), (Some(repetition), "HOSPITIUM_REPEATED")]
    {
        let made = endorsement(repeated);
        let bytes = made.to_bytes().expect("written");
        assert_eq!(Statement::parse(&bytes).expect("reads"), made);
        let json: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(json["predicateType"], "https://in-toto.io/attestation/svr/v0.1");
        let predicate = &json["predicate"];
        assert_eq!(predicate["verifier"]["id"], "https://other.example");
        assert_eq!(predicate["properties"], serde_json::json!([property]));
        assert_eq!(predicate["timeCreated"], predicate["hospitium"]["issued"]);
    }
}

#[test]
fn an_endorsement_that_contradicts_itself_is_refused() {
    let bytes = endorsement(None).to_bytes().expect("written");
    let text = String::from_utf8(bytes).expect("text");
    for (from, to, says) in [
        ("HOSPITIUM_REVIEWED", "HOSPITIUM_REPEATED", "properties"),
        ("https://other.example", "https://third.example", "verifier"),
        ("\"party\":\"vendor.example\"", "\"party\":\"other.example\"", "its own record"),
        ("its evidence bears it out", " ", "reason"),
        ("\"timeCreated\":\"2026", "\"timeCreated\":\"2025", "time"),
    ] {
        assert!(text.contains(from), "{from} in {text}");
        let error = Statement::parse(text.replace(from, to).as_bytes()).expect_err("refused");
        assert!(error.to_string().contains(says), "{says}: {error}");
    }
    // Somebody else's verification result is no endorsement, and no error.
    let foreign = r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"SUBJECT"}}],
        "predicateType":"https://in-toto.io/attestation/svr/v0.1","predicate":{"verifier":{"id":"https://x"},
        "timeCreated":"2026-01-01T00:00:00Z","properties":["X"]}}"#;
    let foreign = foreign.replace("SUBJECT", &Digest::of(b"x").to_string());
    let read = Statement::parse(foreign.as_bytes()).expect("reads");
    assert!(matches!(read.record, Record::Unknown(_)), "{read:?}");
}

fn recorded(lab: &Lab, name: &str, party: &str, run: &Run) -> Validation {
    let folder = lab.path(name);
    run.write(&folder);
    let bundle = Bundle::open(&folder).expect("opens");
    let made = validation(&bundle, CELL, &Issue::new(party, now())).expect("a statement");
    let Record::Validation(validation) = made.record else { panic!("{made:?}") };
    *validation
}

/// The same run, made by another party on another day.
fn again() -> Run {
    let mut run = passing();
    run.record.id = "20260103-000000-ffff".into();
    run.record.seed = 8;
    run
}

#[test]
fn only_a_run_of_the_same_inputs_with_every_verdict_the_same_repeats_a_record() {
    let lab = Lab::new(Algorithm::Ed25519);
    let theirs = recorded(&lab, "theirs", "vendor.example", &passing());
    let compare =
        |name: &str, run: Run| repeats(&theirs, &recorded(&lab, name, "other.example", &run));
    let made = compare("again", again()).expect("repeats");
    assert_eq!(
        (made.compared, made.run.as_str()),
        (theirs.hospitium.checks.len(), "20260103-000000-ffff")
    );
    assert!(made.inputs >= 4, "{made:?}");
    // More than the record has, as long as it passes.
    let more = Finding::same("x", GuestSource::Kernel.saw(1), HostSource::Hypervisor.saw(1));
    compare("more", again().with(check("cpu.features", [more]))).expect("repeats");

    assert!(matches!(compare("same", passing()), Err(NotRepeated::SameRun(_))));
    type Change = fn(&mut Run);
    let others: [(&str, Change, &str); 5] = [
        ("guest", |run| run.cell.guest.digest = Digest::of(b"another"), "guest"),
        ("vmm", |run| run.cell.host.vmm = Digest::of(b"another"), "vmm"),
        ("firmware", |run| run.cell.host.firmware.clear(), "firmware"),
        ("suite", |run| run.record.suite = Digest::of(b"another"), "suite"),
        ("probe", |run| run.cell.inputs[0].sha256 = Digest::of(b"another"), "probe"),
    ];
    for (name, change, what) in others {
        let mut run = again();
        change(&mut run);
        let refused = compare(name, run);
        assert!(
            matches!(&refused, Err(NotRepeated::Input { what: w, .. }) if w == what),
            "{refused:?}"
        );
    }
    let other = again().on(Bus::Ide, NicModel::E1000);
    let refused = compare("machine", other);
    assert!(
        matches!(&refused, Err(NotRepeated::Input { what, .. }) if what == "machine"),
        "{refused:?}"
    );
    let refused = compare("verdict", again().with(failing("stor.flush-durable")));
    assert!(
        matches!(&refused, Err(NotRepeated::Differs { check, .. }) if check == "stor.flush-durable")
    );
    let mut fewer = again();
    fewer.checks.retain(|check| check.id.as_str() != "con.framebuffer-alive");
    let refused = compare("fewer", fewer);
    assert!(
        matches!(&refused, Err(NotRepeated::Fewer { check, .. }) if check == "con.framebuffer-alive")
    );
    let refused = compare("more-fails", again().with(failing("cpu.features")));
    assert!(
        matches!(&refused, Err(NotRepeated::Differs { theirs: "did not run", .. })),
        "{refused:?}"
    );
}

/// A statement of a kind that no program knows yet, about this subject.
fn unknown(subject: Digest, predicate: &str) -> Vec<u8> {
    format!(
        "{{\"_type\":\"https://in-toto.io/Statement/v1\",\"subject\":[{{\"digest\":{{\"sha256\":\"{subject}\"}}}}],\
         \"predicateType\":\"https://hospitium.example/revocation-list/v3\",\"predicate\":{predicate}}}"
    )
    .into_bytes()
}

fn append(lab: &Lab, key: &SecretKey, payload: Vec<u8>) {
    let entry = Envelope::sign(payload, &[key]).to_bytes();
    lab.log().append(&[entry]).expect("appended");
}

#[test]
fn a_record_of_an_unknown_kind_is_passed_over_unless_it_names_the_certificate() {
    let lab = Lab::new(Algorithm::Ed25519);
    let certificate = lab.certify(&passing());
    let (bytes, name) = (certificate.to_bytes(), certificate.record());
    let verified = || {
        let folder = lab.folder();
        lab.verify_with(&bytes, &lab.policy(), None, Some(&folder)).expect("accepted")
    };
    let stranger = Digest::of(b"something else");
    append(&lab, &lab.party.record, unknown(stranger, "{\"anything\":[1,{\"x\":null}]}"));
    assert!(verified().is_good(), "what is of something else keeps nothing from being good");
    // As its subject, or anywhere in what it says.
    for (subject, predicate) in
        [(name, "{}".to_owned()), (stranger, format!("{{\"all\":[\"sha256:{name}\"]}}"))]
    {
        append(&lab, &lab.party.record, unknown(subject, &predicate));
    }
    let explained = verified();
    assert!(matches!(explained.standing, Standing::Valid { .. }) && !explained.is_good());
    let indexes: Vec<u64> = explained.unread().iter().map(|(index, _)| *index).collect();
    assert_eq!(indexes, [2, 3]);
    assert!(explained.unread()[0].1.contains("revocation-list/v3"), "{:?}", explained.unread());
    // A certificate can be made of it, and says that it certifies nothing.
    let log = lab.log();
    let made = Certificate::of(&lab.folder(), log.checkpoint(), 1).expect("made");
    let explained = lab.verify(&made.to_bytes()).expect("accepted");
    assert!(matches!(explained.standing, Standing::Notice(_)));
}

#[test]
fn a_withdrawal_in_another_form_than_records_have_is_told_by_whoever_reads_the_log() {
    let lab = Lab::new(Algorithm::Ed25519);
    let certificate = lab.certify(&passing());
    let back = Statement::withdrawal("vendor.example", now(), certificate.record(), "data loss");
    let entry = Envelope::sign(back.to_bytes().expect("written"), &[&lab.party.record]).to_bytes();
    let mut spaced = entry.clone();
    spaced.insert(1, b' ');
    lab.log().append(&[spaced]).expect("appended");
    let folder = lab.folder();
    let explained = lab.verify_with(&certificate.to_bytes(), &lab.policy(), None, Some(&folder));
    let explained = explained.expect("accepted");
    assert!(!explained.is_good() && explained.unread().len() == 1, "{:?}", explained.unread());
    lab.log().append(&[entry]).expect("appended");
    let explained = lab.verify_with(&certificate.to_bytes(), &lab.policy(), None, Some(&folder));
    assert!(matches!(explained.expect("accepted").standing, Standing::Withdrawn { index: 2, .. }));
}

fn key_change(lab: &Lab, new: &SecretKey) -> Statement {
    let named = VerifierKey::for_records("vendor.example", new.public()).expect("named");
    let old = lab.party.public.record.clone();
    Statement::key_change("vendor.example", now(), KeyRole::Record, old, named, "stolen")
}

#[test]
fn a_change_of_key_that_the_old_key_did_not_sign_is_told_and_no_certificate_is_good_beside_it() {
    let lab = Lab::new(Algorithm::Ed25519);
    let certificate = lab.certify(&passing());
    let new = SecretKey::generate(Algorithm::Ed25519).expect("made");
    append(&lab, &new, key_change(&lab, &new).to_bytes().expect("written"));
    let folder = lab.folder();
    let explained = lab.verify_with(&certificate.to_bytes(), &lab.policy(), None, Some(&folder));
    let explained = explained.expect("accepted");
    assert!(!explained.is_good());
    assert!(explained.unread()[0].1.contains("the key before did not sign it"));
}

#[test]
fn a_change_of_a_key_that_did_not_sign_it_is_told_though_the_party_signed_it() {
    let lab = Lab::new(Algorithm::Ed25519);
    let certificate = lab.certify(&passing());
    let named = || {
        let key = SecretKey::generate(Algorithm::Ed25519).expect("made");
        VerifierKey::for_records("vendor.example", key.public()).expect("named")
    };
    let change =
        Statement::key_change("vendor.example", now(), KeyRole::Record, named(), named(), "lost");
    append(&lab, &lab.party.record, change.to_bytes().expect("written"));
    let folder = lab.folder();
    let explained = lab.verify_with(&certificate.to_bytes(), &lab.policy(), None, Some(&folder));
    let explained = explained.expect("accepted");
    assert!(!explained.is_good());
    assert!(explained.unread()[0].1.contains("that key did not sign it"));
}

#[test]
fn other_keys_of_a_party_are_its_own_only_by_changes_in_its_log() {
    let lab = Lab::new(Algorithm::Ed25519);
    let known = lab.party.public.clone();
    lab.certify(&passing());
    let folder = lab.folder();
    let log = folder.path().to_owned();
    for reason in ["one", "two"] {
        rekey(&lab.path("vendor"), Some(&log), reason, now()).expect("changed");
    }
    let party = Party::open(&lab.path("vendor")).expect("opens");
    let head = folder.checkpoint().expect("there").head().clone();
    followed(&folder, &head, &known, &party.public).expect("follows");
    // The other way round, or with another log key, or one that nobody announced, it does not.
    let back = followed(&folder, &head, &party.public, &known);
    assert!(matches!(back, Err(NotFollowed::Unsigned { .. })), "{back:?}");
    let other = lab.other().public;
    let mut stranger = party.public.clone();
    stranger.log = other.log.clone();
    assert!(matches!(
        followed(&folder, &head, &known, &stranger),
        Err(NotFollowed::Other { which: "log" })
    ));
    let mut stranger = party.public.clone();
    stranger.retired.pop();
    assert!(matches!(followed(&folder, &head, &known, &stranger), Err(NotFollowed::Retired)));
    // A change that the new key alone signed is none.
    let new = SecretKey::generate(Algorithm::Ed25519).expect("made");
    let thief = Lab::new(Algorithm::Ed25519);
    append(&thief, &new, key_change(&thief, &new).to_bytes().expect("written"));
    let mut shown = thief.party.public.clone();
    shown.record = VerifierKey::for_records("vendor.example", new.public()).expect("named");
    let folder = LogFolder::new(&thief.path("log"));
    let head = Log::open(folder.path(), &thief.party).expect("opens").checkpoint().head().clone();
    let refused = followed(&folder, &head, &thief.party.public, &shown);
    assert!(matches!(refused, Err(NotFollowed::Unsigned { size: 1, .. })), "{refused:?}");
}

#[test]
fn a_fork_that_is_kept_beside_a_copy_of_the_log_keeps_a_certificate_from_being_good() {
    let lab = Lab::new(Algorithm::Ed25519);
    let certificate = lab.certify(&passing()).to_bytes();
    let folder = lab.folder();
    let verified =
        || lab.verify_with(&certificate, &lab.policy(), None, Some(&folder)).expect("accepted");
    assert!(verified().is_good());
    let head = folder.checkpoint().expect("is there");
    let signed = |size, root| {
        let head = Head { origin: head.head().origin.clone(), size, root };
        Checkpoint::sign(&head, &lab.party.public.log, &lab.party.log).expect("signed")
    };
    let keep = |name: &str, new: &Checkpoint| {
        let both = [head.as_bytes(), b"\n", new.as_bytes()].concat();
        std::fs::write(folder.path().join(name), both).expect("written");
    };
    // A stale head of the same tree is no fork, and what another key signed proves nothing.
    keep(".fork-1-same", &signed(1, head.head().root));
    let other = lab.other();
    let stranger = Head { origin: head.head().origin.clone(), size: 1, root: [7; 32] };
    let stranger = Checkpoint::sign(&stranger, &other.public.log, &other.log);
    if let Ok(stranger) = stranger {
        keep(".fork-1-stranger", &stranger);
    }
    assert!(verified().is_good());
    keep(".fork-1-other", &signed(1, [7; 32]));
    let explained = verified();
    assert!(!explained.is_good() && explained.forked() == Some(1));
    assert!(explained.lines().iter().any(|(label, _)| *label == "forked"));
}
