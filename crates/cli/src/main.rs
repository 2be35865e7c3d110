//! The command line: arguments, progress and text, nothing else.

#[cfg(feature = "deal")]
mod again;
#[cfg(feature = "deal")]
mod agreement;
mod args;
#[cfg(feature = "deal")]
mod ask;
#[cfg(feature = "deal")]
mod case;
#[cfg(feature = "deal")]
mod catalog;
#[cfg(feature = "deal")]
mod certify;
#[cfg(feature = "deal")]
mod check_vm;
mod definition;
mod diff;
#[cfg(feature = "deal")]
mod endorse;
mod failure;
#[cfg(feature = "deal")]
mod federation;
mod generate;
#[cfg(feature = "deal")]
mod heads;
#[cfg(feature = "deal")]
mod keys;
mod libvirt;
#[cfg(feature = "deal")]
mod log;
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
mod replay;
mod report;
mod run;
#[cfg(feature = "deal")]
mod serve;
mod show;
mod summary;
#[cfg(feature = "deal")]
mod trust;
#[cfg(feature = "deal")]
mod verify;
mod view;
#[cfg(feature = "deal")]
mod watch;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use crate::args::{Arguments, Command, EvidenceCommand, GuestCommand, HostCommand};
use crate::failure::{End, Usage};

/// A rebuilt catalog's records are made on some threads and given back on others, by the million.
#[cfg(feature = "deal")]
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() && std::env::args_os().any(|word| word == "--bisect") => {
            // The usual code for this would tell git that the revision is bad.
            let _ = error.print();
            return ExitCode::from(failure::STOPS_BISECTION);
        }
        Err(error) => error.exit(),
    };
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
        Command::Evidence(arguments) => match (arguments.command, arguments.run) {
            (Some(EvidenceCommand::Check { run, json }), _) => report::check(&run, json),
            (None, Some(run)) => report::check(&run, arguments.json),
            (None, None) => {
                Err(Usage::error("no run is named", "hospitium evidence check runs/latest"))
            }
        },
        #[cfg(feature = "deal")]
        Command::Ask(arguments) => ask::ask(*arguments).await,
        #[cfg(feature = "deal")]
        Command::Case(command) => case::case(command, cache, verbose).await,
        #[cfg(feature = "deal")]
        Command::Catalog(command) => catalog::catalog(&command).await,
        #[cfg(feature = "deal")]
        Command::Serve(arguments) => serve::serve(*arguments).await,
        #[cfg(feature = "deal")]
        Command::Certify(arguments) => certify::certify(&arguments),
        #[cfg(feature = "deal")]
        Command::Verify(arguments) => verify::verify(&arguments),
        #[cfg(feature = "deal")]
        Command::Party(command) => party::party(&command),
        #[cfg(feature = "deal")]
        Command::Log(command) => log::log(&command),
        Command::Host(HostCommand::List) => Ok(show::host_list()),
        Command::Host(HostCommand::Check { host, accelerator }) => {
            show::host_check(&host, &places()?, accelerator).await
        }
        Command::Guest(GuestCommand::List) => Ok(show::guest_list(&places()?)),
        Command::Guest(GuestCommand::Check { guest }) => show::guest_check(&guest, &places()?),
        Command::Check(command) => show::check(&command),
        #[cfg(feature = "deal")]
        Command::CheckVm(arguments) => check_vm::check_vm(*arguments).await,
        #[cfg(feature = "deal")]
        Command::Agreement(command) => agreement::agreement(command),
        #[cfg(feature = "deal")]
        Command::Plan(mut arguments) => {
            arguments.cache = cache;
            plan::plan(*arguments).await
        }
        #[cfg(feature = "deal")]
        Command::Watch(arguments) => watch::watch(*arguments).await,
        #[cfg(feature = "deal")]
        Command::Product(arguments) => product::product(*arguments),
        Command::Cache(command) => show::cache(&command, &places()?),
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
