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

mod cases;
mod customers;
mod drafts;
mod files;
mod forms;
mod programs;
mod signing_in;

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
        let party = office.party();
        office.store.offer(&draft, now, None, &party.record).await.expect("offered");
        let counter = Counter::new(Arc::clone(&office), tls, 1 << 20, Box::new(Vec::new));
        let site: Site = Arc::into_inner(world.site).expect("only one has it");
        world.site = Arc::new(site.with_counter(counter));
        Self { world, office, id, other }
    }

    /// The same where people may sign in by OpenID Connect.
    pub fn with_oidc(mut self, oidc: super::Oidc) -> Self {
        let office = Arc::clone(&self.office);
        let counter = Counter::new(office, false, 1 << 20, Box::new(Vec::new)).with_oidc(oidc);
        let site = Arc::into_inner(self.world.site).expect("only one has it");
        self.world.site = Arc::new(site.with_counter(counter));
        self
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
                let party = self.office.party();
                let posted = self.office.store.post(id, event, &party.record);
                posted.await.expect("posted");
            }
            Side::Receiver => {
                self.carry(id, &self.office, &self.other).await;
                let party = self.other.party();
                let posted = self.other.store.post(id, event, &party.record);
                posted.await.expect("posted");
                self.carry(id, &self.other, &self.office).await;
            }
        }
    }

    async fn carry(&self, id: &CaseId, from: &Office, to: &Office) {
        let keys = from.party().public.keys();
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

    pub fn token(&self) -> &Token {
        self.token.as_ref().expect("signed in")
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
        run: None,
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
