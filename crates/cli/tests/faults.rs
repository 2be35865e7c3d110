//! Faults of the world, each really done: nothing is lost, nothing is left running.

mod common;

use std::process::Command;

use common::{Place, Running, ended, signal, text};
use hospitium_evidence::Bundle;
use hospitium_model::Verdict;

/// A check that takes some seconds, in a clone of its own.
const LONG: &str = "clk.drift-load";
const SHORT: &str = "cpu.count";

#[test]
fn a_vmm_killed_in_the_middle_of_a_check_is_an_error_of_the_lab_and_of_that_check_alone() {
    let place = Place::new();
    let mut run = place.start("out", &[LONG, SHORT, "stor.rw-integrity"]);
    run.wait_check(LONG);
    run.wait_answers(&place, "out", LONG);
    signal("KILL", run.wait_machine(&place, LONG));
    let (code, events, errors) = run.end();
    let (verdict, reason) = ended(&events, LONG).expect("it ended");
    assert_eq!(verdict, "error", "{reason}");
    assert!(reason.contains("killed from outside"), "{reason}");
    assert_eq!(ended(&events, SHORT).expect("it ended").0, "pass");
    assert_eq!(ended(&events, "stor.rw-integrity").expect("it ended").0, "pass");
    assert_eq!(code, Some(3), "{errors}");
    place.wait_no_machines();
}

#[test]
fn ctrl_c_ends_every_machine_and_keeps_what_was_finished() {
    let place = Place::new();
    let mut run = place.start("out", &[LONG, SHORT]);
    run.wait("the end of the short check", |e| e["event"] == "check-ended" && e["id"] == SHORT);
    signal("INT", run.pid());
    let (code, events, errors) = run.end();
    assert_eq!(code, Some(3), "{errors}");
    place.wait_no_machines();
    let (verdict, reason) = ended(&events, LONG).expect("it has a verdict");
    assert_eq!((verdict, reason), ("miss", "interrupted by Ctrl-C"));
    let bundle = Bundle::open(&place.path("out/evidence")).expect("readable");
    assert!(bundle.is_sound(), "{:?}", bundle.problems);
    assert_eq!(bundle.run.cut_off.as_deref(), Some("interrupted by Ctrl-C"));
    let short = bundle.cells[0].checks.iter().find(|check| check.id.as_str() == SHORT);
    assert_eq!(short.map(|check| &check.verdict), Some(&Verdict::Pass));
    assert!(place.path("out/report.html").exists(), "there is a report of what was finished");
}

#[test]
fn after_a_kill_of_ours_the_next_start_puts_everything_in_order() {
    let place = Place::new();
    let mut run = place.start("first", &[LONG, SHORT]);
    run.wait("the end of the short check", |e| e["event"] == "check-ended" && e["id"] == SHORT);
    run.wait_machine(&place, LONG);
    signal("KILL", run.pid());
    let (code, _, _) = run.end();
    assert_eq!(code, None, "it was killed");
    assert!(Bundle::open(&place.path("first/evidence")).is_err(), "it is not finished");

    let (code, events, errors) = place.start("second", &[SHORT]).end();
    assert_eq!(code, Some(0), "{errors}");
    let recovered = events.iter().find(|e| e["event"] == "recovered").expect("it says so");
    assert!(recovered["words"].as_str().is_some_and(|words| words.contains("miss")), "{recovered}");
    place.wait_no_machines();
    let bundle = Bundle::open(&place.path("first/evidence")).expect("finished now");
    assert!(bundle.is_sound(), "{:?}", bundle.problems);
    let verdict = |id: &str| {
        let check = bundle.cells[0].checks.iter().find(|check| check.id.as_str() == id);
        check.map(|check| check.verdict.word())
    };
    assert_eq!(verdict(SHORT), Some("pass"));
    assert_eq!(verdict(LONG), Some("miss"));
    let left: Vec<_> =
        std::fs::read_dir(place.path("cache/work")).expect("there").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn of_two_runs_in_one_folder_the_second_is_refused_and_the_first_goes_on() {
    let place = Place::new();
    let mut first = place.start("out", &[LONG]);
    first.wait("the start", |event| event["event"] == "run-started");
    let second =
        place.hospitium().args(place.run_arguments("out", &[SHORT])).output().expect("runs");
    assert_eq!(second.status.code(), Some(2), "{}", text(&second));
    assert!(text(&second).contains("next: give this run another folder"), "{}", text(&second));
    let (code, events, errors) = first.end();
    assert_eq!(ended(&events, LONG).expect("it ended").0, "pass", "{errors}");
    assert_eq!(code, Some(0), "{errors}");
}

#[test]
fn a_full_disk_ends_the_run_with_the_cause_and_keeps_what_was_finished() {
    let place = Place::new();
    let out = place.path("out");
    std::fs::create_dir(&out).expect("made");
    // A file system of its own for the evidence, with room for little, in a mount name space of its own.
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    let mut command = Command::new("unshare");
    command.arg(if is_root { "-m" } else { "-cm" }).args(["sh", "-c"]);
    command.arg("mount -t tmpfs -o size=96k none \"$1\" && shift && \"$@\"; code=$?; ls -R \"$OUT\" >&2; exit $code");
    command.arg("sh").arg(&out).arg(env!("CARGO_BIN_EXE_hospitium"));
    let mut arguments = place.run_arguments("out", &["cpu", "ident", "boot.console-clean", "clk"]);
    arguments.retain(|argument| *argument != out.to_string_lossy());
    let at = arguments.iter().position(|argument| argument == "--out").expect("there");
    arguments.insert(at + 1, out.join("run").to_string_lossy().into_owned());
    command.args(arguments).env("HOSPITIUM_CACHE", place.path("cache")).env("OUT", &out);
    let (code, _, errors) = Running::of(command).end();
    assert_eq!(code, Some(3), "{errors}");
    assert!(errors.contains("no room left"), "{errors}");
    assert!(errors.contains("run.json"), "what was finished is kept: {errors}");
    place.wait_no_machines();
}

#[test]
fn a_guest_that_does_not_come_up_fails_with_what_was_seen_and_the_rest_is_missed() {
    let place = Place::new();
    let mut arguments = place.run_arguments("out", &["boot.reach-userland", SHORT]);
    // Another machine than the other tests', so that it is not in the cache; it has a second to boot.
    arguments.extend(["--memory", "208 MiB", "--boot-limit", "1"].map(str::to_owned));
    let mut command = place.hospitium();
    command.args(arguments);
    let (code, events, errors) = Running::of(command).end();
    assert_eq!(code, Some(1), "{errors}");
    let (verdict, reason) = ended(&events, "boot.reach-userland").expect("it has a verdict");
    assert_eq!(verdict, "fail");
    assert!(reason.contains("waited 1.0s for the probe"), "{reason}");
    assert_eq!(ended(&events, SHORT).expect("it has a verdict").0, "miss");
    let bundle = Bundle::open(&place.path("out/evidence")).expect("readable");
    assert!(bundle.is_sound(), "{:?}", bundle.problems);
    place.wait_no_machines();
}
