//! The proof that a request carries: whose it is, for whom, of which moment, and what it asks. It is a DSSE envelope
//! in the `authorization` header, signed with the key of the party's records.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hospitium_desk::PartyName;
use hospitium_ledger::dsse::Envelope;
use hospitium_ledger::{SecretKey, VerifierKey};
use hospitium_model::{Digest, printable};
use jiff::{SignedDuration, Timestamp};
use rand_core::{OsRng, RngCore as _};
use serde::{Deserialize, Serialize};

/// The type of a proof's payload in its DSSE envelope.
const PROOF_TYPE: &str = "application/vnd.hospitium.desk-request.v1+json";
/// The scheme of the header.
const SCHEME: &str = "DSSE ";
/// The most bytes of the header.
const LIMIT: usize = 4_096;
/// By how much the two desks' clocks may differ.
pub const FRESH: SignedDuration = SignedDuration::from_mins(5);

/// What a request asks.
#[derive(Debug, Clone, Copy)]
pub struct Request<'r> {
    /// `GET`, `POST` or `PUT`.
    pub method: &'r str,
    /// The path from `/exchange/` on, with its query.
    pub path: &'r str,
    /// The body.
    pub body: &'r [u8],
}

/// A proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Who asks.
    pub from: PartyName,
    /// Whom.
    pub to: PartyName,
    /// When, by the clock of who asks.
    pub at: Timestamp,
    /// Random, so that no two proofs are the same.
    pub nonce: String,
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// SHA-256 of the body.
    pub body: Digest,
}

/// Why a request is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// None.
    #[error(
        "the request does not say whose it is; every one carries a signed proof (docs/desk.md)"
    )]
    Absent,
    /// None that can be read.
    #[error("the request's proof cannot be read: {0}")]
    Form(String),
    /// Of nobody that is known.
    #[error(
        "{0} is not known here; its party.toml has to be in peers, put there by a person who compared its \
         fingerprint"
    )]
    Stranger(String),
    /// Forged or altered.
    #[error("the request's proof is not signed with the key that {0} signs with now")]
    Signature(PartyName),
    /// For somebody else.
    #[error("the request is for {to}, and this is the desk of {us}")]
    NotForUs {
        /// For whom.
        to: PartyName,
        /// Who we are.
        us: PartyName,
    },
    /// Old, or from the future.
    #[error(
        "the request was signed at {at}, and it is {now} here; at most 5 minutes may lie between"
    )]
    NotFresh {
        /// Its time.
        at: Timestamp,
        /// Ours.
        now: Timestamp,
    },
    /// The proof of another request.
    #[error("the proof is that of another request ({0} differs)")]
    Other(&'static str),
}

/// Signs a request: gives the header's value.
///
/// # Errors
/// If the operating system gives no random bytes.
pub fn prove(
    key: &SecretKey,
    from: &PartyName,
    to: &PartyName,
    at: Timestamp,
    request: Request<'_>,
) -> std::io::Result<String> {
    let mut nonce = [0; 16];
    OsRng.try_fill_bytes(&mut nonce).map_err(|error| std::io::Error::other(error.to_string()))?;
    let proof = Proof {
        from: from.clone(),
        to: to.clone(),
        at,
        nonce: STANDARD.encode(nonce),
        method: request.method.to_owned(),
        path: request.path.to_owned(),
        body: Digest::of(request.body),
    };
    let payload = serde_json::to_vec(&proof).map_err(std::io::Error::other)?;
    let envelope = Envelope::sign_as(PROOF_TYPE, &payload, &[key]).to_bytes();
    Ok(format!("{SCHEME}{}", STANDARD.encode(envelope)))
}

/// Verifies a request's header. Gives the proof and its name, by which it is known when it comes again. Whether it does,
/// and whether the [body](Proof::body) is the one that was signed, is for the caller to see.
///
/// # Errors
/// If it is not of a party that is known (`keys_of` gives the keys that it signs with now), not for us, not fresh, or of
/// another request.
pub fn verify(
    header: Option<&str>,
    us: &PartyName,
    now: Timestamp,
    method: &str,
    path: &str,
    keys_of: impl FnOnce(&PartyName) -> Option<Vec<VerifierKey>>,
) -> Result<(Proof, Digest), ProofError> {
    let text = header.and_then(|header| header.strip_prefix(SCHEME)).ok_or(ProofError::Absent)?;
    let form = |why: String| ProofError::Form(printable(&why, 200));
    if text.len() > LIMIT {
        return Err(form(format!("it has more than {LIMIT} bytes")));
    }
    let bytes = STANDARD.decode(text).map_err(|error| form(error.to_string()))?;
    let envelope =
        Envelope::parse_entry_as(PROOF_TYPE, &bytes).map_err(|error| form(error.to_string()))?;
    let proof: Proof =
        serde_json::from_slice(envelope.payload()).map_err(|error| form(error.to_string()))?;
    let keys = keys_of(&proof.from);
    let keys = keys.ok_or_else(|| ProofError::Stranger(proof.from.to_string()))?;
    let wrong = || ProofError::Signature(proof.from.clone());
    let signer = envelope.verify(&keys).map_err(|_| wrong())?;
    if signer.name() != proof.from.as_str() {
        return Err(wrong());
    }
    if proof.to != *us {
        return Err(ProofError::NotForUs { to: proof.to, us: us.clone() });
    }
    if now.duration_since(proof.at).abs() > FRESH {
        return Err(ProofError::NotFresh { at: proof.at, now });
    }
    if proof.method != method {
        return Err(ProofError::Other("the method"));
    }
    if proof.path != path {
        return Err(ProofError::Other("the path"));
    }
    let name = Digest::of(envelope.payload());
    Ok((proof, name))
}
