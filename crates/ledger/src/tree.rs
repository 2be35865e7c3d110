//! The Merkle tree of RFC 6962 section 2.1, built from its right edge.

use sha2::{Digest as _, Sha256};

use crate::note::Hash;
use crate::tile::WIDTH;

/// Hash of a leaf.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(entry).finalize().into()
}

/// Hash of a node.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// Root of a tree without entries.
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// Hash over nodes of which all but the last span equally many leaves, and the last at most as many.
pub fn over(nodes: &[Hash]) -> Option<Hash> {
    match nodes {
        [] => None,
        [one] => Some(*one),
        _ => {
            // The largest power of two less than their number.
            let split = 1 << (nodes.len() - 1).ilog2();
            let (left, right) = nodes.split_at_checked(split)?;
            Some(node_hash(&over(left)?, &over(right)?))
        }
    }
}

/// What is needed of a tree to go on with it: the hashes in its last, partial tile of each level.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    levels: Vec<Vec<Hash>>,
}

/// A tile that has become full.
#[derive(Debug, PartialEq, Eq)]
pub struct Filled {
    /// Its level.
    pub level: u8,
    /// Its hashes, one after the other.
    pub bytes: Vec<u8>,
}

impl Frontier {
    /// Takes up a tree again. `levels` has the hashes of each level's partial tile.
    pub const fn new(levels: Vec<Vec<Hash>>) -> Self {
        Self { levels }
    }

    /// Adds a hash at a level (0 for a leaf); gives the tiles that this fills, lowest first.
    pub fn push(&mut self, level: u8, hash: Hash, filled: &mut impl FnMut(Filled)) {
        let (mut level, mut hash) = (level, hash);
        loop {
            let at = usize::from(level);
            if self.levels.len() <= at {
                self.levels.resize_with(at + 1, Vec::new);
            }
            let Some(tile) = self.levels.get_mut(at) else { return };
            tile.push(hash);
            if (tile.len() as u64) < WIDTH {
                return;
            }
            let Some(root) = over(tile) else { return };
            filled(Filled { level, bytes: tile.concat() });
            tile.clear();
            (level, hash) = (level + 1, root);
        }
    }

    /// The root of the tree so far.
    pub fn root(&self) -> Hash {
        let mut below: Option<Hash> = None;
        for tile in &self.levels {
            let mut nodes = tile.clone();
            nodes.extend(below);
            below = over(&nodes);
        }
        below.unwrap_or_else(empty_root)
    }

    /// The hashes in the partial tile of each level, lowest first; empty where there is none.
    pub fn partials(&self) -> impl Iterator<Item = (u8, &[Hash])> {
        (0..).zip(self.levels.iter().map(Vec::as_slice))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 6962 section 2.1, word by word.
    fn mth(leaves: &[Hash]) -> Hash {
        match leaves.len() {
            0 => empty_root(),
            1 => leaves[0],
            n => {
                let mut k = 1;
                while k * 2 < n {
                    k *= 2;
                }
                node_hash(&mth(&leaves[..k]), &mth(&leaves[k..]))
            }
        }
    }

    #[test]
    fn the_empty_root_is_the_hash_of_nothing() {
        assert_eq!(Frontier::default().root(), mth(&[]));
    }

    #[test]
    fn roots_are_those_of_the_definition_around_every_edge() {
        let leaves: Vec<Hash> = (0..65_540_u32).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        let mut frontier = Frontier::default();
        for (at, leaf) in leaves.iter().enumerate() {
            frontier.push(0, *leaf, &mut |_| {});
            let size = at + 1;
            if size < 300 || (510..515).contains(&size) || (65_534..65_540).contains(&size) {
                assert_eq!(frontier.root(), mth(&leaves[..size]), "{size}");
            }
        }
    }

    proptest! {
        #[test]
        fn leaves_hash_as_another_library_does(entry in proptest::collection::vec(0_u8.., 0..300)) {
            prop_assert_eq!(leaf_hash(&entry), tlog_tiles::record_hash(&entry).0);
        }
    }
}
