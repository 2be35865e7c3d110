//! Everything around the code that a person or a CI machine types: set-up, demo, tests, benches.
//!
//! `cargo xtask` with no arguments lists what there is. Each command installs what it needs, saying
//! which Debian packages and why, so that a machine with only Rust and Debian 12 is enough.

mod browser;
mod deal;
mod fuzz;
mod npm;
mod oracles;
mod postgres;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use xtask::{cargo, image, root, setup, show, target};

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
        /// Where the run goes
        #[arg(long, default_value = "runs/demo")]
        out: PathBuf,
    },
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
        /// Only these: suite, clone, memory, warm, overhead, autopkgtest; or catalog, covering,
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
        Task::Demo { out } => demo(&out),
        Task::Test { quick, rest } => test(quick, &rest),
        Task::Check => check(),
        Task::Bench { names } => bench(&names),
        Task::Fuzz { targets, seconds } => fuzz::run(&targets, seconds),
    }
}

/// The command line while it is built, as the tests are: digests, signatures and compression are optimised
/// there too, and all else waits for machines.
struct Building(Child);

impl Building {
    /// Begins, beside whatever set-up has to do.
    fn start() -> Result<Self> {
        println!("Building hospitium beside the set-up (a first time takes minutes)");
        let mut command = cargo();
        command.args(["build", "--quiet", "--package", "hospitium"]).stdin(Stdio::null());
        Ok(Self(command.spawn().context("running cargo build")?))
    }

    /// Waits for its end.
    fn finish(mut self) -> Result<PathBuf> {
        println!("Waiting for hospitium to be built");
        let status = self.0.wait().context("waiting for cargo build")?;
        ensure!(status.success(), "cargo build --package hospitium: {status}");
        Ok(target().join("debug/hospitium"))
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        // Set-up failed. One that has ended by itself cannot be killed, and need not be.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The benches are a program of their own, and optimised: what they measure is linked into them.
fn bench(names: &[String]) -> Result<()> {
    let build = ["run", "--release", "--package", "hospitium-bench", "--"];
    show(cargo().args(build).args(names))
}

fn demo(out: &Path) -> Result<()> {
    let building = Building::start()?;
    let lab = setup::for_demo()?;
    let hospitium = building.finish()?;
    let out = if out.is_absolute() { out.to_owned() } else { root().join(out) };
    if out.exists() {
        // A demo is for looking at; the last one makes room.
        std::fs::remove_dir_all(&out).with_context(|| format!("removing {}", out.display()))?;
    }
    let mut command = Command::new(&hospitium);
    command.current_dir(root()).arg("run").args(["--host", "qemu"]).arg("--out").arg(&out);
    for kernel in &lab.kernels {
        command.arg("--guest").arg(kernel);
    }
    // By the name of its definition, which knows the image that set-up has built.
    command.args(["--guest", image::Variant::CloudInit.name()]);
    let status = command.status().context("running hospitium")?;
    // 1 says that some check failed, which is a finding and not a failure of the demo.
    ensure!(matches!(status.code(), Some(0 | 1)), "hospitium run: {status}");
    deal::fulfil(&hospitium, &out, &root().join("runs/parties"))?;
    println!("\nOpen {} in a browser.", out.join("report.html").display());
    if status.code() == Some(1) {
        println!(
            "Some checks failed: that is what these guests do on this QEMU. The report says why."
        );
    }
    Ok(())
}

fn test(quick: bool, rest: &[String]) -> Result<()> {
    let lab = setup::everything()?;
    let nextest = Command::new("cargo").args(["nextest", "--version"]).output();
    let nextest = nextest.is_ok_and(|out| out.status.success());
    let mut all = cargo();
    // Tests that are ignored by default boot whole kernels and distributions; those of the guest
    // crate are run first, one after the other, so that the closing lines count the most.
    let mut long = cargo();
    if nextest {
        all.args(["nextest", "run", "--workspace"]);
        long.args(["nextest", "run", "--package", "hospitium-guest", "--run-ignored", "only"]);
        all.args(rest);
    } else {
        all.args(["test", "--workspace", "--", "--test-threads=1"]);
        long.args(["test", "--package", "hospitium-guest", "--", "--ignored", "--test-threads=1"]);
        all.args(rest);
    }
    if !quick {
        show(lab.environment(&mut long))?;
        let mut beside = cargo();
        beside.args([
            "test",
            "--package",
            "hospitium-ledger",
            "--test",
            "oracles",
            "--",
            "--ignored",
        ]);
        beside.env("HOSPITIUM_ORACLES", oracles::python()?);
        show(beside.env("HOSPITIUM_SIGSTORE", oracles::sigstore()?))?;
        let mut pages = cargo();
        pages.args(["test", "--package", "hospitium-web", "--lib", "browser", "--", "--ignored"]);
        show(pages.env("HOSPITIUM_BROWSER", browser::modules()?))?;
        oracles::of_feeds()?;
        show(cargo().args([
            "test",
            "--package",
            "hospitium-web",
            "--lib",
            "feed::tests",
            "--",
            "--ignored",
        ]))?;
        on_postgres()?;
    }
    show(lab.environment(&mut all))
}

/// What is promised of the catalog holds with PostgreSQL as it does with SQLite: the same tests.
fn on_postgres() -> Result<()> {
    let server = postgres::Server::start()?;
    let mut tests = cargo();
    tests.args(["test", "--package", "hospitium-catalog", "--package", "hospitium-web", "--lib"]);
    show(tests.env("HOSPITIUM_TEST_POSTGRES", server.address()))
}

fn check() -> Result<()> {
    show(cargo().args(["fmt", "--all", "--check"]))?;
    show(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    show(
        cargo()
            .args(["doc", "--workspace", "--no-deps", "--quiet"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}
