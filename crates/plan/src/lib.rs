//! The room between an agreement and a run: what is due, which cells to run, and how few of them.
//!
//! [`obligation`]: in come an agreement, products and what the logs hold; out goes what each party
//! owes on a day, how it stands, and why.
//!
//! [`cells`]: in come the machine configurations that an agreement promises, and what guest and host
//! cannot do; out go the rows to run, in a file.
//!
//! [`covering`]: in comes a [`covering::Model`]: the parameters of a machine with their values, and the
//! constraints that say which values cannot go together. Out goes a
//! [`covering::CoveringArray`]: the fewest rows found in which every combination of values of the
//! promised strength occurs, and a [`covering::Coverage`] that an independent verifier computed
//! from those rows.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod cells;
pub mod covering;
pub mod obligation;
