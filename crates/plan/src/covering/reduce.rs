//! Fewer rows by tabu search: take a row away, then repair what it alone covered, cell by cell.
//!
//! The moves are those of Lin, Luo, Cai, Su, Hao and Zhang, "TCA: An Efficient Two-Mode
//! Meta-Heuristic Algorithm for Combinatorial Test Generation" (ASE 2015): mostly the best change of
//! one cell that covers a random uncovered tuple, now and then a random row that is made to. Two
//! things are added, which the hardest model of the benchmarks needs: the best change is taken of a
//! few tuples', and tuples weigh more where they are harder to place. What a change loses is known without looking, because the table keeps for every cell the tuples that
//! hang on it alone.

use super::clause::Clauses;
use super::random::Random;
use super::solver::{Solver, Undecided};
use super::space::{Cell, OPEN, Setting};
use super::table::Table;
use super::tuples::Settings;

/// Steps for which a cell just changed stays as it is.
const TENURE: u64 = 3;
/// Uncovered tuples whose changes are compared in one step. One alone makes the search restless;
/// many make it slow and greedy.
const COMPARED: usize = 3;

/// Search over tables of rows that all satisfy the constraints.
pub(super) struct Reduce<'a, 't> {
    pub table: &'a mut Table<'t>,
    pub clauses: &'a Clauses,
    pub solver: &'a mut Solver,
    pub random: &'a mut Random,
    /// Cells of the first rows that were given and stay.
    pub locked: &'a [Vec<bool>],
    /// No array has fewer rows.
    pub bound: usize,
}

impl Reduce<'_, '_> {
    /// Searches until the work is done or nothing can be better; returns the fewest rows seen that
    /// cover everything, none if the table never did.
    pub fn run(&mut self, work: u64) -> Result<Option<Vec<Vec<Cell>>>, Undecided> {
        let mut best = None;
        let end = self.table.work.saturating_add(work);
        let mut tabu = vec![0u64; self.table.rows() * self.table.tuples.with.len()];
        let width = self.table.tuples.with.len();
        let mut step = TENURE + 1;
        loop {
            if self.table.uncovered.is_empty() {
                best = Some(self.table.all_rows());
                if self.table.rows() <= self.bound.max(self.locked.len()) {
                    return Ok(best);
                }
                self.remove_cheapest();
                tabu.fill(0);
                continue;
            }
            if self.table.work >= end {
                return Ok(best);
            }
            step += 1;
            self.table.work += COMPARED as u64 * self.table.rows() as u64 + 20;
            let pick = self.random.below(self.table.uncovered.len());
            let wanted = self.table.uncovered[pick].settings;
            let random_mode = self.random.below(1000) == 0;
            let mut found = None;
            if !random_mode {
                found = self.best_change(&wanted, &tabu, step);
                for _ in 1..COMPARED.min(self.table.uncovered.len()) {
                    let pick = self.random.below(self.table.uncovered.len());
                    let other = self.table.uncovered[pick].settings;
                    let change = self.best_change(&other, &tabu, step);
                    // Nothing is less than any change.
                    if change.map(|(score, ..)| score) > found.map(|(score, ..)| score) {
                        found = change;
                    }
                }
            }
            match found {
                Some((_, row, setting)) => {
                    self.table.set(row, setting);
                    tabu[row * width + setting.0] = step + TENURE;
                }
                None => self.force(&wanted)?,
            }
        }
    }

    fn is_locked(&self, row: usize, parameter: usize) -> bool {
        self.locked.get(row).is_some_and(|cells| cells[parameter])
    }

    fn remove_cheapest(&mut self) {
        let removable = self.locked.len()..self.table.rows();
        let least = removable.clone().map(|row| self.table.sole_of_row(row)).min().unwrap_or(0);
        let all: Vec<usize> =
            removable.filter(|&row| self.table.sole_of_row(row) == least).collect();
        let row = all[self.random.below(all.len())];
        self.table.remove(row);
    }

    /// The change of one cell that covers this tuple and is best in sum, with that sum: what it
    /// gains less what it loses.
    fn best_change(
        &mut self,
        wanted: &Settings,
        tabu: &[u64],
        step: u64,
    ) -> Option<(i64, usize, Setting)> {
        let width = self.table.tuples.with.len();
        let mut best: Option<(i64, u64, (usize, Setting))> = None;
        let mut ties = 0;
        for row in 0..self.table.rows() {
            let Some(setting) = only_difference(self.table.row(row), wanted) else { continue };
            if self.is_locked(row, setting.0) {
                continue;
            }
            let until = tabu[row * width + setting.0];
            self.table.work += self.clauses.with(setting) as u64;
            if until > step || self.clauses.broken_by(self.table.row(row), setting) {
                continue;
            }
            let loss = i64::from(self.table.sole(row, setting.0));
            // Nothing can gain more than all that is uncovered.
            if best.is_some_and(|(score, ..)| self.table.uncovered_weight - loss < score) {
                continue;
            }
            let score = i64::from(self.table.gain(row, setting)) - loss;
            let better = match best {
                None => true,
                Some((most, oldest, _)) => {
                    if score == most && until == oldest {
                        ties += 1;
                        self.random.below(ties + 1) == 0
                    } else {
                        score > most || (score == most && until < oldest)
                    }
                }
            };
            if better {
                if best.is_none_or(|(most, oldest, _)| most != score || oldest != until) {
                    ties = 0;
                }
                best = Some((score, until, (row, setting)));
            }
        }
        best.map(|(score, _, (row, setting))| (score, row, setting))
    }

    /// Makes a random row cover this tuple, with as few other changes as the constraints allow.
    fn force(&mut self, wanted: &Settings) -> Result<(), Undecided> {
        let row = self.random.below(self.table.rows());
        let width = self.table.tuples.with.len();
        let locked_other = |(p, v): Setting| self.is_locked(row, p) && self.table.row(row)[p] != v;
        if wanted.iter().any(locked_other) {
            return Ok(());
        }
        let mut cells = self.table.row(row).to_vec();
        wanted.iter().for_each(|(p, v)| cells[p] = v);
        if wanted.iter().any(|setting| self.clauses.broken_by(&cells, setting)) {
            // What the solver's questions cost, as measured beside looks at counts.
            self.table.work += 1000 * width as u64;
            let old = cells;
            cells = vec![OPEN; old.len()];
            wanted.iter().for_each(|(p, v)| cells[p] = v);
            let mut order: Vec<usize> = (0..cells.len()).filter(|&p| cells[p] == OPEN).collect();
            self.random.shuffle(&mut order);
            order.sort_by_key(|&p| !self.is_locked(row, p));
            for parameter in order {
                let kept = (parameter, old[parameter]);
                let free = !self.solver.involves(parameter);
                if free || self.solver.possible(super::greedy::with(&cells, kept))? {
                    cells[parameter] = old[parameter];
                } else if self.is_locked(row, parameter) {
                    return Ok(());
                }
            }
            let chosen = cells.iter().copied().enumerate().filter(|&(_, v)| v != OPEN);
            if !self.solver.possible(chosen)? {
                return Ok(());
            }
            self.solver.complete(&mut cells);
        }
        for (parameter, value) in cells.into_iter().enumerate() {
            self.table.set(row, (parameter, value));
        }
        Ok(())
    }
}

/// The only place where the row differs from the tuple; none if there are more.
#[inline]
fn only_difference(row: &[Cell], wanted: &Settings) -> Option<Setting> {
    let mut found = None;
    for &(parameter, value) in wanted.as_slice() {
        let parameter = usize::from(parameter);
        if row[parameter] != value {
            if found.is_some() {
                return None;
            }
            found = Some((parameter, value));
        }
    }
    found
}
