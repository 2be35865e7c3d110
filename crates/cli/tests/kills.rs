//! Killed between any two of its writes, a command loses nothing that was acknowledged, and the next one goes on.
//!
//! `strace` delivers SIGKILL as a system call begins: of each kind that changes files, at the first, the second, and so on,
//! until the command comes to its end. It has a part of the tests of its own, `kills`.

mod common;
#[path = "../../ledger/tests/common/mod.rs"]
mod evidence;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{Place, says, text};
use evidence::{passing, recent};

/// What changes files, and what makes that last.
const CALLS: [&str; 14] = [
    "write",
    "pwrite64",
    "writev",
    "rename",
    "renameat2",
    "fsync",
    "fdatasync",
    "unlink",
    "unlinkat",
    "mkdir",
    "ftruncate",
    "linkat",
    "symlink",
    "copy_file_range",
];
/// What a folder has before a command: of a database also what is not in its file yet.
const FOLDER: [&str; 7] =
    ["vendor", "run", "state", "copy", "catalog.db", "catalog.db-wal", "catalog.db-shm"];
/// Of one kind, beyond which something goes round in circles.
const MOST: u32 = 3000;
/// By this signal the command is to die.
const KILLED: i32 = 9;

/// A command that is to be killed at every place, in a copy of a folder for each.
struct Killed<'a> {
    /// What is there before the command, made once.
    before: &'a Place,
    command: &'a [&'a str],
    /// Looks at what is there after a death, by what the command had said by then, and goes on from it.
    after: &'a dyn Fn(&Place, &str),
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status();
    assert!(status.expect("cp runs").success());
}

impl Killed<'_> {
    /// Kills at every place, and gives how many there were.
    fn everywhere(&self) -> u32 {
        let mut died = 0;
        for call in CALLS {
            for nth in 1..=MOST {
                let place = Place::new();
                for name in FOLDER {
                    let from = self.before.path(name);
                    if from.is_dir() {
                        fs::create_dir_all(place.path(name)).expect("made");
                        copy(&from, &place.path(name));
                    } else if from.is_file() {
                        fs::copy(&from, place.path(name)).expect("copied");
                    }
                }
                let (output, killed) = strace(&place, call, nth, self.command);
                let told = format!("{call} {nth}: {}", text(&output));
                if !killed {
                    assert_eq!(output.status.code(), Some(0), "{told}");
                    break;
                }
                died += 1;
                eprintln!("killed at {call} {nth}");
                (self.after)(&place, &String::from_utf8_lossy(&output.stdout));
            }
        }
        died
    }
}

/// Runs a command that is killed as it makes the nth call of this kind in any of its threads; whether it was.
fn strace(place: &Place, call: &str, nth: u32, command: &[&str]) -> (Output, bool) {
    let ours = place.hospitium();
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
    traced.args(["-e", &format!("inject={call}:signal=KILL:when={nth}")]);
    traced.arg(ours.get_program()).args(command).stdin(Stdio::null());
    traced.current_dir(place.path("."));
    for (name, value) in ours.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    let output = traced.output().expect("strace is here: cargo xtask test --part kills sets it up");
    use std::os::unix::process::ExitStatusExt as _;
    // strace ends as what it traces did.
    let killed =
        output.status.signal() == Some(KILLED) || output.status.code() == Some(128 + KILLED);
    (output, killed)
}

/// A party with one certified run and another that is not recorded yet.
fn party() -> Place {
    let place = Place::new();
    says(&place, 0, &["party", "init", "vendor", "--name", "vendor.example"], &[]);
    recent(passing()).write(&place.path("run/evidence"));
    says(&place, 0, &["certify", "run", "--party", "vendor"], &["entry 0"]);
    place
}

const CHECK: [&str; 5] = ["log", "check", "vendor/log", "--policy", "vendor/policy"];
const VERIFY: [&str; 6] = [
    "verify",
    "run/certificates/one.tlog-proof",
    "--policy",
    "vendor/policy",
    "--log",
    "vendor/log",
];
const WITHDRAW: [&str; 8] =
    ["log", "withdraw", "vendor/log", "--party", "vendor", "--index", "0", "--reason"];

/// How many entries a sound log has.
fn entries(place: &Place, check: &[&str]) -> u64 {
    let told = says(place, 0, check, &["sound"]);
    let before = told.split(" entries").next().unwrap_or_default();
    before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default().parse().expect(&told)
}

#[test]
#[ignore = "takes minutes; wants strace: cargo xtask test --part kills"]
fn an_entry_that_was_told_is_in_the_log_whenever_the_command_is_killed() {
    let before = party();
    let withdraw = [&WITHDRAW[..], &["x"]].concat();
    let after = |place: &Place, said: &str| {
        // A reader finds a sound log at once.
        let size = entries(place, &CHECK);
        assert!(size == 2 || !said.contains("entry 1"), "{said}");
        assert!(size == 1 || size == 2);
        let expected = if size == 2 { 1 } else { 0 };
        says(place, expected, &VERIFY, &["validated"]);
        // The same again goes on, from whatever is there.
        says(place, 0, &withdraw, &["entry"]);
        assert!(entries(place, &CHECK) >= 2);
        says(place, 1, &VERIFY, &["withdrew this"]);
    };
    assert!(Killed { before: &before, command: &withdraw, after: &after }.everywhere() > 5);
}

#[test]
#[ignore = "takes minutes; wants strace: cargo xtask test --part kills"]
fn a_run_is_certified_once_whenever_the_command_is_killed() {
    let before = Place::new();
    says(&before, 0, &["party", "init", "vendor", "--name", "vendor.example"], &[]);
    recent(passing()).write(&before.path("run/evidence"));
    let certify = ["certify", "run", "--party", "vendor"];
    let after = |place: &Place, _: &str| {
        says(place, 0, &certify, &["entry 0"]);
        assert_eq!(entries(place, &CHECK), 1, "one record, however often it was begun");
        says(place, 0, &VERIFY, &["validated"]);
    };
    assert!(Killed { before: &before, command: &certify, after: &after }.everywhere() > 5);
}

#[test]
#[ignore = "takes minutes; wants strace: cargo xtask test --part kills"]
fn a_party_goes_on_with_its_keys_whenever_its_change_of_key_is_killed() {
    let before = party();
    let rekey = ["party", "rekey", "vendor", "--reason", "x"];
    let after = |place: &Place, _: &str| {
        entries(place, &CHECK);
        says(place, 0, &VERIFY, &["validated"]);
        says(place, 0, &rekey, &[]);
        entries(place, &CHECK);
        // What is signed with the key of now is believed under the policy that names the first one.
        says(place, 0, &[&WITHDRAW[..], &["x"]].concat(), &["entry"]);
        says(place, 1, &VERIFY, &["withdrew this"]);
    };
    assert!(Killed { before: &before, command: &rekey, after: &after }.everywhere() > 5);
}

#[test]
#[ignore = "takes minutes; wants strace: cargo xtask test --part kills"]
fn a_copy_stays_sound_whenever_its_mirror_is_killed() {
    let before = party();
    let mirror = ["log", "mirror", "vendor/log", "copy", "--policy", "vendor/policy"];
    let check = ["log", "check", "copy", "--policy", "vendor/policy"];
    says(&before, 0, &mirror, &["1 entries"]);
    says(&before, 0, &[&WITHDRAW[..], &["x"]].concat(), &["entry 1"]);
    let after = |place: &Place, said: &str| {
        // What it had stays readable, and what it told of is in it.
        let size = entries(place, &check);
        assert!(size == 2 || !said.contains("2 entries"), "{said}");
        says(place, 0, &mirror, &["2 entries"]);
        assert_eq!(entries(place, &check), 2);
    };
    assert!(Killed { before: &before, command: &mirror, after: &after }.everywhere() > 3);
}

#[test]
#[ignore = "takes minutes; wants strace: cargo xtask test --part kills"]
fn a_catalog_answers_as_before_or_as_after_whenever_its_making_is_killed() {
    let before = party();
    let rebuild = [
        "catalog",
        "rebuild",
        "--log",
        "vendor/log",
        "--policy",
        "vendor/policy",
        "--db",
        "catalog.db",
    ];
    let content = |place: &Place| {
        let told = says(place, 0, &rebuild, &["content"]);
        told.lines().find(|line| line.starts_with("content")).expect("told").to_owned()
    };
    content(&before);
    says(&before, 0, &[&WITHDRAW[..], &["x"]].concat(), &["entry 1"]);
    // From nothing, beside the one that goes on.
    let fresh = Place::new();
    for name in ["vendor", "state"] {
        fs::create_dir_all(fresh.path(name)).expect("made");
        copy(&before.path(name), &fresh.path(name));
    }
    let wanted = content(&fresh);
    let question = ["ask", "debian 12 on qemu 7.2", "--db", "catalog.db"];
    says(&before, 0, &question, &["validated"]);
    says(&fresh, 1, &question, &["not validated"]);
    let after = |place: &Place, _: &str| {
        // As before or as after, and nothing between.
        let output = place.hospitium().args(question).output().expect("runs");
        let said = text(&output);
        match output.status.code() {
            Some(0) => assert!(said.starts_with("validated"), "{said}"),
            Some(1) => assert!(said.starts_with("not validated"), "{said}"),
            _ => panic!("{said}"),
        }
        assert_eq!(content(place), wanted, "as if it had never been killed");
        says(place, 1, &question, &["not validated"]);
    };
    assert!(Killed { before: &before, command: &rebuild, after: &after }.everywhere() > 5);
}
