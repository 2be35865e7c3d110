//! Reads a log with distrust: its checkpoint, every entry's place in the tree, every signature. Runs
//! on a thread of its own and hands over batches, so that memory stays bounded.

use std::collections::BTreeMap;

use hospitium_ledger::{
    Checkpoint, Head, HeadError, KeySpan, LogFolder, MayBe, Policy, Statement, Trusted, belongs_to,
    walk, walk_on,
};
use hospitium_model::Digest;
use jiff::Timestamp;

use crate::CatalogError;
use crate::row::Row;
use crate::verify::{Raw, Verifier};

/// Entries that are handed over at once, at most.
const BATCH: usize = 250;
/// Bytes of them from which on there are enough, too: an entry may have 64 KiB, and several batches for
/// each processor are under way.
const BATCH_BYTES: usize = 1 << 20;

/// Damaged entries after which nothing more of a log is looked for.
const MOST_DAMAGED: u64 = 1 << 14;

/// A log, and under which policy it is believed.
#[derive(Debug, Clone)]
pub struct LogSource {
    /// The log, or a copy of it.
    pub folder: LogFolder,
    /// Whom to trust.
    pub policy: Policy,
}

/// A log that is to be taken in: its verified head, or why it is not taken.
#[derive(Debug)]
pub struct Given {
    pub(crate) source: LogSource,
    pub(crate) opened: Result<Opened, Unopened>,
    /// Why it is refused though its head verifies.
    pub(crate) refused: Option<String>,
}

/// Why a log's head is not believed, and which log that probably is.
#[derive(Debug)]
pub(crate) struct Unopened {
    pub origin: Option<String>,
    pub why: CatalogError,
}

impl Given {
    /// The verified head, if there is one.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.opened.as_ref().ok().map(Opened::checkpoint)
    }

    /// Refuses the log though its head verifies: its records stay as of the last good head. Why is told to everybody who
    /// reads the catalog, so it is to name no place of this computer.
    pub fn refuse(&mut self, why: String) {
        self.refused.get_or_insert(why);
    }
}

/// A log whose head was verified, once: what is read of the log is held against this head.
#[derive(Debug)]
pub struct Opened {
    pub(crate) head: Head,
    pub(crate) party: String,
    /// Other parties that have cosigned the head, and when each did first.
    pub(crate) cosigners: BTreeMap<String, Timestamp>,
    /// The latest time at which a witness that counts has cosigned it.
    pub(crate) cosigned_at: Option<Timestamp>,
    /// Cosignatures that do not count, in words.
    pub(crate) ahead: Vec<String>,
    pub(crate) checkpoint: Checkpoint,
}

impl Opened {
    /// The head, with the signatures that were verified.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

/// An entry, verified or not.
#[derive(Debug)]
pub struct Entry {
    pub index: u64,
    /// SHA-256 of the entry.
    pub digest: Digest,
    /// What it says, or why that is not believed.
    pub said: Result<Said, String>,
    /// What it may be where it is not believed.
    pub may_be: MayBe,
}

/// What an entry says.
#[derive(Debug)]
pub enum Said {
    /// A validation, as the catalog keeps it.
    Validation { row: Box<Row>, issued: Timestamp },
    /// Anything else, and for an endorsement the key that signed it.
    Other { statement: Box<Statement>, by: Option<String> },
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
    /// Verifies the checkpoint and its cosignatures. A log whose head is not believed is frozen by
    /// [`Catalog::take_in`](crate::Catalog::take_in); the others are taken in all the same.
    pub fn look(&self, now: Timestamp) -> Given {
        let opened = self.open(now);
        let opened = opened.map_err(|why| Unopened { origin: self.probable_origin(), why });
        Given { source: self.clone(), opened, refused: None }
    }

    /// The origin that the folder's checkpoint claims, if the policy has such a log; else that of the policy's only log.
    fn probable_origin(&self) -> Option<String> {
        let claimed = self.folder.checkpoint().ok().map(|head| head.head().origin.clone());
        let claimed = claimed.filter(|origin| self.policy.log(origin).is_some());
        let only = || match self.policy.logs.as_slice() {
            [log] => Some(log.name().to_owned()),
            _ => None,
        };
        claimed.or_else(only)
    }

    /// The party whose log has this origin, by the policy.
    pub(crate) fn party_of(&self, origin: &str) -> Option<String> {
        let names = self.policy.signers.iter().map(|span| span.key.name());
        names.into_iter().find(|name| belongs_to(origin, name)).map(str::to_owned)
    }

    /// Verifies the checkpoint and its cosignatures.
    ///
    /// # Errors
    /// If there is none, or it is not believed under the policy.
    pub fn open(&self, now: Timestamp) -> Result<Opened, CatalogError> {
        let folder = || self.folder.path().display().to_string();
        let checkpoint = self
            .folder
            .checkpoint()
            .map_err(|source| CatalogError::Log { folder: folder(), source })?;
        let shown = || hospitium_model::printable(&checkpoint.head().origin, 200);
        let trusted = self.policy.trusts(&checkpoint, now).map_err(|source| match source {
            HeadError::Unknown { .. } => {
                CatalogError::Untrusted { origin: shown(), folder: folder() }
            }
            HeadError::Quorum { quorum, cosigned } => {
                let quorum = format!("{quorum}, and {cosigned} did");
                CatalogError::Quorum { folder: folder(), quorum }
            }
            HeadError::Note(source) => CatalogError::Checkpoint { folder: folder(), source },
        })?;
        let Trusted { head, cosigned, ahead, .. } = trusted;
        let party = self
            .party_of(&head.origin)
            .ok_or_else(|| CatalogError::NoSigner { origin: shown() })?;
        let domain = |name: &str| name.split('/').next().unwrap_or_default().to_owned();
        let cosigned_at = cosigned.iter().map(|cosigned| cosigned.at).max();
        let mut cosigners = BTreeMap::new();
        for (name, at) in cosigned.iter().map(|cosigned| (domain(&cosigned.by), cosigned.at)) {
            if name != party {
                let first = cosigners.entry(name).or_insert(at);
                *first = at.min(*first);
            }
        }
        Ok(Opened { head, party, cosigners, cosigned_at, ahead, checkpoint })
    }

    /// Reads the whole log. Gives up without a word if nobody takes what it hands over.
    pub(crate) fn read(
        &self,
        opened: &Opened,
        now: Timestamp,
        give: &mut dyn FnMut(Batch) -> bool,
    ) {
        let mut verifier = Verifier::new(self, opened, now);
        let checked = verifier.in_order(
            |take| {
                let mut pending = Raw::default();
                let checked = walk(&self.folder, &opened.head, |index, entry| {
                    pending.push(index, entry);
                    if pending.len() >= BATCH || pending.size() >= BATCH_BYTES {
                        take(std::mem::take(&mut pending));
                    }
                });
                take(pending);
                checked
            },
            &mut |entries| give(Batch::Entries(entries)),
        );
        match checked {
            None => {}
            Some(checked) if checked.is_sound() => {
                let _ = give(Batch::End { damaged: 0 });
            }
            Some(_) => self.read_one_by_one(opened, now, give),
        }
    }

    /// Reads what the log has beyond a head of before, after which its party's keys were these. False if that is not what
    /// continues it to the present head: nothing of what was handed over is the log's then.
    pub(crate) fn read_on(
        &self,
        opened: &Opened,
        old: &Head,
        keys: Vec<KeySpan>,
        now: Timestamp,
        give: &mut dyn FnMut(Vec<Entry>) -> bool,
    ) -> bool {
        let mut verifier = Verifier::with_keys(opened, keys, now);
        let walked = verifier.in_order(
            |take| {
                let mut pending = Raw::default();
                let walked = walk_on(&self.folder, old, &opened.head, |index, entry| {
                    pending.push(index, entry);
                    if pending.len() >= BATCH || pending.size() >= BATCH_BYTES {
                        take(std::mem::take(&mut pending));
                    }
                });
                take(pending);
                walked
            },
            give,
        );
        matches!(walked, Some(Ok(true)))
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
        let mut verifier = Verifier::new(self, opened, now);
        let tree = self.folder.tree(&opened.head);
        let (mut damaged, mut next) = (0, 0);
        while next < opened.head.size {
            // A head may say that there are 2^40 entries, and no file be there.
            if damaged >= MOST_DAMAGED {
                damaged += opened.head.size - next;
                break;
            }
            let until = (next + BATCH as u64).min(opened.head.size);
            let (mut sound, mut bad) = (Raw::default(), Vec::new());
            while next < until && sound.size() < BATCH_BYTES {
                let index = next;
                next += 1;
                match tree.entry(index) {
                    Ok(entry) => sound.push(index, &entry),
                    Err(error) => bad.push(Entry {
                        index,
                        digest: Digest::of(b""),
                        may_be: MayBe::Nothing,
                        said: Err(error.to_string()),
                    }),
                }
            }
            damaged += bad.len() as u64;
            let mut entries = verifier.verify(&sound);
            entries.extend(bad);
            entries.sort_by_key(|entry| entry.index);
            if !give(Batch::Entries(entries)) {
                return;
            }
        }
        // Tiles can be wrong where all entries are right; nothing is missing then.
        let _ = give(Batch::End { damaged });
    }
}

/// An error with all its causes, in a line.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    words
}
