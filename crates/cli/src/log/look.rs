//! A log looked at: checked whole, its entries listed, a certificate taken out of it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueHint};
use hospitium_ledger::dsse::Envelope;
use hospitium_ledger::statement::Record;
use hospitium_ledger::{Certificate, Checkpoint, LogFolder, Policy, Statement, Trusted, walk};
use hospitium_model::Digest;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::failure::End;
use crate::json::{AsJson, cosigned, print};
use crate::out::{note, out};
use crate::view::safe;

#[derive(Debug, Args)]
pub struct LogArguments {
    /// The log's folder
    #[arg(value_hint = ValueHint::DirPath)]
    pub log: PathBuf,
    /// Whom to trust; without it the checkpoint's signature is not looked at
    #[arg(long, value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    #[command(flatten)]
    pub json: AsJson,
}

/// A log under its checkpoint.
struct Opened {
    folder: LogFolder,
    checkpoint: Checkpoint,
    /// What a policy makes of the checkpoint, if one was named.
    trusted: Option<Trusted>,
}

impl Opened {
    /// Who cosigned; nothing where no policy says whose signatures count.
    fn cosigned(&self) -> Value {
        self.trusted.as_ref().map_or(Value::Null, cosigned)
    }
}

/// The log and its checkpoint, verified if there is a policy.
fn open(arguments: &LogArguments) -> Result<Opened> {
    let folder = LogFolder::new(&arguments.log);
    let checkpoint = folder.checkpoint()?;
    let Some(path) = &arguments.policy else {
        note!(
            "note: the checkpoint's signature is not looked at; --policy FILE says whom to trust"
        );
        return Ok(Opened { folder, checkpoint, trusted: None });
    };
    let policy = Policy::read(path).context("the policy cannot be used")?;
    let trusted = policy.trusts(&checkpoint, Timestamp::now());
    let trusted = trusted.context("the checkpoint cannot be trusted")?;
    if let Some(key) = policy.log(&trusted.head.origin) {
        crate::heads::meet(&folder, key, &checkpoint)?;
    }
    if !arguments.json.json {
        for cosigned in &trusted.cosigned {
            out!("cosigned  by {} at {}", safe(&cosigned.by), cosigned.at);
        }
    }
    for why in &trusted.ahead {
        note!("warning: {}", safe(why));
    }
    Ok(Opened { folder, checkpoint, trusted: Some(trusted) })
}

/// `hospitium log check`.
pub fn check(arguments: &LogArguments) -> Result<End> {
    let opened = open(arguments)?;
    let head = opened.checkpoint.head();
    let checked = walk(&opened.folder, head, |_, _| {});
    let end = if checked.is_sound() { End::Good } else { End::Bad };
    if arguments.json.json {
        let problems: Vec<_> = checked.problems.iter().map(ToString::to_string).collect();
        print(
            "hospitium-log-check/1",
            json!({
                "log": head.origin, "size": head.size, "sound": checked.is_sound(),
                "entries": checked.entries, "bytes": checked.bytes, "files": checked.files,
                "problems": problems, "problem_count": checked.count, "cosigned": opened.cosigned(),
            }),
        );
        return Ok(end);
    }
    for problem in &checked.problems {
        out!("problem: {}", safe(&problem.to_string()));
    }
    out!("log       {}", safe(&head.origin));
    out!(
        "holds     {} entries, {} bytes, {} files compared",
        checked.entries,
        checked.bytes,
        checked.files
    );
    match end {
        End::Good => out!("sound: every tile and the root follow from the entries"),
        _ => out!(
            "{} problems: do not rely on it; get it again, and keep this copy as it is",
            checked.count
        ),
    }
    Ok(end)
}

/// `hospitium log show`.
pub fn show(arguments: &LogArguments) -> Result<End> {
    let opened = open(arguments)?;
    let head = opened.checkpoint.head();
    let mut entries = Vec::new();
    let checked = walk(&opened.folder, head, |index, entry| match arguments.json.json {
        true => entries.push(value(index, entry)),
        false => out!("{index:>7}  {}", safe(&line(entry))),
    });
    if arguments.json.json {
        print(
            "hospitium-log/1",
            json!({
                "log": head.origin, "size": head.size, "sound": checked.is_sound(),
                "cosigned": opened.cosigned(), "entries": entries,
            }),
        );
    } else {
        out!("{} · {} entries", safe(&head.origin), head.size);
    }
    if checked.is_sound() {
        return Ok(End::Good);
    }
    note!(
        "warning: the log is damaged ({} problems); `hospitium log check` lists them",
        checked.count
    );
    Ok(End::Bad)
}

/// `hospitium log certificate`.
pub fn certificate(arguments: &LogArguments, index: u64, out: &Path) -> Result<End> {
    let Opened { folder, checkpoint, .. } = open(arguments)?;
    let certificate = Certificate::of(&folder, &checkpoint, index)?;
    certificate.write(out)?;
    match arguments.json.json {
        true => print(
            "hospitium-log-certificate/1",
            json!({ "log": checkpoint.head().origin, "entry": index, "file": out }),
        ),
        false => out!("{}", out.display()),
    }
    Ok(End::Good)
}

/// An entry for programs; its signature is not looked at.
fn value(index: u64, entry: &[u8]) -> Value {
    let statement = Envelope::parse(entry).map(|envelope| Statement::parse(envelope.payload()));
    let record = Digest::of(entry).to_string();
    let statement = match statement {
        Ok(Ok(statement)) => statement,
        Ok(Err(error)) => {
            return json!({ "index": index, "record": record, "error": error.to_string() });
        }
        Err(error) => {
            return json!({ "index": index, "record": record, "error": error.to_string() });
        }
    };
    let kind = match &statement.record {
        Record::Validation(_) => "validation",
        Record::KeyChange(_) => "key-change",
        Record::Suspension(_) => "suspension",
        Record::Lifting(_) => "resumption",
        Record::Withdrawal(_) => "withdrawal",
        Record::Waiver(_) => "waiver",
        Record::Endorsement(_) => "endorsement",
        Record::KnownIssue(_) => "known-issue",
        Record::Unknown(_) => "unknown",
    };
    let of: Vec<String> =
        statement.subject.iter().filter_map(|s| s.sha256()).map(|d| d.to_string()).collect();
    let issued = statement.issued().map(|at| at.to_string());
    json!({
        "index": index, "record": record, "kind": kind, "issued": issued, "of": of,
        "text": line(entry),
    })
}

/// An entry in a line; its signature is not looked at.
fn line(entry: &[u8]) -> String {
    let statement = Envelope::parse(entry).map(|envelope| Statement::parse(envelope.payload()));
    let statement = match statement {
        Ok(Ok(statement)) => statement,
        Ok(Err(error)) => return format!("not readable: {error}"),
        Err(error) => return format!("not readable: {error}"),
    };
    let day = statement.issued().map_or_else(
        || format!("{:<16}", "no date"),
        |at| at.strftime("%Y-%m-%d %H:%M").to_string(),
    );
    let about = || statement.subject.iter().find_map(|s| s.sha256()).map(|d| d.short());
    let what = match &statement.record {
        Record::Validation(v) => format!(
            "{:<11} {} on {}",
            v.result.word(),
            v.hospitium.guest.name,
            v.hospitium.host.name
        ),
        Record::KeyChange(change) => format!("key change  {}", change.reason),
        Record::Suspension(n) => {
            format!("suspension  of {}: {}", about().unwrap_or_default(), n.reason)
        }
        Record::Lifting(n) => {
            format!("lifting     of {}: {}", about().unwrap_or_default(), n.reason)
        }
        Record::Withdrawal(n) => {
            format!("withdrawal  of {}: {}", about().unwrap_or_default(), n.reason)
        }
        Record::Waiver(waiver) => format!("waiver      {}: {}", waiver.check, waiver.reason),
        Record::Endorsement(endorsement) => {
            let ours = &endorsement.hospitium;
            let word = if ours.repeated.is_some() { "repeated" } else { "reviewed" };
            let (log, entry) = (&ours.of.log, ours.of.entry);
            format!("endorsement of {log} entry {entry}, {word}: {}", ours.reason)
        }
        Record::KnownIssue(issue) => {
            let (log, entry) = (&issue.of.log, issue.of.entry);
            format!("known issue of {log} entry {entry}: {}", issue.text)
        }
        Record::Unknown(unknown) => format!("unknown     {}, passed over", unknown.kind),
    };
    format!("{day}  {}  {what}", Digest::of(entry).short())
}
