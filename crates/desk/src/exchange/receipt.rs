//! Receipts: what a desk has of the other's chain, signed. They are cumulative: only the newest matters, so that
//! it harms nothing if one is lost or comes twice.

use hospitium_ledger::dsse::Envelope;
use hospitium_ledger::{SecretKey, VerifierKey};
use hospitium_model::{Digest, printable};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::message::{Link, MessageError, TOLERANCE};
use crate::text::{CaseId, Line, PartyName};

/// The type of a receipt's payload in its DSSE envelope.
pub const RECEIPT_TYPE: &str = "application/vnd.hospitium.case-receipt.v1+json";

/// A receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The case.
    pub case: CaseId,
    /// Who has them.
    pub from: PartyName,
    /// Whose messages.
    pub to: PartyName,
    /// When it was written.
    pub at: Timestamp,
    /// The last message of the recipient's chain that is stored, with all before it.
    pub have: Option<Link>,
    /// The last message of the writer's own chain.
    pub mine: Option<Link>,
    /// SHA-256 of the case that both chains so far make; nothing if there is none.
    pub state: Option<Digest>,
    /// Why the message that this answers was refused.
    pub refused: Option<Line>,
    /// Files of the case that the writer does not have: at most 64 of them.
    #[serde(default)]
    pub wants: Vec<Digest>,
}

/// The most files that a receipt asks for.
pub const WANTS: usize = 64;

/// Signs a receipt.
///
/// # Errors
/// If it cannot be written as JSON (never).
pub fn sign_receipt(receipt: &Receipt, key: &SecretKey) -> Result<Vec<u8>, MessageError> {
    let payload = serde_json::to_vec(receipt)
        .map_err(|error| MessageError::Form(printable(&error.to_string(), 300)))?;
    Ok(Envelope::sign_as(RECEIPT_TYPE, &payload, &[key]).to_bytes())
}

/// Reads a receipt and verifies that one of these keys signed it, that the key is the writer's, and that it is not of
/// the future: only the newest counts, so that one with a wrong date would outweigh all that come after it.
///
/// # Errors
/// If the bytes are no receipt, were altered, are signed by somebody else, or are dated later than now.
pub fn verify_receipt(
    bytes: &[u8],
    keys: &[VerifierKey],
    now: Timestamp,
) -> Result<Receipt, MessageError> {
    let envelope = Envelope::parse_entry_as(RECEIPT_TYPE, bytes)?;
    let signer = envelope.verify(keys)?.name().to_owned();
    let receipt: Receipt = serde_json::from_slice(envelope.payload())
        .map_err(|error| MessageError::Form(printable(&error.to_string(), 300)))?;
    if receipt.wants.len() > WANTS {
        return Err(MessageError::Form(format!("it asks for more than {WANTS} files")));
    }
    if receipt.from.as_str() != signer {
        let said = receipt.from.to_string();
        return Err(MessageError::Signer { said, signer: printable(&signer, 80) });
    }
    if receipt.at > now.saturating_add(TOLERANCE).unwrap_or(Timestamp::MAX) {
        return Err(MessageError::Future { at: receipt.at, now });
    }
    Ok(receipt)
}
