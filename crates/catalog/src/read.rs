//! Reads a log with distrust: its checkpoint, every entry's place in the tree, every signature. Runs
//! on a thread of its own and hands over batches, so that memory stays bounded.

use std::thread;

use hospitium_ledger::dsse::Envelope;
use hospitium_ledger::statement::{KeyRole, Record};
use hospitium_ledger::{
    CLOCK_TOLERANCE, Head, KeySpan, LogFolder, Policy, Statement, VerifierKey, belongs_to, walk,
};
use hospitium_model::Digest;
use jiff::Timestamp;

use crate::CatalogError;

/// Entries that are verified at once.
const BATCH: usize = 1000;

/// A log, and under which policy it is believed.
#[derive(Debug, Clone)]
pub struct LogSource {
    /// The log, or a copy of it.
    pub folder: LogFolder,
    /// Whom to trust.
    pub policy: Policy,
}

/// What a log begins with.
#[derive(Debug, Clone)]
pub struct Opened {
    pub head: Head,
    pub party: String,
}

/// An entry, verified or not.
#[derive(Debug)]
pub struct Entry {
    pub index: u64,
    /// SHA-256 of the entry.
    pub digest: Digest,
    /// What it says, or why that is not believed.
    pub said: Result<Statement, String>,
}

/// What the reader hands over.
#[derive(Debug)]
pub enum Batch {
    /// Entries in order.
    Entries(Vec<Entry>),
    /// The log is damaged: forget what was handed over, it comes again, each entry proved by itself.
    Again,
    /// The end: how many entries could not be read or are not those of the tree.
    End { damaged: u64 },
}

impl LogSource {
    /// Verifies the checkpoint and its cosignatures.
    pub fn open(&self, now: Timestamp) -> Result<Opened, CatalogError> {
        let folder = || self.folder.path().display().to_string();
        let checkpoint = self
            .folder
            .checkpoint()
            .map_err(|source| CatalogError::Log { folder: folder(), source })?;
        let origin = checkpoint.head().origin.clone();
        let shown = || hospitium_model::printable(&origin, 200);
        let distrusted = |source| CatalogError::Checkpoint { folder: folder(), source };
        let key = self
            .policy
            .log(&origin)
            .ok_or_else(|| CatalogError::Untrusted { origin: shown(), folder: folder() })?;
        let head = checkpoint.verify_log(key).map_err(distrusted)?.clone();
        let mut cosigned = std::collections::BTreeSet::new();
        for (place, witness) in self.policy.witnesses.iter().enumerate() {
            if checkpoint.verify_cosignature(&witness.key, now).map_err(distrusted)?.is_some() {
                cosigned.insert(place);
            }
        }
        if !self.policy.is_quorum(&cosigned) {
            let quorum = self.policy.quorum_words();
            return Err(CatalogError::Quorum { folder: folder(), quorum });
        }
        let party = self
            .policy
            .signers
            .iter()
            .map(|span| span.key.name())
            .find(|name| belongs_to(&head.origin, name))
            .ok_or_else(|| CatalogError::NoSigner { origin: shown() })?
            .to_owned();
        Ok(Opened { head, party })
    }

    /// Reads the whole log. Gives up without a word if nobody takes what it hands over.
    pub fn read(&self, opened: &Opened, now: Timestamp, give: &mut dyn FnMut(Batch) -> bool) {
        let mut reader = Reader::new(self, opened, now);
        let mut pending: Vec<(u64, Vec<u8>)> = Vec::with_capacity(BATCH);
        let mut going = true;
        let checked = walk(&self.folder, &opened.head, |index, entry| {
            if !going {
                return;
            }
            pending.push((index, entry.to_vec()));
            if pending.len() >= BATCH {
                going = give(Batch::Entries(reader.verify(&std::mem::take(&mut pending))));
            }
        });
        if !going {
            return;
        }
        if checked.is_sound() {
            let rest = reader.verify(&pending);
            let _ = give(Batch::Entries(rest)) && give(Batch::End { damaged: 0 });
            return;
        }
        self.read_one_by_one(opened, now, give);
    }

    /// Each entry with its own proof: slower, and what is damaged spoils nothing else.
    fn read_one_by_one(
        &self,
        opened: &Opened,
        now: Timestamp,
        give: &mut dyn FnMut(Batch) -> bool,
    ) {
        if !give(Batch::Again) {
            return;
        }
        let mut reader = Reader::new(self, opened, now);
        let tree = self.folder.tree(&opened.head);
        let (mut damaged, mut next) = (0, 0);
        while next < opened.head.size {
            let until = (next + BATCH as u64).min(opened.head.size);
            let (mut sound, mut bad) = (Vec::new(), Vec::new());
            for index in next..until {
                match tree.entry(index) {
                    Ok(entry) => sound.push((index, entry)),
                    Err(error) => bad.push(Entry {
                        index,
                        digest: Digest::of(b""),
                        said: Err(error.to_string()),
                    }),
                }
            }
            damaged += bad.len() as u64;
            let mut entries = reader.verify(&sound);
            entries.extend(bad);
            entries.sort_by_key(|entry| entry.index);
            if !give(Batch::Entries(entries)) {
                return;
            }
            next = until;
        }
        // Tiles can be wrong where all entries are right; nothing is missing then.
        let _ = give(Batch::End { damaged });
    }
}

struct Reader<'a> {
    party: &'a str,
    now: Timestamp,
    keys: Vec<KeySpan>,
}

impl<'a> Reader<'a> {
    fn new(source: &LogSource, opened: &'a Opened, now: Timestamp) -> Self {
        let keys = source.policy.signers_of(&opened.party);
        Self { party: &opened.party, now, keys }
    }

    /// Verifies entries in order, signatures on all processors.
    fn verify(&mut self, entries: &[(u64, Vec<u8>)]) -> Vec<Entry> {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(16);
        let share = entries.len().div_ceil(threads).max(1);
        let this = &*self;
        let mut done: Vec<(Entry, Option<VerifierKey>)> = if entries.len() < 64 {
            entries.iter().map(|(index, bytes)| this.one(*index, bytes)).collect()
        } else {
            thread::scope(|scope| {
                let shares: Vec<_> = entries
                    .chunks(share)
                    .map(|chunk| {
                        scope.spawn(move || {
                            chunk.iter().map(|(i, b)| this.one(*i, b)).collect::<Vec<_>>()
                        })
                    })
                    .collect();
                // A share that is lost would be records that are lost: those are read again here.
                shares
                    .into_iter()
                    .zip(entries.chunks(share))
                    .flat_map(|(handle, chunk)| {
                        handle.join().unwrap_or_else(|_| {
                            chunk.iter().map(|(i, b)| this.one(*i, b)).collect()
                        })
                    })
                    .collect()
            })
        };
        // A change of key holds from the next entry on, so what follows it is verified once more.
        let mut changed = false;
        for ((entry, by), (index, bytes)) in done.iter_mut().zip(entries) {
            if changed {
                (*entry, *by) = self.one(*index, bytes);
            }
            if let (Ok(statement), Some(by)) = (&entry.said, &by) {
                changed |= self.key_change(*index, by, statement);
            }
        }
        done.into_iter().map(|(entry, _)| entry).collect()
    }

    fn one(&self, index: u64, bytes: &[u8]) -> (Entry, Option<VerifierKey>) {
        let digest = Digest::of(bytes);
        match self.statement(index, bytes) {
            Ok((statement, by)) => (Entry { index, digest, said: Ok(statement) }, Some(by)),
            Err(why) => (Entry { index, digest, said: Err(why) }, None),
        }
    }

    fn statement(&self, index: u64, bytes: &[u8]) -> Result<(Statement, VerifierKey), String> {
        let envelope = Envelope::parse(bytes).map_err(|error| error.to_string())?;
        // One record has one entry and one name.
        if envelope.to_bytes() != bytes {
            return Err("it is not written in the one form that a record has".to_owned());
        }
        let keys = self
            .keys
            .iter()
            .filter(|span| span.from <= index && span.until.is_none_or(|until| index <= until))
            .map(|span| &span.key);
        let by = envelope.verify_among(keys).map_err(|error| error.to_string())?.clone();
        let statement = Statement::parse(envelope.payload()).map_err(|error| error.to_string())?;
        if statement.party() != self.party {
            return Err(format!(
                "it speaks for {} in the log of {}",
                hospitium_model::printable(statement.party(), 80),
                self.party
            ));
        }
        let latest = self.now.checked_add(CLOCK_TOLERANCE).unwrap_or(Timestamp::MAX);
        if statement.issued() > latest {
            return Err(format!("it was made in the future, on {}", statement.issued()));
        }
        Ok((statement, by))
    }

    fn key_change(&mut self, index: u64, by: &VerifierKey, statement: &Statement) -> bool {
        let Record::KeyChange(change) = &statement.record else { return false };
        let ours = change.role == KeyRole::Record
            && change.old == *by
            && change.new.name() == self.party
            && change.new != change.old;
        if !ours {
            return false;
        }
        for span in &mut self.keys {
            if span.key == change.old && span.until.is_none() {
                span.until = Some(index);
            }
        }
        if !self.keys.iter().any(|span| span.key == change.new) {
            let key = change.new.clone();
            self.keys.push(KeySpan { key, from: index + 1, until: None });
        }
        true
    }
}
