//! `hospitium log`: look at a log, check it whole, cosign it, take certificates out of it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueHint};
use hospitium_ledger::dsse::Envelope;
use hospitium_ledger::statement::{Record, WaiverRecord};
use hospitium_ledger::{Certificate, Checkpoint, Log, LogFolder, Policy, Statement, Witness, walk};
use hospitium_model::{CheckId, Digest};
use jiff::Timestamp;

use crate::failure::{End, Usage};
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

#[derive(Debug, Args)]
pub struct LogArguments {
    /// The log's folder
    #[arg(value_hint = ValueHint::DirPath)]
    pub log: PathBuf,
    /// Whom to trust; without it the checkpoint's signature is not looked at
    #[arg(long, value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub policy: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct NoticeArguments {
    /// The log's folder
    #[arg(value_hint = ValueHint::DirPath)]
    pub log: PathBuf,
    /// The party whose log it is
    #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub party: PathBuf,
    /// Index of the certificate's entry
    #[arg(long)]
    pub index: u64,
    /// Why
    #[arg(long)]
    pub reason: String,
}

#[derive(Debug, Args)]
pub struct WaiveArguments {
    #[command(flatten)]
    pub notice: NoticeArguments,
    /// The check whose failure the record of this index has
    #[arg(long, value_name = "CHECK")]
    pub check: CheckId,
    /// Until when; a certificate that rests on it ends then
    #[arg(long, value_name = "TIME")]
    pub until: Timestamp,
    /// Who decided: a person or a body of the party
    #[arg(long, value_name = "NAME")]
    pub by: String,
    /// On every host, and not only on the record's
    #[arg(long)]
    pub every_host: bool,
}

/// Longest reason and name of a waiver, in bytes.
const LONGEST: usize = 1000;

/// `hospitium log`.
pub fn log(command: &LogCommand) -> Result<End> {
    match command {
        LogCommand::Check(arguments) => check(arguments),
        LogCommand::Show(arguments) => show(arguments),
        LogCommand::Certificate { log, index, out } => {
            let (folder, checkpoint) = open(log)?;
            let certificate = Certificate::of(&folder, &checkpoint, *index)?;
            certificate.write(out)?;
            out!("{}", out.display());
            Ok(End::Good)
        }
        LogCommand::Cosign { log, party } => cosign(log, party),
        LogCommand::Accept { log, party: folder, policy, line } => {
            let party = crate::keys::open(folder)?;
            let path = policy.clone().unwrap_or_else(|| folder.join("policy"));
            let policy = Policy::read(&path).context("the policy cannot be used")?;
            let mut log = Log::open(log, &party).context("the log cannot be opened")?;
            log.accept(line, &policy, Timestamp::now()).context("the line is not accepted")?;
            for line in String::from_utf8_lossy(log.checkpoint().as_bytes()).lines() {
                out!("{}", safe(line));
            }
            Ok(End::Good)
        }
        LogCommand::Mirror(arguments) => crate::federation::mirror(arguments),
        LogCommand::Gather(arguments) => crate::federation::gather(arguments),
        LogCommand::Suspend { notice, until } => {
            ahead(*until)?;
            announce(notice, |party, now, record| {
                Statement::suspension(party, now, record, &notice.reason, *until)
            })
        }
        LogCommand::Resume(notice) => announce(notice, |party, now, record| {
            Statement::lifting(party, now, record, &notice.reason)
        }),
        LogCommand::Withdraw(notice) => announce(notice, |party, now, record| {
            Statement::withdrawal(party, now, record, &notice.reason)
        }),
        LogCommand::Waive(arguments) => waive(arguments),
        LogCommand::Endorse(arguments) => crate::endorse::endorse(arguments),
    }
}

/// The log and its checkpoint, verified if there is a policy.
fn open(arguments: &LogArguments) -> Result<(LogFolder, Checkpoint)> {
    let folder = LogFolder::new(&arguments.log);
    let checkpoint = folder.checkpoint()?;
    let Some(path) = &arguments.policy else {
        note!(
            "note: the checkpoint's signature is not looked at; --policy FILE says whom to trust"
        );
        return Ok((folder, checkpoint));
    };
    let policy = Policy::read(path).context("the policy cannot be used")?;
    let trusted = policy.trusts(&checkpoint, Timestamp::now());
    let trusted = trusted.context("the checkpoint cannot be trusted")?;
    if let Some(key) = policy.log(&trusted.head.origin) {
        crate::heads::meet(&folder, key, &checkpoint)?;
    }
    for cosigned in &trusted.cosigned {
        out!("cosigned  by {} at {}", safe(&cosigned.by), cosigned.at);
    }
    for why in &trusted.ahead {
        note!("warning: {}", safe(why));
    }
    Ok((folder, checkpoint))
}

fn check(arguments: &LogArguments) -> Result<End> {
    let (folder, checkpoint) = open(arguments)?;
    let head = checkpoint.head();
    let checked = walk(&folder, head, |_, _| {});
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
    if checked.is_sound() {
        out!("sound: every tile and the root follow from the entries");
        return Ok(End::Good);
    }
    out!(
        "{} problems: do not rely on it; get it again, and keep this copy as it is",
        checked.count
    );
    Ok(End::Bad)
}

fn show(arguments: &LogArguments) -> Result<End> {
    let (folder, checkpoint) = open(arguments)?;
    let head = checkpoint.head();
    let checked = walk(&folder, head, |index, entry| out!("{index:>7}  {}", safe(&line(entry))));
    out!("{} · {} entries", safe(&head.origin), head.size);
    if checked.is_sound() {
        return Ok(End::Good);
    }
    note!(
        "warning: the log is damaged ({} problems); `hospitium log check` lists them",
        checked.count
    );
    Ok(End::Bad)
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
    out!("{}", made.line.trim_end());
    let before = made.before.map(|n| format!("the {n} entries cosigned before"));
    note!(
        "note: {} entries, which continue {}",
        made.checkpoint.head().size,
        before.unwrap_or_else(|| "nothing: this log is cosigned for the first time".to_owned())
    );
    Ok(End::Good)
}

fn announce(
    arguments: &NoticeArguments,
    statement: impl FnOnce(&str, Timestamp, Digest) -> Statement,
) -> Result<End> {
    let party = crate::keys::open(&arguments.party)?;
    let mut log = Log::open(&arguments.log, &party).context("the log cannot be opened")?;
    let entry = log.folder().tree(log.checkpoint().head()).entry(arguments.index)?;
    let known = Envelope::parse(&entry).map(|envelope| Statement::parse(envelope.payload()));
    let record = known.ok().and_then(Result::ok).map(|statement| statement.record);
    let can_be = matches!(
        record,
        Some(
            Record::Validation(_)
                | Record::Waiver(_)
                | Record::Endorsement(_)
                | Record::KnownIssue(_)
        )
    );
    if !can_be {
        return Err(Usage::error(
            format!(
                "entry {} is no certificate, waiver, endorsement or known issue",
                arguments.index
            ),
            "`hospitium log show` lists the entries",
        ));
    }
    let statement = statement(&party.public.name, Timestamp::now(), Digest::of(&entry));
    let made = Certificate::issue(&mut log, &party, &[statement])?;
    for certificate in made {
        out!("recorded as entry {}", certificate.proof().index);
    }
    Ok(End::Good)
}

/// Refuses an end that is over.
fn ahead(until: Option<Timestamp>) -> Result<()> {
    match until.filter(|until| *until <= Timestamp::now()) {
        None => Ok(()),
        Some(until) => Err(Usage::error(
            format!("{until} is over"),
            "name a time ahead: --until 2027-01-31T00:00:00Z",
        )),
    }
}

/// Puts a waiver of a check that failed in the log.
fn waive(arguments: &WaiveArguments) -> Result<End> {
    let NoticeArguments { log, party, index, reason } = &arguments.notice;
    for (what, text) in [("the reason", reason), ("who decided", &arguments.by)] {
        if text.trim().is_empty() || text.len() > LONGEST {
            return Err(Usage::error(
                format!("{what} has to be told, in at most {LONGEST} bytes"),
                "say it in a sentence: whoever reads the certificate sees it",
            ));
        }
    }
    let now = Timestamp::now();
    ahead(Some(arguments.until))?;
    let party = crate::keys::open(party)?;
    let mut log = Log::open(log, &party).context("the log cannot be opened")?;
    let entry = log.folder().tree(log.checkpoint().head()).entry(*index)?;
    let known = Envelope::parse(&entry).map(|envelope| Statement::parse(envelope.payload()));
    let Ok(Ok(Statement { record: Record::Validation(validation), subject })) = known else {
        return Err(Usage::error(
            format!("entry {index} is no record of a validation"),
            "`hospitium log show` lists the entries",
        ));
    };
    let failed = &validation.failed_tests;
    if !failed.iter().any(|check| check == arguments.check.as_str()) {
        let next = match failed.as_slice() {
            [] => "only what failed can be waived, and nothing did".to_owned(),
            some => format!("failed did: {}", safe(&some.join(", "))),
        };
        return Err(Usage::error(
            format!("{} did not fail in entry {index}", arguments.check),
            next,
        ));
    }
    let guest = subject.into_iter().next().context("the record has no guest")?;
    let host = &validation.hospitium.host.name;
    let waiver = WaiverRecord {
        format: hospitium_ledger::statement::FORMAT,
        party: party.public.name.clone(),
        issued: now,
        check: arguments.check.clone(),
        reason: reason.clone(),
        until: arguments.until,
        by: arguments.by.clone(),
        host: (!arguments.every_host).then(|| host.clone()),
    };
    for made in Certificate::issue(&mut log, &party, &[Statement::waiver(guest, waiver)])? {
        out!("recorded as entry {}", made.proof().index);
    }
    note!("note: certify the run again, and its record counts the waiver");
    Ok(End::Good)
}
