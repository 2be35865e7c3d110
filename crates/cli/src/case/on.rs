//! On which desk and case a verb of `hospitium case` acts.

use clap::Args;

use super::place::DeskArguments;

/// The desk, and how to print.
#[derive(Debug, Clone, Args)]
pub struct On {
    #[command(flatten)]
    pub desk: DeskArguments,
    /// One JSON object (docs/desk.md has its fields)
    #[arg(long)]
    pub json: bool,
}

/// A verb with its case and desk.
#[derive(Debug, Args)]
pub struct OnCase<T: Args> {
    /// The case: its id, or the beginning of it
    pub case: String,
    #[command(flatten)]
    pub what: T,
    #[command(flatten)]
    pub on: On,
}
