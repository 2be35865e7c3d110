//! The command line: arguments, progress and text, nothing else.

mod add;
#[cfg(feature = "deal")]
mod again;
#[cfg(feature = "deal")]
mod agreement;
mod args;
#[cfg(feature = "deal")]
mod ask;
#[cfg(feature = "deal")]
mod ask_vm;
#[cfg(feature = "deal")]
mod case;
#[cfg(feature = "deal")]
mod catalog;
#[cfg(feature = "deal")]
mod certify;
mod config;
#[cfg(feature = "deal")]
mod deals;
mod definition;
mod diagnostics;
mod diff;
#[cfg(feature = "deal")]
mod endorse;
mod examples;
mod failure;
#[cfg(feature = "deal")]
mod federation;
mod generate;
#[cfg(test)]
mod grammar;
#[cfg(feature = "deal")]
mod heads;
mod json;
#[cfg(feature = "deal")]
mod keys;
mod libvirt;
#[cfg(feature = "deal")]
mod log;
#[cfg(feature = "deal")]
mod logs;
mod old;
mod open;
mod out;
#[cfg(feature = "deal")]
mod party;
mod places;
#[cfg(feature = "deal")]
mod plan;
mod planned;
#[cfg(feature = "deal")]
mod product;
#[cfg(feature = "deal")]
mod question;
mod replay;
mod report;
mod run;
#[cfg(feature = "deal")]
mod serve;
mod show;
mod suite;
mod summary;
#[cfg(feature = "deal")]
mod trust;
mod verify;
mod view;
#[cfg(feature = "deal")]
mod vm;
#[cfg(feature = "deal")]
mod watch;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::FromArgMatches as _;

use crate::args::{Arguments, Command, GuestCommand, HostCommand};
use crate::config::Config;
use crate::failure::End;
use crate::out::note;

/// A rebuilt catalog's records are made on some threads and given back on others, by the million.
#[cfg(feature = "deal")]
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let (typed, renamed) = old::renamed(std::env::args_os().collect());
    let bisects = typed.iter().any(|word| word == "--bisect");
    // The usual code for a wrong command would tell git that the revision is bad.
    let wrong = |code: ExitCode| {
        if bisects { ExitCode::from(failure::STOPS_BISECTION) } else { code }
    };
    let config = config::find();
    // It lives as long as the program: options have defaults from it.
    let held: Option<&'static Config> =
        config.as_ref().ok().map(|config| &*Box::leak(Box::new(config.clone())));
    let parsed = args::command(held).try_get_matches_from(typed).and_then(|matches| {
        Arguments::from_arg_matches(&matches).map(|arguments| (matches, arguments))
    });
    let (matches, arguments) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            let _ = error.print();
            let code = if error.use_stderr() { 2 } else { 0 };
            return if code == 2 { wrong(ExitCode::from(2)) } else { ExitCode::SUCCESS };
        }
    };
    match (config, held) {
        (Err(error), _) => return wrong(failure::tell(&error)),
        (Ok(_), Some(held)) => config::hold(held, &matches),
        (Ok(_), None) => {}
    }
    if let Some(words) = renamed {
        note!("note: {words}; the old name works in this release only");
    }
    if let Err(error) = diagnostics::start(&arguments.command) {
        return wrong(failure::tell(&error));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = match runtime.context("cannot start the asynchronous runtime") {
        Ok(runtime) => {
            let ended = runtime.block_on(carry_out(arguments));
            // What still waits in the background (a console's reader) must not hold us up.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(error),
    };
    match ended {
        Ok(end) => end.into(),
        Err(error) => failure::tell(&error),
    }
}

async fn carry_out(arguments: Arguments) -> Result<End> {
    let Arguments { cache, verbose, command } = arguments;
    let places = || places::open_cache(cache.clone()).map(|(_, places)| places);
    match command {
        Command::Run(arguments) => run::run(*arguments, cache, verbose).await,
        Command::Replay(arguments) => replay::run(arguments, cache).await,
        Command::Report(arguments) => report::report(&arguments),
        Command::Diff(arguments) => diff::run(&arguments),
        #[cfg(feature = "deal")]
        Command::Ask(arguments) => question::ask(*arguments).await,
        #[cfg(feature = "deal")]
        Command::Case(command) => case::case(command, cache, verbose).await,
        #[cfg(feature = "deal")]
        Command::Catalog(command) => catalog::catalog(&command).await,
        #[cfg(feature = "deal")]
        Command::Serve(arguments) => serve::serve(*arguments).await,
        #[cfg(feature = "deal")]
        Command::Certify(arguments) => certify::certify(&arguments),
        Command::Verify(arguments) => verify::verify(&arguments),
        #[cfg(feature = "deal")]
        Command::Party(command) => party::party(&command),
        #[cfg(feature = "deal")]
        Command::Log(command) => log::log(&command),
        Command::Host(HostCommand::Add { name, host, json }) => {
            add::host_add(&name, &host, &places()?, json).await
        }
        Command::Guest(GuestCommand::Add { name, guest, product, json }) => {
            add::guest_add(&name, &guest, product, &places()?, json)
        }
        Command::Host(HostCommand::List { json }) => show::host_list(json),
        Command::Host(HostCommand::Check { host, accelerator, json }) => {
            show::host_check(&host, &places()?, accelerator, json).await
        }
        Command::Guest(GuestCommand::List { json }) => show::guest_list(&places()?, json),
        Command::Guest(GuestCommand::Check { guest, json }) => {
            show::guest_check(&guest, &places()?, json)
        }
        Command::Suite(command) => suite::suite(&command),
        #[cfg(feature = "deal")]
        Command::Agreement(command) => agreement::agreement(command, cache).await,
        #[cfg(feature = "deal")]
        Command::Product(arguments) => product::product(*arguments),
        Command::Cache(command) => show::cache(&command, &places()?),
        Command::Config { json } => config::show(config::held(), json),
        Command::Completions { shell } => {
            generate::completions(shell);
            Ok(End::Good)
        }
        Command::Man { folder } => {
            generate::man(&folder)?;
            Ok(End::Good)
        }
    }
}
