//! Shell completions and man pages, from the arguments themselves.

use std::path::Path;

use anyhow::{Context, Result};
use clap_complete::Shell;

use crate::args::command;

/// Completions for a shell, to standard output.
pub fn completions(shell: Shell) {
    clap_complete::generate(shell, &mut command(None), "hospitium", &mut std::io::stdout());
}

/// Man pages for the program and each of its commands, into a folder.
pub fn man(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    clap_mangen::generate_to(command(None), folder)
        .with_context(|| format!("cannot write man pages into {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_hold_together_and_have_man_pages() {
        command(None).debug_assert();
        let folder = tempfile::tempdir().expect("a folder");
        man(folder.path()).expect("written");
        let page = std::fs::read_to_string(folder.path().join("hospitium-run.1")).expect("there");
        assert!(page.contains("Exit codes"), "the exit codes are documented");
    }
}
