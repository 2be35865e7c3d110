//! Two parties by commands: one publishes, the other cosigns and copies.

mod common;
#[path = "../../ledger/tests/common/mod.rs"]
mod evidence;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};

use common::{Place, says};
use evidence::passing;
use jiff::{Timestamp, ToSpan as _};

/// A server that ends with the test.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let mut command = place.hospitium();
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(arguments);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut line = String::new();
        let mut told = BufReader::new(child.stdout.take().expect("piped"));
        told.read_line(&mut line).expect("told");
        if line.is_empty() {
            let mut errors = String::new();
            let _ = child.stderr.take().expect("piped").read_to_string(&mut errors);
            panic!("the server did not start: {errors}");
        }
        Self { child, address: line.trim().trim_end_matches('/').to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line(policy: &str, begins: &str) -> String {
    let found = policy
        .lines()
        .map(|line| line.trim_start_matches("# "))
        .find(|line| line.starts_with(begins));
    found.unwrap_or_else(|| panic!("{begins:?} in {policy}")).to_owned()
}

#[test]
fn a_log_is_published_once_the_other_party_has_cosigned_it_and_is_copied_from_there() {
    let place = Place::new();
    let mut run = passing();
    let now = Timestamp::now();
    run.record.started = now - 2.hours();
    run.record.ended = Some(now - 1.hour());
    run.write(&place.path("run/evidence"));
    for name in ["vendor", "other"] {
        let domain = format!("{name}.example");
        says(&place, 0, &["party", "init", name, "--name", &domain], &[]);
    }
    says(&place, 0, &["certify", "run", "--party", "vendor"], &["PASSED", "entry 0"]);
    // A witness's machine has its one key and no other secret.
    fs::create_dir_all(place.path("cosigner/secret")).expect("made");
    for file in ["party.toml", "secret/witness.pem"] {
        fs::copy(place.path("other").join(file), place.path("cosigner").join(file))
            .expect("copied");
    }
    let secret = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(place.path("cosigner/secret"), secret).expect("set");
    let trusts_vendor = ["--witness", "cosigner", "--witness-policy", "vendor/policy"];
    let witness = Server::start(&place, &trusts_vendor);

    let vendor = fs::read_to_string(place.path("vendor/policy")).expect("read");
    let other = says(&place, 0, &["party", "show", "other", "--policy"], &[]);
    let key = line(&other, "witness ").split(' ').nth(2).expect("a key").to_owned();
    let policy = format!(
        "{}\nwitness other {key} {}/witness\nquorum other\n",
        line(&vendor, "log "),
        witness.address
    );
    fs::write(place.path("trusted.policy"), policy).expect("written");
    let vendors =
        Server::start(&place, &["--publish", "vendor/log", "--publish-policy", "trusted.policy"]);
    let from = format!("{}/log", vendors.address);
    let mirror = ["log", "mirror", &from, "copy", "--policy", "trusted.policy"];
    // Until it is cosigned nothing is shown.
    let begun = std::time::Instant::now();
    loop {
        let output = place.hospitium().args(mirror).output().expect("runs");
        if output.status.success() {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(said.contains("cosigned  by other.example/witness"), "{said}");
            assert!(said.contains("1 entries, 1 of them new"), "{said}");
            break;
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("no log is published there"), "{said}");
        assert!(begun.elapsed() < common::LIMIT, "{said}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let check = ["log", "check", "copy", "--policy", "trusted.policy"];
    says(&place, 0, &check, &["sound", "cosigned  by other.example/witness"]);
    says(&place, 0, &mirror, &["0 of them new"]);

    // By hand, into the log itself.
    let gather = ["log", "gather", "vendor/log", "--party", "vendor", "--policy", "trusted.policy"];
    says(&place, 0, &gather, &["cosigned  by other.example/witness", "1 entries"]);
    says(&place, 0, &["log", "check", "vendor/log", "--policy", "trusted.policy"], &["sound"]);
    drop(witness);
    says(&place, 1, &gather, &["has not cosigned", "does not answer"]);
}

#[test]
fn what_cannot_be_meant_is_refused_with_what_to_do() {
    let place = Place::new();
    says(&place, 0, &["party", "init", "vendor", "--name", "vendor.example"], &[]);
    let policy = ["--policy", "vendor/policy"];
    let mirror =
        |from: &'static str| [["log", "mirror", from, "copy"].as_slice(), &policy].concat();
    says(&place, 2, &mirror("ftp://vendor.example/log"), &["https://"]);
    says(&place, 2, &mirror("nothing"), &["no log is published there"]);
    says(&place, 2, &mirror("http://127.0.0.1:1/log"), &["127.0.0.1:1", "cannot be had"]);
    let gather = ["log", "gather", "vendor/log", "--party", "vendor"];
    says(&place, 2, &gather, &["names no witness with an address"]);
    says(&place, 2, &["serve", "--witness", "vendor"], &["--witness-policy"]);
}
