//! Certificates: accepted, explained, and refused when anything about them was changed.

mod common;

use std::fs;

use common::{Lab, failing, now, passing};
use hospitium_ledger::dsse::Envelope;
use hospitium_ledger::statement::KeyRole;
use hospitium_ledger::{
    Algorithm, Certificate, CosignError, EvidenceFound, Given, HeadError, Heads, HeadsError, Log,
    LogFolder, NoteError, Party, Policy, SecretKey, Standing, Statement, TlogProof, VerifierKey,
    VerifyError, Witness, verify,
};
use jiff::{Timestamp, ToSpan as _};

#[test]
fn a_certificate_is_accepted_offline_and_explains_itself() {
    for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP256] {
        let lab = Lab::new(algorithm);
        let bytes = lab.certify(&passing()).to_bytes();
        let evidence = lab.path("evidence");
        let explained =
            lab.verify_with(&bytes, &lab.policy(), Some(&evidence), None).expect("accepted");
        assert!(explained.is_good());
        assert!(matches!(explained.evidence, EvidenceFound::Sound { .. }));
        assert!(matches!(explained.standing, Standing::Valid { .. }));
        let told: String =
            explained.lines().iter().map(|(label, line)| format!("{label}: {line}\n")).collect();
        for due in [
            "said by: vendor.example",
            "vendor.example/log, entry 0 of 1",
            "TCG (measured: no KVM)",
            "under emulation",
            "excluded: irq.nmi: the host sends no NMI",
            "not known: give a copy",
            "bears out every verdict",
            "http://debian.org/debian/12",
            "12 months after",
        ] {
            assert!(told.contains(due), "{due:?} is not in\n{told}");
        }
    }
}

#[test]
fn a_recorded_failure_is_authentic_and_no_validation() {
    let lab = Lab::new(Algorithm::Ed25519);
    let bytes = lab.certify(&passing().with(failing("stor.flush-durable"))).to_bytes();
    let explained = lab.verify(&bytes).expect("authentic");
    assert_eq!(explained.standing, Standing::Failed);
    assert!(!explained.is_good());
    assert!(explained.headline().contains("failed: not validated"));
}

#[test]
fn a_certificate_lapses() {
    let lab = Lab::new(Algorithm::Ed25519);
    let bytes = lab.certify(&passing()).to_bytes();
    let policy = lab.policy();
    let at = |now: Timestamp| {
        let given = Given { policy: &policy, evidence: None, log: None, now };
        hospitium_ledger::verify_bytes(&bytes, given).expect("accepted").standing
    };
    let day = |text: &str| -> Timestamp { text.parse().expect("a time") };
    assert!(matches!(at(day("2027-01-02T23:59:59Z")), Standing::Valid { .. }), "to its day's end");
    assert!(matches!(at(day("2027-01-03T00:00:00Z")), Standing::Lapsed { .. }));
}

#[test]
fn no_byte_of_a_certificate_can_be_changed() {
    let lab = Lab::new(Algorithm::Ed25519);
    lab.certify(&passing());
    let second =
        Statement::withdrawal("vendor.example", now(), hospitium_model::Digest::of(b"x"), "y");
    let bytes = lab.record(&second).to_bytes();
    lab.verify(&bytes).expect("accepted");
    for at in 0..bytes.len() {
        let mut bent = bytes.clone();
        bent[at] ^= 1;
        assert!(lab.verify(&bent).is_err(), "byte {at} of {}", bytes.len());
    }
    for length in 0..bytes.len() {
        assert!(lab.verify(&bytes[..length]).is_err(), "cut at {length}");
    }
}

/// Takes a certificate apart, lets its parts be changed, and puts it together again.
fn forge(bytes: &[u8], change: impl FnOnce(&mut TlogProof)) -> Vec<u8> {
    let mut proof = TlogProof::parse(bytes).expect("reads");
    change(&mut proof);
    proof.to_bytes()
}

#[test]
fn a_record_swapped_moved_or_signed_by_another_is_refused_with_the_cause() {
    let lab = Lab::new(Algorithm::Ed25519);
    let digest = hospitium_model::Digest::of(b"x");
    lab.record(&Statement::withdrawal("vendor.example", now(), digest, "y"));
    let certificate = lab.certify(&passing());
    let statement = Statement::parse(certificate.envelope().payload()).expect("reads");
    let bytes = certificate.to_bytes();

    let moved = forge(&bytes, |proof| proof.index = 0);
    assert!(matches!(lab.verify(&moved), Err(VerifyError::Proof(_))));
    let beyond = forge(&bytes, |proof| proof.index = 2);
    assert!(matches!(lab.verify(&beyond), Err(VerifyError::Proof(_))));
    let bare = forge(&bytes, |proof| proof.extra = None);
    assert!(lab.verify(&bare).expect_err("bare").to_string().contains("no certificate"));

    // Signed by a key that is not the party's, and not in the log.
    let stranger = SecretKey::generate(Algorithm::Ed25519).expect("made");
    let forged = Envelope::sign(statement.to_bytes().expect("written"), &[&stranger]);
    let swapped = forge(&bytes, |proof| proof.extra = Some(forged.to_bytes()));
    assert!(matches!(lab.verify(&swapped), Err(VerifyError::Proof(_))));

    // In the log, as its operator could do, and still not signed by the party's record key.
    let appended = lab.log().append(&[forged.to_bytes()]).expect("appended");
    let log = lab.log();
    let inside = Certificate::of(log.folder(), log.checkpoint(), appended.first).expect("made");
    let refused = lab.verify(&inside.to_bytes());
    assert!(matches!(refused, Err(VerifyError::Signature(_))), "{refused:?}");
}

#[test]
fn a_party_cannot_speak_for_another_in_its_log() {
    let lab = Lab::new(Algorithm::Ed25519);
    let other = lab.other();
    let mut issue = lab.issue();
    issue.party = "other.example".into();
    passing().write(&lab.path("evidence"));
    let bundle = hospitium_evidence::Bundle::open(&lab.path("evidence")).expect("opens");
    let statement =
        hospitium_ledger::statement::validation(&bundle, common::CELL, &issue).expect("made");
    let bytes = lab.record(&statement).to_bytes();
    let both = format!("{}#hospitium:signer {}\n", lab.party.public.policy(), other.public.record);
    let policy = Policy::parse("policy", both.as_bytes()).expect("reads");
    let refused = lab.verify_with(&bytes, &policy, None, None);
    assert!(matches!(refused, Err(VerifyError::Stranger { .. })), "{refused:?}");
}

#[test]
fn logs_and_parties_that_the_policy_does_not_name_are_not_trusted() {
    let lab = Lab::new(Algorithm::Ed25519);
    let bytes = lab.certify(&passing()).to_bytes();
    let policy = |text: &str| Policy::parse("policy", text.as_bytes()).expect("reads");
    let none = lab.verify_with(&bytes, &policy("quorum none\n"), None, None);
    assert!(matches!(none, Err(VerifyError::Checkpoint(HeadError::Unknown { .. }))));
    let log_only = format!("log {}\nquorum none\n", lab.party.public.log);
    let refused = lab.verify_with(&bytes, &policy(&log_only), None, None);
    assert!(matches!(refused, Err(VerifyError::UnknownParty { .. })));
    // Another key under the same name.
    let twin = Party::init(&lab.path("twin"), "vendor.example", Algorithm::Ed25519).expect("made");
    let refused = lab.verify_with(&bytes, &policy(&twin.public.policy()), None, None);
    assert!(matches!(
        refused,
        Err(VerifyError::Checkpoint(HeadError::Note(NoteError::Unsigned { .. })))
    ));
}

#[test]
fn a_record_from_the_future_is_refused() {
    let lab = Lab::new(Algorithm::Ed25519);
    let bytes = lab.certify(&passing()).to_bytes();
    let policy = lab.policy();
    let at = |now| {
        let given = Given { policy: &policy, evidence: None, log: None, now };
        hospitium_ledger::verify_bytes(&bytes, given)
    };
    at(now() - 4.minutes()).expect("within the tolerance");
    assert!(matches!(at(now() - 6.minutes()), Err(VerifyError::Future { .. })));
}

#[test]
fn a_huge_file_is_refused_before_it_is_read() {
    let lab = Lab::new(Algorithm::Ed25519);
    let path = lab.path("huge");
    fs::File::create(&path).and_then(|file| file.set_len(1 << 30)).expect("sparse");
    let policy = lab.policy();
    let refused = verify(&path, Given { policy: &policy, evidence: None, log: None, now: now() });
    let causes = format!("{:?}", refused.expect_err("refused"));
    assert!(causes.contains("TooLarge"), "{causes}");
}

#[test]
fn evidence_absent_altered_other_and_crafted_is_told_apart_file_by_file() {
    let lab = Lab::new(Algorithm::Ed25519);
    let bytes = lab.certify(&passing()).to_bytes();
    let evidence = lab.path("evidence");
    let found = || {
        let policy = lab.policy();
        let explained = lab.verify_with(&bytes, &policy, Some(&evidence), None).expect("authentic");
        assert_eq!(explained.is_good(), explained.evidence.is_good());
        let told: Vec<_> =
            explained.lines().into_iter().filter(|(l, _)| *l == "evidence").collect();
        (explained.evidence, format!("{told:?}"))
    };
    assert!(matches!(found().0, EvidenceFound::Sound { .. }));
    let console = evidence.join("cells/one/console.raw");
    let kept = fs::read(&console).expect("there");
    fs::write(&console, "other").expect("written");
    fs::write(evidence.join("cells/one/extra"), "x").expect("written");
    let (altered, told) = found();
    assert!(matches!(&altered, EvidenceFound::Altered { problems } if problems.len() == 2));
    assert!(told.contains("console.raw was altered") && told.contains("extra is there and is not"));
    fs::remove_file(&console).expect("removed");
    assert!(found().1.contains("console.raw is listed in the manifest and is not there"));
    // A link in its place, to a file with the very bytes that are due.
    fs::write(lab.path("elsewhere"), &kept).expect("written");
    std::os::unix::fs::symlink(lab.path("elsewhere"), &console).expect("linked");
    assert!(matches!(found().0, EvidenceFound::Unreadable { .. }));
    assert!(found().1.contains("symbolic link"), "{}", found().1);
    fs::remove_file(&console).expect("removed");
    fs::write(&console, &kept).expect("written");
    fs::remove_file(evidence.join("cells/one/extra")).expect("removed");
    assert!(matches!(found().0, EvidenceFound::Sound { .. }));
    // Names that lead elsewhere.
    let manifest = evidence.join("manifest.json");
    let text = fs::read_to_string(&manifest).expect("there");
    for name in ["../../etc/passwd", "/etc/passwd", "cells/one/../../x"] {
        fs::write(&manifest, text.replace("cells/one/console.raw", name)).expect("written");
        assert!(matches!(found().0, EvidenceFound::Unreadable { .. }), "{name}");
        assert!(found().1.contains("not accepted"), "{}", found().1);
    }
    // Another bundle, sound in itself.
    fs::remove_dir_all(&evidence).expect("removed");
    assert!(matches!(found().0, EvidenceFound::Unreadable { .. }));
    let mut other = passing();
    other.record.seed = 8;
    other.write(&evidence);
    assert!(matches!(found().0, EvidenceFound::Other { .. }));
}

#[test]
fn a_certificate_that_its_evidence_does_not_bear_out_is_noticed() {
    let lab = Lab::new(Algorithm::Ed25519);
    let failed = passing().with(failing("stor.flush-durable"));
    failed.write(&lab.path("evidence"));
    let digest = hospitium_evidence::Bundle::open(&lab.path("evidence")).expect("opens").digest;
    fs::rename(lab.path("evidence"), lab.path("truth")).expect("moved");
    // A party that signs a pass, and names the evidence of a failure.
    let mut lie = lab.statement(&passing());
    if let hospitium_ledger::statement::Record::Validation(validation) = &mut lie.record {
        validation.hospitium.evidence.manifest = digest;
    }
    let bytes = lab.record(&lie).to_bytes();
    let truth = lab.path("truth");
    let explained = lab.verify_with(&bytes, &lab.policy(), Some(&truth), None).expect("authentic");
    let EvidenceFound::Contradicts { differences } = &explained.evidence else {
        panic!("{:?}", explained.evidence)
    };
    assert_eq!(differences.len(), 1);
    assert!(
        differences[0].contains("stor.flush-durable") && differences[0].contains("evidence fail")
    );
    assert!(!explained.is_good());
}

#[test]
fn a_quorum_needs_its_cosignatures_and_later_checkpoints_bring_them() {
    let lab = Lab::new(Algorithm::Ed25519);
    let other = lab.other();
    let certificate = lab.certify(&passing());
    let text = format!(
        "log {}\nwitness other {}\n#hospitium:signer {}\nquorum other\n",
        lab.party.public.log, other.public.witness, lab.party.public.record
    );
    let policy = Policy::parse("policy", text.as_bytes()).expect("reads");
    let refused = lab.verify_with(&certificate.to_bytes(), &policy, None, None);
    let Err(VerifyError::Checkpoint(error)) = refused else { panic!("{refused:?}") };
    let told = error.to_string();
    assert!(told.contains("other has to cosign, and nobody did"), "{told}");

    let made =
        Witness::new(&other).cosign(&lab.folder(), &lab.party.public.log, now()).expect("cosigned");
    assert_eq!(made.before, None);
    let mut log = lab.log();
    log.add_signatures(&[made.line]).expect("added");
    let newer = Certificate::of(log.folder(), log.checkpoint(), 0).expect("made");
    let explained = lab.verify_with(&newer.to_bytes(), &policy, None, None).expect("accepted");
    assert_eq!(explained.cosigned[0].by, "other.example/witness");
    assert_eq!(explained.cosigned[0].at, now());
}

#[test]
fn a_witness_cosigns_what_continues_and_keeps_both_heads_of_a_fork() {
    let lab = Lab::new(Algorithm::Ed25519);
    let other = lab.other();
    let witness = Witness::new(&other);
    let key = &lab.party.public.log;
    lab.log().append(&[b"one", b"two"]).expect("appended");
    witness.cosign(&lab.folder(), key, now()).expect("cosigned");
    lab.log().append(&[b"six"]).expect("appended");
    let again = witness.cosign(&lab.folder(), key, now()).expect("continues");
    assert_eq!(again.before, Some(2));

    // The party forgets what it signed, and writes another history of the same size, and a longer one.
    for (entries, what) in [(3, "same size"), (300, "longer")] {
        let forked = lab.path(what);
        fs::remove_dir_all(lab.path("vendor/signed")).expect("removed");
        let made: Vec<_> = (0..entries).map(|n| format!("other {n}")).collect();
        Log::open(&forked, &lab.party).expect("opens").append(&made).expect("appended");
        let refused = witness.cosign(&LogFolder::new(&forked), key, now());
        let Err(CosignError::Heads(HeadsError::Fork { kept, .. })) = refused else {
            panic!("{what}: {refused:?}")
        };
        let proof = fs::read_to_string(kept).expect("kept");
        assert_eq!(proof.matches("vendor.example/log\n").count(), 2, "{proof}");
    }
    // An older copy is no fork, and not cosigned either.
    let short = lab.path("short");
    fs::remove_dir_all(lab.path("vendor/signed")).expect("removed");
    Log::open(&short, &lab.party).expect("opens").append(&[b"one"]).expect("appended");
    let refused = witness.cosign(&LogFolder::new(&short), key, now());
    assert!(matches!(
        refused,
        Err(CosignError::Heads(HeadsError::Older { found: 1, seen: 3, .. }))
    ));
}

#[test]
fn suspensions_and_withdrawals_are_known_as_of_the_logs_copy() {
    let lab = Lab::new(Algorithm::Ed25519);
    let certificate = lab.certify(&passing());
    let bytes = certificate.to_bytes();
    let standing = || {
        let folder = lab.folder();
        let policy = lab.policy();
        let explained = lab.verify_with(&bytes, &policy, None, Some(&folder)).expect("accepted");
        let known = explained.lines().into_iter().find(|(label, _)| *label == "known since");
        (explained.standing, known.expect("told").1)
    };
    let (valid, known) = standing();
    assert!(matches!(valid, Standing::Valid { .. }));
    assert!(known.contains("no suspension and no withdrawal in a copy of the log with 1 entries"));

    let party = "vendor.example";
    let until = Some(now() + 24.hours());
    let of = certificate.record();
    // Of another record, and by nobody who may: without effect.
    lab.record(&Statement::withdrawal(party, now(), hospitium_model::Digest::of(b"x"), "other"));
    let stranger = SecretKey::generate(Algorithm::Ed25519).expect("made");
    let forged = Statement::withdrawal(party, now(), of, "forged").to_bytes().expect("written");
    lab.log().append(&[Envelope::sign(forged, &[&stranger]).to_bytes()]).expect("appended");
    assert!(matches!(standing().0, Standing::Valid { .. }));

    lab.record(&Statement::suspension(party, now(), of, "data loss is suspected", until));
    assert!(matches!(standing().0, Standing::Suspended { index: 3, .. }));
    lab.record(&Statement::withdrawal(party, now(), of, "data loss is proved"));
    let (withdrawn, known) = standing();
    assert!(matches!(withdrawn, Standing::Withdrawn { index: 4, .. }));
    assert!(known.contains("a copy of the log with 5 entries"), "{known}");
    // Without the copy, it says that it does not know.
    assert!(matches!(lab.verify(&bytes).expect("accepted").standing, Standing::Valid { .. }));
}

#[test]
fn a_copy_of_the_log_that_tells_another_history_is_proof_of_a_fork() {
    let lab = Lab::new(Algorithm::Ed25519);
    let bytes = lab.certify(&passing()).to_bytes();
    let forked = lab.path("forked");
    fs::remove_dir_all(lab.path("vendor/signed")).expect("removed");
    Log::open(&forked, &lab.party).expect("opens").append(&[b"another"]).expect("appended");
    let folder = LogFolder::new(&forked);
    let refused = lab.verify_with(&bytes, &lab.policy(), None, Some(&folder));
    assert!(matches!(refused, Err(VerifyError::Fork { size: 1, .. })), "{refused:?}");
    // A damaged copy is no fork.
    let entries = lab.path("log/tile/entries/000.p/1");
    let mut damaged = fs::read(&entries).expect("there");
    damaged[20] ^= 1;
    fs::write(&entries, damaged).expect("written");
    let refused = lab.verify_with(&bytes, &lab.policy(), None, Some(&lab.folder()));
    assert!(matches!(refused, Err(VerifyError::CopyDamaged { .. })), "{refused:?}");
}

#[test]
fn a_changed_key_is_followed_through_the_log_and_the_old_one_ends() {
    let mut lab = Lab::new(Algorithm::Ed25519);
    let before = lab.certify(&passing());
    let statement = Statement::parse(before.envelope().payload()).expect("reads");
    let policy = lab.policy();
    let new = SecretKey::generate(Algorithm::Ed25519).expect("made");
    let old = SecretKey::from_pem(&lab.party.record.to_pem().expect("written")).expect("read");
    let key = VerifierKey::for_records("vendor.example", new.public()).expect("named");
    let change = Statement::key_change(
        "vendor.example",
        now(),
        KeyRole::Record,
        lab.party.public.record.clone(),
        key,
        "once a year",
    );
    let at = lab.record(&change).proof().index;
    lab.party.replace_record_key(new, at).expect("replaced");
    lab.party = Party::open(&lab.path("vendor")).expect("opens");
    let after = lab.record(&statement).to_bytes();

    let folder = lab.folder();
    let with = |bytes: &[u8]| lab.verify_with(bytes, &policy, None, Some(&folder));
    with(&before.to_bytes()).expect("the old key held then");
    with(&after).expect("the new key follows from the old one");
    let refused = lab.verify_with(&after, &policy, None, None);
    let told = format!("{:?}", refused.expect_err("the policy alone does not know the new key"));
    assert!(told.contains("Unsigned"), "{told}");

    // The old key, stolen, signs after it was given up.
    let stolen = Envelope::sign(statement.to_bytes().expect("written"), &[&old]).to_bytes();
    let index = lab.log().append(&[stolen]).expect("appended").first;
    let log = lab.log();
    let late = Certificate::of(log.folder(), log.checkpoint(), index).expect("made").to_bytes();
    drop(log);
    assert!(matches!(with(&late), Err(VerifyError::Retired { until: 1, .. })));

    // Whoever has the party's new policy needs no copy of the log for any of this.
    lab.verify(&before.to_bytes()).expect("the old key held then");
    lab.verify(&after).expect("the new key holds");
    assert!(matches!(lab.verify(&late), Err(VerifyError::Retired { until: 1, .. })));
}

/// A policy that believes the lab's party and asks for this quorum, with one witness.
fn with_witness(lab: &Lab, other: &Party, quorum: &str) -> Policy {
    let text = format!(
        "log {}\nwitness other {}\n#hospitium:signer {}\nquorum {quorum}\n",
        lab.party.public.log, other.public.witness, lab.party.public.record
    );
    Policy::parse("policy", text.as_bytes()).expect("reads")
}

#[test]
fn a_cosignature_from_the_future_does_not_count_and_is_said() {
    let lab = Lab::new(Algorithm::Ed25519);
    let other = lab.other();
    lab.certify(&passing());
    let ahead = Witness::new(&other)
        .cosign(&lab.folder(), &lab.party.public.log, now() + 10.minutes())
        .expect("cosigned");
    let mut log = lab.log();
    log.add_signatures(&[ahead.line]).expect("added");
    let bytes = Certificate::of(log.folder(), log.checkpoint(), 0).expect("made").to_bytes();
    let none = with_witness(&lab, &other, "none");
    let explained = lab.verify_with(&bytes, &none, None, None).expect("accepted");
    assert!(explained.is_good() && explained.cosigned.is_empty());
    let told = explained.lines().iter().any(|(_, line)| line.contains("in the future"));
    assert!(told, "{:?}", explained.lines());
    let refused = lab.verify_with(&bytes, &with_witness(&lab, &other, "other"), None, None);
    let Err(VerifyError::Checkpoint(error)) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains("it does not count"), "{error}");
}

#[test]
fn the_quorum_holds_for_the_copy_of_the_log_too() {
    let lab = Lab::new(Algorithm::Ed25519);
    let other = lab.other();
    lab.certify(&passing());
    let line = |log: &mut Log<'_>| {
        let made = Witness::new(&other).cosign(&lab.folder(), &lab.party.public.log, now());
        log.add_signatures(&[made.expect("cosigned").line]).expect("added");
    };
    let mut log = lab.log();
    line(&mut log);
    let bytes = Certificate::of(log.folder(), log.checkpoint(), 0).expect("made").to_bytes();
    drop(log);
    let policy = with_witness(&lab, &other, "other");
    let folder = lab.folder();
    let read = || lab.verify_with(&bytes, &policy, None, Some(&folder));
    read().expect("cosigned");
    // A head that nobody cosigned: there may be another one that has a withdrawal.
    lab.record(&Statement::withdrawal(
        "vendor.example",
        now(),
        hospitium_model::Digest::of(b"x"),
        "y",
    ));
    assert!(matches!(read(), Err(VerifyError::Copy(HeadError::Quorum { .. }))), "{:?}", read());
    // One bit of the witness's key id.
    line(&mut lab.log());
    let path = lab.path("log/checkpoint");
    let mut note = fs::read(&path).expect("there");
    let name = b"other.example/witness ";
    let at = note.windows(name.len()).position(|part| part == name).expect("there") + name.len();
    note[at] = if note[at] == b'A' { b'B' } else { b'A' };
    read().expect("cosigned again");
    fs::write(&path, note).expect("written");
    assert!(matches!(read(), Err(VerifyError::Copy(_))), "{:?}", read());
}

#[test]
fn a_copy_smaller_than_the_certificates_tree_is_refused() {
    let lab = Lab::new(Algorithm::Ed25519);
    lab.certify(&passing());
    let older = lab.path("older");
    copy_all(&lab.path("log"), &older);
    let digest = hospitium_model::Digest::of(b"x");
    lab.record(&Statement::withdrawal("vendor.example", now(), digest, "y"));
    let log = lab.log();
    let bytes = Certificate::of(log.folder(), log.checkpoint(), 0).expect("made").to_bytes();
    drop(log);
    let refused = lab.verify_with(&bytes, &lab.policy(), None, Some(&LogFolder::new(&older)));
    assert!(
        matches!(refused, Err(VerifyError::Smaller { copy: 1, certificate: 2 })),
        "{refused:?}"
    );
}

fn copy_all(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("there").flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("copied");
        }
    }
}

#[test]
fn heads_that_were_seen_are_remembered_and_older_and_forked_copies_refused_with_proof() {
    let lab = Lab::new(Algorithm::Ed25519);
    let heads = Heads::new(&lab.path("heads"));
    let key = &lab.party.public.log;
    let meet = |folder: &LogFolder| heads.meet(folder, key, &folder.checkpoint().expect("reads"));
    lab.log().append(&[b"one"]).expect("appended");
    copy_all(&lab.path("log"), &lab.path("older"));
    lab.log().append(&[b"two"]).expect("appended");
    assert!(matches!(meet(&lab.folder()), Ok(None)));
    assert!(matches!(meet(&lab.folder()), Ok(Some(2))), "the same");
    let older = meet(&LogFolder::new(&lab.path("older")));
    let Err(HeadsError::Older { found: 1, seen: 2, kept, .. }) = older else { panic!("{older:?}") };
    let proof = fs::read_to_string(kept).expect("kept");
    assert_eq!(proof.matches("vendor.example/log\n").count(), 2, "{proof}");
    // Another history of the same size, and a longer one.
    for (entries, name) in [(2, "same"), (5, "longer")] {
        fs::remove_dir_all(lab.path("vendor/signed")).expect("removed");
        let made: Vec<_> = (0..entries).map(|n| format!("other {n}")).collect();
        Log::open(&lab.path(name), &lab.party).expect("opens").append(&made).expect("appended");
        let forked = LogFolder::new(&lab.path(name));
        let refused = meet(&forked);
        assert!(matches!(refused, Err(HeadsError::Fork { seen: 2, .. })), "{refused:?}");
        if entries == 2 {
            let checkpoint = forked.checkpoint().expect("reads");
            assert!(matches!(heads.meet_alone(key, &checkpoint), Err(HeadsError::Fork { .. })));
        }
    }
    assert!(matches!(meet(&lab.folder()), Ok(Some(2))), "nothing of these was taken");
}

#[test]
fn a_withdrawal_that_cannot_be_read_is_said_and_no_certificate_is_good_beside_it() {
    let lab = Lab::new(Algorithm::Ed25519);
    let certificate = lab.certify(&passing());
    let withdrawal = Statement::withdrawal("vendor.example", now(), certificate.record(), "y");
    let text = String::from_utf8(withdrawal.to_bytes().expect("written")).expect("text");
    let newer = text.replace("\"format\":1", "\"format\":2");
    assert_ne!(newer, text);
    let entry = Envelope::sign(newer.into_bytes(), &[&lab.party.record]).to_bytes();
    lab.log().append(&[entry]).expect("appended");
    let (policy, folder) = (lab.policy(), lab.folder());
    let bytes = certificate.to_bytes();
    let explained = lab.verify_with(&bytes, &policy, None, Some(&folder)).expect("authentic");
    assert_eq!(explained.unread().len(), 1);
    assert!(!explained.is_good());
    assert!(explained.headline().contains("cannot read"), "{}", explained.headline());
    let known = explained.lines().into_iter().find(|(label, _)| *label == "known since");
    assert!(!known.expect("told").1.contains("no withdrawal"));
}

#[test]
fn a_suspension_is_lifted_by_a_record_and_what_is_still_to_come_is_not_known() {
    let lab = Lab::new(Algorithm::Ed25519);
    let certificate = lab.certify(&passing());
    let of = certificate.record();
    let standing = || {
        let (policy, folder) = (lab.policy(), lab.folder());
        let read = lab.verify_with(&certificate.to_bytes(), &policy, None, Some(&folder));
        read.expect("accepted").standing
    };
    let ahead = now() + 48.hours();
    lab.record(&Statement::withdrawal("vendor.example", ahead, of, "not yet"));
    assert!(matches!(standing(), Standing::Valid { .. }));
    lab.record(&Statement::suspension("vendor.example", now(), of, "looked into", None));
    assert!(matches!(standing(), Standing::Suspended { .. }));
    lab.record(&Statement::lifting("vendor.example", now(), of, "nothing was found"));
    assert!(matches!(standing(), Standing::Valid { .. }));
}

#[test]
fn only_a_witness_of_the_policy_gets_its_cosignature_under_a_checkpoint() {
    let lab = Lab::new(Algorithm::Ed25519);
    let other = lab.other();
    lab.certify(&passing());
    let key = &lab.party.public.log;
    let good = Witness::new(&other).cosign(&lab.folder(), key, now()).expect("cosigned").line;
    let policy = with_witness(&lab, &other, "none");
    let before = fs::read(lab.path("log/checkpoint")).expect("there");
    let own = String::from_utf8(before.clone()).expect("text");
    let own = own.lines().last().expect("there").to_owned() + "\n";
    let unknown = good.replace("other.example/witness", "third.example/witness");
    let (head, tail) = good.trim_end().split_at(good.trim_end().len() - 20);
    let zeros = format!("{head}{}\n", "A".repeat(tail.len() - 2) + "==");
    let mut log = lab.log();
    for (what, line) in [("own", &own), ("unknown", &unknown), ("zeros", &zeros)] {
        assert!(log.accept(line, &policy, now()).is_err(), "{what}");
        assert_eq!(fs::read(lab.path("log/checkpoint")).expect("there"), before, "{what}");
    }
    assert!(log.accept(&good, &policy, now() - 10.minutes()).is_err(), "from the future");
    log.accept(&good, &policy, now()).expect("good");
    drop(log);
    lab.log();
}

#[test]
fn a_party_cannot_sign_what_its_own_evidence_contradicts_in_any_part() {
    use hospitium_ledger::statement::{Record, Validation};
    let lab = Lab::new(Algorithm::Ed25519);
    let good = lab.statement(&passing());
    let evidence = lab.path("evidence");
    type Lie = fn(&mut Validation);
    let lies: [(&str, Lie); 11] = [
        ("the envelope", |v| v.hospitium.envelope.vcpus_max = 1024),
        ("the guest", |v| v.hospitium.guest.version = "12".into()),
        ("the guest's name", |v| v.hospitium.guest.name = "another".into()),
        ("the host", |v| v.hospitium.host.product = Some("http://qemu.org/qemu/10.0".into())),
        ("the date", |v| v.hospitium.run.started = now() - 3.hours()),
        ("the counts", |v| v.hospitium.coverage.passed = 9999),
        ("the VMM", |v| {
            let other = hospitium_model::Digest::of(b"another").to_string();
            v.configuration[0].digest.insert("sha256".into(), other);
        }),
        ("what is required", |v| v.hospitium.checks[1].required = false),
        ("what a witness saw", |v| {
            let finding = &mut v.hospitium.checks[0].findings[0];
            finding.guest = Some(hospitium_model::Value::from(4));
            finding.host.clone_from(&finding.guest);
        }),
        ("that all is told", |v| {
            let check = &mut v.hospitium.checks[0];
            check.left_out = check.findings.len();
            check.findings.clear();
        }),
        ("why a check was skipped", |v| v.hospitium.excluded[0].reason = "no time".into()),
    ];
    let found = |statement: &Statement| {
        let bytes = lab.record(statement).to_bytes();
        lab.verify_with(&bytes, &lab.policy(), Some(&evidence), None).expect("authentic").evidence
    };
    assert!(matches!(found(&good), EvidenceFound::Sound { .. }), "{:?}", found(&good));
    for (what, lie) in lies {
        let mut told = good.clone();
        if let Record::Validation(validation) = &mut told.record {
            lie(validation);
        }
        let found = found(&told);
        assert!(matches!(found, EvidenceFound::Contradicts { .. }), "{what}: {found:?}");
    }
    let mut other = good;
    let digest = hospitium_model::Digest::of(b"another").to_string();
    other.subject[0].digest.insert("sha256".into(), digest);
    assert!(matches!(found(&other), EvidenceFound::Contradicts { .. }), "the subject");
}
