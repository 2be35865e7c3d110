//! `hospitium replay`: a person in the very state that a check began in.

mod console;
mod keyboard;
mod prompt;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hospitium_evidence::{Bundle, Cell};
use hospitium_run::replay::{Replay, ReplayPlan, enter};
use hospitium_run::{Places, RunEvent, find, made};

use crate::args::{AcceleratorArgument, ReplayArguments};
use crate::failure::{End, Usage};
use crate::open::{Wishes, guest, host, reapers};
use crate::out::note;
use crate::view::{safe, time};
use crate::{places, replay};

/// Runs.
pub async fn run(arguments: ReplayArguments, cache: Option<PathBuf>) -> Result<End> {
    let (_, places) = places::open_cache(cache)?;
    let evidence = places::evidence(&arguments.run)?;
    let bundle = Bundle::open(&evidence)
        .with_context(|| format!("the evidence {} cannot be read", evidence.display()))?;
    if !bundle.is_sound() {
        note!("warning: something is wrong with this evidence; `hospitium verify RUN` says what");
    }
    let cell = choose(&bundle, arguments.cell.as_deref(), &arguments.run)?;
    let check = find(&arguments.check).ok_or_else(|| {
        Usage::error(
            format!("no check is named {:?}", arguments.check),
            "hospitium suite list shows all",
        )
    })?;
    let replayed = open(&arguments, &places, &bundle, cell, check).await?;
    if replayed.made_again {
        note!(
            "The saved machine was gone and was made again: the state is a like one, not the same."
        );
    }
    replay::prompt::run(replayed, arguments.console).await?;
    Ok(End::Good)
}

/// The cell that is meant.
fn choose<'a>(bundle: &'a Bundle, named: Option<&str>, run: &Path) -> Result<&'a Cell> {
    let names =
        || bundle.cells.iter().map(|cell| cell.record.name.as_str()).collect::<Vec<_>>().join(", ");
    match (named, &bundle.cells[..]) {
        (Some(name), _) => bundle.cell(name).ok_or_else(|| {
            Usage::error(format!("the run has no cell {name:?}"), format!("it has: {}", names()))
        }),
        (None, [only]) => Ok(only),
        (None, []) => Err(Usage::error(
            format!("the run in {} has no cell that began", run.display()),
            "name another run",
        )),
        (None, _) => Err(Usage::error(
            "the run has several cells",
            format!("say which with --cell: {}", names()),
        )),
    }
}

async fn open(
    arguments: &ReplayArguments,
    places: &Places,
    bundle: &Bundle,
    cell: &Cell,
    check: &'static hospitium_suite::Check,
) -> Result<Replay> {
    let record = &cell.record;
    // Evidence may come from anyone, so what it says is shown to the person and not carried out.
    let origin = made::find(&places.made(), &bundle.run.id, &record.name);
    let said = |what: &str| record.observed.get(what).map_or_else(|| "?".into(), |text| safe(text));
    let missing = |side: &str, how: &str| {
        Usage::error(
            format!("this run was not made here, so its {side} must be named"),
            format!("add {how}; the evidence says that it was {}", said(&format!("{side} origin"))),
        )
    };
    let named = arguments.guest.as_ref().or(arguments.old_guest.as_ref()).cloned();
    let guest_name = named.or_else(|| origin.as_ref().map(|o| o.guest.clone()));
    let host_name = arguments.on.clone().or_else(|| origin.map(|o| o.host));
    let guest_name = guest_name.ok_or_else(|| missing("guest", "GUEST behind the check"))?;
    let host_name = host_name.ok_or_else(|| missing("host", "--on HOST"))?;
    let guest = guest(&guest_name, places, &Wishes::default())?;
    let accelerator = if record.host.accelerator.used.is_hardware() {
        AcceleratorArgument::Auto
    } else {
        AcceleratorArgument::Tcg
    };
    let host = host(&host_name, places, accelerator).await?;
    let plan = ReplayPlan {
        record,
        seed: bundle.run.seed,
        check,
        guest,
        host,
        places,
        reapers: reapers(),
    };
    let tell = |event: &RunEvent| match event {
        RunEvent::Booting { expected_ms, .. } => {
            let about = expected_ms.map(|ms| format!(" (about {})", time(ms))).unwrap_or_default();
            note!("The saved machine is not in the cache; it boots{about}.");
        }
        RunEvent::Note { words, .. } => note!("note: {}", safe(words)),
        _ => {}
    };
    enter(plan, &tell).await.context("the state cannot be entered")
}
