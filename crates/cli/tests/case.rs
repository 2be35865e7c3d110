//! Joint support as two vendors type it: each at its own desk, files carried between them.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Two parties that know each other, in a folder.
struct World(tempfile::TempDir);

const GUEST: &str = "guest.example";
const HOST: &str = "host.example";

impl World {
    fn new() -> Self {
        let world = Self(tempfile::tempdir().expect("a folder"));
        for name in [GUEST, HOST] {
            let folder = world.party(name);
            let (code, said) = run(&["party", "init", &folder, "--name", name]);
            assert_eq!(code, Some(0), "{said}");
        }
        for (name, other) in [(GUEST, HOST), (HOST, GUEST)] {
            let peers = Path::new(&world.party(name)).join("peers");
            std::fs::create_dir(&peers).expect("made");
            let public = Path::new(&world.party(other)).join("party.toml");
            std::fs::copy(public, peers.join(format!("{other}.toml"))).expect("copied");
        }
        world
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    fn party(&self, name: &str) -> String {
        self.path(name)
    }

    /// What the program says at a party's desk.
    fn case(&self, party: &str, arguments: &[&str]) -> (Option<i32>, String) {
        let folder = self.party(party);
        run(&[&["case"], arguments, &["--party", &folder]].concat())
    }

    fn good(&self, party: &str, arguments: &[&str]) -> String {
        let (code, said) = self.case(party, arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
        said
    }

    fn json(&self, party: &str, arguments: &[&str]) -> Value {
        let said = self.good(party, &[arguments, &["--json"]].concat());
        let line = said.lines().find(|line| line.starts_with('{')).expect("JSON");
        serde_json::from_str(line).expect("JSON")
    }

    fn open(&self, more: &[&str]) -> (Option<i32>, String) {
        let given = [
            "open",
            "the clock drifts",
            "--to",
            HOST,
            "--number",
            "G-1",
            "--engineer",
            "Ann Smith <ann@guest.example>",
            "--customer",
            "Customer Inc.",
            "--agreement",
            "redhat-microsoft-2009",
            "--as-of",
            "2009-10-07",
        ];
        self.case(GUEST, &[&given, more].concat())
    }

    /// Opens a case and gives its id.
    fn opened(&self) -> String {
        let pair = ["--guest", "rhel 5.3", "--host", "hyper-v server 2008"];
        let consent = ["--consent", "problem,configuration,evidence", "--consent-by", "Pat Doe"];
        let (code, said) = self.open(&[&pair[..], &consent, &["--json"]].concat());
        assert_eq!(code, Some(0), "{said}");
        let line = said.lines().find(|line| line.starts_with('{')).expect("JSON");
        let value: Value = serde_json::from_str(line).expect("JSON");
        value["case"]["id"].as_str().expect("an id").to_owned()
    }

    /// Carries everything there and back, three times.
    fn exchange(&self) {
        for _ in 0..3 {
            for (from, to) in [(GUEST, HOST), (HOST, GUEST)] {
                let (_, said) = self.case(from, &["sync"]);
                let outbox = format!("{}/desk/outbox/{to}", self.party(from));
                let inbox = format!("{}/desk/inbox/{from}", self.party(to));
                std::fs::create_dir_all(&inbox).expect("made");
                for file in std::fs::read_dir(&outbox).expect(&said).flatten() {
                    let to = Path::new(&inbox).join(file.file_name());
                    std::fs::copy(file.path(), to).expect("carried");
                }
            }
        }
        self.good(GUEST, &["sync"]);
    }
}

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_hospitium"))
        .args(arguments)
        .current_dir(root())
        .env_remove("HOSPITIUM_ENDOFLIFE")
        .env_remove("HOSPITIUM_CATALOG")
        .env_remove("HOSPITIUM_PARTY")
        .env_remove("HOSPITIUM_DESK")
        .output()
        .expect("runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn a_case_is_opened_at_one_vendor_solved_by_the_other_and_closed_with_the_same_state_at_both() {
    let world = World::new();
    let id = world.opened();
    let shown = world.good(GUEST, &["show", &id]);
    for words in
        ["offered", "Red Hat Enterprise Linux 5.3", "pending (as of 2009-10-07)", "guest.example"]
    {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    world.exchange();
    let short = &id[..10];
    let listed = world.good(HOST, &["list", "--mine"]);
    assert!(listed.contains(short) && listed.contains("you"), "{listed}");
    let early = world.case(HOST, &["start", short]);
    assert_eq!(early.0, Some(2), "{}", early.1);
    assert!(
        early.1.contains("Legal for the receiver now: info-requested, accepted, declined"),
        "{}",
        early.1
    );
    let stranger = ["accept", short, "--number", "H-7", "--respond-within", "2h", "--engineer"];
    let refused = world.case(HOST, &[&stranger[..], &["Ann <ann@guest.example>"]].concat());
    assert!(refused.1.contains("not on the domain of host.example"), "{}", refused.1);
    world.good(HOST, &[&stranger[..], &["Bo Lind <bo@host.example>"]].concat());
    world.good(HOST, &["start", short]);
    world.good(HOST, &["reply", short, "SECRET: their build is odd", "--internal"]);
    world.good(HOST, &["wait", short, "which update?", "--for", "submitter", "--until", "3d"]);
    world.exchange();
    let answered = world.good(GUEST, &["reply", short, "update 11", "--person", "Ann"]);
    assert!(answered.contains("answered: working; next is host.example"), "{answered}");
    let dump = world.path("trace.bin");
    std::fs::write(&dump, vec![7; 100_000]).expect("written");
    world.good(GUEST, &["attach", short, &dump]);
    world.exchange();
    let file = world.json(HOST, &["show", short])["case"]["attachments"][0]["file"]["sha256"]
        .as_str()
        .expect("a digest")
        .to_owned();
    let copy = world.path("copy.bin");
    world.good(HOST, &["fetch", short, &file[..8], &copy]);
    assert_eq!(std::fs::read(&copy).expect("read"), vec![7; 100_000]);
    world.good(HOST, &["reproduce", short, "boot it with two vCPUs", "--whose", "us"]);
    world.good(HOST, &["reproduce", short, "it drifts", "--result", "reproduced", "--of", "0"]);
    let fault = ["--layer", "hypervisor", "--fix", "KB 12", "--known-issue", "the clock drifts"];
    world.good(HOST, &[&["propose", short, "install update 12"][..], &fault].concat());
    world.exchange();
    let not_ours = world.case(HOST, &["close", short, "--confirmed-by", "Pat Doe"]);
    assert!(not_ours.1.contains("only the submitter can"), "{}", not_ours.1);
    world.good(GUEST, &["close", short, "--confirmed-by", "Pat Doe", "it is well now"]);
    world.exchange();
    let (ours, theirs) = (world.json(GUEST, &["show", short]), world.json(HOST, &["show", short]));
    assert_eq!(ours["case"], theirs["case"]);
    assert_eq!(ours["timeline"], theirs["timeline"]);
    assert_eq!(ours["case"]["state"]["state"], "closed");
    assert_eq!(ours["case"]["state"]["outcome"]["layer"], "hypervisor");
    assert_eq!(ours["unconfirmed"], 0);
    assert!(theirs.to_string().contains("SECRET") && !ours.to_string().contains("SECRET"));
}

#[test]
fn an_export_verifies_holds_no_internal_notes_and_brings_a_lost_desk_back() {
    let world = World::new();
    let id = world.opened();
    world.good(GUEST, &["reply", &id, "SECRET words", "--internal"]);
    world.exchange();
    let file = world.path("case.tar");
    world.good(HOST, &["export", &id, &file]);
    let own = world.path("own.tar");
    world.good(GUEST, &["export", &id, &own]);
    let bytes = std::fs::read(&own).expect("read");
    assert!(!bytes.windows(6).any(|part| part == b"SECRET"));
    let before = world.json(GUEST, &["show", &id]);
    std::fs::remove_dir_all(format!("{}/desk", world.party(GUEST))).expect("lost");
    let said = world.good(GUEST, &["import", &file]);
    assert!(said.contains("verified, 2 new messages"), "{said}");
    assert_eq!(world.json(GUEST, &["show", &id])["case"], before["case"]);
    let mut bent = std::fs::read(&file).expect("read");
    let middle = bent.len() / 2;
    bent[middle] ^= 1;
    let altered = world.path("altered.tar");
    std::fs::write(&altered, bent).expect("written");
    let (code, said) = world.case(GUEST, &["import", &altered]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("was not taken in"), "{said}");
}

#[test]
fn nothing_goes_out_before_the_customer_consents() {
    let world = World::new();
    let pair = ["--guest", "rhel 5.3", "--host", "hyper-v server 2008"];
    let (code, said) = world.open(&pair);
    assert_eq!(code, Some(2), "{said}");
    for words in ["problem, configuration", "kept as the draft", "nothing of it went out"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    world.good(GUEST, &["sync"]);
    let outbox = format!("{}/desk/outbox/{HOST}", world.party(GUEST));
    assert_eq!(std::fs::read_dir(outbox).expect("there").count(), 0);
}

#[test]
fn patents_and_licences_are_refused_with_where_to_go() {
    let world = World::new();
    let pair = ["--guest", "rhel 5.3", "--host", "hyper-v server 2008", "--topic"];
    for topic in ["licensing", "patents"] {
        let (code, said) = world.open(&[&pair[..], &[topic]].concat());
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("named in the customer's contract"), "{said}");
    }
    assert!(world.good(GUEST, &["list"]).contains("no case is here"));
}

#[test]
fn a_case_is_opened_from_a_machines_definition() {
    let world = World::new();
    let file = "crates/vmdef/tests/samples/rhel5.xml";
    let (code, said) = world.open(&["--vm", file, "--draft"]);
    assert_eq!(code, Some(0), "{said}");
    let id = said.split_whitespace().find(|word| word.starts_with("c-")).expect("an id");
    let case = &world.json(GUEST, &["show", id])["case"];
    let configuration = &case["configuration"];
    assert_eq!((&configuration["vcpus"], &case["verdict"]["word"]), (&2.into(), &"unknown".into()));
    assert!(configuration["guest"].to_string().contains("5.3"), "{configuration}");
    world.good(GUEST, &["discard", id]);
}

#[test]
fn mistakes_are_told_with_the_next_step() {
    let world = World::new();
    let id = world.opened();
    let said = |arguments: &[&str]| {
        let (code, said) = world.case(GUEST, arguments);
        assert_eq!(code, Some(2), "{said}");
        said
    };
    assert!(said(&["show", "c-ffff"]).contains("hospitium case list"));
    assert!(said(&["wait", &id, "x", "--for", "customer", "--until", "soon"]).contains("or 2d"));
    assert!(said(&["reply", &id, ""]).contains("empty"));
    assert!(said(&["sync", "--peer", "other.example"]).contains("not known here"));
}

/// What a command refuses, with its words.
fn refused(world: &World, party: &str, arguments: &[&str], words: &str) {
    let (code, said) = world.case(party, arguments);
    assert_eq!(code, Some(2), "{arguments:?}: {said}");
    assert!(said.contains(words), "{words}: {said}");
}

#[test]
fn a_case_goes_to_a_vendor_without_a_desk_and_back_by_files_of_tsanet_connect() {
    let world = World::new();
    let pair = ["--guest", "rhel 5.3", "--host", "hyper-v server 2008", "--tsanet", "--json"];
    let consent = ["--consent", "problem,configuration", "--consent-by", "Pat Doe"];
    let (code, said) = world.open(&[&pair[..], &consent].concat());
    assert_eq!(code, Some(0), "{said}");
    let line = said.lines().find(|line| line.starts_with('{')).expect("JSON");
    let opened: Value = serde_json::from_str(line).expect("JSON");
    let id = opened["case"]["id"].as_str().expect("an id").to_owned();
    let secret = "what-stays-here";
    world.good(GUEST, &["reply", &id, secret, "--internal"]);
    world.good(GUEST, &["reply", &id, "more of it"]);
    for form in ["request", "case", "answers"] {
        let file = world.path(&format!("{form}.json"));
        let done = world.json(GUEST, &["export", &id, &file, "--tsanet", "--form", form]);
        assert_eq!(
            (&done["schema"], &done["form"]),
            (&"hospitium-tsanet-export/1".into(), &form.into())
        );
        assert!(done["not-carried"].as_array().is_some_and(|left| !left.is_empty()), "{done}");
        let written = std::fs::read_to_string(&file).expect("written");
        assert!(!written.contains(secret), "{form}: an internal note went out");
        let value: Value = serde_json::from_str(&written).expect("JSON");
        assert_eq!(value.is_array(), form == "answers", "{written}");
    }
    let request = world.path("request.json");
    refused(&world, GUEST, &["export", &id, &request, "--tsanet"], "cannot be written");
    let archive = world.path("case.tar");
    refused(&world, GUEST, &["export", &id, &archive], "--tsanet");

    // The other vendor's desk takes the case from the file, as if the service had given it.
    let file = world.path("case.json");
    let taken = ["import", &file, "--tsanet", "--received", "--vendor", GUEST];
    let asked = ["--agreement", "redhat-microsoft-2009", "--as-of", "2009-10-07"];
    let taken = world.json(HOST, &[&taken[..], &asked].concat());
    assert_eq!((&taken["opened"], &taken["state"]), (&true.into(), &"offered".into()));
    let theirs = taken["case"].as_str().expect("an id").to_owned();
    let shown = world.good(HOST, &["show", &theirs]);
    for words in ["pending (as of 2009-10-07)", "not signed", "more of it", "G-1"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let again = world.json(HOST, &["import", &file, "--tsanet", "--received", "--vendor", GUEST]);
    assert_eq!((&again["case"], &again["new"]), (&theirs.clone().into(), &0.into()));
    let engineer = "Bo Lind <bo@host.example>";
    let accept = ["--number", "H-7", "--engineer", engineer, "--respond-within", "2h"];
    world.good(HOST, &[&["accept", &theirs], &accept[..]].concat());
    let back = world.path("back.json");
    world.good(HOST, &["export", &theirs, &back, "--tsanet", "--form", "case"]);

    // The first takes the approval: named by a person, for the file has no id of the service.
    let heard = world.json(GUEST, &["import", &back, "--tsanet", "--case", &id]);
    assert_eq!(heard["state"], "working", "{heard}");
    let told = world.json(GUEST, &["show", &id]);
    let timeline = told["timeline"].as_array().expect("a list").clone();
    let accepted = timeline.iter().find(|event| event["deed"]["deed"] == "accepted");
    let accepted = accepted.expect("accepted");
    assert_eq!(accepted["heard"]["by"], GUEST);
    assert_eq!(accepted["by"], "receiver");
    assert!(timeline[0]["heard"].is_null(), "what we signed ourselves");
    let again = world.json(GUEST, &["import", &back, "--tsanet", "--case", &id]);
    assert_eq!(again["new"], 0, "{again}");

    // Its own archive comes back, and no other desk takes it.
    world.good(GUEST, &["export", &id, &archive, "--all"]);
    world.good(GUEST, &["import", &archive]);
    refused(&world, HOST, &["import", &archive], "guest.example alone");
    world.good(GUEST, &["sync"]);
}

#[test]
fn a_file_of_tsanet_connect_moves_no_case_that_two_desks_exchange() {
    let world = World::new();
    let id = world.opened();
    let file = world.path("case.json");
    world.good(GUEST, &["export", &id, &file, "--tsanet", "--form", "case"]);
    refused(&world, GUEST, &["import", &file, "--tsanet"], "signs what it says");
    refused(&world, HOST, &["import", &file, "--tsanet", "--received"], "--vendor");
    let ours = ["import", &file, "--tsanet"];
    refused(&world, HOST, &ours, "OUTBOUND");
    let all = ["export", &id, "other", "--tsanet", "--all"];
    assert_eq!(world.case(GUEST, &all).0, Some(2), "an archive of ours in no form of theirs");
    world.good(GUEST, &["consent", &id, "--withdraw", "--by", "Pat Doe"]);
    let path = world.path("after.json");
    refused(&world, GUEST, &["export", &id, &path, "--tsanet"], "does not allow");
    assert!(!Path::new(&path).exists(), "nothing is written");
}
