//! What the generator hands out: the rows, and what it knows about what cannot be covered.

use serde::{Deserialize, Serialize};

use super::model::Model;

/// One parameter with one value, by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedSetting {
    /// The parameter.
    pub parameter: String,
    /// The value.
    pub value: String,
}

impl NamedSetting {
    /// The names of these places in the model.
    pub(super) fn of(model: &Model, parameter: usize, value: usize) -> Self {
        let name = model.parameters().get(parameter).map_or("?", |p| p.name());
        Self { parameter: name.to_owned(), value: model.value_name(parameter, value).to_owned() }
    }
}

impl std::fmt::Display for NamedSetting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.parameter, self.value)
    }
}

/// Settings that no row can have together, though any fewer of them can stand in one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Infeasible {
    /// The settings. Every combination that contains them is infeasible, too.
    pub settings: Vec<NamedSetting>,
    /// The constraints that exclude them, in their authors' words: without any one of these, the
    /// others would allow it.
    pub because: Vec<String>,
}

/// A row given by the caller that could not be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RejectedRow {
    /// Its place among the rows given, from 0.
    pub row: usize,
    /// The constraints in its way, in their authors' words.
    pub because: Vec<String>,
}

/// Rows in which every feasible combination occurs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoveringArray {
    /// Strength: any so many parameters' values occur in every feasible combination.
    pub strength: usize,
    /// For each row the places of its values, one a parameter in the model's order. The rows
    /// given by the caller come first.
    pub rows: Vec<Vec<usize>>,
    /// How many of the rows, from the first, were given by the caller.
    pub given: usize,
    /// Rows given that were not taken.
    pub rejected: Vec<RejectedRow>,
    /// Combinations of values in all, infeasible ones included.
    pub tuples: u64,
    /// Those of them that no row can have.
    pub infeasible_tuples: u64,
    /// The minimal infeasible settings, each with its reason.
    pub infeasible: Vec<Infeasible>,
    /// No array for this model has fewer rows than this (a bound, not always reached).
    pub lower_bound: usize,
    /// What the caller chose the random numbers by.
    pub seed: u64,
    /// Iterations done.
    pub iterations: u64,
}

impl CoveringArray {
    /// The rows by the names of their values.
    pub fn named<'a>(&'a self, model: &'a Model) -> impl Iterator<Item = Vec<&'a str>> + 'a {
        let name = |(p, v): (usize, &usize)| model.value_name(p, *v);
        self.rows.iter().map(move |row| row.iter().enumerate().map(name).collect())
    }
}
