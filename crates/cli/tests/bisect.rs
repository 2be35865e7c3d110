//! What `git bisect run` gets to hear: its exit codes, and one line that says why.

mod common;

use common::{Place, says};

#[test]
fn a_good_revision_one_that_cannot_be_judged_and_a_wrong_command_are_told_apart() {
    let place = Place::new();
    let kernel = common::kernel().to_string_lossy().into_owned();
    let run = ["run", "--bisect", "--accelerator", "tcg", &kernel];
    let with = |more: &[&'static str], code: i32, words: &[&str]| {
        let arguments = [&run[..], more].concat();
        let output = place.hospitium().args(&arguments).output().expect("runs");
        let said = common::text(&output);
        assert_eq!(output.status.code(), Some(code), "{more:?}: {said}");
        let line = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(line.lines().count(), usize::from(!words.is_empty()), "{more:?}: {line}");
        assert!(words.iter().all(|word| line.contains(word)), "{more:?}: {line}");
    };
    with(&["--check", "cpu.count"], 0, &["good: the selected check that applies passed"]);
    with(&["--check", "cpu.count", "--on", "/no/such/qemu"], 125, &["untestable: ", "/no/such"]);
    // One vCPU cannot go offline: the check does not apply.
    let none = ["untestable: no selected check applies"];
    with(&["--check", "cpu.offline-online", "--vcpus", "1"], 125, &none);
    with(&["--check", "cpu.cuont"], 128, &[]);
    with(&["--no-such-option"], 128, &[]);
    says(&place, 2, &["run", "--no-such-option"], &["--no-such-option"]);
}

#[test]
fn a_revision_that_fails_is_bad() {
    let place = Place::new();
    let kernel = common::kernel().to_string_lossy().into_owned();
    // A guest that is given too little memory does not come up.
    let check = ["--check", "boot.reach-userland", "--memory", "32 MiB", "--boot-limit", "60"];
    let run = ["run", "--bisect", "--accelerator", "tcg", &kernel];
    says(&place, 1, &[&run[..], &check].concat(), &["bad: boot.reach-userland failed"]);
}
