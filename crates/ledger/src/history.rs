//! What a copy of a log says besides: keys that changed, certificates suspended and withdrawn.

use std::sync::Arc;

use hospitium_model::{CheckId, Digest};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::dsse::Envelope;
use crate::entry::{MayBe, NotBelieved, believe};
use crate::head::Trusted;
use crate::keys::{KeySpan, change_key};
use crate::log::{LogFolder, refused_heads, walk};
use crate::note::{Checkpoint, Hash, Head};
use crate::party::belongs_to;
use crate::policy::Policy;
use crate::proof::TlogProof;
use crate::standing::{NoticeDays, NoticeKind, day_of, in_force, last_day};
use crate::statement::{Notice, Outcome, Record, Resource, Statement, Validation, predicate};
use crate::text::shown;
use crate::verify::VerifyError;
use crate::vkey::VerifierKey;

/// What is told of an entry of an unknown kind that names the record.
const UNKNOWN: &str = "which this program does not know; a later hospitium may";

/// A suspension, lifting or withdrawal, as found in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Index of its entry.
    pub index: u64,
    /// What it is.
    pub kind: NoticeKind,
    /// What it says.
    pub notice: Notice,
}

/// What a copy of a log says about one record and its party's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// Entries of the copy.
    pub size: u64,
    /// The copy's head, under which all this was read.
    pub checkpoint: Arc<Checkpoint>,
    /// The latest time that a trusted witness has cosigned the copy's head.
    pub cosigned_at: Option<Timestamp>,
    /// When the copy's last readable record was made, by its party.
    pub last_record: Option<Timestamp>,
    /// The party's keys.
    pub keys: Vec<KeySpan>,
    /// What was said of the record, in the log's order.
    pub notices: Vec<Found>,
    /// What became of the other records that it rests on: waivers, and rows of earlier runs.
    pub rests_on: Vec<RestsOn>,
    /// Entries that the party signed and this program cannot read, which may be about the record:
    /// index and why.
    pub unread: Vec<(u64, String)>,
    /// Entries of a head of the log that is kept beside the copy, signed, and contradicts another: the log was forked, and
    /// what its other branch says is not known.
    pub forked: Option<u64>,
}

/// A record that a certificate rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestsOn {
    /// The record, by the digest of its entry.
    pub record: Digest,
    /// What it is to be.
    pub what: Needed,
    /// Whether the log has it as such; why not, in words.
    pub found: Result<(), String>,
    /// What was said of it, in the log's order.
    notices: Vec<Found>,
}

impl Found {
    /// Of these, which is in force on a day.
    pub fn in_force(all: &[Self], day: Date) -> Option<&Self> {
        let days = |found: &Self| NoticeDays {
            kind: found.kind,
            issued: day_of(found.notice.issued),
            until: found.notice.until.map(last_day),
        };
        all.get(in_force(&all.iter().map(days).collect::<Vec<_>>(), day)?)
    }
}

impl RestsOn {
    fn settle(&mut self, day: Date) {
        let Some(found) = Found::in_force(&self.notices, day) else { return };
        let what = match found.kind {
            NoticeKind::Withdrawal => "withdrawn",
            _ => "suspended",
        };
        self.found = Err(format!("it was {what} by entry {}", found.index));
    }
}

/// What a record has to be that another rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Needed {
    /// The waiver of a check for this guest and host, until then at least.
    Waiver {
        /// The check.
        check: CheckId,
        /// What boots.
        guest: Digest,
        /// The host's name.
        host: String,
        /// Until when.
        until: Timestamp,
    },
    /// A validation of this guest on this machine configuration that passed.
    Row {
        /// What boots.
        guest: Digest,
        /// The VMM.
        vmm: Option<Digest>,
        /// The words of the configuration.
        row: Vec<String>,
    },
}

impl Needed {
    /// What is due, in a few words.
    pub fn words(&self) -> String {
        match self {
            Self::Waiver { check, .. } => format!("the waiver of {check}"),
            Self::Row { row, .. } => format!("the earlier run on {}", row.join(" ")),
        }
    }

    /// What a validation rests on.
    pub fn of(validation: &Validation) -> Vec<(Digest, Self)> {
        let ours = &validation.hospitium;
        let guest = ours.guest.digest;
        let waivers = ours.waivers.iter().filter_map(|waiver| {
            let (check, host) = (waiver.check.clone(), ours.host.name.clone());
            Some((waiver.record?, Self::Waiver { check, guest, host, until: waiver.until }))
        });
        let rows = ours.machines.iter().flat_map(|machines| &machines.rows).filter_map(|row| {
            let vmm = validation.vmm();
            Some((row.record?, Self::Row { guest, vmm, row: row.row.clone() }))
        });
        waivers.chain(rows).collect()
    }

    /// Whether a statement is that; why not, in words.
    fn is(&self, statement: &Statement) -> Result<(), String> {
        match (self, &statement.record) {
            (Self::Waiver { check, guest, host, until }, Record::Waiver(waiver)) => {
                let of_guest = statement.subject.iter().any(|s| s.sha256() == Some(*guest));
                let of_host = waiver.host.as_ref().is_none_or(|name| name == host);
                match (waiver.check == *check && of_guest && of_host, waiver.until >= *until) {
                    (true, true) => Ok(()),
                    (true, false) => Err("it ended earlier".into()),
                    (false, _) => Err("it waives something else".into()),
                }
            }
            (Self::Row { guest, vmm, row }, Record::Validation(validation)) => {
                let ours = &validation.hospitium;
                let own = ours.machines.as_ref().and_then(|m| m.own_row(&ours.evidence.cell));
                let same = ours.guest.digest == *guest
                    && validation.vmm() == *vmm
                    && own.is_some_and(|own| own.words().as_slice() == row.as_slice());
                match (same, validation.result) {
                    (false, _) => Err("it is of another guest, host or machine".into()),
                    (true, Outcome::Failed) => Err("it says that the pair failed".into()),
                    (true, _) => Ok(()),
                }
            }
            _ => Err("it is a record of another kind".into()),
        }
    }
}

/// The part of a statement by which it is known what it is.
#[derive(Deserialize)]
struct Peek {
    #[serde(rename = "predicateType")]
    predicate_type: String,
    #[serde(default)]
    subject: Vec<Resource>,
}

/// Reads a copy of the log in which a certificate is: verifies its checkpoint, every entry, and that
/// it continues (or is continued by) what the certificate has.
///
/// # Errors
/// If the copy is not sound, is of another log, or contradicts the certificate: a fork.
pub fn read(
    folder: &LogFolder,
    policy: &Policy,
    certificate: &TlogProof,
    record: Digest,
    rests_on: Vec<(Digest, Needed)>,
    now: Timestamp,
) -> Result<History, VerifyError> {
    let checkpoint = folder.checkpoint()?;
    let theirs = certificate.checkpoint.head();
    if checkpoint.head().origin != theirs.origin {
        let (certificate, copy) = (shown(&theirs.origin), shown(&checkpoint.head().origin));
        return Err(VerifyError::OtherLog { certificate, copy });
    }
    // The quorum holds for it too: a withdrawal may hide in a branch that nobody cosigned.
    let Trusted { head, cosigned, .. } =
        policy.trusts(&checkpoint, now).map_err(VerifyError::Copy)?;
    let cosigned_at = cosigned.iter().map(|cosigned| cosigned.at).max();
    if head.size < theirs.size {
        return Err(VerifyError::Smaller { copy: head.size, certificate: theirs.size });
    }
    let fork = |ours: Hash| VerifyError::Fork {
        origin: theirs.origin.clone(),
        size: theirs.size,
        certificate: crate::text::to_base64(&theirs.root),
        copy: crate::text::to_base64(&ours),
    };
    let root = folder.tree(&head).root_of(theirs.size)?;
    if root != theirs.root {
        return Err(fork(root));
    }
    let mut reading = Reading {
        head: &head,
        record,
        entry: None,
        index: certificate.index,
        party: policy
            .signers
            .iter()
            .map(|span| span.key.name())
            .find(|name| belongs_to(&theirs.origin, name))
            .unwrap_or_default()
            .to_owned(),
        now,
        history: History {
            size: head.size,
            checkpoint: Arc::new(checkpoint),
            cosigned_at,
            last_record: None,
            keys: Vec::new(),
            notices: Vec::new(),
            unread: Vec::new(),
            forked: None,
            rests_on: rests_on
                .into_iter()
                .map(|(record, what)| {
                    let found = Err("the log does not have it".into());
                    RestsOn { record, what, found, notices: Vec::new() }
                })
                .collect(),
        },
    };
    reading.history.keys = policy.signers_of(&reading.party);
    let checked = walk(folder, &head, |index, entry| reading.entry(index, entry));
    if let Some(first) = checked.problems.first() {
        return Err(VerifyError::CopyDamaged { count: checked.count, first: first.to_string() });
    }
    if reading.entry != Some(record) {
        return Err(fork(head.root));
    }
    let mut history = reading.history;
    if let Some(key) = policy.log(&head.origin) {
        history.forked = forked(folder, &head, key);
    }
    history.rests_on.iter_mut().for_each(|rests| rests.settle(day_of(now)));
    Ok(history)
}

/// Entries of a head that is kept beside a copy of a log and that contradicts another: both have to be signed by the log's
/// key. Where both are of the copy's own tree, it was stale and no fork.
pub fn forked(folder: &LogFolder, head: &Head, key: &VerifierKey) -> Option<u64> {
    let signed = |kept: &Checkpoint| kept.verify_log(key).is_ok();
    let mut kept = refused_heads(folder.path()).into_iter();
    kept.find_map(|(old, new)| {
        let both = signed(&old) && signed(&new);
        let is_fork = both && old.head().size <= new.head().size;
        let fits = is_within(folder, head, old.head()) && is_within(folder, head, new.head());
        (is_fork && !fits).then(|| new.head().size)
    })
}

/// Whether a head is one that the log of a verified head had before, by the log's own files.
pub fn is_within(folder: &LogFolder, head: &Head, earlier: &Head) -> bool {
    earlier.size <= head.size
        && folder.tree(head).root_of(earlier.size).is_ok_and(|root| root == earlier.root)
}

struct Reading<'a> {
    head: &'a Head,
    record: Digest,
    index: u64,
    entry: Option<Digest>,
    party: String,
    now: Timestamp,
    history: History,
}

impl Reading<'_> {
    /// Whether an entry may say something of the record, of what it rests on, or of a key. What a record of an unknown
    /// kind says is not known: it may be about whatever it names, wherever.
    fn may_concern(&self, peek: &Peek, payload: &[u8]) -> bool {
        let known = [
            predicate::KEY_CHANGE,
            predicate::SUSPENSION,
            predicate::LIFTING,
            predicate::WITHDRAWAL,
        ];
        let about = |subject: &Resource| {
            let digest = subject.sha256();
            digest == Some(self.record)
                || self.history.rests_on.iter().any(|rests| digest == Some(rests.record))
        };
        let name = predicate::present(&peek.predicate_type);
        let is_known = predicate::ALL.contains(&name);
        known.contains(&name)
            || peek.subject.iter().any(about)
            || (!is_known && self.is_named_in(payload))
    }

    fn is_named_in(&self, payload: &[u8]) -> bool {
        let Ok(statement) = Statement::parse(payload) else { return true };
        let about = statement.about();
        let rests = self.history.rests_on.iter().map(|rests| rests.record);
        std::iter::once(self.record).chain(rests).any(|record| about.contains(&record))
    }

    fn entry(&mut self, index: u64, entry: &[u8]) {
        if index == self.index {
            self.entry = Some(Digest::of(entry));
        }
        // What is no record of ours has no say here.
        let Ok(envelope) = Envelope::parse(entry) else { return };
        let peek = serde_json::from_slice::<Peek>(envelope.payload()).ok();
        let last = index + 1 == self.head.size;
        let needed = &self.history.rests_on;
        let own = (!needed.is_empty()).then(|| Digest::of(entry));
        let is_needed = own.is_some_and(|own| needed.iter().any(|rests| rests.record == own));
        let concerns =
            is_needed || peek.is_none_or(|peek| self.may_concern(&peek, envelope.payload()));
        if !concerns && !last {
            return;
        }
        let believed = believe(&self.party, self.now, &self.history.keys, (index, entry));
        let (statement, by) = match believed {
            Ok((statement, by)) => (statement, by.clone()),
            Err(NotBelieved { may_be, why }) => {
                // Who usurps a key has the log: what is signed with that key further on is not known here.
                let told = match may_be {
                    MayBe::Anything => concerns,
                    MayBe::Usurpation => true,
                    MayBe::Nothing => false,
                };
                if told {
                    self.history.unread.push((index, why));
                }
                return;
            }
        };
        let issued = statement.issued();
        if last {
            self.history.last_record = issued;
        }
        if let Record::Unknown(unknown) = &statement.record {
            if concerns {
                let kind = shown(&unknown.kind);
                self.history.unread.push((index, format!("it is of the kind {kind:?}, {UNKNOWN}")));
            }
            return;
        }
        let about = statement.subject.iter().any(|s| s.sha256() == Some(self.record));
        for rests in &mut self.history.rests_on {
            if Some(rests.record) == own {
                rests.found = rests.what.is(&statement);
            }
            let about = statement.subject.iter().any(|s| s.sha256() == Some(rests.record));
            if let Some((kind, notice)) = statement.notice().filter(|_| about) {
                rests.notices.push(Found { index, kind, notice: notice.clone() });
            }
        }
        if let Some((kind, notice)) = statement.notice().filter(|_| about) {
            self.history.notices.push(Found { index, kind, notice: notice.clone() });
        }
        if let Record::KeyChange(change) = &statement.record {
            let keys = &mut self.history.keys;
            if let Err(not) = change_key(keys, &self.party, index, &by, change) {
                self.history.unread.push((index, not.why));
            }
        }
    }
}
