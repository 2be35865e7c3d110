//! Covering arrays.

mod array;
mod clause;
mod condition;
mod feasible;
mod generate;
mod greedy;
mod model;
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
    ModelError, Parameter, ParameterId, Value,
};
pub use read::*;
pub use verify::{BrokenRow, Coverage, GroupStrength, VerifyError, verify};
