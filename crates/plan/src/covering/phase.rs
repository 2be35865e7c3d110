//! One phase of generation: feasibility, greedy rows, then the search for fewer.

use super::array::{Infeasible, NamedSetting, RejectedRow};
use super::clause::{Clauses, Origin, Phase, TooBroad};
use super::feasible::Feasible;
use super::finish::Finish;
use super::generate::{CoverError, MOST_TUPLES, ONE_NEGATIVE};
use super::greedy::Greedy;
use super::model::Model;
use super::random::Random;
use super::reduce::Reduce;
use super::solver::Undecided;
use super::space::{Cell, OPEN, Space};
use super::table::Table;
use super::tuples::{TooMany, Tuples};

/// What is asked for.
pub(super) struct Job<'a> {
    pub model: &'a Model,
    pub space: &'a Space,
    pub strength: usize,
    pub phase: Phase,
    pub seed: u64,
    pub iterations: u64,
    /// Rows given, each with its place among all of them.
    pub given: Vec<(usize, Vec<Cell>)>,
}

/// What came of it.
pub(super) struct Outcome {
    pub given: Vec<Vec<Cell>>,
    pub made: Vec<Vec<Cell>>,
    pub rejected: Vec<RejectedRow>,
    pub tuples: u64,
    pub infeasible_tuples: u64,
    pub infeasible: Vec<Infeasible>,
    pub bound: usize,
    pub work: u64,
}

impl Outcome {
    /// Both phases as one: their rows are different ones, so everything adds up.
    pub fn join(&mut self, other: Self) {
        self.given.extend(other.given);
        self.made.extend(other.made);
        self.rejected.extend(other.rejected);
        self.tuples += other.tuples;
        self.infeasible_tuples += other.infeasible_tuples;
        self.infeasible.extend(other.infeasible);
        self.bound += other.bound;
        self.work += other.work;
    }
}

impl From<Undecided> for CoverError {
    fn from(_: Undecided) -> Self {
        Self::Undecided
    }
}

impl Job<'_> {
    pub fn run(self) -> Result<Outcome, CoverError> {
        let clauses =
            Clauses::of(self.model, self.space, self.phase).map_err(|TooBroad(place)| {
                let text = self.model.constraints().get(place).map_or("", |c| c.text());
                CoverError::ConstraintTooBroad { constraint: text.chars().take(200).collect() }
            })?;
        let tuples = Tuples::of(self.model, self.space, self.strength, MOST_TUPLES)
            .map_err(|TooMany { count }| CoverError::TooManyTuples { count, most: MOST_TUPLES })?;
        let mut feasible = Feasible::new(self.space, &clauses);
        let mut needed = self.needed(&tuples);
        let count = ones(&needed);
        if !feasible.any_row()? {
            let because = self.texts(&feasible.reason(&[])?);
            if self.phase == Phase::Accepted {
                return Err(CoverError::Unsatisfiable { because });
            }
            return Ok(self.nothing(count, because));
        }
        let pairs = tuples.list.iter().any(|combination| combination.parameters().len() > 1);
        feasible.decide_small(pairs)?;
        for combination in &tuples.list {
            for tuple in tuples.range(combination) {
                if bit(&needed, tuple) && feasible.known(tuples.settings(tuple).iter()) {
                    clear(&mut needed, tuple);
                }
            }
        }
        let mut run = Run {
            job: &self,
            clauses: &clauses,
            tuples: &tuples,
            feasible,
            random: Random::new(self.seed),
            needed,
            work: 0,
        };
        let (given, rejected) = run.given()?;
        let rows = run.rows(&given)?;
        let infeasible = run.feasible.reasons()?.into_iter().map(|(settings, because)| {
            let named = |(p, v): (usize, Cell)| NamedSetting::of(self.model, p, v.into());
            let settings = settings.into_iter().map(named).collect();
            Infeasible { settings, because: self.texts(&because) }
        });
        Ok(Outcome {
            made: rows[given.len()..].to_vec(),
            given: rows[..given.len()].to_vec(),
            rejected,
            tuples: count,
            infeasible_tuples: count - ones(&run.needed),
            infeasible: infeasible.collect(),
            bound: run.bound(),
            work: run.work,
        })
    }

    /// A bit for each tuple that some row of this phase would have, but for the constraints.
    fn needed(&self, tuples: &Tuples) -> Vec<u64> {
        let negative: Vec<Vec<bool>> = self
            .model
            .parameters()
            .iter()
            .map(|p| p.values().iter().map(|v| v.is_negative()).collect())
            .collect();
        let wanted = usize::from(self.phase == Phase::Refused);
        let mut needed = vec![0u64; tuples.total.div_ceil(64)];
        let plain = !self.model.has_negative_values();
        for tuple in 0..tuples.total {
            let count = || {
                let settings = tuples.settings(tuple);
                settings.iter().filter(|&(p, v)| negative[p][usize::from(v)]).count()
            };
            if plain || count() == wanted {
                needed[tuple / 64] |= 1 << (tuple % 64);
            }
        }
        needed
    }

    /// The outcome where no row is possible.
    fn nothing(&self, tuples: u64, because: Vec<String>) -> Outcome {
        let rejected =
            |(row, _): &(usize, Vec<Cell>)| RejectedRow { row: *row, because: because.clone() };
        Outcome {
            given: Vec::new(),
            made: Vec::new(),
            rejected: self.given.iter().map(rejected).collect(),
            tuples,
            infeasible_tuples: tuples,
            infeasible: vec![Infeasible { settings: Vec::new(), because: because.clone() }],
            bound: 0,
            work: 0,
        }
    }

    fn texts(&self, origins: &[Origin]) -> Vec<String> {
        let text = |origin: &Origin| match origin {
            Origin::OneNegative => ONE_NEGATIVE.to_owned(),
            Origin::Constraint(place) => {
                self.model.constraints().get(*place).map_or("?", |c| c.text()).to_owned()
            }
        };
        origins.iter().map(text).collect()
    }
}

fn bit(bits: &[u64], place: usize) -> bool {
    bits[place / 64] >> (place % 64) & 1 == 1
}

fn clear(bits: &mut [u64], place: usize) {
    bits[place / 64] &= !(1 << (place % 64));
}

fn ones(bits: &[u64]) -> u64 {
    bits.iter().map(|word| u64::from(word.count_ones())).sum()
}

struct Run<'a> {
    job: &'a Job<'a>,
    clauses: &'a Clauses,
    tuples: &'a Tuples,
    feasible: Feasible<'a>,
    random: Random,
    /// By tuple, a bit.
    needed: Vec<u64>,
    work: u64,
}

impl Run<'_> {
    /// The given rows that can be had, and those that cannot.
    fn given(&mut self) -> Result<(Vec<Vec<Cell>>, Vec<RejectedRow>), Undecided> {
        let (mut taken, mut rejected) = (Vec::new(), Vec::new());
        for (place, cells) in &self.job.given {
            let mut origins = self.clauses.broken(cells);
            if origins.is_empty() && !self.feasible.solver.possible(Feasible::chosen(cells))? {
                origins = self.feasible.reason(&Feasible::chosen(cells))?;
            }
            if origins.is_empty() {
                taken.push(cells.clone());
            } else {
                rejected.push(RejectedRow { row: *place, because: self.job.texts(&origins) });
            }
        }
        Ok((taken, rejected))
    }

    /// No fewer rows can do: a combination of parameters needs one for each of its tuples.
    fn bound(&self) -> usize {
        let count = |combination| {
            self.tuples.range(combination).filter(|&tuple| bit(&self.needed, tuple)).count()
        };
        self.tuples.list.iter().map(count).max().unwrap_or(0)
    }

    /// The rows, those given first.
    fn rows(&mut self, given: &[Vec<Cell>]) -> Result<Vec<Vec<Cell>>, Undecided> {
        let locked: Vec<Vec<bool>> =
            given.iter().map(|cells| cells.iter().map(|&cell| cell != OPEN).collect()).collect();
        let mut table = Table::new(self.tuples, &self.needed);
        let mut greedy = Greedy::new(self.job.model, self.job.space);
        let tries = self.tries();
        for cells in given {
            let mut cells = cells.clone();
            greedy.fill(&mut cells, &mut table, &mut self.feasible.solver, &mut self.random)?;
            table.push(&cells);
        }
        while let Some(row) = self.best_row(&mut table, &mut greedy, tries)? {
            table.push(&row);
        }
        let mut best = table.all_rows();
        let bound = self.bound();
        let mut reduce = Reduce {
            table: &mut table,
            clauses: self.clauses,
            solver: &mut self.feasible.solver,
            random: &mut self.random,
            locked: &locked,
            bound,
        };
        if let Some(rows) = reduce.run(self.job.iterations)? {
            best = rows;
        }
        self.work += table.work;
        let mut finish = Finish {
            model: self.job.model,
            clauses: self.clauses,
            tuples: self.tuples,
            needed: &self.needed,
            locked: &locked,
        };
        finish.by_weight(&mut best, &mut self.random);
        finish.strongest_first(&mut best);
        Ok(best)
    }

    /// How many rows to make for each one taken: many where they cost little.
    fn tries(&self) -> usize {
        let looks: usize = self.tuples.with.iter().map(Vec::len).sum();
        (1_000_000 / looks.max(1)).clamp(1, 20)
    }

    /// A row that covers much of what is uncovered; none if all is.
    fn best_row(
        &mut self,
        table: &mut Table<'_>,
        greedy: &mut Greedy<'_>,
        tries: usize,
    ) -> Result<Option<Vec<Cell>>, Undecided> {
        let mut best: Option<(u64, Vec<Cell>)> = None;
        let mut made = 0;
        while made < tries && !table.uncovered.is_empty() {
            let pick = self.random.below(table.uncovered.len());
            let picked = table.uncovered[pick];
            let settings: Vec<_> = picked.settings.iter().collect();
            if !self.feasible.decide(&settings)? {
                table.give_up(picked.tuple as usize);
                clear(&mut self.needed, picked.tuple as usize);
                continue;
            }
            let mut row = vec![OPEN; self.job.space.parameters()];
            settings.iter().for_each(|&(p, v)| row[p] = v);
            let covered =
                greedy.fill(&mut row, table, &mut self.feasible.solver, &mut self.random)?;
            if best.as_ref().is_none_or(|(most, _)| covered > *most) {
                best = Some((covered, row));
            }
            made += 1;
        }
        Ok(best.map(|(_, row)| row))
    }
}
