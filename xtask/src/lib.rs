//! What set-up, tests and benches share: where things are, how commands are run and shown, the Debian
//! packages, kernels and images that are needed.
//!
//! It links nothing of the workspace, so that `cargo xtask` answers within seconds of its first call.

pub mod i386;
pub mod image;
pub mod setup;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The workspace's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// A cargo command in the workspace, as a person would type it: without what cargo tells a program that it runs of
/// that program's own package. Build scripts look at that (ring's does), and would be run again each time that
/// cargo is called in the other way, and all that depends on them built anew.
pub fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let of_package = ["CARGO_PKG_", "CARGO_MANIFEST_"];
        if name.to_str().is_some_and(|name| of_package.iter().any(|of| name.starts_with(of))) {
            command.env_remove(&name);
        }
    }
    command.current_dir(root());
    command
}

/// Runs a command whose output the person sees.
pub fn show(command: &mut Command) -> Result<()> {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|w| w.to_string_lossy())
        .collect();
    let text = words.join(" ");
    println!("$ {text}");
    let status = command.status().with_context(|| format!("running {text}"))?;
    ensure!(status.success(), "{text}: {status}");
    Ok(())
}

/// Builds the command line, optimised, and returns its path.
pub fn build() -> Result<PathBuf> {
    show(cargo().args(["build", "--release", "--package", "hospitium"]))?;
    Ok(target().join("release/hospitium"))
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
