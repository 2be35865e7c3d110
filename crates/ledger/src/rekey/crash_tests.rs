//! A change of key outlives `kill -9` at each point between two steps, and once more while it is gone on with.
//!
//! The child is this test's own program, run again for the one ignored test in here.

use std::process::{Command, Stdio};

use super::*;
use crate::explain::Standing;
use crate::fault;
use crate::key::Algorithm;
use crate::log::walk;
use crate::policy::Policy;
use crate::statement::{Record, Resource, WaiverRecord};
use crate::verify::{Given, verify_bytes};

const FOLDER: &str = "HOSPITIUM_TEST_LEDGER_FOLDER";

fn now() -> Timestamp {
    "2026-01-02T03:14:05Z".parse().expect("a time")
}

/// Changes the key of the party in the folder.
#[test]
#[ignore = "the child process of the tests beside it"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    rekey(Path::new(&folder), None, "once a year", now()).expect("changed");
    println!("done");
}

/// Whether the child came to its end.
fn run_child(folder: &Path, dies_at: u64) -> bool {
    let out = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "rekey::crash_tests::child", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(fault::VARIABLE, dies_at.to_string())
        .stdin(Stdio::null())
        .output()
        .expect("runs");
    let done = String::from_utf8_lossy(&out.stdout).contains("done");
    assert_eq!(done, out.status.success(), "died at {dies_at}: {out:?}");
    done
}

fn waiver(check: &str) -> Statement {
    let guest = Resource::of("guest", hospitium_model::Digest::of(b"guest"));
    let (check, until) = (check.parse().expect("an id"), "2026-06-01T00:00:00Z");
    let waiver = WaiverRecord {
        format: 1,
        party: "vendor.example".into(),
        issued: now(),
        check,
        host: None,
        until: until.parse().expect("a time"),
        reason: "known".into(),
        by: "the board".into(),
    };
    Statement::waiver(guest, waiver)
}

/// A party that has said something.
fn party(folder: &Path) -> (Policy, Certificate) {
    let party = Party::init(folder, "vendor.example", Algorithm::Ed25519).expect("a party");
    let policy = Policy::parse("policy", party.public.policy().as_bytes()).expect("reads");
    let mut log = Log::open(&party.usual_log(), &party).expect("opens");
    let mut made = Certificate::issue(&mut log, &party, &[waiver("cpu.count")]).expect("issued");
    (policy, made.remove(0))
}

/// How often the log announces another key.
fn announced(folder: &Path) -> usize {
    let log = crate::log::LogFolder::new(&folder.join("log"));
    let head = log.checkpoint().expect("is there").head().clone();
    let mut count = 0;
    let checked = walk(&log, &head, |_, entry| {
        let envelope = crate::dsse::Envelope::parse(entry).expect("a record");
        let statement = Statement::parse(envelope.payload()).expect("reads");
        count += usize::from(matches!(statement.record, Record::KeyChange(_)));
    });
    assert!(checked.is_sound(), "{:?}", checked.problems);
    count
}

/// Whoever has the policy of before sees what is said after.
fn goes_on(folder: &Path, old: &Policy) {
    let party = Party::open(folder).expect("opens again");
    let mut log = Log::open(&party.usual_log(), &party).expect("opens");
    let made = Certificate::issue(&mut log, &party, &[waiver("irq.nmi")]).expect("issued");
    let about = made[0].record();
    let withdrawal = Statement::withdrawal("vendor.example", now(), about, "a slip");
    Certificate::issue(&mut log, &party, &[withdrawal]).expect("issued");
    let last = made[0].to_bytes();
    drop(log);
    let log = crate::log::LogFolder::new(&party.usual_log());
    let given = Given { policy: old, evidence: None, log: Some(&log), now: now() };
    let explained = verify_bytes(&last, given).expect("the key follows from the old one");
    assert!(matches!(explained.standing, Standing::Notice(_)));
    let history = explained.history.expect("the log was given");
    assert_eq!((history.notices.len(), history.unread.len()), (1, 0), "the withdrawal is seen");
}

#[test]
fn a_crash_between_any_two_steps_leaves_a_change_of_key_that_goes_on_and_no_key_is_lost() {
    const WORKERS: u64 = 4;
    std::thread::scope(|scope| {
        for first in 1..=WORKERS {
            scope.spawn(move || {
                let mut tried = 0;
                for at in (first..500).step_by(WORKERS as usize) {
                    let top = tempfile::tempdir().expect("a folder");
                    let folder = top.path().join("vendor");
                    let (policy, _) = party(&folder);
                    let old = PublicParty::read(&folder).expect("reads").record;
                    let done = run_child(&folder, at);
                    // Nothing is signed in between; what to do is said.
                    match Party::open(&folder) {
                        Ok(party) if done => assert_ne!(party.public.record, old),
                        // It had not begun.
                        Ok(party) => {
                            assert_eq!((&party.public.record, announced(&folder)), (&old, 0))
                        }
                        Err(error) => {
                            assert!(error.to_string().contains("party rekey"), "at {at}: {error}");
                        }
                    }
                    if done {
                        goes_on(&folder, &policy);
                        break;
                    }
                    tried += 1;
                    // And once more, somewhere in what is left.
                    let _ = run_child(&folder, 1 + at * 7 % 40);
                    if Party::open(&folder).is_err() || announced(&folder) == 0 {
                        rekey(&folder, None, "once a year", now()).expect("goes on");
                    }
                    assert_eq!(announced(&folder), 1, "died at {at}");
                    goes_on(&folder, &policy);
                }
                assert!(tried > 8, "only {tried} points were tried");
            });
        }
    });
}

/// All files of a folder, copied.
fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    assert!(done.success());
}

#[test]
fn a_key_that_the_log_gave_up_signs_nothing_and_is_not_given_up_twice() {
    let top = tempfile::tempdir().expect("a folder");
    let (folder, kept) = (top.path().join("vendor"), top.path().join("kept"));
    let (policy, _) = party(&folder);
    copy(&folder, &kept);
    let changed = rekey(&folder, None, "once a year", now()).expect("changed");
    assert_eq!((changed.entry, changed.resumed), (1, false));
    // The party's folder of before, put back from a copy; the log is the one that goes on.
    let log = folder.join("log");
    let stale = Party::open(&kept).expect("opens");
    std::fs::remove_dir_all(kept.join("signed")).expect("removed");
    let mut open = Log::open(&log, &stale).expect("opens");
    let refused = Certificate::issue(&mut open, &stale, &[waiver("irq.nmi")]);
    let told = refused.expect_err("refused").to_string();
    assert!(told.contains("entry 1") && told.contains("gave up"), "{told}");
    assert_eq!(open.checkpoint().head().size, 2, "nothing was appended");
    drop(open);
    let refused = rekey(&kept, Some(&log), "again", now());
    assert!(matches!(refused, Err(RekeyError::Lost { entry: 1, .. })), "{refused:?}");
    assert!(!kept.join("secret/record.next.pem").exists(), "no other key was made");
    goes_on(&folder, &policy);
}

#[test]
fn a_folder_that_an_earlier_version_left_between_two_keys_is_put_right() {
    let top = tempfile::tempdir().expect("a folder");
    let (folder, kept) = (top.path().join("vendor"), top.path().join("kept"));
    let (policy, _) = party(&folder);
    copy(&folder, &kept);
    rekey(&folder, None, "once a year", now()).expect("changed");
    // The secrets are the new ones, and what others know is still the old key.
    for file in ["party.toml", "policy", "record.pub.pem"] {
        std::fs::copy(kept.join(file), folder.join(file)).expect("copied");
    }
    let told = Party::open(&folder).expect_err("refused").to_string();
    assert!(told.contains("party rekey"), "{told}");
    let changed = rekey(&folder, None, "once a year", now()).expect("goes on");
    assert_eq!((changed.entry, announced(&folder)), (1, 1));
    goes_on(&folder, &policy);
}
