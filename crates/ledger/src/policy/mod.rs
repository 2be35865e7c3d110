//! Whom to trust: c2sp.org/tlog-policy, and in comments of a fixed form the parties whose records
//! are believed.
//!
//! ```text
//! log vendor.example/log+1a2b3c4d+AQ…
//! witness other other.example/witness+5e6f7a8b+BA…
//! quorum other
//! #hospitium:signer vendor.example+9c0d1e2f+AQ…
//! ```
//!
//! A URL may follow a log's key and a witness's: where the one is published, and the other takes requests.
//!
//! A key that was given up stands with the last entry that it may have signed:
//! `#hospitium:signer KEY until=41`.
//!
//! Which keys sign within a log's entries is outside of tlog-policy ("Introduction"). Other tools
//! read the line with our prefix as a comment; this one refuses it if it is malformed.

mod choose;
mod parse;

pub use choose::{NotChosen, Policies};
pub use parse::PolicyError;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::files::{self, FileError};
use crate::keys::KeySpan;
use crate::vkey::VerifierKey;

/// The most bytes of a policy.
pub const POLICY_LIMIT: u64 = 256 << 10;

/// A policy, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Logs whose checkpoints are accepted.
    pub logs: Vec<VerifierKey>,
    /// Witnesses, by name within the policy.
    pub witnesses: Vec<PolicyWitness>,
    /// Parties whose records are believed, each key with the entries for which it holds.
    pub signers: Vec<KeySpan>,
    groups: Vec<Group>,
    quorum: Quorum,
    /// Where logs are published, by their origins.
    urls: BTreeMap<String, String>,
}

/// A witness of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyWitness {
    /// Its name in the policy, for people.
    pub name: String,
    /// Its key.
    pub key: VerifierKey,
    /// Where it takes requests, if the policy says so.
    pub url: Option<String>,
}

/// What has to have cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Quorum {
    None,
    Of(Member),
}

/// A witness or a group, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    name: String,
    least: usize,
    members: Vec<Member>,
}

/// Why a policy could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PolicyReadError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line of it.
    #[error(transparent)]
    Line(#[from] PolicyError),
}

impl Policy {
    /// Reads a policy's file.
    ///
    /// # Errors
    /// If it cannot be read, is too large, or a line breaks a rule.
    pub fn read(path: &Path) -> Result<Self, PolicyReadError> {
        let bytes = files::read(path, POLICY_LIMIT)?;
        Ok(Self::parse(&path.to_string_lossy(), &bytes)?)
    }

    /// Reads a policy. `origin` names the file in errors.
    ///
    /// # Errors
    /// The first line that breaks a rule, with the place in it.
    pub fn parse(origin: &str, bytes: &[u8]) -> Result<Self, PolicyError> {
        parse::parse(origin, bytes)
    }

    /// The policy that trusts nobody.
    pub fn nobody() -> Self {
        Self {
            logs: Vec::new(),
            witnesses: Vec::new(),
            signers: Vec::new(),
            groups: Vec::new(),
            quorum: Quorum::None,
            urls: BTreeMap::new(),
        }
    }

    /// The log of this origin.
    pub fn log(&self, origin: &str) -> Option<&VerifierKey> {
        self.logs.iter().find(|key| key.name() == origin)
    }

    /// Where the log of this origin is published, if the policy says so.
    pub fn log_url(&self, origin: &str) -> Option<&str> {
        self.urls.get(origin).map(String::as_str)
    }

    /// The keys with which this party may sign records.
    pub fn signers_of(&self, party: &str) -> Vec<KeySpan> {
        self.signers.iter().filter(|span| span.key.name() == party).cloned().collect()
    }

    /// True if the witnesses of these places (in [`witnesses`](Self::witnesses)) are enough.
    pub fn is_quorum(&self, cosigned: &BTreeSet<usize>) -> bool {
        match self.quorum {
            Quorum::None => true,
            // Members are defined before the group that has them: each answer is there already.
            Quorum::Of(member) => {
                let mut groups: Vec<bool> = Vec::with_capacity(self.groups.len());
                let has = |groups: &[bool], member: Member| match member {
                    Member::Witness(at) => cosigned.contains(&at),
                    Member::Group(at) => groups.get(at).copied().unwrap_or(false),
                };
                for group in &self.groups {
                    let count = group.members.iter().filter(|m| has(&groups, **m)).count();
                    groups.push(count >= group.least);
                }
                has(&groups, member)
            }
        }
    }

    /// The quorum in words.
    pub fn quorum_words(&self) -> String {
        match self.quorum {
            Quorum::None => "no cosignature is asked for".to_owned(),
            Quorum::Of(member) => format!("{} has to cosign", self.member_words(member, 0)),
        }
    }

    fn member_words(&self, member: Member, depth: usize) -> String {
        match member {
            Member::Witness(at) => {
                self.witnesses.get(at).map(|w| w.name.clone()).unwrap_or_default()
            }
            Member::Group(at) => {
                let Some(group) = self.groups.get(at) else { return String::new() };
                if depth > 3 || group.members.len() > 8 {
                    return format!("the group {}", group.name);
                }
                let names: Vec<_> =
                    group.members.iter().map(|m| self.member_words(*m, depth + 1)).collect();
                format!("{} of ({})", group.least, names.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests;
