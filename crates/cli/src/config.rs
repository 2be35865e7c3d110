//! `hospitium.toml`: what a person would otherwise have to type each time. docs/command-line.md shows it.
//!
//! One file holds: the first that is found from the working folder upwards, else the one in the user's configuration
//! folder. Flags and the environment override it. Paths in it are relative to its own folder.

mod find;
mod read;
mod show;
#[cfg(feature = "deal")]
mod trust;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

#[cfg(feature = "deal")]
use anyhow::{Context as _, Result};

pub use find::find;
pub use show::show;

#[cfg(feature = "deal")]
use crate::failure::Usage;

/// The file's name.
pub const NAME: &str = "hospitium.toml";
/// Where `--party` may be set in the environment.
const PARTY: &str = "HOSPITIUM_PARTY";

/// A value, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    pub value: T,
    /// The line in the file, from 1.
    pub line: usize,
}

/// Another party that is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted {
    /// Its `party.toml`, which has its keys.
    pub party: At<PathBuf>,
    /// The digits that a person compared; keys with others are refused.
    pub fingerprint: At<String>,
}

/// A log that questions are answered from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredLog {
    /// Its folder, or the address where it is published.
    pub source: At<String>,
    /// Where a copy of it is kept, if it is published elsewhere.
    pub copy: Option<At<PathBuf>>,
    /// Whom to trust for it, if that is not told by `[party]` and `[[trust]]`.
    pub policy: Option<At<PathBuf>>,
}

/// A default for an option of `run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDefault {
    /// The option's long name, which is the key.
    pub option: &'static str,
    pub values: At<Vec<String>>,
}

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The file; none if there is none.
    pub file: Option<PathBuf>,
    /// The folder of one's own party.
    pub party: Option<At<PathBuf>>,
    pub trust: Vec<Trusted>,
    pub logs: Vec<ConfiguredLog>,
    /// Agreements: files, or folders whose `*.toml` are agreements.
    pub agreements: Vec<At<PathBuf>>,
    /// The catalog: a file or an address.
    pub db: Option<At<String>>,
    pub run: Vec<RunDefault>,
}

/// What holds in this process.
#[derive(Debug, Default)]
pub struct Held {
    config: Option<&'static Config>,
    /// One's own party, whether an option, the environment or the file names it.
    #[cfg(feature = "deal")]
    party: Option<PathBuf>,
}

static HELD: OnceLock<Held> = OnceLock::new();

/// Makes a configuration hold, once, with what was typed.
pub fn hold(config: &'static Config, matches: &clap::ArgMatches) {
    let held = Held {
        config: Some(config),
        #[cfg(feature = "deal")]
        party: own_party(config, matches),
    };
    #[cfg(not(feature = "deal"))]
    let _ = matches;
    // A second call has no effect: there is one command line.
    let _ = HELD.set(held);
}

#[cfg(feature = "deal")]
fn own_party(config: &Config, matches: &clap::ArgMatches) -> Option<PathBuf> {
    let mut innermost = matches;
    while let Some((_, inner)) = innermost.subcommand() {
        innermost = inner;
    }
    let typed = innermost.try_get_one::<PathBuf>("party").ok().flatten().cloned();
    typed.or_else(|| config.party.as_ref().map(|party| party.value.clone()))
}

/// What holds. Nothing before [`hold`] is called, as in unit tests.
pub fn held() -> &'static Held {
    HELD.get_or_init(Held::default)
}

impl Held {
    /// What the file says.
    pub fn config(&self) -> &'static Config {
        static NONE: Config = Config {
            file: None,
            party: None,
            trust: Vec::new(),
            logs: Vec::new(),
            agreements: Vec::new(),
            db: None,
            run: Vec::new(),
        };
        self.config.unwrap_or(&NONE)
    }

    /// The files of all agreements, folders listed.
    #[cfg(feature = "deal")]
    pub fn agreements(&self) -> Result<Vec<PathBuf>> {
        let mut all = Vec::new();
        for At { value: path, line } in &self.config().agreements {
            if !path.is_dir() {
                all.push(path.clone());
                continue;
            }
            let doing = || format!("{} of line {line} cannot be listed", path.display());
            let entries = std::fs::read_dir(path).with_context(doing)?;
            let entries = entries.collect::<Result<Vec<_>, _>>().with_context(doing)?;
            let mut files: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
            files.retain(|file| file.extension().is_some_and(|ending| ending == "toml"));
            files.sort();
            if files.is_empty() {
                return Err(Usage::error(
                    format!("{} has no agreement (*.toml)", path.display()),
                    format!("name another folder in line {line} of {}", self.file()),
                ));
            }
            all.extend(files);
        }
        Ok(all)
    }

    /// The file's path, for people.
    #[cfg(feature = "deal")]
    fn file(&self) -> String {
        self.config().file.as_deref().unwrap_or(Path::new(NAME)).display().to_string()
    }
}

/// The defaults of the file put into the command line, so that `--help` shows them and an option overrides them.
pub fn defaults(command: clap::Command, config: Option<&'static Config>) -> clap::Command {
    let party = config.and_then(|config| config.party.as_ref()).map(|at| at.value.as_os_str());
    let command = parties(command, party);
    let Some(config) = config.filter(|config| !config.run.is_empty()) else { return command };
    command.mut_subcommand("run", |run| {
        config.run.iter().fold(run, |run, RunDefault { option, values }| {
            let id = option.replace('-', "_");
            run.mut_arg(id, |arg| arg.default_values(values.value.iter().map(String::as_str)))
        })
    })
}

/// `--party` means the same everywhere, and is the file's where it is not given.
fn parties(command: clap::Command, own: Option<&'static std::ffi::OsStr>) -> clap::Command {
    command.mut_subcommands(|command| parties(command, own)).mut_args(|arg| {
        if arg.get_id() != "party" {
            return arg;
        }
        // `party show PARTY` shows any party, one's own if none is named.
        let arg = if arg.is_positional() { arg } else { arg.env(PARTY) };
        match own {
            Some(own) => arg.required(false).default_value(own),
            None => arg,
        }
    })
}

/// A path of the file, which is relative to the file's folder.
fn beside(file: &Path, path: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(path)
}
