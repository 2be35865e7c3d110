//! `hospitium log endorse`: agree to another party's record, reviewed or repeated, in one's own log.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueHint};
use hospitium_evidence::Bundle;
use hospitium_ledger::statement::{
    EndorsedRecord, Issue, Record, Repetition, Validation, repeats, validation,
};
use hospitium_ledger::{
    Certificate, Explained, Given, Log, LogFolder, Party, Peers, Policy, Standing, Statement,
    verify_bytes, walk,
};
use hospitium_model::Digest;
use hospitium_report::words::plural;
use jiff::Timestamp;
use serde_json::json;

use crate::failure::{End, Usage};
use crate::json::{AsJson, print};
use crate::out::{note, out};
use crate::view::safe;
use crate::{diff, places};

/// Longest reason, in bytes.
const LONGEST: usize = 1000;

#[derive(Debug, Args)]
pub struct EndorseArguments {
    /// The certificate's file, or the record's name: the SHA-256 of its entry in the copy
    #[arg(value_name = "CERTIFICATE|RECORD", value_hint = ValueHint::FilePath)]
    pub record: String,
    /// The party that endorses
    #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub party: PathBuf,
    /// The endorsing party's log [default: the party's folder's log]
    #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub log: Option<PathBuf>,
    /// A copy of the log that has the record, which knows of suspensions and withdrawals
    #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub copy: Option<PathBuf>,
    /// Whom to trust [default: the policy that `hospitium party trust` wrote of the record's party]
    #[arg(long, value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// The record was reviewed
    #[arg(long, required_unless_present = "run", conflicts_with = "run")]
    pub reviewed: bool,
    /// The record was repeated by this run: the same inputs, every check with the same verdict
    #[arg(long, value_hint = ValueHint::AnyPath, value_name = "RUN")]
    pub run: Option<PathBuf>,
    /// The run's cell [default: the one that repeats the record]
    #[arg(long, requires = "run", value_name = "NAME")]
    pub cell: Option<String>,
    /// The record's own evidence, to hold the record and the run against
    #[arg(long, value_hint = ValueHint::AnyPath, value_name = "BUNDLE")]
    pub evidence: Option<PathBuf>,
    /// What was looked at, and why it is agreed to
    #[arg(long)]
    pub reason: String,
    #[command(flatten)]
    pub json: AsJson,
}

/// `hospitium log endorse`.
pub fn endorse(arguments: &EndorseArguments) -> Result<End> {
    if arguments.reason.trim().is_empty() || arguments.reason.len() > LONGEST {
        return Err(Usage::error(
            format!("the reason has to be told, in at most {LONGEST} bytes"),
            "say it in a sentence: whoever reads the endorsement sees it",
        ));
    }
    let party = crate::keys::open(&arguments.party)?;
    let now = Timestamp::now();
    let theirs = theirs(arguments, &party, now)?;
    let Record::Validation(record) = &theirs.statement.record else {
        return Err(Usage::error(
            "the record is no validation, so there is nothing to agree to",
            "name the certificate of a validation",
        ));
    };
    let repeated = match &arguments.run {
        Some(run) => Some(repetition(arguments, run, &party, record, now)?),
        None => None,
    };
    let folder = arguments.log.clone().unwrap_or_else(|| party.usual_log());
    let mut log = Log::open(&folder, &party).context("the log cannot be opened")?;
    let of = EndorsedRecord {
        party: theirs.party.clone(),
        log: theirs.log.origin.clone(),
        entry: theirs.log.index,
    };
    let word = match &repeated {
        Some(repeated) => format!("repeated, {} checks with the same verdicts", repeated.compared),
        None => "reviewed".to_owned(),
    };
    let name = &party.public.name;
    let statement =
        Statement::endorsement(name, now, theirs.record, of, arguments.reason.trim(), repeated);
    for made in Certificate::issue(&mut log, &party, &[statement])? {
        let entry = made.proof().index;
        if arguments.json.json {
            let kind = if arguments.run.is_some() { "repeated" } else { "reviewed" };
            print(
                "hospitium-recorded/1",
                json!({
                    "kind": "endorsement", "log": folder, "entry": entry, "as": kind,
                    "record": theirs.record.to_string(),
                }),
            );
            continue;
        }
        out!("{}", safe(&theirs.headline()));
        out!("endorsed  as {word}; recorded as entry {} of {}", entry, folder.display());
    }
    Ok(End::Good)
}

/// The record that is to be endorsed, verified, and fit for that.
fn theirs(arguments: &EndorseArguments, party: &Party, now: Timestamp) -> Result<Explained> {
    let certificate = certificate(arguments)?;
    let origin = &certificate.proof().checkpoint.head().origin;
    let path = match &arguments.policy {
        Some(path) => path.clone(),
        None => Peers::of(&arguments.party).policy_of(origin).ok_or_else(|| {
            Usage::error(
                format!("{} is no log of a party that is trusted here", safe(origin)),
                "compare its keys first: hospitium party trust URL --party DIR; or name a policy: --policy FILE",
            )
        })?,
    };
    let policy = Policy::read(&path).context("the policy cannot be used")?;
    let copy = arguments.copy.as_deref().map(LogFolder::new);
    let evidence = arguments.evidence.as_ref().map(|given| places::evidence(given)).transpose()?;
    let given = Given { policy: &policy, evidence: evidence.as_deref(), log: copy.as_ref(), now };
    let explained = verify_bytes(&certificate.to_bytes(), given)
        .with_context(|| format!("{} is not accepted", safe(&arguments.record)))?;
    if let Some(key) = policy.log(&explained.log.origin) {
        crate::heads::meet_alone(key, &explained.checkpoint)?;
        if let (Some(folder), Some(history)) = (&copy, &explained.history) {
            crate::heads::meet(folder, key, &history.checkpoint)?;
        }
    }
    if explained.party == party.public.name {
        return Err(Usage::error(
            format!("the record is {}'s own", safe(&explained.party)),
            "a party endorses what another party says",
        ));
    }
    // What failed can be agreed to as well; what was taken back cannot.
    let stands = matches!(explained.standing, Standing::Valid { .. } | Standing::Failed);
    let is_known = explained.unread().is_empty() && explained.forked().is_none();
    if !stands || !is_known || !explained.evidence.is_good() {
        return Err(Usage::error(
            format!("the record is not endorsed: {}", safe(&explained.headline())),
            "endorse a record that holds; `hospitium verify` explains this one",
        ));
    }
    if copy.is_none() {
        note!(
            "note: whether it was suspended or withdrawn since is not known; --copy DIR, a copy of its log, would tell"
        );
    }
    Ok(explained)
}

/// The certificate, from its file, or made of the record in the copy.
fn certificate(arguments: &EndorseArguments) -> Result<Certificate> {
    let path = Path::new(&arguments.record);
    if path.exists() {
        let read = Certificate::read(path);
        return read.with_context(|| format!("{} is not accepted", path.display()));
    }
    let unknown = |next: &str| {
        Usage::error(format!("there is no certificate {}", safe(&arguments.record)), next)
    };
    let Ok(name) = arguments.record.parse::<Digest>() else {
        return Err(unknown(
            "name a certificate's file, or a record by its SHA-256 with --copy DIR",
        ));
    };
    let Some(copy) = &arguments.copy else {
        return Err(unknown("name the copy of the log that has this record: --copy DIR"));
    };
    let folder = LogFolder::new(copy);
    let checkpoint = folder.checkpoint()?;
    let mut found = None;
    walk(&folder, checkpoint.head(), |index, entry| {
        if found.is_none() && Digest::of(entry) == name {
            found = Some(index);
        }
    });
    let index = found.ok_or_else(|| {
        let log = safe(&checkpoint.head().origin);
        let next = "bring the copy up to date: hospitium log mirror";
        Usage::error(format!("the copy of {log} has no record {}", name.short()), next)
    })?;
    Ok(Certificate::of(&folder, &checkpoint, index)?)
}

/// What the comparison of a run with a record comes to.
fn repetition(
    arguments: &EndorseArguments,
    run: &Path,
    party: &Party,
    record: &Validation,
    now: Timestamp,
) -> Result<Repetition> {
    let bundle = diff::open(run)?;
    if let Some(evidence) = &arguments.evidence {
        alike(&diff::open(evidence)?, &bundle)?;
    }
    of_run(&bundle, arguments.cell.as_ref(), &party.public.name, record, now)
}

/// The cell of a run, or the one that is named, that repeats a record.
pub fn of_run(
    bundle: &Bundle,
    cell: Option<&String>,
    party: &str,
    record: &Validation,
    now: Timestamp,
) -> Result<Repetition> {
    let issue = Issue::new(party, now);
    let cells = cell.map_or(bundle.run.cells.as_slice(), std::slice::from_ref);
    let mut why = None;
    for cell in cells {
        match of_cell(bundle, cell, &issue, record) {
            Ok(repetition) => return Ok(repetition),
            Err(error) => why = why.or(Some((cell, error))),
        }
    }
    let Some((cell, error)) = why else {
        return Err(Usage::error("the run has no cells", "run the record's guest on its host"));
    };
    Err(Usage::because(
        error,
        format!("the run is no repetition of the record ({})", safe(cell)),
        "run the same guest, hypervisor, firmware and program on the same machine: hospitium run --again; or review \
         the record: --reviewed",
    ))
}

fn of_cell(bundle: &Bundle, cell: &str, issue: &Issue, record: &Validation) -> Result<Repetition> {
    let statement = validation(bundle, cell, issue)?;
    let Record::Validation(ours) = &statement.record else {
        anyhow::bail!("the cell gives no validation");
    };
    Ok(repeats(record, ours)?)
}

/// Compares the two runs as `hospitium diff` does, check by check. What said nothing of the pair in the record's evidence,
/// as an error of its lab, contradicts nothing.
pub fn alike(theirs: &Bundle, ours: &Bundle) -> Result<()> {
    let found = diff::compared(theirs, ours)?;
    note!("compared with its evidence: {}", safe(&found.headline()));
    let unrepeated: Vec<_> = found.unrepeated().collect();
    let Some((cell, first)) = unrepeated.first() else { return Ok(()) };
    let first = format!("{} in {}: {}", first.check, safe(cell), first.words());
    Err(Usage::error(
        format!(
            "{} are not repeated from the record's evidence, the first {first}",
            plural(unrepeated.len(), "check")
        ),
        "`hospitium diff` lists them",
    ))
}
