//! Which combinations of parameters are to be covered, and a running number for each of their
//! tuples of values.

use std::collections::BTreeSet;

use super::model::{HIGHEST_STRENGTH, Model};
use super::space::{Cell, Setting, Space};

/// One combination of parameters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Combination {
    /// Number of its first tuple.
    base: u32,
    len: u8,
    /// What an uncovered tuple of it counts in the search; see [`weigh`].
    pub weight: u16,
    parameters: [u16; HIGHEST_STRENGTH],
    /// What one step of each parameter's value adds to the number.
    strides: [u32; HIGHEST_STRENGTH],
}

impl Combination {
    /// Its parameters, ascending.
    #[inline]
    pub fn parameters(&self) -> &[u16] {
        &self.parameters[..usize::from(self.len)]
    }

    /// The number of the tuple that this row has here. The row is complete in these places.
    #[inline]
    pub fn tuple(&self, row: &[Cell]) -> usize {
        let mut number = self.base;
        for (parameter, stride) in self.parameters().iter().zip(&self.strides) {
            number += u32::from(row[usize::from(*parameter)]) * stride;
        }
        number as usize
    }

    /// The number of the tuple that this row has here, were this parameter's value the first.
    #[inline]
    pub fn tuple_but(&self, row: &[Cell], parameter: usize) -> usize {
        let mut number = self.base;
        for (p, stride) in self.parameters().iter().zip(&self.strides) {
            if usize::from(*p) != parameter {
                number += u32::from(row[usize::from(*p)]) * stride;
            }
        }
        number as usize
    }

    /// What one step of this parameter's value adds to the number.
    #[inline]
    pub fn stride(&self, parameter: usize) -> usize {
        let place = self.parameters().iter().position(|&p| usize::from(p) == parameter);
        place.map_or(0, |place| self.strides[place] as usize)
    }
}

/// All combinations to cover.
#[derive(Debug)]
pub(super) struct Tuples {
    pub list: Vec<Combination>,
    /// By parameter: places in the list of the combinations with it.
    pub with: Vec<Vec<u32>>,
    /// Tuples of all combinations.
    pub total: usize,
    sizes: Vec<usize>,
}

/// More tuples than are taken.
#[derive(Debug)]
pub(super) struct TooMany {
    pub count: u64,
}

impl Tuples {
    /// The combinations of a model at this strength: every set of so many parameters, except that
    /// a set wholly inside groups is covered at the highest strength of theirs.
    pub fn of(model: &Model, space: &Space, strength: usize, most: u64) -> Result<Self, TooMany> {
        let mut wanted = Wanted { space, most, count: 0, sets: Vec::new() };
        let all: Vec<usize> = (0..space.parameters()).collect();
        let groups: Vec<(Vec<usize>, usize)> = model
            .groups()
            .iter()
            .map(|g| (g.parameters().iter().map(|p| p.index()).collect(), g.strength()))
            .collect();
        let inside = |set: &[usize]| {
            let holds = |g: &&(Vec<usize>, usize)| set.iter().all(|p| g.0.binary_search(p).is_ok());
            groups.iter().filter(holds).map(|(_, strength)| *strength).max()
        };
        wanted.subsets(&all, strength, |set| inside(set).is_none())?;
        for (members, strength) in &groups {
            wanted.subsets(members, *strength, |set| inside(set) == Some(*strength))?;
        }
        let sets = without_subsumed(wanted.sets, groups.is_empty());
        Ok(Self::number(space, &sets))
    }

    fn number(space: &Space, sets: &[Vec<u16>]) -> Self {
        let mut with = vec![Vec::new(); space.parameters()];
        let mut base = 0u32;
        let mut list: Vec<Combination> = Vec::with_capacity(sets.len());
        let mut counts = Vec::with_capacity(sets.len());
        for (place, set) in (0u32..).zip(sets) {
            let mut combination = Combination {
                base,
                len: 0,
                weight: 1,
                parameters: [0; HIGHEST_STRENGTH],
                strides: [0; HIGHEST_STRENGTH],
            };
            let mut stride = 1u32;
            for (n, parameter) in set.iter().enumerate() {
                combination.len += 1;
                combination.parameters[n] = *parameter;
                combination.strides[n] = stride;
                stride *= u32::try_from(space.sizes[usize::from(*parameter)]).unwrap_or(u32::MAX);
                with[usize::from(*parameter)].push(place);
            }
            base += stride;
            list.push(combination);
            counts.push(stride);
        }
        weigh(&mut list, &counts);
        Self { list, with, total: base as usize, sizes: space.sizes.clone() }
    }

    /// The combination of a tuple, by the tuple's number.
    pub fn combination(&self, tuple: usize) -> &Combination {
        let after = self.list.partition_point(|combination| combination.base as usize <= tuple);
        &self.list[after.saturating_sub(1)]
    }

    /// The settings of a tuple, by its number.
    pub fn settings(&self, tuple: usize) -> Settings {
        let combination = self.combination(tuple);
        let mut rest = tuple - combination.base as usize;
        let mut settings = Settings { len: combination.len, list: [(0, 0); HIGHEST_STRENGTH] };
        for (n, &parameter) in combination.parameters().iter().enumerate() {
            let size = self.sizes[usize::from(parameter)];
            settings.list[n] = (parameter, Cell::try_from(rest % size).unwrap_or(0));
            rest /= size;
        }
        settings
    }

    /// Numbers of all tuples of a combination.
    pub fn range(&self, combination: &Combination) -> std::ops::Range<usize> {
        let count: usize =
            combination.parameters().iter().map(|&p| self.sizes[usize::from(p)]).product();
        combination.base as usize..combination.base as usize + count
    }
}

/// Heaviest combination.
const HEAVIEST: f64 = 64.0;

/// Gives combinations of many tuples more weight: where rows are few, their tuples are the hard
/// ones to place, and the others find room around them. The cube was best among the powers tried.
fn weigh(list: &mut [Combination], counts: &[u32]) {
    let least = f64::from(counts.iter().min().copied().unwrap_or(1).max(1));
    for (combination, count) in list.iter_mut().zip(counts) {
        let weight = (f64::from(*count) / least).powi(3).min(HEAVIEST).round();
        // Between 1 and 64 by then.
        combination.weight = weight as u16;
    }
}

/// The settings of one tuple, without a heap.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    len: u8,
    list: [(u16, Cell); HIGHEST_STRENGTH],
}

impl Settings {
    #[inline]
    pub fn as_slice(&self) -> &[(u16, Cell)] {
        &self.list[..usize::from(self.len)]
    }

    pub fn iter(&self) -> impl Iterator<Item = Setting> + '_ {
        self.as_slice().iter().map(|&(p, v)| (usize::from(p), v))
    }
}

struct Wanted<'a> {
    space: &'a Space,
    most: u64,
    count: u64,
    sets: Vec<Vec<u16>>,
}

impl Wanted<'_> {
    /// Adds the subsets of this size that pass.
    fn subsets(
        &mut self,
        members: &[usize],
        size: usize,
        passes: impl Fn(&[usize]) -> bool,
    ) -> Result<(), TooMany> {
        if size == 0 || size > members.len() {
            return Ok(());
        }
        let mut places: Vec<usize> = (0..size).collect();
        loop {
            let set: Vec<usize> = places.iter().map(|&place| members[place]).collect();
            if passes(&set) {
                let tuples = set.iter().map(|&p| self.space.sizes[p] as u64).product::<u64>();
                self.count = self.count.saturating_add(tuples);
                if self.count > self.most {
                    return Err(TooMany { count: self.count });
                }
                self.sets.push(set.iter().map(|&p| u16::try_from(p).unwrap_or(0)).collect());
            }
            let movable = (0..size).rev().find(|&n| places[n] < members.len() - size + n);
            let Some(n) = movable else { return Ok(()) };
            places[n] += 1;
            for later in n + 1..size {
                places[later] = places[later - 1] + 1;
            }
        }
    }
}

/// Leaves out combinations that stand whole in a larger one: they are covered with it.
fn without_subsumed(mut sets: Vec<Vec<u16>>, uniform: bool) -> Vec<Vec<u16>> {
    if uniform {
        return sets;
    }
    sets.sort_unstable();
    sets.dedup();
    let mut parts = BTreeSet::new();
    for set in &sets {
        for mask in 1u32..(1 << set.len()) - 1 {
            let part = set.iter().enumerate().filter(|(n, _)| mask >> n & 1 == 1);
            parts.insert(part.map(|(_, p)| *p).collect::<Vec<u16>>());
        }
    }
    sets.retain(|set| !parts.contains(set));
    sets
}
