//! A case with runs in it, and what it gives back to the catalog.

mod common;
#[path = "../../ledger/tests/common/mod.rs"]
mod evidence;

use std::fs;

use common::{Place, says};
use evidence::{failing, passing};
use jiff::{Timestamp, ToSpan as _};

const GUEST: &str = "guest.example";
const HOST: &str = "host.example";
const CHECK: &str = "stor.flush-durable";
const ISSUE: &str = "a flush is lost after a migration";

/// Two vendors that know each other, and a run of the host's vendor.
fn vendors(failed: bool) -> Place {
    let place = Place::new();
    for name in [GUEST, HOST] {
        says(&place, 0, &["party", "init", name, "--name", name], &[]);
    }
    for (name, other) in [(GUEST, HOST), (HOST, GUEST)] {
        let peers = place.path(name).join("peers");
        fs::create_dir(&peers).expect("made");
        let public = place.path(other).join("party.toml");
        fs::copy(public, peers.join(format!("{other}.toml"))).expect("copied");
    }
    let mut run = passing();
    if failed {
        run = run.with(failing(CHECK));
    }
    let now = Timestamp::now();
    run.record.started = now - 2.hours();
    run.record.ended = Some(now - 1.hour());
    run.write(&place.path("run/evidence"));
    place
}

fn case(place: &Place, party: &str, arguments: &[&str], words: &[&str]) -> String {
    says(place, 0, &[&["case"], arguments, &["--party", party]].concat(), words)
}

/// The id of a new case, offered.
fn open(place: &Place, more: &[&str]) -> String {
    let given = [
        "open",
        "the disk lost data",
        "--to",
        HOST,
        "--guest",
        "debian 12",
        "--host",
        "qemu 7.2",
        "--number",
        "G-1001",
        "--engineer",
        "Ann Smith <ann@guest.example>",
        "--customer",
        "Customer Inc.",
        "--consent",
        "problem,configuration,evidence",
        "--consent-by",
        "Pat Doe",
    ];
    let said = case(place, GUEST, &[&given[..], more].concat(), &["offered"]);
    said.split_whitespace().find(|word| word.starts_with("c-")).expect("an id").to_owned()
}

/// Carries everything there and back, three times.
fn exchange(place: &Place) {
    for _ in 0..3 {
        for (from, to) in [(GUEST, HOST), (HOST, GUEST)] {
            says(place, 0, &["case", "sync", "--party", from], &[]);
            let outbox = place.path(from).join("desk/outbox").join(to);
            let inbox = place.path(to).join("desk/inbox").join(from);
            fs::create_dir_all(&inbox).expect("made");
            for file in fs::read_dir(&outbox).expect("there").flatten() {
                fs::copy(file.path(), inbox.join(file.file_name())).expect("carried");
            }
        }
    }
    says(place, 0, &["case", "sync", "--party", GUEST], &[]);
}

fn accept(place: &Place, id: &str) {
    let number = ["accept", id, "--number", "H-2002", "--respond-within", "2h"];
    let engineer = ["--engineer", "Bo Lind <bo@host.example>"];
    case(place, HOST, &[&number[..], &engineer].concat(), &[]);
    case(place, HOST, &["start", id], &[]);
}

#[test]
fn a_run_answers_a_reproduction_and_both_vendors_have_its_evidence_and_what_it_says() {
    let place = vendors(true);
    let id = open(&place, &[]);
    exchange(&place);
    accept(&place, &id);
    case(&place, HOST, &["reproduce", &id, "power cut during writes", "--by", "us"], &[]);
    let answer = ["reproduce", &id, "cut ten times", "--run", "run"];
    case(&place, HOST, &answer, &["reproduction 0: reproduced", "1 failed"]);
    let shown = ["its run", &format!("{CHECK} failed"), "hospitium replay FILE", "reproduced"];
    case(&place, HOST, &["show", &id], &shown);
    // Nothing waits any more, so that the next is a reproduction of its own; the run is there already.
    case(&place, HOST, &answer, &["reproduction 1: reproduced"]);
    exchange(&place);
    let theirs = case(&place, GUEST, &["show", &id], &shown);
    let line = theirs.lines().find(|line| line.contains("sha256:")).expect("a file");
    let sha256 = line.rsplit("sha256:").next().expect("a digest").trim();
    case(&place, GUEST, &["fetch", &id, sha256, "fetched.tar.zst"], &[]);
    says(&place, 0, &["evidence", "check", "fetched.tar.zst"], &[]);
    says(&place, 0, &["report", "fetched.tar.zst", "--format", "md", "--out", "-"], &[CHECK]);
    // A run of ours, with the consent that other files need.
    let consent = ["consent", &id, "--withdraw", "--by", "Pat Doe"];
    case(&place, GUEST, &consent, &[]);
    let attach = ["case", "attach", &id, "--run", "run", "--party", GUEST];
    says(&place, 2, &attach, &["consent"]);
}

#[test]
fn what_answers_no_reproduction_or_is_no_sound_evidence_is_refused_before_anything_is_said() {
    let place = vendors(false);
    let id = open(&place, &[]);
    let go = |code, more: &[&str], words: &[&str]| {
        let all = [&["case", "reproduce", id.as_str(), "tried", "--party", GUEST], more].concat();
        says(&place, code, &all, words);
    };
    go(2, &["--run", "run", "--of", "3"], &["no reproduction 3 waits", "none does"]);
    go(2, &["--result", "reproduced"], &["--result and --of go together"]);
    go(2, &["--boot", "x.deb", "--", "--no-such-option"], &["hospitium run does not take this"]);
    go(2, &["--boot", "x.deb", "--", "--bisect"], &["not for a run that answers a case"]);
    let said = says(&place, 0, &["case", "show", &id, "--party", GUEST], &[]);
    assert!(!said.contains("reproduction-asked"), "{said}");
    let file = place.path("run/evidence/cells/one/console.log");
    let before = fs::read(&file).unwrap_or_default();
    fs::write(&file, [&before[..], b"x"].concat()).expect("altered");
    let attach = ["case", "attach", &id, "--run", "run", "--party", GUEST];
    says(&place, 2, &attach, &["evidence"]);
    fs::write(&file, before).expect("put back");
}

#[test]
fn a_closed_case_gives_a_known_issue_and_a_suspension_to_the_catalog_and_no_word_of_itself() {
    let place = vendors(false);
    says(&place, 0, &["certify", "run", "--party", HOST], &["entry 0"]);
    let log = format!("{HOST}/log");
    let policy = format!("{HOST}/policy");
    let ask = ["ask", "debian 12 on qemu 7.2", "--log", &log, "--policy", &policy];
    let id = open(&place, &ask[2..]);
    exchange(&place);
    accept(&place, &id);
    let publish = |code, more: &[&str], words: &[&str]| {
        let all = [&["case", "publish", id.as_str()], more, &["--party", HOST]].concat();
        says(&place, code, &all, words)
    };
    publish(2, &[], &["only a closed one gives something to the catalog"]);
    let propose = ["propose", &id, "install update 12 at Customer Inc.", "--layer", "hypervisor"];
    let feedback =
        ["--known-issue", ISSUE, "--suspend", "data is lost", "--new-check", "flush twice"];
    case(&place, HOST, &[&propose[..], &feedback].concat(), &[]);
    exchange(&place);
    case(&place, GUEST, &["close", &id, "--confirmed-by", "Pat Doe"], &[]);
    exchange(&place);
    // Shown first, and nothing is written.
    let shown = publish(0, &[], &["would be written", ISSUE, "host.example/log entry 0", "--yes"]);
    assert!(shown.contains("flush twice"), "{shown}");
    says(&place, 0, &ask, &["validated"]);
    for names in ["it hits CUSTOMER INC. hard", "see G-1001", "ask bo@host.example"] {
        publish(2, &["--yes", "--text", names], &["name"]);
    }
    publish(0, &["--yes"], &["as entry 1", "as entry 2"]);
    publish(0, &["--yes"], &["as entry 1", "as entry 2"]);
    says(&place, 1, &ask, &["suspended", "data is lost"]);
    let entries = says(&place, 0, &["log", "show", &log], &["3 entries", "known issue"]);
    for word in ["Customer", "G-1001", "H-2002", "Pat", id.as_str()] {
        assert!(!entries.contains(word), "{word}: {entries}");
    }
    case(&place, HOST, &["list", "--proposed-checks"], &["flush twice"]);
    // Once it is good again, the issue is a limit of the answer, until that is taken back, too.
    let resume = ["log", "resume", &log, "--party", HOST, "--index", "0", "--reason", "mended"];
    says(&place, 0, &resume, &["entry 3"]);
    says(&place, 0, &ask, &["validated with limits", ISSUE, "host.example/log entry 1"]);
    let withdraw = ["log", "withdraw", &log, "--party", HOST, "--index", "1", "--reason", "fixed"];
    says(&place, 0, &withdraw, &["entry 4"]);
    let said = says(&place, 0, &ask, &["validated"]);
    assert!(!said.contains(ISSUE), "{said}");
}
