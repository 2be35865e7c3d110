//! Executes cells: boots once, saves, clones for every check, collects the evidence.
//!
//! In comes a [`RunPlan`]: guests, hosts, checks, limits. [`run`] makes the cells; for each it
//! looks the booted machine up in the [snapshot cache](cache) or boots it, runs the checks in
//! clones of that moment, those that only read together and every other in a clone of its own,
//! in parallel within a budget of CPU and memory, the longest first. Out come an
//! evidence bundle, written as things happen, and a [`RunSummary`]. [`Observer`] is told on the
//! way. [`replay`] puts a person into the state that a check started from.
//!
//! Faults of the world: a run can be [stopped](Stop) at any time and then ends its machines and
//! marks what did not run as `miss`; what a killed run left behind is put in order by the next.

mod attempt;
mod bisect;
mod budget;
pub mod cache;
mod cell;
mod clock;
mod durations;
mod error;
mod event;
mod lab;
pub mod made;
mod pins;
mod places;
mod plan;
mod pressure;
mod progress;
mod repeat;
pub mod replay;
mod run;
mod select;
mod shared;
mod stop;
mod typical;
mod usage;
mod work;

pub use bisect::{Judgement, judge};
pub use budget::Wanted;
pub use error::RunError;
pub use event::{Nobody, Observer, RunEvent, Slow};
pub use places::Places;
pub use plan::{PlannedGuest, PlannedHost, RunPlan};
pub use repeat::{Order, Repeat};
pub use run::{CellSummary, Outcome, RunSummary, run};
pub use select::{Selection, find, required};
pub use stop::Stop;
pub use work::recover;
