//! Which policy holds for which log, where several parties' logs are read together: each log is believed by the policy that
//! names its origin, whatever order they are given in.

use std::path::{Path, PathBuf};

use super::{Policy, PolicyReadError};
use crate::log::LogFolder;
use crate::text::shown;

/// Policies to choose from.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    given: Vec<(PathBuf, Policy)>,
}

/// Why no policy is chosen for a log.
#[derive(Debug, thiserror::Error)]
pub enum NotChosen {
    /// None of those that are given names it.
    #[error(
        "no policy that is given trusts the log {origin:?} of {log}",
        log = log.display()
    )]
    Unnamed {
        /// What its checkpoint calls it.
        origin: String,
        /// Its folder.
        log: PathBuf,
    },
    /// Two name it.
    #[error(
        "two policies trust the log {origin:?}, {first} and {second}; give one of them",
        first = first.display(), second = second.display()
    )]
    Several {
        /// What its checkpoint calls it.
        origin: String,
        /// One policy.
        first: PathBuf,
        /// Another.
        second: PathBuf,
    },
    /// A policy cannot be used.
    #[error("the policy {path} cannot be used", path = path.display())]
    Policy {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: Box<PolicyReadError>,
    },
}

fn read(path: &Path) -> Result<Policy, NotChosen> {
    Policy::read(path)
        .map_err(|source| NotChosen::Policy { path: path.to_owned(), source: Box::new(source) })
}

impl Policies {
    /// Those of these files.
    ///
    /// # Errors
    /// If a file cannot be read or breaks a rule.
    pub fn read(files: &[PathBuf]) -> Result<Self, NotChosen> {
        let policy = |path: &PathBuf| Ok((path.clone(), read(path)?));
        Ok(Self { given: files.iter().map(policy).collect::<Result<_, NotChosen>>()? })
    }

    /// The one that was given, if no other was: it holds for every log, and does not believe those that it does not name.
    pub fn only(&self) -> Option<&Policy> {
        let [(_, policy)] = self.given.as_slice() else { return None };
        Some(policy)
    }

    /// The policy for the log in this folder. The origin that its checkpoint claims chooses; whether the checkpoint is that
    /// log's is then verified under the policy, as ever.
    ///
    /// # Errors
    /// If there is none, or there are two.
    pub fn of_log(&self, folder: &LogFolder) -> Result<Policy, NotChosen> {
        if let Some(only) = self.only() {
            return Ok(only.clone());
        }
        // Nobody can say which log that is: no policy believes it, and that is told as of any log that is not believed.
        let Ok(checkpoint) = folder.checkpoint() else { return Ok(Policy::nobody()) };
        let origin = &checkpoint.head().origin;
        let unnamed =
            || NotChosen::Unnamed { origin: shown(origin), log: folder.path().to_owned() };
        self.of_origin(origin)?.cloned().ok_or_else(unnamed)
    }

    /// The policy that trusts the log of this origin; none if none does.
    ///
    /// # Errors
    /// If two that differ trust it.
    pub fn of_origin(&self, origin: &str) -> Result<Option<&Policy>, NotChosen> {
        let mut named = self.given.iter().filter(|(_, policy)| policy.log(origin).is_some());
        let Some((path, policy)) = named.next() else { return Ok(None) };
        // Of one content they do not contradict each other.
        match named.find(|(_, other)| other != policy) {
            None => Ok(Some(policy)),
            Some((other, _)) => Err(NotChosen::Several {
                origin: shown(origin),
                first: path.clone(),
                second: other.clone(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Algorithm;
    use crate::log::Log;
    use crate::party::Party;

    /// Two parties, each with a log of an entry.
    fn two() -> (tempfile::TempDir, [Party; 2]) {
        let folder = tempfile::tempdir().expect("made");
        let party = |name: &str| {
            let party = Party::init(&folder.path().join(name), name, Algorithm::Ed25519);
            let party = party.expect("made");
            let mut log = Log::open(&party.usual_log(), &party).expect("opens");
            log.append(&[b"an entry".to_vec()]).expect("appended");
            party
        };
        let both = [party("a.example"), party("b.example")];
        (folder, both)
    }

    fn chosen(policies: &Policies, party: &Party) -> Result<Policy, NotChosen> {
        policies.of_log(&LogFolder::new(&party.usual_log()))
    }

    #[test]
    fn each_log_is_believed_by_the_policy_that_names_it_in_whatever_order_they_are_given() {
        let (folder, [a, b]) = two();
        let path = |party: &str| folder.path().join(party).join("policy");
        let own = |party: &str| Policy::read(&path(party)).expect("reads");
        for files in
            [[path("a.example"), path("b.example")], [path("b.example"), path("a.example")]]
        {
            let policies = Policies::read(&files).expect("reads");
            assert_eq!(chosen(&policies, &a).expect("is chosen"), own("a.example"));
            assert_eq!(chosen(&policies, &b).expect("is chosen"), own("b.example"));
        }
        // A single one holds for every log, and then does not believe those that it does not name.
        let policies = Policies::read(&[path("a.example")]).expect("reads");
        assert_eq!(chosen(&policies, &b).expect("is chosen"), own("a.example"));
    }

    #[test]
    fn a_log_that_no_policy_names_is_refused_by_its_name() {
        let (folder, [a, b]) = two();
        let own = folder.path().join("a.example/policy");
        let more = folder.path().join("more");
        std::fs::write(&more, format!("log {}\nquorum none\n", a.public.log)).expect("written");
        let refused = chosen(&Policies::read(&[own, more]).expect("reads"), &b);
        assert!(matches!(refused, Err(NotChosen::Unnamed { .. })), "{refused:?}");
    }

    #[test]
    fn two_policies_that_contradict_each_other_about_a_log_are_refused() {
        let (folder, [a, _]) = two();
        let own = folder.path().join("a.example/policy");
        let copy = folder.path().join("copy");
        std::fs::copy(&own, &copy).expect("copied");
        let policies = Policies::read(&[own.clone(), copy.clone()]).expect("reads");
        assert_eq!(
            chosen(&policies, &a).expect("they are one"),
            Policy::read(&own).expect("reads")
        );
        let other = format!("log {}\nquorum none\n", a.public.log);
        std::fs::write(&copy, other).expect("written");
        let policies = Policies::read(&[own, copy]).expect("reads");
        let refused = chosen(&policies, &a);
        assert!(matches!(refused, Err(NotChosen::Several { .. })), "{refused:?}");
    }

    #[test]
    fn a_log_that_nobody_can_name_is_believed_by_nobody_and_keeps_no_other_from_being_read() {
        let (folder, [a, b]) = two();
        let path = |party: &str| folder.path().join(party).join("policy");
        std::fs::write(b.usual_log().join("checkpoint"), "garbage").expect("written");
        let policies = Policies::read(&[path("a.example"), path("b.example")]).expect("reads");
        let chosen_for = policies.of_log(&LogFolder::new(&b.usual_log())).expect("is chosen");
        assert!(chosen_for.logs.is_empty());
        let own = Policy::read(&path("a.example")).expect("reads");
        assert_eq!(chosen(&policies, &a).expect("is chosen"), own);
    }
}
