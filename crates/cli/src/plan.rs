//! `hospitium agreement plan`: what an agreement obliges to on a day, how each obligation stands, and why.

mod cells;
mod model;

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueHint};
use hospitium_catalog::{Catalog, Desk};
use hospitium_model::{Agreement, Term};
use hospitium_plan::obligation::{Obligation, Plan, State};
use hospitium_products::{Product, Products};
use jiff::civil::Date;

use crate::args::{AcceleratorArgument, OldGuest};
use crate::deals;
use crate::failure::{End, Usage};
use crate::logs::{LogArguments, OwnParty, of_logs, today};
use crate::out::{note, out};
use crate::product::SourceArguments;
use crate::view::{Paint, safe};

/// Which obligations are looked at, and by which records.
#[derive(Debug, Args)]
pub struct OwedArguments {
    #[command(flatten)]
    pub own: OwnParty,
    #[command(flatten)]
    pub logs: LogArguments,
    /// The day for which it is asked [default: today, UTC]
    #[arg(long, value_name = "DATE", value_parser = hospitium_model::asked_day)]
    pub as_of: Option<Date>,
    /// Only what this party owes
    #[arg(long, value_name = "NAME")]
    pub owed_by: Option<String>,
    /// Only obligations in this state
    #[arg(long, value_name = "STATE", value_parser = PossibleValuesParser::new(State::WORDS))]
    pub state: Vec<String>,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub sources: SourceArguments,
}

#[derive(Debug, Args)]
pub struct PlanArguments {
    /// A file, or the id or file name of an agreement that the configuration has
    #[arg(value_hint = ValueHint::FilePath)]
    pub agreement: String,
    #[command(flatten)]
    pub owed: OwedArguments,
    /// Each obligation with all its reasons; the JSON always has them
    #[arg(long, conflicts_with = "json")]
    pub why: bool,
}

#[derive(Debug, Args)]
pub struct CellsArguments {
    /// A file, or the id or file name of an agreement that the configuration has
    #[arg(value_hint = ValueHint::FilePath, required_unless_present = "model")]
    pub agreement: Option<String>,
    /// Instead of an agreement: cover this model of PICT, ACTS or CASA, and print the rows as PICT does (docs/covering.md)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath,
          conflicts_with_all = ["agreement", "guests", "guest", "on", "accelerator", "party", "log", "policy", "as_of",
                                "owed_by", "state", "out"])]
    pub model: Option<PathBuf>,
    /// With --model: rows that are there already, as PICT prints rows; they come first
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "model",
          conflicts_with = "agreement")]
    pub given: Option<PathBuf>,
    #[command(flatten)]
    pub owed: OwedArguments,
    /// A guest that is here, as with `run` [default: all definitions of ./guests]
    #[arg(value_name = "GUEST")]
    pub guests: Vec<String>,
    #[command(flatten)]
    pub old: OldGuest,
    /// A host that is here, as with `run`
    #[arg(long, alias = "host", value_name = "HOST", default_value = "qemu")]
    pub on: Vec<String>,
    /// Which accelerator of the hosts
    #[arg(long, value_enum, default_value_t = AcceleratorArgument::Auto)]
    pub accelerator: AcceleratorArgument,
    /// Interaction strength: 2 covers every pair of values [default: what the agreement promises, or what a model says, else 2]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=6))]
    pub strength: Option<u32>,
    /// Write the cells here, for `hospitium run --plan`
    #[arg(long, short, value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Lines of hosts that runs can be made on here.
const DRIVEN: [&str; 1] = ["qemu"];

/// What is owed, from what.
struct Owed {
    path: PathBuf,
    deal: Agreement,
    products: Products,
    catalog: Catalog,
    plan: Plan,
}

impl OwedArguments {
    async fn open(&self, agreement: &str) -> Result<Owed> {
        let (path, deal) = deals::open(agreement)?;
        if let Some(name) = &self.owed_by
            && deal.party(name).is_none()
        {
            let names: Vec<&str> = deal.parties.iter().map(|party| party.name.as_str()).collect();
            return Err(Usage::error(
                format!("{name} is no party to {}", deal.id),
                format!("name one of {}", names.join(", ")),
            ));
        }
        let products = self.sources.clone().load()?;
        let as_of = self.as_of.unwrap_or_else(today);
        let catalog = of_logs(&self.logs).await?;
        let suite = env!("CARGO_PKG_VERSION");
        let blocked = |_: &Product, host: &Product| {
            (!DRIVEN.contains(&host.line.as_str()))
                .then(|| format!("there is no driver for {} here yet", host.name))
        };
        // The same function as the site's.
        let desk = Desk::new(&catalog, &products, &[], as_of).await?;
        let made = desk.plan_with(&deal, Some(suite), &blocked).await;
        let mut plan = made.context("the records cannot be read")?;
        let states: BTreeSet<&str> = self.state.iter().map(String::as_str).collect();
        plan.obligations.retain(|owed| {
            self.owed_by.as_ref().is_none_or(|party| owed.party == *party)
                && (states.is_empty() || states.contains(owed.state.word()))
        });
        Ok(Owed { path, deal, products, catalog, plan })
    }
}

/// `hospitium agreement plan`.
pub async fn plan(arguments: PlanArguments) -> Result<End> {
    let Owed { deal, plan, .. } = arguments.owed.open(&arguments.agreement).await?;
    if arguments.owed.json {
        out!("{}", serde_json::to_string_pretty(&plan).context("cannot write JSON")?);
    } else {
        show(&deal, &plan, arguments.why);
    }
    warn(&plan);
    let late = plan.obligations.iter().any(|o| {
        matches!(o.state, State::Late { .. } | State::Lapsed { .. } | State::Failed { .. })
    });
    // What is not certain may be withdrawn: then no more can be said.
    let doubt = plan.doubts().next().is_some();
    Ok(match (late || !plan.problems.is_empty(), doubt) {
        (true, _) => End::Bad,
        (false, true) => End::Unfinished,
        (false, false) => End::Good,
    })
}

/// `hospitium agreement cells`.
pub async fn cells(arguments: CellsArguments, cache: Option<PathBuf>) -> Result<End> {
    if let Some(file) = &arguments.model {
        let CellsArguments { strength, given, owed, .. } = &arguments;
        return model::cells(file, *strength, given.as_deref(), owed.json);
    }
    let agreement = arguments.agreement.clone().context("no agreement is named")?;
    let owed = arguments.owed.open(&agreement).await?;
    warn(&owed.plan);
    cells::cells(&arguments, &owed, cache).await
}

fn warn(plan: &Plan) {
    for problem in plan.problems.iter().cloned().chain(plan.doubts()) {
        note!("warning: {}", safe(&problem));
    }
}

fn show(deal: &hospitium_model::Agreement, plan: &Plan, why: bool) {
    let paint = Paint::stdout();
    out!("{} on {}", paint.bold(&safe(&deal.title)), plan.as_of);
    for clause in &deal.clauses {
        let owed: Vec<&Obligation> =
            plan.obligations.iter().filter(|o| o.clause == clause.id).collect();
        if owed.is_empty() {
            continue;
        }
        let party = deal.party(&clause.party).map_or(clause.party.as_str(), |p| p.title.as_str());
        out!("\n{}  {} validates", paint.bold(&safe(&clause.id)), safe(party));
        // What is a year or more ahead is counted only.
        let far = Term::months(12).after(plan.as_of);
        let is_far = |owed: &Obligation| matches!(owed.state, State::Planned { from: Some(day) } if day > far);
        let (ahead, owed): (Vec<&Obligation>, Vec<&Obligation>) =
            owed.into_iter().partition(|owed| is_far(owed));
        for owed in owed {
            let word = format!("{:<15}", owed.state.word());
            out!(
                "  {} {:<44} on {:<36} {}{}",
                paint.verdict(colour(&owed.state), &word),
                safe(&owed.guest_name),
                safe(&owed.host_name),
                owed.state.when(),
                owed.blocked
                    .as_ref()
                    .map_or_else(String::new, |why| format!("; blocked: {}", safe(why)))
            );
            if why {
                owed.reasons.iter().for_each(|reason| out!("      {}", paint.dim(&safe(reason))));
            }
        }
        if !ahead.is_empty() {
            out!(
                "  {}",
                paint.dim(&format!("and {} pairs with versions released after {far}", ahead.len()))
            );
        }
    }
    out!(
        "\n{:<24} {:>8} {:>10} {:>8} {:>6} {:>8}",
        "party",
        "planned",
        "delivered",
        "holding",
        "late",
        "blocked"
    );
    for standing in &plan.standings {
        out!(
            "{:<24} {:>8} {:>10} {:>8} {:>6} {:>8}",
            safe(&standing.party),
            standing.planned,
            standing.delivered,
            standing.holding,
            standing.late,
            standing.blocked
        );
    }
    plan.heads.iter().for_each(|head| out!("as known by {}", safe(head)));
    let runs = plan.to_run();
    if !runs.is_empty() {
        out!("\n{} to run here, the most urgent first:", runs.len());
        for owed in runs.iter().take(10) {
            out!("  {}", safe(&owed.id));
        }
    }
    if !why {
        out!("\n--why tells why each stands as it does");
    }
}

/// The verdict in whose colour a state is shown.
const fn colour(state: &State) -> &'static str {
    match state {
        State::Fulfilled { .. } => "pass",
        State::Late { .. } | State::Failed { .. } | State::Lapsed { .. } => "fail",
        State::AboutToLapse { .. } | State::Due { .. } => "flaky",
        State::Planned { .. } | State::Over { .. } => "skip",
    }
}
