//! The body of a request to cosign (c2sp.org/tlog-witness, "add-checkpoint").

use crate::note::{CHECKPOINT_LIMIT, Checkpoint, Hash, NoteError};
use crate::text::{decimal, hash_from_base64, to_base64};

/// The most hashes of a proof.
const HASHES: usize = 63;
/// The most bytes of a request: its lines, each with its newline, and a checkpoint.
pub const REQUEST_LIMIT: u64 = CHECKPOINT_LIMIT + 45 * HASHES as u64 + 32;

/// A head to cosign, and the proof that it continues the last one.
#[derive(Debug)]
pub struct AddCheckpoint {
    /// Entries of the last head that the witness cosigned, as the asker knows.
    pub old: u64,
    /// The proof, from there to the checkpoint.
    pub proof: Vec<Hash>,
    /// The checkpoint, as yet unverified.
    pub checkpoint: Checkpoint,
}

/// Why a request cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedRequest {
    /// A line.
    #[error("the request's {0}")]
    Line(&'static str),
    /// The checkpoint.
    #[error("the request's checkpoint is none")]
    Checkpoint(#[from] NoteError),
}

impl AddCheckpoint {
    /// Reads a request; verifies nothing.
    ///
    /// # Errors
    /// If it is malformed or too large.
    pub fn parse(bytes: &[u8]) -> Result<Self, MalformedRequest> {
        use MalformedRequest::Line;
        if bytes.len() as u64 > REQUEST_LIMIT {
            return Err(Line("body is larger than any that is right"));
        }
        let end = bytes.windows(2).position(|pair| pair == b"\n\n");
        let end = end.ok_or(Line("lines have no empty line after them"))?;
        let (head, checkpoint) = bytes.split_at(end);
        let head = std::str::from_utf8(head).map_err(|_| Line("lines are no text"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(decimal);
        let old = old.ok_or(Line("first line is not \"old\" and a size"))?;
        let mut proof = Vec::new();
        for line in lines {
            let hash = hash_from_base64(line);
            proof.push(hash.ok_or(Line("proof has a line that is not the base64 of 32 bytes"))?);
        }
        if proof.len() > HASHES {
            return Err(Line("proof has more than 63 lines"));
        }
        let checkpoint = checkpoint.get(2..).unwrap_or_default();
        Ok(Self { old, proof, checkpoint: Checkpoint::parse(checkpoint)? })
    }

    /// The body of a request.
    pub fn encode(old: u64, proof: &[Hash], checkpoint: &Checkpoint) -> Vec<u8> {
        let mut text = format!("old {old}\n");
        for hash in proof {
            text.push_str(&to_base64(hash));
            text.push('\n');
        }
        text.push('\n');
        let mut bytes = text.into_bytes();
        bytes.extend(checkpoint.as_bytes());
        bytes
    }
}
