//! The tests, in parts. Each part has something of its own that it needs beside the code. A part that fails does not
//! keep the others from running, and the end names all that failed.

use std::process::Command;

use anyhow::{Result, bail};
use xtask::image::Variant;
use xtask::setup::Lab;
use xtask::{cargo, setup, show};

use crate::{browser, npm, oracles, postgres};

/// What a person can ask for.
#[derive(clap::Args)]
pub struct Options {
    /// Only what is done within minutes: no test that boots a kernel or a distribution
    #[arg(long, conflicts_with = "part")]
    quick: bool,
    /// Only this part; may be given several times
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(PARTS.map(|part| part.name)))]
    part: Vec<String>,
    /// Passed on to the runner of the last part
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Tests that are run by one command.
struct Part {
    /// By which a person asks for it.
    name: &'static str,
    needs: Needs,
    which: Which,
    /// Whether these are tests that others leave out: `#[ignore]`.
    ignored: bool,
    /// Whether it runs only if it is asked for: it takes longer than all others.
    asked_for: bool,
}

/// What a part needs. It is made ready just before the part runs, so that a tool that cannot be had fails this part alone.
enum Needs {
    Lab,
    /// And a Debian without systemd.
    SysV,
    Oracles,
    Browser,
    Oidc,
    Feeds,
    Strace,
    Postgres,
}

/// Which tests a part has, for either runner.
struct Which {
    /// For nextest, within the whole workspace. By themselves the packages have fewer features, and all that they depend on
    /// would be built anew.
    nextest: &'static str,
    /// For `cargo test`.
    cargo: &'static [&'static str],
}

/// All of them, in the order in which they run. The last counts the most tests, so its closing lines come last.
const PARTS: [Part; 10] = [
    Part {
        name: "libvirt-suite",
        needs: Needs::Lab,
        which: Which {
            nextest: "package(hospitium-host-libvirt) and binary(whole_run)",
            cargo: &["--package", "hospitium-host-libvirt", "--test", "whole_run", "--"],
        },
        ignored: true,
        asked_for: true,
    },
    // They boot whole kernels and distributions: each way in and each firmware at least once.
    Part {
        name: "guests",
        needs: Needs::Lab,
        which: Which {
            nextest: "package(hospitium-guest) and not test(also::)",
            cargo: &["--package", "hospitium-guest", "--", "--test-threads=1", "--skip", "also::"],
        },
        ignored: true,
        asked_for: false,
    },
    // Further pairs of the same.
    Part {
        name: "more-guests",
        needs: Needs::SysV,
        which: Which {
            nextest: "package(hospitium-guest) and test(also::)",
            cargo: &["--package", "hospitium-guest", "--", "--test-threads=1", "also::"],
        },
        ignored: true,
        asked_for: true,
    },
    Part {
        name: "oracles",
        needs: Needs::Oracles,
        which: Which {
            nextest: "package(hospitium-ledger) and binary(oracles)",
            cargo: &["--package", "hospitium-ledger", "--test", "oracles", "--"],
        },
        ignored: true,
        asked_for: false,
    },
    Part {
        name: "browser",
        needs: Needs::Browser,
        which: Which {
            nextest: "package(hospitium-web) and test(browser)",
            cargo: &["--package", "hospitium-web", "--lib", "browser", "--"],
        },
        ignored: true,
        asked_for: false,
    },
    Part {
        name: "oidc",
        needs: Needs::Oidc,
        which: Which {
            nextest: "package(hospitium-web) and test(oidc::tests::real)",
            cargo: &["--package", "hospitium-web", "--lib", "oidc::tests::real", "--"],
        },
        ignored: true,
        asked_for: false,
    },
    Part {
        name: "feeds",
        needs: Needs::Feeds,
        which: Which {
            nextest: "package(hospitium-web) and test(feed::tests)",
            cargo: &["--package", "hospitium-web", "--lib", "feed::tests", "--"],
        },
        ignored: true,
        asked_for: false,
    },
    // Commands are killed at every one of their writes, each time in a copy of a folder.
    Part {
        name: "kills",
        needs: Needs::Strace,
        which: Which {
            nextest: "package(hospitium) and binary(kills)",
            cargo: &["--package", "hospitium", "--test", "kills", "--"],
        },
        ignored: true,
        asked_for: true,
    },
    // What is promised of the catalog and the desk holds with PostgreSQL as it does with SQLite: the same tests.
    Part {
        name: "postgres",
        needs: Needs::Postgres,
        which: Which {
            nextest: "(package(hospitium-catalog) or package(hospitium-web)) and kind(lib) \
                      or package(hospitium-desk) and test(store::)",
            cargo: &[
                "--package",
                "hospitium-catalog",
                "--package",
                "hospitium-web",
                "--package",
                "hospitium-desk",
                "--lib",
                "--",
            ],
        },
        ignored: false,
        asked_for: false,
    },
    Part {
        name: "workspace",
        needs: Needs::Lab,
        which: Which {
            nextest: "all()",
            cargo: &["--workspace", "--features", FEATURES, "--", "--test-threads=1"],
        },
        ignored: false,
        asked_for: false,
    },
];

/// What kills a program as it makes a system call.
const STRACE: &[(&str, &str)] = &[("strace", "kills commands between any two of their writes")];

/// What is tested besides the usual features: hosts that a libvirt drives.
pub const FEATURES: &str = "hospitium/libvirt";

/// The part `workspace` without the tests that boot kernels: those run for many minutes.
const QUICK: Part = Part {
    name: "quick",
    needs: Needs::Lab,
    which: Which {
        nextest: "not (binary(real) or binary(whole_run) or binary(isolation) or \
                  package(hospitium-guest) and binary(hostile) or package(hospitium) and \
                  (binary(bad_input) or binary(bisect) or binary(diff) or binary(faults) or \
                  binary(repeat) or binary(replay) or binary(cells) or binary(vm)))",
        cargo: &[
            "--workspace",
            "--features",
            FEATURES,
            "--lib",
            "--bins",
            "--",
            "--test-threads=1",
        ],
    },
    ignored: false,
    asked_for: false,
};

/// Runs what was asked for, to the end.
///
/// # Errors
/// A part failed. The error names all that did, each with the command that runs it alone.
pub fn run(options: &Options) -> Result<()> {
    let lab = setup::everything()?;
    let parts = options.parts();
    let runner = Runner::find();
    let mut failed = Vec::new();
    for (n, part) in parts.iter().enumerate() {
        let rest = if n + 1 == parts.len() { &options.rest[..] } else { &[] };
        if let Err(error) = part.run(&lab, runner, rest) {
            // Said twice: here beside what the part printed, and at the end.
            eprintln!("error: {}: {error:#}", part.name);
            failed.push((part.name, format!("{error:#}")));
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => bail!(summary(&failed, parts.len())),
    }
}

impl Options {
    fn parts(&self) -> Vec<&'static Part> {
        if self.quick {
            return vec![&QUICK];
        }
        let named = |part: &Part| self.part.iter().any(|name| name == part.name);
        let asked = |part: &&Part| named(part) || (self.part.is_empty() && !part.asked_for);
        PARTS.iter().filter(asked).collect()
    }
}

/// What failed, and how it is run alone.
fn summary(failed: &[(&str, String)], all: usize) -> String {
    let count = failed.len();
    let mut text = format!("{count} of {all} parts of the tests failed:");
    for (name, why) in failed {
        let option = if *name == QUICK.name { "--quick".into() } else { format!("--part {name}") };
        text += &format!("\n  {name}: {why}\n    alone: cargo xtask test {option}");
    }
    text
}

/// What runs tests here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runner {
    Nextest,
    Cargo,
}

impl Runner {
    fn find() -> Self {
        let there = Command::new("cargo").args(["nextest", "--version"]).output();
        if there.is_ok_and(|out| out.status.success()) { Self::Nextest } else { Self::Cargo }
    }
}

impl Part {
    fn run(&self, lab: &Lab, runner: Runner, rest: &[String]) -> Result<()> {
        let mut tests = self.command(runner, rest);
        // Ends with this function, when the tests have.
        let server;
        match self.needs {
            Needs::Lab => {
                lab.environment(&mut tests);
            }
            Needs::SysV => {
                let system = setup::image(Variant::SysV)?;
                lab.environment(&mut tests).env("HOSPITIUM_TEST_SYSV_SYSTEM", system);
            }
            Needs::Oracles => {
                let (python, sigstore) = (oracles::python()?, oracles::sigstore()?);
                tests.env("HOSPITIUM_ORACLES", python).env("HOSPITIUM_SIGSTORE", sigstore);
            }
            Needs::Browser => {
                tests.env("HOSPITIUM_BROWSER", browser::modules()?);
            }
            Needs::Oidc => {
                tests.env("HOSPITIUM_OIDC", npm::packages("oidc")?);
            }
            Needs::Feeds => oracles::of_feeds()?,
            Needs::Strace => setup::install(STRACE.iter())?,
            Needs::Postgres => {
                server = postgres::Server::start()?;
                tests.env("HOSPITIUM_TEST_POSTGRES", server.address());
            }
        }
        show(&mut tests)
    }

    fn command(&self, runner: Runner, rest: &[String]) -> Command {
        let mut command = cargo();
        match runner {
            Runner::Nextest => {
                command.args(["nextest", "run", "--workspace", "--features", FEATURES]);
                command.args(["-E", self.which.nextest]);
                command.args(if self.ignored { &["--run-ignored", "only"][..] } else { &[] });
            }
            Runner::Cargo => {
                command.arg("test").args(self.which.cargo);
                command.args(if self.ignored { &["--ignored"][..] } else { &[] });
            }
        }
        command.args(rest);
        command
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn asked(words: &[&str]) -> Vec<&'static str> {
        let line = Line::parse_from(["test"].iter().chain(words));
        line.options.parts().iter().map(|part| part.name).collect()
    }

    #[test]
    fn parts_run_in_their_order_and_each_can_be_asked_for() {
        assert_eq!(
            asked(&[]),
            ["guests", "oracles", "browser", "oidc", "feeds", "postgres", "workspace"]
        );
        assert_eq!(asked(&["--part", "libvirt-suite"]), ["libvirt-suite"]);
        assert_eq!(asked(&["--part", "kills"]), ["kills"]);
        assert_eq!(asked(&["--part", "more-guests"]), ["more-guests"]);
        assert_eq!(asked(&["--part", "feeds", "--part", "oracles"]), ["oracles", "feeds"]);
        assert_eq!(asked(&["--quick"]), ["quick"]);
        assert!(Line::try_parse_from(["test", "--part", "nonsense"]).is_err());
        assert!(Line::try_parse_from(["test", "--quick", "--part", "feeds"]).is_err());
    }

    #[test]
    fn the_end_names_every_part_that_failed_and_how_it_is_run_alone() {
        let failed = [("guests", "cargo nextest: exit status: 100".to_owned())];
        let text = summary(&failed, 6);
        assert!(text.starts_with("1 of 6 parts of the tests failed:\n  guests: cargo"), "{text}");
        assert!(text.ends_with("cargo xtask test --part guests"), "{text}");
        assert!(summary(&[("quick", String::new())], 1).ends_with("cargo xtask test --quick"));
    }

    #[test]
    fn words_for_the_runner_come_last() {
        for runner in [Runner::Nextest, Runner::Cargo] {
            for part in PARTS.iter().chain([&QUICK]) {
                let command = part.command(runner, &["some_test".into()]);
                let words: Vec<_> = command.get_args().collect();
                assert_eq!(words.last().and_then(|word| word.to_str()), Some("some_test"));
                // What is for the tests themselves comes after the two dashes.
                let own = |word: &str| words.iter().position(|w| *w == word);
                let flag = if runner == Runner::Nextest { "--run-ignored" } else { "--ignored" };
                assert_eq!(own(flag).is_some(), part.ignored, "{}", part.name);
                assert_eq!(own("--").is_some(), runner == Runner::Cargo, "{}", part.name);
                assert!(runner == Runner::Nextest || own("--ignored") > own("--") || !part.ignored);
            }
        }
    }
}
