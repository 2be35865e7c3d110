//! Covering arrays: few rows in which every combination of values of any `t` parameters occurs.
//!
//! In comes a [`Model`], built in code by [`Model::builder`] or read from PICT's, ACTS' or the
//! benchmarks' text form. A [`Generator`] makes a [`CoveringArray`] of it: rows that all satisfy
//! the constraints and cover every combination that any row can have, the rows given by the caller
//! first. [`verify`] then computes from the rows alone what they cover; its [`Coverage`] is the
//! claim that a certificate prints.
//!
//! The generator's parts, in the order in which they work: `clause` makes clauses of constraints,
//! `solver` and `feasible` decide exactly what can stand together and why not, `tuples` numbers
//! what is to be covered, `greedy` makes rows, `table` keeps count of what they cover, `reduce`
//! makes them fewer, `finish` orders them. The verifier uses none of these.

mod array;
mod clause;
mod condition;
mod feasible;
mod finish;
mod generate;
mod greedy;
mod model;
mod model_error;
mod phase;
mod random;
mod read;
mod reduce;
mod solver;
mod space;
mod table;
mod tuples;
mod verify;

#[cfg(test)]
mod tests;

pub use array::{CoveringArray, Infeasible, NamedSetting, RejectedRow};
pub use condition::{Condition, Expr, Relation};
pub use generate::{CoverError, DEFAULT_ITERATIONS, Generator, GivenRow, MOST_TUPLES};
pub use model::{
    Constraint, Group, HIGHEST_STRENGTH, MOST_PARAMETERS, MOST_VALUES, Model, ModelBuilder,
    Parameter, ParameterId, Value,
};
pub use model_error::ModelError;
pub use read::*;
pub use verify::{BrokenRow, Coverage, GroupStrength, VerifyError, verify};
