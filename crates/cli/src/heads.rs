//! Heads of logs that this user has seen: what comes later has to continue them.

use std::path::PathBuf;

use anyhow::{Context, Result};
use hospitium_ledger::{Checkpoint, Heads, HeadsError, LogFolder, VerifierKey};

use crate::failure::Usage;

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
    let what = || format!("the log {} is not taken", folder.path().display());
    met.map_err(|error| match next(&error) {
        Some(next) => Usage::because(error, what(), next),
        None => anyhow::Error::new(error).context(what()),
    })
}

/// What to do where the memory of heads fails, and not the log.
fn next(error: &HeadsError) -> Option<String> {
    match error {
        HeadsError::File(_) => Some(
            "heads of logs are remembered under $XDG_STATE_HOME/hospitium/heads (else ~/.local/state): name a folder that \
             can be written and that stays, XDG_STATE_HOME=DIR"
                .to_owned(),
        ),
        HeadsError::Memory { path, .. } => Some(format!(
            "what was remembered of this log is damaged, so that an older log would not be noticed: compare the log's head \
             with its party, then move {} away; the next command remembers anew",
            path.display()
        )),
        _ => None,
    }
}

/// Holds a certificate's head against what was seen of its log.
pub fn meet_alone(key: &VerifierKey, checkpoint: &Checkpoint) -> Result<()> {
    let Some(heads) = heads() else { return Ok(()) };
    heads.meet_alone(key, checkpoint).context("the certificate's checkpoint is not taken")
}
