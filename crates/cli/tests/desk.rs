//! Two vendors' servers that exchange cases by themselves, and people who work at them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const GUEST: &str = "guest.example";
const HOST: &str = "host.example";
/// The longest that anything takes on a machine that does other things too.
const LIMIT: Duration = Duration::from_secs(120);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn hospitium() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hospitium"));
    command.current_dir(root());
    for name in ["ENDOFLIFE", "CATALOG", "PARTY", "DESK"] {
        command.env_remove(format!("HOSPITIUM_{name}"));
    }
    command
}

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let output = hospitium().args(arguments).stdin(Stdio::null()).output().expect("runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

fn run_with(name: &str, value: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = hospitium().env(name, value).args(arguments).output().expect("runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

/// A server that ends with the test.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(party: &str, listen: &str) -> Self {
        let mut command = hospitium();
        command.args(["serve", "--listen", listen, "--desk", party]);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
        let mut line = String::new();
        let mut told = BufReader::new(child.stdout.take().expect("piped"));
        told.read_line(&mut line).expect("told");
        assert!(line.starts_with("http://"), "the server did not start");
        Self { child, address: line.trim().trim_end_matches('/').to_owned() }
    }

    fn port(&self) -> String {
        self.address.trim_start_matches("http://").to_owned()
    }

    /// SIGKILL.
    fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// The most memory that it had, in KiB.
    fn most_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("Linux");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("told");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two parties that know each other.
struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        let world = Self(tempfile::tempdir().expect("a folder"));
        for name in [GUEST, HOST] {
            let (code, said) = run(&["party", "init", &world.party(name), "--name", name]);
            assert_eq!(code, Some(0), "{said}");
        }
        for (name, other) in [(GUEST, HOST), (HOST, GUEST)] {
            let peer = Path::new(&world.party(name)).join("peers").join(other);
            std::fs::create_dir_all(&peer).expect("made");
            let public = Path::new(&world.party(other)).join("party.toml");
            std::fs::copy(public, peer.join("party.toml")).expect("copied");
        }
        world
    }

    fn party(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    fn serve(&self, name: &str) -> Server {
        Server::start(&self.party(name), "127.0.0.1:0")
    }

    /// Says at one desk where the other's server is.
    fn called(&self, at: &str, server: &Server) {
        let other = if at == GUEST { HOST } else { GUEST };
        self.good(at, &["peer", other, &server.address]);
    }

    fn good(&self, party: &str, arguments: &[&str]) -> String {
        let folder = self.party(party);
        let (code, said) = run(&[&["case"], arguments, &["--party", &folder]].concat());
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
        said
    }

    fn open(&self) -> String {
        let said = self.good(
            GUEST,
            &[
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
                "--guest",
                "rhel 5.3",
                "--host",
                "hyper-v server 2008",
                "--consent",
                "problem,configuration,evidence",
                "--consent-by",
                "Pat Doe",
                "--json",
            ],
        );
        let line = said.lines().find(|line| line.starts_with('{')).expect("JSON");
        let value: Value = serde_json::from_str(line).expect("JSON");
        value["case"]["id"].as_str().expect("an id").to_owned()
    }

    /// A case as a desk has it; nothing if it is not there.
    fn case(&self, party: &str, id: &str) -> Option<Value> {
        let (_, said) = run(&["case", "show", id, "--json", "--party", &self.party(party)]);
        let line = said.lines().find(|line| line.starts_with('{'))?;
        serde_json::from_str(line).ok()
    }

    /// Waits until a desk has a case so.
    fn until(&self, party: &str, id: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let case = self.case(party, id);
            if let Some(case) = case.as_ref().filter(|case| is(case)) {
                return case.clone();
            }
            assert!(begun.elapsed() < LIMIT, "{party}: {what}: {case:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn state(&self, party: &str, id: &str, state: &str) -> Value {
        self.until(party, id, state, |case| case["case"]["state"]["state"] == state)
    }

    /// Waits until both desks have the same and know it of each other.
    fn same(&self, id: &str) -> Value {
        let settled = |case: &Value| case["unconfirmed"] == 0;
        let begun = Instant::now();
        loop {
            let ours = self.until(GUEST, id, "is confirmed", settled);
            let theirs = self.until(HOST, id, "is confirmed", settled);
            if ours["case"] == theirs["case"] && ours["timeline"] == theirs["timeline"] {
                return ours;
            }
            assert!(begun.elapsed() < LIMIT, "{ours} {theirs}");
        }
    }
}

#[test]
fn two_servers_carry_a_case_from_its_opening_over_the_hand_over_to_its_end() {
    let world = World::new();
    let (guest, host) = (world.serve(GUEST), world.serve(HOST));
    world.called(GUEST, &host);
    world.called(HOST, &guest);
    let id = world.open();
    world.state(HOST, &id, "offered");
    let engineer = "Bo Lind <bo@host.example>";
    let accept =
        ["accept", &id, "--number", "H-7", "--respond-within", "2h", "--engineer", engineer];
    world.good(HOST, &accept);
    world.state(GUEST, &id, "accepted");
    world.good(HOST, &["start", &id]);
    let trace = world.0.path().join("trace.bin");
    std::fs::write(&trace, vec![7; 5 << 20]).expect("written");
    world.good(GUEST, &["attach", &id, trace.to_str().expect("UTF-8")]);
    let has =
        |case: &Value| case["case"]["attachments"].as_array().is_some_and(|all| all.len() == 1);
    let shown = world.until(HOST, &id, "the attachment is known", has);
    let digest = shown["case"]["attachments"][0]["file"]["sha256"].as_str().expect("a digest");
    let arrived = Path::new(&world.party(HOST)).join("desk/attachments").join(&id).join(digest);
    let begun = Instant::now();
    while !arrived.is_file() {
        assert!(begun.elapsed() < LIMIT, "the attachment does not arrive");
        std::thread::sleep(Duration::from_millis(50));
    }
    world.state(GUEST, &id, "working");
    world.good(GUEST, &["transfer", &id, "--offer", "it is their hypervisor"]);
    world.state(HOST, &id, "transfer-offered");
    world.good(HOST, &["transfer", &id, "--accept", engineer]);
    let owned = |case: &Value| case["case"]["owner"] == "receiver";
    world.until(GUEST, &id, "the customer is handed over", owned);
    world.good(HOST, &["propose", &id, "install update 12", "--layer", "hypervisor"]);
    world.state(GUEST, &id, "resolution-proposed");
    world.good(HOST, &["close", &id, "--confirmed-by", "Pat Doe"]);
    world.state(GUEST, &id, "closed");
    assert_eq!(world.same(&id)["case"]["owner"], "receiver");
}

#[test]
fn killing_either_server_at_any_moment_loses_nothing_that_was_acknowledged() {
    let world = World::new();
    let (mut guest, mut host) = (world.serve(GUEST), world.serve(HOST));
    let ports = [guest.port(), host.port()];
    world.called(GUEST, &host);
    world.called(HOST, &guest);
    let id = world.open();
    world.state(HOST, &id, "offered");
    let mut said = Vec::new();
    for round in 0..6 {
        for party in [GUEST, HOST] {
            let words = format!("{party} says {round}");
            world.good(party, &["reply", &id, &words]);
            said.push(words);
        }
        // While what was just said is on its way.
        std::thread::sleep(Duration::from_millis(7 * round));
        let (server, party, port) = match round % 2 {
            0 => (&mut host, HOST, &ports[1]),
            _ => (&mut guest, GUEST, &ports[0]),
        };
        server.kill();
        let words = format!("{party} says without its server {round}");
        world.good(party, &["reply", &id, &words]);
        said.push(words);
        *server = Server::start(&world.party(party), port);
    }
    // A desk that did not answer is called again later; by hand, at once.
    world.good(GUEST, &["sync"]);
    world.good(HOST, &["sync"]);
    let case = world.same(&id);
    let notes: Vec<&str> = case["case"]["notes"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|note| note["text"].as_str())
        .collect();
    for words in &said {
        let count = notes.iter().filter(|note| *note == words).count();
        assert_eq!(count, 1, "{words}: {notes:?}");
    }
}

#[test]
fn a_large_attachment_passes_through_two_servers_in_little_memory() {
    let world = World::new();
    let (guest, host) = (world.serve(GUEST), world.serve(HOST));
    // The host's server alone is called: the guest's brings what is asked for.
    world.called(GUEST, &host);
    let id = world.open();
    world.state(HOST, &id, "offered");
    let before = [guest.most_memory(), host.most_memory()];
    let mib: u64 = std::env::var("HOSPITIUM_TEST_ATTACHMENT_MIB")
        .ok()
        .and_then(|mib| mib.parse().ok())
        .unwrap_or(192);
    let dump = world.0.path().join("dump.bin");
    let mut file = std::fs::File::create(&dump).expect("made");
    for n in 0..mib {
        file.write_all(&vec![n as u8; 1 << 20]).expect("written");
    }
    world.good(GUEST, &["attach", &id, dump.to_str().expect("UTF-8")]);
    let shown = world.case(GUEST, &id).expect("there");
    let digest = shown["case"]["attachments"][0]["file"]["sha256"].as_str().expect("a digest");
    let arrived = Path::new(&world.party(HOST)).join("desk/attachments").join(&id).join(digest);
    let begun = Instant::now();
    while !arrived.is_file() {
        assert!(begun.elapsed() < 3 * LIMIT, "the attachment does not arrive");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(std::fs::metadata(&arrived).expect("there").len(), mib << 20);
    for (server, before) in [&guest, &host].into_iter().zip(before) {
        let more = server.most_memory() - before;
        println!("{mib} MiB: {more} KiB more than before");
        assert!(more < 64 << 10, "{more} KiB");
    }
}

#[test]
fn why_a_page_failed_is_told_to_who_keeps_the_server_and_to_nobody_else() {
    let world = World::new();
    let folder = world.party(GUEST);
    let mut command = hospitium();
    command.args(["serve", "--listen", "127.0.0.1:0", "--desk", &folder]);
    command.env_remove("HOSPITIUM_LOG");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut server = Server { child, address: String::new() };
    let mut line = String::new();
    let mut told = BufReader::new(server.child.stdout.take().expect("piped"));
    told.read_line(&mut line).expect("told");
    let address = line.trim().trim_start_matches("http://").trim_end_matches('/').to_owned();
    // The database breaks under the server.
    let database = Path::new(&folder).join("desk/desk.db");
    for name in ["desk.db", "desk.db-wal"] {
        let file = database.with_file_name(name);
        let size = std::fs::metadata(&file).map_or(0, |found| found.len());
        std::fs::write(&file, vec![0xA5; usize::try_from(size).expect("small")]).expect("broken");
    }
    let token = "a".repeat(64);
    let mut stream = std::net::TcpStream::connect(&address).expect("listens");
    write!(
        stream,
        "GET /desk HTTP/1.1\r\nHost: {address}\r\nCookie: desk={token}\r\nConnection: close\r\n\r\n"
    )
    .expect("asked");
    let mut page = String::new();
    std::io::Read::read_to_string(&mut stream, &mut page).expect("answered");
    assert!(page.starts_with("HTTP/1.1 503") && page.contains("log says what"), "{page}");
    server.kill();
    let mut log = String::new();
    let mut errors = server.child.stderr.take().expect("piped");
    std::io::Read::read_to_string(&mut errors, &mut log).expect("UTF-8");
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(" ERROR ")).collect();
    assert!(lines.iter().any(|line| line.contains("a page of the desk failed: ")), "{log}");
    assert!(!log.contains(&token) && !page.contains("database"), "{log}{page}");

    let (code, said) = run_with("HOSPITIUM_LOG", "verbose", &["config"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("HOSPITIUM_LOG") && said.contains("HOSPITIUM_LOG=debug"), "{said}");
}

#[test]
fn an_account_is_made_listed_and_removed_and_a_weak_one_refused() {
    let world = World::new();
    let person = |arguments: &[&str], password: &str| {
        let folder = world.party(GUEST);
        let mut command = hospitium();
        command.args(["case", "person"]).args(arguments).args(["--party", &folder]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("starts");
        let mut input = child.stdin.take().expect("piped");
        // Whoever is refused before does not read it.
        let _ = writeln!(input, "{password}");
        drop(input);
        let output = child.wait_with_output().expect("ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let good = "correct horse battery";
    let add = ["add", "ann", "--role", "engineer", "--address", "ann@guest.example"];
    let (code, said) = person(&add, "short");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("12 to 128 characters"), "{said}");
    let (code, said) = person(&["add", "ann", "--role", "engineer"], good);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("a mail address on guest.example"), "{said}");
    let header = "ann@guest.example\r\nBcc: all@other.example";
    assert_eq!(person(&["add", "ann", "--role", "engineer", "--address", header], good).0, Some(2));
    assert_eq!(person(&add, good).0, Some(0));
    assert!(person(&add, good).1.contains("is there already"));
    assert!(person(&["list"], "").1.contains("engineer ann <ann@guest.example>"));
    assert_eq!(person(&["password", "ann"], "another horse battery").0, Some(0));
    assert_eq!(person(&["remove", "ann"], "").0, Some(0));
    let (code, said) = person(&["remove", "ann"], "");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("case person list"), "{said}");
}

#[test]
fn who_signs_in_at_a_provider_has_an_account_without_a_password_and_serve_asks_for_the_way_back() {
    let world = World::new();
    let folder = world.party(GUEST);
    let person =
        |arguments: &[&str]| run(&[&["case", "person"], arguments, &["--party", &folder]].concat());
    let ann = ["add", "ann", "--role", "engineer", "--address", "ann@guest.example"];
    let ann = [&ann[..], &["--oidc", "Ann@Guest.Example"]].concat();
    let (code, said) = person(&ann);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("oidc.toml"), "{said}");
    let file = Path::new(&folder).join("desk/oidc.toml");
    let provider = "issuer = \"http://127.0.0.1:9\"\nclient-id = \"desk\"\nsecret-env = \"HOSPITIUM_NO_SUCH\"\n";
    std::fs::write(&file, provider).expect("written");
    let (code, said) = person(&ann);
    assert_eq!(code, Some(0), "{said}");
    let listed = person(&["list"]).1;
    assert!(listed.contains("signs in as ann@guest.example (email)"), "{listed}");
    let auditor = ["add", "ute", "--role", "auditor", "--oidc"];
    let (code, said) = person(&[&auditor[..], &["ann@guest.example"]].concat());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("another account"), "{said}");
    assert!(!person(&["list"]).1.contains("ute"), "nothing is left of it");
    assert_eq!(person(&["oidc", "ann", "ann"]).0, Some(2), "no mail address");
    assert_eq!(person(&["oidc", "ann", "--none"]).0, Some(0));
    assert!(!person(&["list"]).1.contains("signs in as"));
    let serve = ["serve", "--listen", "127.0.0.1:0", "--desk", &folder];
    let (code, said) = run(&serve);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("oidc.toml needs the address") && said.contains("--base"), "{said}");
    let (code, said) = run(&[&serve[..], &["--base", "https://desk.example"]].concat());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("HOSPITIUM_NO_SUCH, which is not set"), "{said}");
    // A provider that is not there keeps no server from its start.
    std::fs::write(&file, provider.replace("secret-env = \"HOSPITIUM_NO_SUCH\"\n", ""))
        .expect("written");
    let mut command = hospitium();
    command.args(serve).args(["--base", "http://127.0.0.1:8600"]).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().expect("starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("told");
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert!(line.starts_with("http://127.0.0.1:"), "{line}");
}
