//! The last touches that change no number of rows: preferred values, and the order.

use super::clause::Clauses;
use super::model::Model;
use super::random::Random;
use super::space::Cell;
use super::table::Table;
use super::tuples::Tuples;

/// Looks at counts that ordering may take; beyond, rows stay in the order of their making.
const MOST_LOOKS: usize = 100_000_000;

/// An array that covers everything, and what must stay of it.
pub(super) struct Finish<'a> {
    pub model: &'a Model,
    pub clauses: &'a Clauses,
    pub tuples: &'a Tuples,
    pub needed: &'a [u64],
    /// Cells of the first rows that were given.
    pub locked: &'a [Vec<bool>],
}

impl Finish<'_> {
    /// Draws the cells on which no coverage hangs anew, by the weights of their values.
    pub fn by_weight(&mut self, rows: &mut Vec<Vec<Cell>>, random: &mut Random) {
        let parameters = self.model.parameters();
        let uneven = |p: &super::Parameter| p.values.iter().any(|v| v.weight != p.values[0].weight);
        let weighted: Vec<usize> =
            (0..parameters.len()).filter(|&p| uneven(&parameters[p])).collect();
        if weighted.is_empty() {
            return;
        }
        let mut table = Table::new(self.tuples, self.needed);
        rows.iter().for_each(|row| table.push(row));
        for row in 0..table.rows() {
            for &parameter in &weighted {
                let locked = self.locked.get(row).is_some_and(|cells| cells[parameter]);
                if locked || table.sole(row, parameter) > 0 {
                    continue;
                }
                let values = &parameters[parameter].values;
                let total: u64 = values.iter().map(|v| u64::from(v.weight)).sum();
                let mut draw = random.below(usize::try_from(total).unwrap_or(usize::MAX)) as u64;
                let drawn = values.iter().position(|value| {
                    let hit = draw < u64::from(value.weight);
                    draw = draw.saturating_sub(u64::from(value.weight));
                    hit
                });
                let Some(value) = drawn.and_then(|value| Cell::try_from(value).ok()) else {
                    continue;
                };
                if !self.clauses.broken_by(table.row(row), (parameter, value)) {
                    table.set(row, (parameter, value));
                }
            }
        }
        *rows = table.all_rows();
    }

    /// Puts the rows that were not given in an order in which each covers the most of what those
    /// before it leave: who stops early has seen the most.
    pub fn strongest_first(&self, rows: &mut [Vec<Cell>]) {
        let (given, made) = rows.split_at_mut(self.locked.len());
        if made.len().pow(2).saturating_mul(self.tuples.list.len()) > MOST_LOOKS {
            return;
        }
        let mut left = self.needed.to_vec();
        let take = |left: &mut Vec<u64>, row: &[Cell]| {
            for combination in &self.tuples.list {
                let tuple = combination.tuple(row);
                left[tuple / 64] &= !(1 << (tuple % 64));
            }
        };
        given.iter().for_each(|row| take(&mut left, row));
        for n in 0..made.len() {
            let covers = |row: &Vec<Cell>| {
                let tuples = self.tuples.list.iter().map(|combination| combination.tuple(row));
                tuples.filter(|tuple| left[tuple / 64] >> (tuple % 64) & 1 == 1).count()
            };
            // The last of equals would be taken; from the end that is the first.
            let best = (n..made.len()).rev().max_by_key(|&m| covers(&made[m])).unwrap_or(n);
            made[n..=best].rotate_right(1);
            take(&mut left, &made[n]);
        }
    }
}
