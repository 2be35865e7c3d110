//! The exchange through folders: an outbox and an inbox for each other party, whose files a person, rsync or
//! a mail carries. Each file is whole or not there, may come twice, late, or never.
//!
//! ```text
//! DESK/outbox/PEER/CASE-000003.message    a signed message
//! DESK/outbox/PEER/CASE.receipt           the newest receipt
//! DESK/outbox/PEER/SHA256.file            an attachment that the other desk asked for
//! DESK/inbox/PEER/…                       the same, from the other desk
//! DESK/inbox/PEER/refused/…               what was refused, with its reason beside it
//! ```

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use hospitium_files::{Access, Begun};
use hospitium_ledger::{SecretKey, VerifierKey};
use hospitium_model::Digest;
use jiff::Timestamp;

use crate::exchange::{MessageError, Receipt, Taken, Thread, WANTS, sign_receipt, verify_receipt};
use crate::owed::{Missing, NotGiven, announced, missing, to_give};
use crate::store::{Got, Store, StoreError};
use crate::text::{CaseId, PartyName};
use crate::vault::{Vault, VaultError};

/// The most bytes of a message or receipt.
const LIMIT: u64 = 65_535;
/// The most files of an inbox that are read at once; the rest comes at the next time.
const FILES: usize = 10_000;

/// Why the exchange through a folder broke off. What was stored before is stored.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
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
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The attachments.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A message that cannot be signed.
    #[error(transparent)]
    Message(#[from] crate::exchange::MessageError),
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::Io { doing, path, source }
}

/// The other party of an exchange.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its name.
    pub name: PartyName,
    /// The keys that sign for it now.
    pub keys: Vec<VerifierKey>,
}

/// One desk's side of the exchange.
#[derive(Debug)]
pub struct Exchange<'d> {
    /// The desk's cases.
    pub store: &'d Store,
    /// The desk's attachments.
    pub vault: &'d Vault,
    /// This party's name.
    pub us: &'d PartyName,
    /// The key that signs for it.
    pub key: &'d SecretKey,
    /// The desk's folder.
    pub folder: &'d Path,
}

/// What an exchange did.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Exchanged {
    /// Messages that are new here.
    pub taken: usize,
    /// Messages that were here already.
    pub known: usize,
    /// Messages that wait for others.
    pub waiting: usize,
    /// Files that were refused, each with its reason.
    pub refused: Vec<String>,
    /// Messages of ours that came to nothing by what came in.
    pub voided: Vec<String>,
    /// Attachments that came in.
    pub files: usize,
    /// Messages that lie in the outbox.
    pub sent: usize,
    /// Attachments that lie in the outbox.
    pub files_sent: usize,
    /// Cases of which something is held back, and what the customer does not allow.
    pub held: Vec<String>,
}

impl Exchange<'_> {
    /// Takes in what lies in the inbox of this peer, and puts into the outbox what is due for it.
    ///
    /// # Errors
    /// If a folder cannot be read or written, or the database fails.
    pub async fn with(&self, peer: &Peer, now: Timestamp) -> Result<Exchanged, FolderError> {
        let mut done = Exchanged::default();
        let inbox = self.make("inbox", peer)?;
        let outbox = self.make("outbox", peer)?;
        hospitium_files::sweep(&outbox);
        let mut answer: BTreeSet<CaseId> = BTreeSet::new();
        self.take_in(&inbox, peer, now, &mut answer, &mut done).await?;
        self.put_out(&outbox, peer, now, &answer, &mut done).await?;
        Ok(done)
    }

    fn make(&self, which: &str, peer: &Peer) -> Result<PathBuf, FolderError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = self.folder.join(which).join(peer.name.as_str());
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(failed("make", &path))?;
        Ok(path)
    }

    async fn take_in(
        &self,
        inbox: &Path,
        peer: &Peer,
        now: Timestamp,
        answer: &mut BTreeSet<CaseId>,
        done: &mut Exchanged,
    ) -> Result<(), FolderError> {
        // By name: the messages of a case come in their order.
        let names = files_of(inbox)?;
        for name in names.iter().filter(|name| name.ends_with(".message")) {
            let path = inbox.join(name);
            let Some(bytes) = read(&path)? else {
                refuse(inbox, name, "it is no plain file of at most 65535 bytes", done)?;
                continue;
            };
            let got = self.store.take_message(&bytes, &peer.keys, self.us, now).await?;
            self.note(inbox, name, got, answer, done)?;
        }
        for name in names.iter().filter(|name| name.ends_with(".receipt")) {
            let path = inbox.join(name);
            let bytes = read(&path)?.unwrap_or_default();
            match verify_receipt(&bytes, &peer.keys, now) {
                Ok(receipt) => match self.store.take_receipt(&receipt, now).await {
                    Ok(()) => remove(&path)?,
                    Err(StoreError::NoCase(_) | StoreError::Draft(_)) => {
                        refuse(inbox, name, "it is about no case of this desk", done)?;
                    }
                    Err(error) => return Err(error.into()),
                },
                // It stays until its time has come; a newer one takes its place.
                Err(error @ MessageError::Future { .. }) => {
                    done.waiting += 1;
                    done.refused.push(format!("{name}: {error}"));
                }
                Err(error) => refuse(inbox, name, &error.to_string(), done)?,
            }
        }
        let due = missing(self.store, self.vault, &peer.name).await?;
        let known = announced(self.store, &peer.name).await?;
        for name in names.iter().filter(|name| name.ends_with(".file")) {
            self.take_file(inbox, name, (&due, &known), answer, done)?;
        }
        Ok(())
    }

    fn note(
        &self,
        inbox: &Path,
        name: &str,
        got: Got,
        answer: &mut BTreeSet<CaseId>,
        done: &mut Exchanged,
    ) -> Result<(), FolderError> {
        answer.extend(got.receipt.map(|receipt| receipt.case));
        match got.taken {
            Ok(Taken::New { stored, voided }) => {
                done.taken += stored.len();
                done.voided.extend(voided.iter().map(|void| void.why.to_string()));
                remove(&inbox.join(name))
            }
            Ok(Taken::Known) => {
                done.known += 1;
                remove(&inbox.join(name))
            }
            // It stays: what is missing may come at the next time.
            Ok(Taken::Held { .. }) => {
                done.waiting += 1;
                Ok(())
            }
            Err(refusal) if refusal.is_for_now() => {
                done.waiting += 1;
                Ok(())
            }
            Err(refusal) => refuse(inbox, name, &refusal.to_string(), done),
        }
    }

    fn take_file(
        &self,
        inbox: &Path,
        name: &str,
        (due, known): (&[Missing], &BTreeSet<Digest>),
        answer: &mut BTreeSet<CaseId>,
        done: &mut Exchanged,
    ) -> Result<(), FolderError> {
        let path = inbox.join(name);
        let named = name.strip_suffix(".file").and_then(|name| name.parse::<Digest>().ok());
        let found = due.iter().find(|missing| Some(missing.sha256) == named);
        let Some(Missing { case, sha256: digest, size }) = found else {
            // It is here already.
            if named.is_some_and(|digest| known.contains(&digest)) {
                return remove(&path);
            }
            return refuse(inbox, name, "no case with this party has such an attachment", done);
        };
        let Some(file) = plain(&path)? else {
            return refuse(inbox, name, "it is no plain file", done);
        };
        match self.vault.theirs(case).put_announced(file, digest, *size) {
            Ok(()) => {
                done.files += 1;
                answer.insert(case.clone());
                remove(&path)
            }
            Err(
                error
                @ (VaultError::Other { .. } | VaultError::TooLarge { .. } | VaultError::Empty),
            ) => refuse(inbox, name, &error.to_string(), done),
            Err(error) => Err(error.into()),
        }
    }

    async fn put_out(
        &self,
        outbox: &Path,
        peer: &Peer,
        now: Timestamp,
        answer: &BTreeSet<CaseId>,
        done: &mut Exchanged,
    ) -> Result<(), FolderError> {
        let mut keep: BTreeSet<String> = BTreeSet::new();
        let missing = missing(self.store, self.vault, &peer.name).await?;
        for id in self.store.with_peer(&peer.name).await? {
            let thread = self.store.load(&id).await?;
            let outgoing = thread.outgoing();
            if !outgoing.held.is_empty() {
                let what: Vec<_> = outgoing.held.iter().map(ToString::to_string).collect();
                done.held.push(format!("{id}: {}", what.join(", ")));
            }
            for sealed in outgoing.messages {
                let name = format!("{id}-{:06}.message", sealed.message.seq);
                write(&outbox.join(&name), &sealed.signed_by(self.key))?;
                keep.insert(name);
                done.sent += 1;
            }
            let wants: Vec<Digest> = missing
                .iter()
                .filter(|missing| missing.case == id)
                .map(|missing| missing.sha256)
                .take(WANTS)
                .collect();
            let name = format!("{id}.receipt");
            keep.insert(name.clone());
            // Where nothing came in, the last receipt lies there, or was carried away.
            if answer.contains(&id) || !wants.is_empty() {
                let receipt = Receipt { wants, ..thread.receipt(now, None) };
                write(&outbox.join(&name), &sign_receipt(&receipt, self.key)?)?;
            }
            self.put_files(outbox, &thread, peer, &mut keep, done).await?;
        }
        for name in files_of(outbox)? {
            if !keep.contains(&name) && (name.ends_with(".message") || name.ends_with(".file")) {
                remove(&outbox.join(name))?;
            }
        }
        Ok(())
    }

    /// The attachments that the other desk asked for, if they are ours to give and the customer allows it.
    async fn put_files(
        &self,
        outbox: &Path,
        thread: &Thread,
        peer: &Peer,
        keep: &mut BTreeSet<String>,
        done: &mut Exchanged,
    ) -> Result<(), FolderError> {
        let wanted = self.store.wanted(&peer.name).await?;
        let wanted = wanted.into_iter().filter(|wanted| wanted.case == *thread.id());
        for digest in wanted.flat_map(|wanted| wanted.files) {
            match to_give(thread, &digest) {
                Ok(_) => {}
                Err(NotGiven::Unknown) => continue,
                Err(NotGiven::Held) => {
                    done.held.push(format!("{}: evidence ({digest})", thread.id()));
                    continue;
                }
            }
            if !self.vault.has(&digest) {
                continue;
            }
            let name = format!("{digest}.file");
            let path = outbox.join(&name);
            if !path.exists() {
                copy(self.vault.get(&digest)?, &path)?;
            }
            keep.insert(name);
            done.files_sent += 1;
        }
        Ok(())
    }
}

/// The names of the plain files of a folder, in their order.
fn files_of(folder: &Path) -> Result<Vec<String>, FolderError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed("read", folder))?.take(FILES) {
        let entry = entry.map_err(failed("read", folder))?;
        let name = entry.file_name().into_string();
        names.extend(name.ok().filter(|name| !name.starts_with('.')));
    }
    names.sort();
    Ok(names)
}

/// Opens a plain file; nothing if it is a link, a folder, a pipe.
fn plain(path: &Path) -> Result<Option<File>, FolderError> {
    let meta = fs::symlink_metadata(path).map_err(failed("look at", path))?;
    if !meta.is_file() {
        return Ok(None);
    }
    File::open(path).map(Some).map_err(failed("open", path))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, FolderError> {
    let Some(file) = plain(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(failed("read", path))?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= LIMIT))
}

fn remove(path: &Path) -> Result<(), FolderError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Moves a file aside, with the reason beside it.
fn refuse(inbox: &Path, name: &str, why: &str, done: &mut Exchanged) -> Result<(), FolderError> {
    let aside = inbox.join("refused");
    fs::create_dir_all(&aside).map_err(failed("make", &aside))?;
    let (from, to) = (inbox.join(name), aside.join(name));
    write(&aside.join(format!("{name}.why")), format!("{why}\n").as_bytes())?;
    fs::rename(&from, &to).map_err(failed("move aside", &from))?;
    done.refused.push(format!("{}: {why}", hospitium_model::printable(name, 120)));
    Ok(())
}

/// Writes a file whole, or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    copy(bytes, path)
}

fn copy(mut from: impl io::Read, path: &Path) -> Result<(), FolderError> {
    let mut begun = Begun::beside(path, Access::Public).map_err(failed("make", path))?;
    io::copy(&mut from, &mut begun).map_err(failed("write", path))?;
    begun.flush_to_medium().map_err(failed("flush", path))?;
    begun.place().map_err(failed("put in place", path))
}

#[cfg(test)]
mod tests;
