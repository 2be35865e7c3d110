//! What guests on 32-bit x86 need: Rust's `core` for their probe, and a Debian kernel to try it with.
//!
//! Neither is needed to build or to test the rest. Where one cannot be had, that is said, and what would
//! have used it is left out.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

const TARGET: &str = "i686-unknown-linux-gnu";
/// How long rustup may take: it waits for ever where its server cannot be reached.
const LIMIT: &str = "180";

/// Adds the target to the toolchain, unless it is there. The guests' build script builds the probe for it then.
pub fn rust_target() {
    if has_core() {
        return;
    }
    println!("Adding Rust's {TARGET}, for the probe in guests on 32-bit x86");
    let added = Command::new("timeout").args([LIMIT, "rustup", "target", "add", TARGET]).status();
    if !added.is_ok_and(|status| status.success()) || !has_core() {
        println!(
            "rustup could not add it: hospitium is built without the probe for 32-bit x86, and refuses such guests"
        );
    }
}

fn has_core() -> bool {
    let asked = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .stderr(Stdio::null())
        .output();
    let folder = asked.ok().and_then(|out| String::from_utf8(out.stdout).ok());
    let files = folder.and_then(|folder| std::fs::read_dir(folder.trim()).ok());
    files.is_some_and(|files| {
        files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("libcore-"))
    })
}

/// The newest generic kernel of Debian for i386, without PAE; fetched, if it is not there.
pub fn kernel(cache: &Path) -> Option<PathBuf> {
    let folder = cache.join("debs");
    if let Some(kept) = kept(&folder) {
        return Some(kept);
    }
    match fetch(cache, &folder) {
        Ok(()) => kept(&folder),
        Err(error) => {
            println!("no kernel for 32-bit x86, so its tests are left out: {error:#}");
            None
        }
    }
}

fn kept(folder: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let is_kernel = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("linux-image-") && name.ends_with("_i386.deb")
    };
    files.filter(is_kernel).max()
}

/// Through package lists of our own: the machine's are for its own architecture, and stay as they are.
fn fetch(cache: &Path, folder: &Path) -> Result<()> {
    let apt = cache.join("apt-i386");
    for sub in ["state/lists/partial", "cache/archives/partial"] {
        std::fs::create_dir_all(apt.join(sub))
            .with_context(|| format!("making {}", apt.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let run = |program: &str, words: &[&str]| -> Result<String> {
        let out = Command::new(program)
            .args(["-q", "-o", "APT::Architectures::=i386", "-o", "APT::Sandbox::User=root"])
            .args(["-o", "Dir::State::status=/var/lib/dpkg/status"])
            .arg("-o")
            .arg(format!("Dir::State={}", apt.join("state").display()))
            .arg("-o")
            .arg(format!("Dir::Cache={}", apt.join("cache").display()))
            .args(words)
            .current_dir(folder)
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("running {program}"))?;
        ensure!(out.status.success(), "{program} {}: {}", words.join(" "), out.status);
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    };
    // One list that cannot be had does not matter if another has a kernel.
    let _ = run("apt-get", &["update"]);
    let shown = run("apt-cache", &["show", "linux-image-686:i386"])?;
    let depends = shown.lines().find_map(|line| line.strip_prefix("Depends: "));
    let name = depends.and_then(|text| text.split([' ', ',']).next());
    let name = name.context("apt knows no linux-image-686")?;
    println!("Fetching the kernel package {name} for i386");
    run("apt-get", &["download", &format!("{name}:i386")]).map(drop)
}
