//! Where things are when nothing is said.

use std::path::{Path, PathBuf};

use anyhow::Result;
use hospitium_run::Places;

use crate::failure::Usage;

/// The cache's folder: as given, else `$XDG_CACHE_HOME/hospitium`, else `~/.cache/hospitium`.
pub fn cache(given: Option<PathBuf>) -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    given
        .filter(|path| !path.as_os_str().is_empty())
        .or_else(|| variable("XDG_CACHE_HOME").map(|folder| folder.join("hospitium")))
        .or_else(|| variable("HOME").map(|folder| folder.join(".cache/hospitium")))
        .ok_or_else(|| {
            Usage::error(
                "there is no place for booted machines: neither HOSPITIUM_CACHE nor HOME is set",
                "set HOSPITIUM_CACHE to a folder for large files",
            )
        })
}

/// Where newer data about products is kept: `$XDG_DATA_HOME/hospitium/products`, else
/// `~/.local/share/hospitium/products`; none if neither is set.
#[cfg(feature = "deal")]
pub fn product_store() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let data = variable("XDG_DATA_HOME");
    let data = data.or_else(|| variable("HOME").map(|home| home.join(".local/share")))?;
    Some(data.join("hospitium/products"))
}

/// The same, made ready.
pub fn open_cache(given: Option<PathBuf>) -> Result<(PathBuf, Places)> {
    let cache = cache(given)?;
    let places = Places::make(&cache)?;
    Ok((cache, places))
}

/// A folder for a new run: `runs/<time>`, with a number behind if there is one of that second.
pub fn new_run_folder() -> PathBuf {
    let base = format!("{}", jiff::Zoned::now().strftime("%Y%m%d-%H%M%S"));
    (1..)
        .map(|n| Path::new("runs").join(if n == 1 { base.clone() } else { format!("{base}-{n}") }))
        .find(|path| !path.exists())
        .unwrap_or_else(|| Path::new("runs").join(base))
}

/// Points `latest`, beside the run's folder, at it. A convenience: that it fails is no error.
pub fn point_latest(run: &Path) {
    let (Some(folder), Some(name)) = (run.parent(), run.file_name()) else {
        return;
    };
    let latest = folder.join("latest");
    let is_ours = match std::fs::symlink_metadata(&latest) {
        Ok(meta) => meta.is_symlink(),
        Err(_) => true,
    };
    if is_ours {
        let partial = folder.join(format!(".latest-{}", std::process::id()));
        let made = std::os::unix::fs::symlink(name, &partial);
        if made.and_then(|()| std::fs::rename(&partial, &latest)).is_err() {
            let _ = std::fs::remove_file(&partial);
        }
    }
}

/// The evidence of what a person names: a run's folder, its evidence folder, or a packed bundle.
pub fn evidence(run: &Path) -> Result<PathBuf> {
    let inner = run.join("evidence");
    if inner.is_dir() {
        return Ok(inner);
    }
    if run.is_file() || run.join("run.json").exists() {
        return Ok(run.to_owned());
    }
    let what = if run.exists() { "holds no run" } else { "is not there" };
    Err(Usage::error(
        format!("{} {what}", run.display()),
        "name a run's folder, such as runs/latest, or a packed bundle (.tar.zst)",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latest_is_replaced_only_if_it_is_a_link() {
        let top = tempfile::tempdir().expect("a folder");
        let run = |name: &str| {
            let path = top.path().join(name);
            std::fs::create_dir(&path).expect("made");
            path
        };
        point_latest(&run("a"));
        point_latest(&run("b"));
        let latest = top.path().join("latest");
        assert_eq!(std::fs::read_link(&latest).expect("a link"), Path::new("b"));
        std::fs::remove_file(&latest).expect("removed");
        std::fs::write(&latest, "mine").expect("written");
        point_latest(&top.path().join("a"));
        assert_eq!(std::fs::read(&latest).expect("there"), b"mine");
    }

    #[test]
    fn what_is_no_run_is_told_with_the_next_step() {
        let top = tempfile::tempdir().expect("a folder");
        assert!(evidence(top.path()).expect_err("empty").to_string().contains("holds no run"));
        let gone = top.path().join("gone");
        assert!(evidence(&gone).expect_err("absent").to_string().contains("is not there"));
    }
}
