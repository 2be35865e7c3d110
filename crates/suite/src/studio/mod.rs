//! Checks without machines: played from what was [recorded](crate::tape) once a guest and host, as it was or with one value
//! altered at a time.
//!
//! Layers, from the ground up: `file` · `guest` · `replay` (a check, recorded and played) · `alter` (what is altered) ·
//! `mutants` (which alterations a check does not notice).

mod alter;
mod file;
mod guest;
pub mod mutants;
mod replay;

pub use self::file::TranscriptError;
pub use self::replay::{Accident, Recorded, Replayed, Studio, record};
