//! A party: a domain name, three keys, and the public part that others get.
//!
//! ```text
//! DIR/                     0700
//!   party.toml             the public part: name and verifier keys
//!   record.pub.pem         the records' public key, for openssl and the like
//!   policy                 a tlog-policy that trusts this party's log and records
//!   secret/                0700
//!     record.pem           signs records (Ed25519, or P-256)
//!     log.pem              signs checkpoints of the party's own log
//!     record.next.pem      a key that is to follow, while its change goes on
//!     record.retired-….pem a key that was given up
//!     witness.pem          cosigns checkpoints of other parties' logs
//!   signed/                the last head signed of its own log: an older copy is not continued
//!   witnessed/             the last checkpoint cosigned of each log
//! ```
//!
//! Three keys, because a cosigner must not use its key for anything else
//! (c2sp.org/tlog-cosignature, "Ed25519 signed message").

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{self, Access, FileError};
use crate::key::{Algorithm, KeyError, PEM_LIMIT, PublicKey, SecretKey};
use crate::text::shown;
use crate::vkey::{Purpose, VerifierKey, VerifierKeyError};

/// Version of `party.toml`.
const FORMAT: u32 = 1;
/// The most bytes that `party.toml` may have.
pub const PARTY_LIMIT: u64 = 16 << 10;
/// The name of a party's public part in its folder, and where a server publishes it.
pub const PUBLIC: &str = "party.toml";
const SECRET: &str = "secret";
const RECORD: &str = "record.pem";
/// A key that is to follow: there as long as its change is not done.
const NEXT: &str = "record.next.pem";

/// Why a party could not be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum PartyError {
    /// Not a domain name.
    #[error(
        "{0:?} is no domain name; a party is named by a domain that it owns, in lower case, \
         such as \"vendor.example\""
    )]
    Name(String),
    /// Keys are never overwritten.
    #[error(
        "{path} is there already and keys are never overwritten; give another folder",
        path = path.display()
    )]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// The folder of the secret keys can be entered by others.
    #[error(
        "the folder {path} holds secret keys and is open to others (mode {mode:04o}); \
         run: chmod 700 {path}",
        path = path.display()
    )]
    Open {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// `party.toml` does not parse.
    #[error("{path} is no party's file", path = path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Where it breaks.
        source: toml::de::Error,
    },
    /// Written by a later version.
    #[error(
        "{path} has format {found}, this program reads format {FORMAT}; use a later hospitium",
        path = path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A key of `party.toml` under a name that is not the party's.
    #[error("{path}: the {which} key is named {name:?}, which does not belong to this party", path = path.display())]
    Stranger {
        /// The file.
        path: PathBuf,
        /// Which key.
        which: &'static str,
        /// Its name.
        name: String,
    },
    /// A secret key that is not the one of `party.toml`.
    #[error(
        "{path} is not the secret key that belongs to the party's public {which} key; \
         restore the one that was made with it",
        path = path.display()
    )]
    Mismatch {
        /// The secret key's file.
        path: PathBuf,
        /// Which key.
        which: &'static str,
    },
    /// A change of its key was cut off.
    #[error(
        "a change of the key of the party {folder} was cut off, and until it is done nothing is signed; run: \
         hospitium party rekey {folder} --reason WHY (it goes on with the key that it had made)",
        folder = folder.display()
    )]
    Rekeying {
        /// The party's folder.
        folder: PathBuf,
    },
    /// A key that cannot be made or read.
    #[error("the key {path} cannot be used", path = path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
    /// A verifier key that cannot be made.
    #[error("the party's key cannot be named")]
    Named(#[from] VerifierKeyError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The public part of a party, `party.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicParty {
    format: u32,
    /// Its domain.
    pub name: String,
    /// The key of its records, under the party's name.
    pub record: VerifierKey,
    /// The key of its log, under the log's origin.
    pub log: VerifierKey,
    /// The key of its cosignatures.
    pub witness: VerifierKey,
    /// Keys of its records that it gave up.
    #[serde(default)]
    pub retired: Vec<RetiredKey>,
}

impl PublicParty {
    /// The keys that sign records, or did.
    pub fn keys(&self) -> Vec<VerifierKey> {
        let retired = self.retired.iter().map(|retired| retired.key.clone());
        std::iter::once(self.record.clone()).chain(retired).collect()
    }
}

/// A key of records that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetiredKey {
    /// The key.
    pub key: VerifierKey,
    /// The last entry that it signed: the one that announces its successor.
    pub until: u64,
}

/// A party with its secret keys.
#[derive(Debug)]
pub struct Party {
    /// What others may know.
    pub public: PublicParty,
    /// Signs records.
    pub record: SecretKey,
    /// Signs checkpoints of its log.
    pub log: SecretKey,
    /// Cosigns checkpoints of other logs.
    pub witness: SecretKey,
    folder: PathBuf,
}

/// Checks that a text is a domain name in lower case with at least two labels.
///
/// # Errors
/// If it is not.
pub fn check_name(name: &str) -> Result<(), PartyError> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let good = name.len() <= 200 && name.split('.').count() >= 2 && name.split('.').all(label);
    if good { Ok(()) } else { Err(PartyError::Name(shown(name))) }
}

/// The origin of a party's log: its name and a path (c2sp.org/tlog-tiles, "Parameters").
pub fn log_origin(name: &str) -> String {
    format!("{name}/log")
}

/// True if a log of this origin, or a key of this name, is this party's: its name, or a path of it.
pub fn belongs_to(origin: &str, party: &str) -> bool {
    origin.strip_prefix(party).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl PublicParty {
    /// Reads `party.toml`, or that of a party's folder.
    ///
    /// # Errors
    /// If it cannot be read, is too large, or its keys are not good or not its own.
    pub fn read(path: &Path) -> Result<Self, PartyError> {
        let path = if path.is_dir() { path.join(PUBLIC) } else { path.to_owned() };
        let bytes = files::read(&path, PARTY_LIMIT)?;
        Self::parse(&path, &bytes)
    }

    /// Reads `party.toml` from its bytes; `path` names it in errors.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, PartyError> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let path = path.to_owned();
        let text = String::from_utf8_lossy(bytes);
        let form = |source| PartyError::Form { path: path.clone(), source };
        let Version { format } = toml::from_str(&text).map_err(form)?;
        if format != FORMAT {
            return Err(PartyError::Newer { path, found: format });
        }
        let read: Self = toml::from_str(&text).map_err(form)?;
        check_name(&read.name)?;
        for (which, key, purpose) in [
            ("record", &read.record, None),
            ("log", &read.log, Some(Purpose::Note)),
            ("witness", &read.witness, Some(Purpose::Cosignature)),
        ] {
            let fits = purpose.is_none_or(|purpose| key.purpose() == purpose)
                && (purpose.is_some() || key.purpose() != Purpose::Cosignature);
            let ours = belongs_to(key.name(), &read.name)
                && (which != "record" || key.name() == read.name);
            if !fits || !ours {
                let name = shown(key.name());
                return Err(PartyError::Stranger { path, which, name });
            }
        }
        if let Some(other) = read.retired.iter().find(|retired| retired.key.name() != read.name) {
            let name = shown(other.key.name());
            return Err(PartyError::Stranger { path, which: "retired", name });
        }
        Ok(read)
    }

    /// A tlog-policy that trusts this party's log and records, and asks for no cosignature.
    pub fn policy(&self) -> String {
        self.policy_at(None)
    }

    /// The same, with the address at which the log is published.
    pub fn policy_at(&self, log: Option<&str>) -> String {
        let url = log.map(|url| format!(" {url}")).unwrap_or_default();
        let retired: String = self
            .retired
            .iter()
            .map(|RetiredKey { key, until }| format!("#hospitium:signer {key} until={until}\n"))
            .collect();
        format!(
            "# Trusts the log and the records of {name}. To ask for cosignatures, add other\n\
             # parties' witness lines and name them in the quorum (c2sp.org/tlog-policy).\n\
             log {log}{url}\n\
             #hospitium:signer {record}\n\
             {retired}\
             quorum none\n\
             \n\
             # What others add to their policy to count this party as a witness:\n\
             # witness {name} {witness}\n",
            name = self.name,
            log = self.log,
            record = self.record,
            witness = self.witness,
        )
    }

    /// As `party.toml`.
    pub fn to_toml(&self) -> String {
        let Self { format, name, record, log, witness, retired } = self;
        let retired: String = retired
            .iter()
            .map(|RetiredKey { key, until }| {
                format!("\n[[retired]]\nkey = \"{key}\"\nuntil = {until}\n")
            })
            .collect();
        format!(
            "# Public keys of {name}. Compare them over another channel before trusting them.\n\
             format = {format}\n\
             name = \"{name}\"\n\
             record = \"{record}\"\n\
             log = \"{log}\"\n\
             witness = \"{witness}\"\n\
             {retired}"
        )
    }
}

impl Party {
    /// Makes a party in a new folder: three keys, their public part, and a policy.
    ///
    /// # Errors
    /// If the name is no domain, the folder is not empty, or it cannot be written.
    pub fn init(folder: &Path, name: &str, records: Algorithm) -> Result<Self, PartyError> {
        check_name(name)?;
        let exists = || PartyError::Exists { path: folder.to_owned() };
        if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
            || fs::symlink_metadata(folder).is_ok_and(|meta| !meta.is_dir())
        {
            return Err(exists());
        }
        let key = |algorithm, which: &str| {
            let path = folder.join(SECRET).join(format!("{which}.pem"));
            SecretKey::generate(algorithm)
                .map_err(|source| PartyError::Key { path: path.clone(), source })
                .map(|key| (key, path))
        };
        let (record, record_path) = key(records, "record")?;
        let (log, log_path) = key(Algorithm::Ed25519, "log")?;
        let (witness, witness_path) = key(Algorithm::Ed25519, "witness")?;
        let public = PublicParty {
            format: FORMAT,
            name: name.to_owned(),
            record: VerifierKey::for_records(name, record.public())?,
            log: VerifierKey::new(&log_origin(name), Purpose::Note, log.public())?,
            witness: VerifierKey::new(
                &format!("{name}/witness"),
                Purpose::Cosignature,
                witness.public(),
            )?,
            retired: Vec::new(),
        };
        if let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) {
            files::make_folder(above)?;
        }
        let was_there = folder.is_dir();
        let keys = [(&record, record_path), (&log, log_path), (&witness, witness_path)];
        if let Err(error) = write_new(folder, &public, &keys) {
            // Of keys that nobody has seen nothing stays, so that the same command can be given again.
            let _ = fs::remove_dir_all(folder.join(SECRET));
            for name in ["record.pub.pem", "policy", PUBLIC] {
                let _ = fs::remove_file(folder.join(name));
                let _ = fs::remove_file(folder.join(format!(".partial-{name}")));
            }
            if !was_there {
                let _ = fs::remove_dir(folder);
            }
            return Err(error);
        }
        Ok(Self { public, record, log, witness, folder: folder.to_owned() })
    }

    /// Opens a party's folder with its secret keys.
    ///
    /// # Errors
    /// If something is missing, others can get at the secret keys, they do not fit the public ones, or a
    /// change of key was cut off (see [`rekey`](crate::rekey)).
    pub fn open(folder: &Path) -> Result<Self, PartyError> {
        let Changing { party, next, .. } = Self::open_to_change(folder)?;
        match next {
            None => Ok(party),
            Some(_) => Err(PartyError::Rekeying { folder: folder.to_owned() }),
        }
    }

    /// The same with a key that is to follow, if there is one.
    pub(crate) fn open_to_change(folder: &Path) -> Result<Changing, PartyError> {
        let public = public_of(folder)?;
        let secret = folder.join(SECRET);
        let open = |which: &'static str, public: &VerifierKey| open_key(folder, which, public);
        let (log, witness) = (open("log", &public.log)?, open("witness", &public.witness)?);
        let optional = |path: PathBuf| match read_key(&path) {
            Err(PartyError::File(error)) if error.is_absent() => Ok(None),
            other => other.map(Some),
        };
        let next = optional(secret.join(NEXT))?;
        let current = read_key(&secret.join(RECORD))?;
        let of_public = public.record.key();
        let (record, next, in_place) = if current.public() == *of_public {
            let in_place = next.as_ref().is_some_and(|next| next.public() == *of_public);
            (current, next, in_place)
        } else {
            // Cut off between the secret's place and `party.toml`. Versions before this one removed the
            // next key before they wrote that.
            let follows = next.as_ref().is_none_or(|next| next.public() == current.public());
            let old = optional(secret.join(retired_name(of_public)))?;
            match old.filter(|old| follows && old.public() == *of_public) {
                Some(old) => (old, Some(current), false),
                None => {
                    let path = secret.join(RECORD);
                    return Err(PartyError::Mismatch { path, which: "record" });
                }
            }
        };
        let party = Self { record, log, witness, public, folder: folder.to_owned() };
        Ok(Changing { party, next, in_place })
    }

    /// Keeps a new key for records as `secret/record.next.pem`, before it is announced: an
    /// announced key that is lost could never be changed again. One that is there is never overwritten.
    pub(crate) fn keep_next_record_key(&self, new: &SecretKey) -> Result<(), PartyError> {
        let path = self.secrets().join(NEXT);
        if fs::symlink_metadata(&path).is_ok() {
            return Err(PartyError::Exists { path });
        }
        let pem = new.to_pem().map_err(|source| PartyError::Key { path: path.clone(), source })?;
        Ok(files::put_durably(&path, pem.as_bytes(), Access::Secret)?)
    }

    /// Puts a new key for records in the place of the old one, which is kept as
    /// `secret/record.retired-FINGERPRINT.pem`. The change has to be recorded first: see
    /// [`rekey`](crate::rekey), which does both. `until` is the entry of that record.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn replace_record_key(&mut self, new: SecretKey, until: u64) -> Result<(), PartyError> {
        let path = self.secrets().join(RECORD);
        let name = |source| PartyError::Key { path: path.clone(), source };
        let named = VerifierKey::for_records(&self.public.name, new.public())?;
        let retired = path.with_file_name(retired_name(&self.record.public()));
        let old = self.record.to_pem().map_err(name)?;
        files::put_durably(&retired, old.as_bytes(), Access::Secret)?;
        let pem = new.to_pem().map_err(name)?;
        files::put_durably(&path, pem.as_bytes(), Access::Secret)?;
        let key = std::mem::replace(&mut self.public.record, named);
        self.public.retired.push(RetiredKey { key, until });
        self.record = new;
        let public = self.folder.join(PUBLIC);
        files::put_durably(&public, self.public.to_toml().as_bytes(), Access::Public)?;
        self.finish_record_key()
    }

    /// Writes what follows from `party.toml`; last, what says that a change of key goes on is removed.
    pub(crate) fn finish_record_key(&self) -> Result<(), PartyError> {
        let folder = &self.folder;
        let pem = self.record.public().to_pem();
        files::put(&folder.join("record.pub.pem"), pem.as_bytes(), Access::Public)?;
        files::put_durably(
            &folder.join("policy"),
            self.public.policy().as_bytes(),
            Access::Public,
        )?;
        Ok(files::remove(&self.secrets().join(NEXT))?)
    }

    /// Where its secret keys are.
    pub(crate) fn secrets(&self) -> PathBuf {
        self.folder.join(SECRET)
    }

    /// Where it keeps the last checkpoint that it cosigned of each log.
    pub fn witnessed(&self) -> PathBuf {
        witnessed(&self.folder)
    }

    /// Where it keeps the last head that it signed of its own log.
    pub(crate) fn signed(&self) -> PathBuf {
        self.folder.join("signed")
    }

    /// Where its own log is, if nothing else is said.
    pub fn usual_log(&self) -> PathBuf {
        self.folder.join("log")
    }
}

/// A party whose key for records may be about to change.
#[derive(Debug)]
pub(crate) struct Changing {
    /// The party, with the key that `party.toml` names.
    pub party: Party,
    /// The key that is to follow.
    pub next: Option<SecretKey>,
    /// Whether `party.toml` names that one already.
    pub in_place: bool,
}

/// The name under which a key that was given up is kept.
fn retired_name(key: &PublicKey) -> String {
    format!("record.retired-{}.pem", key.fingerprint().short())
}

/// The public part of the party whose folder this is.
pub fn public_of(folder: &Path) -> Result<PublicParty, PartyError> {
    PublicParty::read(&folder.join(PUBLIC))
}

/// Where the party of this folder keeps the last checkpoint that it cosigned of each log.
pub fn witnessed(folder: &Path) -> PathBuf {
    folder.join("witnessed")
}

/// A secret key of the folder `folder/secret`, which has to be the public one's.
pub fn open_key(
    folder: &Path,
    which: &'static str,
    public: &VerifierKey,
) -> Result<SecretKey, PartyError> {
    let secret = folder.join(SECRET);
    let meta = fs::metadata(&secret).map_err(|source| FileError::Io {
        doing: "open",
        path: secret.clone(),
        source,
    })?;
    let mode = meta.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(PartyError::Open { path: secret, mode });
    }
    let path = secret.join(format!("{which}.pem"));
    let key = read_key(&path)?;
    if key.public() == *public.key() { Ok(key) } else { Err(PartyError::Mismatch { path, which }) }
}

fn read_key(path: &Path) -> Result<SecretKey, PartyError> {
    let bytes = files::read_secret(path, PEM_LIMIT)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| KeyError::Pem);
    let key = text.and_then(SecretKey::from_pem);
    key.map_err(|source| PartyError::Key { path: path.to_owned(), source })
}

/// Writes a new party's files; `party.toml` last, for a folder without it is no party.
fn write_new(
    folder: &Path,
    public: &PublicParty,
    keys: &[(&SecretKey, PathBuf)],
) -> Result<(), PartyError> {
    private_folder(folder)?;
    private_folder(&folder.join(SECRET))?;
    for (key, path) in keys {
        let pem = key.to_pem().map_err(|source| PartyError::Key { path: path.clone(), source })?;
        files::put_durably(path, pem.as_bytes(), Access::Secret)?;
    }
    let pem = public.record.key().to_pem();
    files::put(&folder.join("record.pub.pem"), pem.as_bytes(), Access::Public)?;
    files::put(&folder.join("policy"), public.policy().as_bytes(), Access::Public)?;
    files::put_durably(&folder.join(PUBLIC), public.to_toml().as_bytes(), Access::Public)?;
    Ok(())
}

fn private_folder(path: &Path) -> Result<(), PartyError> {
    let io = |source| FileError::Io { doing: "make", path: path.to_owned(), source };
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(io)?;
        }
        other => other.map_err(io)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests;
