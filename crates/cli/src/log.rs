//! `hospitium log`: look at a log, record in it, cosign it, copy it.

mod look;
mod record;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Subcommand, ValueHint};
use hospitium_ledger::{Log, LogFolder, Policy, Statement, Witness};
use jiff::Timestamp;
use serde_json::json;

use self::look::LogArguments;
use self::record::{NoticeArguments, WaiveArguments, ahead, announce};
use crate::failure::{End, Usage};
use crate::json::{AsJson, print};
use crate::out::{note, out};
use crate::view::safe;

#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Compute every tile again from the entries, and compare all of it with the checkpoint
    Check(LogArguments),
    /// The records of a log
    Show(LogArguments),
    /// The certificate of an entry, under the log's present checkpoint
    Certificate {
        #[command(flatten)]
        log: LogArguments,
        /// The entry's index
        #[arg(long)]
        index: u64,
        /// The certificate's file
        #[arg(long, short, value_hint = ValueHint::FilePath)]
        out: PathBuf,
    },
    /// Cosign another party's log, if it continues all that was cosigned before
    Cosign {
        #[command(flatten)]
        log: LogArguments,
        /// The party that cosigns
        #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR")]
        party: PathBuf,
    },
    /// Put a cosignature line under one's own log's checkpoint
    Accept {
        /// The log's folder
        #[arg(value_hint = ValueHint::DirPath)]
        log: PathBuf,
        /// The party whose log it is
        #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR")]
        party: PathBuf,
        /// Whose cosignatures are taken [default: the party's own policy]
        #[arg(long, value_hint = ValueHint::FilePath, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// The line, as `log cosign` prints it
        line: String,
        #[command(flatten)]
        json: AsJson,
    },
    /// Bring a copy of another party's log up to date, from where it is published
    Mirror(crate::federation::MirrorArguments),
    /// Ask the witnesses of a policy to cosign one's own log
    Gather(crate::federation::GatherArguments),
    /// Record that a certificate is not to be relied on for now
    Suspend {
        #[command(flatten)]
        notice: NoticeArguments,
        /// Until when; open if not given
        #[arg(long, value_name = "TIME")]
        until: Option<Timestamp>,
    },
    /// Record that what suspended a certificate does so no more
    #[command(alias = "lift")]
    Resume(NoticeArguments),
    /// Record that a certificate is not to be relied on any more, or a waiver, an endorsement or a known issue does not
    /// hold any more
    Withdraw(NoticeArguments),
    /// Record that a check's failure is accepted for a time; `certify` then counts it
    Waive(WaiveArguments),
    /// Agree to another party's record in one's own log: it was reviewed, or repeated by a run
    Endorse(crate::endorse::EndorseArguments),
}

/// `hospitium log`.
pub fn log(command: &LogCommand) -> Result<End> {
    match command {
        LogCommand::Check(arguments) => look::check(arguments),
        LogCommand::Show(arguments) => look::show(arguments),
        LogCommand::Certificate { log, index, out } => look::certificate(log, *index, out),
        LogCommand::Cosign { log, party } => cosign(log, party),
        LogCommand::Accept { log, party: folder, policy, line, json } => {
            let party = crate::keys::open(folder)?;
            let path = policy.clone().unwrap_or_else(|| folder.join("policy"));
            let policy = Policy::read(&path).context("the policy cannot be used")?;
            let mut log = Log::open(log, &party).context("the log cannot be opened")?;
            log.accept(line, &policy, Timestamp::now()).context("the line is not accepted")?;
            let checkpoint = String::from_utf8_lossy(log.checkpoint().as_bytes());
            let head = log.checkpoint().head();
            if json.json {
                print(
                    "hospitium-log-accept/1",
                    json!({ "log": head.origin, "size": head.size, "checkpoint": checkpoint }),
                );
                return Ok(End::Good);
            }
            for line in checkpoint.lines() {
                out!("{}", safe(line));
            }
            Ok(End::Good)
        }
        LogCommand::Mirror(arguments) => crate::federation::mirror(arguments),
        LogCommand::Gather(arguments) => crate::federation::gather(arguments),
        LogCommand::Suspend { notice, until } => {
            ahead(*until)?;
            announce(notice, "suspension", |party, now, record| {
                Statement::suspension(party, now, record, &notice.reason, *until)
            })
        }
        LogCommand::Resume(notice) => announce(notice, "resumption", |party, now, record| {
            Statement::lifting(party, now, record, &notice.reason)
        }),
        LogCommand::Withdraw(notice) => announce(notice, "withdrawal", |party, now, record| {
            Statement::withdrawal(party, now, record, &notice.reason)
        }),
        LogCommand::Waive(arguments) => record::waive(arguments),
        LogCommand::Endorse(arguments) => crate::endorse::endorse(arguments),
    }
}

fn cosign(arguments: &LogArguments, party: &Path) -> Result<End> {
    let Some(path) = &arguments.policy else {
        return Err(Usage::error(
            "a witness has to know the log's key",
            "name a policy that has it: --policy FILE",
        ));
    };
    let policy = Policy::read(path).context("the policy cannot be used")?;
    let party = crate::keys::open(party)?;
    let folder = LogFolder::new(&arguments.log);
    let checkpoint = folder.checkpoint()?;
    let key = policy.log(&checkpoint.head().origin).ok_or_else(|| {
        Usage::error("the policy does not trust this log", "add its line: log NAME+ID+KEY")
    })?;
    let made = Witness::new(&party)
        .cosign(&folder, key, Timestamp::now())
        .context("the log is not cosigned")?;
    if arguments.json.json {
        let head = made.checkpoint.head();
        print(
            "hospitium-log-cosign/1",
            json!({ "log": head.origin, "size": head.size, "before": made.before, "line": made.line.trim_end() }),
        );
        return Ok(End::Good);
    }
    out!("{}", made.line.trim_end());
    let before = made.before.map(|n| format!("the {n} entries cosigned before"));
    note!(
        "note: {} entries, which continue {}",
        made.checkpoint.head().size,
        before.unwrap_or_else(|| "nothing: this log is cosigned for the first time".to_owned())
    );
    Ok(End::Good)
}
