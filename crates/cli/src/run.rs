//! `hospitium run`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use hospitium_host::Isolation;
use hospitium_model::{
    Answer, Bus, Capability, ChannelKind, CheckId, MACHINE_PARAMETERS, MachineRow, NicModel,
};
use hospitium_plan::cells::{CellPlan, excluded};
use hospitium_run::{
    Judgement, Order, Outcome, PlannedGuest, PlannedHost, Repeat, RunPlan, RunSummary, Selection,
    Stop, Wanted,
};
use hospitium_suite::{Check, StandardOptions, standard_machine};
use serde_json::json;

#[cfg(feature = "deal")]
use crate::again::Again;
use crate::args::RunArguments;
use crate::failure::{End, STOPS_BISECTION, Usage};
use crate::open::{Wishes, guests, host, reapers};
use crate::out::{note, out};
use crate::view::{Paint, safe};
#[cfg(feature = "deal")]
use crate::vm::Vm;
use crate::{places, planned, report, summary, view};

/// What is wrong with the arguments by themselves, told before anything is looked for.
struct Given {
    folder: PathBuf,
    selection: Selection,
    cells: Option<CellPlan>,
    order: Order,
    again: Option<Again>,
    vm: Option<Vm>,
}

/// Runs.
pub async fn run(arguments: RunArguments, cache: Option<PathBuf>, verbose: bool) -> Result<End> {
    if arguments.bisect {
        return Ok(bisect(&arguments, cache, verbose).await);
    }
    let mut arguments = arguments;
    let again = Again::of(&mut arguments)?;
    let given = Given { again, ..given(&arguments)? };
    let done = carry_out(&arguments, &given, cache, verbose).await?;
    let folder = &given.folder;
    let written = report::write_all(&done.evidence, folder).with_context(|| {
        format!("the report could not be written; then: hospitium report {}", folder.display())
    });
    if !arguments.json {
        let all = given.selection.is_everything();
        out!("{}", summary::text(&done, folder, Paint::stdout(), all).trim_end());
    }
    written?;
    if let Some(again) = &given.again {
        // Where it is a record of a failure, the same failure is what repeats it.
        let repeated = again.tell(folder)?;
        return Ok(if repeated { End::Good } else { End::Bad });
    }
    Ok(match done.outcome() {
        Outcome::Passed => End::Good,
        Outcome::Failed => End::Bad,
        Outcome::Unfinished => End::Unfinished,
    })
}

/// Runs for a case, whose command tells what came of it: the run's folder, with evidence and report.
#[cfg(feature = "deal")]
pub async fn for_case(
    arguments: RunArguments,
    cache: Option<PathBuf>,
    verbose: bool,
) -> Result<PathBuf> {
    let given = given(&arguments)?;
    let done = carry_out(&arguments, &given, cache, verbose).await?;
    let folder = given.folder;
    report::write_all(&done.evidence, &folder).with_context(|| {
        format!("the report could not be written; then: hospitium report {}", folder.display())
    })?;
    note!("report: {}", folder.join("report.html").display());
    Ok(folder)
}

/// For `git bisect run`: one line on standard output, and an exit code that git understands. Any code
/// but 0, 125 and those above 127 would mean a bad revision to it; so no error may end otherwise.
async fn bisect(arguments: &RunArguments, cache: Option<PathBuf>, verbose: bool) -> End {
    let given = match given(arguments) {
        Ok(given) => given,
        Err(error) => {
            crate::failure::tell(&error);
            return End::Code(STOPS_BISECTION);
        }
    };
    let judged = match carry_out(arguments, &given, cache, verbose).await {
        Ok(done) => {
            if let Err(error) = report::write_all(&done.evidence, &given.folder) {
                note!("note: the report could not be written: {error:#}");
            }
            note!("report: {}", given.folder.join("report.html").display());
            hospitium_run::judge(&done)
        }
        Err(error) => {
            crate::failure::tell(&error);
            let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
            Judgement::Untestable(causes.join(": ").replace('\n', " "))
        }
    };
    let (word, code) = (judged.word(), judged.exit_code());
    if arguments.json {
        let why = judged.why();
        out!("{}", json!({"event": "bisect", "verdict": word, "exit_code": code, "why": why}));
    } else {
        out!("{word}: {}", safe(judged.why()));
    }
    End::Code(code)
}

fn given(arguments: &RunArguments) -> Result<Given> {
    let folder = arguments.out.clone().unwrap_or_else(places::new_run_folder);
    free(&folder)?;
    let selection = Selection { only: arguments.check.clone(), without: arguments.skip.clone() };
    let checks = selection.of_suite()?;
    let order = order(arguments, &checks)?;
    let cells = arguments.plan.as_deref().map(planned::read).transpose()?;
    let vm = Vm::of(arguments)?;
    Ok(Given { folder, selection, cells, order, again: None, vm })
}

/// The order that was asked for, if it makes a difference.
fn order(arguments: &RunArguments, checks: &[&'static Check]) -> Result<Order> {
    let (order, option) = match &arguments.order_of {
        Some(run) => (Order::As(begun_in(run)?), "--order-of"),
        None if arguments.shuffle => (Order::Shuffled, "--shuffle"),
        None => return Ok(Order::Longest),
    };
    if checks.len() < 2 {
        return Err(Usage::error(
            format!("only {} is selected, so {option} has no effect", checks[0].id),
            format!("leave out {option}, or select more checks"),
        ));
    }
    if let (Order::As(ids), Some(run)) = (&order, &arguments.order_of)
        && !checks.iter().any(|check| ids.iter().any(|id| id.as_str() == check.id))
    {
        return Err(Usage::error(
            format!("{} ran none of the selected checks, so it gives them no order", run.display()),
            "name a run of these checks, or use --shuffle",
        ));
    }
    Ok(order)
}

/// The checks of a run in the order in which they began: as the run was told, else as its first cell
/// did.
fn begun_in(run: &Path) -> Result<Vec<CheckId>> {
    let bundle = crate::diff::open(run)?;
    if !bundle.run.order.is_empty() {
        return Ok(bundle.run.order);
    }
    let checks = bundle.cells.iter().take(1).flat_map(|cell| &cell.checks);
    let mut begun: Vec<_> = checks.filter(|check| check.verdict.ran()).collect();
    begun.sort_by(|a, b| a.started_ms.total_cmp(&b.started_ms));
    Ok(begun.into_iter().map(|check| check.id.clone()).collect())
}

/// Opens guests and hosts, runs, and leaves the evidence.
async fn carry_out(
    arguments: &RunArguments,
    given: &Given,
    cache: Option<PathBuf>,
    verbose: bool,
) -> Result<RunSummary> {
    let Given { folder, selection, cells, order, again, vm } = given;
    let (cache, places) = places::open_cache(cache)?;
    let mut wishes = Wishes::from(arguments);
    let mut hosts = Vec::new();
    for what in &arguments.on {
        hosts.push(host(what, &places, arguments.accelerator).await?);
    }
    let mut definition = None;
    if let (Some(vm), [host]) = (vm, hosts.as_slice()) {
        let built = vm.on(&*host.host, wishes);
        vm.tell(&built);
        wishes = built.wishes.clone();
        definition = Some(vm.pin(built));
    }
    if let (true, Some(definition)) = (arguments.json, &definition) {
        out!("{}", json!({"event": "definition", "definition": definition}));
    }
    let named = arguments.old.with(&arguments.guests);
    let (guests, exactly) = match cells {
        None => (guests(&named, &places, &wishes)?, None),
        Some(plan) => {
            let found = planned::cells(plan, &named, &hosts, &places, &wishes)?;
            (found.guests, Some(found.exactly))
        }
    };
    if let Some(again) = again {
        again.fits(&guests, &hosts)?;
    }
    for guest in &guests {
        hosts.iter().try_for_each(|host| can_be(guest, host))?;
    }
    let mut plan = RunPlan::new(guests, hosts, folder.clone(), cache)?.selecting(selection)?;
    plan.reapers = reapers();
    plan.definition = definition;
    plan.exactly = exactly;
    plan.isolation = arguments.isolation.map(Isolation::from);
    hosts_can(&plan)?;
    plan.seed = arguments.seed;
    plan.order = order.clone();
    plan.fresh_boot = arguments.fresh_boot;
    plan.repeat = Repeat {
        times: arguments.repeat,
        soak: arguments.soak,
        until_failure: arguments.until_failure,
    };
    plan.snapshots = (!arguments.no_cache).then_some(arguments.cache_size);
    let jobs = arguments.jobs.map(|jobs| jobs as usize);
    plan.wanted = Wanted { jobs, memory: arguments.memory_budget };
    let stop = Stop::default();
    let signals = watch_signals(stop.clone(), arguments.json)?;
    let view = view::fitting(arguments.json, verbose);
    let observer = Arc::new(view::SoFar::new(view, folder.clone()));
    let done = hospitium_run::run(plan, observer.clone(), stop).await;
    signals.abort();
    observer.close();
    drop(observer);
    let done = done.context("the run did not come to its end")?;
    if let Some(cells) = cells {
        let path = folder.join(planned::PLAN);
        std::fs::write(&path, cells.to_json()?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    places::point_latest(folder);
    Ok(done)
}

/// Whether all hosts can isolate checks as was asked for: told before anything is started.
fn hosts_can(plan: &RunPlan) -> Result<()> {
    let Some(asked) = plan.isolation else { return Ok(()) };
    let Some(less) = plan.hosts.iter().find(|host| host.host.isolation() > asked) else {
        return Ok(());
    };
    let name = &less.host.facts().name;
    let word = |isolation: Isolation| format!("{isolation:?}").to_lowercase();
    Err(Usage::error(
        format!("{name} cannot do --isolation {}", word(asked)),
        format!("leave it out: this host does --isolation {}", word(less.host.isolation())),
    ))
}

/// Whether the machine that was chosen can be on this host at all: told before anything is started.
fn can_be(guest: &PlannedGuest, host: &PlannedHost) -> Result<()> {
    let options = &guest.options;
    let &StandardOptions { memory, vcpus, firmware, nodes, chipset, disk, nic, channel, .. } =
        options;
    if options.machine_type.is_some() || options.cpu_model.is_some() {
        named(guest, host)?;
    }
    if let (Some(_), Answer::No(why)) = (options.tpm, host.host.offers(Capability::Tpm)) {
        let what = format!("no machine on {} can have a TPM: {why}", host.host.facts().name);
        return Err(Usage::error(what, "do as it says, or leave out --tpm"));
    }
    let row = MachineRow {
        chipset,
        firmware,
        disk: disk.unwrap_or(Bus::Virtio),
        nic: nic.unwrap_or(NicModel::Virtio),
        vcpus,
        memory,
        nodes: nodes.max(1),
        channel: channel.unwrap_or(ChannelKind::Virtio),
    };
    let left = [("disk", disk.is_none()), ("nic", nic.is_none()), ("channel", channel.is_none())];
    let chosen = MACHINE_PARAMETERS.into_iter().zip(row.words());
    let chosen: Vec<_> = chosen.filter(|(name, _)| !left.contains(&(name, true))).collect();
    let Some(rule) = excluded(&host.host.facts().kind, &chosen)? else { return Ok(()) };
    let options: Vec<String> = rule.settings.keys().map(|name| format!("--{name}")).collect();
    Err(Usage::error(
        format!(
            "a machine with {} cannot be on {}: {}",
            rule.what(),
            host.host.facts().name,
            rule.reason
        ),
        format!("choose another {}, or leave it out", options.join(" or ")),
    ))
}

/// Whether the host offers the CPU model and the machine type that were named.
fn named(guest: &PlannedGuest, host: &PlannedHost) -> Result<()> {
    let host = &*host.host;
    let name = &host.facts().name;
    let machine = standard_machine(&*guest.guest, host, &guest.options);
    let offered = || {
        machine.check()?;
        host.choices()?.check(&machine)
    };
    offered().map_err(|error| {
        let next = "choose another --cpu or --machine-type, or leave it out; `hospitium host check` lists what a host \
                    offers";
        Usage::because(error, format!("no machine can be made so on {name}"), next)
    })
}

/// Evidence is never overwritten.
fn free(folder: &Path) -> Result<()> {
    let Ok(mut items) = std::fs::read_dir(folder) else {
        return match std::fs::symlink_metadata(folder) {
            Ok(_) => Err(Usage::error(
                format!("{} is there and is no folder", folder.display()),
                "give this run another one with --out",
            )),
            Err(_) => Ok(()),
        };
    };
    if items.next().is_none() {
        return Ok(());
    }
    // A run that was killed left this; `run` puts it in order, and it stays as it is then.
    Err(Usage::error(
        format!("{} is not empty; evidence is never overwritten", folder.display()),
        "give this run another folder with --out, or leave it out for a new one under runs/",
    ))
}

/// The first Ctrl-C (or SIGTERM, SIGHUP) ends the run in order; the second leaves at once. Machines end
/// with this process either way.
fn watch_signals(stop: Stop, json: bool) -> Result<tokio::task::JoinHandle<()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let listen = |kind| signal(kind).context("cannot listen for signals");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    Ok(tokio::spawn(async move {
        for n in 0.. {
            let word = tokio::select! {
                _ = interrupt.recv() => "interrupted by Ctrl-C",
                _ = terminate.recv() => "ended by SIGTERM",
                _ = hang_up.recv() => "the terminal was closed",
            };
            if n > 0 {
                std::process::exit(130);
            }
            if !json {
                note!("\n{word}: ending the machines; once more leaves at once");
            }
            stop.stop(word);
        }
    }))
}

/// Without the deal there is no record that could be repeated.
#[cfg(not(feature = "deal"))]
enum Again {}

#[cfg(not(feature = "deal"))]
impl Again {
    const fn of(_: &mut RunArguments) -> Result<Option<Self>> {
        Ok(None)
    }

    fn fits(&self, _: &[PlannedGuest], _: &[PlannedHost]) -> Result<()> {
        match *self {}
    }

    fn tell(&self, _: &Path) -> Result<bool> {
        match *self {}
    }
}

/// Nor is there a reader of definitions.
#[cfg(not(feature = "deal"))]
enum Vm {}

#[cfg(not(feature = "deal"))]
impl Vm {
    const fn of(_: &RunArguments) -> Result<Option<Self>> {
        Ok(None)
    }

    fn on(&self, _: &dyn hospitium_host::Host, _: Wishes) -> Built {
        match *self {}
    }

    fn tell(&self, _: &Built) {
        match *self {}
    }

    fn pin(&self, _: Built) -> hospitium_model::DefinitionPin {
        match *self {}
    }
}

#[cfg(not(feature = "deal"))]
struct Built {
    wishes: Wishes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_something_in_it_is_not_taken() {
        let top = tempfile::tempdir().expect("a folder");
        assert!(free(&top.path().join("new")).is_ok());
        assert!(free(top.path()).is_ok(), "empty");
        std::fs::write(top.path().join("x"), "").expect("written");
        assert!(free(top.path()).is_err());
        assert!(free(&top.path().join("x")).is_err(), "a file");
    }
}
