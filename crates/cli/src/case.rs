//! `hospitium case`: joint support. What is typed becomes an event of this party's desk.

mod act;
mod args;
mod begin;
mod carry;
mod evidence;
mod importing;
mod machine;
mod on;
mod opening;
mod person;
mod place;
mod publish;
mod reproduce;
mod show;
mod tsanet;
mod values;
mod verbs;

use std::path::PathBuf;

use anyhow::{Context, Result};
use hospitium_desk::Deed;
use hospitium_desk::export::Scope;
use jiff::Timestamp;

pub use args::CaseCommand;
use args::Verb;
use place::Place;
pub use place::open as open_desk;

use crate::failure::End;
use crate::out::out;

/// `hospitium case`. The cache is for runs that answer a case.
pub async fn case(command: CaseCommand, cache: Option<PathBuf>, verbose: bool) -> Result<End> {
    match command {
        CaseCommand::Open(arguments) => begin::open(*arguments).await,
        CaseCommand::Offer { case, new_facts, on } => {
            let place = Place::open(&on.desk).await?;
            begin::offer(&place, &case, new_facts, on.json).await
        }
        CaseCommand::List { mine, proposed_checks, on } => {
            let place = Place::open(&on.desk).await?;
            match proposed_checks {
                true => show::proposed_checks(&place, on.json).await,
                false => show::list(&place, mine, on.json).await,
            }
        }
        CaseCommand::Show { case, on } => {
            show::show(&Place::open(&on.desk).await?, &case, on.json).await
        }
        CaseCommand::Reply { case, text, customer, internal, on } => {
            let place = Place::open(&on.desk).await?;
            match internal {
                true => act::aside(&place, &case, text, on.json).await,
                false => act::reply(&place, &case, text, customer, on.json).await,
            }
        }
        CaseCommand::Attach { case, file, run, classification, redaction, on } => {
            let place = Place::open(&on.desk).await?;
            let what = carry::What { file, run, classification, redaction };
            carry::attach(&place, &case, what, on.json).await
        }
        CaseCommand::Fetch { case, sha256, to, on } => {
            carry::fetch(&Place::open(&on.desk).await?, &case, &sha256, &to).await
        }
        CaseCommand::Export { case, file, tsanet: true, form, document, on, .. } => {
            let place = Place::open(&on.desk).await?;
            tsanet::export(&place, &case, &file, form, document, on.json).await
        }
        CaseCommand::Export { case, file, all, on, .. } => {
            let scope = if all { Scope::Own } else { Scope::Other };
            carry::export(&Place::open(&on.desk).await?, &case, &file, scope, on.json).await
        }
        CaseCommand::Import(arguments) if arguments.tsanet => tsanet::import(*arguments).await,
        CaseCommand::Import(arguments) => {
            arguments.check()?;
            let place = Place::open(&arguments.desk).await?;
            carry::import(&place, &arguments.file, arguments.ask.json).await
        }
        CaseCommand::Sync { peer, by_folder, on } => {
            let place = Place::open(&on.desk).await?;
            carry::sync(&place, peer.as_deref(), by_folder, on.json).await
        }
        CaseCommand::Peer { name, address, none, on } => {
            carry::peer(&Place::open(&on.desk).await?, &name, address, none)
        }
        CaseCommand::Person(command) => person::person(command).await,
        CaseCommand::Discard { case, on } => {
            let place = Place::open(&on.desk).await?;
            let id = place.office.store.find(&case).await?;
            place.office.store.drop_draft(&id).await.context("only a draft can be thrown away")?;
            out!("{id} thrown away");
            Ok(End::Good)
        }
        CaseCommand::Act(verb) => match verb {
            Verb::Accept(it) => act::act(it).await,
            Verb::Decline(it) => act::act(it).await,
            Verb::Ask(it) => act::act(it).await,
            Verb::Start(it) => act::act(it).await,
            Verb::Wait(it) => act::act(it).await,
            Verb::Extend(it) => act::act(it).await,
            Verb::Assign(it) => act::act(it).await,
            Verb::Reproduce(it) => reproduce::reproduce(it, cache, verbose).await,
            Verb::Todo(it) => act::act(it).await,
            Verb::Facts(it) => act::act(it).await,
            Verb::Grade(it) => act::act(it).await,
            Verb::Escalate(it) => act::act(it).await,
            Verb::Entitle(it) => act::act(it).await,
            Verb::Consent(it) => act::act(it).await,
            Verb::Transfer(it) => act::act(it).await,
            Verb::Propose(it) => act::act(it).await,
            Verb::Reject(it) => act::comment(it, |comment| Deed::Rejected { comment }).await,
            Verb::Close(it) => act::act(it).await,
            Verb::Publish(it) => publish::publish(it).await,
            Verb::Withdraw(it) => act::comment(it, |comment| Deed::Withdrawn { comment }).await,
            Verb::Reopen(it) => act::comment(it, |reason| Deed::Reopened { reason }).await,
        },
    }
}

/// Now, to the second: what stands in a case is read by people.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
