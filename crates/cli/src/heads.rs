//! Heads of logs that this user has seen: what comes later has to continue them.

use std::path::PathBuf;

use anyhow::{Context, Result};
use hospitium_ledger::{Checkpoint, Heads, LogFolder, VerifierKey};

/// Where they are: `$XDG_STATE_HOME/hospitium/heads`, else `~/.local/state/hospitium/heads`.
fn heads() -> Option<Heads> {
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let state = variable("XDG_STATE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".local/state")))?;
    Some(Heads::new(&state.join("hospitium/heads")))
}

/// Takes a log's verified head, if it continues what was seen of it before.
pub fn meet(folder: &LogFolder, key: &VerifierKey, checkpoint: &Checkpoint) -> Result<()> {
    let Some(heads) = heads() else { return Ok(()) };
    let met = heads.meet(folder, key, checkpoint).map(drop);
    met.with_context(|| format!("the log {} is not taken", folder.path().display()))
}

/// Holds a certificate's head against what was seen of its log.
pub fn meet_alone(key: &VerifierKey, checkpoint: &Checkpoint) -> Result<()> {
    let Some(heads) = heads() else { return Ok(()) };
    heads.meet_alone(key, checkpoint).context("the certificate's checkpoint is not taken")
}
