//! A person enters the state that a check began in, by the terminal's own means: lines in, text out.

mod common;

use std::io::Write;
use std::process::Stdio;

use common::{Place, text};

#[test]
fn the_state_that_a_check_began_in_can_be_entered_and_the_check_done_there() {
    let place = Place::new();
    let (code, _, errors) = place.start("out", &["cpu.count"]).end();
    assert_eq!(code, Some(0), "{errors}");
    let mut command = place.hospitium();
    command.args(["replay", "out", "cpu.count"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    let mut keys = child.stdin.take().expect("piped");
    keys.write_all(b"ls /proc/self\ncat /proc/sys/kernel/ostype\ncheck\nno such thing\nquit\n")
        .expect("typed");
    let output = child.wait_with_output().expect("ends");
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    for word in ["cmdline", "Linux", "online vCPUs", "pass", "cannot be asked"] {
        assert!(said.contains(word), "it does not say {word:?}: {said}");
    }
    assert!(!said.contains("was made again"), "the saved machine was in the cache: {said}");
    place.wait_no_machines();
}

#[test]
fn a_host_that_only_foreign_evidence_names_is_not_started() {
    let place = Place::new();
    let (code, _, errors) = place.start("out", &["cpu.count"]).end();
    assert_eq!(code, Some(0), "{errors}");
    std::fs::remove_dir_all(place.path("cache/made")).expect("there");
    let output = place.hospitium().args(["replay", "out", "cpu.count"]).output().expect("runs");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("add GUEST behind the check"), "{}", text(&output));
}
