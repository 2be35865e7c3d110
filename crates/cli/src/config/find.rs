//! Where the configuration is looked for.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{Config, NAME, read};
use crate::failure::Usage;

/// The most bytes of a configuration.
const LIMIT: u64 = 1 << 20;

/// The configuration that holds: of the working folder or the nearest folder above that has one, else the user's.
pub fn find() -> Result<Config> {
    let above = std::env::current_dir().unwrap_or_default();
    let above = above.ancestors().map(|folder| folder.join(NAME)).find(|file| file.exists());
    match above.or_else(of_user) {
        Some(file) => open(&file),
        None => Ok(Config::default()),
    }
}

/// `$XDG_CONFIG_HOME/hospitium/hospitium.toml`, else `~/.config/hospitium/hospitium.toml`, if it is there.
fn of_user() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let folder = variable("XDG_CONFIG_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".config")))?;
    Some(folder.join("hospitium").join(NAME)).filter(|file| file.exists())
}

/// Reads a configuration's file.
pub fn open(path: &Path) -> Result<Config> {
    let doing = || format!("the configuration {} cannot be read", path.display());
    let file = std::fs::File::open(path).with_context(doing)?;
    let owner = file.metadata().with_context(doing)?.uid();
    // It says whom to trust, and is found without being named: somebody else's file must not say so.
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(Usage::error(
            format!("the configuration {} belongs to another user", path.display()),
            "look through it, then make it yours (chown), or work in another folder",
        ));
    }
    let mut text = String::new();
    let size = file.take(LIMIT + 1).read_to_string(&mut text).with_context(doing)?;
    if size as u64 > LIMIT {
        return Err(Usage::error(
            format!("{} has more than {LIMIT} bytes, too many for a configuration", path.display()),
            "docs/command-line.md shows what it can say",
        ));
    }
    read::read(path, &text)
}
