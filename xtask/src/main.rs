//! Everything around the code that a person or a CI machine types: set-up, demo, tests, benches.
//!
//! `cargo xtask` with no arguments lists what there is. Each command installs what it needs, saying
//! which Debian packages and why, so that a machine with only Rust and Debian 12 is enough.

mod browser;
mod deal;
mod demo;
mod fuzz;
mod npm;
mod oracles;
mod postgres;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Result;
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
        /// Where its runs go
        #[arg(long, default_value = "runs/demo")]
        out: PathBuf,
    },
    /// Build the Debian disk image of the demo; part of it
    #[command(hide = true)]
    Image,
    /// Set up, then run every test
    Test {
        /// Leave out the tests that boot whole distributions (several minutes)
        #[arg(long)]
        quick: bool,
        /// Passed on to the test runner
        #[arg(last = true)]
        rest: Vec<String>,
    },
    /// Formatting, lints, documentation
    Check,
    /// Measure; prints ratios of things measured side by side, and writes them into docs/
    Bench {
        /// Only these: suite, clone, memory, warm, overhead, verify, autopkgtest; or catalog, covering,
        /// autopkgtest-full or virt-install, by themselves
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
        Task::Image => image(),
        Task::Demo { out } => demo::demo(&out),
        Task::Test { quick, rest } => test(quick, &rest),
        Task::Check => check(),
        Task::Bench { names } => bench(&names),
        Task::Fuzz { targets, seconds } => fuzz::run(&targets, seconds),
    }
}

/// The benches are a program of their own, and optimised: what they measure is linked into them.
fn bench(names: &[String]) -> Result<()> {
    let build = ["run", "--release", "--package", "hospitium-bench", "--"];
    show(cargo().args(build).args(names))
}

fn image() -> Result<()> {
    setup::image(Variant::CloudInit).map(|_| ())
}

fn test(quick: bool, rest: &[String]) -> Result<()> {
    let lab = setup::everything()?;
    let nextest = Command::new("cargo").args(["nextest", "--version"]).output();
    let nextest = nextest.is_ok_and(|out| out.status.success());
    if !quick {
        for part in PARTS {
            let mut tests = part.command(nextest);
            match part.needs {
                Needs::Lab => show(lab.environment(&mut tests))?,
                Needs::Oracles => {
                    tests.env("HOSPITIUM_ORACLES", oracles::python()?);
                    show(tests.env("HOSPITIUM_SIGSTORE", oracles::sigstore()?))?;
                }
                Needs::Browser => show(tests.env("HOSPITIUM_BROWSER", browser::modules()?))?,
                Needs::Feeds => {
                    oracles::of_feeds()?;
                    show(&mut tests)?;
                }
                Needs::Postgres => {
                    let server = postgres::Server::start()?;
                    show(tests.env("HOSPITIUM_TEST_POSTGRES", server.address()))?;
                }
            }
        }
    }
    let mut all = cargo();
    match nextest {
        true => all.args(["nextest", "run", "--workspace"]),
        false => all.args(["test", "--workspace", "--", "--test-threads=1"]),
    };
    show(lab.environment(all.args(rest)))
}

/// Tests that need something of their own beside what all have. They come first, so that the closing
/// lines count the most.
struct Part {
    needs: Needs,
    /// Which they are, for nextest. With it they are built with the whole workspace, and nothing twice: by
    /// themselves the packages have fewer features, and all that they depend on is built anew.
    expression: &'static str,
    /// And for `cargo test`.
    plain: &'static [&'static str],
    /// Whether the run of all tests leaves them out.
    ignored: bool,
}

enum Needs {
    Lab,
    Oracles,
    Browser,
    Feeds,
    Postgres,
}

const PARTS: [Part; 5] = [
    // They boot whole kernels and distributions.
    Part {
        needs: Needs::Lab,
        expression: "package(hospitium-guest)",
        plain: &["--package", "hospitium-guest", "--", "--test-threads=1"],
        ignored: true,
    },
    Part {
        needs: Needs::Oracles,
        expression: "package(hospitium-ledger) and binary(oracles)",
        plain: &["--package", "hospitium-ledger", "--test", "oracles", "--"],
        ignored: true,
    },
    Part {
        needs: Needs::Browser,
        expression: "package(hospitium-web) and test(browser)",
        plain: &["--package", "hospitium-web", "--lib", "browser", "--"],
        ignored: true,
    },
    Part {
        needs: Needs::Feeds,
        expression: "package(hospitium-web) and test(feed::tests)",
        plain: &["--package", "hospitium-web", "--lib", "feed::tests", "--"],
        ignored: true,
    },
    // What is promised of the catalog holds with PostgreSQL as it does with SQLite: the same tests.
    Part {
        needs: Needs::Postgres,
        expression: "(package(hospitium-catalog) or package(hospitium-web)) and kind(lib)",
        plain: &["--package", "hospitium-catalog", "--package", "hospitium-web", "--lib", "--"],
        ignored: false,
    },
];

impl Part {
    fn command(&self, nextest: bool) -> Command {
        let mut command = cargo();
        if nextest {
            command.args(["nextest", "run", "--workspace", "-E", self.expression]);
            command.args(if self.ignored { &["--run-ignored", "only"][..] } else { &[] });
        } else {
            command.arg("test").args(self.plain);
            command.args(if self.ignored { &["--ignored"][..] } else { &[] });
        }
        command
    }
}

fn check() -> Result<()> {
    show(cargo().args(["fmt", "--all", "--check"]))?;
    show(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    // What the demo begins with.
    let alone = ["clippy", "--package", "hospitium", "--no-default-features", "--bins"];
    show(cargo().args(alone).args(["--", "-D", "warnings"]))?;
    show(
        cargo()
            .args(["doc", "--workspace", "--no-deps", "--quiet"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}
