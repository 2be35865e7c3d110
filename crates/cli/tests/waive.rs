//! A failure that is accepted for a time: waived, counted, shown, and taken back.

mod common;
#[path = "../../ledger/tests/common/mod.rs"]
mod evidence;

use std::fs;

use common::{Place, says};
use evidence::{failing, passing};
use jiff::{Timestamp, ToSpan as _};

const CHECK: &str = "stor.flush-durable";
const CERTIFICATE: &str = "run/certificates/one.tlog-proof";

/// A place where the failure of a check stands in the vendor's log, as entry 0.
fn failed() -> Place {
    let place = Place::new();
    let mut run = passing().with(failing(CHECK));
    let now = Timestamp::now();
    run.record.started = now - 2.hours();
    run.record.ended = Some(now - 1.hour());
    run.write(&place.path("run/evidence"));
    says(&place, 0, &["party", "init", "vendor", "--name", "vendor.example"], &[]);
    says(&place, 1, &CERTIFY, &["FAILED", "entry 0"]);
    place
}

const CERTIFY: [&str; 4] = ["certify", "run", "--party", "vendor"];
const VERIFY: [&str; 6] =
    ["verify", CERTIFICATE, "--policy", "vendor/policy", "--log", "vendor/log"];
const ASK: [&str; 6] = ["ask", "debian 12 on qemu 7.2", "--log", "vendor/log", "--party", "vendor"];

/// `log waive` of this check of this entry until then, with these arguments more.
fn waive<'a>(index: &'a str, check: &'a str, until: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let all = ["log", "waive", "vendor/log", "--party", "vendor", "--index", index];
    let what = ["--check", check, "--until", until, "--reason", "the lab's disk", "--by"];
    [&all[..], &what, &["the board"], more].concat()
}

fn ahead() -> String {
    (Timestamp::now() + 700.hours()).to_string()
}

#[test]
fn a_failure_that_is_waived_is_counted_until_the_waiver_is_taken_back() {
    let place = failed();
    says(&place, 1, &ASK, &["failed: Debian 12"]);
    let until = ahead();
    says(&place, 0, &waive("0", CHECK, &until, &[]), &["entry 1", "certify the run again"]);
    says(&place, 1, &ASK, &["failed: Debian 12"]);
    says(&place, 0, &CERTIFY, &["WARNED", "entry 2"]);
    says(&place, 0, &CERTIFY, &["in the log already, as entry 2"]);
    says(&place, 0, &VERIFY, &["validated", CHECK, "the lab's disk", "the board"]);
    says(&place, 0, &ASK, &["validated with limits", "is waived until", "the board"]);

    let withdraw = ["log", "withdraw", "vendor/log", "--party", "vendor", "--index", "1"];
    let why = ["--reason", "it lost data"];
    says(&place, 0, &[&withdraw[..], &why].concat(), &["entry 3"]);
    says(
        &place,
        1,
        &VERIFY,
        &[
            "what that rests on, the waiver of stor.flush-durable, does not hold: it was withdrawn",
            "WRONG: it was withdrawn by entry 3",
        ],
    );
    says(&place, 1, &ASK, &["failed: Debian 12", "it lost data"]);
    says(&place, 0, &["log", "show", "vendor/log"], &["waiver      stor.flush-durable"]);
    // What is certified from now on does not count it.
    says(&place, 1, &CERTIFY, &["FAILED"]);
}

#[test]
fn only_what_failed_is_waived_for_a_time_ahead_with_a_reason() {
    let place = failed();
    let until = ahead();
    let refused = |arguments: &[&str], words: &[&str]| {
        says(&place, 2, arguments, words);
        says(&place, 0, &["log", "check", "vendor/log"], &["1 entries"]);
    };
    let passed = ["cpu.count did not fail in entry 0", "failed did: stor.flush-durable"];
    refused(&waive("0", "cpu.count", &until, &[]), &passed);
    refused(&waive("0", CHECK, "2020-01-01T00:00:00Z", &[]), &["2020-01-01", "is over", "--until"]);
    refused(&waive("7", CHECK, &until, &[]), &["7"]);
    refused(&waive("0", "no such check", &until, &[]), &["no such check"]);
    let mut silent = waive("0", CHECK, &until, &[]);
    let reason = silent.iter().position(|word| *word == "the lab's disk").expect("there");
    silent[reason] = " ";
    refused(&silent, &["the reason has to be told"]);
    let long = "x".repeat(1001);
    silent[reason] = &long;
    refused(&silent, &["at most 1000 bytes"]);
    let mut nowhere = waive("0", CHECK, &until, &[]);
    nowhere[2] = "nowhere";
    says(&place, 2, &nowhere, &["nowhere"]);
}

#[test]
fn a_waiver_is_no_record_that_can_be_waived_and_one_of_a_file_that_has_ended_is_told() {
    let place = failed();
    let until = ahead();
    says(&place, 0, &waive("0", CHECK, &until, &["--every-host"]), &["entry 1"]);
    says(&place, 2, &waive("1", CHECK, &until, &[]), &["entry 1 is no record of a validation"]);
    let file = format!(
        "[[waiver]]\ncheck = \"{CHECK}\"\nreason = \"r\"\nby = \"b\"\nuntil = \"2020-01-01T00:00:00Z\"\n"
    );
    fs::write(place.path("waivers.toml"), file).expect("written");
    let with = [&CERTIFY[..], &["--waivers", "waivers.toml"]].concat();
    says(&place, 3, &with, &["the waiver of stor.flush-durable ended at 2020-01-01", "renew it"]);
}
