//! The verifier: recomputes from the rows what they cover, trusting nobody.
//!
//! It shares no code with the generator but the model's types. Combinations are enumerated anew,
//! constraints are evaluated as they were parsed, and whether a combination that no row has could
//! be had at all is decided by exhaustive backtracking instead of a SAT solver.

mod search;
mod sets;

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::array::{Infeasible, NamedSetting};
use super::model::{HIGHEST_STRENGTH, Model};
use search::{Search, TooHard};

/// Tuples that are counted at most.
const MOST_TUPLES: u64 = 400_000_000;
/// Missing combinations that are listed; all are counted.
const MOST_LISTED: usize = 1_000;
/// The rule that is in no model's text.
const ONE_NEGATIVE: &str = "a row holds at most one value that the system is to refuse";

/// A row that breaks constraints. It is counted as covering nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokenRow {
    /// Its place among the rows, from 0.
    pub row: usize,
    /// The constraints it breaks, in their authors' words.
    pub constraints: Vec<String>,
}

/// A group of parameters with a strength of its own, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupStrength {
    /// The parameters.
    pub parameters: Vec<String>,
    /// The strength of combinations among them.
    pub strength: usize,
}

/// What rows cover of a model: the claim that a certificate prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// Strength.
    pub strength: usize,
    /// Groups with another.
    pub groups: Vec<GroupStrength>,
    /// How many parameters the model has.
    pub parameters: usize,
    /// How many constraints.
    pub constraints: usize,
    /// How many rows were looked at.
    pub rows: usize,
    /// Combinations of values in all: `covered + infeasible + missing`.
    pub combinations: u64,
    /// Those that stand in a row that breaks no constraint.
    pub covered: u64,
    /// Those that no row can have.
    pub infeasible: u64,
    /// Those that some row could have, and none has.
    pub missing: u64,
    /// The minimal settings behind the infeasible ones, each with the constraints that exclude it.
    pub infeasible_settings: Vec<Infeasible>,
    /// The missing ones, the first 1,000.
    pub missing_settings: Vec<Vec<NamedSetting>>,
    /// Rows that break constraints.
    pub broken_rows: Vec<BrokenRow>,
}

impl Coverage {
    /// Is every feasible combination covered, by rows that break no constraint?
    pub fn is_complete(&self) -> bool {
        self.missing == 0 && self.broken_rows.is_empty()
    }

    /// Combinations that can be had: `covered + missing`.
    pub fn feasible(&self) -> u64 {
        self.covered + self.missing
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { strength, rows, covered, infeasible, .. } = self;
        let feasible = self.feasible();
        write!(
            f,
            "{rows} rows cover {covered} of {feasible} feasible {strength}-way combinations"
        )?;
        write!(f, "; {infeasible} more are infeasible")?;
        match self.broken_rows.len() {
            0 => Ok(()),
            1 => write!(f, "; 1 row breaks a constraint and counts for nothing"),
            n => write!(f, "; {n} rows break a constraint and count for nothing"),
        }
    }
}

/// Why coverage was not computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
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
    /// A row of another shape than the model's.
    #[error(
        "row {row} does not fit the model: it needs a value of each of the {parameters} parameters"
    )]
    Row {
        /// Its place, from 0.
        row: usize,
        /// How many parameters there are.
        parameters: usize,
    },
    /// More combinations than are counted.
    #[error("more than {most} combinations are to be counted; verify at a lower strength")]
    TooManyTuples {
        /// How many are counted.
        most: u64,
    },
    /// A combination whose feasibility was too hard to decide.
    #[error("whether any row can have {} was not decided within {steps} steps; simpler constraints are needed", settings.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Undecided {
        /// The combination.
        settings: Vec<NamedSetting>,
        /// After how many steps it was given up.
        steps: u64,
    },
}

/// Computes what these rows, as places of values, cover of the model at this strength.
///
/// # Errors
/// One variant of [`VerifyError`] a cause. Rows that break constraints are no error; they are in the
/// result.
pub fn verify(
    model: &Model,
    strength: usize,
    rows: &[Vec<usize>],
) -> Result<Coverage, VerifyError> {
    let parameters = model.parameters().len();
    if strength == 0 || strength > HIGHEST_STRENGTH.min(parameters) {
        return Err(VerifyError::Strength { strength, parameters });
    }
    for (row, values) in rows.iter().enumerate() {
        let fits = |(p, v): (_, &usize)| *v < size(model, p);
        if values.len() != parameters || !values.iter().enumerate().all(fits) {
            return Err(VerifyError::Row { row, parameters });
        }
    }
    let mut verifier = Verifier {
        model,
        search: Search::new(model),
        impossible: HashSet::new(),
        coverage: empty(model, strength, rows.len()),
        reasons: BTreeMap::new(),
        limit: 0,
    };
    let sound = verifier.sound(rows);
    sets::each(model, strength, |set| verifier.count(set, &sound))?;
    verifier.finish()
}

fn size(model: &Model, parameter: usize) -> usize {
    model.parameters().get(parameter).map_or(0, |p| p.values().len())
}

fn empty(model: &Model, strength: usize, rows: usize) -> Coverage {
    let name = |p: usize| model.parameters().get(p).map_or("?", |p| p.name()).to_owned();
    let groups = model.groups().iter().map(|group| GroupStrength {
        parameters: group.parameters().iter().map(|p| name(p.index())).collect(),
        strength: group.strength(),
    });
    Coverage {
        strength,
        groups: groups.collect(),
        parameters: model.parameters().len(),
        constraints: model.constraints().len(),
        rows,
        combinations: 0,
        covered: 0,
        infeasible: 0,
        missing: 0,
        infeasible_settings: Vec::new(),
        missing_settings: Vec::new(),
        broken_rows: Vec::new(),
    }
}

/// A parameter's place with a value's place.
type Place = (usize, usize);

struct Verifier<'a> {
    model: &'a Model,
    search: Search<'a>,
    /// Settings found impossible together, minimal, ascending.
    impossible: HashSet<Vec<Place>>,
    coverage: Coverage,
    /// The minimal settings behind infeasible tuples, with their reasons.
    reasons: BTreeMap<Vec<Place>, Vec<String>>,
    limit: u64,
}

impl Verifier<'_> {
    fn is_negative(&self, (parameter, value): Place) -> bool {
        let values = self.model.parameters().get(parameter).map(|p| p.values());
        values.and_then(|values| values.get(value)).is_some_and(|value| value.is_negative())
    }

    fn negatives(&self, settings: &[Place]) -> usize {
        settings.iter().filter(|&&setting| self.is_negative(setting)).count()
    }

    /// The rows that break nothing, each with how many negative values it has; the others are
    /// written down.
    fn sound<'r>(&mut self, rows: &'r [Vec<usize>]) -> Vec<(&'r [usize], usize)> {
        let mut sound = Vec::new();
        for (place, row) in rows.iter().enumerate() {
            let broken = |c: &&super::Constraint| !search::holds(c.expr(), row);
            let broken = self.model.constraints().iter().filter(broken);
            let mut constraints: Vec<String> = broken.map(|c| c.text().to_owned()).collect();
            let settings: Vec<Place> = row.iter().copied().enumerate().collect();
            let negatives = self.negatives(&settings);
            if negatives > 1 {
                constraints.push(ONE_NEGATIVE.to_owned());
            }
            if constraints.is_empty() {
                sound.push((row.as_slice(), negatives));
            } else {
                self.coverage.broken_rows.push(BrokenRow { row: place, constraints });
            }
        }
        sound
    }

    /// Counts the tuples of one set of parameters.
    fn count(&mut self, set: &[usize], rows: &[(&[usize], usize)]) -> Result<(), VerifyError> {
        let sizes: Vec<usize> = set.iter().map(|&p| size(self.model, p)).collect();
        let total = sizes.iter().try_fold(1u64, |all, &n| all.checked_mul(n as u64));
        self.limit = self.limit.saturating_add(total.unwrap_or(u64::MAX));
        if self.limit > MOST_TUPLES {
            return Err(VerifyError::TooManyTuples { most: MOST_TUPLES });
        }
        let total = sizes.iter().product::<usize>();
        let mut seen = vec![false; total];
        for (row, negatives) in rows {
            // A refused value masks the others: with it, only tuples that hold it are covered.
            let masked = *negatives > 0 && !set.iter().any(|&p| self.is_negative((p, row[p])));
            if !masked {
                let number = set.iter().zip(&sizes).fold(0, |n, (&p, size)| n * size + row[p]);
                seen[number] = true;
            }
        }
        let mut settings: Vec<Place> = set.iter().map(|&p| (p, 0)).collect();
        for (number, seen) in seen.into_iter().enumerate() {
            if seen {
                self.coverage.combinations += 1;
                self.coverage.covered += 1;
                continue;
            }
            let mut rest = number;
            for (setting, size) in settings.iter_mut().zip(&sizes).rev() {
                setting.1 = rest % size;
                rest /= size;
            }
            // Two refused values are never asked for.
            if self.negatives(&settings) > 1 {
                continue;
            }
            self.coverage.combinations += 1;
            if self.possible(&settings)? {
                self.coverage.missing += 1;
                if self.coverage.missing_settings.len() < MOST_LISTED {
                    let named = self.named(&settings);
                    self.coverage.missing_settings.push(named);
                }
            } else {
                self.coverage.infeasible += 1;
            }
        }
        Ok(())
    }

    fn named(&self, settings: &[Place]) -> Vec<NamedSetting> {
        settings.iter().map(|&(p, v)| NamedSetting::of(self.model, p, v)).collect()
    }

    fn undecided(&self, settings: &[Place]) -> impl FnOnce(TooHard) -> VerifyError {
        let settings = self.named(settings);
        move |TooHard(steps)| VerifyError::Undecided { settings, steps }
    }

    /// Can some row have these settings? If not, the reason is written down.
    fn possible(&mut self, settings: &[Place]) -> Result<bool, VerifyError> {
        for mask in 1u32..1 << settings.len() {
            let part = settings.iter().enumerate().filter(|(n, _)| mask >> n & 1 == 1);
            let part: Vec<Place> = part.map(|(_, setting)| *setting).collect();
            // A refused value in the tuple changes what else may stand in the row.
            let same_rules = self.negatives(&part) == self.negatives(settings);
            if same_rules && self.impossible.contains(&part) {
                return Ok(false);
            }
        }
        let refused = self.negatives(settings) > 0;
        let all = vec![true; self.model.constraints().len()];
        let ask = |this: &mut Self, settings: &[Place], active: &[bool]| {
            let answer = this.search.possible(settings, active, refused);
            answer.map_err(this.undecided(settings))
        };
        if ask(self, settings, &all)? {
            return Ok(true);
        }
        let mut minimal = settings.to_vec();
        let mut n = 0;
        while n < minimal.len() {
            let mut fewer = minimal.clone();
            fewer.remove(n);
            // The refused value stays: without it the question is another one.
            let keeps = self.negatives(&fewer) == self.negatives(settings);
            if keeps && !ask(self, &fewer, &all)? {
                minimal = fewer;
            } else {
                n += 1;
            }
        }
        let mut active = all;
        // Those over many parameters go first, for what is left is read by people.
        for constraint in self.search.broadest_first() {
            active[constraint] = false;
            if ask(self, &minimal, &active)? {
                active[constraint] = true;
            }
        }
        let texts = self.model.constraints().iter().zip(&active).filter(|(_, active)| **active);
        let texts = texts.map(|(constraint, _)| constraint.text().to_owned()).collect();
        self.reasons.insert(minimal.clone(), texts);
        self.impossible.insert(minimal);
        Ok(false)
    }

    fn finish(mut self) -> Result<Coverage, VerifyError> {
        let reasons = std::mem::take(&mut self.reasons);
        let named = |(settings, because): (Vec<Place>, _)| Infeasible {
            settings: self.named(&settings),
            because,
        };
        let list = reasons.into_iter().map(named).collect();
        self.coverage.infeasible_settings = list;
        Ok(self.coverage)
    }
}
