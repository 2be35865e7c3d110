//! Verifier keys as signed notes name them: `name+id+key` (c2sp.org/signed-note, "Verifier keys").

use std::fmt;
use std::str::FromStr;

use hospitium_model::Digest;
use serde::{Deserialize, Serialize};

use crate::key::{KeyError, PublicKey};
use crate::text::{from_base64, shown, to_base64};

/// The most bytes that a verifier key's text may have.
pub const VKEY_LIMIT: usize = 1_000;

/// What a named key signs, as the signature type byte says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// `0x01`: notes with Ed25519; a log's checkpoints, and (Ed25519) records.
    Note,
    /// `0x02`: ECDSA; here only for records.
    Ecdsa,
    /// `0x04`: cosignatures with a time, Ed25519 (c2sp.org/tlog-cosignature).
    Cosignature,
}

impl Purpose {
    /// The type byte.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Note => 0x01,
            Self::Ecdsa => 0x02,
            Self::Cosignature => 0x04,
        }
    }
}

/// A public key with its name and purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VerifierKey {
    name: String,
    purpose: Purpose,
    key: PublicKey,
    /// The key's fingerprint in hexadecimal: every signature is held against it.
    key_id: String,
}

/// Why a text is no verifier key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifierKeyError {
    /// Not `name+8 hexadecimal digits+base64`.
    #[error("{0:?} is no verifier key; it looks like \"vendor.example/log+1a2b3c4d+AQ…\"")]
    Form(String),
    /// A name with spaces or plus signs, or none.
    #[error(
        "{0:?} cannot be a key's name: it is empty, or has a space, a plus or a control character"
    )]
    Name(String),
    /// The key id is not that of name and key: one of them was altered.
    #[error(
        "the key id {said} does not belong to this name and key (theirs is {found}): \
         get the key again from its owner"
    )]
    Id {
        /// As written.
        said: String,
        /// As computed.
        found: String,
    },
    /// A type byte of something that is not verified here.
    #[error(
        "the key is of type 0x{0:02x}, which this program cannot verify; it knows 0x01 (Ed25519), \
         0x02 (ECDSA P-256) and 0x04 (Ed25519 cosignatures)"
    )]
    Type(u8),
    /// The key itself.
    #[error("the key is not good")]
    Key(#[from] KeyError),
}

/// True for a name that may stand in a signature line.
pub fn is_good_name(name: &str) -> bool {
    signed_note::is_key_name_valid(name)
        && name.len() <= 255
        && !name.chars().any(|c| c.is_control() || "\u{2028}\u{2029}\u{feff}".contains(c))
}

impl VerifierKey {
    /// A key under a name.
    ///
    /// # Errors
    /// If the name cannot be one, or the key cannot serve the purpose.
    pub fn new(name: &str, purpose: Purpose, key: PublicKey) -> Result<Self, VerifierKeyError> {
        if !is_good_name(name) {
            return Err(VerifierKeyError::Name(shown(name)));
        }
        let fits = matches!(
            (purpose, &key),
            (Purpose::Note | Purpose::Cosignature, PublicKey::Ed25519(_))
                | (Purpose::Ecdsa, PublicKey::P256(_))
        );
        if fits {
            let key_id = key.fingerprint().to_string();
            Ok(Self { name: name.to_owned(), purpose, key, key_id })
        } else {
            Err(VerifierKeyError::Key(KeyError::Pem))
        }
    }

    /// The key of a party for its records: of type 0x01 or 0x02, as the key is.
    ///
    /// # Errors
    /// If the name cannot be one.
    pub fn for_records(name: &str, key: PublicKey) -> Result<Self, VerifierKeyError> {
        let purpose =
            if matches!(key, PublicKey::P256(_)) { Purpose::Ecdsa } else { Purpose::Note };
        Self::new(name, purpose, key)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    pub const fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The key.
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// What names the key in DSSE signatures: its fingerprint in hexadecimal.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The key id: the first four bytes of SHA-256 over name, newline, type byte and key; for
    /// ECDSA, over the key's SubjectPublicKeyInfo alone (c2sp.org/signed-note, "Signature types").
    pub fn id(&self) -> u32 {
        let digest = match self.purpose {
            Purpose::Ecdsa => self.key.fingerprint(),
            Purpose::Note | Purpose::Cosignature => {
                let mut text = self.name.clone().into_bytes();
                text.push(b'\n');
                text.extend(self.encoded());
                Digest::of(&text)
            }
        };
        let [a, b, c, d, ..] = *digest.as_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    /// Type byte and key.
    fn encoded(&self) -> Vec<u8> {
        let mut bytes = vec![self.purpose.byte()];
        match &self.key {
            PublicKey::Ed25519(key) => bytes.extend(key.as_bytes()),
            PublicKey::P256(_) => bytes.extend(self.key.spki()),
        }
        bytes
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:08x}+{}", self.name, self.id(), to_base64(&self.encoded()))
    }
}

impl FromStr for VerifierKey {
    type Err = VerifierKeyError;

    fn from_str(text: &str) -> Result<Self, VerifierKeyError> {
        let form = || VerifierKeyError::Form(shown(text));
        if text.len() > VKEY_LIMIT {
            return Err(form());
        }
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(form());
        };
        if id.len() != 8 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(form());
        }
        let bytes = from_base64(key).ok_or_else(form)?;
        let (kind, rest) = bytes.split_first().ok_or_else(form)?;
        let (purpose, key) = match kind {
            0x01 => (Purpose::Note, PublicKey::from_ed25519_bytes(rest)?),
            0x02 => (Purpose::Ecdsa, PublicKey::from_spki(rest)?),
            0x04 => (Purpose::Cosignature, PublicKey::from_ed25519_bytes(rest)?),
            other => return Err(VerifierKeyError::Type(*other)),
        };
        let read = Self::new(name, purpose, key)?;
        let found = format!("{:08x}", read.id());
        if found.eq_ignore_ascii_case(id) {
            Ok(read)
        } else {
            Err(VerifierKeyError::Id { said: id.to_owned(), found })
        }
    }
}

impl TryFrom<String> for VerifierKey {
    type Error = VerifierKeyError;

    fn try_from(text: String) -> Result<Self, VerifierKeyError> {
        text.parse()
    }
}

impl From<VerifierKey> for String {
    fn from(key: VerifierKey) -> Self {
        key.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Algorithm, SecretKey};

    #[test]
    fn the_key_of_the_go_checksum_database_reads_back() {
        // golang.org/x/mod/sumdb: the key that the go command has built in.
        let text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
        let key: VerifierKey = text.parse().expect("a key");
        assert_eq!((key.name(), key.purpose()), ("sum.golang.org", Purpose::Note));
        assert_eq!(key.to_string(), text);
    }

    #[test]
    fn keys_of_all_purposes_survive_their_text() {
        for (algorithm, purpose) in [
            (Algorithm::Ed25519, Purpose::Note),
            (Algorithm::Ed25519, Purpose::Cosignature),
            (Algorithm::EcdsaP256, Purpose::Ecdsa),
        ] {
            let key = SecretKey::generate(algorithm).expect("made").public();
            let named = VerifierKey::new("vendor.example", purpose, key).expect("fits");
            assert_eq!(named.to_string().parse(), Ok(named));
        }
    }

    #[test]
    fn a_key_under_another_name_or_of_an_unknown_type_is_refused() {
        let good = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
        let parse = |text: &str| text.parse::<VerifierKey>();
        let other = good.replace("sum.golang", "sum.goIang");
        assert!(matches!(parse(&other), Err(VerifierKeyError::Id { .. })));
        let ml_dsa = format!("w.example+00000000+{}", to_base64(&[6; 1313]));
        assert!(matches!(parse(&ml_dsa), Err(VerifierKeyError::Form(_))), "too long");
        let unknown = format!("w.example+00000000+{}", to_base64(&[6; 33]));
        assert_eq!(parse(&unknown), Err(VerifierKeyError::Type(6)));
        for bad in ["", "a", "a+b", "a+b+c", "+033de0ae+AA==", "a b+033de0ae+AA==", "a+033de0ae+"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
