//! Everything around the code that a person or a CI machine types: set-up, demo, tests, benches.
//!
//! `cargo xtask` with no arguments lists what there is. Each command installs what it needs, saying
//! which Debian packages and why, so that a machine with only Rust and Debian 12 is enough.

mod browser;
mod deal;
mod demo;
mod fuzz;
mod mutants;
mod npm;
mod oracles;
mod postgres;
mod test;
mod two_parties;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use xtask::image::Variant;
use xtask::{cargo, setup, show};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Set-up, demo, tests and benches of Hospitium")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is needed, fetch two Debian kernels, build the Debian disk images
    Setup,
    /// Set up, then validate two Debian kernels and one Debian system on the installed QEMU
    Demo {
        /// Where its runs go [default: runs/demo, runs/two-parties]
        #[arg(long)]
        out: Option<PathBuf>,
        /// Play the arrangement between two servers instead: validate, cosign, repeat, endorse, support
        #[arg(long)]
        two_parties: bool,
        /// With --two-parties: leave the servers running, to be walked through
        #[arg(long, requires = "two_parties")]
        stay: bool,
    },
    /// Build one Debian disk image; that of the demo is a part of it
    #[command(hide = true)]
    Image {
        /// debian-12, debian-12-login or debian-12-sysvinit
        #[arg(default_value = "debian-12")]
        name: String,
    },
    /// Set up, then run every test
    Test(test::Options),
    /// Formatting, lints, documentation
    Check,
    /// Alter what checks are told, one value at a time, without a machine: which alterations no check notices
    Mutants(mutants::Mutants),
    /// Record, on a real machine, what every check asks and is told; the suite's fast tests play it
    Transcripts(mutants::Transcripts),
    /// Measure; prints ratios of things measured side by side, and writes them into docs/
    Bench {
        /// Only these: suite, clone, memory, warm, overhead, verify, autopkgtest; or by itself one of catalog, covering,
        /// autopkgtest-full, virt-install, ask, take-in, witness, case-page, exchange, requests, attachment; or service,
        /// which is the last seven
        names: Vec<String>,
    },
    /// Run the fuzz targets, each for a while
    Fuzz {
        /// Only these; all if none is named
        targets: Vec<String>,
        /// How long each runs, in seconds
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Setup => setup::everything().map(|_| ()),
        Task::Image { name } => image(&name),
        Task::Demo { out, two_parties: true, stay } => {
            two_parties::play(&out.unwrap_or_else(|| "runs/two-parties".into()), stay)
        }
        Task::Demo { out, .. } => demo::demo(&out.unwrap_or_else(|| "runs/demo".into())),
        Task::Test(options) => test::run(&options),
        Task::Check => check(),
        Task::Mutants(options) => mutants::score(&options),
        Task::Transcripts(options) => mutants::record(&options),
        Task::Bench { names } => bench(&names),
        Task::Fuzz { targets, seconds } => fuzz::run(&targets, seconds),
    }
}

/// The benches are a program of their own, and optimised: what they measure is linked into them.
fn bench(names: &[String]) -> Result<()> {
    let build = ["run", "--release", "--package", "hospitium-bench", "--"];
    show(cargo().args(build).args(names))
}

fn image(name: &str) -> Result<()> {
    let all = [Variant::CloudInit, Variant::Login, Variant::SysV];
    let variant = all.into_iter().find(|variant| variant.name() == name);
    let variant = variant.with_context(|| format!("there is no image {name}"))?;
    setup::image(variant).map(|_| ())
}

fn check() -> Result<()> {
    show(cargo().args(["fmt", "--all", "--check"]))?;
    setup::packages_of_workspace()?;
    let all = ["clippy", "--workspace", "--all-targets", "--features", test::FEATURES];
    show(cargo().args(all).args(["--", "-D", "warnings"]))?;
    // What the demo begins with.
    let alone = ["clippy", "--package", "hospitium", "--no-default-features", "--bins"];
    show(cargo().args(alone).args(["--", "-D", "warnings"]))?;
    show(
        cargo()
            .args(["doc", "--workspace", "--no-deps", "--quiet"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}
