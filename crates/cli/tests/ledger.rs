//! From evidence to a certificate that verifies, by commands and files alone.

mod common;
#[path = "../../ledger/tests/common/mod.rs"]
mod evidence;

use std::fs;

use common::{Place, says, text};
use evidence::{failing, passing, recent, without_run};
use hospitium_model::Verdict;

const CERTIFICATE: &str = "run/certificates/one.tlog-proof";
const VERIFY: [&str; 4] = ["verify", CERTIFICATE, "--policy", "vendor/policy"];

fn with<'a>(first: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [first, more].concat()
}

#[test]
fn evidence_becomes_a_certificate_that_verifies_until_it_is_withdrawn() {
    let place = Place::new();
    recent(passing()).write(&place.path("run/evidence"));
    says(
        &place,
        0,
        &["party", "init", "vendor", "--name", "vendor.example"],
        &["vendor.example/log+"],
    );
    let certify = ["certify", "run", "--party", "vendor"];
    says(&place, 0, &certify, &["PASSED", "entry 0", CERTIFICATE]);
    says(&place, 0, &certify, &["in the log already, as entry 0"]);
    says(
        &place,
        0,
        &["log", "check", "vendor/log", "--policy", "vendor/policy"],
        &["sound", "1 entries"],
    );
    let whole = ["--evidence", "run", "--log", "vendor/log"];
    let good =
        ["validated linux 6.1 on qemu 7.2 (TCG)", "bears out every verdict", "no suspension"];
    says(&place, 0, &with(&VERIFY, &whole), &good);

    // Evidence that was altered; authentic all the same.
    let console = place.path("run/evidence/cells/one/console.raw");
    let kept = fs::read(&console).expect("there");
    fs::write(&console, "\u{1b}[2Jother").expect("written");
    says(&place, 1, &with(&VERIFY, &whole), &["console.raw was altered"]);
    fs::write(&console, kept).expect("written");

    let json = says(&place, 0, &with(&VERIFY, &["--json"]), &["\"good\":true"]);
    let json: serde_json::Value = serde_json::from_str(json.trim()).expect("JSON");
    assert_eq!(json["standing"], "valid");

    let withdraw = [
        "log",
        "withdraw",
        "vendor/log",
        "--party",
        "vendor",
        "--index",
        "0",
        "--reason",
        "data loss",
    ];
    says(&place, 0, &withdraw, &["entry 1"]);
    says(&place, 1, &with(&VERIFY, &whole), &["withdrew this", "data loss"]);
    says(&place, 0, &["log", "show", "vendor/log"], &["PASSED", "withdrawal", "data loss"]);
    says(&place, 2, &["log", "certificate", "vendor/log", "--index", "7", "--out", "x"], &["7"]);
}

#[test]
fn a_failure_is_recorded_and_a_broken_harness_is_not() {
    let place = Place::new();
    says(&place, 0, &["party", "init", "vendor", "--name", "vendor.example"], &[]);
    recent(passing().with(failing("stor.flush-durable"))).write(&place.path("run/evidence"));
    says(&place, 1, &["certify", "run", "--party", "vendor"], &["FAILED", "1 failed"]);
    says(&place, 1, &VERIFY, &["failed: not validated", "stor.flush-durable"]);
    let error = Verdict::Error { reason: "the VMM died".into() };
    let broken = passing().with(without_run("stor.flush-durable", error));
    recent(broken).write(&place.path("broken/evidence"));
    let said = says(&place, 3, &["certify", "broken", "--party", "vendor"], &["the VMM died"]);
    assert!(said.contains("nothing is recorded") && said.contains("Run the cell again"), "{said}");
}

#[test]
fn another_party_cosigns_and_a_policy_asks_for_it() {
    let place = Place::new();
    recent(passing()).write(&place.path("run/evidence"));
    says(&place, 0, &["party", "init", "vendor", "--name", "vendor.example"], &[]);
    says(&place, 0, &["party", "init", "other", "--name", "other.example"], &[]);
    says(&place, 0, &["certify", "run", "--party", "vendor"], &["PASSED"]);
    let other = fs::read_to_string(place.path("other/policy")).expect("there");
    let witness = other.lines().find_map(|line| line.strip_prefix("# witness ")).expect("told");
    let policy = fs::read_to_string(place.path("vendor/policy")).expect("there");
    let policy = policy.replace("quorum none", &format!("witness {witness}\nquorum other.example"));
    fs::write(place.path("joint"), policy).expect("written");
    let verify = ["verify", CERTIFICATE, "--policy", "joint"];
    says(&place, 2, &verify, &["lacks cosignatures", "other.example"]);

    let cosign = ["log", "cosign", "vendor/log", "--party", "other", "--policy", "joint"];
    let output = place.hospitium().args(cosign).output().expect("runs");
    let line = String::from_utf8(output.stdout).expect("text");
    // The party's own policy has no witness; a line that was altered is none either.
    let own = ["log", "accept", "vendor/log", "--party", "vendor", line.trim()];
    says(&place, 2, &own, &["no witness of the policy"]);
    let joint = ["log", "accept", "vendor/log", "--party", "vendor", "--policy", "joint"];
    let bent = line.trim().replace(['a', 'b'], "c");
    says(&place, 2, &with(&joint, &[&bent]), &["not accepted"]);
    let accept = with(&joint, &[line.trim()]);
    says(&place, 0, &accept, &["other.example/witness"]);
    let again = ["log", "certificate", "vendor/log", "--index", "0", "--out", CERTIFICATE];
    says(&place, 0, &again, &[]);
    says(&place, 0, &verify, &["by other.example/witness at"]);
}

#[test]
fn what_is_no_certificate_party_or_policy_is_refused_with_the_next_step() {
    let place = Place::new();
    says(&place, 2, &["party", "init", "vendor", "--name", "Vendor"], &["domain name"]);
    says(&place, 0, &["party", "init", "vendor", "--name", "vendor.example"], &[]);
    says(
        &place,
        2,
        &["party", "init", "vendor", "--name", "vendor.example"],
        &["never overwritten"],
    );
    let huge = fs::File::create(place.path("huge")).expect("made");
    huge.set_len(1 << 30).expect("sparse");
    says(&place, 2, &["verify", "huge", "--policy", "vendor/policy"], &["was not read"]);
    fs::write(place.path("text"), "hello").expect("written");
    says(&place, 2, &["verify", "text", "--policy", "vendor/policy"], &["c2sp.org/tlog-proof@v1"]);
    says(&place, 2, &["verify", "gone", "--policy", "vendor/policy"], &["gone"]);
    fs::write(place.path("bad"), "quorum others\n").expect("written");
    says(&place, 2, &["verify", "text", "--policy", "bad"], &["bad:1:8", "^^^^^^"]);
    says(&place, 2, &["log", "check", "nowhere"], &["holds no log"]);
    says(&place, 2, &["certify", "nowhere", "--party", "vendor"], &["nowhere", "next:"]);
}

#[test]
fn two_writers_of_a_log_exclude_each_other_and_the_second_is_told() {
    let place = Place::new();
    says(&place, 0, &["party", "init", "vendor", "--name", "vendor.example"], &[]);
    recent(passing()).write(&place.path("run/evidence"));
    let certify = ["certify", "run", "--party", "vendor"];
    let party = hospitium_ledger::Party::open(&place.path("vendor")).expect("opens");
    let first = hospitium_ledger::Log::open(&place.path("vendor/log"), &party).expect("opens");
    let said = says(&place, 2, &certify, &["vendor/log"]);
    assert!(said.contains("another"), "it says that another writes: {said}");
    drop(first);
    says(&place, 0, &certify, &["PASSED", "entry 0"]);
}

#[test]
fn a_log_with_a_bent_tile_entry_or_head_is_not_relied_on() {
    let place = Place::new();
    says(&place, 0, &["party", "init", "vendor", "--name", "vendor.example"], &[]);
    recent(passing()).write(&place.path("run/evidence"));
    says(&place, 0, &["certify", "run", "--party", "vendor"], &["PASSED"]);
    let check = ["log", "check", "vendor/log", "--policy", "vendor/policy"];
    let ask = ["ask", "debian 12 on qemu 7.2", "--log", "vendor/log", "--party", "vendor"];
    says(&place, 0, &ask, &["validated"]);
    for (name, code) in [("tile/0/000.p/1", 1), ("tile/entries/000.p/1", 1), ("checkpoint", 2)] {
        let path = place.path("vendor/log").join(name);
        let good = fs::read(&path).expect("there");
        let mut bent = good.clone();
        // In a head, a digit of the root; else any byte.
        let at =
            if code == 2 { good.iter().rposition(|b| *b == b'\n').expect("lines") - 9 } else { 20 };
        bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
        fs::write(&path, bent).expect("written");
        says(&place, code, &check, &[]);
        let output = place.hospitium().args(ask).output().expect("runs");
        let said = text(&output);
        assert!(!said.starts_with("validated"), "{name}: {said}");
        fs::write(&path, good).expect("written");
    }
    says(&place, 0, &check, &["sound"]);
}

#[test]
fn an_older_copy_of_a_log_that_was_seen_brings_no_withdrawn_certificate_back() {
    let place = Place::new();
    says(&place, 0, &["party", "init", "vendor", "--name", "vendor.example"], &[]);
    recent(passing()).write(&place.path("run/evidence"));
    says(&place, 0, &["certify", "run", "--party", "vendor"], &["PASSED"]);
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .args([place.path("vendor/log"), place.path("older")])
        .status();
    assert!(copied.expect("runs").success());
    let notice = |what, more: &[&str]| {
        let log = ["log", what, "vendor/log", "--party", "vendor", "--index", "0"];
        let output =
            place.hospitium().args(with(&log, &["--reason", "data loss"])).args(more).output();
        output.expect("runs").status.code()
    };
    assert_eq!(notice("suspend", &["--until", "2020-01-01T00:00:00Z"]), Some(2), "it is over");
    assert_eq!(notice("suspend", &[]), Some(0));
    says(&place, 1, &with(&VERIFY, &["--log", "vendor/log"]), &["suspended this"]);
    assert_eq!(notice("resume", &[]), Some(0));
    says(&place, 0, &with(&VERIFY, &["--log", "vendor/log"]), &["validated"]);
    assert_eq!(notice("withdraw", &[]), Some(0));
    says(&place, 1, &with(&VERIFY, &["--log", "vendor/log"]), &["withdrew this"]);
    says(&place, 2, &with(&VERIFY, &["--log", "older"]), &["older copy is not taken"]);
    let policy = ["--policy", "vendor/policy"];
    says(&place, 2, &with(&["log", "check", "older"], &policy), &["older copy is not taken"]);
    let ask = ["ask", "debian 12 on qemu 7.2", "--log", "older"];
    says(&place, 2, &with(&ask, &policy), &["older copy is not taken"]);
    // The run's record was taken back: certify says so, and it is no success.
    let again = ["certify", "run", "--party", "vendor"];
    says(&place, 1, &again, &["was withdrawn", "data loss"]);
}

#[test]
fn a_product_that_the_evidence_contradicts_and_a_day_that_is_none_are_refused() {
    let place = Place::new();
    says(&place, 0, &["party", "init", "vendor", "--name", "vendor.example"], &[]);
    recent(passing()).write(&place.path("run/evidence"));
    let certify = ["certify", "run", "--party", "vendor"];
    let host = with(&certify, &["--host", "QEMU 10.0"]);
    says(&place, 2, &host, &["the evidence shows QEMU 7.2"]);
    let guest = with(&certify, &["--guest-product", "debian 11"]);
    says(&place, 2, &guest, &["--guest-product names", "and the evidence shows"]);
    says(&place, 0, &certify, &["PASSED"]);
    let ask = ["ask", "debian 12 on qemu 7.2", "--log", "vendor/log", "--party", "vendor"];
    says(&place, 2, &with(&ask, &["--as-of=-009999-01-01"]), &["write the day as YYYY-MM-DD"]);
    says(&place, 2, &with(&ask, &["--as-of", "0999-01-01"]), &["nothing can be said of"]);
}
