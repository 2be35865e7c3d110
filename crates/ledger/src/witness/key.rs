//! A witness that has one key, and no other secret.

use std::path::{Path, PathBuf};

use super::Witness;
use crate::key::SecretKey;
use crate::party::{PartyError, open_key, public_of, witnessed};
use crate::vkey::VerifierKey;

/// The key with which a party cosigns others' logs, and where it remembers what it cosigned: all that a witness has.
#[derive(Debug)]
pub struct WitnessKey {
    name: VerifierKey,
    key: SecretKey,
    witnessed: PathBuf,
}

impl WitnessKey {
    /// Opens it in a party's folder. `party.toml` and `secret/witness.pem` are enough.
    ///
    /// # Errors
    /// If one of them is missing, others can get at the secret, or it does not fit.
    pub fn open(folder: &Path) -> Result<Self, PartyError> {
        let name = public_of(folder)?.witness;
        let key = open_key(folder, "witness", &name)?;
        Ok(Self { name, key, witnessed: witnessed(folder) })
    }

    /// Its name and public key.
    pub const fn name(&self) -> &VerifierKey {
        &self.name
    }

    /// The witness that signs with it.
    pub fn witness(&self) -> Witness<'_> {
        Witness::with_key(&self.name, &self.key, self.witnessed.clone())
    }
}
