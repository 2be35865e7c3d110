//! A party's desk as a folder: its keys, its cases, its attachments, and the other parties that it knows.
//!
//! ```text
//! PARTY/              the party's folder, with its keys
//! PARTY/peers/        the other parties
//! PARTY/desk/         desk.db, attachments, inbox, outbox
//! PARTY/desk/bell     touched when there is something new to be sent
//! ```

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hospitium_ledger::{Party, PartyError, PublicParty};

use crate::peers::{KnownPeer, PartyKeys, PeersError, read_peers};
use crate::store::{Store, StoreError};
use crate::text::{PartyName, TextError};
use crate::vault::{Vault, VaultError};

/// Why a desk cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OfficeError {
    /// The party's folder.
    #[error("the party {path} cannot be used", path = path.display())]
    Party {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: PartyError,
    },
    /// The party's name.
    #[error("the party's name names no party")]
    Name(#[from] TextError),
    /// The attachments.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The database.
    #[error("the desk's database cannot be opened")]
    Store(#[from] StoreError),
    /// A path that no database can have.
    #[error("the path {0} is no UTF-8; name the database by --desk FILE")]
    Path(PathBuf),
}

/// The party as it was read, and from what.
#[derive(Debug)]
struct Keys {
    folder: PathBuf,
    read: Arc<Party>,
    /// The public part of that moment: whatever changes a key writes it anew.
    of: PublicParty,
}

/// A party's desk, opened.
#[derive(Debug)]
pub struct Office {
    keys: Mutex<Keys>,
    /// Files of other parties that cannot be read, as they were told.
    told: Mutex<BTreeSet<String>>,
    /// Its name.
    pub us: PartyName,
    /// Where the desk keeps what is no row.
    pub folder: PathBuf,
    /// The folder of the other parties.
    pub known: PathBuf,
    /// The cases.
    pub store: Store,
    /// The attachments.
    pub vault: Vault,
}

impl Office {
    /// Opens the desk of a party's folder, or makes an empty one. The database is `desk/desk.db` there unless another
    /// is named.
    ///
    /// # Errors
    /// If the party's keys, the folder or the database cannot be used.
    pub async fn open(party: &Path, database: Option<&str>) -> Result<Self, OfficeError> {
        let (path, known) = (party.to_owned(), party.join("peers"));
        let folder = party.join("desk");
        let read = Party::open(party)
            .map_err(|source| OfficeError::Party { path: path.clone(), source })?;
        let us = read.public.name.parse()?;
        let keys = Keys { folder: path, of: read.public.clone(), read: Arc::new(read) };
        let vault = Vault::open(&folder.join("attachments"))?;
        let file = folder.join("desk.db");
        let address = match database {
            Some(address) => address.to_owned(),
            None => file.to_str().map(str::to_owned).ok_or(OfficeError::Path(file))?,
        };
        let store = Store::open(&address).await?;
        let (keys, told) = (Mutex::new(keys), Mutex::default());
        Ok(Self { keys, told, us, folder, known, store, vault })
    }

    /// The party with the keys that it has now: `party rekey` changes them while a server runs.
    pub fn party(&self) -> Arc<Party> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let now = PublicParty::read(&keys.folder);
        if now.as_ref().is_ok_and(|now| *now == keys.of) {
            return Arc::clone(&keys.read);
        }
        let anew = now.and_then(|of| Ok((Party::open(&keys.folder)?, of)));
        match anew {
            Ok((read, of)) if read.public == of && of.name == self.us.as_str() => {
                (keys.read, keys.of) = (Arc::new(read), of);
            }
            // In the middle of a change; the next one who asks looks again.
            Ok(_) => {}
            Err(error) => {
                tracing::error!(
                    "the party's keys cannot be read anew: {}",
                    hospitium_model::chain(&error)
                );
            }
        }
        Arc::clone(&keys.read)
    }

    /// The other parties that are known now. One whose file cannot be read is left out, and told.
    ///
    /// # Errors
    /// Never now: kept for desks whose parties are elsewhere.
    pub fn peers(&self) -> Result<Vec<KnownPeer>, PeersError> {
        let (peers, troubles) = self.peers_and_troubles();
        // Said once, and again after it was mended in between.
        let now: BTreeSet<String> =
            troubles.iter().map(|trouble| hospitium_model::chain(trouble)).collect();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for trouble in now.difference(&told) {
            tracing::warn!("a party is left out: {trouble}");
        }
        *told = now;
        Ok(peers)
    }

    /// The same with what is wrong with the files of those that are left out.
    pub fn peers_and_troubles(&self) -> (Vec<KnownPeer>, Vec<PeersError>) {
        read_peers(&self.known, &self.us)
    }

    /// The keys of a party that signed for it, now or before: ours, or another's that is known.
    pub fn keys(&self, peers: &[KnownPeer], name: &PartyName) -> PartyKeys {
        if *name == self.us {
            return PartyKeys::of(&self.party().public);
        }
        peers.iter().find(|peer| peer.name == *name).map(KnownPeer::keys).unwrap_or_default()
    }

    /// The file that is touched when there is something new to be sent.
    pub fn bell(&self) -> PathBuf {
        self.folder.join("bell")
    }

    /// Tells a server of this desk that there is something new to be sent. Without one, the next exchange sends it.
    pub fn ring(&self) {
        // It is only a hint: whatever is due stands in the database.
        if let Err(error) = std::fs::write(self.bell(), b"") {
            tracing::debug!("the desk's bell cannot be rung: {error}");
        }
    }
}
