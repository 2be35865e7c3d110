//! Verifies the entries of a log: who signed, whether that key was the party's at that place, and whether
//! what is said is the party's to say. Signatures are nearly all of the work of a rebuild, so they are
//! verified on all processors; the order of the log is kept, for a change of key holds from its place on.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use hospitium_ledger::statement::Record;
use hospitium_ledger::{KeySpan, MayBe, VerifierKey, believe, change_key};
use hospitium_model::Digest;
use jiff::Timestamp;

use crate::read::{Entry, LogSource, Opened, Said};
use crate::row::Row;

/// Batches for each thread that are read and not handed over yet: memory stays bounded by them.
const UNDER_WAY: usize = 4;

/// Entries that follow each other, with their places, in one piece of memory.
#[derive(Debug, Default)]
pub struct Raw {
    bytes: Vec<u8>,
    /// Of each entry its place in the log, and where it ends in the bytes.
    ends: Vec<(u64, usize)>,
}

impl Raw {
    /// Adds an entry.
    pub fn push(&mut self, index: u64, entry: &[u8]) {
        self.bytes.extend_from_slice(entry);
        self.ends.push((index, self.bytes.len()));
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// How many bytes they have together.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(_, end)| *end));
        let of = |start: usize, end: usize| self.bytes.get(start..end).unwrap_or_default();
        starts.zip(&self.ends).map(move |(start, (index, end))| (*index, of(start, *end)))
    }
}

/// The keys that are a party's, each with the entries at which it is.
type Keys = Arc<Vec<KeySpan>>;

/// Verifies the entries of one log.
pub struct Verifier<'a> {
    party: &'a str,
    now: Timestamp,
    keys: Keys,
}

/// What is known of an entry: for a change of key with who signed it.
type Verified = (Entry, Option<VerifierKey>);

/// Entries to verify under these keys.
struct Job {
    number: u64,
    keys: Keys,
    entries: Raw,
}

impl<'a> Verifier<'a> {
    /// With the keys that the policy names.
    pub fn new(source: &LogSource, opened: &'a Opened, now: Timestamp) -> Self {
        Self::with_keys(opened, source.policy.signers_of(&opened.party), now)
    }

    /// With keys as they are further on in the log.
    pub fn with_keys(opened: &'a Opened, keys: Vec<KeySpan>, now: Timestamp) -> Self {
        Self { party: &opened.party, now, keys: Arc::new(keys) }
    }

    /// Verifies entries that follow each other.
    pub fn verify(&mut self, entries: &Raw) -> Vec<Entry> {
        let keys = Arc::clone(&self.keys);
        let verified = each(self.party, self.now, &keys, entries);
        self.settle(&keys, entries, verified)
    }

    /// Verifies what `feed` hands over, batch by batch, on all processors, and gives it on in the same
    /// order. None if nobody took it any more, else what `feed` says.
    pub fn in_order<T>(
        &mut self,
        feed: impl FnOnce(&mut dyn FnMut(Raw)) -> T,
        give: &mut dyn FnMut(Vec<Entry>) -> bool,
    ) -> Option<T> {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(16);
        let (party, now) = (self.party, self.now);
        let (work, jobs) = mpsc::channel::<Job>();
        let (tell, done) = mpsc::channel::<(Job, Option<Vec<Verified>>)>();
        let jobs = Mutex::new(jobs);
        thread::scope(|scope| {
            for _ in 0..threads {
                let (tell, jobs) = (tell.clone(), &jobs);
                scope.spawn(move || {
                    loop {
                        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                        let Ok(job) = job else { return };
                        let all = || each(party, now, &job.keys, &job.entries);
                        // Where it panics, it is tried again by whoever waits for it.
                        let verified = catch_unwind(AssertUnwindSafe(all)).ok();
                        if tell.send((job, verified)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(tell);
            // Both ends go with this closure, however it ends, and the threads with them.
            let (work, done) = (work, done);
            let (mut sent, mut given, mut going) = (0_u64, 0_u64, true);
            let mut early = BTreeMap::new();
            let mut take_in = |this: &mut Self, given: &mut u64, going: &mut bool| {
                let Ok((job, verified)) = done.recv() else {
                    *going = false;
                    return;
                };
                early.insert(job.number, (job, verified));
                while let Some((job, verified)) = early.remove(given) {
                    *given += 1;
                    let verified =
                        verified.unwrap_or_else(|| each(party, now, &job.keys, &job.entries));
                    let entries = this.settle(&job.keys, &job.entries, verified);
                    *going = *going && give(entries);
                }
            };
            let said = feed(&mut |entries| {
                if !going || entries.len() == 0 {
                    return;
                }
                let job = Job { number: sent, keys: Arc::clone(&self.keys), entries };
                going = work.send(job).is_ok();
                sent += 1;
                while going && sent - given >= (threads * UNDER_WAY) as u64 {
                    take_in(self, &mut given, &mut going);
                }
            });
            while going && given < sent {
                take_in(self, &mut given, &mut going);
            }
            going.then_some(said)
        })
    }

    /// Entries that were verified under these keys, as they stand under those that held at their place: a
    /// change of key holds from the next entry on, so what follows it is verified once more.
    fn settle(&mut self, keys: &Keys, entries: &Raw, verified: Vec<Verified>) -> Vec<Entry> {
        let mut settled = Vec::with_capacity(verified.len());
        for ((mut entry, mut by), raw) in verified.into_iter().zip(entries.iter()) {
            if !Arc::ptr_eq(keys, &self.keys) {
                (entry, by) = one(self.party, self.now, &self.keys, raw);
            }
            if let (Ok(Said::Other { statement, .. }), Some(by)) = (&entry.said, &by)
                && let Record::KeyChange(change) = &statement.record
            {
                // A list of its own: what is under way was verified under the one before, and `ptr_eq` tells.
                let mut changed = Vec::clone(&self.keys);
                match change_key(&mut changed, self.party, raw.0, by, change) {
                    Ok(true) => self.keys = Arc::new(changed),
                    Ok(false) => {}
                    Err(not) => (entry.said, entry.may_be) = (Err(not.why), not.may_be),
                }
            }
            settled.push(entry);
        }
        settled
    }
}

/// All of these, each by itself.
fn each(party: &str, now: Timestamp, keys: &[KeySpan], entries: &Raw) -> Vec<Verified> {
    entries.iter().map(|raw| one(party, now, keys, raw)).collect()
}

fn one(party: &str, now: Timestamp, keys: &[KeySpan], (index, bytes): (u64, &[u8])) -> Verified {
    let digest = Digest::of(bytes);
    let mut may_be = MayBe::Nothing;
    let (said, by) = match believe(party, now, keys, (index, bytes)) {
        Err(not) => {
            may_be = not.may_be;
            (Err(not.why), None)
        }
        Ok((statement, by)) => match &statement.record {
            Record::Validation(validation) => {
                let issued = validation.hospitium.issued;
                (
                    Ok(Said::Validation {
                        row: Box::new(Row::of(&statement, validation, by)),
                        issued,
                    }),
                    None,
                )
            }
            Record::KeyChange(_) => {
                (Ok(Said::Other { statement: Box::new(statement), by: None }), Some(by.clone()))
            }
            Record::Endorsement(_) => {
                let by = Some(by.to_string());
                (Ok(Said::Other { statement: Box::new(statement), by }), None)
            }
            _ => (Ok(Said::Other { statement: Box::new(statement), by: None }), None),
        },
    };
    (Entry { index, digest, said, may_be }, by)
}
