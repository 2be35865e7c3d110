//! Rows, and for every tuple how many of them cover it: kept up to date cell by cell.

use super::space::{Cell, OPEN, Setting};
use super::tuples::{Combination, Settings, Tuples};

/// Counts from here on are of tuples that need no row; no number of rows gets there.
const NOT_NEEDED: u32 = 1 << 30;

/// One tuple's state.
#[derive(Clone, Copy)]
struct Count {
    rows: u32,
    /// Exclusive or of the numbers of the rows that cover it: of one row, that row. Of none, the
    /// tuple's place in the list of those uncovered.
    who: u32,
}

/// A tuple that no row covers.
#[derive(Clone, Copy)]
pub(super) struct Uncovered {
    pub tuple: u32,
    pub settings: Settings,
    weight: u16,
}

/// Rows and what they cover.
pub(super) struct Table<'a> {
    pub tuples: &'a Tuples,
    width: usize,
    cells: Vec<Cell>,
    counts: Vec<Count>,
    pub uncovered: Vec<Uncovered>,
    /// Sum of the weights of the uncovered tuples.
    pub uncovered_weight: i64,
    /// By cell: weights of the tuples with it that only its row covers.
    sole: Vec<u32>,
    /// By row: weights of the tuples that only it covers.
    row_sole: Vec<u32>,
    /// Counts looked up since the table was made: what the work is measured in.
    pub work: u64,
}

impl<'a> Table<'a> {
    /// A table without rows; `needed` says which tuples need one.
    pub fn new(tuples: &'a Tuples, needed: &[u64]) -> Self {
        let width = tuples.with.len();
        let counts = vec![Count { rows: NOT_NEEDED, who: 0 }; tuples.total];
        let mut table = Self {
            tuples,
            width,
            cells: Vec::new(),
            counts,
            uncovered: Vec::new(),
            uncovered_weight: 0,
            sole: Vec::new(),
            row_sole: Vec::new(),
            work: 0,
        };
        for combination in &tuples.list {
            for tuple in tuples.range(combination) {
                if needed[tuple / 64] >> (tuple % 64) & 1 == 1 {
                    table.counts[tuple].rows = 0;
                    table.list_uncovered(tuple);
                }
            }
        }
        table
    }

    pub fn rows(&self) -> usize {
        self.row_sole.len()
    }

    #[inline]
    pub fn row(&self, row: usize) -> &[Cell] {
        &self.cells[row * self.width..][..self.width]
    }

    pub fn all_rows(&self) -> Vec<Vec<Cell>> {
        (0..self.rows()).map(|row| self.row(row).to_vec()).collect()
    }

    /// Weights of the tuples that only this row covers.
    #[inline]
    pub fn sole_of_row(&self, row: usize) -> u32 {
        self.row_sole[row]
    }

    /// Weights of the tuples that only this row covers, of those with this parameter.
    #[inline]
    pub fn sole(&self, row: usize, parameter: usize) -> u32 {
        self.sole[row * self.width + parameter]
    }

    fn list_uncovered(&mut self, tuple: usize) {
        // At most 2^32 tuples are taken.
        self.counts[tuple].who = self.uncovered.len() as u32;
        let settings = self.tuples.settings(tuple);
        let weight = self.tuples.combination(tuple).weight;
        self.uncovered_weight += i64::from(weight);
        self.uncovered.push(Uncovered { tuple: tuple as u32, settings, weight });
    }

    fn unlist_uncovered(&mut self, tuple: usize) {
        let place = self.counts[tuple].who as usize;
        let gone = self.uncovered.swap_remove(place);
        self.uncovered_weight -= i64::from(gone.weight);
        if let Some(moved) = self.uncovered.get(place) {
            self.counts[moved.tuple as usize].who = place as u32;
        }
    }

    /// This tuple needs no row after all.
    pub fn give_up(&mut self, tuple: usize) {
        if self.counts[tuple].rows == 0 {
            self.unlist_uncovered(tuple);
            self.counts[tuple] = Count { rows: NOT_NEEDED, who: 0 };
        }
    }

    #[inline]
    fn mark(&mut self, row: usize, combination: &Combination, up: bool) {
        let weight = u32::from(combination.weight);
        let by = if up { weight } else { weight.wrapping_neg() };
        let cells = &mut self.sole[row * self.width..][..self.width];
        for &parameter in combination.parameters() {
            let cell = &mut cells[usize::from(parameter)];
            *cell = cell.wrapping_add(by);
        }
        self.row_sole[row] = self.row_sole[row].wrapping_add(by);
    }

    #[inline]
    fn cover(&mut self, tuple: usize, combination: &Combination, row: usize) {
        let count = self.counts[tuple];
        match count.rows {
            0 => {
                self.unlist_uncovered(tuple);
                self.counts[tuple] = Count { rows: 1, who: row as u32 };
                self.mark(row, combination, true);
            }
            rows => {
                if rows == 1 {
                    self.mark(count.who as usize, combination, false);
                }
                self.counts[tuple] = Count { rows: rows + 1, who: count.who ^ row as u32 };
            }
        }
    }

    #[inline]
    fn uncover(&mut self, tuple: usize, combination: &Combination, row: usize) {
        let Count { rows, who } = self.counts[tuple];
        match rows {
            1 => {
                self.counts[tuple].rows = 0;
                self.list_uncovered(tuple);
                self.mark(row, combination, false);
            }
            _ => {
                let who = who ^ row as u32;
                self.counts[tuple] = Count { rows: rows - 1, who };
                if rows == 2 {
                    self.mark(who as usize, combination, true);
                }
            }
        }
    }

    /// Adds a complete row.
    pub fn push(&mut self, cells: &[Cell]) {
        let row = self.rows();
        self.cells.extend_from_slice(cells);
        self.sole.resize(self.cells.len(), 0);
        self.row_sole.push(0);
        let tuples = self.tuples;
        for combination in &tuples.list {
            self.cover(combination.tuple(cells), combination, row);
        }
        self.work += tuples.list.len() as u64;
    }

    /// Removes a row; the last one takes its number.
    pub fn remove(&mut self, row: usize) {
        let tuples = self.tuples;
        let cells = self.row(row).to_vec();
        for combination in &tuples.list {
            self.uncover(combination.tuple(&cells), combination, row);
        }
        let last = self.rows() - 1;
        if row != last {
            let moved = self.row(last).to_vec();
            for combination in &tuples.list {
                let count = &mut self.counts[combination.tuple(&moved)];
                count.who ^= (last ^ row) as u32;
            }
            let (width, sole) = (self.width, &mut self.sole);
            self.cells.copy_within(last * width..(last + 1) * width, row * width);
            sole.copy_within(last * width..(last + 1) * width, row * width);
            self.row_sole[row] = self.row_sole[last];
        }
        self.cells.truncate(last * self.width);
        self.sole.truncate(last * self.width);
        self.row_sole.truncate(last);
        self.work += 2 * tuples.list.len() as u64;
    }

    /// Gives one cell another value.
    pub fn set(&mut self, row: usize, (parameter, value): Setting) {
        let at = row * self.width + parameter;
        let old = self.cells[at];
        if old == value {
            return;
        }
        let tuples = self.tuples;
        for &place in &tuples.with[parameter] {
            let combination = &tuples.list[place as usize];
            let tuple = combination.tuple(&self.cells[row * self.width..]);
            let stride = combination.stride(parameter);
            let new = tuple + usize::from(value) * stride - usize::from(old) * stride;
            self.uncover(tuple, combination, row);
            self.cover(new, combination, row);
        }
        self.cells[at] = value;
        self.work += 2 * tuples.with[parameter].len() as u64;
    }

    /// Weights of the uncovered tuples that the row would cover with this value in this place.
    pub fn gain(&mut self, row: usize, setting: Setting) -> u32 {
        let (parameter, value) = setting;
        let cells = &self.cells[row * self.width..][..self.width];
        if self.uncovered.len() <= 2 * self.tuples.with[parameter].len() {
            self.work += self.uncovered.len() as u64 / 4;
            let covered = self.uncovered.iter().filter(|uncovered| {
                let mut with_setting = false;
                let all = uncovered.settings.as_slice().iter().all(|&(p, v)| {
                    let p = usize::from(p);
                    with_setting |= p == parameter;
                    v == if p == parameter { value } else { cells[p] }
                });
                all && with_setting
            });
            return covered.map(|uncovered| u32::from(uncovered.weight)).sum();
        }
        self.work += self.tuples.with[parameter].len() as u64;
        let old = usize::from(cells[parameter]);
        let new = usize::from(value);
        let weight = |&place: &u32| {
            let combination = &self.tuples.list[place as usize];
            let stride = combination.stride(parameter);
            let tuple = combination.tuple(cells) + new * stride - old * stride;
            u32::from(combination.weight) * u32::from(self.counts[tuple].rows == 0)
        };
        self.tuples.with[parameter].iter().map(weight).sum()
    }

    /// Uncovered tuples that a row not finished yet would cover by each value of this parameter,
    /// with the cells that are already chosen.
    pub fn gains_of_open(&mut self, cells: &[Cell], parameter: usize, gains: &mut [u32]) {
        gains.fill(0);
        self.work += self.tuples.with[parameter].len() as u64;
        for &place in &self.tuples.with[parameter] {
            let combination = &self.tuples.list[place as usize];
            let open = |&p: &u16| usize::from(p) != parameter && cells[usize::from(p)] == OPEN;
            if combination.parameters().iter().any(open) {
                continue;
            }
            let stride = combination.stride(parameter);
            let first = combination.tuple_but(cells, parameter);
            for (value, gain) in gains.iter_mut().enumerate() {
                *gain += u32::from(self.counts[first + value * stride].rows == 0);
            }
        }
    }
}
