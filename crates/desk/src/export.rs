//! A case as one file that can be verified: a tar archive with a signed manifest, every message of both vendors
//! in its signed form, and the attachments. Internal notes are not in it.
//!
//! ```text
//! manifest.json                      DSSE of a [`Manifest`]
//! messages/submitter/000001.json     DSSE of a message
//! messages/receiver/000001.json
//! attachments/SHA256
//! ```

use std::io::{self, Read, Write};

use hospitium_ledger::SecretKey;
use hospitium_ledger::dsse::Envelope;
use hospitium_model::{Digest, printable};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::exchange::{Link, MessageError, Sealed, Thread, verify_message};
use crate::fault::Illegal;
use crate::peers::PartyKeys;
use crate::people::{Both, Shareable, Side};
use crate::text::{CaseId, PartyName};
use crate::vault::{Vault, VaultError};

/// The type of the manifest's payload in its DSSE envelope.
pub const EXPORT_TYPE: &str = "application/vnd.hospitium.case-export.v1+json";
/// The most bytes of an envelope.
const LIMIT: u64 = 65_535;
/// The most messages of one side.
const MESSAGES: usize = 100_000;

/// What an export says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The case.
    pub case: CaseId,
    /// Who wrote the file.
    pub exporter: PartyName,
    /// When.
    pub at: Timestamp,
    /// The last message of each side in it.
    pub heads: Both<Option<Link>>,
    /// SHA-256 of the case that they make.
    pub state: Digest,
}

/// Why a case cannot be exported or imported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file.
    #[error("the file cannot be {doing}")]
    Io {
        /// `written` or `read`.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Not what an export has there.
    #[error("this is no export of a case: {0}")]
    Form(String),
    /// The manifest or a message cannot be believed.
    #[error("{place} cannot be believed")]
    Message {
        /// Where in the file.
        place: String,
        /// Why.
        source: MessageError,
    },
    /// No key of a party.
    #[error(
        "no key of {0} is known here, so nothing that it says can be verified; add its party.toml to the peers"
    )]
    NoKey(PartyName),
    /// The messages do not continue each other, or make another case.
    #[error("the export is not whole: {0}")]
    NotWhole(String),
    /// The other vendor has no desk.
    #[error(
        "the case goes through another case exchange, and its other vendor has no desk that could take an export in; \
         write it in that exchange's form (--tsanet), or this party's own archive (--all)"
    )]
    Bridged,
    /// All of it is held back.
    #[error(
        "nothing of the case may go out: the customer does not allow it; --all writes this party's own archive"
    )]
    Held,
    /// The messages make no case.
    #[error("the export's messages make no case")]
    NoCase(#[from] Illegal),
    /// An attachment.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

fn written(source: io::Error) -> ExportError {
    ExportError::Io { doing: "written", source }
}

fn read_error(source: io::Error) -> ExportError {
    ExportError::Io { doing: "read", source }
}

fn message_path(side: Side, seq: u64) -> String {
    format!("messages/{side}/{seq:06}.json")
}

/// For whom an export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The other vendor: nothing that the customer does not allow to go out now.
    Other,
    /// This party's own archive: all of it.
    Own,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exported {
    /// Messages.
    pub messages: usize,
    /// Messages of ours that are held back, for the customer does not allow that they go out.
    pub held: usize,
    /// Attachments that are left out for the same reason.
    pub withheld: usize,
    /// Attachments that are not here.
    pub absent: usize,
}

/// The case as the other vendor may have it: without messages that are held back now.
fn allowed(thread: &Thread) -> Result<Thread, ExportError> {
    let us = thread.us();
    let sent = usize::try_from(thread.acked()).unwrap_or(usize::MAX);
    let most = sent.saturating_add(thread.outgoing().messages.len());
    if most == 0 && us == Side::Submitter {
        return Err(ExportError::Held);
    }
    let mut chains = thread.chains().clone();
    chains.of_mut(us).truncate(most);
    Ok(Thread::restore(us, chains, thread.acked())?)
}

/// Writes a case, with the attachments that are here. Messages of ours are signed by this key, whichever signed them
/// when they were said.
///
/// # Errors
/// If it cannot be written, or an attachment cannot be read.
pub fn export(
    thread: &Thread,
    vault: &Vault,
    key: &SecretKey,
    at: Timestamp,
    scope: Scope,
    out: impl Write,
) -> Result<Exported, ExportError> {
    let all = thread.timeline().count();
    let evidence = thread.case().not_allowed(&[Shareable::Evidence]).is_empty();
    let part;
    let thread = match scope {
        Scope::Own => thread,
        Scope::Other if thread.is_bridged() => return Err(ExportError::Bridged),
        Scope::Other => {
            part = allowed(thread)?;
            &part
        }
    };
    let manifest = Manifest {
        case: thread.id().clone(),
        exporter: thread.case().party(thread.us()).clone(),
        at,
        heads: Both {
            submitter: thread.head(Side::Submitter),
            receiver: thread.head(Side::Receiver),
        },
        state: thread.case().digest(),
    };
    let payload = serde_json::to_vec(&manifest)
        .map_err(|error| ExportError::Form(printable(&error.to_string(), 200)))?;
    let manifest = Envelope::sign_as(EXPORT_TYPE, &payload, &[key]).to_bytes();
    let mut archive = tar::Builder::new(out);
    let mut add = |path: &str, size: u64, from: &mut dyn Read| {
        let mut header = tar::Header::new_ustar();
        header.set_size(size);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(at.as_second()).unwrap_or_default());
        archive.append_data(&mut header, path, from).map_err(written)
    };
    add("manifest.json", manifest.len() as u64, &mut manifest.as_slice())?;
    for side in Side::BOTH {
        for sealed in thread.chain(side) {
            let path = message_path(side, sealed.message.seq);
            // What was heard is signed by us, too.
            let bytes = match side == thread.us() || thread.is_bridged() {
                true => sealed.signed_by(key),
                false => sealed.bytes.clone(),
            };
            add(&path, bytes.len() as u64, &mut bytes.as_slice())?;
        }
    }
    let messages = thread.timeline().count();
    let mut done = Exported { messages, held: all.saturating_sub(messages), ..Exported::default() };
    for file in &thread.case().attachments {
        let customers = file.file.classification.is_customers();
        if scope == Scope::Other && customers && !evidence {
            done.withheld += 1;
            continue;
        }
        match vault.of_case(thread.id(), thread.us(), file) {
            Ok(from) => add(
                &format!("attachments/{}", file.file.sha256),
                file.file.size,
                &mut from.take(file.file.size),
            )?,
            Err(VaultError::Absent(_)) => done.absent += 1,
            Err(error) => return Err(error.into()),
        }
    }
    archive.into_inner().and_then(|mut out| out.flush()).map_err(written)?;
    Ok(done)
}

/// What was read of an export and verified.
#[derive(Debug)]
pub struct Imported {
    /// What it says of itself.
    pub manifest: Manifest,
    /// The messages.
    pub chains: Both<Vec<Sealed>>,
    /// The case that they make, from the submitter's side.
    pub thread: Thread,
    /// The attachments that were in it.
    pub files: usize,
    /// Of each side so many messages, from the first, are borne out by a key that signs for its party now: that one
    /// signed them, or one that continues them.
    pub sure: Both<usize>,
}

/// Reads an export and verifies all of it: each message against the keys of its party, their order, the case
/// that they make, and each attachment. Attachments go into the vault if one is given, of a desk of this side.
///
/// # Errors
/// If anything of it is not as it has to be.
pub fn import(
    from: impl Read,
    keys: impl Fn(&PartyName) -> PartyKeys,
    vault: Option<(&Vault, Side)>,
) -> Result<Imported, ExportError> {
    let mut archive = tar::Archive::new(from);
    let mut entries = archive.entries().map_err(read_error)?;
    let mut manifest: Option<Manifest> = None;
    let mut chains: Both<Vec<Sealed>> = Both { submitter: Vec::new(), receiver: Vec::new() };
    let mut thread: Option<Thread> = None;
    let (mut files, mut sure) = (0, Both { submitter: 0, receiver: 0 });
    while let Some(entry) = entries.next().transpose().map_err(read_error)? {
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(ExportError::Form(format!("{} is no plain file", printable(&path, 100))));
        }
        let Some(known) = &manifest else {
            if path != "manifest.json" {
                return Err(ExportError::Form("it does not begin with its manifest".to_owned()));
            }
            manifest = Some(read_manifest(&small(entry, &path)?, &keys)?);
            continue;
        };
        let side = Side::BOTH
            .into_iter()
            .find(|side| path == message_path(*side, chains.of(*side).len() as u64 + 1));
        if let Some(side) = side.filter(|_| thread.is_none()) {
            let bytes = small(entry, &path)?;
            let (sealed, of_now) = read_message(&bytes, &path, known, side, &keys)?;
            let chain = chains.of_mut(side);
            if chain.len() >= MESSAGES {
                return Err(ExportError::NotWhole(format!(
                    "more than {MESSAGES} messages of the {side}"
                )));
            }
            chain.push(sealed);
            if of_now {
                *sure.of_mut(side) = chain.len();
            }
            continue;
        }
        // The messages are there: what follows are attachments of the case that they make.
        let whole = match thread.take() {
            Some(thread) => thread,
            None => whole(known, &chains)?,
        };
        let digest = path.strip_prefix("attachments/").and_then(|name| name.parse::<Digest>().ok());
        let attached =
            whole.case().attachments.iter().find(|file| Some(file.file.sha256) == digest);
        let Some(file) = attached else {
            let path = printable(&path, 100);
            return Err(ExportError::Form(format!("it has {path}, which does not belong there")));
        };
        if let Some((vault, us)) = vault {
            let vault = match file.by == us {
                true => vault.clone(),
                false => vault.theirs(whole.id()),
            };
            vault.put_announced(entry, &file.file.sha256, file.file.size)?;
        }
        files += 1;
        thread = Some(whole);
    }
    let manifest = manifest.ok_or_else(|| ExportError::Form("it is empty".to_owned()))?;
    let thread = match thread {
        Some(thread) => thread,
        None => whole(&manifest, &chains)?,
    };
    Ok(Imported { manifest, chains, thread, files, sure })
}

/// The bytes of an envelope.
fn small(entry: impl Read, path: &str) -> Result<Vec<u8>, ExportError> {
    let mut bytes = Vec::new();
    entry.take(LIMIT + 1).read_to_end(&mut bytes).map_err(read_error)?;
    if bytes.len() as u64 > LIMIT {
        return Err(ExportError::Form(format!("{path} has more than {LIMIT} bytes")));
    }
    Ok(bytes)
}

fn keys_of(
    party: &PartyName,
    keys: &impl Fn(&PartyName) -> PartyKeys,
) -> Result<PartyKeys, ExportError> {
    let known = keys(party);
    if known.now.is_empty() { Err(ExportError::NoKey(party.clone())) } else { Ok(known) }
}

fn read_manifest(
    bytes: &[u8],
    keys: &impl Fn(&PartyName) -> PartyKeys,
) -> Result<Manifest, ExportError> {
    let doubt = |source| ExportError::Message { place: "the manifest".to_owned(), source };
    let envelope =
        Envelope::parse_entry_as(EXPORT_TYPE, bytes).map_err(|error| doubt(error.into()))?;
    let manifest: Manifest = serde_json::from_slice(envelope.payload())
        .map_err(|error| doubt(MessageError::Form(printable(&error.to_string(), 200))))?;
    let keys = keys_of(&manifest.exporter, keys)?;
    envelope.verify(&keys.now).map_err(|error| doubt(error.into()))?;
    Ok(manifest)
}

fn read_message(
    bytes: &[u8],
    path: &str,
    manifest: &Manifest,
    side: Side,
    keys: &impl Fn(&PartyName) -> PartyKeys,
) -> Result<(Sealed, bool), ExportError> {
    let doubt = |source| ExportError::Message { place: path.to_owned(), source };
    let message = Sealed::parse(bytes).map_err(doubt)?.message;
    let keys = keys_of(message.signer(), keys)?;
    if message.heard.is_some() && *message.signer() != manifest.exporter {
        return Err(ExportError::NotWhole(format!("{path} was heard by another party's desk")));
    }
    let (sealed, of_now) = match verify_message(bytes, &keys.now) {
        Ok(sealed) => (sealed, true),
        Err(error) if keys.before.is_empty() => return Err(doubt(error)),
        Err(_) => (verify_message(bytes, &keys.before).map_err(doubt)?, false),
    };
    if sealed.message.case != manifest.case {
        return Err(ExportError::NotWhole(format!("{path} is of another case")));
    }
    if sealed.message.event.by != side {
        return Err(ExportError::NotWhole(format!("{path} is of the other side")));
    }
    Ok((sealed, of_now))
}

/// The case, if the messages continue each other and make what the manifest says.
fn whole(manifest: &Manifest, chains: &Both<Vec<Sealed>>) -> Result<Thread, ExportError> {
    let thread = Thread::restore(Side::Submitter, chains.clone(), 0)?;
    for side in Side::BOTH {
        let (chain, other) = (chains.of(side), chains.of(side.other()));
        let mut prev = None;
        for sealed in chain {
            let place = || format!("message {} of the {side}", sealed.message.seq);
            if sealed.message.prev != prev {
                return Err(ExportError::NotWhole(format!("{} continues another one", place())));
            }
            prev = Some(sealed.digest);
            let names = (&sealed.message.from, &sealed.message.to);
            if names != (thread.case().party(side), thread.case().party(side.other())) {
                return Err(ExportError::NotWhole(format!("{} is of other parties", place())));
            }
            let seen = sealed.message.seen;
            if seen.is_some_and(|seen| !other.iter().any(|other| other.link() == seen)) {
                return Err(ExportError::NotWhole(format!(
                    "{} rests on one that is missing",
                    place()
                )));
            }
        }
        if thread.head(side) != *manifest.heads.of(side) {
            return Err(ExportError::NotWhole(format!(
                "messages of the {side} are missing at the end"
            )));
        }
    }
    let ordered = thread.timeline().count();
    if ordered != chains.submitter.len() + chains.receiver.len() {
        return Err(ExportError::NotWhole("its messages have no order".to_owned()));
    }
    if thread.case().digest() != manifest.state {
        return Err(ExportError::NotWhole(
            "its messages make another case here than where it was written: the programs differ"
                .to_owned(),
        ));
    }
    Ok(thread)
}

#[cfg(test)]
mod tests;
