//! Logs and catalogs as a person names them, each log with the policy under which it is believed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueHint};
use hospitium_catalog::{Catalog, Given, LogRow, LogSource, Rebuilt};
use hospitium_ledger::{Checkpoint, LogFolder, NotChosen, Policies, Policy};
use jiff::civil::Date;

use crate::config;
use crate::failure::Usage;
use crate::out::note;
use crate::view::safe;

/// One's own party, of commands that read logs. Whom it trusts is looked up by `config::Held`.
#[derive(Debug, Clone, Args)]
pub struct OwnParty {
    /// The folder of one's own party: its log and those of the peers that it trusts are believed
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub party: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct LogArguments {
    /// A log, or a copy of one; may be given several times [default: those that the configuration has]
    #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub log: Vec<PathBuf>,
    /// Whom to trust for these logs; of several, each log is believed by the one that names it [default: what one's own
    /// party (--party) and the configuration trust]
    #[arg(long, value_hint = ValueHint::FilePath, value_name = "FILE", requires = "log")]
    pub policy: Vec<PathBuf>,
}

/// The logs that are named, else those that the configuration has, each with the policy under which it is believed.
/// What lies beside a log never says whom to trust for it.
pub fn sources(arguments: &LogArguments) -> Result<Vec<LogSource>> {
    let read = |path: &Path| {
        Policy::read(path).with_context(|| format!("the policy {} cannot be used", path.display()))
    };
    let policies = Policies::read(&arguments.policy)?;
    let mut sources = Vec::new();
    for path in &arguments.log {
        let folder = LogFolder::new(path);
        sources.push(match arguments.policy.as_slice() {
            [] => believed(path)?,
            _ => LogSource { policy: policies.of_log(&folder).map_err(not_chosen)?, folder },
        });
    }
    if !arguments.log.is_empty() {
        return Ok(sources);
    }
    for log in &config::held().config().logs {
        let folder = log.copy.as_ref().map_or(Path::new(&log.source.value), |copy| &copy.value);
        sources.push(match &log.policy {
            Some(policy) => {
                LogSource { folder: LogFolder::new(folder), policy: read(&policy.value)? }
            }
            None => believed(folder)?,
        });
    }
    Ok(sources)
}

/// A log under the policy that one's own party or the configuration has for it.
fn believed(folder: &Path) -> Result<LogSource> {
    let log = LogFolder::new(folder);
    // Not verified yet: it says which key the head has to be signed with. Where it cannot be read nobody can say which log
    // that is: no policy believes it, that is told, and the other logs are read.
    let Ok(checkpoint) = log.checkpoint() else {
        return Ok(LogSource { folder: log, policy: Policy::nobody() });
    };
    let origin = checkpoint.head().origin.clone();
    let policy = config::held().policy_of(&origin)?.ok_or_else(|| {
        Usage::error(
            format!("nothing says whom to trust for the log {} ({})", folder.display(), safe(&origin)),
            "name one's own party, which trusts itself and its peers: --party DIR (or hospitium.toml); \
             or a policy: --policy FILE",
        )
    })?;
    Ok(LogSource { folder: log, policy })
}

/// What to do where no policy that was named is chosen for a log.
pub fn not_chosen(error: NotChosen) -> anyhow::Error {
    match &error {
        NotChosen::Unnamed { .. } => Usage::error(
            error.to_string(),
            "name its policy too: --policy FILE (`hospitium party show --policy` prints one), or one's own party, which \
             trusts itself and its peers: --party DIR",
        ),
        _ => error.into(),
    }
}

/// The catalog that is asked: the one that is named, else the configuration's; none where logs are named.
pub fn asked_of(named: Option<String>, logs: &LogArguments) -> Option<String> {
    // A catalog of the environment or the configuration is not asked beside logs that are named.
    let configured = || config::held().config().db.as_ref().map(|db| db.value.clone());
    named.or_else(configured).filter(|_| logs.log.is_empty())
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
pub async fn take_in(catalog: &mut Catalog, sources: &[LogSource]) -> Result<Rebuilt> {
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
        if let Some(usage) = error.chain().find_map(|cause| cause.downcast_ref::<Usage>()) {
            note!("         next: {}", safe(usage.next()));
        }
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
            "make one: hospitium catalog rebuild --log DIR, or name another with --db",
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
pub async fn tell_refused(catalog: &Catalog) -> Result<bool> {
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

/// Today, in UTC.
pub fn today() -> Date {
    jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::now()).date()
}
