//! Agreements and what they oblige to, as typed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn hospitium(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hospitium"))
        .args(arguments)
        .current_dir(root())
        .env_remove("HOSPITIUM_ENDOFLIFE")
        .output()
        .expect("runs")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_agreements_that_ship_are_sound() {
    let checked = hospitium(&["agreement", "check"]);
    assert!(checked.status.success(), "{}{}", text(&checked.stdout), text(&checked.stderr));
    assert_eq!(text(&checked.stdout).lines().filter(|l| l.starts_with("sound")).count(), 2);
}

#[test]
fn a_mistake_in_an_agreement_is_shown_with_its_line_and_a_caret() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("deal.toml");
    let sound = std::fs::read_to_string(root().join("agreements/debian-qemu.toml")).expect("ships");
    std::fs::write(&path, sound.replace("warn = \"60 days\"", "warm = \"60 days\""))
        .expect("writes");
    let shown = hospitium(&["agreement", "show", &path.display().to_string()]);
    assert_eq!(shown.status.code(), Some(2));
    let error = text(&shown.stderr);
    assert!(error.contains("deal.toml:") && error.contains("unknown field `warm`"), "{error}");
    assert!(error.lines().any(|line| line.trim_end().ends_with('^')), "{error}");
}

#[test]
fn the_deal_of_2009_is_planned_and_nothing_of_it_is_delivered() {
    let day = "2009-10-07";
    let planned =
        hospitium(&["agreement", "plan", "redhat-microsoft-2009", "--as-of", day, "--json"]);
    let plan: serde_json::Value = serde_json::from_slice(&planned.stdout).expect("is JSON");
    let obligations = plan["obligations"].as_array().expect("a list");
    let named: Vec<_> = obligations.iter().filter(|o| o["because"] == "named").collect();
    assert_eq!(named.len(), 13, "three on three, and two on two");
    for owed in named {
        assert_eq!(owed["state"]["is"], "due", "{owed}");
        assert!(owed["blocked"].as_str().is_some_and(|why| why.contains("no driver")), "{owed}");
    }
    for standing in plan["standings"].as_array().expect("a list") {
        assert_eq!(standing["delivered"], 0);
        assert!(standing["planned"].as_u64().is_some_and(|n| n >= 4), "{standing}");
    }
}

#[test]
fn an_agreement_that_is_not_here_is_told_with_the_next_step() {
    let shown = hospitium(&["agreement", "show", "no-such-deal"]);
    assert_eq!(shown.status.code(), Some(2));
    let error = text(&shown.stderr);
    assert!(error.contains("no-such-deal") && error.contains("next: name a file"), "{error}");
}

#[test]
fn a_party_that_is_none_is_told_with_those_that_are() {
    let planned = hospitium(&["agreement", "plan", "debian-qemu", "--owed-by", "suse.example"]);
    assert_eq!(planned.status.code(), Some(2));
    assert!(text(&planned.stderr).contains("name one of debian.example, qemu.example"));
}
