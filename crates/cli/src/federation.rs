//! What goes between parties: copies of logs, cosignatures asked for, a log and a witness served.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueHint};
use hospitium_federation::{HttpSource, Publisher, WitnessService, ask_all, routes};
use hospitium_ledger::{
    Bounds, Log, LogError, LogFolder, PUBLIC, Party, Policy, PublicParty, PullError, Source, pull,
};
use jiff::Timestamp;
use serde_json::json;

use crate::failure::{End, Usage};
use crate::json::{AsJson, cosigned, print};
use crate::out::{note, out};
use crate::view::safe;

/// How long witnesses are waited for, in seconds.
const WITHIN: u64 = 20;
/// How often a served log is looked at for a new head.
const LOOKED_AT: Duration = Duration::from_secs(2);
/// How long at most until witnesses that did not cosign are asked again.
const ASKED_AGAIN: Duration = Duration::from_secs(120);

#[derive(Debug, Args)]
pub struct MirrorArguments {
    /// Where the log is: an address (https://…), or a folder
    #[arg(value_name = "URL|DIR")]
    pub from: String,
    /// The copy's folder; made if it is not there
    #[arg(value_hint = ValueHint::DirPath)]
    pub into: PathBuf,
    /// Whom to trust: the policy has the log's key, and whose cosignatures its heads need
    #[arg(long, value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub policy: PathBuf,
    #[command(flatten)]
    pub json: AsJson,
}

#[derive(Debug, Args)]
pub struct GatherArguments {
    /// The log's folder
    #[arg(value_hint = ValueHint::DirPath)]
    pub log: PathBuf,
    /// The party whose log it is
    #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub party: PathBuf,
    /// Whose cosignatures are asked for: its witness lines have addresses [default: the party's own policy]
    #[arg(long, value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// How long to wait for all of them
    #[arg(long, value_name = "SECONDS", default_value_t = WITHIN, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub within: u64,
    #[command(flatten)]
    pub json: AsJson,
}

/// What a server answers to other parties.
#[derive(Debug, Args)]
pub struct FederationArguments {
    /// The folder of one's own log, to be published under /log/
    #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR", requires = "publish_policy")]
    pub publish: Option<PathBuf>,
    /// When a head is shown: its policy, whose witnesses are asked to cosign where it gives their addresses
    #[arg(long, value_hint = ValueHint::FilePath, value_name = "FILE", requires = "publish")]
    pub publish_policy: Option<PathBuf>,
    /// Cosign others' logs under /witness/, with the witness key of this party's folder
    #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR", requires = "witness_policy")]
    pub witness: Option<PathBuf>,
    /// The logs that the witness watches: those of this policy
    #[arg(long, value_hint = ValueHint::FilePath, value_name = "FILE", requires = "witness")]
    pub witness_policy: Option<PathBuf>,
}

impl FederationArguments {
    /// Opens what is named, and goes on looking for new heads of the published log. `desk` is the party whose desk is
    /// served, if one is.
    pub fn open(self, desk: Option<&Path>) -> Result<hospitium_federation::Router> {
        let party = self.party(desk);
        let witness = match (self.witness, self.witness_policy) {
            (Some(folder), Some(policy)) => {
                let logs = read(&policy)?.logs;
                if logs.is_empty() {
                    return Err(Usage::error(
                        format!(
                            "{} names no log, so the witness would watch none",
                            policy.display()
                        ),
                        "add the lines of the logs that it is to cosign: log NAME+ID+KEY",
                    ));
                }
                let service = WitnessService::open(&folder, logs);
                let service = service.context("the witness's key cannot be used")?;
                note!("cosigns as {} under /witness/", safe(&service.name().to_string()));
                Some(Arc::new(service))
            }
            _ => None,
        };
        let log = match (self.publish, self.publish_policy) {
            (Some(folder), Some(policy)) => {
                begun(&folder)?;
                let publisher = Arc::new(Publisher::new(&folder, read(&policy)?));
                note!("publishes {} under /log/", folder.display());
                tokio::spawn(publish(Arc::clone(&publisher)));
                Some(publisher)
            }
            _ => None,
        };
        if let Some(file) = &party {
            note!("publishes {} as /party.toml", file.display());
        }
        Ok(routes(party, log, witness))
    }

    /// The public part of the party whose log, witness or desk is served: beside its log, or in the other two's folder.
    fn party(&self, desk: Option<&Path>) -> Option<PathBuf> {
        let beside = self.publish.as_deref().map(|log| party_of(log).join(PUBLIC));
        let of_witness = self.witness.as_deref().map(|folder| folder.join(PUBLIC));
        let is_there = |file: &PathBuf| file.is_file() && PublicParty::read(file).is_ok();
        let of_desk = desk.map(|folder| folder.join(PUBLIC));
        [beside, of_witness, of_desk].into_iter().flatten().find(is_there)
    }
}

/// The folder of the party whose log this is: the one that the log's folder lies in, or is to lie in.
fn party_of(log: &Path) -> PathBuf {
    match log.exists() {
        true => log.join(".."),
        false => Path::new(".").join(log.parent().unwrap_or(log)),
    }
}

/// Sees that a log has a head to be published: one of no entries is signed where its party's keys lie beside it.
fn begun(folder: &Path) -> Result<()> {
    let absent = match LogFolder::new(folder).checkpoint() {
        Err(error @ LogError::Absent { .. }) => error,
        other => return other.map(drop).context("the log cannot be published"),
    };
    match Party::open(&party_of(folder)) {
        Ok(party) => {
            Log::open(folder, &party).context("the log cannot be begun")?;
            note!("begins {} with a head of no entries", folder.display());
            Ok(())
        }
        Err(_) => Err(Usage::because(
            absent,
            "the log cannot be published",
            "name the log of a party's folder, DIR/log: `hospitium party init DIR --name NAME` begins it, and \
             `hospitium certify RUN --party DIR` adds records",
        )),
    }
}

/// How long to wait for the next look at a log: a witness that does not cosign is asked less and less often.
fn wait_after(before: Duration, held_back: bool) -> Duration {
    if held_back { (before * 2).min(ASKED_AGAIN) } else { LOOKED_AT }
}

/// Shows each new head of a log once it may be shown. What holds it back is told once.
async fn publish(publisher: Arc<Publisher>) {
    let (mut told, mut shown, mut wait) = (String::new(), None, LOOKED_AT);
    loop {
        let asking = Arc::clone(&publisher);
        let updated = tokio::task::spawn_blocking(move || {
            asking.update(Duration::from_secs(WITHIN)).map_err(|e| hospitium_model::chain(&e))
        });
        let words = match updated.await {
            Ok(Ok(asked)) => {
                for asked in asked {
                    if let Err(error) = asked.lines {
                        note!("warning: {}: {}", safe(&asked.witness), safe(&error.to_string()));
                    }
                }
                String::new()
            }
            Ok(Err(error)) => error,
            Err(error) => format!("looking at the log broke off: {error}"),
        };
        if words != told && !words.is_empty() {
            note!("warning: the head of before stays the one that is shown: {}", safe(&words));
        }
        if let Some(size) = publisher.size().filter(|size| shown != Some(*size)) {
            note!("shows a head of {size} entries");
            shown = Some(size);
        }
        wait = wait_after(wait, !words.is_empty());
        told = words;
        tokio::time::sleep(wait).await;
    }
}

fn read(policy: &Path) -> Result<Policy> {
    if !policy.exists() {
        return Err(Usage::error(
            format!("there is no policy {}", policy.display()),
            "trust the other party first: `hospitium party trust URL --party DIR` writes DIR/peers/NAME.policy; for one's \
             own log, DIR/policy",
        ));
    }
    Policy::read(policy).context("the policy cannot be used")
}

/// Where a log is: an address or a folder.
pub fn source(from: &str) -> Result<Box<dyn Source>> {
    if from.starts_with("https://") || from.starts_with("http://") {
        return Ok(Box::new(HttpSource::new(from)));
    }
    if from.contains("://") {
        return Err(Usage::error(
            format!("{from:?} is no address that a log can be had from"),
            "an address begins with https:// or http://; anything else is a folder",
        ));
    }
    Ok(Box::new(LogFolder::new(Path::new(from))))
}

/// `hospitium log mirror`.
pub fn mirror(arguments: &MirrorArguments) -> Result<End> {
    let policy = read(&arguments.policy)?;
    let source = source(&arguments.from)?;
    let now = Timestamp::now();
    let mut progress = |done, all| note!("{done} of {all} entries");
    let pulled = pull(&arguments.into, &*source, &policy, now, Bounds::default(), &mut progress);
    if let Err(stale @ PullError::Stale { .. }) = &pulled {
        note!("warning: {}", safe(&stale.to_string()));
        note!(
            "         ask again later; if it stays so, ask the other party what its server shows"
        );
        if let (true, PullError::Stale { found, seen }) = (arguments.json.json, stale) {
            let fields = json!({ "stale": true, "shown": found, "size": seen, "new": 0 });
            print("hospitium-log-mirror/1", fields);
        }
        return Ok(End::Unfinished);
    }
    let pulled = pulled.context("the copy stays as it was")?;
    let head = &pulled.trusted.head;
    let copy = LogFolder::new(&arguments.into);
    if let Some(key) = policy.log(&head.origin) {
        crate::heads::meet(&copy, key, &copy.checkpoint()?)?;
    }
    for why in &pulled.trusted.ahead {
        note!("warning: {}", safe(why));
    }
    let new = head.size - pulled.before.unwrap_or(0);
    if arguments.json.json {
        print(
            "hospitium-log-mirror/1",
            json!({
                "log": head.origin, "size": head.size, "new": new, "stale": false,
                "cosigned": cosigned(&pulled.trusted),
            }),
        );
        return Ok(End::Good);
    }
    for cosigned in &pulled.trusted.cosigned {
        out!("cosigned  by {} at {}", safe(&cosigned.by), cosigned.at);
    }
    out!("{} · {} entries, {new} of them new", safe(&head.origin), head.size);
    Ok(End::Good)
}

/// `hospitium log gather`.
pub fn gather(arguments: &GatherArguments) -> Result<End> {
    let path = arguments.policy.clone().unwrap_or_else(|| arguments.party.join("policy"));
    let policy = read(&path)?;
    if policy.witnesses.iter().all(|witness| witness.url.is_none()) {
        return Err(Usage::error(
            format!("{} names no witness with an address", path.display()),
            "add it after the witness's key: witness NAME KEY https://witness.example/witness",
        ));
    }
    let party = crate::keys::open(&arguments.party)?;
    let mut log = Log::open(&arguments.log, &party).context("the log cannot be opened")?;
    let within = Duration::from_secs(arguments.within);
    let asked = ask_all(log.folder(), log.checkpoint(), &policy, within);
    let now = Timestamp::now();
    let (mut good, mut witnesses) = (true, Vec::new());
    for asked in asked {
        let witness = safe(&asked.witness);
        let accepted = asked.lines.map_err(anyhow::Error::from).and_then(|lines| {
            anyhow::ensure!(!lines.is_empty(), "its answer has no signature");
            // A witness may have several keys; those that the policy has count.
            let taken = lines.iter().map(|line| log.accept(line, &policy, now));
            let taken: Vec<_> = taken.collect();
            match taken.iter().any(Result::is_ok) {
                true => Ok(()),
                false => Err(taken.into_iter().find_map(Result::err).map_or_else(
                    || anyhow::anyhow!("its answer has no signature"),
                    anyhow::Error::from,
                )),
            }
        });
        match accepted {
            Ok(()) => {
                if !arguments.json.json {
                    out!("cosigned  by {witness}");
                }
                witnesses.push(json!({ "witness": asked.witness, "cosigned": true }));
            }
            Err(error) => {
                good = false;
                let words: Vec<String> = error.chain().map(ToString::to_string).collect();
                let why = safe(&words.join(": "));
                note!("warning: {witness} has not cosigned: {why}");
                witnesses.push(json!({ "witness": asked.witness, "cosigned": false, "why": why }));
            }
        }
    }
    let head = log.checkpoint().head();
    match arguments.json.json {
        true => print(
            "hospitium-log-gather/1",
            json!({ "log": head.origin, "size": head.size, "witnesses": witnesses }),
        ),
        false => out!("{} · {} entries", safe(&head.origin), head.size),
    }
    Ok(if good { End::Good } else { End::Bad })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_that_does_not_cosign_is_asked_less_often_and_a_log_that_is_shown_is_looked_at_as_usual()
     {
        let mut wait = LOOKED_AT;
        let mut asked = Vec::new();
        for _ in 0..9 {
            wait = wait_after(wait, true);
            asked.push(wait.as_secs());
        }
        assert_eq!(asked, [4, 8, 16, 32, 64, 120, 120, 120, 120]);
        assert_eq!(wait_after(wait, false), LOOKED_AT);
    }
}
