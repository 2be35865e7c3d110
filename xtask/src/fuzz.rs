//! Runs the fuzz targets (`fuzz/`), each for a bounded time.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use xtask::{cargo, root};

/// Fuzzes the named targets, or all of them, for so many seconds each.
///
/// What was found stays in `fuzz/artifacts/TARGET/`, the corpus in `fuzz/corpus/TARGET/`: both are
/// ignored by git.
///
/// # Errors
///
/// If a target is unknown, cannot be built, or found something.
pub fn run(names: &[String], seconds: u64) -> Result<()> {
    let known = targets(&root().join("fuzz/fuzz_targets"))?;
    if let Some(name) = names.iter().find(|name| !known.contains(name)) {
        bail!("there is no fuzz target {name}; there are {}", known.join(", "));
    }
    if !Command::new("cargo-fuzz").arg("--version").output().is_ok_and(|out| out.status.success()) {
        println!("installing cargo-fuzz, which builds and runs the fuzz targets");
        let installed = cargo().args(["install", "cargo-fuzz", "--locked"]).status();
        ensure!(installed.is_ok_and(|s| s.success()), "cargo-fuzz could not be installed");
    }
    let mut found = Vec::new();
    for target in known.iter().filter(|known| names.is_empty() || names.contains(known)) {
        println!("fuzzing {target} for {seconds} s");
        let ended = cargo()
            .args([
                "fuzz",
                "run",
                target.as_str(),
                "--",
                "-rss_limit_mb=2048",
                "-print_final_stats=1",
            ])
            .arg(format!("-max_total_time={seconds}"))
            // The sanitizers are flags of the compiler that its stable release takes only so.
            .env("RUSTC_BOOTSTRAP", "1")
            .status()
            .with_context(|| format!("running cargo fuzz run {target}"))?;
        if !ended.success() {
            found.push(target.as_str());
        }
    }
    ensure!(
        found.is_empty(),
        "{} found something, or could not be built; the input is in fuzz/artifacts/, and \
         `cargo fuzz run TARGET INPUT` shows it again",
        found.join(", ")
    );
    Ok(())
}

fn targets(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in folder.read_dir().with_context(|| format!("listing {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}
