//! The generator's view of a model: places, literals, and sets of values as bits.

use super::model::Model;

/// A value's place in its parameter, in a row.
pub(super) type Cell = u16;
/// A cell not chosen yet.
pub(super) const OPEN: Cell = Cell::MAX;

/// A parameter's place with a value's place.
pub(super) type Setting = (usize, Cell);

/// Sizes of all parameters, and a running number for every (parameter, value).
#[derive(Debug, Clone)]
pub(super) struct Space {
    pub sizes: Vec<usize>,
    offsets: Vec<usize>,
    pub literals: usize,
}

impl Space {
    pub fn of(model: &Model) -> Self {
        let sizes: Vec<usize> = model.parameters().iter().map(|p| p.values().len()).collect();
        let mut literals = 0;
        let offsets = sizes
            .iter()
            .map(|size| {
                literals += size;
                literals - size
            })
            .collect();
        Self { sizes, offsets, literals }
    }

    pub fn parameters(&self) -> usize {
        self.sizes.len()
    }

    /// The running number of this setting.
    pub fn literal(&self, (parameter, value): Setting) -> usize {
        self.offsets[parameter] + usize::from(value)
    }

    /// The values of a parameter.
    pub fn values(&self, parameter: usize) -> std::ops::Range<Cell> {
        // A model has at most 20,000 values, so their places fit.
        0..Cell::try_from(self.sizes[parameter]).unwrap_or(OPEN)
    }
}

/// A set of values of one parameter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Set {
    words: Box<[u64]>,
    size: usize,
}

impl Set {
    pub fn empty(size: usize) -> Self {
        Self { words: vec![0; size.div_ceil(64)].into(), size }
    }

    pub fn of(size: usize, values: impl IntoIterator<Item = usize>) -> Self {
        let mut set = Self::empty(size);
        values.into_iter().for_each(|value| set.words[value / 64] |= 1 << (value % 64));
        set
    }

    pub fn has(&self, value: Cell) -> bool {
        let value = usize::from(value);
        self.words[value / 64] >> (value % 64) & 1 == 1
    }

    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub fn is_full(&self) -> bool {
        self.len() == self.size
    }

    pub fn complement(&self) -> Self {
        Self::of(self.size, (0..self.size).filter(|&v| self.words[v / 64] >> (v % 64) & 1 == 0))
    }

    pub fn add(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a |= b);
    }

    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.size).filter(|&v| self.words[v / 64] >> (v % 64) & 1 == 1)
    }
}
