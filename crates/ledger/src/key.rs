//! Keys: Ed25519, and ECDSA over P-256 for those who verify with tools that want it.

use std::fmt;

use ed25519_dalek::pkcs8::KeypairBytes;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use hospitium_model::Digest;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
};
use rand_core::OsRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The most bytes that a key's PEM file may have.
pub const PEM_LIMIT: u64 = 4 << 10;

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// Ed25519 (RFC 8032), verified strictly.
    Ed25519,
    /// ECDSA over NIST P-256 with SHA-256; signatures in DER.
    EcdsaP256,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519 => "Ed25519",
            Self::EcdsaP256 => "ECDSA P-256",
        })
    }
}

/// Why something is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not PEM, or PEM of something else.
    #[error(
        "this is no key of a known type: it has to be a PEM block of an Ed25519 or a P-256 key"
    )]
    Pem,
    /// The bytes are no point, or one of the few points under which anything verifies.
    #[error("the public key is weak or malformed; nobody can sign with it")]
    Weak,
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random bytes, so no key can be made")]
    Random,
}

/// A secret key. Cleared from memory when dropped; shows nothing of itself.
pub enum SecretKey {
    /// Ed25519.
    Ed25519(ed25519_dalek::SigningKey),
    /// ECDSA over P-256.
    P256(p256::ecdsa::SigningKey),
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// Ed25519.
    Ed25519(ed25519_dalek::VerifyingKey),
    /// ECDSA over P-256.
    P256(p256::ecdsa::VerifyingKey),
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({}, not shown)", self.public().algorithm())
    }
}

impl SecretKey {
    /// Makes a new key from the operating system's random numbers.
    ///
    /// # Errors
    /// If the operating system gives none.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        use rand_core::RngCore as _;
        let mut seed = Zeroizing::new([0; 32]);
        OsRng.try_fill_bytes(seed.as_mut()).map_err(|_| KeyError::Random)?;
        Ok(match algorithm {
            Algorithm::Ed25519 => Self::Ed25519(ed25519_dalek::SigningKey::from_bytes(&seed)),
            Algorithm::EcdsaP256 => Self::P256(p256::ecdsa::SigningKey::random(&mut OsRng)),
        })
    }

    /// Reads PKCS #8 PEM.
    ///
    /// # Errors
    /// If it holds no key of a known type.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        ed25519_dalek::SigningKey::from_pkcs8_pem(pem)
            .map(Self::Ed25519)
            .or_else(|_| p256::ecdsa::SigningKey::from_pkcs8_pem(pem).map(Self::P256))
            .map_err(|_| KeyError::Pem)
    }

    /// PKCS #8 PEM, version 1, which all tools read.
    ///
    /// # Errors
    /// Never for a key that was made or read here.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        match self {
            Self::Ed25519(key) => KeypairBytes { secret_key: key.to_bytes(), public_key: None }
                .to_pkcs8_pem(LineEnding::LF),
            Self::P256(key) => key.to_pkcs8_pem(LineEnding::LF),
        }
        .map_err(|_| KeyError::Pem)
    }

    /// Its public key.
    pub fn public(&self) -> PublicKey {
        match self {
            Self::Ed25519(key) => PublicKey::Ed25519(key.verifying_key()),
            Self::P256(key) => PublicKey::P256(*key.verifying_key()),
        }
    }

    /// Signs: 64 bytes for Ed25519, DER for P-256. Deterministic for both (RFC 8032, RFC 6979).
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_der().as_bytes().to_vec()
            }
        }
    }
}

impl PublicKey {
    /// An Ed25519 key from its 32 bytes.
    ///
    /// # Errors
    /// If they are no point of the curve, or one of small order.
    pub fn from_ed25519_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes = bytes.try_into().map_err(|_| KeyError::Weak)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Weak)?;
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(Self::Ed25519(key)) }
    }

    /// Reads a `PUBLIC KEY` PEM block (RFC 8410 for Ed25519, RFC 5480 for P-256).
    ///
    /// # Errors
    /// If it holds no key of a known type.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        if let Ok(key) = ed25519_dalek::VerifyingKey::from_public_key_pem(pem) {
            return Self::from_ed25519_bytes(key.as_bytes());
        }
        let key = p256::ecdsa::VerifyingKey::from_public_key_pem(pem);
        key.map(Self::P256).map_err(|_| KeyError::Pem)
    }

    /// Reads a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// If it holds no key of a known type.
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        if let Ok(key) = ed25519_dalek::VerifyingKey::from_public_key_der(der) {
            return Self::from_ed25519_bytes(key.as_bytes());
        }
        let key = p256::ecdsa::VerifyingKey::from_public_key_der(der);
        key.map(Self::P256).map_err(|_| KeyError::Pem)
    }

    /// DER SubjectPublicKeyInfo (RFC 5280 section 4.1).
    pub fn spki(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => key.to_public_key_der(),
            Self::P256(key) => key.to_public_key_der(),
        }
        .map(|der| der.into_vec())
        .unwrap_or_default()
    }

    /// `PUBLIC KEY` PEM, as `openssl pkey -pubin` reads it.
    pub fn to_pem(&self) -> String {
        match self {
            Self::Ed25519(key) => key.to_public_key_pem(LineEnding::LF),
            Self::P256(key) => key.to_public_key_pem(LineEnding::LF),
        }
        .unwrap_or_default()
    }

    /// Its fingerprint: SHA-256 of [`spki`](Self::spki). In hexadecimal, it is the `keyid` of
    /// DSSE signatures.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.spki())
    }

    /// How it signs.
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::Ed25519,
            Self::P256(_) => Algorithm::EcdsaP256,
        }
    }

    /// True if the signature is this key's on the message. Ed25519 is verified strictly: no key
    /// and no commitment of small order, no second form of a signature.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Self::P256(key) => p256::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_both_types_survive_pem_and_sign() {
        for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP256] {
            let made = SecretKey::generate(algorithm).expect("made");
            let read = SecretKey::from_pem(&made.to_pem().expect("written")).expect("read");
            let public = PublicKey::from_pem(&made.public().to_pem()).expect("read");
            assert_eq!(public, read.public());
            assert_eq!(PublicKey::from_spki(&public.spki()), Ok(public.clone()));
            let signature = read.sign(b"words");
            assert!(public.verifies(b"words", &signature));
            assert!(!public.verifies(b"other words", &signature));
            for at in 0..signature.len() {
                let mut bent = signature.clone();
                bent[at] ^= 1;
                assert!(!public.verifies(b"words", &bent), "{algorithm}: byte {at}");
            }
            assert!(!format!("{made:?}").contains(&made.to_pem().expect("written")[40..60]));
        }
    }

    #[test]
    fn a_key_of_small_order_is_refused() {
        // The identity and the point of order 2: signatures under them verify for any message.
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(PublicKey::from_ed25519_bytes(&identity), Err(KeyError::Weak));
        assert_eq!(PublicKey::from_ed25519_bytes(&[0; 32]), Err(KeyError::Weak));
        assert_eq!(PublicKey::from_ed25519_bytes(&[0; 31]), Err(KeyError::Weak));
    }

    #[test]
    fn the_rfc_8032_vector_verifies() {
        // RFC 8032 section 7.1, test 1.
        let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let signature = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155\
                         5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
        let bytes = |hex: &str| -> Vec<u8> {
            (0..hex.len() / 2)
                .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex"))
                .collect()
        };
        let key = PublicKey::from_ed25519_bytes(&bytes(key)).expect("a key");
        assert!(key.verifies(b"", &bytes(signature)));
    }

    #[test]
    fn other_keys_and_noise_are_no_keys() {
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        // An RSA key's SubjectPublicKeyInfo begins with another algorithm's identifier.
        let x25519 = "-----BEGIN PUBLIC KEY-----\n\
                      MCowBQYDK2VuAyEAhSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\n\
                      -----END PUBLIC KEY-----\n";
        for bad in ["", "key", certificate, x25519] {
            assert_eq!(PublicKey::from_pem(bad), Err(KeyError::Pem), "{bad}");
            assert!(SecretKey::from_pem(bad).is_err());
        }
    }
}
