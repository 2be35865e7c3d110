//! Benches: each runs both sides in one go and prints the ratio. Nothing here asserts a time.
//!
//! A program apart from the set-up, because it measures in its own process and so links the rooms that it
//! measures; `cargo xtask bench` builds it optimised and starts it.

mod ask;
mod attachment;
mod catalog;
mod compare;
mod covering;
mod cpu;
mod desks;
mod http;
mod lab;
mod machine;
mod machines;
mod memory;
mod million;
mod page;
mod pages;
mod peer;
mod requests;
mod run;
mod served;
mod synthetic;
mod take_in;
mod times;
mod verify;
mod witness;

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
    /// Only these: suite, clone, memory, warm, overhead, verify, autopkgtest; or by itself one of catalog, covering,
    /// autopkgtest-full, virt-install, ask, take-in, witness, case-page, exchange, requests, attachment; or service, which
    /// is the last seven
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

/// A bench that is run by its name.
type Bench = (&'static str, fn() -> Result<()>);

/// What serving a catalog and a desk costs.
const SERVICE: [Bench; 7] = [
    ("ask", ask::run),
    ("take-in", take_in::run),
    ("witness", witness::run),
    ("case-page", desks::case_page),
    ("exchange", desks::exchange),
    ("requests", requests::run),
    ("attachment", attachment::run),
];

/// Some need no machines, and so neither kernels nor images: these are run by themselves.
fn run(names: &[String]) -> Result<()> {
    let alone: [Bench; 4] = [
        ("covering", covering::run),
        ("catalog", catalog::run),
        ("virt-install", compare::run),
        ("service", service),
    ];
    for (name, run) in alone.into_iter().chain(SERVICE) {
        if names.iter().any(|n| n == name) {
            ensure!(names.len() == 1, "the bench {name} is run by itself");
            return run();
        }
    }
    lab::run(names)
}

/// All of [`SERVICE`]; one that breaks off does not keep the others.
fn service() -> Result<()> {
    let mut failed = Vec::new();
    for (name, run) in SERVICE {
        println!("\nMeasuring {name}");
        if let Err(error) = run() {
            eprintln!("bench {name} came to no end: {error:#}");
            failed.push(name);
        }
    }
    ensure!(failed.is_empty(), "these came to no end: {}", failed.join(", "));
    Ok(())
}
