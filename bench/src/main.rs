//! Benches: each runs both sides in one go and prints the ratio. Nothing here asserts a time.
//!
//! A program apart from the set-up, because it measures in its own process and so links the rooms that it
//! measures; `cargo xtask bench` builds it optimised and starts it.

mod catalog;
mod compare;
mod covering;
mod cpu;
mod lab;
mod machine;
mod machines;
mod page;
mod pages;
mod peer;
mod verify;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;

/// One number: two sides measured side by side, and the bar.
pub struct Measured {
    /// What is compared.
    pub what: String,
    /// Our side, in words with its unit.
    pub ours: String,
    /// The other side.
    pub other: String,
    /// Ours divided by the other, or the other way round where more is better.
    pub ratio: f64,
    /// What the ratio is to be: `≤ 5`.
    pub bar: &'static str,
    /// Reached?
    pub reached: bool,
    /// What bounds it.
    pub bound: String,
}

#[derive(Parser)]
#[command(name = "cargo xtask bench", about = "Measures both sides in one go and prints the ratio")]
struct Arguments {
    /// Only these: suite, clone, memory, warm, overhead, verify, autopkgtest; or catalog, covering,
    /// autopkgtest-full or virt-install, by themselves
    names: Vec<String>,
}

/// As in the command line.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(&Arguments::parse().names) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Some need no machines, and so neither kernels nor images: these are run by themselves.
fn run(names: &[String]) -> Result<()> {
    let alone = |name: &str| names.iter().any(|n| n == name);
    for (name, run) in [
        ("covering", covering::run as fn() -> Result<()>),
        ("catalog", catalog::run),
        ("virt-install", compare::run),
    ] {
        if alone(name) {
            ensure!(names.len() == 1, "the bench {name} is run by itself");
            return run();
        }
    }
    lab::run(names)
}
