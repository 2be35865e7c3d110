//! The other parties that a party trusts, in `peers` of its folder.
//!
//! ```text
//! DIR/peers/
//!   NAME.toml            the other's party.toml, whose fingerprint a person compared
//!   NAME.policy          a policy that trusts it
//!   NAME.log/            a copy of its log, where a change of key was looked for
//!   NAME.refused-…      keys that it showed, and that do not follow those that are trusted
//! ```

use std::path::{Path, PathBuf};

use hospitium_model::Digest;

use crate::files::{self, Access, FileError};
use crate::party::{PartyError, PublicParty, check_name};
use crate::policy::POLICY_LIMIT;
use crate::vkey::VerifierKey;

/// What a party keeps of others.
#[derive(Debug, Clone)]
pub struct Peers {
    folder: PathBuf,
}

impl Peers {
    /// Those of the party in this folder.
    pub fn of(party: &Path) -> Self {
        Self { folder: party.join("peers") }
    }

    fn path(&self, name: &str, ending: &str) -> PathBuf {
        self.folder.join(format!("{name}.{ending}"))
    }

    /// All peers, each with its file, in the order of the files' names.
    ///
    /// # Errors
    /// If a file of a peer cannot be read.
    pub fn all(&self) -> Result<Vec<(PathBuf, PublicParty)>, PartyError> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Ok(Vec::new()) };
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
        paths.sort();
        paths.into_iter().map(|path| PublicParty::read(&path).map(|peer| (path, peer))).collect()
    }

    /// The peer of this name, whatever its file is called, and the file.
    ///
    /// # Errors
    /// If a file of a peer cannot be read.
    pub fn known(&self, name: &str) -> Result<Option<(PathBuf, PublicParty)>, PartyError> {
        Ok(self.all()?.into_iter().find(|(_, peer)| peer.name == name))
    }

    /// The policy that trusts the party whose log has this origin, if there is one.
    pub fn policy_of(&self, origin: &str) -> Option<PathBuf> {
        let name = origin.split('/').next().unwrap_or_default();
        // An origin is text from outside: only a party's name becomes a part of a path.
        check_name(name).ok()?;
        Some(self.path(name, "policy")).filter(|path| path.is_file())
    }

    /// Where a copy of this party's log is.
    pub fn log_of(&self, peer: &PublicParty) -> PathBuf {
        self.path(&peer.name, "log")
    }

    /// Trusts a party, whose log is published at this address: writes its policy and its public part, and gives both
    /// files. Of a policy that is there already, only the party's own keys are replaced: what a person added, as witnesses
    /// and a quorum, stays.
    ///
    /// # Errors
    /// If they cannot be written, or another peer's file cannot be read.
    pub fn trust(
        &self,
        peer: &PublicParty,
        log: Option<&str>,
    ) -> Result<(PathBuf, PathBuf), PartyError> {
        let known = self.known(&peer.name)?;
        files::make_folder(&self.folder)?;
        let public = known.map_or_else(|| self.path(&peer.name, "toml"), |(path, _)| path);
        let policy = self.path(&peer.name, "policy");
        let text = match files::read(&policy, POLICY_LIMIT) {
            Err(error) if error.is_absent() => peer.policy_at(log),
            Err(error) => return Err(error.into()),
            Ok(old) => kept(&String::from_utf8_lossy(&old), peer, log),
        };
        files::put_durably(&policy, text.as_bytes(), Access::Public)?;
        files::put_durably(&public, peer.to_toml().as_bytes(), Access::Public)?;
        Ok((public, policy))
    }

    /// Keeps what a peer showed and is not believed, beside what is.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn refuse(&self, peer: &PublicParty) -> Result<PathBuf, FileError> {
        let text = peer.to_toml();
        let short = Digest::of(text.as_bytes()).short();
        let path = self.path(&peer.name, &format!("refused-{short}"));
        files::put_durably(&path, text.as_bytes(), Access::Public)?;
        Ok(path)
    }
}

/// A policy with the party's present keys in the place of those that it had. Its log's address stays where no other is
/// given.
fn kept(old: &str, peer: &PublicParty, log: Option<&str>) -> String {
    let of_log = |line: &str| {
        let mut words = line.split_whitespace();
        let is_log = words.next() == Some("log");
        let key = words.next().filter(|_| is_log)?.parse::<VerifierKey>().ok()?;
        (key.name() == peer.log.name()).then(|| words.next().map(str::to_owned))
    };
    let is_signer = |line: &str| {
        let mut words = line.split_whitespace();
        let is_signer = words.next() == Some("#hospitium:signer");
        let key =
            words.next().filter(|_| is_signer).and_then(|key| key.parse::<VerifierKey>().ok());
        key.is_some_and(|key| key.name() == peer.name)
    };
    let address = old.lines().find_map(of_log).flatten();
    let new = peer.policy_at(log.or(address.as_deref()));
    let own = |line: &&str| of_log(line).is_some() || is_signer(line);
    let new: String = new.lines().filter(own).map(|line| format!("{line}\n")).collect();
    let (mut text, mut put) = (String::new(), false);
    for line in old.lines() {
        if !own(&line) {
            text.push_str(&format!("{line}\n"));
        } else if !put {
            text.push_str(&new);
            put = true;
        }
    }
    if put { text } else { new + &text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Algorithm, SecretKey};
    use crate::party::Party;
    use crate::policy::Policy;

    #[test]
    fn trusting_a_party_again_keeps_what_a_person_added_to_its_policy() {
        let folder = tempfile::tempdir().expect("made");
        let party = |name: &str| {
            Party::init(&folder.path().join(name), name, Algorithm::Ed25519).expect("made")
        };
        let (a, mut b) = (party("a.example"), party("b.example"));
        let peers = Peers::of(&folder.path().join("a.example"));
        let (_, path) = peers.trust(&b.public, Some("https://b.example/log")).expect("trusted");
        let text = std::fs::read_to_string(&path).expect("reads");
        let text =
            text.replace("quorum none", &format!("witness a {}\nquorum a", a.public.witness));
        std::fs::write(&path, &text).expect("written");
        // The other party has another key for its records since.
        let new = SecretKey::generate(Algorithm::Ed25519).expect("made");
        b.replace_record_key(new, 4).expect("replaced");
        peers.trust(&b.public, None).expect("trusted");
        let policy = Policy::read(&path).expect("reads");
        assert_eq!(policy.witnesses.len(), 1);
        assert!(policy.quorum_words().contains("a has to cosign"), "{}", policy.quorum_words());
        assert_eq!(policy.log_url("b.example/log"), Some("https://b.example/log"));
        let signers = policy.signers_of("b.example");
        assert_eq!(signers.len(), 2, "{signers:?}");
        assert!(signers.iter().any(|span| span.key == b.public.record && span.until.is_none()));
        assert!(signers.iter().any(|span| span.until == Some(4)));
        // Nothing changed: nothing is changed.
        let before = std::fs::read_to_string(&path).expect("reads");
        peers.trust(&b.public, None).expect("trusted");
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), before);
    }
}
