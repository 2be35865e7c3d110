//! The tools that are not ours and verify what we write. Of the ledger: openssl, Go's sumdb, securesystemslib,
//! Sigstore's own library. Of the site: xmllint.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use xtask::setup;

use crate::npm;

/// Debian packages, and what each is for.
const PACKAGES: &[(&str, &str)] = &[
    ("openssl", "verifies records' signatures beside us"),
    ("golang-go", "runs Go's transparency log beside ours"),
    ("golang-golang-x-mod-dev", "Go's signed notes and tiles (x/mod/sumdb)"),
    ("python3-venv", "a place for securesystemslib apart from the system"),
];

/// What verifies the site's feeds.
const OF_FEEDS: &[(&str, &str)] =
    &[("libxml2-utils", "xmllint holds the feeds against Atom's own schema")];

/// Installs what verifies the site's feeds.
pub fn of_feeds() -> Result<()> {
    setup::install(OF_FEEDS.iter())
}

/// The folder with Sigstore's library from npm: its verifier, and the form of its bundles.
pub fn sigstore() -> Result<PathBuf> {
    npm::packages("sigstore")
}

/// Installs them; gives the Python that has securesystemslib.
pub fn python() -> Result<PathBuf> {
    setup::install(PACKAGES.iter())?;
    let venv = setup::cache()?.join("oracles");
    let python = venv.join("bin/python");
    let has = |python: &PathBuf| {
        let import = ["-c", "import securesystemslib, cryptography"];
        Command::new(python).args(import).output().is_ok_and(|out| out.status.success())
    };
    if !has(&python) {
        println!("installing securesystemslib, which verifies DSSE envelopes beside us");
        // Debian's own Python: another one may lack the module that makes such a place.
        let made = Command::new("/usr/bin/python3").args(["-m", "venv"]).arg(&venv).status();
        ensure!(made.context("running python3")?.success(), "no venv could be made");
        let installed = Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["securesystemslib", "cryptography"])
            .status();
        ensure!(
            installed.context("running pip")?.success(),
            "pip could not install securesystemslib"
        );
    }
    Ok(python)
}
