//! Appends to a party's log, one process at a time, so that a crash at any point loses nothing that
//! was said to be appended and forks nothing.
//!
//! The order: journal (flushed, renamed) · tiles and bundles (each flushed, renamed) · folders
//! flushed · the head remembered with the party's keys · checkpoint (flushed, renamed) · journal
//! removed · partial tiles removed whose full one is there. On opening, a journal that is there is
//! carried out again; every step gives the same bytes as the first time.

use std::path::PathBuf;

use hospitium_model::Digest;
use jiff::Timestamp;

use super::folder::{CHECKPOINT, LogFolder};
use super::growth::{self, Edge};
use super::journal::{self, JOURNAL};
use super::{ENTRY_LIMIT, LogError};
use crate::files::{self, Access, Lock};
use crate::head::NotAccepted;
use crate::note::{CHECKPOINT_LIMIT, Checkpoint, Head};
use crate::party::Party;
use crate::policy::Policy;
use crate::tile::{MAX_SIZE, Tile};
use crate::tree::empty_root;

/// A party's log, open for appending. Another process is kept out until this is dropped.
#[derive(Debug)]
pub struct Log<'p> {
    folder: LogFolder,
    party: &'p Party,
    checkpoint: Checkpoint,
    edge: Edge,
    recovered: u64,
    _lock: Lock,
}

/// What an append did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Index of the first entry appended.
    pub first: u64,
    /// The head with all of them.
    pub head: Head,
}

impl<'p> Log<'p> {
    /// Opens a party's log in this folder; makes it if nothing is there. What a crash left half
    /// done is completed.
    ///
    /// # Errors
    /// If another process has it, it is not this party's, it is damaged, or it is older than what
    /// the party has signed.
    pub fn open(folder: &std::path::Path, party: &'p Party) -> Result<Self, LogError> {
        files::make_folder(folder)?;
        let lock = files::lock(&folder.join(".lock"))?
            .ok_or_else(|| LogError::InUse { folder: folder.to_owned() })?;
        let folder = LogFolder::new(folder);
        let checkpoint = match folder.checkpoint() {
            Err(LogError::Absent { .. }) => create(&folder, party)?,
            other => other?,
        };
        let checkpoint_error =
            |source| LogError::Checkpoint { folder: folder.path().to_owned(), source };
        checkpoint.verify_log(&party.public.log).map_err(checkpoint_error)?;
        let edge = Edge::load(&folder, checkpoint.head())?;
        let mut log = Self { folder, party, checkpoint, edge, recovered: 0, _lock: lock };
        log.recover()?;
        log.compare_with_memory()?;
        Ok(log)
    }

    /// The head with its signatures.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Its folder, for reading.
    pub const fn folder(&self) -> &LogFolder {
        &self.folder
    }

    /// How many entries of an append that was cut off were completed on opening.
    pub const fn recovered(&self) -> u64 {
        self.recovered
    }

    /// Appends entries, in this order, and signs a new head. When it returns, they are on the
    /// medium. Many at once are much cheaper than one after the other.
    ///
    /// # Errors
    /// If an entry is empty or too large (nothing is appended then), or the files cannot be written.
    pub fn append(&mut self, entries: &[impl AsRef<[u8]>]) -> Result<Appended, LogError> {
        for (number, entry) in entries.iter().enumerate() {
            let size = entry.as_ref().len();
            if !(1..=ENTRY_LIMIT).contains(&size) {
                return Err(LogError::EntrySize { number, size });
            }
        }
        let first = self.checkpoint.head().size;
        if first + entries.len() as u64 > MAX_SIZE {
            return Err(LogError::Full);
        }
        let mut rest = entries;
        while !rest.is_empty() {
            let mut bytes = 0;
            let count = rest
                .iter()
                .take(journal::ENTRIES)
                .take_while(|entry| {
                    bytes += entry.as_ref().len();
                    bytes <= journal::BYTES
                })
                .count();
            let (now, later) = rest.split_at(count.max(1));
            let base = self.checkpoint.head().size;
            let journal = journal::encode(self.party.public.log.name(), base, now);
            let path = self.folder.at(JOURNAL);
            files::put_durably(&path, &journal, Access::Public)?;
            self.carry_out(now)?;
            rest = later;
        }
        Ok(Appended { first, head: self.checkpoint.head().clone() })
    }

    /// Puts a cosignature under the checkpoint that comes from outside: it has to be of a witness of this
    /// policy, over this very head, and not from the future.
    ///
    /// # Errors
    /// If it is anything else; the checkpoint stays as it was then.
    pub fn accept(&mut self, line: &str, policy: &Policy, now: Timestamp) -> Result<(), LogError> {
        let folder = self.folder.path().to_owned();
        let with = policy.accept(&self.checkpoint, line, now).map_err(|error| match error {
            NotAccepted::Note(source) => LogError::Checkpoint { folder, source },
            NotAccepted::Cosignature(why) => LogError::Cosignature { folder, why },
        })?;
        self.put(with)
    }

    /// Puts cosignatures under the checkpoint, each a signature line, as a [`Witness`](crate::Witness)
    /// made them here. What comes from outside is for [`accept`](Self::accept).
    ///
    /// # Errors
    /// If a line is none, or the checkpoint cannot be written.
    pub fn add_signatures(&mut self, lines: &[String]) -> Result<(), LogError> {
        let mut checkpoint = Checkpoint::parse(self.checkpoint.as_bytes());
        for line in lines {
            checkpoint = checkpoint.and_then(|checkpoint| checkpoint.with_line(line));
        }
        let folder = self.folder.path().to_owned();
        self.put(checkpoint.map_err(|source| LogError::Checkpoint { folder, source })?)
    }

    /// Puts the checkpoint with further signatures in its place.
    fn put(&mut self, checkpoint: Checkpoint) -> Result<(), LogError> {
        files::put_durably(&self.folder.at(CHECKPOINT), checkpoint.as_bytes(), Access::Public)?;
        self.checkpoint = checkpoint;
        Ok(())
    }

    /// Writes what the journal holds, and signs.
    fn carry_out(&mut self, entries: &[impl AsRef<[u8]>]) -> Result<(), LogError> {
        let mut edge = self.edge.clone();
        let mut files = edge.grow(entries);
        let full: Vec<Tile> = files.keys().copied().collect();
        files.extend(edge.partials());
        growth::write(&self.folder, &files)?;

        let origin = self.checkpoint.head().origin.clone();
        let head = Head { origin, size: edge.size(), root: edge.root() };
        let checkpoint =
            Checkpoint::sign(&head, &self.party.public.log, &self.party.log).map_err(|source| {
                LogError::Checkpoint { folder: self.folder.path().to_owned(), source }
            })?;
        self.remember(&checkpoint)?;
        files::put_durably(&self.folder.at(CHECKPOINT), checkpoint.as_bytes(), Access::Public)?;
        files::remove(&self.folder.at(JOURNAL))?;
        growth::tidy(&self.folder, &full);
        (self.checkpoint, self.edge) = (checkpoint, edge);
        Ok(())
    }

    /// Completes an append that was cut off.
    fn recover(&mut self) -> Result<(), LogError> {
        let Some(journal) = journal::read(self.folder.path(), self.party.public.log.name())? else {
            return Ok(());
        };
        let size = self.checkpoint.head().size;
        let count = journal.entries.len() as u64;
        if journal.base == size {
            self.carry_out(&journal.entries)?;
            self.recovered = count;
        } else if journal.base.checked_add(count) == Some(size) {
            // Cut off after the checkpoint was in place.
            files::remove(&self.folder.at(JOURNAL))?;
        } else {
            let why = format!(
                "it continues a log of {} entries, and this one has {size}; restore the log from a copy",
                journal.base
            );
            return Err(LogError::Damaged { path: self.folder.at(JOURNAL), why });
        }
        Ok(())
    }

    /// Where the party keeps the last head that it signed for this log.
    fn memory(&self) -> PathBuf {
        memory(self.party)
    }

    fn remember(&self, checkpoint: &Checkpoint) -> Result<(), LogError> {
        let path = self.memory();
        if let Some(folder) = path.parent() {
            files::make_folder(folder)?;
        }
        Ok(files::put_durably(&path, checkpoint.as_bytes(), Access::Public)?)
    }

    /// Refuses a log that is older than, or another than, what the party signed.
    fn compare_with_memory(&self) -> Result<(), LogError> {
        let Some(signed) = remembered(self.party)? else {
            return Ok(());
        };
        let (found, signed) = (self.checkpoint.head(), signed.head());
        let folder = self.folder.path().to_owned();
        if found.size < signed.size {
            return Err(LogError::RolledBack { folder, found: found.size, signed: signed.size });
        }
        let root = self.folder.tree(found).root_of(signed.size)?;
        if root == signed.root {
            Ok(())
        } else {
            Err(LogError::Forked { folder, size: signed.size })
        }
    }
}

fn memory(party: &Party) -> PathBuf {
    let origin = Digest::of(party.public.log.name().as_bytes());
    party.signed().join(format!("{}.checkpoint", origin.short()))
}

/// The last head that the party signed, if any.
fn remembered(party: &Party) -> Result<Option<Checkpoint>, LogError> {
    let path = memory(party);
    let bytes = match files::read(&path, CHECKPOINT_LIMIT) {
        Err(error) if error.is_absent() => return Ok(None),
        other => other?,
    };
    let read = Checkpoint::parse(&bytes).and_then(|checkpoint| {
        checkpoint.verify_log(&party.public.log)?;
        Ok(checkpoint)
    });
    read.map(Some).map_err(|source| LogError::Checkpoint { folder: path, source })
}

/// The first checkpoint of a log, over nothing.
fn create(folder: &LogFolder, party: &Party) -> Result<Checkpoint, LogError> {
    let path = folder.path().to_owned();
    if folder.at("tile").exists() {
        return Err(LogError::Headless { folder: path });
    }
    if let Some(signed) = remembered(party)?.filter(|signed| signed.head().size > 0) {
        return Err(LogError::RolledBack { folder: path, found: 0, signed: signed.head().size });
    }
    let origin = party.public.log.name().to_owned();
    let head = Head { origin, size: 0, root: empty_root() };
    let checkpoint = Checkpoint::sign(&head, &party.public.log, &party.log)
        .map_err(|source| LogError::Checkpoint { folder: path, source })?;
    files::put_durably(&folder.at(CHECKPOINT), checkpoint.as_bytes(), Access::Public)?;
    Ok(checkpoint)
}
