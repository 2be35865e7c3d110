//! `hospitium.toml`, as a newcomer and as somebody who keeps a deal has it; and what is never believed.

mod common;
#[path = "../../ledger/tests/common/mod.rs"]
mod evidence;

use std::fs;

use common::{Place, says};
use evidence::{passing, recent};

const QUESTION: &str = "debian 12 on qemu 7.2";

/// A place with a vendor, whose log has a certificate.
fn deal() -> Place {
    let place = Place::new();
    says(&place, 0, &["party", "init", "vendor", "--name", "vendor.example"], &[]);
    recent(passing()).write(&place.path("run/evidence"));
    says(&place, 0, &["certify", "run", "--party", "vendor"], &["entry 0"]);
    place
}

/// The digits of a party's keys.
fn fingerprint(place: &Place, party: &str) -> String {
    let shown = says(place, 0, &["party", "show", party, "--json"], &["hospitium-party/1"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    shown["party"]["fingerprint"].as_str().expect("there").to_owned()
}

#[test]
fn a_log_is_not_believed_for_the_policy_that_lies_beside_it() {
    let place = deal();
    assert!(place.path("vendor/policy").is_file(), "it is there, and counts for nothing");
    let ask = ["ask", QUESTION, "--log", "vendor/log"];
    says(
        &place,
        2,
        &ask,
        &["nothing says whom to trust", "vendor.example/log", "next: ", "--party"],
    );
    for believed in [["--policy", "vendor/policy"], ["--party", "vendor"]] {
        says(&place, 0, &[&ask[..], &believed].concat(), &["validated"]);
    }
    // Another party that has not compared its keys does not believe it either.
    says(&place, 0, &["party", "init", "other", "--name", "other.example"], &[]);
    let as_other = [&ask[..], &["--party", "other"]].concat();
    says(&place, 2, &as_other, &["nothing says whom to trust"]);
    let digits = fingerprint(&place, "vendor");
    let trust =
        ["party", "trust", "vendor/party.toml", "--party", "other", "--fingerprint", &digits];
    says(&place, 0, &trust, &["trusted"]);
    says(&place, 0, &as_other, &["validated"]);
    says(&place, 0, &["party", "peers", "--party", "other"], &["vendor.example"]);
}

#[test]
fn a_catalog_and_agreements_of_the_working_folder_are_not_taken_unless_they_are_named() {
    let place = deal();
    let rebuild = ["catalog", "rebuild", "--log", "vendor/log", "--party", "vendor"];
    says(&place, 0, &rebuild, &["content   sha256:"]);
    assert!(place.path("catalog.db").is_file());
    says(&place, 3, &["ask", QUESTION], &["nothing is known"]);
    says(&place, 0, &["ask", QUESTION, "--db", "catalog.db"], &["validated"]);
    fs::create_dir(place.path("agreements")).expect("made");
    fs::write(place.path("agreements/deal.toml"), "no agreement").expect("written");
    says(&place, 2, &["agreement", "show", "deal"], &["there is no agreement \"deal\"", "next: "]);
    says(&place, 2, &["agreement", "check"], &["no agreement is named", "next: "]);
}

#[test]
fn what_the_configuration_has_need_not_be_typed_and_is_overridden_by_what_is_typed() {
    let place = deal();
    let digits = fingerprint(&place, "vendor");
    let config = format!(
        "[[log]]\nsource = \"vendor/log\"\n\n[[trust]]\nparty = \"vendor/party.toml\"\nfingerprint = \"{digits}\"\n"
    );
    fs::write(place.path("hospitium.toml"), &config).expect("written");
    says(&place, 0, &["ask", QUESTION], &["validated"]);
    says(&place, 0, &["catalog", "pairs"], &["1 pair", "validated"]);
    says(&place, 0, &["verify", "run/certificates/one.tlog-proof"], &["validated"]);
    let shown = ["log[0].source", "hospitium.toml:2]", "trust[0].fingerprint", "hospitium.toml:6]"];
    says(&place, 0, &["config"], &shown);
    let json = says(&place, 0, &["config", "--json"], &[]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["schema"], "hospitium-config/1");
    assert_eq!(json["values"][1]["value"], digits);
    // It is found from a folder below, and its paths are its own.
    fs::create_dir_all(place.path("a/b")).expect("made");
    let below = place.hospitium().current_dir(place.path("a/b")).args(["ask", QUESTION]).output();
    let below = common::text(&below.expect("runs"));
    assert!(below.contains("validated"), "{below}");
    // What is typed counts: a log that nobody has.
    says(&place, 2, &["ask", QUESTION, "--log", "nowhere"], &["nowhere"]);

    // With another's keys in the file, nothing of it is believed.
    let other = digits.replacen(&digits[..1], if digits.starts_with('0') { "1" } else { "0" }, 1);
    fs::write(place.path("hospitium.toml"), config.replace(&digits, &other)).expect("written");
    says(&place, 2, &["ask", QUESTION], &["are not those of the fingerprint in line 6"]);
}

#[test]
fn the_partys_folder_and_defaults_of_runs_come_from_the_configuration() {
    let place = deal();
    fs::create_dir(place.path("config")).expect("made");
    fs::create_dir(place.path("config/hospitium")).expect("made");
    let vendor = place.path("vendor");
    let config = format!("[party]\nfolder = {vendor:?}\n[run]\non = [\"/no/such/qemu\"]\n");
    fs::write(place.path("config/hospitium/hospitium.toml"), config).expect("written");
    // Of the user, where no folder has one.
    says(&place, 0, &["party", "peers"], &["nobody is trusted yet"]);
    says(&place, 0, &["party", "show"], &["vendor.example"]);
    says(&place, 0, &["ask", QUESTION, "--log", "vendor/log"], &["validated"]);
    says(&place, 0, &["certify", "run"], &["in the log already"]);
    let kernel = common::kernel().to_string_lossy().into_owned();
    says(&place, 2, &["run", &kernel], &["/no/such/qemu"]);
    says(&place, 2, &["run", &kernel, "--on", "/none/either"], &["/none/either"]);
    says(&place, 0, &["run", "--help"], &["[default: /no/such/qemu]"]);
}

#[test]
fn a_mistake_in_the_configuration_is_told_with_its_line_by_every_command_but_help_is_there() {
    let place = Place::new();
    fs::write(place.path("hospitium.toml"), "[party]\nfoldr = \"x\"\n").expect("written");
    let words = ["hospitium.toml:2: there is no key \"foldr\"", "did you mean folder?"];
    says(&place, 2, &["suite", "list"], &words);
    says(&place, 2, &["config"], &words);
    says(&place, 128, &["run", "--bisect", "x"], &words);
    says(&place, 0, &["run", "--help"], &["Example"]);
}

#[test]
fn old_names_work_and_say_what_they_are_called_now() {
    let place = deal();
    let told = ["`hospitium check list` is now `hospitium suite list`"];
    let (old, new) = (["check", "list", "stor"], ["suite", "list", "stor"]);
    let output = |arguments: &[&str]| place.hospitium().args(arguments).output().expect("runs");
    says(&place, 0, &old, &told);
    assert_eq!(output(&old).stdout, output(&new).stdout);
    says(&place, 0, &["evidence", "check", "run"], &["sound", "is now `hospitium verify`"]);
    assert_eq!(output(&["evidence", "check", "run"]).stdout, output(&["verify", "run"]).stdout);
    says(
        &place,
        2,
        &["verify", "run", "--policy", "vendor/policy"],
        &["--policy goes with a certificate"],
    );
    says(
        &place,
        2,
        &["ask", QUESTION, "--host", "qemu"],
        &["--host says what a definition leaves open"],
    );
}
