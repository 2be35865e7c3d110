//! The seeded pattern by which guest and host talk about data without exchanging it, and its
//! digests. The same sequence as the harness's: SplitMix64 (Steele, Lea, Flood 2014).

use sha2::{Digest as _, Sha256};

/// A pseudo-random byte sequence known by its seed.
#[derive(Clone, Copy)]
pub struct Pattern {
    seed: u64,
}

impl Pattern {
    /// The pattern of this seed.
    pub const fn seeded(seed: u64) -> Self {
        Self { seed }
    }

    /// The n-th little-endian 64-bit word.
    pub const fn word(self, n: u64) -> u64 {
        let mut z = self.seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Fills `buffer` with the pattern from byte `offset` on, which is a multiple of 8.
    pub fn fill(self, offset: u64, buffer: &mut [u8]) {
        for (n, chunk) in (offset / 8..).zip(buffer.chunks_mut(8)) {
            chunk.copy_from_slice(&self.word(n).to_le_bytes()[..chunk.len()]);
        }
    }
}

/// A SHA-256 being computed, with the number of bytes that went in.
pub struct Tally {
    hasher: Sha256,
    length: u64,
}

impl Tally {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self { hasher: Sha256::new(), length: 0 }
    }

    /// Takes more bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
    }

    /// The digest, and of how many bytes it is.
    pub fn finish(self) -> ([u8; 32], u64) {
        (self.hasher.finalize().into(), self.length)
    }
}
