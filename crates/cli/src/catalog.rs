//! `hospitium catalog`: the read model of logs, built and exported.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueHint};
use hospitium_catalog::{Catalog, Given, LogRow, LogSource, Rebuilt};
use hospitium_ledger::{Checkpoint, LogFolder, NotChosen, Policies};
use jiff::civil::Date;

use crate::failure::{End, Usage};
use crate::out::{note, out};
use crate::serve::SiteArguments;
use crate::view::safe;

/// Where the catalog is if nothing else is said.
pub const USUAL: &str = "catalog.db";

#[derive(Debug, Subcommand)]
pub enum CatalogCommand {
    /// Build the catalog again from logs; every record is verified
    Build(BuildArguments),
    /// Write the site as static files, and the catalog as CSV, JSON, Markdown and osinfo deployments
    Export(Box<ExportArguments>),
}

#[derive(Debug, Args)]
pub struct BuildArguments {
    #[command(flatten)]
    pub logs: LogArguments,
    /// The database: a file, or an address such as postgres://USER@HOST/NAME
    #[arg(long, value_name = "FILE|URL", default_value = USUAL, env = "HOSPITIUM_CATALOG", hide_env_values = true)]
    pub db: String,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ExportArguments {
    /// The folder to write to; made if it is not there
    #[arg(value_hint = ValueHint::DirPath)]
    pub folder: PathBuf,
    #[command(flatten)]
    pub site: SiteArguments,
}

#[derive(Debug, Clone, Args)]
pub struct LogArguments {
    /// A log, or a copy of one; may be given several times
    #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub log: Vec<PathBuf>,
    /// Whom to trust; of several, each log is believed by the one that names it [default: for a log in its
    /// party's folder, the policy beside it]
    #[arg(long, value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub policy: Vec<PathBuf>,
    /// Trust what the party of this folder trusts: its own log, and those of the peers of `party trust`
    #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub peers_of: Option<PathBuf>,
}

/// `hospitium catalog`.
pub async fn catalog(command: &CatalogCommand) -> Result<End> {
    match command {
        CatalogCommand::Build(arguments) => build(arguments).await,
        CatalogCommand::Export(arguments) => export(arguments).await,
    }
}

/// The logs that are named, each with the policy under which it is believed.
pub fn sources(arguments: &LogArguments) -> Result<Vec<LogSource>> {
    let policies = Policies::read(&arguments.policy, arguments.peers_of.as_deref())?;
    let mut sources = Vec::new();
    for path in &arguments.log {
        let folder = LogFolder::new(path);
        let chosen = policies.of_log(&folder).map_err(not_chosen)?;
        if chosen.beside {
            let beside = chosen.path.display();
            note!("note: {} is believed by its own policy, {beside}", path.display());
        }
        sources.push(LogSource { folder, policy: chosen.policy });
    }
    Ok(sources)
}

/// What to do where no policy is chosen for a log.
pub fn not_chosen(error: NotChosen) -> anyhow::Error {
    match &error {
        NotChosen::None { .. } | NotChosen::Unnamed { .. } => Usage::error(
            error.to_string(),
            "name a policy: --policy FILE (`hospitium party show --policy` prints one), or the folder of the party \
             whose peers are trusted: --peers-of DIR",
        ),
        _ => error.into(),
    }
}

/// A catalog made on the spot from the logs that are named.
pub async fn of_logs(logs: &LogArguments) -> Result<Catalog> {
    of_sources(&sources(logs)?).await
}

/// The same, of logs that were looked up already.
pub async fn of_sources(sources: &[LogSource]) -> Result<Catalog> {
    let mut catalog =
        Catalog::open("sqlite::memory:").await.context("the catalog cannot be made")?;
    let taken = take_in(&mut catalog, sources).await.context("the logs cannot be taken in")?;
    tell(&taken);
    if taken.logs.is_empty() && !taken.frozen.is_empty() {
        return Err(Usage::error(
            "no log that is named can be taken in, so there is nothing to answer from",
            "mend what is told above; `hospitium log check DIR --policy FILE` looks at one log",
        ));
    }
    Ok(catalog)
}

/// Takes in logs, each under a head that is verified once, held against what was seen of it before, and then
/// read under, whatever is put in the log's folder meanwhile.
async fn take_in(catalog: &mut Catalog, sources: &[LogSource]) -> Result<Rebuilt> {
    let looked = sources.iter().map(look).collect();
    Ok(catalog.take_in(looked, jiff::Timestamp::now()).await?)
}

/// A log's head, verified and held against what was seen of it before.
pub fn look(source: &LogSource) -> Given {
    let mut log = source.look(jiff::Timestamp::now());
    let key = |head: &Checkpoint| source.policy.log(&head.head().origin).cloned();
    let met = log.checkpoint().and_then(|head| Some((key(head)?, head)));
    let met = met.map_or(Ok(()), |(key, head)| crate::heads::meet(&source.folder, &key, head));
    if let Err(error) = met {
        note!("warning: {}", safe(&format!("{error:#}")));
        log.refuse("its head is not shown to continue what was seen of it before".into());
    }
    log
}

/// Opens a catalog that is to be there already.
pub async fn open(db: &str) -> Result<Catalog> {
    let is_file = !db.contains("://") && !db.starts_with("sqlite:");
    if is_file && !Path::new(db).is_file() {
        return Err(Usage::error(
            format!("there is no catalog {}", safe(db)),
            "build one: hospitium catalog build --log DIR, or name another with --db",
        ));
    }
    let catalog = Catalog::open(db).await.context("the catalog cannot be opened")?;
    tell_refused(&catalog).await?;
    for words in catalog.log_rows().await?.iter().filter_map(LogRow::frozen_words).take(20) {
        note!("warning: {}", safe(&words));
    }
    Ok(catalog)
}

/// Says which heads a catalog refused; true if none.
async fn tell_refused(catalog: &Catalog) -> Result<bool> {
    let heads = catalog.refused_heads().await?;
    for head in heads.iter().take(20) {
        note!("warning: {}", safe(&head.words()));
    }
    Ok(heads.is_empty())
}

/// Says what was left out of a catalog; true if nothing was.
pub fn tell(rebuilt: &Rebuilt) -> bool {
    for log in &rebuilt.logs {
        for refusal in &log.refusals {
            note!(
                "left out: {} entry {}: {}",
                safe(&log.origin),
                refusal.entry,
                safe(&refusal.why)
            );
        }
        let more = log.refused.saturating_sub(log.refusals.len() as u64);
        if more > 0 {
            note!("left out: {more} more entries of {}", safe(&log.origin));
        }
        for why in &log.ahead {
            note!("warning: {}: {}", safe(&log.origin), safe(why));
        }
        if log.usurped > 0 {
            note!(
                "warning: {} entries of {} announce another key of its party, and the key before did not sign them; \
                 nothing signed with such a key is taken in. Call the party",
                log.usurped,
                safe(&log.origin)
            );
        }
        if log.unread > 0 {
            note!(
                "warning: {} entries of {} are signed by its party and cannot be read here, and a \
                 withdrawal may be among them",
                log.unread,
                safe(&log.origin)
            );
        }
        if log.damaged > 0 {
            note!(
                "warning: {} of {} entries of {} are damaged, and a withdrawal may be among them; \
                 get a sound copy",
                log.damaged,
                log.entries,
                safe(&log.origin)
            );
        }
    }
    for log in &rebuilt.frozen {
        note!("warning: {} ({})", safe(&log.words()), safe(&log.folder));
        if log.detail != log.why {
            note!("         {}", safe(&log.detail));
        }
    }
    rebuilt.frozen.is_empty() && rebuilt.logs.iter().all(|log| log.refused == 0)
}

async fn build(arguments: &BuildArguments) -> Result<End> {
    let sources = sources(&arguments.logs)?;
    if sources.is_empty() {
        return Err(Usage::error("no log is named", "hospitium catalog build --log DIR"));
    }
    let mut catalog = Catalog::open(&arguments.db).await.context("the catalog cannot be opened")?;
    let rebuilt = take_in(&mut catalog, &sources).await.context("the catalog is not built")?;
    let digest = catalog.digest().await?;
    let sound = tell(&rebuilt) & tell_refused(&catalog).await?;
    if arguments.json {
        let object = serde_json::json!({
            "format": 1, "digest": digest, "logs": rebuilt.logs, "frozen": rebuilt.frozen,
        });
        out!("{}", serde_json::to_string(&object).context("cannot write JSON")?);
    } else {
        for log in &rebuilt.logs {
            out!(
                "log       {} · {} entries · {} validations, {} other records, {} left out",
                safe(&log.origin),
                log.entries,
                log.validations,
                log.others,
                log.refused
            );
            if log.known > 0 {
                out!("          {} entries were in before, and are not counted again", log.known);
            }
            if log.unknown > 0 {
                out!(
                    "          {} of kinds that this program does not know, passed over",
                    log.unknown
                );
            }
        }
        for log in &rebuilt.frozen {
            let name = log.origin.as_ref().unwrap_or(&log.folder);
            let entries = log.entries.unwrap_or_default();
            out!("frozen    {} · {entries} entries, as of its last good head", safe(name));
        }
        out!("content   sha256:{digest}");
    }
    Ok(if sound { End::Good } else { End::Bad })
}

async fn export(arguments: &ExportArguments) -> Result<End> {
    let ExportArguments { folder, site } = arguments;
    if site.db.is_none() && site.logs.log.is_empty() && !Path::new(USUAL).is_file() {
        // Says what to type.
        open(USUAL).await?;
    }
    let site = site.clone().open(None, None).await?;
    let catalog = site.catalog();
    let view = site.view().await?;
    let (as_of, desk) = (view.as_of, site.desk(&view));
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let exported =
        hospitium_web::export(&site, folder).await.context("the site cannot be written")?;
    for left_out in &exported.left_out {
        note!("left out: {left_out}");
    }
    out!("{} ({} files)", folder.join("index.html").display(), exported.files);
    for name in ["catalog.csv", "catalog.json", "catalog.md", "deployments.xml", "junit.xml"] {
        let path = folder.join(name);
        let doing = || format!("cannot write {}", path.display());
        let mut file = BufWriter::new(File::create(&path).with_context(doing)?);
        match name {
            "catalog.csv" => catalog.export_csv(as_of, &mut file).await,
            "catalog.json" => catalog.export_json(as_of, &mut file).await,
            "catalog.md" => catalog.export_markdown(as_of, &mut file).await,
            "junit.xml" => desk.export_junit(&mut file).await,
            _ => catalog.export_osinfo(as_of, &mut file).await,
        }
        .with_context(doing)?;
        file.flush().with_context(doing)?;
        out!("{}", path.display());
    }
    Ok(End::Good)
}

/// Today, in UTC.
pub fn today() -> Date {
    jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::now()).date()
}
