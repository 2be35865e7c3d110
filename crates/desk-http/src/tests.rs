//! Two desks that call each other over HTTP, and what is refused.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request as HttpRequest, StatusCode};
use hospitium_desk::sample::{accepted, opening, started, text};
use hospitium_desk::{
    Attachment, Both, Case, CaseId, Classification, Deed, DeskAddress, Draft, Event, KnownPeer,
    Office, PartyName, Side, Visibility, write_address,
};
use hospitium_ledger::{Algorithm, Party, SecretKey};
use hospitium_model::Digest;
use jiff::{SignedDuration, Timestamp};
use tower::ServiceExt as _;

use crate::files::PIECE;
use crate::proof::{Request, prove};
use crate::{Bell, Contacts, ExchangeError, Limits, Server, exchange_with, routes, run};

const MOST: u64 = 1 << 30;

/// A desk in a folder of its own.
struct Desk {
    office: Arc<Office>,
    folder: tempfile::TempDir,
}

struct World {
    desks: Both<Desk>,
}

impl Desk {
    async fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let party = folder.path().join("party");
        Party::init(&party, name, Algorithm::Ed25519).expect("made");
        let office = Arc::new(Office::open(&party, None).await.expect("opens"));
        Self { office, folder }
    }

    /// Knows this desk's party from now on.
    fn trust(&self, other: &Self) {
        let peers = &self.office.known;
        fs::create_dir_all(peers).expect("made");
        let from = other.folder.path().join("party/party.toml");
        fs::copy(from, peers.join(format!("{}.toml", other.office.us))).expect("copied");
    }

    fn known(&self, name: &PartyName) -> KnownPeer {
        let peers = self.office.peers().expect("read");
        peers.into_iter().find(|peer| peer.name == *name).expect("known")
    }

    fn routes(&self, limits: Limits) -> Router {
        routes(Arc::new(Server::new(
            Arc::clone(&self.office),
            Bell::default(),
            Bell::default(),
            limits,
        )))
    }

    /// Serves for as long as the test runs.
    async fn serve(&self) -> DeskAddress {
        serve(self.routes(Limits::default())).await
    }

    async fn exchange(
        &self,
        with: &Self,
        address: &DeskAddress,
    ) -> Result<hospitium_desk::folder::Exchanged, ExchangeError> {
        let peer = self.known(&with.office.us).exchange();
        exchange_with(&self.office, &peer, address, true, MOST).await
    }

    async fn case(&self) -> Case {
        self.office.store.load(&opening().id).await.expect("loads").case().clone()
    }

    async fn post(&self, deed: Deed) {
        let by = self.office.store.load(&opening().id).await.expect("loads").us();
        let event = Event { at: Timestamp::now(), by, person: None, deed };
        let party = self.office.party();
        self.office.store.post(&opening().id, event, &party.record).await.expect("posted");
    }

    /// Attaches a file of the vendor's own.
    async fn attach(&self, bytes: &[u8], class: Classification) -> Digest {
        let (sha256, size) = self.office.vault.put(bytes, MOST).expect("kept");
        let attachment = Attachment {
            sha256,
            size,
            name: text("trace.bin"),
            classification: class,
            redaction: None,
            run: None,
        };
        self.post(Deed::Attached { attachment }).await;
        sha256
    }
}

async fn serve(router: Router) -> DeskAddress {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let address = listener.local_addr().expect("has one");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}").parse().expect("an address")
}

fn note(words: &str) -> Deed {
    Deed::Noted { visibility: Visibility::Both, text: text(words) }
}

impl World {
    /// Two desks that know each other; the submitter's has offered a case.
    async fn new() -> Self {
        let Both { submitter, receiver } = opening().parties;
        let desks = Both {
            submitter: Desk::new(submitter.as_str()).await,
            receiver: Desk::new(receiver.as_str()).await,
        };
        desks.submitter.trust(&desks.receiver);
        desks.receiver.trust(&desks.submitter);
        let draft =
            Draft { opening: opening(), files: Vec::new(), opened: Timestamp::now(), person: None };
        let office = &desks.submitter.office;
        let party = office.party();
        let offered = office.store.offer(&draft, Timestamp::now(), None, &party.record);
        offered.await.expect("offered");
        Self { desks }
    }

    fn one(&self) -> &Desk {
        &self.desks.submitter
    }

    fn other(&self) -> &Desk {
        &self.desks.receiver
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_case_goes_there_and_back_though_only_one_of_the_two_desks_can_be_called() {
    let world = World::new().await;
    let (one, other) = (world.one(), world.other());
    let address = other.serve().await;
    let done = one.exchange(other, &address).await.expect("reached");
    assert_eq!((done.sent, done.refused.len()), (2, 0));
    assert_eq!(one.case().await, other.case().await);
    // The other desk never calls: what it says waits until it is asked.
    for (_, deed) in [accepted(), started()] {
        other.post(deed).await;
    }
    one.post(note("said at the same time")).await;
    let done = one.exchange(other, &address).await.expect("reached");
    assert_eq!((done.sent, done.taken), (1, 2));
    assert_eq!(one.case().await, other.case().await);
    assert_eq!(one.case().await.state.name(), "working");
    // Both know that the other has everything.
    let nothing = one.exchange(other, &address).await.expect("reached");
    assert_eq!((nothing.sent, nothing.taken, nothing.known), (0, 0, 0));
    for desk in [one, other] {
        let thread = desk.office.store.load(&opening().id).await.expect("loads");
        assert!(thread.outgoing().messages.is_empty() && thread.divergences().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attachments_of_both_desks_arrive_in_pieces_and_go_on_where_they_broke_off() {
    let world = World::new().await;
    let (one, other) = (world.one(), world.other());
    let address = other.serve().await;
    one.exchange(other, &address).await.expect("reached");
    let bytes: Vec<u8> = (0..2 * PIECE + 7).map(|n| (n % 251) as u8).collect();
    let ours = one.attach(&bytes, Classification::Customer).await;
    let theirs = other.attach(&bytes[1..], Classification::Vendor).await;
    // A piece of each came before somebody was killed.
    let size = bytes.len() as u64;
    let of = |desk: &Desk| desk.office.vault.theirs(&opening().id);
    of(other).add(&ours, size, 0, &bytes[..PIECE]).expect("taken");
    of(one).add(&theirs, size - 1, 0, &bytes[1..100]).expect("taken");
    let done = one.exchange(other, &address).await.expect("reached");
    assert_eq!((done.files, done.files_sent, done.refused.len()), (1, 1, 0), "{done:?}");
    for (desk, digest) in [(one, theirs), (other, ours)] {
        assert!(of(desk).has(&digest));
    }
    let again = one.exchange(other, &address).await.expect("reached");
    assert_eq!((again.files, again.files_sent), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attachment_of_other_bytes_or_too_large_is_refused_and_nothing_of_it_kept() {
    let world = World::new().await;
    let (one, other) = (world.one(), world.other());
    let limits = Limits { attachment: 1_000, ..Limits::default() };
    let address = serve(other.routes(limits)).await;
    one.exchange(other, &address).await.expect("reached");
    let bent = one.attach(b"the trace", Classification::Customer).await;
    let large = one.attach(&[7; 2_000], Classification::Vendor).await;
    let held = other.attach(b"their trace", Classification::Vendor).await;
    let vaults = |desk: &Desk| desk.folder.path().join("party/desk/attachments");
    fs::write(vaults(one).join(bent.to_string()), b"the TRACE").expect("altered");
    fs::write(vaults(other).join(held.to_string()), b"THEIR trace").expect("altered");
    let done = one.exchange(other, &address).await.expect("reached");
    let of = |desk: &Desk| desk.office.vault.theirs(&opening().id);
    let said = done.refused.join("\n");
    assert_eq!(said.matches("bytes are others than were announced").count(), 2, "{said}");
    assert!(said.contains("at most 1000 are taken here; carry it as a file"), "{said}");
    for digest in [bent, large] {
        assert_eq!(of(other).have(&digest, 2_000), 0);
    }
    assert_eq!(of(one).have(&held, 11), 0);
    assert_eq!(one.case().await, other.case().await);
    // Restored, it arrives.
    fs::write(vaults(one).join(bent.to_string()), b"the trace").expect("restored");
    let done = one.exchange(other, &address).await.expect("reached");
    assert!(of(other).has(&bent), "{done:?}");
}

/// A request as somebody might make it.
struct Asked {
    key: SecretKey,
    from: PartyName,
    to: PartyName,
    at: Timestamp,
    method: &'static str,
    path: String,
    signed_path: Option<String>,
    body: Vec<u8>,
    sent: Option<Vec<u8>>,
}

impl Asked {
    fn good(world: &World) -> Self {
        let party = world.one().folder.path().join("party/secret/record.pem");
        let key = SecretKey::from_pem(&fs::read_to_string(party).expect("read")).expect("a key");
        Self {
            key,
            from: world.one().office.us.clone(),
            to: world.other().office.us.clone(),
            at: Timestamp::now(),
            method: "POST",
            path: "/exchange/v1/messages".to_owned(),
            signed_path: None,
            body: b"{}".to_vec(),
            sent: None,
        }
    }

    fn request(&self) -> (String, HttpRequest<Body>) {
        let path = self.signed_path.as_ref().unwrap_or(&self.path);
        let request = Request { method: self.method, path, body: &self.body };
        let header = prove(&self.key, &self.from, &self.to, self.at, request).expect("signed");
        (header.clone(), self.with(&header))
    }

    fn with(&self, header: &str) -> HttpRequest<Body> {
        let body = self.sent.clone().unwrap_or_else(|| self.body.clone());
        HttpRequest::builder()
            .method(self.method)
            .uri(&self.path)
            .header("authorization", header)
            .body(Body::from(body))
            .expect("a request")
    }
}

async fn answered(router: &Router, request: HttpRequest<Body>) -> (StatusCode, String) {
    let response = router.clone().oneshot(request).await.expect("answers");
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.expect("read");
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn requests_that_are_forged_replayed_readdressed_or_stale_are_refused() {
    let world = World::new().await;
    let router = world.other().routes(Limits::default());
    let now = Timestamp::now();
    let minutes = |count| now.checked_add(SignedDuration::from_mins(count)).expect("in range");
    let good = || Asked::good(&world);
    let (header, request) = good().request();
    assert_eq!(answered(&router, request).await.0, StatusCode::OK);
    let (status, said) = answered(&router, good().with(&header)).await;
    assert_eq!(status, StatusCode::CONFLICT, "replayed: {said}");
    let stranger = || SecretKey::generate(Algorithm::Ed25519).expect("made");
    let own: PartyName = world.other().office.us.clone();
    let file = format!("/exchange/v1/files/{}/{}", opening().id, Digest::of(b"x"));
    for (asked, words) in [
        (Asked { key: stranger(), ..good() }, "not signed with the key"),
        (Asked { from: text("third.example"), ..good() }, "third.example is not known here"),
        (Asked { from: own, ..good() }, "is not known here"),
        (Asked { to: text("third.example"), ..good() }, "is for third.example"),
        (Asked { at: minutes(-6), ..good() }, "at most 5 minutes"),
        (Asked { at: minutes(6), ..good() }, "at most 5 minutes"),
        (
            Asked { method: "GET", path: file.clone(), signed_path: Some("/x".into()), ..good() },
            "the path",
        ),
        (Asked { sent: Some(b"{\"more\":1}".to_vec()), ..good() }, "another body"),
    ] {
        let (status, said) = answered(&router, asked.request().1).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{words}: {said}");
        assert!(said.contains(words), "{words}: {said}");
    }
    for header in ["", "DSSE", "DSSE e30=", "Bearer x", &header[..40]] {
        let (status, said) = answered(&router, good().with(header)).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{header}: {said}");
    }
    let missing = world.other().office.store.load(&opening().id).await;
    assert!(missing.is_err(), "nothing of all that made a case");
}

#[tokio::test]
async fn bodies_messages_and_requests_are_bounded() {
    let world = World::new().await;
    let limits = Limits { requests: 5, messages: 3, ..Limits::default() };
    let router = world.other().routes(limits);
    let body = |count| serde_json::json!({ "messages": vec!["x"; count] }).to_string();
    let large = " ".repeat(crate::PARCEL + 1);
    for (body, status) in [
        (large, StatusCode::PAYLOAD_TOO_LARGE),
        ("no JSON".to_owned(), StatusCode::BAD_REQUEST),
        (body(257), StatusCode::PAYLOAD_TOO_LARGE),
        (body(3), StatusCode::OK),
        (body(1), StatusCode::TOO_MANY_REQUESTS),
        (body(0), StatusCode::TOO_MANY_REQUESTS),
    ] {
        let asked = Asked { body: body.into_bytes(), ..Asked::good(&world) };
        let (found, said) = answered(&router, asked.request().1).await;
        assert_eq!(found, status, "{said}");
    }
}

#[tokio::test]
async fn messages_for_another_party_from_the_future_or_that_branch_change_nothing_and_say_why() {
    let world = World::new().await;
    let (one, other) = (world.one(), world.other());
    let address = other.serve().await;
    one.exchange(other, &address).await.expect("reached");
    let before = other.case().await;
    let thread = one.office.store.load(&opening().id).await.expect("loads");
    let last = thread.chain(Side::Submitter).last().expect("one").message.clone();
    let key = &Asked::good(&world).key;
    let next = hospitium_desk::exchange::Message {
        seq: last.seq + 1,
        prev: thread.head(Side::Submitter).map(|link| link.digest),
        event: Event { at: Timestamp::now(), by: Side::Submitter, person: None, deed: note("x") },
        ..last.clone()
    };
    let future = Timestamp::now().checked_add(SignedDuration::from_hours(1)).expect("in range");
    let mut readdressed = next.clone();
    readdressed.to = text("third.example");
    let mut early = next.clone();
    early.event.at = future;
    let mut branch = next.clone();
    branch.prev = Some(Digest::of(b"another"));
    let mut ahead = next.clone();
    ahead.seq += 1_000;
    let router = other.routes(Limits::default());
    for (message, words) in [
        (readdressed, "the message is for third.example"),
        (early, "is taken once its time has come"),
        (branch, "branch at number"),
        (ahead, "send the ones in between first"),
    ] {
        let sealed = hospitium_desk::exchange::sign_message(message, key).expect("signed");
        let message = String::from_utf8(sealed.bytes).expect("UTF-8");
        let body = serde_json::json!({ "messages": [message] }).to_string().into_bytes();
        let asked = Asked { body, ..Asked::good(&world) };
        let (status, said) = answered(&router, asked.request().1).await;
        assert_eq!(status, StatusCode::OK, "{said}");
        assert!(said.contains(words), "{words}: {said}");
        assert_eq!(other.case().await, before);
    }
    // The desk is as it was: what is right is taken.
    one.post(note("the real one")).await;
    one.exchange(other, &address).await.expect("reached");
    assert_eq!(one.case().await, other.case().await);
}

#[tokio::test]
async fn a_party_gets_nothing_of_a_case_that_is_anothers_or_that_the_customer_holds_back() {
    let world = World::new().await;
    let (one, other) = (world.one(), world.other());
    let third = Desk::new("third.example").await;
    other.trust(&third);
    one.exchange(other, &other.serve().await).await.expect("reached");
    let vendor = other.attach(b"a vendor's", Classification::Vendor).await;
    let theirs = other.attach(b"a customer's", Classification::Customer).await;
    let router = other.routes(Limits::default());
    let ask = |from: &Desk, digest: Digest| {
        let pem = from.folder.path().join("party/secret/record.pem");
        let key = SecretKey::from_pem(&fs::read_to_string(pem).expect("read")).expect("a key");
        let (from, body) = (from.office.us.clone(), Vec::new());
        let path = format!("/exchange/v1/files/{}/{digest}?from=0", opening().id);
        Asked { key, from, method: "GET", path, body, ..Asked::good(&world) }.request().1
    };
    assert_eq!(answered(&router, ask(one, vendor)).await.1, "a vendor's");
    assert_eq!(answered(&router, ask(one, theirs)).await.1, "a customer's");
    assert_eq!(answered(&router, ask(&third, vendor)).await.0, StatusCode::NOT_FOUND);
    assert_eq!(answered(&router, ask(one, Digest::of(b"none"))).await.0, StatusCode::NOT_FOUND);
    one.post(Deed::ConsentWithdrawn { by: text("Pat Doe") }).await;
    one.exchange(other, &other.serve().await).await.expect("reached");
    let (status, said) = answered(&router, ask(one, theirs)).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{said}");
    assert_eq!(answered(&router, ask(one, vendor)).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_desk_that_is_down_or_says_garbage_harms_nothing() {
    let world = World::new().await;
    let (one, other) = (world.one(), world.other());
    let before = one.case().await;
    let garbage = |body: &'static [u8], status: StatusCode| {
        // It reads what it is sent first: what is closed before that is a desk that does not answer.
        serve(Router::new().fallback(move |_: axum::body::Bytes| async move { (status, body) }))
    };
    static HUGE: [u8; 2 << 20] = [b'1'; 2 << 20];
    let down: DeskAddress = "http://127.0.0.1:1".parse().expect("an address");
    for (address, words) in [
        (down, "does not answer"),
        (garbage(b"<html>", StatusCode::OK).await, "is no desk"),
        (garbage(b"", StatusCode::NOT_FOUND).await, "status 404"),
        (garbage(b"no", StatusCode::UNAUTHORIZED).await, "does not take the request as ours: no"),
        (garbage(b"\x1b[2J", StatusCode::FOUND).await, "status 302"),
        (garbage(&HUGE, StatusCode::OK).await, "more than"),
    ] {
        let error = one.exchange(other, &address).await.expect_err(words).to_string();
        assert!(error.contains(words) && !error.contains('\x1b'), "{words}: {error}");
        assert_eq!(one.case().await, before);
    }
    let done = one.exchange(other, &other.serve().await).await.expect("reached");
    assert_eq!(done.sent, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_desk_that_says_it_has_more_and_gives_nothing_or_gives_byte_by_byte_is_left() {
    let world = World::new().await;
    let (one, other) = (world.one(), world.other());
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counting = |router: Router| {
        let asked = Arc::clone(&asked);
        router.layer(axum::middleware::map_request(move |request: HttpRequest<Body>| {
            asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            std::future::ready(request)
        }))
    };
    one.exchange(other, &other.serve().await).await.expect("reached");
    other.post(note("known")).await;
    one.exchange(other, &other.serve().await).await.expect("reached");
    // The same message for ever.
    let thread = other.office.store.load(&opening().id).await.expect("loads");
    let known = thread.chain(Side::Receiver).last().expect("posted").bytes.clone();
    let messages = vec![String::from_utf8(known).expect("JSON")];
    let parcel = crate::parcel::Parcel { messages, ..Default::default() };
    let more = crate::parcel::Reply { parcel, more: true, ..Default::default() };
    let more = serde_json::to_vec(&more).expect("JSON");
    let promising = Router::new().fallback(move |_: axum::body::Bytes| async move { more.clone() });
    let done = one.exchange(other, &serve(counting(promising)).await).await.expect("reached");
    assert_eq!(done.taken, 0);
    assert!(asked.swap(0, std::sync::atomic::Ordering::Relaxed) <= 5);

    let theirs = other.attach(&[7; 10_000], Classification::Vendor).await;
    one.exchange(other, &other.serve().await).await.expect("reached");
    let long = other.attach(&[8; 10_000], Classification::Vendor).await;
    // One byte of each piece, under the right size of the whole.
    let drop_by_drop = other.routes(Limits::default()).layer(axum::middleware::map_response(
        async |response: axum::response::Response| {
            let (parts, body) = response.into_parts();
            let whole = to_bytes(body, PIECE).await.expect("read");
            let piece = parts.headers.contains_key(crate::files::SIZE);
            let bytes = if piece { whole.slice(..1) } else { whole };
            let mut answer = axum::response::Response::new(Body::from(bytes));
            *answer.status_mut() = parts.status;
            answer.headers_mut().extend(parts.headers);
            answer.headers_mut().remove("content-length");
            answer
        },
    ));
    let done = one.exchange(other, &serve(counting(drop_by_drop)).await).await.expect("reached");
    assert_eq!(done.files, 0);
    assert!(done.refused.iter().any(|why| why.contains("too small")), "{done:?}");
    assert!(asked.load(std::sync::atomic::Ordering::Relaxed) < 40, "{asked:?}");
    // What came stays, and a desk that gives more gives the rest.
    let vault = one.office.vault.theirs(&opening().id);
    assert!(vault.have(&long, 10_000) > 0 && vault.has(&theirs));
    one.exchange(other, &other.serve().await).await.expect("reached");
    assert!(vault.has(&long));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_desk_that_runs_signs_with_the_keys_that_its_party_has_now() {
    let world = World::new().await;
    let (one, other) = (world.one(), world.other());
    let address = other.serve().await;
    one.exchange(other, &address).await.expect("reached");
    let before = one.office.party().public.record.clone();
    let folder = one.folder.path().join("party");
    hospitium_ledger::rekey(&folder, None, "a lost computer", Timestamp::now()).expect("new keys");
    assert_ne!(one.office.party().public.record, before);
    // The other desk does not know them yet, then it does.
    one.post(note("after")).await;
    one.exchange(other, &address).await.expect_err("unknown keys");
    other.trust(one);
    one.exchange(other, &address).await.expect("known keys");
    assert_eq!(other.case().await.notes.len(), 1);
}

/// Waits for something that another task does.
async fn until<F: Future<Output = bool>>(what: &str, mut is: impl FnMut() -> F) {
    let limit = tokio::time::Instant::now() + Duration::from_secs(60);
    while !is().await {
        assert!(tokio::time::Instant::now() < limit, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_courier_sends_what_another_program_posts_at_this_desk() {
    let world = World::new().await;
    let (one, other) = (world.one(), world.other());
    let address = other.serve().await;
    write_address(&one.office.known, &other.office.us, Some(&address)).expect("written");
    let (close, closing) = tokio::sync::watch::channel(false);
    let contacts = Contacts::default();
    let office = Arc::clone(&one.office);
    let courier =
        run(office, [Bell::default(), Bell::default()], contacts.clone(), MOST, closing, |_| {});
    let courier = tokio::spawn(courier);
    let id: CaseId = opening().id;
    until("the case arrives", || async { other.office.store.load(&id).await.is_ok() }).await;
    until("it was reached", || async { !contacts.all().is_empty() }).await;
    one.post(note("from a command")).await;
    one.office.ring();
    until("the note arrives", || async { other.case().await.notes.len() == 1 }).await;
    assert!(contacts.all().iter().all(|(_, contact)| contact.trouble.is_none()));
    close.send_replace(true);
    courier.await.expect("ends");
}

/// A mail server that takes everything, and tells what it got.
async fn mail_server() -> (u16, tokio::sync::mpsc::UnboundedReceiver<String>) {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let port = listener.local_addr().expect("has one").port();
    let (send, got) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (read, mut write) = stream.into_split();
            let mut lines = BufReader::new(read).lines();
            let _ = write.write_all(b"220 here\r\n").await;
            let (mut mail, mut data) = (String::new(), false);
            while let Ok(Some(line)) = lines.next_line().await {
                let answer: &[u8] = match (data, line.as_str()) {
                    (true, ".") => {
                        data = false;
                        let _ = send.send(std::mem::take(&mut mail));
                        b"250 taken\r\n"
                    }
                    (true, line) => {
                        mail.push_str(&format!("{line}\n"));
                        continue;
                    }
                    (false, "DATA") => {
                        data = true;
                        b"354 go on\r\n"
                    }
                    (false, line) => {
                        mail.push_str(&format!("{line}\n"));
                        b"250 well\r\n"
                    }
                };
                let _ = write.write_all(answer).await;
            }
        }
    });
    (port, got)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_and_a_mail_tell_once_of_what_happened_without_the_cases_words() {
    let world = World::new().await;
    let one = world.one();
    // A webhook that fails at first.
    let (send, mut hooked) = tokio::sync::mpsc::unbounded_channel();
    let tries = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = Arc::clone(&tries);
    let router = Router::new().fallback(move |headers: axum::http::HeaderMap, body: String| {
        let first = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        let _ = (!first).then(|| send.send((headers, body)));
        async move { if first { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT } }
    });
    let hook = serve(router).await;
    let (port, mut mails) = mail_server().await;
    let text = format!(
        "[[webhook]]\nurl = \"{}\"\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n\
         events = [\"offered\"]\n[mail]\nserver = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n\
         from = \"desk@guest.example\"\nto = [\"queue@guest.example\"]\nevents = [\"offered\"]\n",
        hook.url()
    );
    let notify = crate::notify::Notify::parse(&text).expect("reads");
    let (close, closing) = tokio::sync::watch::channel(false);
    let (bell, news) = (Bell::default(), Bell::default());
    let base = Some("https://desk.guest.example".to_owned());
    let office = Arc::clone(&one.office);
    let bells = [bell.clone(), news];
    let telling = tokio::spawn(crate::notify::run(office, notify, bells, base, closing, |_| {}));
    let mail = mails.recv().await.expect("a mail");
    let short: String = opening().id.as_str().chars().take(10).collect();
    for words in [
        "RCPT TO:<queue@guest.example>",
        &format!("Subject: [{short}] offered; next: host.example"),
        &format!("https://desk.guest.example/desk/cases/{}", opening().id),
    ] {
        assert!(mail.contains(words), "{words}: {mail}");
    }
    assert!(!mail.contains("clock drifts") && !mail.contains("Customer Inc."), "{mail}");
    // The webhook is told again, with the same name and a good signature.
    bell.ring();
    let (headers, body) = hooked.recv().await.expect("told");
    let value =
        |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let at = Timestamp::from_second(value("webhook-timestamp").parse().expect("seconds"));
    let due = {
        use base64::Engine as _;
        let secret = base64::engine::general_purpose::STANDARD
            .decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
            .expect("base64");
        crate::notify::signature(&secret, &value("webhook-id"), at.expect("in range"), &body)
    };
    assert_eq!(Some(value("webhook-signature")), due);
    let told: crate::notify::Told = serde_json::from_str(&body).expect("reads");
    assert_eq!((told.event.as_str(), told.next.as_str()), ("offered", "host.example"));
    close.send_replace(true);
    telling.await.expect("ends");
    // Nothing is told twice.
    assert!(mails.try_recv().is_err() && hooked.try_recv().is_err());
    assert_eq!(tries.load(std::sync::atomic::Ordering::SeqCst), 2);
}

proptest::proptest! {
    #[test]
    fn whatever_stands_in_the_header_is_refused(text in ".{0,200}", bytes in proptest::collection::vec(0u8..=255, 0..300)) {
        use base64::Engine as _;
        let us: PartyName = "host.example".parse().expect("a name");
        let coded = base64::engine::general_purpose::STANDARD.encode(&bytes);
        for header in [text.clone(), format!("DSSE {text}"), format!("DSSE {coded}")] {
            let read = crate::verify(Some(&header), &us, Timestamp::now(), "GET", "/", |_| Some(Vec::new()));
            proptest::prop_assert!(read.is_err());
        }
    }
}
