//! A party's desk, opened.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::{Args, ValueHint};
use hospitium_desk::exchange::Thread;
use hospitium_desk::store::StoreError;
use hospitium_desk::{CaseId, KnownPeer, Line, Office, PartyKeys, PartyName};

use crate::failure::Usage;
use crate::out::note;
use crate::view::safe;

/// Which desk, and who is at it.
#[derive(Debug, Clone, Args)]
pub struct DeskArguments {
    /// The party whose desk it is: its folder, with its keys, and in `peers` the party.toml of the others
    #[arg(long, value_name = "DIR", env = "HOSPITIUM_PARTY", value_hint = ValueHint::DirPath)]
    pub party: PathBuf,
    /// The desk's database: a file, or an address such as postgres://USER@HOST/NAME [default: desk/desk.db
    /// in the party's folder]
    #[arg(
        long,
        value_name = "FILE|URL",
        alias = "desk",
        env = "HOSPITIUM_DESK",
        hide_env_values = true
    )]
    pub desk_db: Option<String>,
    /// Who does it; stands in the case, and the other vendor reads it
    #[arg(long, value_name = "NAME")]
    pub person: Option<Line>,
}

/// The desk of a party.
pub struct Place {
    /// Its keys, cases and attachments.
    pub office: Arc<Office>,
    /// The other parties that are known.
    pub peers: Vec<KnownPeer>,
    /// Who is at the desk.
    pub person: Option<Line>,
}

impl Place {
    /// Opens the desk, or makes an empty one.
    pub async fn open(arguments: &DeskArguments) -> Result<Self> {
        let office = open(&arguments.party, arguments.desk_db.as_deref()).await?;
        let (peers, troubles) = office.peers_and_troubles();
        for trouble in &troubles {
            note!("note: a party is left out: {}", safe(&hospitium_model::chain(trouble)));
        }
        Ok(Self { office: Arc::new(office), peers, person: arguments.person.clone() })
    }

    /// What is known of another party.
    pub fn peer(&self, name: &str) -> Result<&KnownPeer> {
        self.peers.iter().find(|peer| peer.name.as_str() == name).ok_or_else(|| {
            let known: Vec<_> = self.peers.iter().map(|peer| peer.name.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Usage::error(
                format!("the party {name} is not known here (known: {known})"),
                "get its party.toml, compare the fingerprint by voice (`hospitium party show FILE`), \
                 and put it into peers in the party's folder",
            )
        })
    }

    /// The keys of a party that signed records for it, now or before: ours, or a peer's.
    pub fn keys(&self, name: &PartyName) -> PartyKeys {
        self.office.keys(&self.peers, name)
    }

    /// The case or draft that a person means.
    pub async fn find(&self, case: &str) -> Result<CaseId> {
        self.office.store.find(case).await.map_err(lookup)
    }

    /// The case that a person means, with all that was said of it.
    pub async fn load(&self, case: &str) -> Result<Thread> {
        let id = self.find(case).await?;
        self.office.store.load(&id).await.map_err(lookup)
    }
}

/// Opens a party's desk.
pub async fn open(party: &std::path::Path, database: Option<&str>) -> Result<Office> {
    Ok(Office::open(party, database).await?)
}

/// A case that is not found, with what to do.
fn lookup(error: StoreError) -> anyhow::Error {
    let next = match &error {
        StoreError::NoCase(_) => "list the cases: hospitium case list",
        StoreError::Several { .. } => "give more digits of the id",
        StoreError::Draft(_) => "offer it first: hospitium case offer CASE",
        _ => return error.into(),
    };
    Usage::error(error.to_string(), next)
}
