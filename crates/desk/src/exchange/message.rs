//! One message: an event of one vendor, signed, with its place in that vendor's chain.

use hospitium_ledger::dsse::{Envelope, EnvelopeError};
use hospitium_ledger::{SecretKey, VerifierKey};
use hospitium_model::{Digest, printable};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::text::{CaseId, Line, PartyName};

/// The type of a message's payload in its DSSE envelope.
pub const MESSAGE_TYPE: &str = "application/vnd.hospitium.case-message.v1+json";
/// The most bytes of a payload; in base64 it has to fit into an envelope of 65,535 bytes.
const PAYLOAD_LIMIT: usize = 48_000;
/// By how much another desk's clock may be ahead of ours.
pub const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// A place in a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The message's number in its chain, from 1.
    pub seq: u64,
    /// SHA-256 of its payload.
    pub digest: Digest,
}

/// The source of a message that its sender did not sign: the other party's desk wrote it down from a file of another
/// case exchange. It is hearsay, and no other desk takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heard {
    /// Who wrote it down, and signs the message.
    pub by: PartyName,
    /// Through which case exchange.
    pub through: Line,
    /// The request there.
    pub request: Line,
    /// The part of the request; the same part is heard once.
    pub part: Line,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// The case.
    pub case: CaseId,
    /// Who says it.
    pub from: PartyName,
    /// To whom: it is refused by anybody else.
    pub to: PartyName,
    /// Its number in the sender's chain, from 1.
    pub seq: u64,
    /// SHA-256 of the payload of the sender's message before it; nothing in the first.
    pub prev: Option<Digest>,
    /// The last message of the other chain that the sender had.
    pub seen: Option<Link>,
    /// What happened.
    pub event: Event,
    /// Where it was heard, if the sender did not sign it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<Heard>,
}

impl Message {
    /// Whose key signs it.
    pub fn signer(&self) -> &PartyName {
        self.heard.as_ref().map_or(&self.from, |heard| &heard.by)
    }
}

/// Why bytes are no message to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The envelope, or its signature.
    #[error("the message cannot be believed: {0}")]
    Envelope(#[from] EnvelopeError),
    /// The payload.
    #[error("the message is signed, and cannot be read by this program: {0}; a later one may")]
    Form(String),
    /// Too much text.
    #[error(
        "the message would have {0} bytes; at most {PAYLOAD_LIMIT} fit. Attach the longest text as a file"
    )]
    TooLarge(usize),
    /// Dated later than now.
    #[error(
        "it is dated {at}, and it is {now} here: one of the two clocks is wrong; it is taken once its time has come"
    )]
    Future {
        /// Its time.
        at: Timestamp,
        /// Ours.
        now: Timestamp,
    },
    /// The case is full.
    #[error(
        "the case has as much of this party as it takes; close it and open another one that follows it (--follows), or \
         attach long texts as files"
    )]
    Full,
    /// The signer is not the sender.
    #[error("the message says that it is from {said}, and is signed by {signer}")]
    Signer {
        /// Who it says.
        said: String,
        /// Who signed.
        signer: String,
    },
}

/// A message with its signed form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// What it says.
    pub message: Message,
    /// SHA-256 of its payload: its name in chains. The same payload signed again has the same one.
    pub digest: Digest,
    /// The envelope's bytes.
    pub bytes: Vec<u8>,
    /// The key that signed it.
    key: String,
}

impl Sealed {
    /// Its place.
    pub const fn link(&self) -> Link {
        Link { seq: self.message.seq, digest: self.digest }
    }

    /// When it was said.
    pub const fn at(&self) -> Timestamp {
        self.message.event.at
    }

    /// Its bytes as they go out: signed again if the party changed its key since.
    pub fn signed_by(&self, key: &SecretKey) -> Vec<u8> {
        if self.key == key.public().fingerprint().to_string() {
            return self.bytes.clone();
        }
        match Envelope::parse_as(MESSAGE_TYPE, &self.bytes) {
            Ok(old) => Envelope::sign_as(MESSAGE_TYPE, old.payload(), &[key]).to_bytes(),
            Err(_) => self.bytes.clone(),
        }
    }

    /// Reads a message without verifying its signature: one that was verified before it was stored.
    ///
    /// # Errors
    /// If the bytes are no message.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        let envelope = Envelope::parse_entry_as(MESSAGE_TYPE, bytes)?;
        Self::of(&envelope, bytes.to_vec())
    }

    fn of(envelope: &Envelope, bytes: Vec<u8>) -> Result<Self, MessageError> {
        let message = serde_json::from_slice(envelope.payload())
            .map_err(|error| MessageError::Form(printable(&error.to_string(), 300)))?;
        let key = envelope.signatures().first().map(|s| s.keyid.clone()).unwrap_or_default();
        Ok(Self { message, digest: Digest::of(envelope.payload()), bytes, key })
    }
}

/// Signs a message.
///
/// # Errors
/// If it is too large.
pub fn sign_message(message: Message, key: &SecretKey) -> Result<Sealed, MessageError> {
    let payload = serde_json::to_vec(&message)
        .map_err(|error| MessageError::Form(printable(&error.to_string(), 300)))?;
    if payload.len() > PAYLOAD_LIMIT {
        return Err(MessageError::TooLarge(payload.len()));
    }
    let digest = Digest::of(&payload);
    let bytes = Envelope::sign_as(MESSAGE_TYPE, &payload, &[key]).to_bytes();
    Ok(Sealed { message, digest, bytes, key: key.public().fingerprint().to_string() })
}

/// Reads a message and verifies that one of these keys signed it, and that the key is the sender's; of a message that
/// was heard, that of whoever wrote it down.
///
/// # Errors
/// If the bytes are no message, were altered, or are signed by somebody else.
pub fn verify_message(bytes: &[u8], keys: &[VerifierKey]) -> Result<Sealed, MessageError> {
    let envelope = Envelope::parse_entry_as(MESSAGE_TYPE, bytes)?;
    let signer = envelope.verify(keys)?.name().to_owned();
    let sealed = Sealed::of(&envelope, bytes.to_vec())?;
    if sealed.message.signer().as_str() == signer {
        return Ok(sealed);
    }
    let said = sealed.message.signer().to_string();
    Err(MessageError::Signer { said, signer: printable(&signer, 80) })
}
