//! `hospitium case reproduce` with a run: the case's cell on a host of ours, or a run that is there already, as the
//! answer to what a reproduction asks.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser as _;
use hospitium_desk::exchange::Thread;
use hospitium_desk::{
    Attachment, Case, Deed, DeedKind, Event, Next, Place as Where, ReproductionResult, Text,
    hindrance,
};
use hospitium_model::printable;
use jiff::Timestamp;

use super::act;
use super::evidence::packed;
use super::machine::{Cell, cell_of};
use super::on::OnCase;
use super::place::Place;
use super::show;
use super::verbs::Reproduce;
use crate::args::{Arguments, Command, RunArguments};
use crate::failure::{End, Usage};
use crate::out::{note, out};
use crate::view::safe;

/// The most characters of a result's words.
const WORDS: usize = 4_000;

/// `hospitium case reproduce`.
pub async fn reproduce(
    it: OnCase<Reproduce>,
    cache: Option<PathBuf>,
    verbose: bool,
) -> Result<End> {
    if it.what.boot.is_none() && it.what.run.is_none() {
        return act::act(it).await;
    }
    let OnCase { case, what, on } = it;
    let place = Place::open(&on.desk).await?;
    let mut thread = place.load(&case).await?;
    let cell = cell_of(&thread.case().configuration);
    let arguments = match &what.boot {
        Some(guest) => Some(arguments(guest, &what, &cell)?),
        None => None,
    };
    // What cannot be reported is told before hours are spent on it.
    let number = match open_one(&thread, what.of)? {
        Some(number) => {
            may(&thread, DeedKind::Reproduced)?;
            number
        }
        None => {
            let number = u32::try_from(thread.case().reproductions.len()).unwrap_or(u32::MAX);
            let (by, place_of) = (thread.us(), Where::OwnHypervisor);
            let asked = Deed::ReproductionAsked { by, place: place_of, what: what.text.clone() };
            thread = post(&place, &thread, asked).await?;
            number
        }
    };
    may(&thread, DeedKind::Attached)?;
    let (folder, how) = match (arguments, &what.run) {
        (Some((arguments, typed)), _) => {
            note!("$ {}", safe(&typed));
            let mut how = vec![format!("$ {typed}")];
            how.extend(cell.left_out.iter().cloned());
            (crate::run::for_case(arguments, cache, verbose).await?, how)
        }
        (None, Some(run)) => (run.clone(), Vec::new()),
        (None, None) => return Err(Usage::error("no run is named", "see --help")),
    };
    let answered = answer(&place, &thread, number, &what, &folder, &how).await;
    let (thread, code) = answered.with_context(|| {
        format!(
            "the run is in {}; report it by: hospitium case reproduce {} {:?} --of {number} --run {}",
            folder.display(),
            thread.id(),
            "WORDS",
            folder.display()
        )
    })?;
    show::after(&thread, DeedKind::Reproduced, on.json);
    Ok(code)
}

/// Attaches the run, and reports what it shows.
async fn answer(
    place: &Place,
    thread: &Thread,
    number: u32,
    what: &Reproduce,
    folder: &Path,
    how: &[String],
) -> Result<(Thread, End)> {
    let (attachment, run) = packed(place, folder, what.classification.into(), None)?;
    differs(thread.case(), &run);
    let shown = what.result.unwrap_or_else(|| run.shown());
    let mut words = vec![what.text.to_string()];
    words.extend(how.iter().cloned());
    words.extend(run.lines());
    words.extend(run.replay(attachment.name.as_str()));
    let words: Vec<String> = words.iter().map(|line| printable(line, 1_000)).collect();
    let text: Text = words.join("\n").chars().take(WORDS).collect::<String>().parse()?;
    let sha256 = attachment.sha256;
    let now = attach(place, thread, attachment).await?;
    let result = ReproductionResult { shown, text, machine: Some(sha256) };
    let done = post(place, &now, Deed::Reproduced { reproduction: number, result }).await?;
    for line in run.lines() {
        note!("  {}", safe(&line));
    }
    out!("reproduction {number}: {shown}; the run is attached as {sha256}");
    Ok((done, End::Good))
}

/// Attaches it, unless the case has it already: the run was attached before, or the command broke off in between.
async fn attach(place: &Place, thread: &Thread, attachment: Attachment) -> Result<Thread> {
    let known = thread.case().attachments.iter();
    match known.into_iter().any(|file| file.file.sha256 == attachment.sha256) {
        true => Ok(place.office.store.load(thread.id()).await?),
        false => post(place, thread, Deed::Attached { attachment }).await,
    }
}

async fn post(place: &Place, thread: &Thread, deed: Deed) -> Result<Thread> {
    let event = Event { at: super::now(), by: thread.us(), person: place.person.clone(), deed };
    let now = place.office.store.post(thread.id(), event, &place.office.party().record).await;
    let now = now.map_err(|error| {
        Usage::error(error.to_string(), format!("hospitium case show {}", thread.id()))
    })?;
    place.office.ring();
    Ok(now)
}

fn may(thread: &Thread, deed: DeedKind) -> Result<()> {
    let next = Next { deed, by: thread.us() };
    match hindrance(thread.case(), next, Timestamp::now()) {
        None => Ok(()),
        Some(fault) => Err(Usage::error(
            format!("{} is not possible now: {fault}", deed.verb()),
            format!("hospitium case show {}", thread.id()),
        )),
    }
}

/// The reproduction that is answered: the one that is named, or the only one that waits for us. Nothing if none does.
fn open_one(thread: &Thread, named: Option<u32>) -> Result<Option<u32>> {
    let us = thread.us();
    let waiting = thread.case().reproductions.iter().enumerate();
    let waiting: Vec<u32> = waiting
        .filter(|(_, tried)| tried.by == us && tried.result.is_none())
        .filter_map(|(number, _)| u32::try_from(number).ok())
        .collect();
    match (named, waiting.as_slice()) {
        (Some(number), some) if some.contains(&number) => Ok(Some(number)),
        (Some(number), some) => {
            let some: Vec<String> = some.iter().map(ToString::to_string).collect();
            let some = if some.is_empty() { "none does".to_owned() } else { some.join(", ") };
            Err(Usage::error(
                format!("no reproduction {number} waits for this party"),
                format!("name one that does: {some}"),
            ))
        }
        (None, []) => Ok(None),
        (None, [one]) => Ok(Some(*one)),
        (None, several) => {
            let several: Vec<String> = several.iter().map(ToString::to_string).collect();
            Err(Usage::error(
                format!("reproductions {} wait for this party", several.join(", ")),
                "name the one that the run answers: --of NUMBER",
            ))
        }
    }
}

/// What `hospitium run` is told, and how a person would type it.
fn arguments(guest: &str, what: &Reproduce, cell: &Cell) -> Result<(RunArguments, String)> {
    let host = what.on.clone().unwrap_or_else(|| "qemu".to_owned());
    let mut words = ["run", guest, "--on", &host].map(str::to_owned).to_vec();
    // What is typed overrides what the case says.
    let typed = |name: &str| {
        what.more.iter().any(|word| word == name || word.starts_with(&format!("{name}=")))
    };
    for (name, value) in cell.options.iter().filter(|(name, _)| !typed(name)) {
        words.extend([(*name).to_owned(), value.clone()]);
    }
    words.extend(what.more.iter().cloned());
    let program = std::iter::once("hospitium".to_owned());
    let parsed = Arguments::try_parse_from(program.chain(words.iter().cloned()));
    let parsed = parsed.map_err(|error| {
        let words = error.to_string();
        let first = words.lines().next().unwrap_or_default().trim_start_matches("error: ");
        Usage::error(
            format!("hospitium run does not take this: {}", safe(first)),
            "give what `hospitium run --help` lists after --: hospitium case reproduce CASE WORDS --boot GUEST -- \
             --check time",
        )
    })?;
    let Command::Run(arguments) = parsed.command else {
        return Err(Usage::error("this is no run", "give options of `hospitium run` after --"));
    };
    if arguments.json || arguments.bisect || arguments.plan.is_some() || arguments.again.is_some() {
        return Err(Usage::error(
            "--json, --bisect, --plan and --again are not for a run that answers a case",
            "leave them out",
        ));
    }
    // The other vendor reads it: folders of this computer are none of its business.
    let named = words.iter().map(|word| match word.starts_with('/') {
        true => word.split('+').map(file_name).collect::<Vec<_>>().join("+"),
        false => word.clone(),
    });
    let quoted = named.map(|word| match word.contains([' ', '*', '?', '"', '\'']) {
        true => format!("'{word}'"),
        false => word,
    });
    let typed = format!("hospitium {}", quoted.collect::<Vec<_>>().join(" "));
    Ok((*arguments, typed))
}

fn file_name(path: &str) -> String {
    let name = Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| path.to_owned())
}

/// Says where the run is of something else than the case.
fn differs(case: &Case, run: &hospitium_desk::Ran) {
    let Some(cell) = run.cells.first() else { return };
    let told = &case.configuration;
    for (what, ran, has) in [("guest", &cell.guest, &told.guest), ("host", &cell.host, &told.host)]
    {
        if ran != has {
            note!(
                "note: the run's {what} is {}; the case's is {}",
                safe(ran.as_str()),
                safe(has.as_str())
            );
        }
    }
}
