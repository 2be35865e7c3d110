//! Transcripts of the checks, and what checks do not notice in them.

use std::path::PathBuf;

use anyhow::{Result, bail};
use xtask::{cargo, setup, show};

/// Where the suite keeps what its tests play.
const FILE: &str = "crates/suite/transcripts/linux-qemu.json.xz";

/// What a person can ask for.
#[derive(clap::Args)]
pub struct Mutants {
    /// Only checks whose id begins so
    #[arg(long, value_name = "PREFIX")]
    check: Option<String>,
    /// Show also what stays within a stated tolerance, and what is only recorded
    #[arg(long)]
    all: bool,
}

/// What a person can ask for.
#[derive(clap::Args)]
pub struct Transcripts {
    /// The guest; by default the newest Debian kernel that set-up fetches
    guest: Option<PathBuf>,
    /// Only checks whose id begins so; the others are kept
    #[arg(long, value_name = "PREFIX")]
    check: Option<String>,
}

/// Plays every transcript with one value altered at a time. Optimised: it is many thousand plays.
pub fn score(options: &Mutants) -> Result<()> {
    let mut command = cargo();
    command.args(["run", "--profile", "mutants", "--quiet", "--package", "hospitium-suite"]);
    command.args(["--features", "transcripts", "--example", "mutants", "--", FILE]);
    if let Some(check) = &options.check {
        command.args(["--check", check]);
    }
    if options.all {
        command.arg("--all");
    }
    show(&mut command)
}

/// Runs every check once on a real machine and writes down what was asked and told.
pub fn record(options: &Transcripts) -> Result<()> {
    let guest = match &options.guest {
        Some(guest) => guest.clone(),
        None => {
            let Some(newest) = setup::kernels()?.pop() else { bail!("set-up found no kernel") };
            newest
        }
    };
    let mut command = cargo();
    command.args(["run", "--package", "hospitium-suite", "--features", "transcripts"]);
    command.args(["--example", "transcripts", "--"]).arg(guest).arg(FILE);
    command.args(&options.check);
    show(&mut command)
}
