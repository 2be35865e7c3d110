//! Packages from npm that tests use, each by its version, in the cache's folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use xtask::setup;

/// Debian packages, and what each is for.
const PACKAGES: &[(&str, &str)] =
    &[("nodejs", "runs tools of others beside us"), ("npm", "fetches them")];

/// The `node_modules` of a folder in the cache that holds these packages (`name@version`), fetched if
/// they are not there. What packages want to run while they are installed is not run.
pub fn packages(name: &str, wanted: &[&str]) -> Result<PathBuf> {
    // Node may be here without being Debian's.
    if !runs("node") || !runs("npm") {
        setup::install(PACKAGES.iter())?;
    }
    let folder = setup::cache()?.join(name);
    let modules = folder.join("node_modules");
    if !wanted.iter().all(|package| is_there(&modules, package)) {
        println!("fetching {} from npm", wanted.join(", "));
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let installed = Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--ignore-scripts"])
            .arg("--prefix")
            .arg(&folder)
            .args(wanted)
            .status();
        ensure!(installed.context("running npm")?.success(), "npm could not fetch them");
    }
    Ok(modules)
}

fn runs(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success())
}

fn is_there(modules: &Path, package: &str) -> bool {
    let Some((name, version)) = package.rsplit_once('@') else { return false };
    let Ok(text) = std::fs::read(modules.join(name).join("package.json")) else { return false };
    serde_json::from_slice::<serde_json::Value>(&text)
        .is_ok_and(|about| about["version"] == version)
}
