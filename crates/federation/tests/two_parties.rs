//! Two parties over real HTTP: a log is published, copied and cosigned, and those that lie or fail harm nothing.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hospitium_federation::{
    AskError, HttpSource, PublishError, Publisher, WitnessService, ask, log_routes, witness_routes,
};
use hospitium_ledger::{
    Algorithm, Bounds, Log, LogFolder, Party, Policy, PullError, Pulled, Source as _, Witness, pull,
};
use jiff::Timestamp;

const SOON: Duration = Duration::from_secs(20);

struct Place {
    top: tempfile::TempDir,
    vendor: Party,
    other: Party,
    // Ends what it serves when it is dropped.
    runtime: tokio::runtime::Runtime,
}

impl Place {
    fn new() -> Self {
        let top = tempfile::tempdir().expect("a folder");
        let party = |name: &str| {
            Party::init(&top.path().join(name), name, Algorithm::Ed25519).expect("a party")
        };
        let (vendor, other) = (party("vendor.example"), party("other.example"));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        Self { top, vendor, other, runtime }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.top.path().join(name)
    }

    fn log(&self) -> LogFolder {
        LogFolder::new(&self.path("log"))
    }

    fn grow(&self, size: u64) {
        let mut log = Log::open(self.log().path(), &self.vendor).expect("opens");
        let from = log.checkpoint().head().size;
        let entries: Vec<_> = (from..size).map(|n| format!("record {n}").into_bytes()).collect();
        log.append(&entries).expect("appended");
    }

    fn serve(&self, router: Router) -> String {
        let bound = self.runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = bound.expect("listens");
        let address = listener.local_addr().expect("known");
        self.runtime.spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    /// The other party's witness, which watches the vendor's log.
    fn witness(&self) -> String {
        let logs = vec![self.vendor.public.log.clone()];
        let service = WitnessService::open(&self.path("other.example"), logs).expect("opens");
        self.serve(Router::new().nest("/witness", witness_routes(Arc::new(service)))) + "/witness"
    }

    /// A policy that asks for the other party's cosignature; where it takes requests, if that is told.
    fn policy(&self, witness: &str) -> Policy {
        let text = format!(
            "log {}\nwitness other {} {witness}\nquorum other\n",
            self.vendor.public.log, self.other.public.witness
        );
        Policy::parse("policy", text.as_bytes()).expect("a policy")
    }

    fn pull(&self, url: &str, policy: &Policy) -> Result<Pulled, PullError> {
        let (source, now) = (HttpSource::new(url), Timestamp::now());
        pull(&self.path("copy"), &source, policy, now, Bounds::default(), &mut |_, _| {})
    }
}

#[test]
fn cosignatures_that_come_after_a_head_is_shown_are_shown_too_and_none_is_lost() {
    let place = Place::new();
    let none = format!("log {}\nquorum none\n", place.vendor.public.log);
    let none = Policy::parse("policy", none.as_bytes()).expect("a policy");
    let publisher = Arc::new(Publisher::new(&place.path("log"), none.clone()));
    let url = place.serve(Router::new().nest("/log", log_routes(publisher.clone()))) + "/log";
    place.grow(3);
    publisher.update(SOON).expect("shown");
    let asks = place.policy("");
    assert!(matches!(place.pull(&url, &asks), Err(PullError::Head(_))));
    let (key, now) = (&place.vendor.public.log, Timestamp::now());
    let made = Witness::new(&place.other).cosign(&place.log(), key, now).expect("cosigned");
    let mut log = Log::open(place.log().path(), &place.vendor).expect("opens");
    log.accept(&made.line, &asks, now).expect("accepted");
    drop(log);
    publisher.update(SOON).expect("shown");
    assert_eq!(place.pull(&url, &asks).expect("pulled").trusted.cosigned.len(), 1);
    // A server that starts anew, or a checkpoint that is put back without it, loses none that was shown.
    let publisher = Publisher::new(&place.path("log"), none);
    publisher.update(SOON).expect("shown");
    assert_eq!(place.pull(&url, &asks).expect("pulled").trusted.cosigned.len(), 1);
    let shown = place.log().shown().expect("is kept");
    assert!(String::from_utf8_lossy(shown.as_bytes()).contains("other.example/witness"));
}

#[test]
fn an_older_copy_or_a_fork_in_the_place_of_ones_own_log_is_not_shown() {
    let place = Place::new();
    let none = format!("log {}\nquorum none\n", place.vendor.public.log);
    let none = Policy::parse("policy", none.as_bytes()).expect("a policy");
    place.grow(2);
    let back_up = place.path("back-up");
    let copy = |from: &Path, to: &Path| {
        let copied = std::process::Command::new("cp").arg("-r").arg(from).arg(to).status();
        assert!(copied.expect("runs").success());
    };
    copy(&place.path("log"), &back_up);
    place.grow(3);
    let publisher = Publisher::new(&place.path("log"), none.clone());
    publisher.update(SOON).expect("shown");
    let shown = std::fs::read(place.path("log").join(".shown")).expect("is kept");
    // The server goes on, or starts anew with what was shown.
    for anew in [false, true] {
        for forked in [false, true] {
            std::fs::remove_dir_all(place.path("log")).expect("removed");
            if forked {
                let _ = std::fs::remove_dir_all(place.path("vendor.example/signed"));
                let mut log = Log::open(&place.path("log"), &place.vendor).expect("opens");
                let entries: Vec<_> = (0..4).map(|n| format!("other {n}").into_bytes()).collect();
                log.append(&entries).expect("appended");
            } else {
                copy(&back_up, &place.path("log"));
            }
            std::fs::write(place.path("log").join(".shown"), &shown).expect("written");
            let fresh = Publisher::new(&place.path("log"), none.clone());
            let publisher = if anew { &fresh } else { &publisher };
            let refused = publisher.update(SOON);
            let is_told = matches!(&refused, Err(PublishError::NotContinued { shown: 3, .. }));
            assert!(is_told, "anew {anew}, forked {forked}: {refused:?}");
            assert_eq!(publisher.size(), Some(3), "what others have seen stays");
        }
    }
}

#[test]
fn a_log_is_shown_once_it_is_cosigned_and_copied_from_there() {
    let place = Place::new();
    let witness = place.witness();
    let policy = place.policy(&witness);
    let publisher = Arc::new(Publisher::new(&place.path("log"), policy.clone()));
    let url = place.serve(Router::new().nest("/log", log_routes(publisher.clone()))) + "/log";
    assert!(matches!(place.pull(&url, &policy), Err(PullError::Absent)));
    let mut before = None;
    for size in [1, 300, 301, 900] {
        place.grow(size);
        let shown = HttpSource::new(&url).get("checkpoint", 1 << 16).expect("had");
        assert_eq!(shown.is_some(), before.is_some(), "what has no cosignature is not shown");
        let asked = publisher.update(SOON).expect("cosigned");
        assert_eq!(asked.len(), 1);
        let pulled = place.pull(&url, &policy).expect("pulled");
        assert_eq!((pulled.before, pulled.trusted.head.size), (before, size));
        assert_eq!(pulled.trusted.cosigned.len(), 1);
        assert!(publisher.update(SOON).expect("nothing to do").is_empty());
        before = Some(size);
    }
    // What the witness tells of the log is the head that it cosigned last.
    let origin = hospitium_model::Digest::of(b"vendor.example/log");
    let last = HttpSource::new(&witness).get(&format!("{origin}/checkpoint"), 1 << 16);
    let last = String::from_utf8(last.expect("had").expect("there")).expect("text");
    assert!(
        last.starts_with("vendor.example/log\n900\n") && last.contains("other.example/witness")
    );
    let none = HttpSource::new(&witness).get(&format!("{}/checkpoint", "0".repeat(64)), 1 << 16);
    assert_eq!(none.expect("answers"), None);
}

#[test]
fn a_witness_that_is_down_or_objects_holds_new_records_back_and_takes_none_away() {
    let place = Place::new();
    let witness = place.witness();
    place.grow(2);
    let publisher = Publisher::new(&place.path("log"), place.policy(&witness));
    publisher.update(SOON).expect("cosigned");
    // Nobody listens there any more.
    let gone = TcpListener::bind("127.0.0.1:0").expect("listens").local_addr().expect("known");
    place.grow(3);
    let down = Publisher::new(&place.path("log"), place.policy(&format!("http://{gone}")));
    let error = down.update(SOON).expect_err("not cosigned");
    assert!(matches!(error, PublishError::Head { size: 3, .. }), "{error:?}");
    // The party's log is made anew with other records: the witness has seen it otherwise.
    std::fs::remove_dir_all(place.path("log")).expect("removed");
    std::fs::remove_dir_all(place.path("vendor.example/signed")).expect("forgotten");
    place.grow(1);
    let log = place.log();
    let head = log.checkpoint().expect("there");
    let error = ask(&witness, &log, &head, SOON).expect_err("refused");
    assert!(matches!(error, AskError::Ahead { seen: 2, found: 1 }), "{error:?}");
    let entries: Vec<_> = (0..4).map(|n| format!("other {n}").into_bytes()).collect();
    Log::open(log.path(), &place.vendor).expect("opens").append(&entries).expect("appended");
    let head = log.checkpoint().expect("there");
    let error = ask(&witness, &log, &head, SOON).expect_err("refused");
    assert!(matches!(error, AskError::Contradicts(_)), "{error:?}");
    assert!(publisher.update(SOON).is_err(), "the head of before stays the one that is shown");
}

#[test]
fn a_server_that_starts_again_shows_the_head_that_it_showed_while_its_witness_is_down() {
    let place = Place::new();
    let witness = place.witness();
    place.grow(2);
    Publisher::new(&place.path("log"), place.policy(&witness)).update(SOON).expect("cosigned");
    place.grow(3);
    let gone = TcpListener::bind("127.0.0.1:0").expect("listens").local_addr().expect("known");
    let policy = place.policy(&format!("http://{gone}"));
    let again = Arc::new(Publisher::new(&place.path("log"), policy.clone()));
    assert!(again.update(SOON).is_err(), "the new head is not cosigned");
    assert_eq!(again.size(), Some(2));
    let url = place.serve(Router::new().nest("/log", log_routes(again))) + "/log";
    let pulled = place.pull(&url, &policy).expect("pulled");
    assert_eq!((pulled.trusted.head.size, pulled.trusted.cosigned.len()), (2, 1));
    // Another policy, which does not trust it, shows nothing of it.
    let key = &place.vendor.public.witness;
    let text = format!("log {}\nwitness own {key}\nquorum own\n", place.vendor.public.log);
    let other = Policy::parse("policy", text.as_bytes()).expect("a policy");
    assert_eq!(Publisher::new(&place.path("log"), other).size(), None);
}

#[test]
fn a_head_that_was_cosigned_in_the_future_is_not_taken_and_the_copy_stays() {
    let place = Place::new();
    let witness = place.witness();
    let policy = place.policy(&witness);
    place.grow(1);
    let publisher = Publisher::new(&place.path("log"), policy.clone());
    publisher.update(SOON).expect("cosigned");
    let publisher = Arc::new(publisher);
    let url = place.serve(log_routes(publisher));
    place.pull(&url, &policy).expect("pulled");
    place.grow(2);
    let (log, key) = (place.log(), &place.vendor.public.log);
    let later = Timestamp::now() + jiff::SignedDuration::from_hours(1);
    let line = Witness::new(&place.other).cosign(&log, key, later).expect("made").line;
    let head = log.checkpoint().expect("there");
    let bytes = [head.as_bytes(), line.as_bytes()].concat();
    std::fs::write(place.path("log/checkpoint"), bytes).expect("written");
    let folder = place.log();
    let pulled = pull(
        &place.path("copy"),
        &folder,
        &policy,
        Timestamp::now(),
        Bounds::default(),
        &mut |_, _| {},
    );
    let Err(PullError::Head(error)) = pulled else { panic!("{pulled:?}") };
    assert!(error.to_string().contains("other.example/witness"), "{error}");
    assert!(error.to_string().contains("which is in the future"), "{error}");
    let copy = LogFolder::new(&place.path("copy"));
    assert_eq!(copy.checkpoint().expect("there").head().size, 1);
}

/// Answers every request with these bytes, and then with nothing more until it is told to end.
fn answers(bytes: Vec<u8>, hold: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let address = listener.local_addr().expect("known");
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(&bytes);
            if hold {
                held.push(stream);
            }
        }
    });
    address
}

#[test]
fn a_peer_that_sends_too_much_garbage_or_elsewhere_is_told_and_nothing_is_taken() {
    let place = Place::new();
    let policy = place.policy("");
    let length = 1 << 30;
    let huge = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    let huge = [huge, vec![b'x'; 200_000]].concat();
    for (bytes, word) in [
        (huge, "more than"),
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
                .to_vec(),
            "302",
        ),
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_vec(), "500"),
        (b"\x16\x03\x01nothing of this is HTTP".to_vec(), ""),
    ] {
        let address = answers(bytes, false);
        let error = place.pull(&format!("http://{address}"), &policy).expect_err("refused");
        let PullError::Source(error) = error else { panic!("{error:?}") };
        assert!(error.source.to_string().contains(word), "{word}: {}", error.source);
    }
    let note = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nno log".to_vec();
    let error = place.pull(&format!("http://{}", answers(note, false)), &policy);
    assert!(matches!(error, Err(PullError::Form(_))), "{error:?}");
    assert!(!place.path("copy").exists() || is_empty(&place.path("copy")));
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).expect("listed").next().is_none()
}

#[test]
fn only_cosignatures_of_the_policys_witnesses_are_shown() {
    let place = Place::new();
    place.grow(1);
    let (log, key) = (place.log(), &place.vendor.public.log);
    let line = Witness::new(&place.other).cosign(&log, key, Timestamp::now()).expect("made").line;
    let lines = format!("\u{2014} stranger.example/witness AAAAAAAA\n{line}");
    let told = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{lines}", lines.len());
    let policy = place.policy(&format!("http://{}", answers(told.into_bytes(), false)));
    let publisher = Arc::new(Publisher::new(&place.path("log"), policy));
    publisher.update(SOON).expect("cosigned");
    let url = place.serve(log_routes(publisher));
    let shown = HttpSource::new(&url).get("checkpoint", 1 << 16).expect("had").expect("there");
    let shown = String::from_utf8(shown).expect("text");
    assert!(shown.contains("other.example/witness") && !shown.contains("stranger"), "{shown}");
}

#[test]
fn a_witness_that_never_ends_its_answer_is_waited_for_no_longer_than_is_said() {
    let place = Place::new();
    place.grow(1);
    let log = place.log();
    let head = log.checkpoint().expect("there");
    let never = answers(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n".to_vec(), true);
    let error = ask(&format!("http://{never}"), &log, &head, Duration::from_millis(300));
    assert!(matches!(error, Err(AskError::Silent { .. })), "{error:?}");
}

#[test]
fn a_witness_answers_as_its_specification_says() {
    let place = Place::new();
    let witness = place.witness();
    place.grow(3);
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let post = |body: &[u8]| {
        let mut answer =
            agent.post(format!("{witness}/add-checkpoint")).send(body).expect("answers");
        let kind = answer
            .headers()
            .get("content-type")
            .map(|kind| kind.to_str().expect("text").to_owned());
        (answer.status().as_u16(), kind, answer.body_mut().read_to_string().expect("text"))
    };
    assert_eq!(post(b"nothing").0, 400);
    assert_eq!(post(&vec![b'x'; 70_000]).0, 413);
    let head = place.log().checkpoint().expect("there");
    let request =
        |old, proof: &[[u8; 32]]| hospitium_ledger::AddCheckpoint::encode(old, proof, &head);
    assert_eq!(post(&request(4, &[])).0, 400, "larger than the checkpoint");
    assert_eq!(post(&request(0, &[[0; 32]])).0, 422, "a proof from nothing is empty");
    let (status, _, line) = post(&request(0, &[]));
    assert_eq!(status, 200);
    assert!(line.starts_with("\u{2014} other.example/witness ") && line.ends_with('\n'), "{line}");
    let (status, kind, size) = post(&request(0, &[]));
    assert_eq!((status, kind.as_deref(), size.as_str()), (409, Some("text/x.tlog.size"), "3\n"));
    assert_eq!(post(&request(3, &[])).0, 200, "the same head once more");
    let text = String::from_utf8(request(3, &[])).expect("text");
    assert_eq!(post(text.replace("vendor.example/log", "stranger.example/log").as_bytes()).0, 404);
    let bent = text.replacen("\n3\n", "\n4\n", 1);
    assert_eq!(post(bent.as_bytes()).0, 403, "not signed by the log");
}
