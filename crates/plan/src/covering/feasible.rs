//! Which settings no row can have together, and why: each minimal set found once.

use std::collections::{BTreeSet, HashSet};

use super::clause::{Clauses, Origin};
use super::solver::{Solver, Undecided};
use super::space::{Cell, Setting, Space};

/// Settings that exclude each other, and the rules that make them.
pub(super) type Explained = (Vec<Setting>, Vec<Origin>);

/// What is known of infeasible settings.
pub(super) struct Feasible<'a> {
    space: &'a Space,
    pub solver: Solver,
    why: Solver,
    /// Minimal infeasible settings, each ascending by parameter.
    minimal: HashSet<Vec<Setting>>,
    /// By literal: is it in one of them?
    suspect: Vec<bool>,
    /// Those that made a needed tuple infeasible.
    used: BTreeSet<Vec<Setting>>,
}

impl<'a> Feasible<'a> {
    pub fn new(space: &'a Space, clauses: &Clauses) -> Self {
        Self {
            space,
            solver: Solver::new(space, clauses),
            why: Solver::with_reasons(space, clauses),
            minimal: HashSet::new(),
            suspect: vec![false; space.literals],
            used: BTreeSet::new(),
        }
    }

    /// Is there a row at all?
    pub fn any_row(&mut self) -> Result<bool, Undecided> {
        self.solver.possible([])
    }

    /// Decides every setting, and every two if asked, so that larger questions are rarely put.
    pub fn decide_small(&mut self, pairs: bool) -> Result<(), Undecided> {
        let involved: Vec<usize> =
            (0..self.space.parameters()).filter(|&p| self.solver.involves(p)).collect();
        let mut alive: Vec<Setting> = Vec::new();
        for &parameter in &involved {
            for value in self.space.values(parameter) {
                match self.solver.possible([(parameter, value)])? {
                    true => alive.push((parameter, value)),
                    false => self.add(vec![(parameter, value)]),
                }
            }
        }
        if !pairs {
            return Ok(());
        }
        // A row found for one pair answers for all pairs in it.
        let mut seen = vec![0u64; alive.len().pow(2).div_ceil(64)];
        for a in 0..alive.len() {
            for b in a + 1..alive.len() {
                let bit = a * alive.len() + b;
                if alive[a].0 == alive[b].0 || seen[bit / 64] >> (bit % 64) & 1 == 1 {
                    continue;
                }
                if !self.solver.possible([alive[a], alive[b]])? {
                    self.add(vec![alive[a], alive[b]]);
                    continue;
                }
                let found = |&n: &usize| self.solver.found(alive[n]);
                let row: Vec<usize> = (0..alive.len()).filter(found).collect();
                for (n, x) in row.iter().enumerate() {
                    for y in row.iter().skip(n + 1) {
                        let bit = x * alive.len() + y;
                        seen[bit / 64] |= 1 << (bit % 64);
                    }
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, settings: Vec<Setting>) {
        settings.iter().for_each(|s| self.suspect[self.space.literal(*s)] = true);
        self.minimal.insert(settings);
    }

    /// Do these settings, ascending by parameter, contain a set known to be infeasible? If so it
    /// counts as used.
    pub fn known(&mut self, settings: impl Iterator<Item = Setting>) -> bool {
        let suspects: Vec<Setting> =
            settings.filter(|s| self.suspect[self.space.literal(*s)]).collect();
        for mask in 1u32..1 << suspects.len() {
            let part = suspects.iter().enumerate().filter(|(n, _)| mask >> n & 1 == 1);
            let part: Vec<Setting> = part.map(|(_, s)| *s).collect();
            if self.minimal.contains(&part) {
                self.used.insert(part);
                return true;
            }
        }
        false
    }

    /// Is there a row with these settings? If not, what excludes them is remembered.
    pub fn decide(&mut self, settings: &[Setting]) -> Result<bool, Undecided> {
        if self.known(settings.iter().copied()) {
            return Ok(false);
        }
        if self.solver.possible(settings.iter().copied())? {
            return Ok(true);
        }
        let mut rest = settings.to_vec();
        let mut n = 0;
        while n < rest.len() {
            let without: Vec<Setting> =
                rest.iter().enumerate().filter(|(m, _)| *m != n).map(|(_, s)| *s).collect();
            if self.solver.possible(without.iter().copied())? {
                n += 1;
            } else {
                rest = without;
            }
        }
        self.add(rest.clone());
        self.used.insert(rest);
        Ok(false)
    }

    /// The minimal settings that made a needed tuple infeasible, each with a minimal reason.
    pub fn reasons(&mut self) -> Result<Vec<Explained>, Undecided> {
        let used: Vec<Vec<Setting>> = self.used.iter().cloned().collect();
        used.into_iter().map(|settings| Ok((settings.clone(), self.reason(&settings)?))).collect()
    }

    /// A minimal set of rules that excludes these settings.
    pub fn reason(&mut self, settings: &[Setting]) -> Result<Vec<Origin>, Undecided> {
        self.why.reason(settings)
    }

    /// The settings of the cells that are chosen.
    pub fn chosen(row: &[Cell]) -> Vec<Setting> {
        let cells = row.iter().copied().enumerate();
        cells.filter(|&(_, v)| v != super::space::OPEN).collect()
    }
}
