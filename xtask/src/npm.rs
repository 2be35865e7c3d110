//! Packages from npm that tests use, in the cache's folder: each with all that it needs by version and
//! digest, as the lock files in xtask/npm say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use xtask::{root, setup};

/// Debian packages, and what each is for.
const PACKAGES: &[(&str, &str)] =
    &[("nodejs", "runs tools of others beside us"), ("npm", "fetches them")];
/// What a set of packages is described by: what is wanted, and what that comes to.
const FILES: [&str; 2] = ["package.json", "package-lock.json"];

/// The `node_modules` of a set of packages, fetched if they are not there as the lock file says. npm
/// refuses what has another digest. What packages want to run while they are installed is not run.
pub fn packages(name: &str) -> Result<PathBuf> {
    // Node may be here without being Debian's.
    if !runs("node") || !runs("npm") {
        setup::install(PACKAGES.iter())?;
    }
    let (wanted, folder) = (root().join("xtask/npm").join(name), setup::cache()?.join(name));
    let modules = folder.join("node_modules");
    if !is_there(&wanted, &folder)? {
        println!("fetching the packages of {} from npm", wanted.join("package.json").display());
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        for file in FILES {
            let (from, to) = (wanted.join(file), folder.join(file));
            fs::copy(&from, &to).with_context(|| format!("copying {}", from.display()))?;
        }
        let installed = Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--loglevel=error", "--ignore-scripts"])
            .current_dir(&folder)
            .status();
        ensure!(
            installed.context("running npm")?.success(),
            "npm could not fetch them as {} says",
            wanted.join("package-lock.json").display()
        );
    }
    Ok(modules)
}

fn runs(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success())
}

/// Whether what is in a folder was fetched to its end, by these very files.
fn is_there(wanted: &Path, folder: &Path) -> Result<bool> {
    // npm writes this last.
    let mut all = folder.join("node_modules/.package-lock.json").exists();
    for file in FILES {
        let path = wanted.join(file);
        let ours = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        all &= fs::read(folder.join(file)).is_ok_and(|there| there == ours);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_is_pinned_by_its_digest_and_no_address_is_named() {
        let read = |path: PathBuf| -> serde_json::Value {
            serde_json::from_slice(&fs::read(path).expect("reads")).expect("is JSON")
        };
        let mut sets = 0;
        for set in fs::read_dir(root().join("xtask/npm")).expect("reads") {
            let folder = set.expect("reads").path();
            let wanted = read(folder.join("package.json"));
            let lock = read(folder.join("package-lock.json"));
            let packages = lock["packages"].as_object().expect("lists packages");
            assert_eq!(packages[""]["dependencies"], wanted["dependencies"]);
            for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
                let digest = package["integrity"].as_str().expect("has a digest");
                assert!(digest.starts_with("sha512-") && digest.len() == 95, "{name}: {digest}");
                assert!(package.get("resolved").is_none(), "{name} names an address");
            }
            for (name, version) in wanted["dependencies"].as_object().expect("wants packages") {
                assert_eq!(packages[&format!("node_modules/{name}")]["version"], *version);
            }
            sets += 1;
        }
        assert!(sets > 0);
    }

    #[test]
    fn what_was_fetched_by_another_lock_file_or_not_to_its_end_is_not_there() {
        let folder = std::env::temp_dir().join(format!("hospitium-npm-{}", std::process::id()));
        let wanted = root().join("xtask/npm/sigstore");
        fs::create_dir_all(folder.join("node_modules")).expect("made");
        for file in FILES {
            fs::copy(wanted.join(file), folder.join(file)).expect("copied");
        }
        assert!(!is_there(&wanted, &folder).expect("reads"));
        fs::write(folder.join("node_modules/.package-lock.json"), "{}").expect("written");
        assert!(is_there(&wanted, &folder).expect("reads"));
        fs::write(folder.join("package-lock.json"), "{}").expect("written");
        assert!(!is_there(&wanted, &folder).expect("reads"));
        fs::remove_dir_all(&folder).expect("removed");
    }
}
