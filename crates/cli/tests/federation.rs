//! Two parties by commands: one publishes, the other cosigns and copies.

mod common;
#[path = "../../ledger/tests/common/mod.rs"]
mod evidence;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Stdio};

use common::{Place, says};
use evidence::passing;
use jiff::{Timestamp, ToSpan as _};

/// A server that ends with the test.
struct Server {
    child: Child,
    address: String,
    told: BufReader<ChildStderr>,
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
        let told = BufReader::new(child.stderr.take().expect("piped"));
        Self { child, address: line.trim().trim_end_matches('/').to_owned(), told }
    }

    /// Reads what the server tells until it tells this.
    fn wait_for(&mut self, what: &str) {
        let mut all = String::new();
        while !all.contains(what) {
            let read = self.told.read_line(&mut all).expect("told");
            assert_ne!(read, 0, "the server ended without {what:?}: {all}");
        }
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
    let other = says(&place, 0, &["party", "show", "other", "--as-policy"], &[]);
    let key = line(&other, "witness ").split(' ').nth(2).expect("a key").to_owned();
    let policy = format!(
        "{}\nwitness other {key} {}/witness\nquorum other\n",
        line(&vendor, "log "),
        witness.address
    );
    fs::write(place.path("trusted.policy"), policy).expect("written");
    let publish = ["--publish", "vendor/log", "--publish-policy", "trusted.policy"];
    let mut vendors = Server::start(&place, &publish);
    let from = format!("{}/log", vendors.address);
    let mirror = ["log", "mirror", &from, "copy", "--policy", "trusted.policy"];
    vendors.wait_for("shows a head of 1 entries");
    let good = ["cosigned  by other.example/witness", "1 entries, 1 of them new"];
    says(&place, 0, &mirror, &good);
    let check = ["log", "check", "copy", "--policy", "trusted.policy"];
    says(&place, 0, &check, &["sound", "cosigned  by other.example/witness"]);
    says(&place, 0, &mirror, &["0 of them new"]);

    // By hand, into the log itself.
    let gather = ["log", "gather", "vendor/log", "--party", "vendor", "--policy", "trusted.policy"];
    says(&place, 0, &gather, &["cosigned  by other.example/witness", "1 entries"]);
    says(&place, 0, &["log", "check", "vendor/log", "--policy", "trusted.policy"], &["sound"]);
    drop(witness);
    says(&place, 1, &gather, &["has not cosigned", "does not answer"]);

    // The keys come from there, too; they are trusted once their fingerprint was compared.
    let print = fingerprint(&place, "vendor");
    let trust = ["party", "trust", &vendors.address, "--party", "other", "--fingerprint", &print];
    says(&place, 0, &trust, &["vendor.example", "trusted", "peers/vendor.example.toml"]);
    let policy = fs::read_to_string(place.path("other/peers/vendor.example.policy")).expect("read");
    assert!(policy.contains("/log+") && policy.contains(&from), "{policy}");

    // Started again while its witness is down, the server shows what it showed.
    drop(vendors);
    let mut again = Server::start(&place, &publish);
    again.wait_for("shows a head of 1 entries");
    let from = format!("{}/log", again.address);
    let mirror = ["log", "mirror", &from, "copy", "--policy", "trusted.policy"];
    says(&place, 0, &mirror, &["0 of them new"]);
}

/// The digits by which a party's keys are compared.
fn fingerprint(place: &Place, party: &str) -> String {
    let told = says(place, 0, &["party", "show", party], &["compare"]);
    let at = told.find("compare").expect("told");
    told[at..].trim_start_matches("compare").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn keys_are_trusted_after_their_fingerprint_was_compared_and_others_only_as_the_log_shows() {
    let place = Place::new();
    for name in ["vendor", "other"] {
        says(&place, 0, &["party", "init", name, "--name", &format!("{name}.example")], &[]);
    }
    let trust = ["party", "trust", "vendor/party.toml", "--party", "other"];
    says(&place, 2, &trust, &["nobody is here to compare", "--fingerprint"]);
    let (print, wrong) = (fingerprint(&place, "vendor"), fingerprint(&place, "other"));
    let with = |print: &str| -> Vec<String> {
        trust.iter().copied().chain(["--fingerprint", print]).map(str::to_owned).collect()
    };
    let says_with = |code, print: &str, words: &[&str]| {
        let arguments = with(print);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        says(&place, code, &arguments, words)
    };
    says_with(2, "12345", &["60 digits"]);
    says_with(2, &wrong, &["not those of the fingerprint", "nothing is trusted"]);
    says(&place, 2, &[trust.as_slice(), &["--yes"]].concat(), &["--fingerprint"]);
    assert!(!place.path("other/peers").exists(), "nothing is believed before");
    says_with(0, &print, &["trusted"]);
    says(&place, 0, &trust, &["trusted"]);
    let kept = place.path("other/peers/vendor.example.toml");
    let before = fs::read(&kept).expect("kept");

    // Another key comes: without a log that shows the change it is refused, whatever fingerprint it has.
    let rekey = ["party", "rekey", "vendor", "--reason", "a year is over"];
    says(&place, 0, &rekey, &["entry 0"]);
    let refused =
        ["other keys than those that are trusted", "both are kept", "nothing changed here"];
    says(&place, 2, &trust, &refused);
    says_with(2, &fingerprint(&place, "vendor"), &refused);
    assert_eq!(fs::read(&kept).expect("kept"), before);
    let shown = [trust.as_slice(), &["--log", "vendor/log"]].concat();
    says(&place, 0, &shown, &["its keys follow", "trusted"]);
    assert_ne!(fs::read(&kept).expect("kept"), before);
}

#[test]
fn a_record_is_endorsed_and_repeated_by_another_party_in_its_own_log() {
    let place = Place::new();
    let recent = |mut run: evidence::Run, id: &str| {
        let now = Timestamp::now();
        run.record.id = id.into();
        run.record.started = now - 2.hours();
        run.record.ended = Some(now - 1.hour());
        run
    };
    recent(passing(), "theirs").write(&place.path("run/evidence"));
    recent(passing(), "again").write(&place.path("again/evidence"));
    recent(passing().with(evidence::failing("stor.flush-durable")), "worse")
        .write(&place.path("worse/evidence"));
    for name in ["vendor", "other"] {
        says(&place, 0, &["party", "init", name, "--name", &format!("{name}.example")], &[]);
    }
    says(&place, 0, &["certify", "run", "--party", "vendor"], &["PASSED", "entry 0"]);
    let certificate = "run/certificates/one.tlog-proof";
    let endorse = ["log", "endorse", certificate, "--party", "other", "--reason", "looked at"];
    let endorse = |more: &[&'static str]| [endorse.as_slice(), more].concat();
    says(&place, 2, &endorse(&[]), &["--reviewed"]);
    says(&place, 2, &endorse(&["--reviewed"]), &["no log of a party that is trusted here"]);
    let print = fingerprint(&place, "vendor");
    let trust =
        ["party", "trust", "vendor/party.toml", "--party", "other", "--fingerprint", &print];
    says(&place, 0, &trust, &["trusted"]);
    let copied = ["--copy", "vendor/log"];
    let reviewed = endorse(&[copied.as_slice(), &["--reviewed"]].concat());
    says(&place, 0, &reviewed, &["reviewed", "recorded as entry 0"]);
    // By the digest of its entry, too, and by a run that repeats it.
    let worse = endorse(&["--copy", "vendor/log", "--run", "worse"]);
    says(
        &place,
        2,
        &worse,
        &["no repetition", "stor.flush-durable passed in the record, and failed"],
    );
    let itself = endorse(&["--copy", "vendor/log", "--run", "run"]);
    says(&place, 2, &itself, &["no repetition", "the record's own run"]);
    let again = endorse(&["--copy", "vendor/log", "--run", "again", "--evidence", "run"]);
    let good = ["compared with its evidence", "repeated, 4 checks", "recorded as entry 1"];
    says(&place, 0, &again, &good);
    says(&place, 0, &["log", "show", "other/log"], &["endorsement", "reviewed", "repeated"]);
    let own = ["log", "endorse", certificate, "--party", "vendor", "--policy", "vendor/policy"];
    let own = [own.as_slice(), &["--reviewed", "--reason", "x"]].concat();
    says(&place, 2, &own, &["vendor.example's own"]);

    // The catalog knows of it where it has both logs.
    let asked = ["ask", "debian 12 on qemu 7.2", "--party", "other", "--log", "vendor/log"];
    says(&place, 0, &asked, &["assurance    self-validated", "as known by"]);
    let both = [asked.as_slice(), &["--log", "other/log"]].concat();
    says(&place, 0, &both, &["assurance    repeated: other.example repeated it"]);
    let back =
        ["log", "withdraw", "other/log", "--party", "other", "--index", "1", "--reason", "x"];
    says(&place, 0, &back, &["entry 2"]);
    says(&place, 0, &both, &["assurance    endorsed: other.example reviewed it"]);

    // What was taken back is not endorsed.
    let back =
        ["log", "withdraw", "vendor/log", "--party", "vendor", "--index", "0", "--reason", "x"];
    says(&place, 0, &back, &["entry 1"]);
    says(&place, 2, &reviewed, &["not endorsed", "withdrew this"]);
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

#[test]
fn two_parties_without_records_serve_trust_and_copy_each_other_by_address() {
    let place = Place::new();
    for name in ["vendor", "other"] {
        says(&place, 0, &["party", "init", name, "--name", &format!("{name}.example")], &["log "]);
    }
    // A log that an earlier release did not begin is begun when it is published.
    fs::remove_dir_all(place.path("vendor/log")).expect("removed");
    let publish = ["--publish", "vendor/log", "--publish-policy", "vendor/policy"];
    let mut vendors = Server::start(&place, &publish);
    vendors.wait_for("shows a head of 0 entries");
    // The other party serves its desk alone, and its keys are to be had there all the same.
    let others = Server::start(&place, &["--desk", "other"]);
    for (address, us, them) in
        [(&vendors.address, "other", "vendor"), (&others.address, "vendor", "other")]
    {
        let print = fingerprint(&place, them);
        let trust = ["party", "trust", address, "--party", us, "--fingerprint", &print];
        says(&place, 0, &trust, &["trusted"]);
    }
    let from = format!("{}/log", vendors.address);
    let policy = ["--policy", "other/peers/vendor.example.policy"];
    let mirror = [["log", "mirror", &from, "copy"].as_slice(), &policy].concat();
    says(&place, 0, &mirror, &["0 entries, 0 of them new"]);
    // A folder that is no log of a party is not begun.
    fs::create_dir(place.path("stray")).expect("made");
    let stray = ["serve", "--publish", "stray", "--publish-policy", "vendor/policy"];
    says(&place, 2, &stray, &["cannot be published", "next: ", "party init"]);
}

#[test]
fn a_policy_that_is_not_there_and_a_desk_in_the_clear_are_refused_with_the_next_step() {
    let place = Place::new();
    says(&place, 0, &["party", "init", "vendor", "--name", "vendor.example"], &[]);
    let before = ["log", "mirror", "vendor/log", "copy", "--policy", "peers/x.policy"];
    says(&place, 2, &before, &["no policy peers/x.policy", "party trust"]);
    let clear = ["serve", "--desk", "vendor", "--listen", "0.0.0.0:0"];
    says(&place, 2, &clear, &["passwords in the clear", "--base https://"]);
    assert!(!place.path("vendor/desk/desk.db").exists(), "the desk was opened");
}

#[test]
fn a_stale_head_ends_a_copy_with_3_and_leaves_no_stain() {
    let place = Place::new();
    says(&place, 0, &["party", "init", "vendor", "--name", "vendor.example"], &[]);
    let copied = |from: &std::path::Path, to: &std::path::Path| {
        let copied = std::process::Command::new("cp").arg("-r").args([from, to]).status();
        assert!(copied.expect("runs").success());
    };
    copied(&place.path("vendor/log"), &place.path("cached"));
    says(&place, 0, &["party", "rekey", "vendor", "--reason", "a year is over"], &["entry 0"]);
    let mirror = |from: &'static str| ["log", "mirror", from, "copy", "--policy", "vendor/policy"];
    says(&place, 0, &mirror("vendor/log"), &["1 entries, 1 of them new"]);
    says(&place, 3, &mirror("cached"), &["stale", "as a cache may", "ask again later"]);
    says(&place, 0, &mirror("vendor/log"), &["0 of them new"]);
    let kept = fs::read_dir(place.path("copy")).expect("lists").flatten();
    let names: Vec<_> = kept.map(|entry| entry.file_name().into_string()).collect();
    assert!(names.iter().flatten().all(|name| !name.starts_with(".older")), "{names:?}");
}

#[test]
fn heads_that_cannot_be_remembered_are_told_with_the_next_step() {
    let place = Place::new();
    says(&place, 0, &["party", "init", "vendor", "--name", "vendor.example"], &[]);
    let check = ["log", "check", "vendor/log", "--policy", "vendor/policy"];
    let output = place.hospitium().env("XDG_STATE_HOME", "/proc/nope").args(check).output();
    let said = common::text(&output.expect("runs"));
    assert!(said.contains("next: ") && said.contains("XDG_STATE_HOME=DIR"), "{said}");
    says(&place, 0, &check, &["sound"]);
    let heads = fs::read_dir(place.path("state/hospitium/heads")).expect("lists").flatten();
    let memory = heads
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|suffix| suffix == "checkpoint"));
    fs::write(memory.expect("remembered"), b"").expect("written");
    says(&place, 2, &check, &["remembered of this log is damaged", "move ", "remembers anew"]);
}
