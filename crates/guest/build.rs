//! Builds the probe, which goes into guests and therefore into this crate.
//!
//! A nested build, because the probe is another kind of program than what holds it: small, static,
//! without a standard library. It has a target folder of its own, so it never waits for the build that
//! runs it, and nothing of that build's settings (clippy, coverage, sanitizers) reaches it.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the probe is built for, whatever builds it: the target, the file's name in `OUT_DIR`, and the variable
/// that names a ready one. Guests on x86-64 are what most are; the others are built where the toolchain has
/// their `core`.
const PROBES: [(&str, &str, &str); 2] = [
    ("x86_64-unknown-linux-gnu", "hospitium-probe", "HOSPITIUM_PROBE"),
    ("i686-unknown-linux-gnu", "hospitium-probe-x86", "HOSPITIUM_PROBE_X86"),
];

fn main() {
    let out = PathBuf::from(variable("OUT_DIR"));
    println!("cargo::rerun-if-changed=build.rs");
    let mut to_build = Vec::new();
    for (number, (target, file, given)) in PROBES.into_iter().enumerate() {
        println!("cargo::rerun-if-env-changed={given}");
        if let Some(path) = env::var_os(given) {
            println!("cargo::rerun-if-changed={}", Path::new(&path).display());
            keep(Path::new(&path), &out.join(file));
        } else if number == 0 || has_core(target) {
            to_build.push((target, file));
        } else {
            // An empty file says that it is not there.
            if let Err(error) = std::fs::write(out.join(file), "") {
                panic!("writing {file}: {error}");
            }
        }
    }
    // What this script builds itself is newer than the script's start, by which Cargo judges; to
    // name it would make every build start anew. Its sources are named instead.
    if !to_build.is_empty() {
        let built = build(&to_build.iter().map(|(target, _)| *target).collect::<Vec<_>>());
        for (target, file) in to_build {
            keep(&built.join(target).join("probe").join("hospitium-probe"), &out.join(file));
        }
    }
}

fn keep(built: &Path, kept: &Path) {
    if let Err(error) = std::fs::copy(built, kept) {
        panic!("copying the probe from {}: {error}", built.display());
    }
}

/// Whether the toolchain can build for a target. Asked again when a target is added or removed.
fn has_core(target: &str) -> bool {
    let asked = |what: &[&str]| {
        let output = Command::new(variable("RUSTC")).args(what).output().ok()?;
        let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
        Some(PathBuf::from(text.trim()))
    };
    if let Some(root) = asked(&["--print", "sysroot"]) {
        let list = root.join("lib/rustlib/components");
        if list.is_file() {
            println!("cargo::rerun-if-changed={}", list.display());
        }
    }
    let folder = asked(&["--print", "target-libdir", "--target", target]);
    let files = folder.and_then(|folder| std::fs::read_dir(folder).ok());
    let is_core = |name: OsString| name.to_string_lossy().starts_with("libcore-");
    files.is_some_and(|mut files| files.any(|f| f.is_ok_and(|f| is_core(f.file_name()))))
}

/// Builds the probe for these targets, and returns the folder that has a folder for each.
fn build(targets: &[&str]) -> PathBuf {
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
        .args(["build", "--package=hospitium-probe", "--profile=probe"])
        .args(targets.iter().flat_map(|target| ["--target", target]))
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
    target_folder
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
