//! What the desk's pages promise: who sees and does what, that forms count once and only here, and that files do
//! nothing.

use std::fs;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use hospitium_desk::exchange::Thread;
use hospitium_desk::sample::{accepted, event, started, text as words};
use hospitium_desk::store::{Once, Token};
use hospitium_desk::{
    Account, Aside, CaseId, Classification, Deed, Draft, Event, Office, Opening, Role, Shareable,
    Side, Visibility, WaitFor, hash_password,
};
use hospitium_ledger::{Algorithm, Party};
use jiff::{SignedDuration, Timestamp};

use super::Counter;
use crate::Site;
use crate::sample::{HOSTILE, World, text, world};

pub const PASSWORD: &str = "correct horse battery";
const PEOPLE: [(&str, Role, &str); 5] = [
    ("ann", Role::Engineer, ""),
    ("max", Role::Manager, ""),
    ("pat", Role::Customer, "Customer Inc."),
    ("eve", Role::Customer, "Another Inc."),
    ("ute", Role::Auditor, ""),
];

/// A site with a desk, some people, and a case of `Customer Inc.` that is offered.
pub struct DeskWorld {
    pub world: World,
    pub office: Arc<Office>,
    pub id: CaseId,
    /// The desk of the other vendor, which takes part by hand.
    other: Office,
}

/// What a browser has of somebody's session.
pub struct Browser<'w> {
    desk: &'w DeskWorld,
    token: Option<Token>,
}

pub fn opening() -> Opening {
    let opening = hospitium_desk::sample::opening();
    // As people say it today.
    Opening { test: false, ..opening }
}

impl DeskWorld {
    pub async fn new() -> Self {
        Self::with(false, opening()).await
    }

    async fn with(tls: bool, opening: Opening) -> Self {
        let mut world = world().await;
        let at = |name: &str| world.folder.path().join(name);
        for name in ["guest.example", "host.example"] {
            Party::init(&at(name), name, Algorithm::Ed25519).expect("made");
        }
        for (name, other) in [("guest.example", "host.example"), ("host.example", "guest.example")]
        {
            fs::create_dir(at(name).join("peers")).expect("made");
            let to = at(name).join("peers").join(format!("{other}.toml"));
            fs::copy(at(other).join("party.toml"), to).expect("copied");
        }
        let office = Arc::new(Office::open(&at("guest.example"), None).await.expect("opens"));
        let other = Office::open(&at("host.example"), None).await.expect("opens");
        for (login, role, customer) in PEOPLE {
            let account = Account {
                login: login.parse().expect("a name"),
                role,
                name: words(&format!("{login} Smith")),
                address: role.works().then(|| words(&format!("{login}@guest.example"))),
                customer: (!customer.is_empty()).then(|| words(customer)),
            };
            account.check(&office.us).expect("whole");
            static HASH: std::sync::OnceLock<String> = std::sync::OnceLock::new();
            let hash = HASH.get_or_init(|| hash_password(PASSWORD).expect("hashed"));
            office.store.add_account(&account, hash).await.expect("added");
        }
        let id = opening.id.clone();
        let now = Timestamp::now();
        let draft = Draft { opening, files: Vec::new(), opened: now, person: None };
        let key = &office.party.record;
        office.store.offer(&draft, now, None, key).await.expect("offered");
        let counter = Counter::new(Arc::clone(&office), tls, 1 << 20, Box::new(Vec::new));
        let site: Site = Arc::into_inner(world.site).expect("only one has it");
        world.site = Arc::new(site.with_counter(counter));
        Self { world, office, id, other }
    }

    pub async fn thread(&self) -> Thread {
        self.office.store.load(&self.id).await.expect("loads")
    }

    /// Does something at this desk, or at the other one with what goes there and back.
    pub async fn does(&self, by: Side, deed: Deed) {
        self.does_in(&self.id, by, deed).await;
    }

    /// The same in another case.
    pub async fn does_in(&self, id: &CaseId, by: Side, deed: Deed) {
        let event = Event { at: Timestamp::now(), ..event(Timestamp::now(), by, deed) };
        match by {
            Side::Submitter => {
                let posted = self.office.store.post(id, event, &self.office.party.record);
                posted.await.expect("posted");
            }
            Side::Receiver => {
                self.carry(id, &self.office, &self.other).await;
                let posted = self.other.store.post(id, event, &self.other.party.record);
                posted.await.expect("posted");
                self.carry(id, &self.other, &self.office).await;
            }
        }
    }

    async fn carry(&self, id: &CaseId, from: &Office, to: &Office) {
        let keys = from.party.public.keys();
        let thread = from.store.load(id).await.expect("loads");
        for sealed in thread.chain(thread.us()) {
            let taken = to.store.take_message(&sealed.bytes, &keys, &to.us, Timestamp::now()).await;
            taken.expect("stored").taken.expect("taken");
        }
    }

    pub async fn signed(&self, login: &str) -> Browser<'_> {
        let login = login.parse().expect("a name");
        let token = self.office.store.begin_session(&login, Timestamp::now()).await;
        Browser { desk: self, token: Some(token.expect("begun")) }
    }

    fn nobody(&self) -> Browser<'_> {
        Browser { desk: self, token: None }
    }

    fn page(&self) -> String {
        format!("/desk/cases/{}", self.id)
    }
}

struct Got {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Browser<'_> {
    async fn send(&self, mut request: Request<Body>) -> Got {
        if let Some(token) = &self.token {
            let cookie = format!("other=1; desk={}", token.as_str()).parse().expect("a value");
            request.headers_mut().insert(header::COOKIE, cookie);
        }
        let response = self.desk.world.ask(request).await;
        let (status, headers) = (response.status(), response.headers().clone());
        Got { status, headers, text: text(response).await }
    }

    async fn get(&self, path: &str) -> Got {
        self.send(Request::get(path).body(Body::empty()).expect("a request")).await
    }

    fn csrf(&self) -> String {
        self.token.as_ref().map(Token::for_forms).unwrap_or_default()
    }

    fn form(&self, path: &str, fields: &[(&str, &str)]) -> Request<Body> {
        let all = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
        let body = all.collect::<Vec<_>>().join("&");
        Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(body))
            .expect("a request")
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Got {
        let (csrf, once) = (self.csrf(), Token::new().expect("random"));
        let own = [("csrf", csrf.as_str()), ("once", once.as_str())];
        self.send(self.form(path, &[&own, fields].concat())).await
    }

    /// A form with a file, as browsers send it.
    async fn upload(&self, path: &str, fields: &[(&str, &str)], file: (&str, &str, &[u8])) -> Got {
        let (csrf, once) = (self.csrf(), Token::new().expect("random"));
        let own = [("csrf", csrf.as_str()), ("once", once.as_str())];
        self.send(multipart(path, &[&own, fields].concat(), file)).await
    }
}

fn multipart(
    path: &str,
    fields: &[(&str, &str)],
    (field, name, bytes): (&str, &str, &[u8]),
) -> Request<Body> {
    let mut body = Vec::new();
    for (name, value) in fields {
        body.extend(
            format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
                .into_bytes(),
        );
    }
    let head = format!(
        "--x\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\nContent-Type: text/html\r\n\r\n"
    );
    body.extend(head.into_bytes());
    body.extend(bytes);
    body.extend(b"\r\n--x--\r\n");
    Request::post(path)
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=x")
        .body(Body::from(body))
        .expect("a request")
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| match b.is_ascii_alphanumeric() {
            true => char::from(b).to_string(),
            false => format!("%{b:02X}"),
        })
        .collect()
}

/// What each role gets, in the order: nobody, engineer, manager, customer, another customer, auditor.
const WHO: [Option<&str>; 6] =
    [None, Some("ann"), Some("max"), Some("pat"), Some("eve"), Some("ute")];

#[tokio::test]
async fn every_route_gives_each_role_what_is_its_and_nothing_else() {
    let desk = DeskWorld::new().await;
    let draft = CaseId::from_bytes([9; 16]);
    let kept = Draft {
        opening: Opening { id: draft.clone(), ..opening() },
        files: Vec::new(),
        opened: Timestamp::now(),
        person: None,
    };
    let (sha256, size) = desk.office.vault.put(b"a trace".as_slice(), 1 << 20).expect("kept");
    let vendor = hospitium_desk::Attachment {
        sha256,
        size,
        name: words("trace.log"),
        classification: Classification::Vendor,
        redaction: None,
    };
    desk.does(Side::Submitter, Deed::Attached { attachment: vendor }).await;
    let (page, file) = (desk.page(), format!("{}/files/{sha256}", desk.page()));
    let draft_page = format!("/desk/cases/{draft}");
    let none = format!("/desk/cases/{}", CaseId::from_bytes([1; 16]));
    // 303: to sign in, or done. 422: the form is believed, and something in it is wrong.
    for (path, expected) in [
        ("/desk", [303, 200, 200, 200, 200, 200]),
        (page.as_str(), [303, 200, 200, 200, 404, 200]),
        (&draft_page, [303, 200, 200, 200, 404, 200]),
        (&none, [303, 404, 404, 404, 404, 404]),
        ("/desk/cases/..%2F..%2Fetc", [303, 404, 404, 404, 404, 404]),
        (&file, [303, 200, 200, 404, 404, 200]),
        ("/desk/open", [303, 200, 200, 200, 200, 403]),
        ("/desk/audit", [303, 403, 200, 403, 403, 200]),
        ("/desk/sign-in", [200; 6]),
    ] {
        for (who, expected) in WHO.iter().zip(expected) {
            desk.office.store.keep_draft(&kept).await.expect("kept");
            let browser = match who {
                Some(login) => desk.signed(login).await,
                None => desk.nobody(),
            };
            let got = browser.get(path).await;
            assert_eq!(got.status.as_u16(), expected, "GET {path} by {who:?}: {}", got.text);
        }
    }
    let at = |what: &str| format!("{page}/{what}");
    let of_draft = |what: &str| format!("{draft_page}/{what}");
    let note: &[(&str, &str)] = &[("deed", "noted"), ("text", "x"), ("visibility", "both")];
    let severity: &[(&str, &str)] =
        &[("deed", "severity-changed"), ("grade", "low"), ("reason", "x")];
    for (path, fields, expected) in [
        (at("do"), note, [303, 303, 303, 303, 404, 403]),
        (at("do"), severity, [303, 303, 303, 403, 404, 403]),
        (at("do"), &[("deed", "opened")], [303, 422, 422, 422, 404, 403]),
        (at("do"), &[("deed", "started")], [303, 409, 409, 403, 404, 403]),
        (at("note"), &[("text", "inside")], [303, 303, 303, 403, 403, 403]),
        (of_draft("do"), note, [303, 422, 422, 422, 404, 403]),
        (of_draft("offer"), &[], [303, 422, 422, 403, 403, 403]),
        (of_draft("discard"), &[], [303, 303, 303, 403, 403, 403]),
        (at("discard"), &[], [303, 422, 422, 403, 403, 403]),
    ] {
        for (who, expected) in WHO.iter().zip(expected) {
            desk.office.store.keep_draft(&kept).await.expect("kept");
            let before = desk.thread().await.timeline().count();
            let browser = match who {
                Some(login) => desk.signed(login).await,
                None => desk.nobody(),
            };
            let got = browser.post(&path, fields).await;
            assert_eq!(
                got.status.as_u16(),
                expected,
                "POST {path} {fields:?} by {who:?}: {}",
                got.text
            );
            let signs_in = got.header("location").starts_with("/desk/sign-in");
            assert_eq!(signs_in, who.is_none(), "{path} by {who:?}");
            let done = desk.thread().await.timeline().count() - before;
            let does = expected == 303 && who.is_some() && path == at("do");
            assert_eq!(done, usize::from(does), "POST {path} {fields:?} by {who:?}");
        }
    }
    for (who, expected) in WHO.iter().zip([303, 303, 303, 303, 404, 403]) {
        let browser = match who {
            Some(login) => desk.signed(login).await,
            None => desk.nobody(),
        };
        let bytes = format!("the file of {who:?}");
        let path = at("files");
        let file = ("file", "a.txt", bytes.as_bytes());
        let got = browser.upload(&path, &[("class", "customer")], file).await;
        assert_eq!(got.status.as_u16(), expected, "upload by {who:?}: {}", got.text);
    }
}

#[tokio::test]
async fn a_customer_reads_its_own_cases_and_never_what_the_vendors_say_to_each_other() {
    let desk = DeskWorld::new().await;
    let secret = |deed: &str| format!("SECRET {deed}");
    let note = |visibility, text: &str| Deed::Noted { visibility, text: words(text) };
    desk.does(Side::Submitter, note(Visibility::Both, &secret("between vendors"))).await;
    desk.does(Side::Submitter, note(Visibility::Customer, "hello customer")).await;
    let (by, deed) = accepted();
    desk.does(by, deed).await;
    let (by, deed) = started();
    desk.does(by, deed).await;
    let wait = Deed::Waited {
        wait: WaitFor::Customer,
        reason: words(&secret("they never answer")),
        until: Timestamp::now().checked_add(SignedDuration::from_hours(24)).expect("in range"),
    };
    desk.does(Side::Receiver, wait).await;
    let escalated = Deed::Escalated { level: 1, reason: words(&secret("escalated")) };
    desk.does(Side::Submitter, escalated).await;
    let aside = Aside { at: Timestamp::now(), person: None, text: words(&secret("aside")) };
    desk.office.store.add_aside(&desk.id, &aside).await.expect("added");
    let pat = desk.signed("pat").await;
    let page = pat.get(&desk.page()).await;
    assert!(page.text.contains("hello customer"), "{}", page.text);
    for word in ["SECRET", "Ann Smith", "Bo Lind", "level 1"] {
        assert!(!page.text.contains(word), "{word}: {}", page.text);
    }
    assert!(pat.get("/desk").await.text.contains("the clock drifts"));
    let eve = desk.signed("eve").await;
    assert!(!eve.get("/desk").await.text.contains("the clock drifts"));
    for reader in ["ann", "ute"] {
        let page = desk.signed(reader).await.get(&desk.page()).await;
        assert_eq!(page.text.matches("SECRET").count(), 4, "{reader}: {}", page.text);
    }
    // It answers what it is asked, and its name goes nowhere without its consent to that.
    let answered = pat
        .post(&format!("{}/do", desk.page()), &[("deed", "answered"), ("text", "update 11")])
        .await;
    assert_eq!(answered.status, StatusCode::SEE_OTHER, "{}", answered.text);
    let thread = desk.thread().await;
    let last = &thread.timeline().last().expect("one").message.event;
    assert_eq!((thread.case().state.name(), &last.person), ("working", &None));
}

#[tokio::test]
async fn what_a_customer_writes_stays_here_until_it_allows_that_it_is_shared() {
    let desk = DeskWorld::new().await;
    desk.does(Side::Submitter, Deed::ConsentWithdrawn { by: words("Pat Doe") }).await;
    let pat = desk.signed("pat").await;
    let path = format!("{}/do", desk.page());
    let before = desk.thread().await.timeline().count();
    let got = pat.post(&path, &[("deed", "noted"), ("text", "our serial is 1234")]).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER);
    assert_eq!(desk.thread().await.timeline().count(), before);
    let asides = desk.office.store.asides(&desk.id).await.expect("read");
    assert_eq!(asides.len(), 1);
    assert!(asides[0].text.as_str().contains("our serial is 1234"));
    let covers = [Shareable::Problem, Shareable::Configuration];
    let consent = hospitium_desk::sample::consent(&covers);
    desk.does(Side::Submitter, Deed::ConsentGiven { consent }).await;
    pat.post(&path, &[("deed", "noted"), ("text", "now for both")]).await;
    assert_eq!(desk.thread().await.case().notes.len(), 1);
}

#[tokio::test]
async fn a_form_that_is_sent_twice_does_one_thing_and_the_next_form_another() {
    let desk = DeskWorld::new().await;
    let ann = desk.signed("ann").await;
    let (csrf, once) = (ann.csrf(), Token::new().expect("random"));
    let own = [("csrf", csrf.as_str()), ("once", once.as_str())];
    let path = format!("{}/do", desk.page());
    let fields = |text: &'static str| {
        [&own[..], &[("deed", "noted"), ("visibility", "both"), ("text", text)]].concat()
    };
    for text in ["once", "once", "once", "another from the same page"] {
        let got = ann.send(ann.form(&path, &fields(text))).await;
        assert_eq!(
            (got.status, got.header("location")),
            (StatusCode::SEE_OTHER, desk.page().as_str())
        );
    }
    let notes: Vec<String> =
        desk.thread().await.case().notes.iter().map(|note| note.text.to_string()).collect();
    assert_eq!(notes, ["once", "another from the same page"]);
    let inside = [&own[..], &[("text", "inside")]].concat();
    for _ in 0..2 {
        ann.send(ann.form(&format!("{}/note", desk.page()), &inside)).await;
    }
    assert_eq!(desk.office.store.asides(&desk.id).await.expect("read").len(), 1);
    for _ in 0..2 {
        let request = multipart(
            &format!("{}/files", desk.page()),
            &[&own[..], &[("class", "vendor")]].concat(),
            ("file", "trace.log", b"a trace"),
        );
        assert_eq!(ann.send(request).await.status, StatusCode::SEE_OTHER);
    }
    assert_eq!(desk.thread().await.case().attachments.len(), 1);
    // What is refused did not count, and may be tried again.
    let early = Once::new("x");
    let illegal = event(Timestamp::now(), Side::Submitter, Deed::Started {});
    let key = &desk.office.party.record;
    let store = &desk.office.store;
    assert!(store.post_once(&desk.id, illegal, key, Some(&early)).await.is_err());
    let note = Deed::Noted { visibility: Visibility::Both, text: words("x") };
    let legal = event(Timestamp::now(), Side::Submitter, note);
    store.post_once(&desk.id, legal, key, Some(&early)).await.expect("posted");
    assert_eq!(desk.thread().await.case().notes.len(), 3);
}

#[tokio::test]
async fn forms_of_other_sites_and_sessions_are_refused() {
    let desk = DeskWorld::new().await;
    let (ann, max) = (desk.signed("ann").await, desk.signed("max").await);
    let path = format!("{}/do", desk.page());
    let once = Token::new().expect("random");
    let deed = [("deed", "noted"), ("visibility", "both"), ("text", "x"), ("once", once.as_str())];
    for csrf in ["", "x", &max.csrf(), ann.token.as_ref().expect("signed in").as_str()] {
        let fields = [&deed[..], &[("csrf", csrf)]].concat();
        let got = ann.send(ann.form(&path, &fields)).await;
        assert_eq!(got.status, StatusCode::FORBIDDEN, "{csrf}");
    }
    let own = ann.csrf();
    let good = [&deed[..], &[("csrf", own.as_str())]].concat();
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let mut request = ann.form(&path, &good);
        request.headers_mut().insert(name, value.parse().expect("a value"));
        request.headers_mut().insert("host", "desk.example".parse().expect("a value"));
        assert_eq!(ann.send(request).await.status, StatusCode::FORBIDDEN, "{name}: {value}");
        let mut sign_in = ann.form("/desk/sign-in", &[("login", "ann"), ("password", PASSWORD)]);
        sign_in.headers_mut().insert(name, value.parse().expect("a value"));
        assert_eq!(ann.send(sign_in).await.status, StatusCode::FORBIDDEN, "{name}: {value}");
    }
    assert_eq!(desk.thread().await.case().notes.len(), 0);
    let mut request = ann.form(&path, &good);
    request.headers_mut().insert("origin", "https://desk.example".parse().expect("a value"));
    request.headers_mut().insert("host", "desk.example".parse().expect("a value"));
    assert_eq!(ann.send(request).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_session_ends_with_its_account_its_password_its_time_and_by_signing_out() {
    let desk = DeskWorld::new().await;
    let store = &desk.office.store;
    let ended =
        async |browser: &Browser<'_>| browser.get("/desk").await.status == StatusCode::SEE_OTHER;
    let eve = desk.signed("eve").await;
    assert!(!ended(&eve).await);
    store.remove_account(&"eve".parse().expect("a name")).await.expect("removed");
    assert!(ended(&eve).await);
    let max = desk.signed("max").await;
    let hash = hash_password("another horse battery").expect("hashed");
    store.change_password(&"max".parse().expect("a name"), &hash).await.expect("changed");
    assert!(ended(&max).await);
    let ann = desk.signed("ann").await;
    let csrf = ann.csrf();
    let out = ann.send(ann.form("/desk/sign-out", &[("csrf", "x")])).await;
    assert_eq!(out.status, StatusCode::FORBIDDEN);
    assert!(!ended(&ann).await);
    let out = ann.send(ann.form("/desk/sign-out", &[("csrf", &csrf)])).await;
    assert!(out.header("set-cookie").contains("Max-Age=0"), "{}", out.header("set-cookie"));
    assert!(ended(&ann).await);
    let login = "ann".parse().expect("a name");
    let hours = |count: i64| {
        Timestamp::now().checked_sub(SignedDuration::from_mins(count * 60)).expect("in range")
    };
    let token = store.begin_session(&login, hours(1)).await.expect("begun");
    assert!(ended(&Browser { desk: &desk, token: Some(token) }).await, "idle for an hour");
    assert!(ended(&Browser { desk: &desk, token: Some(Token::new().expect("random")) }).await);
}

#[tokio::test]
async fn signing_in_takes_the_right_password_and_not_many_tries() {
    let desk = DeskWorld::new().await;
    let nobody = desk.nobody();
    let sign_in = async |login: &str, password: &str| {
        let fields = [("login", login), ("password", password), ("next", "/desk/open")];
        nobody.send(nobody.form("/desk/sign-in", &fields)).await
    };
    let wrong = sign_in("ann", "not the password").await;
    let unknown = sign_in("nobody", "not the password").await;
    assert_eq!(
        (wrong.status, unknown.status),
        (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED)
    );
    assert_eq!(wrong.text, unknown.text, "nobody learns which names there are");
    let good = sign_in("ann", PASSWORD).await;
    assert_eq!((good.status, good.header("location")), (StatusCode::SEE_OTHER, "/desk/open"));
    let cookie = good.header("set-cookie");
    for part in ["desk=", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    for _ in 0..5 {
        assert_eq!(sign_in("ann", "not the password").await.status, StatusCode::UNAUTHORIZED);
    }
    let held = sign_in("ann", PASSWORD).await;
    assert_eq!(held.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(!held.header("retry-after").is_empty());
    assert_eq!(sign_in("max", PASSWORD).await.status, StatusCode::SEE_OTHER);
    let audited = desk.office.store.audited(100).await.expect("read");
    assert_eq!(audited.iter().filter(|row| row.what == "tried to sign in").count(), 7);
}

#[tokio::test]
async fn pages_are_confidential_and_cookies_bound_to_tls_where_there_is_some() {
    let desk = DeskWorld::with(true, opening()).await;
    let nobody = desk.nobody();
    let fields = [("login", "ann"), ("password", PASSWORD)];
    let got = nobody.send(nobody.form("/desk/sign-in", &fields)).await;
    let cookie = got.header("set-cookie");
    assert!(cookie.starts_with("__Host-desk=") && cookie.contains("; Secure"), "{cookie}");
    let token = cookie.split(['=', ';']).nth(1).expect("a value");
    let mut request = Request::get("/desk").body(Body::empty()).expect("a request");
    let value = format!("__Host-desk={token}").parse().expect("a value");
    request.headers_mut().insert(header::COOKIE, value);
    request.headers_mut().insert(header::ACCEPT_ENCODING, "gzip".parse().expect("a value"));
    let page = nobody.send(request).await;
    assert_eq!(page.status, StatusCode::OK);
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("strict-transport-security", "max-age=31536000"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("content-encoding", ""),
    ] {
        assert_eq!(page.header(name), value, "{name}");
    }
    let policy = page.header("content-security-policy");
    for part in ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("script-src"), "{policy}");
    // A cookie of the other name, which any host beside could set, is none.
    let mut request = Request::get("/desk").body(Body::empty()).expect("a request");
    request.headers_mut().insert(header::COOKIE, format!("desk={token}").parse().expect("a value"));
    assert_eq!(nobody.send(request).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn what_is_uploaded_is_bounded_goes_nowhere_else_and_never_runs() {
    let desk = DeskWorld::new().await;
    let ann = desk.signed("ann").await;
    let path = format!("{}/files", desk.page());
    let class: &[(&str, &str)] = &[("class", "vendor")];
    let large = vec![7; (1 << 20) + 1];
    for (name, bytes, status) in [
        ("large.bin", large.as_slice(), StatusCode::PAYLOAD_TOO_LARGE),
        ("empty.bin", b"".as_slice(), StatusCode::PAYLOAD_TOO_LARGE),
        ("", b"no name".as_slice(), StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let got = ann.upload(&path, class, ("file", name, bytes)).await;
        assert_eq!(got.status, status, "{name}: {}", got.text);
    }
    let html = b"<script>alert(1)</script>";
    let got = ann.upload(&path, class, ("file", "../../../etc/pass\u{202e}wd.html", html)).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.text);
    let thread = desk.thread().await;
    let [file] = &thread.case().attachments[..] else { panic!("one file") };
    assert!(!file.file.name.as_str().contains('/'), "{}", file.file.name);
    let kept: Vec<_> = fs::read_dir(desk.office.folder.join("attachments"))
        .expect("listed")
        .map(|item| item.expect("listed").file_name().into_string().expect("UTF-8"))
        .collect();
    assert_eq!(kept, [file.file.sha256.to_string()], "nothing else is left");
    let got = ann.get(&format!("{path}/{}", file.file.sha256)).await;
    assert_eq!((got.status, got.text.as_bytes()), (StatusCode::OK, html.as_slice()));
    assert_eq!(got.header("content-type"), "application/octet-stream");
    assert!(got.header("content-disposition").starts_with("attachment; filename=\""));
    assert!(got.header("content-security-policy").contains("sandbox"));
    assert_eq!(got.header("x-content-type-options"), "nosniff");
    for bad in ["..%2F..%2Fdesk.db", &hospitium_model::Digest::of(b"x").to_string()] {
        assert_eq!(ann.get(&format!("{path}/{bad}")).await.status, StatusCode::NOT_FOUND, "{bad}");
    }
    // Nothing is kept of a form that does not say first whose it is.
    let stranger = multipart(&path, class, ("file", "a.bin", b"a stranger's"));
    assert_eq!(ann.send(stranger).await.status, StatusCode::FORBIDDEN);
    let many: Vec<(String, String)> = (0..60).map(|n| (format!("f{n}"), String::new())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let got = ann.send(multipart(&path, &many, ("file", "a.bin", b"x"))).await;
    assert_eq!(got.status, StatusCode::BAD_REQUEST);
    let broken = Request::post(&path)
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=x")
        .body(Body::from(
            "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nhalf",
        ))
        .expect("a request");
    assert!(ann.send(broken).await.status.is_client_error());
    // Nor of one that the customer does not allow to be shared.
    desk.does(Side::Submitter, Deed::ConsentWithdrawn { by: words("Pat Doe") }).await;
    let got = ann.upload(&path, &[("class", "customer")], ("file", "b.bin", b"held")).await;
    assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", got.text);
    assert_eq!(fs::read_dir(desk.office.folder.join("attachments")).expect("listed").count(), 1);
}

#[tokio::test]
async fn a_case_is_opened_by_a_form_with_the_catalogs_typed_ruling_frozen_into_it() {
    let desk = DeskWorld::new().await;
    let ann = desk.signed("ann").await;
    let fields = [
        ("to", "host.example"),
        ("summary", HOSTILE),
        ("description", "it hangs\r\nevery night"),
        ("severity", "high"),
        ("guest", "osa 5.2"),
        ("host", "vmmo 1"),
        ("features", "live migration, snapshots"),
        ("number", "G-7"),
        ("engineer", "ann Smith <ann@guest.example>"),
        ("customer", "Customer Inc."),
        ("entitled", "yes"),
        ("covers", "problem"),
        ("covers", "configuration"),
        ("by", "Pat Doe"),
    ];
    let got = ann.upload("/desk/open", &fields, ("vm", "", b"")).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.text);
    let page = got.header("location").to_owned();
    let id: CaseId = page.rsplit('/').next().expect("an id").parse().expect("an id");
    let draft = desk.office.store.draft(&id).await.expect("read").expect("a draft");
    let verdict = &draft.opening.verdict;
    assert_eq!(verdict.word, hospitium_desk::VerdictWord::Covered, "{}", verdict.rule.words);
    let typed = verdict.rule.typed.clone().expect("typed");
    serde_json::from_value::<hospitium_model::standing::Ruling>(typed).expect("a ruling");
    assert_eq!(draft.opening.configuration.guest.as_str(), "Osa 5.2 (osa 5.2)");
    assert_eq!(draft.opening.configuration.features.len(), 2);
    let shown = ann.get(&page).await;
    assert!(!shown.text.contains("<script>"), "{}", shown.text);
    assert!(shown.text.contains("&#60;script&#62;"), "{}", shown.text);
    let offered = ann
        .post(
            &format!("{page}/offer"),
            &[("number", "G-8"), ("engineer", "Max <max@guest.example>")],
        )
        .await;
    assert_eq!(offered.status, StatusCode::SEE_OTHER, "{}", offered.text);
    let case = desk.office.store.load(&id).await.expect("loads").case().clone();
    assert_eq!((case.state.name(), case.numbers.submitter), ("offered", Some(words("G-8"))));
    // Sent twice, it is one case.
    let again = ann
        .post(
            &format!("{page}/offer"),
            &[("number", "G-9"), ("engineer", "Max <max@guest.example>")],
        )
        .await;
    assert_eq!(again.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_customer_opens_a_draft_from_a_machines_definition_and_an_engineer_offers_it() {
    let desk = DeskWorld::new().await;
    let pat = desk.signed("pat").await;
    let given = [
        ("to", "host.example"),
        ("summary", "it hangs"),
        ("description", "every night"),
        ("severity", "normal"),
        ("host", "vmmo 1"),
        ("guest", "osa 5.2"),
        ("customer", "Another Inc."),
        ("covers", "problem"),
        ("covers", "configuration"),
    ];
    let xml =
        b"<domain type='kvm'><name>x</name><memory unit='MiB'>512</memory><vcpu>2</vcpu></domain>";
    let got = pat.upload("/desk/open", &given, ("vm", "x.xml", xml)).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.text);
    let page = got.header("location").to_owned();
    let id: CaseId = page.rsplit('/').next().expect("an id").parse().expect("an id");
    let draft = desk.office.store.draft(&id).await.expect("read").expect("a draft");
    // In its own name, whatever the form says.
    assert_eq!(draft.opening.customer.name.as_str(), "Customer Inc.");
    assert_eq!(draft.opening.consent.as_ref().map(|given| given.by.as_str()), Some("pat Smith"));
    assert_eq!(draft.opening.configuration.vcpus, Some(2));
    assert!(pat.get(&page).await.text.contains("Nothing of it went out"));
    let offer: &[(&str, &str)] = &[("number", "G-8"), ("engineer", "Ann <ann@guest.example>")];
    assert_eq!(pat.post(&format!("{page}/offer"), offer).await.status, StatusCode::FORBIDDEN);
    let ann = desk.signed("ann").await;
    assert_eq!(ann.post(&format!("{page}/offer"), offer).await.status, StatusCode::SEE_OTHER);
    let good: Vec<(&str, &str)> =
        given.iter().copied().filter(|(name, _)| *name != "guest").collect();
    for (fields, file, why) in [
        (vec![], ("vm", "", b"".as_slice()), "Fill in guest and host"),
        (good, ("vm", "x.bin", b"\0\x01\x02".as_slice()), "cannot be read"),
    ] {
        let got = pat.upload("/desk/open", &fields, file).await;
        assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(got.text.contains(why), "{why}: {}", got.text);
    }
    let unknown = [("to", "third.example"), ("guest", "osa 5.2"), ("host", "vmmo 1")];
    let got = pat.upload("/desk/open", &unknown, ("vm", "", b"")).await;
    assert!(got.text.contains("is not known here"), "{}", got.text);
}

#[tokio::test]
async fn the_page_of_a_case_shows_what_can_be_done_and_why_the_rest_cannot() {
    let desk = DeskWorld::new().await;
    let ann = desk.signed("ann").await;
    let page = ann.get(&desk.page()).await.text;
    assert!(
        page.contains("Next to act: <strong class=\"foreign\">host.example</strong>"),
        "{page}"
    );
    assert!(
        page.contains("accept the case: <span class=\"muted foreign\">only the receiver can"),
        "{page}"
    );
    assert!(!page.contains("value=\"accepted\"") && page.contains("value=\"noted\""), "{page}");
    let refused =
        ann.post(&format!("{}/do", desk.page()), &[("deed", "answered"), ("text", "x")]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.text.contains("does not follow from this state"), "{}", refused.text);
    let queue = ann.get("/desk").await.text;
    assert!(queue.contains("With others to act") && queue.contains("acknowledgement"), "{queue}");
    let stranger = ann
        .post(
            &format!("{}/do", desk.page()),
            &[("deed", "assigned"), ("engineer", "X <x@other.example>")],
        )
        .await;
    assert!(stranger.text.contains("is not on the domain of guest.example"), "{}", stranger.text);
}

#[tokio::test]
async fn a_site_without_a_desk_has_none() {
    let world = world().await;
    for path in ["/desk", "/desk/sign-in", "/desk/audit"] {
        assert_eq!(world.get(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}
