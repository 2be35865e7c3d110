//! `hospitium serve`: the catalog as a web site.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Args, ValueHint};
use hospitium_web::{Connections, Site, Sources, serve as server};
use jiff::civil::Date;

use crate::agreement;
use crate::catalog::{LogArguments, USUAL, of_sources, open, sources};
use crate::failure::{End, Usage};
use crate::out::{note, out};
use crate::product::SourceArguments;
use crate::view::safe;

#[derive(Debug, Args)]
pub struct ServeArguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8600")]
    pub listen: String,
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
    /// The folder of runs, of which those that go on are shown as they go
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub runs: Option<PathBuf>,
}

/// What a site is made from.
#[derive(Debug, Clone, Args)]
pub struct SiteArguments {
    /// The catalog: a file, or an address [default: one made on the spot from the logs given; without
    /// any, catalog.db]
    #[arg(long, value_name = "FILE|URL", env = "HOSPITIUM_CATALOG", hide_env_values = true)]
    pub db: Option<String>,
    #[command(flatten)]
    pub logs: LogArguments,
    /// An agreement: a file or a name; may be given several times [default: all of ./agreements]
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
        let agreements = agreement::open_all(agreement)?;
        let at_hand = sources(&logs)?;
        let usual = || at_hand.is_empty() && Path::new(USUAL).is_file();
        let catalog = match db.or_else(|| usual().then(|| USUAL.to_owned())) {
            Some(db) => open(&db).await?,
            None => {
                if at_hand.is_empty() {
                    note!(
                        "note: neither a catalog (--db) nor a log (--log) is named, so there are no \
                         records; `hospitium catalog build --log DIR` makes a catalog"
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

/// `hospitium serve`.
pub async fn serve(arguments: ServeArguments) -> Result<End> {
    let ServeArguments {
        listen,
        site,
        base,
        federation,
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
    let beside = federation.open()?;
    let site = Arc::new(site.open(base, runs).await?.beside(beside));
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
