//! `--json` of commands that change or look at a party and its log: one object, with a schema that is documented.

mod common;

use common::{Place, text};
use serde_json::Value;

/// What a command prints on standard output, as the one object that it has to be.
fn object(place: &Place, code: i32, arguments: &[&str]) -> Value {
    let output = place.hospitium().args(arguments).arg("--json").output().expect("runs");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output));
    let told = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(told.lines().count(), 1, "{arguments:?}: {told}");
    let object: Value = serde_json::from_str(&told).expect("JSON");
    let schema = object["schema"].as_str().unwrap_or_else(|| panic!("{arguments:?}: {told}"));
    let documented = include_str!("../../../docs/command-line.md");
    let row = documented.lines().find(|line| line.contains(&format!("| `{schema}` |")));
    let row = row.unwrap_or_else(|| panic!("{schema} is not documented"));
    for field in object.as_object().expect("an object").keys().filter(|key| *key != "schema") {
        let is_there = [format!("`{field}`"), format!("`{field}[]`")];
        assert!(
            is_there.iter().any(|word| row.contains(word)),
            "{field} of {schema} is not documented"
        );
    }
    object
}

#[test]
fn parties_and_logs_answer_with_one_documented_object() {
    let place = Place::new();
    let made = object(&place, 0, &["party", "init", "vendor", "--name", "vendor.example"]);
    assert_eq!(made["party"]["name"], "vendor.example");
    object(&place, 0, &["party", "init", "other", "--name", "other.example"]);
    let print = made["party"]["fingerprint"].as_str().expect("told");
    let trust = ["party", "trust", "vendor/party.toml", "--party", "other", "--fingerprint", print];
    let trusted = object(&place, 0, &trust);
    assert_eq!(trusted["party"], made["party"]);
    let without = &trust[..5];
    let output = place.hospitium().args(without).arg("--json").output().expect("runs");
    assert_eq!(output.status.code(), Some(2), "nobody is asked");
    let changed = object(&place, 0, &["party", "rekey", "vendor", "--reason", "a year is over"]);
    assert_eq!(changed["entry"], 0);
    assert_ne!(changed["party"]["record"], made["party"]["record"]);

    let policy = ["--policy", "vendor/policy"];
    let with = |words: &[&'static str]| [words, &policy].concat();
    let checked = object(&place, 0, &with(&["log", "check", "vendor/log"]));
    assert_eq!((&checked["sound"], &checked["size"]), (&true.into(), &1.into()));
    let shown = object(&place, 0, &with(&["log", "show", "vendor/log"]));
    assert_eq!(shown["entries"][0]["kind"], "key-change");
    assert_eq!(shown["entries"][0]["index"], 0);
    let copied = object(&place, 0, &with(&["log", "mirror", "vendor/log", "copy"]));
    assert_eq!((&copied["new"], &copied["stale"]), (&1.into(), &false.into()));
    let cosigned = object(&place, 0, &with(&["log", "cosign", "copy", "--party", "other"]));
    let line = cosigned["line"].as_str().expect("told");
    let vendors = std::fs::read_to_string(place.path("vendor/policy")).expect("reads");
    let witness = made_witness(&place);
    std::fs::write(
        place.path("joint.policy"),
        format!("{}\nwitness other {witness}\nquorum none\n", vendors.replace("quorum none", "")),
    )
    .expect("written");
    let joint = ["--policy", "joint.policy"];
    let accept = [&["log", "accept", "vendor/log", "--party", "vendor"], &joint[..]].concat();
    let accepted = object(&place, 0, &[accept.as_slice(), &[line]].concat());
    assert_eq!(accepted["size"], 1);
    let certificate = ["log", "certificate", "vendor/log", "--index", "0", "--out", "c.tlog-proof"];
    assert_eq!(object(&place, 0, &certificate)["entry"], 0);
    object(&place, 0, &["cache", "clean"]);
}

/// The other party's witness key.
fn made_witness(place: &Place) -> String {
    let shown = object(place, 0, &["party", "show", "other"]);
    shown["party"]["witness"].as_str().expect("told").to_owned()
}

#[test]
fn agreements_and_catalogs_answer_with_one_documented_object() {
    let place = Place::new();
    let deals = concat!(env!("CARGO_MANIFEST_DIR"), "/../../agreements");
    let deals = std::fs::read_dir(deals).expect("lists").flatten().map(|entry| entry.path());
    let deal = deals.filter(|path| path.extension().is_some_and(|e| e == "toml")).min();
    let deal = deal.expect("an agreement").to_string_lossy().into_owned();
    let checked = object(&place, 0, &["agreement", "check", &deal]);
    assert_eq!(checked["agreements"][0]["sound"], true);
    std::fs::write(place.path("bad.toml"), "format = 1\n").expect("written");
    let checked = object(&place, 1, &["agreement", "check", "bad.toml"]);
    assert_eq!(checked["agreements"][0]["sound"], false);
    object(&place, 0, &["party", "init", "vendor", "--name", "vendor.example"]);
    let logs = ["--log", "vendor/log", "--party", "vendor"];
    let rebuilt = object(&place, 0, &[&["catalog", "rebuild", "--db", "c.db"], &logs[..]].concat());
    assert_eq!(rebuilt["logs"][0]["entries"], 0);
    let exported = object(&place, 0, &["catalog", "export", "site", "--db", "c.db"]);
    assert_eq!(exported["tables"].as_array().map(Vec::len), Some(5));
}
