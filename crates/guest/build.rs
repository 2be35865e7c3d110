//! Builds the probe, which goes into guests and therefore into this crate.
//!
//! A nested build, because the probe is another kind of program than what holds it: small, static,
//! without a standard library. It has a target folder of its own, so it never waits for the build that
//! runs it, and nothing of that build's settings (clippy, coverage, sanitizers) reaches it.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the probe is built for, whatever builds it.
const TARGET: &str = "x86_64-unknown-linux-gnu";

fn main() {
    let out = PathBuf::from(variable("OUT_DIR")).join("hospitium-probe");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=HOSPITIUM_PROBE");
    let built = match env::var_os("HOSPITIUM_PROBE") {
        Some(path) => {
            let given = PathBuf::from(path);
            println!("cargo::rerun-if-changed={}", given.display());
            given
        }
        // What this script builds itself is newer than the script's start, by which Cargo judges; to
        // name it would make every build start anew. Its sources are named instead.
        None => build(),
    };
    if let Err(error) = std::fs::copy(&built, &out) {
        panic!("copying the probe from {}: {error}", built.display());
    }
}

fn build() -> PathBuf {
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let Some(root) = here.ancestors().nth(2) else {
        panic!("{} is not two folders below the workspace", here.display());
    };
    for source in ["crates/probe", "crates/wire", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    let target_folder = PathBuf::from(variable("OUT_DIR")).join("probe");
    let mut cargo = Command::new(variable("CARGO"));
    for (name, _) in env::vars_os() {
        if !passes(&name) {
            cargo.env_remove(name);
        }
    }
    // The digest of the probe must not depend on where it was built.
    let cargo_home = cargo_home();
    let remaps: [(&Path, &str); 3] =
        [(root, "/hospitium"), (&cargo_home, "/cargo"), (&target_folder, "/target")];
    let flags = remaps.map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
    cargo
        .current_dir(root)
        .args(["build", "--package=hospitium-probe", "--profile=probe", "--target", TARGET])
        .arg("--target-dir")
        .arg(&target_folder)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    if root.join("Cargo.lock").is_file() {
        cargo.arg("--locked");
    }
    match cargo.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!(
            "building the probe failed ({}); try `cargo build -p hospitium-probe --profile probe`\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => panic!("cargo could not be run to build the probe: {error}"),
    }
    target_folder.join(TARGET).join("probe").join("hospitium-probe")
}

/// What the outer build sets for itself stays out; where Cargo finds its registry, its network
/// settings and its job slots pass.
fn passes(name: &OsString) -> bool {
    let Some(name) = name.to_str() else {
        return true;
    };
    let kept = [
        "CARGO_HOME",
        "CARGO_MAKEFLAGS",
        "CARGO_NET_",
        "CARGO_HTTP_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
    ];
    let dropped = [
        "CARGO",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_LINKER",
        "RUSTFLAGS",
        "RUSTDOC",
        "CLIPPY_",
        "LLVM_PROFILE_FILE",
        "__CARGO",
        "DEBUG",
        "OPT_LEVEL",
        "PROFILE",
        "TARGET",
        "HOST",
        "OUT_DIR",
        "NUM_JOBS",
    ];
    kept.iter().any(|k| name.starts_with(k)) || !dropped.iter().any(|d| name.starts_with(d))
}

fn cargo_home() -> PathBuf {
    let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(home)
        .unwrap_or_else(|| "/nonexistent".into())
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("Cargo sets {name} for a build script"))
}
