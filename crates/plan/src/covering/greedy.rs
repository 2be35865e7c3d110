//! Rows made one at a time, each value chosen for what it newly covers.

use super::model::Model;
use super::random::Random;
use super::solver::{Solver, Undecided};
use super::space::{Cell, OPEN, Setting, Space};
use super::table::Table;

/// Makes rows.
pub(super) struct Greedy<'a> {
    space: &'a Space,
    weights: Vec<Vec<u32>>,
    gains: Vec<u32>,
}

impl<'a> Greedy<'a> {
    pub fn new(model: &Model, space: &'a Space) -> Self {
        let weights =
            model.parameters().iter().map(|p| p.values.iter().map(|v| v.weight).collect());
        let widest = space.sizes.iter().max().copied().unwrap_or(0);
        Self { space, weights: weights.collect(), gains: vec![0; widest] }
    }

    /// Fills the open cells of a row that is possible. Returns how much the cells chosen here cover
    /// newly.
    pub fn fill(
        &mut self,
        row: &mut [Cell],
        table: &mut Table<'_>,
        solver: &mut Solver,
        random: &mut Random,
    ) -> Result<u64, Undecided> {
        let mut order: Vec<usize> = (0..row.len()).filter(|&p| row[p] == OPEN).collect();
        random.shuffle(&mut order);
        let mut covered = 0;
        for parameter in order {
            let mut gains = std::mem::take(&mut self.gains);
            table.gains_of_open(row, parameter, &mut gains[..self.space.sizes[parameter]]);
            let chosen = self.choose(row, parameter, &gains, solver, random);
            let gain = |value: Cell| u64::from(gains[usize::from(value)]);
            covered += chosen.map_or(0, gain);
            self.gains = gains;
            row[parameter] = chosen?;
        }
        Ok(covered)
    }

    /// The possible value that gains most; among equals, by weight.
    fn choose(
        &self,
        row: &[Cell],
        parameter: usize,
        gains: &[u32],
        solver: &mut Solver,
        random: &mut Random,
    ) -> Result<Cell, Undecided> {
        let mut values: Vec<Cell> = self.space.values(parameter).collect();
        let free = !solver.involves(parameter);
        loop {
            let most = values.iter().map(|&v| gains[usize::from(v)]).max().unwrap_or(0);
            let best = values.iter().filter(|&&v| gains[usize::from(v)] == most);
            let weight = |v: Cell| self.weights[parameter][usize::from(v)] as usize;
            let mut draw = random.below(best.clone().map(|&v| weight(v)).sum::<usize>().max(1));
            let drawn = best.copied().find(|&v| {
                let hit = draw < weight(v);
                draw = draw.saturating_sub(weight(v));
                hit
            });
            // The cells chosen so far are possible together, so some value is.
            let Some(value) = drawn else { return Ok(0) };
            if free || solver.possible(with(row, (parameter, value)))? {
                return Ok(value);
            }
            values.retain(|&v| v != value);
        }
    }
}

/// The settings of a row's chosen cells, and one more.
pub(super) fn with(row: &[Cell], setting: Setting) -> impl Iterator<Item = Setting> + '_ {
    let chosen = row.iter().copied().enumerate();
    chosen.filter(move |&(p, v)| v != OPEN && p != setting.0).chain([setting])
}
