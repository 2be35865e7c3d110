//! Benches (being built).

use anyhow::{Result, bail};

/// Runs the benches of these names, or all.
pub fn run(names: &[String]) -> Result<()> {
    bail!("no bench {names:?} yet")
}
