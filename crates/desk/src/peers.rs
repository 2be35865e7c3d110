//! The other parties that a desk exchanges with: who they are, and where their desks are called.
//!
//! ```text
//! PARTY/peers/NAME.toml, or PARTY/peers/NAME/party.toml   the party, as a person compared it by voice
//! PARTY/peers/NAME/desk.toml                              where its desk is called, if it can be
//! ```

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use hospitium_files::{Access, replace_durably};
use hospitium_ledger::{PartyError, PublicParty, VerifierKey};
use serde::{Deserialize, Serialize};

use crate::folder::Peer;
use crate::text::PartyName;

/// The most bytes of `desk.toml`.
const LIMIT: u64 = 16 << 10;
/// The most parties that are read.
const MOST: usize = 1_000;

/// Why the other parties cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// The system refused.
    #[error("cannot {doing} {path}", path = path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A party's file.
    #[error("{path} names no party", path = path.display())]
    Party {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Box<PartyError>,
    },
    /// Two files of one party, or one of ours.
    #[error(
        "{path} is of {name}, which is there already; keep one file for each other party, the one whose \
         fingerprint was compared",
        path = path.display()
    )]
    Twice {
        /// Which.
        path: PathBuf,
        /// Whose.
        name: String,
    },
    /// A `desk.toml` that cannot be read.
    #[error("{path} does not say where a desk is: {why}", path = path.display())]
    Form {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// No address.
    #[error(
        "{0:?} is no address of a desk; it looks like https://desk.vendor.example, and http:// is taken for this \
         computer only"
    )]
    Address(String),
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PeersError {
    let path = path.to_owned();
    move |source| PeersError::Io { doing, path, source }
}

/// Where another party's desk is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
pub struct DeskAddress {
    url: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    address: String,
}

impl TryFrom<Form> for DeskAddress {
    type Error = PeersError;

    fn try_from(form: Form) -> Result<Self, PeersError> {
        form.address.parse()
    }
}

impl From<DeskAddress> for Form {
    fn from(address: DeskAddress) -> Self {
        Self { address: address.url }
    }
}

impl std::str::FromStr for DeskAddress {
    type Err = PeersError;

    /// A case is confidential: without TLS, only this computer is called.
    fn from_str(text: &str) -> Result<Self, PeersError> {
        let wrong = || PeersError::Address(hospitium_model::printable(text, 200));
        let url = text.trim().trim_end_matches('/');
        let (rest, tls) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (rest, true),
            (_, Some(rest)) => (rest, false),
            _ => return Err(wrong()),
        };
        let host = rest.split('/').next().unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]/~%".contains(c);
        let name = host.rsplit_once(':').map_or(host, |(name, port)| match port.parse::<u16>() {
            Ok(_) => name,
            Err(_) => host,
        });
        let here = matches!(name, "localhost" | "127.0.0.1" | "[::1]");
        if name.is_empty() || url.len() > 200 || !rest.chars().all(plain) || !(tls || here) {
            return Err(wrong());
        }
        Ok(Self { url: url.to_owned() })
    }
}

impl DeskAddress {
    /// The address, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Another party, as it is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPeer {
    /// Its name.
    pub name: PartyName,
    /// Its public part.
    pub public: PublicParty,
    /// Where its desk is called; nothing if it calls, or if files are carried.
    pub address: Option<DeskAddress>,
}

impl KnownPeer {
    /// For an exchange: of its keys, only the one that it signs with now.
    pub fn exchange(&self) -> Peer {
        Peer { name: self.name.clone(), keys: vec![self.public.record.clone()] }
    }

    /// The keys that sign for it, or did.
    pub fn keys(&self) -> PartyKeys {
        PartyKeys::of(&self.public)
    }
}

/// The keys of a party for records. Those that it gave up bear out what was known before, and nothing new.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartyKeys {
    /// The one that signs for it now; none if the party is not known.
    pub now: Vec<VerifierKey>,
    /// Those that it gave up.
    pub before: Vec<VerifierKey>,
}

impl PartyKeys {
    /// Of a party.
    pub fn of(public: &PublicParty) -> Self {
        let retired = public.retired.iter().map(|retired| retired.key.clone());
        Self { now: vec![public.record.clone()], before: retired.collect() }
    }
}

/// Reads the parties that are known, in the order of their names. No folder is none. A file that cannot be read leaves its
/// party out, and no other.
pub fn read_peers(folder: &Path, us: &PartyName) -> (Vec<KnownPeer>, Vec<PeersError>) {
    let (mut peers, mut troubles): (Vec<KnownPeer>, Vec<PeersError>) = (Vec::new(), Vec::new());
    let Ok(entries) = fs::read_dir(folder) else { return (peers, troubles) };
    let mut paths: Vec<_> = entries.flatten().take(MOST).map(|entry| entry.path()).collect();
    paths.sort();
    // The usual name of a party's file comes before others, so that a copy beside it changes nothing.
    let usual = |path: &Path| {
        let named = PublicParty::read(path).ok().map(|party| party.name);
        named.is_some_and(|name| path.file_stem().is_some_and(|stem| stem == name.as_str()))
    };
    paths.sort_by_cached_key(|path| !usual(path));
    for path in paths {
        let party = path.join("party.toml");
        let file = match path.is_dir() {
            true if party.is_file() => party,
            false if path.extension().is_some_and(|ending| ending == "toml") => path,
            _ => continue,
        };
        match read_peer(folder, file, us, &peers) {
            Ok(peer) => peers.push(peer),
            Err(trouble) => troubles.push(trouble),
        }
    }
    peers.sort_by(|one, other| one.name.cmp(&other.name));
    (peers, troubles)
}

fn read_peer(
    folder: &Path,
    file: PathBuf,
    us: &PartyName,
    known: &[KnownPeer],
) -> Result<KnownPeer, PeersError> {
    let wrong = |source| PeersError::Party { path: file.clone(), source: Box::new(source) };
    let public = PublicParty::read(&file).map_err(wrong)?;
    let name: PartyName = public.name.parse().map_err(|_| PeersError::Party {
        path: file.clone(),
        source: Box::new(PartyError::Name(public.name.clone())),
    })?;
    if name == *us || known.iter().any(|known| known.name == name) {
        return Err(PeersError::Twice { path: file, name: name.to_string() });
    }
    let address = read_address(&address_file(folder, &name))?;
    Ok(KnownPeer { name, public, address })
}

/// The file that says where a party's desk is.
fn address_file(folder: &Path, name: &PartyName) -> PathBuf {
    folder.join(name.as_str()).join("desk.toml")
}

fn read_address(path: &Path) -> Result<Option<DeskAddress>, PeersError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", path)(error)),
    };
    let mut text = String::new();
    file.take(LIMIT).read_to_string(&mut text).map_err(failed("read", path))?;
    let wrong = |error: toml::de::Error| PeersError::Form {
        path: path.to_owned(),
        why: hospitium_model::printable(&error.to_string(), 300),
    };
    toml::from_str(&text).map(Some).map_err(wrong)
}

/// Writes where a party's desk is called, or, with nothing, that it is not.
///
/// # Errors
/// If the file cannot be written.
pub fn write_address(
    folder: &Path,
    name: &PartyName,
    address: Option<&DeskAddress>,
) -> Result<(), PeersError> {
    let path = address_file(folder, name);
    let Some(address) = address else {
        return match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", &path)(error))
            }
            _ => Ok(()),
        };
    };
    let parent = path.parent().unwrap_or(folder);
    fs::create_dir_all(parent).map_err(failed("make", parent))?;
    let text = format!("address = {:?}\n", address.url());
    replace_durably(&path, text.as_bytes(), Access::Public).map_err(failed("write", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_desk_is_called_over_tls_or_on_this_computer() {
        for good in ["https://desk.vendor.example", "http://127.0.0.1:8600/", "http://[::1]:1"] {
            let read = good.parse::<DeskAddress>();
            assert_eq!(read.expect(good).url(), good.trim_end_matches('/'));
        }
        for bad in [
            "",
            "vendor.example",
            "http://vendor.example",
            "http://127.0.0.1.evil.example",
            "ftp://vendor.example",
            "https://",
            "https://vendor.example/\r\nx: y",
            "https://user@vendor.example",
        ] {
            assert!(bad.parse::<DeskAddress>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_address_is_kept_beside_the_party_and_taken_away_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let name: PartyName = "host.example".parse().expect("a name");
        let address: DeskAddress = "https://desk.host.example".parse().expect("an address");
        let file = address_file(folder.path(), &name);
        write_address(folder.path(), &name, Some(&address)).expect("written");
        assert_eq!(read_address(&file).expect("read"), Some(address));
        write_address(folder.path(), &name, None).expect("removed");
        write_address(folder.path(), &name, None).expect("removed again");
        assert_eq!(read_address(&file).expect("read"), None);
        fs::write(&file, "address = \"http://far.example\"").expect("written");
        assert!(matches!(read_address(&file), Err(PeersError::Form { .. })));
    }

    #[test]
    fn a_file_that_cannot_be_read_leaves_its_party_out_and_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let algorithm = hospitium_ledger::Algorithm::Ed25519;
        for name in ["b.example", "c.example"] {
            hospitium_ledger::Party::init(&at(name), name, algorithm).expect("made");
        }
        let peers = at("peers");
        fs::create_dir(&peers).expect("made");
        let public = |name: &str| at(name).join("party.toml");
        fs::copy(public("b.example"), peers.join("b.example (copy).toml")).expect("copied");
        fs::copy(public("b.example"), peers.join("b.example.toml")).expect("copied");
        fs::write(peers.join("c.example.toml"), "name = \"c.exa").expect("written");
        let us = "a.example".parse().expect("a name");
        let (known, troubles) = read_peers(&peers, &us);
        let names: Vec<_> = known.iter().map(|peer| peer.name.as_str()).collect();
        assert_eq!((names, troubles.len()), (vec!["b.example"], 2), "{troubles:?}");
        let copy = |trouble: &PeersError| matches!(trouble, PeersError::Twice { path, .. } if path.ends_with("b.example (copy).toml"));
        assert!(troubles.iter().any(copy), "{troubles:?}");
    }
}
