//! `hospitium serve`: the catalog as a web site.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Args, ValueHint};
use hospitium_desk::Office;
use hospitium_desk::sign_in::{FILE as OIDC, Provider};
use hospitium_desk_http::notify::{Notify, run as notices};
use hospitium_desk_http::{
    Bell, Contacts, Limits as DeskLimits, Server, routes as desk_routes, run as courier,
};
use hospitium_web::{Connections, Counter, Heads, Oidc, Site, Sources, renew, serve as server};
use jiff::civil::Date;

use crate::deals;
use crate::failure::{End, Usage};
use crate::logs::{LogArguments, OwnParty, asked_of, of_sources, open, sources};
use crate::out::{note, out};
use crate::product::SourceArguments;
use crate::view::safe;

#[derive(Debug, Args)]
pub struct ServeArguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8600")]
    pub listen: String,
    #[command(flatten)]
    pub own: OwnParty,
    #[command(flatten)]
    pub site: SiteArguments,
    /// Connections at once, in all; no more than half of the descriptors that a process may have
    #[arg(long, value_name = "COUNT", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,
    /// Of these, of one address; behind a proxy, all come from its one
    #[arg(long, value_name = "COUNT", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..))]
    pub connections_per_address: u32,
    /// The site's address as the world sees it, for feeds and badges
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub base: Option<String>,
    #[command(flatten)]
    pub federation: crate::federation::FederationArguments,
    #[command(flatten)]
    pub desk: DeskOptions,
    /// The folder of runs, of which those that go on are shown as they go
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub runs: Option<PathBuf>,
}

/// A support desk that is served beside the site.
#[derive(Debug, Args)]
pub struct DeskOptions {
    /// The party whose support desk is served: its folder, with its keys, and in `peers` the other parties. Their desks
    /// bring and fetch cases under /exchange/; theirs are called where they have an address (`case peer`)
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub desk: Option<PathBuf>,
    /// The desk's database: a file, or an address such as postgres://USER@HOST/NAME [default: desk/desk.db
    /// in the party's folder]
    #[arg(long, value_name = "FILE|URL", env = "HOSPITIUM_DESK", hide_env_values = true)]
    pub desk_db: Option<String>,
    /// The largest attachment that is exchanged over HTTP, in MiB; a larger one can be carried as a file
    #[arg(long, value_name = "MIB", default_value_t = 4096, requires = "desk",
          value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub largest_attachment: u32,
}

/// A desk that is served.
struct Desk {
    office: Arc<Office>,
    /// Rung when there is something to be sent, and when something came.
    bells: [Bell; 2],
    notify: Notify,
    contacts: Contacts,
    limits: DeskLimits,
    /// Sign-in by OpenID Connect, until the pages have it.
    oidc: Option<Oidc>,
}

/// Sign-in by OpenID Connect, if the desk's folder says so.
fn oidc(folder: &std::path::Path, base: Option<&str>) -> Result<Option<Oidc>> {
    let Some(provider) = Provider::read(folder)? else { return Ok(None) };
    let Some(base) = base else {
        return Err(Usage::error(
            format!(
                "{} needs the address to which browsers come back",
                folder.join(OIDC).display()
            ),
            "say how browsers see this server: --base https://HOST",
        ));
    };
    let next = "put the client's secret there, as the provider gave it";
    let secret = provider.secret();
    let secret = secret.map_err(|error| Usage::error(hospitium_model::chain(&error), next))?;
    Ok(Some(Oidc::new(provider, secret, base)?))
}

impl DeskOptions {
    async fn open(self, base: Option<&str>) -> Result<Option<Desk>> {
        let Some(folder) = self.desk else { return Ok(None) };
        let office = Arc::new(crate::case::open_desk(&folder, self.desk_db.as_deref()).await?);
        let attachment = u64::from(self.largest_attachment) << 20;
        let limits = DeskLimits { attachment, ..DeskLimits::default() };
        note!("the desk of {} is at /desk, and called by other desks under /exchange/", office.us);
        let notify = Notify::read(&office.folder)?;
        let oidc = oidc(&office.folder, base)?;
        let (bells, contacts) = (Default::default(), Contacts::default());
        Ok(Some(Desk { office, bells, notify, contacts, limits, oidc }))
    }
}

impl Desk {
    fn routes(&self) -> hospitium_federation::Router {
        let [bell, news] = self.bells.clone();
        let server = Server::new(Arc::clone(&self.office), bell, news, self.limits);
        desk_routes(Arc::new(server))
    }

    /// Its pages.
    fn counter(&mut self, tls: bool) -> Counter {
        let contacts = self.contacts.clone();
        let troubles = move || {
            let all = contacts.all().into_iter();
            all.filter_map(|(name, contact)| Some((name.to_string(), contact.trouble?))).collect()
        };
        let largest = self.limits.attachment;
        let counter = Counter::new(Arc::clone(&self.office), tls, largest, Box::new(troubles));
        match self.oidc.take() {
            Some(oidc) => counter.with_oidc(oidc),
            None => counter,
        }
    }

    /// Calls the other desks, and tells of what happens, until the site closes.
    fn start(self, base: Option<String>, closing: tokio::sync::watch::Receiver<bool>) {
        let Self { office, bells, notify, contacts, limits, oidc: _ } = self;
        let tell = |words: &str| note!("{}", safe(words));
        if !notify.is_empty() {
            let (office, bells) = (Arc::clone(&office), bells.clone());
            tokio::spawn(notices(office, notify, bells, base, closing.clone(), tell));
        }
        let courier = courier(office, bells, contacts, limits.attachment, closing, tell);
        tokio::spawn(courier);
    }
}

/// What a site is made from.
#[derive(Debug, Clone, Args)]
pub struct SiteArguments {
    /// The catalog: a file, or an address [default: what the configuration says, else one made on the spot from
    /// the logs]
    #[arg(long, value_name = "FILE|URL", env = "HOSPITIUM_CATALOG", hide_env_values = true)]
    pub db: Option<String>,
    #[command(flatten)]
    pub logs: LogArguments,
    /// An agreement: a file, or one that the configuration has; may be given several times [default: all that the
    /// configuration has]
    #[arg(long, value_hint = ValueHint::FilePath, value_name = "AGREEMENT")]
    pub agreement: Vec<String>,
    /// Evidence to hold certificates against: a bundle, or a folder of bundles or runs; may be given
    /// several times
    #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub evidence: Vec<PathBuf>,
    /// The day for which it holds [default: today, UTC]
    #[arg(long, value_name = "DATE", value_parser = hospitium_model::asked_day)]
    pub as_of: Option<Date>,
    #[command(flatten)]
    pub sources: SourceArguments,
}

impl SiteArguments {
    /// Opens everything that is named.
    pub async fn open(self, base: Option<String>, runs: Option<PathBuf>) -> Result<Site> {
        let Self { db, logs, agreement, evidence, as_of, sources: products } = self;
        for folder in evidence.iter().chain(&runs) {
            if !folder.exists() {
                return Err(Usage::error(
                    format!("there is no {}", folder.display()),
                    "name a folder that is there; `hospitium run` makes runs/",
                ));
            }
        }
        let products = products.load()?;
        let agreements = deals::open_all(agreement)?;
        let at_hand = sources(&logs)?;
        // With a catalog that is named, logs are shown beside it.
        let catalog = match db.or_else(|| asked_of(None, &logs)) {
            Some(db) => open(&db).await?,
            None => {
                if at_hand.is_empty() {
                    note!(
                        "note: neither a catalog (--db) nor a log (--log) is named, so there are no \
                         records; `hospitium catalog rebuild --log DIR` makes a catalog"
                    );
                }
                of_sources(&at_hand).await?
            }
        };
        let site = Site::new(
            catalog,
            Sources { products, agreements, logs: at_hand, evidence, runs, as_of, base },
        );
        site.view().await.context("the catalog cannot be read")?;
        Ok(site)
    }
}

/// Whether passwords would go over a network as they are: others reach the address, and nobody said how.
fn in_the_clear(listens: std::net::IpAddr, base: Option<&str>) -> bool {
    !listens.to_canonical().is_loopback() && base.is_none()
}

/// `hospitium serve`.
pub async fn serve(arguments: ServeArguments) -> Result<End> {
    let ServeArguments {
        listen,
        site,
        base,
        own: _,
        federation,
        desk,
        runs,
        connections,
        connections_per_address,
    } = arguments;
    let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    let limits = Connections {
        in_all: count(connections),
        per_address: count(connections_per_address),
        ..Connections::default()
    };
    let base = base.map(|base| base.trim_end_matches('/').to_owned());
    let listener = server::listen(&listen).await?;
    let address = listener.local_addr().context("the address listened on is not known")?;
    if desk.desk.is_some() && in_the_clear(address.ip(), base.as_deref()) {
        return Err(Usage::error(
            format!(
                "the desk would take passwords in the clear on {address}: the address is not of this computer alone, and \
                 the server speaks no TLS"
            ),
            "listen on 127.0.0.1 behind a server that speaks TLS, and say so: --base https://HOST; on a closed network \
             without TLS: --base http://HOST",
        ));
    }
    let mut beside = federation.open(desk.desk.as_deref())?;
    let mut desk = desk.open(base.as_deref()).await?;
    if let Some(desk) = &desk {
        beside = beside.merge(desk.routes());
    }
    if desk.is_some() && base.as_ref().is_some_and(|base| base.starts_with("http://")) {
        note!(
            "warning: passwords of the desk go over http:// in the clear, where others may read them"
        );
    }
    let tls = base.as_ref().is_some_and(|base| base.starts_with("https://"));
    // A catalog that was made on the spot is nobody else's to renew.
    let renews = site.db.is_none() && !site.logs.log.is_empty();
    let mut site = site.open(base.clone(), runs).await?.beside(beside);
    if let Some(desk) = &mut desk {
        site = site.with_counter(desk.counter(tls));
    }
    let site = Arc::new(site);
    if renews {
        // What came while the catalog was made is not in it: the first look takes in whatever there is.
        let tell = |taken| match taken {
            Ok(taken) => drop(crate::logs::tell(&taken)),
            Err(error) => {
                note!("warning: the logs are not taken in anew: {}", safe(&format!("{error}")))
            }
        };
        let renewed = renew(Arc::clone(&site), Heads::default(), crate::logs::look, tell);
        tokio::spawn(renewed);
    }
    if let Some(desk) = desk {
        desk.start(base, site.closing());
    }
    out!("http://{}/", safe(&address.to_string()));
    note!("Ctrl-C ends it");
    let end = async {
        let mut terminated =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            () = async {
                match &mut terminated {
                    Ok(signal) => { signal.recv().await; }
                    Err(_) => std::future::pending().await,
                }
            } => {}
        }
    };
    server::serve(listener, site, limits, end).await;
    Ok(End::Good)
}

#[cfg(test)]
mod tests {
    use super::in_the_clear;

    #[test]
    fn a_desk_that_others_reach_needs_to_be_told_how_they_reach_it() {
        for (listens, base, clear) in [
            ("127.0.0.1", None, false),
            ("127.3.2.1", None, false),
            ("::1", None, false),
            ("::ffff:127.0.0.1", None, false),
            ("0.0.0.0", None, true),
            ("::", None, true),
            ("192.0.2.7", None, true),
            ("0.0.0.0", Some("https://desk.example"), false),
            ("192.0.2.7", Some("http://desk.example"), false),
        ] {
            let address = listens.parse().expect("an address");
            assert_eq!(in_the_clear(address, base), clear, "{listens} {base:?}");
        }
    }
}
