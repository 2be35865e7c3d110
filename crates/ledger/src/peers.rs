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
    /// files.
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
        files::put_durably(&policy, peer.policy_at(log).as_bytes(), Access::Public)?;
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
