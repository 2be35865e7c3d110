//! Signed envelopes: DSSE 1.0 (github.com/secure-systems-lab/dsse, `protocol.md`, `envelope.md`).

use std::borrow::Cow;

use hospitium_model::Digest;
use serde::{Deserialize, Serialize};

use crate::key::SecretKey;
use crate::log::ENTRY_LIMIT;
use crate::text::{append_base64, decoded_len, from_base64, shown, to_base64};
use crate::vkey::VerifierKey;

/// The payload type of in-toto statements.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";
/// The most signatures of an envelope.
const SIGNATURES: usize = 8;
/// The most bytes of a signature.
const SIGNATURE: usize = 512;

/// Why something is no envelope, or cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Larger than a log's entry may be.
    #[error("the record has {size} bytes; a log's entry has at most {ENTRY_LIMIT}")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// No JSON of an envelope.
    #[error("the record is no DSSE envelope: {0}")]
    Form(String),
    /// Other content.
    #[error("the record's content is of type {found:?}; what is due is {due:?}")]
    Type {
        /// The type in it.
        found: String,
        /// The type that is read here.
        due: &'static str,
    },
    /// Base64.
    #[error("the record's {0} is not standard base64")]
    Base64(&'static str),
    /// Spaces, fields in another order, or fields that are not the envelope's.
    #[error("it is not written in the one form that a record has")]
    OtherForm,
    /// No signature, or too many.
    #[error("the record has {0} signatures; from 1 to {SIGNATURES} can be")]
    Count(usize),
    /// The same key twice.
    #[error("the record has two signatures of the key {0:?}")]
    Twice(String),
    /// Not one signature of a key that is trusted.
    #[error(
        "no trusted key has signed the record: it names {found}; trusted for this are {trusted}. \
         If the party changed its key, give a copy of its log or its new key"
    )]
    Unsigned {
        /// The key ids in it.
        found: String,
        /// Those that would do.
        trusted: String,
    },
    /// A wrong signature under a trusted key's id.
    #[error("the signature of {0} on the record is wrong: the record was altered, or it is forged")]
    Wrong(String),
}

/// A signed record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What is signed ([`pae`]); the payload is its end.
    signed: Vec<u8>,
    /// Where the payload begins.
    payload: usize,
    /// The type of the payload.
    payload_type: &'static str,
    signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeSignature {
    /// A hint at the key: its fingerprint in hexadecimal, as we write it.
    pub keyid: String,
    /// The signature.
    pub sig: Vec<u8>,
}

impl EnvelopeSignature {
    fn form(&self) -> FormSignature {
        FormSignature { keyid: self.keyid.clone(), sig: to_base64(&self.sig) }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Form<'a> {
    #[serde(borrow)]
    payload: Cow<'a, str>,
    #[serde(borrow)]
    payload_type: Cow<'a, str>,
    signatures: Vec<FormSignature>,
}

#[derive(Serialize, Deserialize)]
struct FormSignature {
    #[serde(default)]
    keyid: String,
    sig: String,
}

/// What is signed: DSSE's pre-authentication encoding.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut text = pae_header(payload_type, payload.len());
    text.extend(payload);
    text
}

fn pae_header(payload_type: &str, length: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(payload_type.len() + 30 + length);
    text.extend(format!("DSSEv1 {} {payload_type} {length} ", payload_type.len()).into_bytes());
    text
}

impl Envelope {
    /// Signs an in-toto statement's bytes with these keys.
    pub fn sign(payload: Vec<u8>, keys: &[&SecretKey]) -> Self {
        Self::sign_as(IN_TOTO, &payload, keys)
    }

    /// Signs content of another type. The type is a part of what is signed, so that a signature under one
    /// type says nothing under another.
    pub fn sign_as(payload_type: &'static str, payload: &[u8], keys: &[&SecretKey]) -> Self {
        let mut envelope = Self::of(payload_type, payload, Vec::new());
        envelope.signatures = keys
            .iter()
            .map(|key| EnvelopeSignature {
                keyid: key.public().fingerprint().to_string(),
                sig: key.sign(&envelope.signed),
            })
            .collect();
        envelope
    }

    fn of(payload_type: &'static str, payload: &[u8], signatures: Vec<EnvelopeSignature>) -> Self {
        let signed = pae(payload_type, payload);
        Self { payload: signed.len() - payload.len(), signed, payload_type, signatures }
    }

    /// Reads an envelope; verifies nothing.
    ///
    /// # Errors
    /// If it is too large, no envelope, of other content, or has a key's signature twice.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        Self::parse_as(IN_TOTO, bytes)
    }

    /// Reads an envelope with content of another type; verifies nothing.
    ///
    /// # Errors
    /// If it is too large, no envelope, of other content, or has a key's signature twice.
    pub fn parse_as(payload_type: &'static str, bytes: &[u8]) -> Result<Self, EnvelopeError> {
        Self::read(payload_type, bytes).map(|(envelope, _)| envelope)
    }

    /// Reads an entry of a log: an envelope that is written as [`to_bytes`](Self::to_bytes) does, so
    /// that one record has one entry and one name. Verifies nothing.
    ///
    /// # Errors
    /// If it is no envelope, or written otherwise.
    pub fn parse_entry(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        Self::parse_entry_as(IN_TOTO, bytes)
    }

    /// The same for content of another type.
    ///
    /// # Errors
    /// If it is no envelope, or written otherwise.
    pub fn parse_entry_as(payload_type: &'static str, bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let (envelope, payload) = Self::read(payload_type, bytes)?;
        // Base64 is read strictly, so the text of the payload is the one that would be written; to
        // encode it again would cost a tenth of the whole verification.
        match envelope.is_form(&payload, bytes) {
            true => Ok(envelope),
            false => Err(EnvelopeError::OtherForm),
        }
    }

    /// Whether these bytes are the envelope's, with this text of its payload.
    fn is_form(&self, payload: &str, bytes: &[u8]) -> bool {
        let mut rest = Some(bytes);
        let mut eat = |piece: &[u8]| rest = rest.and_then(|rest| rest.strip_prefix(piece));
        eat(b"{\"payload\":\"");
        eat(payload.as_bytes());
        eat(b"\",\"payloadType\":\"");
        eat(self.payload_type.as_bytes());
        eat(b"\",\"signatures\":[");
        for (place, signature) in self.signatures.iter().enumerate() {
            if place > 0 {
                eat(b",");
            }
            eat(&serde_json::to_vec(&signature.form()).unwrap_or_default());
        }
        eat(b"]}");
        rest.is_some_and(<[u8]>::is_empty)
    }

    /// The envelope, and the text of its payload.
    fn read<'b>(
        payload_type: &'static str,
        bytes: &'b [u8],
    ) -> Result<(Self, Cow<'b, str>), EnvelopeError> {
        if bytes.len() > ENTRY_LIMIT {
            return Err(EnvelopeError::TooLarge { size: bytes.len() });
        }
        let form: Form<'_> = serde_json::from_slice(bytes)
            .map_err(|error| EnvelopeError::Form(shown(&error.to_string())))?;
        if form.payload_type != payload_type {
            let found = shown(&form.payload_type);
            return Err(EnvelopeError::Type { found, due: payload_type });
        }
        if !(1..=SIGNATURES).contains(&form.signatures.len()) {
            return Err(EnvelopeError::Count(form.signatures.len()));
        }
        let length = decoded_len(&form.payload);
        let mut signed = pae_header(payload_type, length);
        let payload = signed.len();
        if !append_base64(&form.payload, &mut signed) || signed.len() != payload + length {
            return Err(EnvelopeError::Base64("payload"));
        }
        let mut signatures: Vec<EnvelopeSignature> = Vec::new();
        for FormSignature { keyid, sig } in form.signatures {
            let sig = from_base64(&sig).filter(|sig| (1..=SIGNATURE).contains(&sig.len()));
            let sig = sig.ok_or(EnvelopeError::Base64("signature"))?;
            if signatures.iter().any(|other| other.keyid == keyid || other.sig == sig) {
                return Err(EnvelopeError::Twice(shown(&keyid)));
            }
            signatures.push(EnvelopeSignature { keyid, sig });
        }
        Ok((Self { signed, payload, payload_type, signatures }, form.payload))
    }

    /// The entry of the log: JSON without spaces, fields in a fixed order.
    pub fn to_bytes(&self) -> Vec<u8> {
        let form = Form {
            payload: to_base64(self.payload()).into(),
            payload_type: self.payload_type.into(),
            signatures: self.signatures.iter().map(EnvelopeSignature::form).collect(),
        };
        serde_json::to_vec(&form).unwrap_or_default()
    }

    /// The record's name: SHA-256 of [`to_bytes`](Self::to_bytes).
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// What is signed, as yet unverified.
    pub fn payload(&self) -> &[u8] {
        self.signed.get(self.payload..).unwrap_or_default()
    }

    /// The signatures, as yet unverified.
    pub fn signatures(&self) -> &[EnvelopeSignature] {
        &self.signatures
    }

    /// Verifies that one of these keys has signed; gives that key. Signatures under other key ids
    /// are left alone; a wrong one under a trusted key's id spoils the record.
    ///
    /// # Errors
    /// If none has, or a signature is wrong.
    pub fn verify<'k>(&self, trusted: &'k [VerifierKey]) -> Result<&'k VerifierKey, EnvelopeError> {
        self.verify_among(trusted.iter())
    }

    /// The same, for keys that are chosen one by one.
    ///
    /// # Errors
    /// If none has, or a signature is wrong.
    pub fn verify_among<'k>(
        &self,
        trusted: impl Iterator<Item = &'k VerifierKey> + Clone,
    ) -> Result<&'k VerifierKey, EnvelopeError> {
        let mut by = None;
        for signature in &self.signatures {
            for key in trusted.clone() {
                let hinted = signature.keyid == key.key_id();
                if !hinted && !signature.keyid.is_empty() {
                    continue;
                }
                if key.key().verifies(&self.signed, &signature.sig) {
                    by = by.or(Some(key));
                } else if hinted {
                    return Err(EnvelopeError::Wrong(name(key)));
                }
            }
        }
        by.ok_or_else(|| EnvelopeError::Unsigned {
            found: list(self.signatures.iter().map(|s| short(&s.keyid))),
            trusted: list(trusted.map(name)),
        })
    }
}

fn short(keyid: &str) -> String {
    match keyid {
        "" => "no key".to_owned(),
        id if id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()) => {
            format!("key {}…", id.chars().take(12).collect::<String>())
        }
        other => format!("key {:?}", shown(other)),
    }
}

fn name(key: &VerifierKey) -> String {
    format!("{} ({})", key.name(), short(key.key_id()))
}

fn list(names: impl Iterator<Item = String>) -> String {
    let names: Vec<_> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// A Sigstore bundle v0.3 of an envelope (github.com/sigstore/protobuf-specs,
/// `sigstore_bundle.proto`): the signature and a hint at the public key. It has no certificate and
/// no entry of Rekor, so a verifier needs our public key and has to be told not to ask for a log of
/// Sigstore's; our log's proof is in the certificate's own file. The hint is the first signature's
/// key id, and that signature is the only one in it, as the format demands.
///
/// # Errors
/// If the bundle cannot be written as JSON (never, for an envelope that was read or signed here).
pub fn sigstore_bundle(envelope: &Envelope) -> Result<Vec<u8>, EnvelopeError> {
    let first = envelope.signatures.first().ok_or(EnvelopeError::Count(0))?;
    let bundle = serde_json::json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": { "publicKey": { "hint": first.keyid } },
        "dsseEnvelope": {
            "payload": to_base64(envelope.payload()),
            "payloadType": envelope.payload_type,
            "signatures": [{ "sig": to_base64(&first.sig), "keyid": first.keyid }],
        },
    });
    serde_json::to_vec_pretty(&bundle).map_err(|error| EnvelopeError::Form(error.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::key::Algorithm;

    fn signed(algorithm: Algorithm) -> (Envelope, VerifierKey) {
        let key = SecretKey::generate(algorithm).expect("made");
        let named = VerifierKey::for_records("vendor.example", key.public()).expect("named");
        (Envelope::sign(b"{\"a\":1}".to_vec(), &[&key]), named)
    }

    #[test]
    fn the_encoding_is_that_of_the_protocols_example() {
        // protocol.md: PAE("http://example.com/HelloWorld", "hello world").
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn an_envelope_survives_its_bytes_and_verifies() {
        for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP256] {
            let (envelope, key) = signed(algorithm);
            let read = Envelope::parse(&envelope.to_bytes()).expect("reads");
            assert_eq!(read, envelope);
            assert_eq!(read.verify(std::slice::from_ref(&key)), Ok(&key));
        }
    }

    #[test]
    fn altered_records_wrong_keys_and_forgeries_are_told_apart() {
        let (envelope, key) = signed(Algorithm::Ed25519);
        let (_, stranger) = signed(Algorithm::Ed25519);
        let altered = Envelope::of(IN_TOTO, b"{\"a\":2}", envelope.signatures.clone());
        let refused = altered.verify(std::slice::from_ref(&key));
        assert!(matches!(refused, Err(EnvelopeError::Wrong(_))), "{refused:?}");
        let strangers = [stranger];
        let refused = envelope.verify(&strangers);
        assert!(matches!(refused, Err(EnvelopeError::Unsigned { .. })), "{refused:?}");
        let mut renamed = envelope;
        renamed.signatures[0].keyid = "0".repeat(64);
        assert!(renamed.verify(&[key]).is_err());
    }

    #[test]
    fn envelopes_that_break_a_rule_are_refused() {
        let (envelope, _) = signed(Algorithm::Ed25519);
        let good = String::from_utf8(envelope.to_bytes()).expect("text");
        let signature = good[good.find("[{").expect("there") + 1..good.len() - 2].to_owned();
        for (from, to) in [
            (IN_TOTO, "text/plain"),
            ("eyJhIjoxfQ==", "eyJhIjoxfQ"),
            ("eyJhIjoxfQ==", "eyJhIjoxfR=="),
            (signature.as_str(), ""),
            (signature.as_str(), &format!("{signature},{signature}")),
            ("\"payload\":", "\"payloads\":"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good);
            assert!(Envelope::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let twice = good.replacen("\"payload\":", "\"payload\":\"eyJhIjoyfQ==\",\"payload\":", 1);
        assert!(Envelope::parse(twice.as_bytes()).is_err(), "a field that comes twice");
        let huge = vec![b' '; ENTRY_LIMIT + 1];
        assert!(matches!(Envelope::parse(&huge), Err(EnvelopeError::TooLarge { .. })));
    }

    #[test]
    fn a_signature_under_one_type_says_nothing_under_another() {
        const OTHER: &str = "application/vnd.other+json";
        let key = SecretKey::generate(Algorithm::Ed25519).expect("made");
        let named = [VerifierKey::for_records("vendor.example", key.public()).expect("named")];
        let other = Envelope::sign_as(OTHER, b"{}", &[&key]);
        let read = Envelope::parse_as(OTHER, &other.to_bytes()).expect("reads");
        assert!(read.verify(&named).is_ok());
        assert!(matches!(Envelope::parse(&other.to_bytes()), Err(EnvelopeError::Type { .. })));
        let text = String::from_utf8(other.to_bytes()).expect("text").replace(OTHER, IN_TOTO);
        let renamed = Envelope::parse(text.as_bytes()).expect("reads");
        assert!(matches!(renamed.verify(&named), Err(EnvelopeError::Wrong(_))));
    }

    #[test]
    fn a_sigstore_bundle_carries_the_same_signature() {
        let (envelope, key) = signed(Algorithm::EcdsaP256);
        let bundle = sigstore_bundle(&envelope).expect("written");
        let bundle: serde_json::Value = serde_json::from_slice(&bundle).expect("JSON");
        let inner = serde_json::to_vec(&bundle["dsseEnvelope"]).expect("written");
        Envelope::parse(&inner).expect("reads").verify(&[key]).expect("verifies");
        assert!(bundle["verificationMaterial"]["publicKey"]["hint"].is_string());
    }

    #[test]
    fn an_entry_is_written_in_one_form_only() {
        let (envelope, _) = signed(Algorithm::Ed25519);
        let good = String::from_utf8(envelope.to_bytes()).expect("text");
        assert_eq!(Envelope::parse_entry(good.as_bytes()).as_ref(), Ok(&envelope));
        let (start, end) = (good.find("\"payload\"").expect("there"), good.find("\"signatures\""));
        let (head, tail) = good.split_at(end.expect("there"));
        let turned = format!("{{{},{}}}", &tail[..tail.len() - 1], &head[start..head.len() - 1]);
        for other in [
            good.replacen(':', ": ", 1),
            format!("{good}\n"),
            format!(" {good}"),
            good.replacen("]}", "],\"more\":1}", 1),
            good.replacen("\"keyid\"", "\"more\":1,\"keyid\"", 1),
            good.replacen("application/", "application\\/", 1),
            good.replacen("\"payload\"", "\"pay\\u006coad\"", 1),
            turned,
        ] {
            assert_eq!(Envelope::parse(other.as_bytes()).as_ref(), Ok(&envelope), "{other}");
            assert_eq!(Envelope::parse_entry(other.as_bytes()), Err(EnvelopeError::OtherForm));
        }
    }

    proptest! {
        #[test]
        fn an_entry_is_what_would_be_written(
            payload in proptest::collection::vec(0_u8.., 0..80),
            keyids in proptest::collection::hash_set(".{0,12}", 1..4),
            cut in 0_usize..400,
        ) {
            let signatures: Vec<_> = keyids
                .into_iter()
                .enumerate()
                .map(|(n, keyid)| EnvelopeSignature { keyid, sig: vec![n as u8; 64] })
                .collect();
            let envelope = Envelope::of(IN_TOTO, &payload, signatures);
            let bytes = envelope.to_bytes();
            let read = Envelope::parse_entry(&bytes);
            prop_assert_eq!(read.as_ref(), Ok(&envelope));
            let mut changed = bytes.clone();
            if let Some(byte) = changed.get_mut(cut) {
                *byte ^= 1;
            }
            if let Ok(read) = Envelope::parse_entry(&changed) {
                prop_assert_eq!(read.to_bytes(), changed);
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(0_u8.., 0..300)) {
            let _ = Envelope::parse(&bytes);
        }
    }
}
