//! The seeded pattern by which guest and host talk about data without exchanging it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::Digest;

/// So many digests are remembered.
const KEPT: usize = 512;

/// The digests that were asked for last.
static LAST: Mutex<VecDeque<((Pattern, u64), Digest)>> = Mutex::new(VecDeque::new());

/// A pseudo-random byte sequence known by its seed: SplitMix64 (Steele, Lea, Flood 2014) of
/// `seed + n` gives the n-th little-endian 64-bit word. The probe generates the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern {
    seed: u64,
}

impl Pattern {
    /// The pattern of this seed.
    pub const fn seeded(seed: u64) -> Self {
        Self { seed }
    }

    /// Its seed.
    pub const fn seed(self) -> u64 {
        self.seed
    }

    /// The n-th word.
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

    /// SHA-256 of the first `length` bytes. Those of the last few that were asked for are remembered: checks ask for the
    /// same ones again and again, and they are of many mebibytes.
    pub fn digest(self, length: u64) -> Digest {
        let known = |asked: &&((Self, u64), Digest)| asked.0 == (self, length);
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, digest)) = last.iter().find(known) {
            return *digest;
        }
        drop(last);
        let digest = self.digest_anew(length);
        last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() >= KEPT {
            last.pop_front();
        }
        last.push_back(((self, length), digest));
        digest
    }

    fn digest_anew(self, length: u64) -> Digest {
        let mut hasher = sha2::Sha256::new();
        let mut buffer = [0; 4096];
        let mut offset = 0;
        while offset < length {
            let n = (length - offset).min(buffer.len() as u64) as usize;
            self.fill(offset, &mut buffer[..n]);
            hasher.update(&buffer[..n]);
            offset += n as u64;
        }
        Digest::from_bytes(hasher.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_the_same_however_it_is_cut() {
        let pattern = Pattern::seeded(7);
        let mut whole = [0; 100];
        pattern.fill(0, &mut whole);
        let mut part = [0; 60];
        pattern.fill(40, &mut part);
        assert_eq!(whole[40..], part);
        assert_eq!(pattern.digest(100), Digest::of(&whole));
        assert_ne!(pattern.digest(100), Pattern::seeded(8).digest(100));
        assert_ne!(pattern.digest(100), pattern.digest(101));
        assert_eq!(pattern.digest(100), pattern.digest_anew(100));
    }
}
