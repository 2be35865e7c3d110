//! The generator's face: what the caller chooses, and the phases it is done in.

use super::array::{CoveringArray, RejectedRow};
use super::clause::Phase;
use super::model::{HIGHEST_STRENGTH, Model};
use super::phase::{Job, Outcome};
use super::space::{Cell, OPEN, Space};

/// Iterations if the caller does not say: about two seconds of one CPU.
pub const DEFAULT_ITERATIONS: u64 = 150_000_000;
/// Tuples of one model at most; each takes eight bytes.
pub const MOST_TUPLES: u64 = 100_000_000;

/// A row that the caller gives: for each parameter, in the model's order, the place of its value,
/// or none where the generator may choose.
pub type GivenRow = Vec<Option<usize>>;

/// Why no array was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoverError {
    /// A strength that cannot be.
    #[error(
        "strength {strength} for a model of {parameters} parameters; it is 1 to 6 and at most their number"
    )]
    Strength {
        /// What was asked for.
        strength: usize,
        /// How many parameters there are.
        parameters: usize,
    },
    /// The constraints leave no row at all.
    #[error("no row satisfies the constraints; these exclude each other: {}", because.join("; "))]
    Unsatisfiable {
        /// A minimal set of constraints that exclude each other.
        because: Vec<String>,
    },
    /// More tuples than are taken.
    #[error(
        "{count} or more combinations are to be covered, at most {most} are taken; use a lower strength, or a higher one for a group of parameters only"
    )]
    TooManyTuples {
        /// As far as was counted.
        count: u64,
        /// How many are taken.
        most: u64,
    },
    /// A constraint that comes to too many clauses.
    #[error(
        "constraint {constraint:?} is too broad to be worked with; say it as several constraints, each over few parameters"
    )]
    ConstraintTooBroad {
        /// Its text.
        constraint: String,
    },
    /// A question of feasibility that was too hard.
    #[error(
        "the constraints are too hard to decide (a question took 500,000 conflicts); fewer or simpler ones are needed"
    )]
    Undecided,
    /// A given row of another shape than the model's.
    #[error(
        "given row {row} does not fit the model: it needs a value of each of the {parameters} parameters, or none"
    )]
    GivenRow {
        /// Its place among the rows given, from 0.
        row: usize,
        /// How many parameters there are.
        parameters: usize,
    },
}

/// Makes a covering array; the same choices give the same rows, on every machine.
///
/// ```
/// use hospitium_plan::covering::{Generator, Model, verify};
///
/// let mut machine = Model::builder();
/// let firmware = machine.parameter("firmware", ["bios", "uefi"]);
/// let bus = machine.parameter("bus", ["virtio", "sata", "ide"]);
/// machine.parameter("nic", ["virtio", "e1000", "rtl8139"]);
/// machine.forbid("UEFI boots from no IDE disk", firmware.is("uefi").and(bus.is("ide")));
/// let model = machine.build()?;
///
/// let array = Generator::new(&model).strength(2).generate()?;
/// assert_eq!(array.rows.len(), 9);
/// let coverage = verify(&model, 2, &array.rows)?;
/// assert!(coverage.is_complete());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Generator<'a> {
    model: &'a Model,
    strength: usize,
    seed: u64,
    iterations: u64,
    given: Vec<GivenRow>,
}

impl<'a> Generator<'a> {
    /// For this model, at the strength that it asks for itself, else 2.
    pub fn new(model: &'a Model) -> Self {
        let most = model.parameters().len().min(2);
        let strength = model.strength().unwrap_or(most);
        Self { model, strength, seed: 1, iterations: DEFAULT_ITERATIONS, given: Vec::new() }
    }

    /// The strength: 1 to 6.
    #[must_use]
    pub fn strength(self, strength: usize) -> Self {
        Self { strength, ..self }
    }

    /// What random numbers are drawn by. Another seed may give fewer rows, or more.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// How long to look for fewer rows, in looks at a tuple's count: a measure of work that is the
    /// same on every machine. 0 gives the greedy array as it is. Search ends early where the array
    /// is known to be as small as can be.
    #[must_use]
    pub fn iterations(self, iterations: u64) -> Self {
        Self { iterations, ..self }
    }

    /// Rows that are there already, such as those already run: whole or in part. They stay, come
    /// first, and what they cover needs no other row. Those that break a constraint are left out
    /// and reported.
    #[must_use]
    pub fn given(mut self, rows: impl IntoIterator<Item = GivenRow>) -> Self {
        self.given.extend(rows);
        self
    }

    /// The array.
    ///
    /// # Errors
    /// One variant of [`CoverError`] a cause.
    pub fn generate(self) -> Result<CoveringArray, CoverError> {
        let parameters = self.model.parameters().len();
        let strength = self.strength;
        if strength == 0 || strength > HIGHEST_STRENGTH.min(parameters) {
            return Err(CoverError::Strength { strength, parameters });
        }
        let space = Space::of(self.model);
        let given = self.given_cells(&space)?;
        let (two, mut rejected) = (self.model.has_negative_values(), Vec::new());
        let (mut accepted, mut refused) = (Vec::new(), Vec::new());
        for (place, cells) in given.into_iter().enumerate() {
            match self.negatives(&cells) {
                0 => accepted.push((place, cells)),
                1 => refused.push((place, cells)),
                _ => rejected.push(RejectedRow { row: place, because: vec![ONE_NEGATIVE.into()] }),
            }
        }
        let job = |phase, given, iterations| Job {
            model: self.model,
            space: &space,
            strength,
            phase,
            seed: self.seed,
            iterations,
            given,
        };
        let share = if two { self.iterations / 2 } else { self.iterations };
        let mut outcome = job(Phase::Accepted, accepted, share).run()?;
        if two {
            outcome.join(job(Phase::Refused, refused, share).run()?);
        }
        rejected.append(&mut outcome.rejected);
        rejected.sort_by_key(|rejected| rejected.row);
        let Outcome { given, made, tuples, infeasible_tuples, infeasible, bound, work, .. } =
            outcome;
        let given_count = given.len();
        let row = |row: Vec<Cell>| row.into_iter().map(usize::from).collect();
        Ok(CoveringArray {
            strength,
            rows: given.into_iter().chain(made).map(row).collect(),
            given: given_count,
            rejected,
            tuples,
            infeasible_tuples,
            infeasible,
            lower_bound: bound,
            seed: self.seed,
            iterations: work,
        })
    }

    fn given_cells(&self, space: &Space) -> Result<Vec<Vec<Cell>>, CoverError> {
        let parameters = space.parameters();
        let cell = |(parameter, value): (usize, &Option<usize>)| match value {
            None => Some(OPEN),
            Some(value) if *value < space.sizes[parameter] => Cell::try_from(*value).ok(),
            Some(_) => None,
        };
        let cells = |(place, row): (usize, &GivenRow)| {
            let cells: Option<Vec<Cell>> = match row.len() == parameters {
                true => row.iter().enumerate().map(cell).collect(),
                false => None,
            };
            cells.ok_or(CoverError::GivenRow { row: place, parameters })
        };
        self.given.iter().enumerate().map(cells).collect()
    }

    fn negatives(&self, cells: &[Cell]) -> usize {
        let is_negative = |&(parameter, &cell): &(usize, &Cell)| {
            let values = self.model.parameters().get(parameter).map(|p| p.values());
            let value = values.and_then(|values| values.get(usize::from(cell)));
            value.is_some_and(|value| value.is_negative())
        };
        cells.iter().enumerate().filter(is_negative).count()
    }
}

/// The rule that is not in the model's text.
pub(super) const ONE_NEGATIVE: &str = "a row holds at most one value that the system is to refuse";
