//! Two desks in this process, each with a database in a file, that call each other over the loopback interface: how many
//! events they exchange in a second, and how long the page of a long case takes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use hospitium_catalog::Catalog;
use hospitium_desk::sample::{accepted, opening, started};
use hospitium_desk::{
    Account, CaseId, Deed, DeskAddress, Draft, Event, Office, Opening, Role, Visibility,
};
use hospitium_desk_http::{Bell, Limits, Server, exchange_with, routes};
use hospitium_ledger::{Algorithm, Party};
use hospitium_products::Builder;
use hospitium_web::{Counter, Site, Sources, serve};
use jiff::Timestamp;

use crate::times::Times;
use crate::{Measured, http, page};

/// The largest attachment.
const LARGEST: u64 = 1 << 30;
/// So many cases, each with so many events of each side that the other has not got.
const WAITING: [(u8, usize); 3] = [(200, 1), (50, 10), (1, 250)];
/// Events of the case whose page is asked for.
const EVENTS: usize = 500;
/// How often it is asked for.
const REQUESTS: usize = 100;

/// Two desks that know each other.
pub struct Desks {
    /// The one that opens cases.
    pub submitter: Arc<Office>,
    /// The one that takes them.
    pub receiver: Arc<Office>,
}

impl Desks {
    /// Makes them, in folders of their names.
    pub async fn new(folder: &Path) -> Result<Self> {
        let parties = opening().parties;
        let names = [parties.submitter.to_string(), parties.receiver.to_string()];
        let home = |name: &str| folder.join(name);
        for name in &names {
            Party::init(&home(name), name, Algorithm::Ed25519)?;
        }
        let [one, other] = &names;
        for (us, them) in [(one, other), (other, one)] {
            let peers = home(us).join("peers");
            std::fs::create_dir_all(&peers)?;
            std::fs::copy(home(them).join("party.toml"), peers.join(format!("{them}.toml")))?;
        }
        let office =
            async |name: &str| Ok::<_, anyhow::Error>(Office::open(&home(name), None).await?);
        let (submitter, receiver) = (Arc::new(office(one).await?), Arc::new(office(other).await?));
        Ok(Self { submitter, receiver })
    }

    /// Offers a case of this number.
    pub async fn offer(&self, number: u8) -> Result<CaseId> {
        let id = CaseId::from_bytes([number; 16]);
        let opening = Opening { id: id.clone(), ..opening() };
        let now = Timestamp::now();
        let draft = Draft { opening, files: Vec::new(), opened: now, person: None };
        let office = &self.submitter;
        office.store.offer(&draft, now, None, &office.party().record).await?;
        Ok(id)
    }

    /// The receiver accepts a case and begins to work on it.
    pub async fn accept(&self, id: &CaseId) -> Result<()> {
        for (_, deed) in [accepted(), started()] {
            post(&self.receiver, id, deed).await?;
        }
        Ok(())
    }

    /// The submitter calls the receiver at this address.
    async fn exchange(&self, address: &DeskAddress) -> Result<usize> {
        let peers = self.submitter.peers()?;
        let known = peers.iter().find(|peer| peer.name == self.receiver.us);
        let peer = known.context("the other desk is not known")?.exchange();
        let done = exchange_with(&self.submitter, &peer, address, true, LARGEST).await?;
        ensure!(done.refused.is_empty(), "refused: {}", done.refused.join("; "));
        Ok(done.sent + done.taken)
    }

    /// Whether both have the same of a case, and know it of each other.
    async fn same(&self, id: &CaseId) -> Result<bool> {
        let (one, other) =
            (self.submitter.store.load(id).await?, self.receiver.store.load(id).await?);
        let settled = [&one, &other].iter().all(|thread| thread.outgoing().messages.is_empty());
        Ok(settled && one.case() == other.case())
    }
}

/// Does something at a desk.
pub async fn post(office: &Office, id: &CaseId, deed: Deed) -> Result<()> {
    let event =
        Event { at: Timestamp::now(), by: office.store.load(id).await?.us(), person: None, deed };
    office.store.post(id, event, &office.party().record).await?;
    Ok(())
}

fn note(number: usize) -> Result<Deed> {
    let text =
        format!("The trace of attempt {number} shows the same: the guest's clock is 7 s behind.");
    Ok(Deed::Noted { visibility: Visibility::Both, text: text.parse()? })
}

/// An account of an engineer who is signed in: the login, and the cookie of the session.
pub async fn engineer(office: &Office) -> Result<(String, hospitium_desk::store::Token)> {
    let account = Account {
        login: "ann".parse()?,
        role: Role::Engineer,
        name: "Ann Smith".parse()?,
        address: Some(format!("ann@{}", office.us).parse()?),
        customer: None,
    };
    let hash = hospitium_desk::hash_password("correct horse battery")?;
    office.store.add_account(&account, &hash).await?;
    let token = office.store.begin_session(&account.login, Timestamp::now()).await?;
    Ok((format!("cookie: desk={}\r\n", token.as_str()), token))
}

/// A desk that is served in this process until it is dropped.
struct Serving {
    address: String,
    end: Option<tokio::sync::oneshot::Sender<()>>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            let _ = end.send(());
        }
    }
}

async fn served(office: &Arc<Office>) -> Result<Serving> {
    // The desk needs none of them.
    let products = Builder::empty().finish()?;
    let sources = Sources {
        products,
        agreements: Vec::new(),
        logs: Vec::new(),
        evidence: Vec::new(),
        runs: None,
        as_of: None,
        base: None,
    };
    let limits = Limits { attachment: LARGEST, ..Limits::default() };
    let server = Server::new(Arc::clone(office), Bell::default(), Bell::default(), limits);
    let counter = Counter::new(Arc::clone(office), false, LARGEST, Box::new(Vec::new));
    let site = Site::new(Catalog::open("sqlite::memory:").await?, sources)
        .beside(routes(Arc::new(server)))
        .with_counter(counter);
    let listener = serve::listen("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let (end, told) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(serve::serve(listener, Arc::new(site), Default::default(), async {
        let _ = told.await;
    }));
    Ok(Serving { address, end: Some(end) })
}

fn scratch(name: &str) -> Result<PathBuf> {
    let scratch = xtask::setup::cache()?.join("bench").join(name);
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch)?;
    }
    std::fs::create_dir_all(&scratch)?;
    Ok(scratch)
}

fn on_runtime<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

/// Exchanges events; writes the numbers into the page.
pub fn exchange() -> Result<()> {
    let mut measured = Vec::new();
    for (cases, events) in WAITING {
        measured.push(on_runtime(exchanged(cases, events))?);
    }
    page::show(&measured);
    page::write("exchange", &measured, None)
}

async fn exchanged(cases: u8, events: usize) -> Result<Measured> {
    let scratch = scratch("exchange")?;
    let desks = Desks::new(&scratch).await?;
    let serving = served(&desks.receiver).await?;
    let address: DeskAddress = format!("http://{}", serving.address).parse()?;
    let mut ids = Vec::new();
    for number in 1..=cases {
        ids.push(desks.offer(number).await?);
    }
    desks.exchange(&address).await?;
    for id in &ids {
        desks.accept(id).await?;
    }
    desks.exchange(&address).await?;
    let began = Instant::now();
    for id in &ids {
        for number in 0..events {
            for office in [&desks.submitter, &desks.receiver] {
                post(office, id, note(number)?).await?;
            }
        }
    }
    let all = 2 * events * ids.len();
    let posted = all as f64 / began.elapsed().as_secs_f64();
    let began = Instant::now();
    let moved = desks.exchange(&address).await?;
    let took = began.elapsed().as_secs_f64();
    ensure!(moved >= all, "only {moved} of {all} events were exchanged");
    for id in &ids {
        ensure!(desks.same(id).await?, "the desks have not got the same of {id}");
    }
    drop(serving);
    std::fs::remove_dir_all(&scratch)?;
    let rate = all as f64 / took;
    Ok(Measured {
        what: format!("events exchanged by two desks over HTTP, {cases} cases with {events} of each side"),
        ours: format!("{rate:.0} events/s"),
        other: format!("{posted:.0} events/s for saying them at their own desks, one after the other"),
        ratio: rate / posted.max(1e-6),
        bar: "≥ 1,000 events/s",
        reached: rate >= 1_000.0,
        bound: "what is received is on the medium before its receipt goes out; a case is replayed for each parcel".into(),
    })
}

/// Asks for the page of a long case; writes the number into the page.
pub fn case_page() -> Result<()> {
    let measured = [on_runtime(paged())?];
    page::show(&measured);
    page::write("case-page", &measured, None)
}

async fn paged() -> Result<Measured> {
    let scratch = scratch("case-page")?;
    let desks = Desks::new(&scratch).await?;
    let serving = served(&desks.receiver).await?;
    let address: DeskAddress = format!("http://{}", serving.address).parse()?;
    let id = desks.offer(1).await?;
    desks.exchange(&address).await?;
    desks.accept(&id).await?;
    let known = desks.receiver.store.load(&id).await?;
    let known = known.chains().submitter.len() + known.chains().receiver.len();
    for number in 0..EVENTS.saturating_sub(known) {
        let office = if number % 2 == 0 { &desks.submitter } else { &desks.receiver };
        post(office, &id, note(number)?).await?;
    }
    desks.exchange(&address).await?;
    ensure!(desks.same(&id).await?, "the desks have not got the same");
    let (cookie, _) = engineer(&desks.receiver).await?;
    let (mut times, mut loads) = (Times::default(), Times::default());
    let mut size = 0;
    for _ in 0..REQUESTS {
        let began = Instant::now();
        let answer = http::get(&serving.address, &format!("/desk/cases/{id}"), &cookie).await?;
        times.push(began.elapsed());
        ensure!(answer.status == 200, "the page is answered with {}", answer.status);
        size = answer.body;
        let began = Instant::now();
        let thread = desks.receiver.store.load(&id).await?;
        loads.push(began.elapsed());
        let (one, other) = (thread.chains().submitter.len(), thread.chains().receiver.len());
        ensure!(one + other == EVENTS, "the case has {} events", one + other);
    }
    drop(serving);
    std::fs::remove_dir_all(&scratch)?;
    let (median, loaded) = (times.median(), loads.median());
    Ok(Measured {
        what: format!(
            "the page of a case with {EVENTS} events, {} KiB, over HTTP (median of {REQUESTS}; p99 {:.1} ms)",
            size >> 10,
            times.percentile(99)
        ),
        ours: format!("{median:.1} ms"),
        other: format!("{loaded:.1} ms for reading and replaying the case alone"),
        ratio: median / loaded.max(1e-6),
        bar: "< 30 ms",
        reached: median < 30.0,
        bound: "the replay of the case, and its timeline as HTML".into(),
    })
}
