//! Inclusion and consistency proofs (RFC 6962 section 2.1), and the file that carries one
//! (c2sp.org/tlog-proof).

use tlog_tiles::Hash as TreeHash;

use crate::log::ENTRY_LIMIT;
use crate::note::{CHECKPOINT_LIMIT, Checkpoint, Hash, Head, NoteError};
use crate::text::{decimal, from_base64, hash_from_base64, to_base64};
use crate::tile::MAX_SIZE;
use crate::tree::empty_root;

/// First line of a proof's file.
const MAGIC: &str = "c2sp.org/tlog-proof@v1";
/// The most hashes of a proof: one a level of the tree, and one more for consistency.
const HASHES: usize = 64;
/// The most bytes of a proof's file: an entry as base64, the hashes, and the checkpoint.
pub const PROOF_LIMIT: u64 =
    (ENTRY_LIMIT as u64).div_ceil(3) * 4 + 46 * 64 + 128 + CHECKPOINT_LIMIT;

/// Why a proof is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Larger than one may be.
    #[error("the file has more than the {PROOF_LIMIT} bytes that a certificate or proof may have")]
    TooLarge,
    /// Another file.
    #[error("this is no certificate: its first line is not \"{MAGIC}\"")]
    Magic,
    /// A line.
    #[error("line {line} of the proof: {why}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The checkpoint in it.
    #[error("the checkpoint in the proof is not good")]
    Checkpoint(#[from] NoteError),
    /// An index or size that cannot be.
    #[error("the proof speaks of entry {index} of a log that has {size}")]
    Beyond {
        /// The index.
        index: u64,
        /// The size.
        size: u64,
    },
    /// The hashes lead elsewhere.
    #[error(
        "the record is not in the log at index {index}: the proof leads to another root, so the \
         record, the proof or the checkpoint was altered"
    )]
    NotIncluded {
        /// The index.
        index: u64,
    },
    /// Two heads of which neither continues the other.
    #[error("the head of {new} entries does not continue the head of {old} entries")]
    NotConsistent {
        /// Entries of the smaller head.
        old: u64,
        /// Entries of the larger one.
        new: u64,
    },
}

/// Verifies that the leaf is the one of this index under the head.
///
/// # Errors
/// If it is not, or the proof is no proof.
pub fn check_inclusion(
    proof: &[Hash],
    head: &Head,
    index: u64,
    leaf: Hash,
) -> Result<(), ProofError> {
    let size = head.size;
    if index >= size || size > MAX_SIZE {
        return Err(ProofError::Beyond { index, size });
    }
    if proof.len() > HASHES {
        return Err(ProofError::NotIncluded { index });
    }
    let proof = proof.iter().map(|hash| TreeHash(*hash)).collect();
    tlog_tiles::check_record(&proof, size, TreeHash(head.root), index, TreeHash(leaf))
        .map_err(|_| ProofError::NotIncluded { index })
}

/// Verifies that the new head continues the old one.
///
/// # Errors
/// If it does not, or the proof is no proof.
pub fn check_consistency(proof: &[Hash], old: &Head, new: &Head) -> Result<(), ProofError> {
    let not = ProofError::NotConsistent { old: old.size, new: new.size };
    if old.size > new.size || new.size > MAX_SIZE || old.origin != new.origin {
        return Err(not);
    }
    if old.size == 0 {
        let good = proof.is_empty() && old.root == empty_root();
        let good = good && (new.size > 0 || new.root == old.root);
        return if good { Ok(()) } else { Err(not) };
    }
    if proof.len() > HASHES {
        return Err(not);
    }
    let hashes = proof.iter().map(|hash| TreeHash(*hash)).collect();
    tlog_tiles::check_tree(&hashes, new.size, TreeHash(new.root), old.size, TreeHash(old.root))
        .map_err(|_| not)
}

/// A proof's file: that some entry is in a log, with a checkpoint.
#[derive(Debug)]
pub struct TlogProof {
    /// Data that the proof carries along. In a certificate it is the entry itself.
    pub extra: Option<Vec<u8>>,
    /// The entry's index.
    pub index: u64,
    /// From the leaf's sibling to the root's child.
    pub hashes: Vec<Hash>,
    /// The checkpoint, with cosignatures.
    pub checkpoint: Checkpoint,
}

impl TlogProof {
    /// Reads a proof's file; verifies nothing.
    ///
    /// # Errors
    /// If it is too large or malformed.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofError> {
        if bytes.len() as u64 > PROOF_LIMIT {
            return Err(ProofError::TooLarge);
        }
        if !bytes.starts_with(format!("{MAGIC}\n").as_bytes()) {
            return Err(ProofError::Magic);
        }
        let mut at = 0;
        let mut line = 0;
        let mut next = || -> Result<(usize, &str), ProofError> {
            line += 1;
            let bad = |why| ProofError::Line { line, why };
            let rest = bytes.get(at..).unwrap_or_default();
            let end =
                rest.iter().position(|byte| *byte == b'\n').ok_or(bad("the file ends here"))?;
            let text = rest.get(..end).unwrap_or_default();
            at += end + 1;
            let text = std::str::from_utf8(text).map_err(|_| bad("it is no UTF-8"))?;
            Ok((line, text))
        };
        next()?;
        let (mut number, mut text) = next()?;
        let mut extra = None;
        if let Some(data) = text.strip_prefix("extra ") {
            let why = "its data is no base64";
            let data = from_base64(data).ok_or(ProofError::Line { line: number, why })?;
            extra = Some(data);
            (number, text) = next()?;
        }
        let index = text.strip_prefix("index ").and_then(decimal).ok_or(ProofError::Line {
            line: number,
            why: "\"index\" and the entry's number are due",
        })?;
        let mut hashes = Vec::new();
        loop {
            let (line, text) = next()?;
            if text.is_empty() {
                break;
            }
            if hashes.len() == HASHES {
                return Err(ProofError::Line { line, why: "no proof has so many hashes" });
            }
            let why = "the base64 of a hash is due, or an empty line";
            hashes.push(hash_from_base64(text).ok_or(ProofError::Line { line, why })?);
        }
        let checkpoint = Checkpoint::parse(bytes.get(at..).unwrap_or_default())?;
        Ok(Self { extra, index, hashes, checkpoint })
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{MAGIC}\n");
        if let Some(extra) = &self.extra {
            text.push_str(&format!("extra {}\n", to_base64(extra)));
        }
        text.push_str(&format!("index {}\n", self.index));
        for hash in &self.hashes {
            text.push_str(&format!("{}\n", to_base64(hash)));
        }
        text.push('\n');
        let mut bytes = text.into_bytes();
        bytes.extend(self.checkpoint.as_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests;
