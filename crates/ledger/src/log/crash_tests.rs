//! The log outlives `kill -9`: at each point between two steps of an append, and at any time.
//!
//! The child is this test's own program, run again for the one ignored test in here.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::tests::entries;
use super::*;
use crate::fault;
use crate::key::Algorithm;
use crate::note::Hash;
use crate::party::Party;

const FOLDER: &str = "HOSPITIUM_TEST_LEDGER_FOLDER";
const STEPS: &str = "HOSPITIUM_TEST_LEDGER_STEPS";

/// Appends as many entries as each of `STEPS` says, and tells each head after it.
#[test]
#[ignore = "the child process of the tests beside it"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let party = Party::open(&folder.join("party")).expect("the party");
    let mut log = Log::open(&folder.join("log"), &party).expect("opens");
    for step in std::env::var(STEPS).expect("steps").split(',') {
        let from = log.checkpoint().head().size;
        let step: u64 = step.parse().expect("a number");
        let done = log.append(&entries(from..from + step)).expect("appended");
        println!("appended {}", done.head.size);
    }
    println!("done");
}

fn run_child(folder: &Path, steps: &str, dies_at: Option<u64>) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args(["--exact", "log::crash_tests::child", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(STEPS, steps)
        .env_remove(fault::VARIABLE)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(at) = dies_at {
        command.env(fault::VARIABLE, at.to_string());
    }
    command
}

/// What anybody may have seen: heads by size. Two of one size would be a fork.
#[derive(Default)]
struct Seen(BTreeMap<u64, Hash>);

impl Seen {
    /// Looks at the log as a reader would, and at what its party remembers having signed.
    fn look(&mut self, folder: &Path, party: &Party) {
        let log = folder.join("log");
        let mut heads = Vec::new();
        if let Ok(checkpoint) = LogFolder::new(&log).checkpoint() {
            heads.push(checkpoint);
        }
        for place in [folder.join("party/signed"), log] {
            let Ok(entries) = std::fs::read_dir(place) else { continue };
            for entry in entries {
                let path = entry.expect("listed").path();
                // Left half written by a crash, too: it may have been signed.
                if path.to_string_lossy().contains("checkpoint")
                    && let Ok(bytes) = std::fs::read(&path)
                    && let Ok(checkpoint) = crate::note::Checkpoint::parse(&bytes)
                {
                    heads.push(checkpoint);
                }
            }
        }
        for checkpoint in heads {
            let head = checkpoint.verify_log(&party.public.log).expect("signed").clone();
            let before = self.0.insert(head.size, head.root);
            assert!(before.is_none_or(|root| root == head.root), "two heads at {}", head.size);
        }
    }
}

/// Opens the log, checks all of it, and gives its size.
fn reopen(folder: &Path, party: &Party) -> u64 {
    let log = Log::open(&folder.join("log"), party).expect("continues after the crash");
    let head = log.checkpoint().head().clone();
    let mut seen = Vec::new();
    let checked = walk(log.folder(), &head, |_, entry| seen.push(entry.to_vec()));
    assert!(checked.is_sound(), "{:?}", checked.problems);
    assert_eq!(seen, entries(0..head.size));
    head.size
}

/// Lets a child die at this point and looks at what is left. True if it was done before.
fn dies_and_continues(folder: &Path, party: &Party, steps: &[u64], dies_at: u64) -> bool {
    let _ = std::fs::remove_dir_all(folder.join("log"));
    let _ = std::fs::remove_dir_all(folder.join("party/signed"));
    let words: Vec<_> = steps.iter().map(ToString::to_string).collect();
    let out = run_child(folder, &words.join(","), Some(dies_at)).output().expect("runs");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let mut seen = Seen::default();
    seen.look(folder, party);
    let told = text.lines().rev().find_map(|line| line.strip_prefix("appended "));
    let told: u64 = told.map_or(0, |n| n.parse().expect("a number"));
    let size = reopen(folder, party);
    seen.look(folder, party);
    assert!(size >= told, "died at {dies_at}: {told} were told, {size} are there");
    let whole = steps.iter().sum();
    assert!([0, steps[0], whole].contains(&size), "died at {dies_at}: {size}");
    assert_eq!(out.status.success(), text.contains("done"), "died at {dies_at}: {out:?}");
    // It goes on: what was not appended is, and later heads continue those seen.
    let mut log = Log::open(&folder.join("log"), party).expect("opens");
    log.append(&entries(size..whole + 1)).expect("appended");
    drop(log);
    seen.look(folder, party);
    assert_eq!(reopen(folder, party), whole + 1);
    out.status.success()
}

#[test]
fn a_crash_between_any_two_steps_leaves_a_log_that_continues_and_never_two_heads() {
    const WORKERS: usize = 4;
    for steps in [[3, 2], [254, 3]] {
        std::thread::scope(|scope| {
            for first in 1..=WORKERS {
                scope.spawn(move || {
                    let top = tempfile::tempdir().expect("a folder");
                    let folder = top.path();
                    let party =
                        Party::init(&folder.join("party"), "vendor.example", Algorithm::Ed25519)
                            .expect("a party");
                    let points = (first as u64..400).step_by(WORKERS);
                    let done = points
                        .clone()
                        .position(|at| dies_and_continues(folder, &party, &steps, at))
                        .expect("the child came to an end only by dying");
                    assert!(done * WORKERS > 40, "only {done} points were tried");
                });
            }
        });
    }
}

#[test]
fn a_crash_while_completing_what_a_crash_left_is_completed_too() {
    for second in 1..40 {
        let top = tempfile::tempdir().expect("a folder");
        let folder = top.path();
        let party = Party::init(&folder.join("party"), "vendor.example", Algorithm::Ed25519)
            .expect("a party");
        // Dies in the middle of the tiles: the journal is there.
        let _ = run_child(folder, "254,300", Some(60)).output().expect("runs");
        let mut seen = Seen::default();
        seen.look(folder, &party);
        let out = run_child(folder, "1", Some(second)).output().expect("runs");
        seen.look(folder, &party);
        let size = reopen(folder, &party);
        seen.look(folder, &party);
        assert!([254, 554, 555].contains(&size), "{size}");
        if out.status.success() {
            break;
        }
    }
}

#[test]
fn killed_at_any_time_the_log_continues() {
    let top = tempfile::tempdir().expect("a folder");
    let folder = top.path();
    let party =
        Party::init(&folder.join("party"), "vendor.example", Algorithm::Ed25519).expect("a party");
    let steps = vec!["7"; 10_000].join(",");
    let mut seen = Seen::default();
    let mut before = 0;
    for round in 0_u64..12 {
        let mut child = run_child(folder, &steps, None).spawn().expect("runs");
        let mut told = before;
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        // Not before it has begun; then after a time that differs from round to round.
        while let Some(Ok(line)) = lines.next() {
            if let Some(size) = line.strip_prefix("appended ") {
                told = size.parse().expect("a number");
                break;
            }
        }
        std::thread::sleep(Duration::from_micros(700 * (round * 37 % 23)));
        child.kill().expect("killed");
        child.wait().expect("ended");
        for line in lines.map_while(Result::ok) {
            if let Some(size) = line.strip_prefix("appended ") {
                told = size.parse().expect("a number");
            }
        }
        seen.look(folder, &party);
        let size = reopen(folder, &party);
        seen.look(folder, &party);
        assert!(size >= told, "{told} were told, {size} are there");
        assert!(size > before, "round {round} appended nothing");
        before = size;
    }
}
