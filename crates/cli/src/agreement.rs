//! `hospitium agreement`: reads agreements, checks them against the products, shows them, and what they oblige to.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Subcommand, ValueHint};
use hospitium_model::standing::Assurance;
use hospitium_model::{Agreement, Call, Clause, Needs, Owner, Reach};
use hospitium_products::{ProductKind, Products};
use serde_json::json;

use crate::deals::{named_or_all, open};
use crate::failure::End;
use crate::json::{AsJson, print};
use crate::out::out;
use crate::product::SourceArguments;
use crate::view::{Paint, safe, wrapped};

#[derive(Debug, Subcommand)]
pub enum AgreementCommand {
    /// Read agreements and look up every product that they name
    Check {
        /// Files, or the ids or file names of agreements that the configuration has [default: all of these]
        #[arg(value_hint = ValueHint::FilePath, value_name = "AGREEMENT")]
        agreements: Vec<String>,
        #[command(flatten)]
        sources: SourceArguments,
        #[command(flatten)]
        json: AsJson,
    },
    /// Show an agreement's terms
    Show {
        /// A file, or the id or file name of an agreement that the configuration has
        #[arg(value_hint = ValueHint::FilePath, value_name = "AGREEMENT")]
        agreement: String,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Show what an agreement obliges to on a day, how each obligation stands, and why
    Plan(Box<crate::plan::PlanArguments>),
    /// Choose the machine configurations to run for what is owed and can be run here
    Cells(Box<crate::plan::CellsArguments>),
    /// Show which releases are new since the last look, and which obligations they create
    #[command(after_help = crate::watch::EXIT_CODES)]
    Watch(Box<crate::watch::WatchArguments>),
}

/// `hospitium agreement …`.
pub async fn agreement(command: AgreementCommand, cache: Option<PathBuf>) -> Result<End> {
    match command {
        AgreementCommand::Check { agreements, sources, json } => check(agreements, sources, json),
        AgreementCommand::Show { agreement, json } => {
            let (_, deal) = open(&agreement)?;
            if json {
                out!("{}", serde_json::to_string_pretty(&deal).context("cannot write JSON")?);
            } else {
                show(&deal);
            }
            Ok(End::Good)
        }
        AgreementCommand::Plan(arguments) => crate::plan::plan(*arguments).await,
        AgreementCommand::Cells(arguments) => crate::plan::cells(*arguments, cache).await,
        AgreementCommand::Watch(arguments) => crate::watch::watch(*arguments).await,
    }
}

fn check(agreements: Vec<String>, sources: SourceArguments, json: AsJson) -> Result<End> {
    let products = sources.load()?;
    let paint = Paint::stdout();
    let mut end = End::Good;
    let mut all = Vec::new();
    for named in named_or_all(agreements)? {
        let (path, deal) = match open(&named) {
            Ok(opened) => opened,
            Err(error) => {
                crate::failure::tell(&error);
                end = End::Bad;
                let why = format!("{error:#}");
                all.push(json!({ "agreement": named, "sound": false, "problems": [why] }));
                continue;
            }
        };
        let problems = unknown(&deal, &products);
        let pairs: usize = deal.clauses.iter().map(|c| c.guests.len() * c.hosts.len()).sum();
        if json.json {
            end = if problems.is_empty() { end } else { End::Bad };
            all.push(json!({
                "agreement": deal.id, "file": path, "sound": problems.is_empty(),
                "clauses": deal.clauses.len(), "pairs": pairs, "problems": problems,
            }));
            continue;
        }
        match problems.is_empty() {
            true => out!(
                "{}  {}: {} clauses, {pairs} pairs named, every product is known",
                paint.bold("sound"),
                path.display(),
                deal.clauses.len()
            ),
            false => {
                end = End::Bad;
                out!("{}  {}", paint.verdict("fail", "wrong"), path.display());
                problems.iter().for_each(|problem| out!("  {}", safe(problem)));
            }
        }
    }
    if json.json {
        print("hospitium-agreement-check/1", json!({ "agreements": all }));
    }
    Ok(end)
}

/// Products that the agreement names and nobody knows, or that may be several.
fn unknown(deal: &Agreement, products: &Products) -> Vec<String> {
    let mut problems = Vec::new();
    for clause in &deal.clauses {
        for (names, kind) in
            [(&clause.guests, ProductKind::Guest), (&clause.hosts, ProductKind::Host)]
        {
            for name in names {
                if let Err(error) = products.resolve_kind(name, Some(kind)) {
                    problems.push(format!("clause {}: {error}", clause.id));
                }
            }
        }
    }
    problems
}

fn show(deal: &Agreement) {
    let paint = Paint::stdout();
    out!("{}", paint.bold(&safe(&deal.title)));
    out!("{}", wrapped(deal.summary.trim(), ""));
    let ends = deal.ends.map_or_else(|| "open-ended".to_owned(), |day| format!("until {day}"));
    out!("\n{:<12} {}, {ends}", "made", deal.made);
    for party in &deal.parties {
        let key = if party.key.is_some() { "" } else { "; no key published" };
        out!("{:<12} {} ({}){key}", "party", safe(&party.title), safe(&party.name));
    }
    for clause in &deal.clauses {
        out!("\n{}", paint.bold(&safe(&clause.id)));
        show_clause(deal, clause);
    }
    let validity = &deal.validity;
    out!("\n{}", paint.bold("validity"));
    out!("  {:<12} {}", "until", validity.until);
    out!("  {:<12} {} before", "warned", validity.warn);
    out!(
        "  {:<12} guests: {}; hosts: {}{}",
        "carried",
        reach(validity.carry_forward.guests),
        reach(validity.carry_forward.hosts),
        if validity.carry_forward.down_level { "; to earlier ones too" } else { "" }
    );
    let validation = &deal.validation;
    out!(
        "  {:<12} profile {}, every combination of {} values, {}, {} cosigners",
        "wanted",
        safe(&validation.profile),
        validation.strength,
        if validation.emulation { "emulation counts" } else { "emulation does not count" },
        validation.cosigners
    );
    if let Some(support) = &deal.support {
        out!("\n{}", paint.bold("support"));
        out!(
            "  the customer may call {}; {}; {} owns the case",
            match support.call {
                Call::Either => "either party",
                Call::GuestMaker => "the guest's maker",
                Call::HostMaker => "the host's maker",
            },
            match support.needs {
                Needs::Both => "support agreements with both are needed",
                Needs::Called => "a support agreement with the one that is called is needed",
                Needs::None => "no support agreement is needed",
            },
            match support.owner {
                Owner::FirstCalled => "the party that was called first",
                Owner::GuestMaker => "the guest's maker",
                Owner::HostMaker => "the host's maker",
            }
        );
    }
    if !deal.exclusions.is_empty() {
        out!("\n{}", paint.bold("left out on purpose"));
        for exclusion in &deal.exclusions {
            out!("  {}: {}", safe(&exclusion.what), safe(&exclusion.words));
        }
    }
}

fn show_clause(deal: &Agreement, clause: &Clause) {
    let party =
        deal.party(&clause.party).map_or(clause.party.as_str(), |party| party.title.as_str());
    out!("  {:<12} {} validates", "who", safe(party));
    out!("  {:<12} {}", "guests", safe(&clause.guests.join(", ")));
    out!("  {:<12} {} ({})", "on hosts", safe(&clause.hosts.join(", ")), safe(&clause.arch));
    out!("  {:<12} within {}", "due", clause.within);
    if clause.assurance != Assurance::SelfValidated {
        out!("  {:<12} {}: {}", "assurance", clause.assurance.words(), clause.assurance.meaning());
    }
    if let Some(later) = &clause.later {
        let within = later.within.unwrap_or(clause.within);
        out!(
            "  {:<12} guests: {}; hosts: {}; within {within}",
            "later",
            reach(later.guests),
            reach(later.hosts)
        );
    }
    if !clause.listed_in.is_empty() {
        let titles = clause.listed_in.iter().map(|id| {
            let catalog = deal.catalogs.iter().find(|catalog| catalog.id == *id);
            catalog.map_or(id.as_str(), |catalog| catalog.title.as_str())
        });
        out!("  {:<12} {}", "listed in", safe(&titles.collect::<Vec<_>>().join("; ")));
    }
}

fn reach(reach: Reach) -> &'static str {
    match reach {
        Reach::None => "none",
        Reach::Major => "those of the same major version",
        Reach::All => "all",
    }
}
