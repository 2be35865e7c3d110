//! The browser in which the pages are tested, and what it is driven and judged with.

use std::path::PathBuf;

use anyhow::Result;

use xtask::setup;

use crate::npm;

/// Debian packages, and what each is for.
const PACKAGES: &[(&str, &str)] = &[("chromium", "shows the pages to their tests")];

/// The folder of packages from npm, what drives the browser and the rules of accessibility, fetched if they
/// are not there; the browser is installed if it is not.
pub fn modules() -> Result<PathBuf> {
    setup::install(PACKAGES.iter())?;
    npm::packages("browser")
}
