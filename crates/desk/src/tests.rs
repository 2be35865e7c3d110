//! What is promised of a case.

mod invariants;
mod refusals;
