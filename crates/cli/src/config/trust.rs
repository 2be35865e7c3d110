//! Whom the configuration trusts: for a log, the policy under which it is believed.

use std::path::Path;

use anyhow::{Context as _, Result};
use hospitium_ledger::{Fingerprint, Peers, Policy, PublicParty, belongs_to};

use super::{Held, Trusted};
use crate::failure::Usage;

impl Held {
    /// The policy under which a log of this origin is believed: that of a `[[log]]` which has its key, one's own
    /// party's, that of a peer of one's own party (`hospitium party trust`), or one that trusts a `[[trust]]`.
    /// None if nobody said so. A file beside the log counts for nothing.
    pub fn policy_of(&self, origin: &str) -> Result<Option<Policy>> {
        for log in &self.config().logs {
            let Some(path) = &log.policy else { continue };
            let policy = read(&path.value)?;
            if policy.log(origin).is_some() {
                return Ok(Some(policy));
            }
        }
        if let Some(folder) = &self.party {
            let own = PublicParty::read(folder).context("one's own party cannot be read")?;
            if belongs_to(origin, &own.name) {
                return read(&folder.join("policy")).map(Some);
            }
            if let Some(path) = Peers::of(folder).policy_of(origin) {
                return read(&path).map(Some);
            }
        }
        for trusted in &self.config().trust {
            let party = self.compared(trusted)?;
            if belongs_to(origin, &party.name) {
                let text = party.policy();
                return Ok(Some(Policy::parse(&party.name, text.as_bytes())?));
            }
        }
        Ok(None)
    }

    /// The keys of a party that is trusted, if they are still those that a person compared.
    pub fn compared(&self, trusted: &Trusted) -> Result<PublicParty> {
        let party = PublicParty::read(&trusted.party.value)
            .with_context(|| format!("the party of line {} cannot be read", trusted.party.line))?;
        let given: Fingerprint = trusted.fingerprint.value.parse().with_context(|| {
            format!("{}:{}: the fingerprint", self.file(), trusted.fingerprint.line)
        })?;
        if given == party.fingerprint() {
            return Ok(party);
        }
        Err(Usage::error(
            format!(
                "the keys of {} in {} are not those of the fingerprint in line {} of {}: nothing of it is believed",
                hospitium_model::printable(&party.name, 200),
                trusted.party.value.display(),
                trusted.fingerprint.line,
                self.file()
            ),
            "compare them by voice: `hospitium party show FILE` prints the digits",
        ))
    }
}

fn read(path: &Path) -> Result<Policy> {
    Policy::read(path).with_context(|| format!("the policy {} cannot be used", path.display()))
}
