//! `hospitium plan`: what an agreement obliges to on a day, how each obligation stands, and why.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueHint};
use hospitium_ledger::dsse::Envelope;
use hospitium_ledger::statement::{Outcome as Result_, Record};
use hospitium_ledger::{LogFolder, Statement, walk};
use hospitium_model::{Accelerator, Digest, Term};
use hospitium_plan::obligation::{Grounds, Obligation, Outcome, Plan, State};
use hospitium_products::Product;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::agreement;
use crate::failure::{End, Usage};
use crate::out::{note, out};
use crate::product::SourceArguments;
use crate::view::{Paint, safe};

#[derive(Debug, Args)]
pub struct PlanArguments {
    /// A file, or the name of ./agreements/NAME.toml
    #[arg(value_hint = ValueHint::FilePath)]
    pub agreement: String,
    /// A log whose records count; may be given several times
    #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub log: Vec<PathBuf>,
    /// The day to look at [default: today]
    #[arg(long, value_name = "DATE")]
    pub as_of: Option<Date>,
    /// Only what this party owes
    #[arg(long, value_name = "NAME")]
    pub party: Option<String>,
    /// Only obligations in this state: planned, due, late, failed, fulfilled, lapsed, …
    #[arg(long, value_name = "STATE")]
    pub state: Vec<String>,
    /// Each obligation with all its reasons
    #[arg(long)]
    pub why: bool,
    /// JSON on standard output
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub sources: SourceArguments,
}

/// Lines of hosts that runs can be made on here.
const DRIVEN: [&str; 1] = ["qemu"];

/// `hospitium plan`.
pub fn plan(arguments: PlanArguments) -> Result<End> {
    let (_, deal) = agreement::open(&arguments.agreement)?;
    if let Some(name) = &arguments.party
        && deal.party(name).is_none()
    {
        let names: Vec<&str> = deal.parties.iter().map(|party| party.name.as_str()).collect();
        return Err(Usage::error(
            format!("{name} is no party to {}", deal.id),
            format!("name one of {}", names.join(", ")),
        ));
    }
    let products = arguments.sources.load()?;
    let mut outcomes = Vec::new();
    for log in &arguments.log {
        outcomes.extend(read_log(log)?);
    }
    let as_of = arguments.as_of.unwrap_or_else(|| jiff::Zoned::now().date());
    let suite = env!("CARGO_PKG_VERSION");
    let blocked = |_: &Product, host: &Product| {
        (!DRIVEN.contains(&host.line.as_str()))
            .then(|| format!("there is no driver for {} here yet", host.name))
    };
    let grounds = Grounds {
        products: &products,
        outcomes: &outcomes,
        suite: Some(suite),
        as_of,
        blocked: &blocked,
    };
    let mut plan = Plan::make(&deal, &grounds);
    let states: BTreeSet<&str> = arguments.state.iter().map(String::as_str).collect();
    plan.obligations.retain(|owed| {
        arguments.party.as_ref().is_none_or(|party| owed.party == *party)
            && (states.is_empty() || states.contains(owed.state.word()))
    });
    if arguments.json {
        out!("{}", serde_json::to_string_pretty(&plan).context("cannot write JSON")?);
    } else {
        show(&deal, &plan, arguments.why);
    }
    for problem in &plan.problems {
        note!("warning: {}", safe(problem));
    }
    let late = plan
        .obligations
        .iter()
        .any(|o| matches!(o.state, State::Late { .. } | State::Lapsed { .. }));
    Ok(if late || !plan.problems.is_empty() { End::Bad } else { End::Good })
}

/// What a log's records say of pairs. Suspended and withdrawn ones say so.
pub fn read_log(path: &std::path::Path) -> Result<Vec<Outcome>> {
    let folder = LogFolder::new(path);
    let checkpoint = folder
        .checkpoint()
        .with_context(|| format!("the log {} cannot be read", path.display()))?;
    let mut outcomes = Vec::new();
    let checked = walk(&folder, checkpoint.head(), |index, entry| {
        let Ok(Ok(statement)) = Envelope::parse(entry).map(|e| Statement::parse(e.payload()))
        else {
            return;
        };
        let day = statement.issued().to_zoned(TimeZone::UTC).date();
        let about = statement.subject.iter().find_map(|subject| subject.sha256());
        match statement.record {
            Record::Validation(validation) => {
                let ours = validation.hospitium;
                let (Some(guest), Some(host)) = (ours.guest.product, ours.host.product) else {
                    return;
                };
                let (Ok(guest), Ok(host)) = (guest.parse(), host.parse()) else { return };
                outcomes.push((
                    Digest::of(entry),
                    Outcome {
                        party: ours.party,
                        guest,
                        host,
                        arch: "x86_64".into(),
                        passed: validation.result != Result_::Failed,
                        validated: ours.run.ended.to_zoned(TimeZone::UTC).date(),
                        emulated: ours.envelope.accelerator == Accelerator::Tcg,
                        suite: ours.run.hospitium,
                        certificate: format!("{} entry {index}", checkpoint.head().origin),
                        withdrawn: None,
                    },
                ));
            }
            Record::Withdrawal(_) | Record::Suspension(_) => {
                for (digest, outcome) in &mut outcomes {
                    if Some(*digest) == about {
                        outcome.withdrawn = Some(day);
                    }
                }
            }
            Record::KeyChange(_) | Record::Waiver(_) => {}
        }
    });
    if let Some(first) = checked.problems.first() {
        return Err(Usage::error(
            format!("the log {} is damaged: {first}", path.display()),
            format!("look at all of it: hospitium log check {}", path.display()),
        ));
    }
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
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
                dates(owed),
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

fn dates(owed: &Obligation) -> String {
    match &owed.state {
        State::Planned { from: None } => "no release date known".into(),
        State::Planned { from: Some(day) } => format!("from {day}"),
        State::Due { by } | State::Late { by } => format!("by {by}"),
        State::Failed { on, .. } => format!("on {on}"),
        State::Fulfilled { until: Some(day), .. } | State::AboutToLapse { until: day, .. } => {
            format!("until {day}")
        }
        State::Fulfilled { until: None, .. } => "without an end that is known".into(),
        State::Lapsed { on, .. } => format!("since {on}"),
        State::Over { on } => format!("its time ended on {on}"),
    }
}
