//! Ranges of bytes, merged where they touch.

use std::collections::BTreeMap;

/// The most ranges that are kept apart: some megabytes.
const MOST: usize = 1 << 16;

/// Ranges of bytes that neither overlap nor touch: where each begins, and where it ends.
///
/// Of more than a number of them some are one with what is between, so they may hold more than was added and less than
/// was removed, and never the reverse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extents {
    ranges: BTreeMap<u64, u64>,
    most: usize,
}

impl Default for Extents {
    fn default() -> Self {
        Self::bounded(MOST)
    }
}

impl Extents {
    /// At most so many, one or more.
    pub const fn bounded(most: usize) -> Self {
        Self { ranges: BTreeMap::new(), most }
    }

    /// Adds `from..to`.
    pub fn add(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let (mut from, mut to) = (from, to);
        // The last that begins no later, and all that begin within.
        while let Some((&begin, &end)) = self.ranges.range(..=to).next_back() {
            if end < from {
                break;
            }
            self.ranges.remove(&begin);
            from = from.min(begin);
            to = to.max(end);
        }
        if self.ranges.len() >= self.most {
            (from, to) = self.with_nearest(from, to);
        }
        self.ranges.insert(from, to);
    }

    /// Takes the range out that is nearest to `from..to`; both and what is between.
    fn with_nearest(&mut self, from: u64, to: u64) -> (u64, u64) {
        let below = self.ranges.range(..from).next_back().map(|(&begin, &end)| (begin, end));
        let above = self.ranges.range(to..).next().map(|(&begin, &end)| (begin, end));
        let nearest = match (below, above) {
            (Some((_, end)), Some((begin, _))) if from - end <= begin - to => below,
            (_, Some(_)) => above,
            (_, None) => below,
        };
        let Some((begin, end)) = nearest else { return (from, to) };
        self.ranges.remove(&begin);
        (from.min(begin), to.max(end))
    }

    /// Takes `from..to` out. Where this would make one range too many of one, it stays whole.
    pub fn remove(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        while let Some((&begin, &end)) = self.ranges.range(..to).next_back() {
            if end <= from || (begin < from && end > to && self.ranges.len() >= self.most) {
                break;
            }
            self.ranges.remove(&begin);
            if begin < from {
                self.ranges.insert(begin, from);
            }
            if end > to {
                self.ranges.insert(to, end);
            }
        }
    }

    /// Each range, the lowest first.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.ranges.iter().map(|(&from, &to)| (from, to))
    }

    /// Takes all out.
    pub fn take(&mut self) -> Self {
        std::mem::replace(self, Self::bounded(self.most))
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

        #[test]
        fn however_many_are_added_there_are_few_and_what_was_added_and_not_removed_is_in_them(
            steps in prop::collection::vec((any::<bool>(), 0_u64..200, 0_u64..6), 0..200),
            most in 1_usize..6,
        ) {
            let mut extents = Extents::bounded(most);
            let mut bytes = [false; 210];
            for (add, from, length) in steps {
                let to = from + length;
                let before = extents.bytes();
                if add { extents.add(from, to) } else { extents.remove(from, to) }
                prop_assert!(add || extents.bytes() <= before, "nothing is added by removing");
                bytes[from as usize..to as usize].fill(add);
                prop_assert!(extents.iter().count() <= most);
            }
            let mut found = [false; 210];
            for (from, to) in extents.iter() {
                prop_assert!(from < to);
                found[from as usize..to as usize].fill(true);
            }
            prop_assert!(bytes.iter().zip(found).all(|(added, found)| found || !added));
            let all: Vec<_> = extents.iter().collect();
            prop_assert!(all.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }

    #[test]
    fn a_guest_that_writes_every_other_sector_takes_bounded_memory() {
        let mut extents = Extents::default();
        (0..2 * MOST as u64).for_each(|n| extents.add(n * 1024, n * 1024 + 512));
        assert_eq!(extents.iter().count(), MOST);
        assert!(extents.bytes() >= MOST as u64 * 1024);
    }
}
