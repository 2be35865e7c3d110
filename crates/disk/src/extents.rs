//! Ranges of bytes, merged where they touch.

use std::collections::BTreeMap;

/// Ranges of bytes that neither overlap nor touch: where each begins, and where it ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extents(BTreeMap<u64, u64>);

impl Extents {
    /// Adds `from..to`.
    pub fn add(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let (mut from, mut to) = (from, to);
        // The last that begins no later, and all that begin within.
        while let Some((&begin, &end)) = self.0.range(..=to).next_back() {
            if end < from {
                break;
            }
            self.0.remove(&begin);
            from = from.min(begin);
            to = to.max(end);
        }
        self.0.insert(from, to);
    }

    /// Takes `from..to` out.
    pub fn remove(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        while let Some((&begin, &end)) = self.0.range(..to).next_back() {
            if end <= from {
                break;
            }
            self.0.remove(&begin);
            if begin < from {
                self.0.insert(begin, from);
            }
            if end > to {
                self.0.insert(to, end);
            }
        }
    }

    /// Each range, the lowest first.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().map(|(&from, &to)| (from, to))
    }

    /// Takes all out.
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Bytes in all of them.
    pub fn bytes(&self) -> u64 {
        self.iter().map(|(from, to)| to - from).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_hold_what_was_added_and_not_removed_and_never_touch(
            steps in prop::collection::vec((any::<bool>(), 0_u64..64, 0_u64..20), 0..60)
        ) {
            let mut extents = Extents::default();
            let mut bytes = [false; 96];
            for (add, from, length) in steps {
                let to = from + length;
                if add { extents.add(from, to) } else { extents.remove(from, to) }
                bytes[from as usize..to as usize].fill(add);
            }
            let mut found = [false; 96];
            for (from, to) in extents.iter() {
                prop_assert!(from < to);
                found[from as usize..to as usize].fill(true);
            }
            prop_assert_eq!(found, bytes);
            let all: Vec<_> = extents.iter().collect();
            prop_assert!(all.windows(2).all(|pair| pair[0].1 < pair[1].0));
            prop_assert_eq!(extents.bytes(), bytes.iter().filter(|there| **there).count() as u64);
        }
    }
}
