//! A party's desk, opened.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueHint};
use hospitium_desk::exchange::Thread;
use hospitium_desk::folder::Peer;
use hospitium_desk::store::{Store, StoreError};
use hospitium_desk::{CaseId, Line, PartyName, Vault};
use hospitium_ledger::{Party, PublicParty, VerifierKey};

use crate::failure::Usage;

/// Which desk, and who is at it.
#[derive(Debug, Clone, Args)]
pub struct DeskArguments {
    /// The party whose desk it is: its folder, with its keys, and in `peers` the party.toml of the others
    #[arg(long, value_name = "DIR", env = "HOSPITIUM_PARTY", value_hint = ValueHint::DirPath)]
    pub party: PathBuf,
    /// The desk's database: a file, or an address such as postgres://USER@HOST/NAME [default: desk/desk.db
    /// in the party's folder]
    #[arg(long, value_name = "FILE|URL", env = "HOSPITIUM_DESK", hide_env_values = true)]
    pub desk: Option<String>,
    /// Who does it; stands in the case, and the other vendor reads it
    #[arg(long, value_name = "NAME")]
    pub person: Option<Line>,
}

/// The desk of a party.
pub struct Place {
    /// The party with its keys.
    pub party: Party,
    /// Its name.
    pub us: PartyName,
    /// Where the desk keeps what is no row.
    pub folder: PathBuf,
    /// The cases.
    pub store: Store,
    /// The attachments.
    pub vault: Vault,
    /// The other parties that are known.
    pub peers: Vec<PublicParty>,
    /// Who is at the desk.
    pub person: Option<Line>,
}

impl Place {
    /// Opens the desk, or makes an empty one.
    pub async fn open(arguments: &DeskArguments) -> Result<Self> {
        let party = crate::party::open(&arguments.party)?;
        let us = party.public.name.parse().context("the party's name")?;
        let folder = arguments.party.join("desk");
        let vault = Vault::open(&folder.join("attachments"))?;
        let address = match &arguments.desk {
            Some(address) => address.clone(),
            None => {
                let path = folder.join("desk.db");
                path.to_str().map(str::to_owned).ok_or_else(|| {
                    Usage::error(
                        format!("the path {} is no UTF-8", path.display()),
                        "name the database: --desk FILE",
                    )
                })?
            }
        };
        let store = Store::open(&address).await.context("the desk's database cannot be opened")?;
        let peers = peers(&arguments.party.join("peers"), &us)?;
        Ok(Self { party, us, folder, store, vault, peers, person: arguments.person.clone() })
    }

    /// What is known of another party.
    pub fn peer(&self, name: &str) -> Result<&PublicParty> {
        self.peers.iter().find(|peer| peer.name == name).ok_or_else(|| {
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
    pub fn keys(&self, name: &PartyName) -> Vec<VerifierKey> {
        if *name == self.us {
            return self.party.public.keys();
        }
        let peer = self.peers.iter().find(|peer| peer.name == name.as_str());
        peer.map(PublicParty::keys).unwrap_or_default()
    }

    /// The case or draft that a person means.
    pub async fn find(&self, case: &str) -> Result<CaseId> {
        self.store.find(case).await.map_err(lookup)
    }

    /// The case that a person means, with all that was said of it.
    pub async fn load(&self, case: &str) -> Result<Thread> {
        let id = self.find(case).await?;
        self.store.load(&id).await.map_err(lookup)
    }
}

/// The other side of an exchange: of a peer, only the key that it signs with now.
pub fn exchange_peer(public: &PublicParty) -> Result<Peer> {
    let name = public.name.parse().context("the peer's name")?;
    Ok(Peer { name, keys: vec![public.record.clone()] })
}

fn peers(folder: &std::path::Path, us: &PartyName) -> Result<Vec<PublicParty>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    paths.sort();
    let mut peers: Vec<PublicParty> = Vec::new();
    for path in paths {
        let peer = PublicParty::read(&path).context("a peer cannot be read")?;
        let twice = peers.iter().any(|known| known.name == peer.name);
        if twice || peer.name == us.as_str() {
            return Err(Usage::error(
                format!("{} is of {}, which is there already", path.display(), peer.name),
                "keep one file for each other party, the one whose fingerprint was compared",
            ));
        }
        peers.push(peer);
    }
    Ok(peers)
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
