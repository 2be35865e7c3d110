//! Which policy holds for which log, where several parties' logs are read together: each log is believed by the policy that
//! names its origin, whatever order they are given in.

use std::path::{Path, PathBuf};

use super::{Policy, PolicyReadError};
use crate::log::LogFolder;
use crate::party::{PartyError, public_of};
use crate::peers::Peers;
use crate::text::shown;

/// Policies to choose from.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    given: Vec<(PathBuf, Policy)>,
    /// The folder of a party, which has a policy for its own log, and one for each party that it trusts.
    party: Option<PathBuf>,
}

/// The policy that was chosen for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The policy.
    pub policy: Policy,
    /// Its file.
    pub path: PathBuf,
    /// Whether nobody named it: it lies beside the log, in the folder of the log's own party.
    pub beside: bool,
}

/// Why no policy is chosen for a log.
#[derive(Debug, thiserror::Error)]
pub enum NotChosen {
    /// None names it.
    #[error("nothing says whom to trust for the log {log}", log = log.display())]
    None {
        /// Its folder.
        log: PathBuf,
    },
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
    /// The party's folder.
    #[error(transparent)]
    Party(#[from] PartyError),
}

fn read(path: &Path) -> Result<Policy, NotChosen> {
    Policy::read(path)
        .map_err(|source| NotChosen::Policy { path: path.to_owned(), source: Box::new(source) })
}

impl Policies {
    /// Those of these files, and those of a party's folder: its own, and of each party that it trusts.
    ///
    /// # Errors
    /// If a file cannot be read or breaks a rule, or the folder is no party's.
    pub fn read(files: &[PathBuf], party: Option<&Path>) -> Result<Self, NotChosen> {
        if let Some(party) = party {
            public_of(party)?;
        }
        let policy = |path: &PathBuf| Ok((path.clone(), read(path)?));
        let given = files.iter().map(policy).collect::<Result<_, NotChosen>>()?;
        Ok(Self { given, party: party.map(Path::to_owned) })
    }

    /// The policy for the log in this folder. The origin that its checkpoint claims chooses; whether the checkpoint is that
    /// log's is then verified under the policy, as ever. A single policy holds for every log. Where nothing was given, it
    /// is the one beside the log, in its party's folder.
    ///
    /// # Errors
    /// If there is none, or there are two.
    pub fn of_log(&self, folder: &LogFolder) -> Result<Chosen, NotChosen> {
        let log = || folder.path().to_owned();
        if self.given.is_empty() && self.party.is_none() {
            return beside(folder).ok_or_else(|| NotChosen::None { log: log() })?;
        }
        let origin = folder.checkpoint().ok().map(|checkpoint| checkpoint.head().origin.clone());
        if let ([(path, policy)], None) = (self.given.as_slice(), &self.party) {
            return Ok(Chosen { policy: policy.clone(), path: path.clone(), beside: false });
        }
        // Nobody can say which log that is: no policy believes it, and that is told as of any log that is not believed.
        let Some(origin) = origin else {
            return Ok(Chosen { policy: Policy::nobody(), path: PathBuf::new(), beside: false });
        };
        self.of_origin(&origin)?
            .ok_or_else(|| NotChosen::Unnamed { origin: shown(&origin), log: log() })
    }

    /// The policy that trusts the log of this origin: of the files that were given, else of the party's folder.
    ///
    /// # Errors
    /// If two files trust it, or the party's cannot be read.
    pub fn of_origin(&self, origin: &str) -> Result<Option<Chosen>, NotChosen> {
        let mut named = self.given.iter().filter(|(_, policy)| policy.log(origin).is_some());
        if let Some((path, policy)) = named.next() {
            // Of one content they do not contradict each other.
            if let Some((other, _)) = named.find(|(_, other)| other != policy) {
                return Err(NotChosen::Several {
                    origin: shown(origin),
                    first: path.clone(),
                    second: other.clone(),
                });
            }
            return Ok(Some(Chosen { policy: policy.clone(), path: path.clone(), beside: false }));
        }
        let Some(party) = &self.party else { return Ok(None) };
        let path = match public_of(party)?.log.name() == origin {
            true => Some(party.join("policy")),
            false => Peers::of(party).policy_of(origin),
        };
        let chosen = |path: PathBuf| Ok(Chosen { policy: read(&path)?, path, beside: false });
        path.map(chosen).transpose()
    }
}

/// The policy of the party's folder in which a log lies, if it lies in one.
fn beside(folder: &LogFolder) -> Option<Result<Chosen, NotChosen>> {
    let whole = folder.path().canonicalize().unwrap_or_else(|_| folder.path().to_owned());
    let path = whole.parent()?.join("policy");
    path.is_file().then(|| Ok(Chosen { policy: read(&path)?, path, beside: true }))
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

    fn chosen(policies: &Policies, party: &Party) -> Result<PathBuf, NotChosen> {
        policies.of_log(&LogFolder::new(&party.usual_log())).map(|chosen| chosen.path)
    }

    #[test]
    fn each_log_is_believed_by_the_policy_that_names_it_in_whatever_order_they_are_given() {
        let (folder, [a, b]) = two();
        let path = |party: &str| folder.path().join(party).join("policy");
        for files in
            [[path("a.example"), path("b.example")], [path("b.example"), path("a.example")]]
        {
            let policies = Policies::read(&files, None).expect("reads");
            assert_eq!(chosen(&policies, &a).expect("is chosen"), path("a.example"));
            assert_eq!(chosen(&policies, &b).expect("is chosen"), path("b.example"));
        }
        // A single one holds for every log, and then does not believe those that it does not name.
        let policies = Policies::read(&[path("a.example")], None).expect("reads");
        assert_eq!(chosen(&policies, &b).expect("is chosen"), path("a.example"));
        // With nothing, the one beside the log.
        let policies = Policies::default();
        assert_eq!(
            chosen(&policies, &b).expect("is chosen"),
            path("b.example").canonicalize().expect("is there")
        );
    }

    #[test]
    fn a_party_brings_its_own_policy_and_those_of_the_peers_that_it_trusts_and_no_other() {
        let (folder, [a, b]) = two();
        let home = folder.path().join("a.example");
        let policies = Policies::read(&[], Some(&home)).expect("reads");
        assert_eq!(chosen(&policies, &a).expect("is chosen"), home.join("policy"));
        let refused = chosen(&policies, &b);
        assert!(matches!(refused, Err(NotChosen::Unnamed { .. })), "{refused:?}");
        Peers::of(&home).trust(&b.public, None).expect("trusted");
        assert_eq!(chosen(&policies, &b).expect("is chosen"), home.join("peers/b.example.policy"));
        let nobody = Policies::read(&[], Some(&folder.path().join("nobody")));
        assert!(matches!(nobody, Err(NotChosen::Party(_))), "{nobody:?}");
    }

    #[test]
    fn two_policies_that_contradict_each_other_about_a_log_are_refused() {
        let (folder, [a, _]) = two();
        let own = folder.path().join("a.example/policy");
        let copy = folder.path().join("copy");
        std::fs::copy(&own, &copy).expect("copied");
        let policies = Policies::read(&[own.clone(), copy.clone()], None).expect("reads");
        assert_eq!(chosen(&policies, &a).expect("they are one"), own);
        let other = format!("log {}\nquorum none\n", a.public.log);
        std::fs::write(&copy, other).expect("written");
        let policies = Policies::read(&[own, copy], None).expect("reads");
        let refused = chosen(&policies, &a);
        assert!(matches!(refused, Err(NotChosen::Several { .. })), "{refused:?}");
    }

    #[test]
    fn a_log_that_nobody_can_name_is_believed_by_nobody_and_keeps_no_other_from_being_read() {
        let (folder, [a, b]) = two();
        let path = |party: &str| folder.path().join(party).join("policy");
        std::fs::write(b.usual_log().join("checkpoint"), "garbage").expect("written");
        let policies =
            Policies::read(&[path("a.example"), path("b.example")], None).expect("reads");
        let chosen_for = policies.of_log(&LogFolder::new(&b.usual_log())).expect("is chosen");
        assert!(chosen_for.policy.logs.is_empty());
        assert_eq!(chosen(&policies, &a).expect("is chosen"), path("a.example"));
    }
}
