//! `hospitium agreement watch`: which releases are new, and what they oblige to.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueHint};
use hospitium_model::Agreement;
use hospitium_plan::obligation::{Outcome, State};
use hospitium_products::{Builder, Fact, FactValue, Sources};
use hospitium_watch::{Change, Deal, Ground, Look, Moved, News, Options, Owed, Source, look};
use jiff::civil::Date;

use crate::deals;
use crate::failure::{End, Usage};
use crate::logs::{LogArguments, OwnParty, of_logs, today};
use crate::out::{note, out};
use crate::product::SourceArguments;
use crate::view::{Paint, safe};

/// What `--help` says of sources and exit codes.
pub const EXIT_CODES: &str = "\
A SOURCE is one of:
  debian:SUITE[@MIRROR]  kernels and QEMU of a Debian suite, and its point releases; without a
                         mirror, from the lists that apt has on this machine
  endoflife:PLACE        endoflife.date's products: a folder, a file, an archive, or an API
  osinfo:PLACE           osinfo-db: a folder, or an archive as its makers publish it
  feed:PLACE             an Atom or RSS feed whose titles name releases
  products:PLACE         definitions of products (*.toml)
  images:FOLDER          images whose names tell of a release
  PLACE                  any of these whose kind can be seen

Exit codes:
  0  nothing more is owed: nothing is new, or what is new obliges to nothing more
  1  there are new obligations, or what holds or is due ends earlier
  2  the command cannot be understood or carried out as given
  3  nothing more is owed by what could be read, and a source could not be read";

/// The first wait after a look that could not read everything.
const FIRST_WAIT: Duration = Duration::from_secs(60);
/// The shortest time between two looks.
const SHORTEST: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub struct WatchArguments {
    /// Agreements: files, or the ids or file names of those that the configuration has [default: all of these]
    #[arg(value_hint = ValueHint::FilePath, value_name = "AGREEMENT")]
    pub agreements: Vec<String>,
    /// Where releases are told; may be given several times. What is known on this machine (osinfo-db,
    /// built-in and further definitions) is always looked at
    #[arg(long, value_name = "SOURCE")]
    pub from: Vec<String>,
    /// What was known at the last look
    #[arg(long = "last-look", alias = "state", value_name = "FILE", value_hint = ValueHint::FilePath, default_value = "watch.json")]
    pub state: PathBuf,
    /// Where definitions go of what is new, for `hospitium agreement plan --products`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, default_value = "watch-products/seen.toml")]
    pub overlay: PathBuf,
    /// Look once, as it does without --every
    #[arg(long, conflicts_with = "every")]
    pub once: bool,
    /// Look again and again, such as every 6h or 30min, until it is ended
    #[arg(long, value_name = "SPAN")]
    pub every: Option<jiff::SignedDuration>,
    /// Keys that a Debian suite may be signed by [default: Debian's own]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub keyring: Option<PathBuf>,
    /// Debian's name of the architecture
    #[arg(long = "debian-arch", alias = "arch", value_name = "ARCH", default_value = "amd64")]
    pub arch: String,
    #[command(flatten)]
    pub own: OwnParty,
    #[command(flatten)]
    pub logs: LogArguments,
    /// The day for which it is asked [default: today, UTC]
    #[arg(long, value_name = "DATE", conflicts_with = "every", value_parser = hospitium_model::asked_day)]
    pub as_of: Option<Date>,
    /// One JSON object a look, on standard output
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub sources: SourceArguments,
    /// The exit codes of `hospitium agreement watch`, as it was called in the release before
    #[arg(long, hide = true)]
    pub old_exit_codes: bool,
}

/// `hospitium agreement watch`.
pub async fn watch(arguments: WatchArguments) -> Result<End> {
    let read = |text: &String| {
        let next = "`hospitium agreement watch --help` tells of each kind of source";
        Source::parse(text).map_err(|error| Usage::error(error.to_string(), next))
    };
    let sources = arguments.from.iter().map(read).collect::<Result<Vec<_>>>()?;
    let sound = arguments.arch.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !sound || arguments.arch.is_empty() {
        return Err(Usage::error("that is no architecture of Debian", "--debian-arch amd64"));
    }
    let deals = deals::open_all(arguments.agreements.clone())?;
    if deals.is_empty() {
        note!(
            "note: no agreement is named and the configuration has none, so releases oblige to nothing"
        );
    }
    let Some(every) = arguments.every else {
        let looked = one(&arguments, &sources, &deals).await?;
        return Ok(if arguments.old_exit_codes { old_end(&looked) } else { end(&looked) });
    };
    let every =
        Duration::try_from(every).ok().filter(|every| *every >= SHORTEST).ok_or_else(|| {
            Usage::error(
                "that is too often to look",
                "look every 10 seconds or less often: --every 6h",
            )
        })?;
    again_and_again(&arguments, &sources, &deals, every).await
}

/// Looks until it is ended. A look that fails, or that could not read everything, is made again
/// after a minute, then after two, four, …, and never later than the next one is due.
async fn again_and_again(
    arguments: &WatchArguments,
    sources: &[Source],
    deals: &[Agreement],
    every: Duration,
) -> Result<End> {
    use tokio::signal::unix::{SignalKind, signal};
    // Listened to from here to the end: `tokio::signal::ctrl_c` made anew at each wait would lose
    // the one that comes between two of them.
    let listen = |kind| signal(kind).context("cannot wait for the signal to end");
    let mut interrupted = listen(SignalKind::interrupt())?;
    let mut ended = listen(SignalKind::terminate())?;
    let mut wait = FIRST_WAIT.min(every);
    loop {
        let looked = tokio::select! {
            looked = one(arguments, sources, deals) => looked,
            _ = interrupted.recv() => return Ok(End::Good),
            _ = ended.recv() => return Ok(End::Good),
        };
        let partial = match looked {
            Ok(looked) => looked.is_partial() && !looked.has_news(),
            Err(error) => {
                crate::failure::tell(&error);
                true
            }
        };
        let pause = if partial { wait } else { every };
        wait = if partial { (wait * 2).min(every) } else { FIRST_WAIT.min(every) };
        let seconds = i64::try_from(pause.as_secs()).unwrap_or(i64::MAX);
        note!("next look in {:#}", jiff::SignedDuration::from_secs(seconds));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = interrupted.recv() => return Ok(End::Good),
            _ = ended.recv() => return Ok(End::Good),
        }
    }
}

fn end(looked: &Look) -> End {
    if looked.obliges() {
        End::Bad
    } else if looked.is_partial() {
        End::Unfinished
    } else {
        End::Good
    }
}

/// By the exit codes of the release before.
fn old_end(looked: &Look) -> End {
    if looked.obliges() {
        End::Code(5)
    } else if looked.has_news() {
        End::Code(4)
    } else if looked.is_partial() {
        End::Bad
    } else {
        End::Good
    }
}

/// One look, told.
async fn one(arguments: &WatchArguments, sources: &[Source], deals: &[Agreement]) -> Result<Look> {
    let as_of = arguments.as_of.unwrap_or_else(today);
    let catalog = of_logs(&arguments.logs).await?;
    let outcomes = catalog.outcomes(as_of).await.context("the records cannot be read")?;
    let given = arguments.sources.clone().named();
    let options = Options {
        keyring: arguments.keyring.clone(),
        lists: None,
        arch: arguments.arch.clone(),
        as_of,
    };
    let (sources, state) = (sources.to_vec(), arguments.state.clone());
    let (overlay, agreements) = (arguments.overlay.clone(), deals.to_vec());
    // Files and the network, one after the other: a thread of its own waits for them.
    let looking = tokio::task::spawn_blocking(move || -> Result<Look> {
        let ground = ground(given, &overlay)?;
        let deals: Vec<Deal<'_>> =
            agreements.iter().map(|agreement| deal(agreement, &outcomes, as_of)).collect();
        Ok(look(&sources, &ground, &options, &deals, &state, &overlay)?)
    });
    let looked = looking.await.context("the look broke off")??;
    if arguments.json {
        out!("{}", serde_json::to_string(&looked).context("cannot write JSON")?);
    } else {
        show(&looked, arguments, deals);
    }
    for source in &looked.sources {
        if let Some(error) = &source.error {
            note!("warning: {} could not be read: {}", safe(&source.source), safe(error));
        }
    }
    Ok(looked)
}

fn deal<'a>(agreement: &'a Agreement, outcomes: &'a [Outcome], as_of: Date) -> Deal<'a> {
    Deal { agreement, outcomes, suite: Some(env!("CARGO_PKG_VERSION")), as_of }
}

/// What is known here, without what an earlier look has written.
fn ground(mut sources: Sources, overlay: &std::path::Path) -> Result<Ground> {
    sources.left_out = Some(overlay.to_owned());
    let endoflife = sources.endoflife.take();
    let without_endoflife = Builder::load(&sources)?;
    let mut builder = without_endoflife.clone();
    if let Some(place) = endoflife {
        for product in hospitium_products::read_endoflife(&place)? {
            builder.add_endoflife(product);
        }
    }
    let products = builder.clone().finish()?;
    Ok(Ground { without_endoflife, builder, products })
}

fn show(looked: &Look, arguments: &WatchArguments, deals: &[Agreement]) {
    let paint = Paint::stdout();
    out!("{}", paint.bold(&format!("Looked on {}", looked.as_of)));
    for source in &looked.sources {
        let told = match (&source.error, source.first) {
            (Some(_), _) => "could not be read; what it said before still counts".to_owned(),
            (None, true) => {
                format!(
                    "{} releases; the first look, so all of them count as seen",
                    source.releases
                )
            }
            (None, false) => format!("{} releases", source.releases),
        };
        out!("  {:<40} {told}", safe(&source.source));
        source.notes.iter().for_each(|note| out!("      {}", paint.dim(&safe(note))));
    }
    let (builds, products): (Vec<&News>, Vec<&News>) =
        looked.news.iter().partition(|news| news.release.build.is_some());
    // A build of a product that is new itself adds nothing.
    let builds: Vec<&News> = builds.into_iter().filter(|news| news.known_product).collect();
    list(&paint, "new release{s}", &products, |news| show_release(&paint, news));
    list(&paint, "new build{s} of what is known", &builds, |news| show_build(&paint, news));
    let changes: Vec<&Change> = looked.changes.iter().collect();
    list(&paint, "product{s} of which other days are told", &changes, |change| {
        show_change(&paint, change)
    });
    for (obliged, deal) in looked.obliged.iter().zip(deals) {
        let created: Vec<&Owed> = obliged.created.iter().collect();
        let title = safe(&deal.title);
        list(&paint, &format!("new obligation{{s}} under {title}"), &created, |owed| {
            show_owed(&paint, owed);
        });
        if obliged.too_late > 0 {
            out!("  and {} whose time is over already", obliged.too_late);
        }
        let moved: Vec<&Moved> = obliged.moved.iter().collect();
        list(&paint, &format!("other last day{{s}} under {title}"), &moved, |moved| {
            show_moved(&paint, moved);
        });
        let gone: Vec<&String> = obliged.gone.iter().collect();
        list(&paint, &format!("obligation{{s}} that ended under {title}"), &gone, |id| {
            out!("  {}", safe(id));
        });
    }
    if !looked.has_news() {
        out!("\nNothing is new.");
    } else if !looked.obliges() && !deals.is_empty() {
        out!("\nThis obliges to nothing more.");
    }
    if looked.has_news() {
        let folder = arguments.overlay.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.map_or_else(|| ".".to_owned(), |folder| folder.display().to_string());
        out!("\nWith all of it: hospitium agreement plan AGREEMENT --products {}", safe(&folder));
    }
}

/// How many of a kind are shown; --json has all.
const SHOWN: usize = 40;

fn list<T>(paint: &Paint, title: &str, all: &[&T], show: impl Fn(&T)) {
    if all.is_empty() {
        return;
    }
    // `new release{s}` is one new release, or several.
    let title = title.replace("{s}", if all.len() == 1 { "" } else { "s" });
    out!("\n{}", paint.bold(&format!("{} {title}", all.len())));
    all.iter().take(SHOWN).for_each(|one| show(one));
    if all.len() > SHOWN {
        out!("  and {} more; --json has all", all.len() - SHOWN);
    }
}

fn show_release(paint: &Paint, news: &News) {
    let day = match news.release.released() {
        Some(day) => format!("released {day}"),
        None => "no day of release is told, so nothing is owed for it yet".into(),
    };
    out!("  {:<44} {day}", safe(&news.release.name));
    show_source(paint, news);
}

fn show_build(paint: &Paint, news: &News) {
    let build = news.release.build.as_deref().unwrap_or_default();
    let day = news.release.released().map_or_else(String::new, |day| format!("  {day}"));
    out!("  {:<44} {}{day}", safe(&news.release.name), safe(build));
    show_source(paint, news);
}

fn show_source(paint: &Paint, news: &News) {
    let source = news.release.source().map_or_else(|| news.source.clone(), ToString::to_string);
    out!("      {}", paint.dim(&safe(&source)));
}

fn show_change(paint: &Paint, change: &Change) {
    out!("  {}", safe(&change.name));
    let lacks = |fact: &&Fact, others: &[Fact]| {
        !others.iter().any(|o| o.property == fact.property && o.value == fact.value)
    };
    for fact in change.after.iter().filter(|fact| lacks(fact, &change.before)) {
        let mut old: Vec<String> = change
            .before
            .iter()
            .filter(|before| before.property == fact.property)
            .map(|before| value(&before.value))
            .collect();
        old.dedup();
        let old = if old.is_empty() { "nothing".into() } else { old.join(", ") };
        let words = fact.property.words();
        out!("      {words}: {}, where {} was said", safe(&value(&fact.value)), safe(&old));
        out!("      {}", paint.dim(&safe(&fact.source.to_string())));
    }
    for fact in change.before.iter().filter(|fact| lacks(fact, &change.after)) {
        if !change.after.iter().any(|after| after.property == fact.property) {
            out!("      {}: not said any more", fact.property.words());
        }
    }
}

fn value(value: &FactValue) -> String {
    value.to_string()
}

fn show_owed(paint: &Paint, owed: &Owed) {
    let obligation = &owed.obligation;
    let when = match &obligation.state {
        State::Due { by } | State::Late { by } => format!("{} by {by}", obligation.state.word()),
        State::Planned { from: Some(day) } => format!("owed from {day}"),
        State::Fulfilled { until: Some(day), .. } | State::AboutToLapse { until: day, .. } => {
            format!("{}, until {day}", obligation.state.word())
        }
        state => state.word().to_owned(),
    };
    out!("  {:<44} on {:<30} {when}", safe(&obligation.guest_name), safe(&obligation.host_name));
    out!("      {} owes it: {}", safe(&obligation.party), safe(&owed.rule));
    let told = matches!(obligation.state, State::Due { .. } | State::Late { .. });
    if let Some(reason) = obligation.reasons.first().filter(|_| !told) {
        out!("      {}", paint.dim(&safe(reason)));
    }
}

fn show_moved(paint: &Paint, moved: &Moved) {
    let day = |day: Option<Date>| day.map_or_else(|| "an unknown day".into(), |d| d.to_string());
    let word = if moved.is_earlier() { "earlier" } else { "later" };
    out!(
        "  {:<44} on {:<30} {} until {}, {word} than {}",
        safe(&moved.pair.0),
        safe(&moved.pair.1),
        moved.what,
        day(moved.after),
        day(moved.before)
    );
    out!("      {}", paint.dim(&safe(&moved.why)));
}
