//! What a party records in its own log of an entry: suspension, resumption, withdrawal, waiver.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueHint};
use hospitium_ledger::dsse::Envelope;
use hospitium_ledger::statement::{Record, WaiverRecord};
use hospitium_ledger::{Certificate, Log, Statement};
use hospitium_model::{CheckId, Digest};
use jiff::Timestamp;
use serde_json::json;

use crate::failure::{End, Usage};
use crate::json::{AsJson, print};
use crate::out::{note, out};
use crate::view::safe;

/// Longest reason and name of a waiver, in bytes.
const LONGEST: usize = 1000;

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
    #[command(flatten)]
    pub json: AsJson,
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

/// Tells what was recorded where.
fn tell(made: &[Certificate], kind: &str, log: &Path, json: AsJson) {
    for certificate in made {
        let entry = certificate.proof().index;
        match json.json {
            true => {
                print("hospitium-recorded/1", json!({ "kind": kind, "log": log, "entry": entry }));
            }
            false => out!("recorded as entry {entry}"),
        }
    }
}

/// Puts a statement of an entry in the log.
pub fn announce(
    arguments: &NoticeArguments,
    kind: &str,
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
    tell(&made, kind, &arguments.log, arguments.json);
    Ok(End::Good)
}

/// Refuses an end that is over.
pub fn ahead(until: Option<Timestamp>) -> Result<()> {
    match until.filter(|until| *until <= Timestamp::now()) {
        None => Ok(()),
        Some(until) => Err(Usage::error(
            format!("{until} is over"),
            "name a time ahead: --until 2027-01-31T00:00:00Z",
        )),
    }
}

/// Puts a waiver of a check that failed in the log.
pub fn waive(arguments: &WaiveArguments) -> Result<End> {
    let NoticeArguments { log: folder, party, index, reason, json } = &arguments.notice;
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
    let mut log = Log::open(folder, &party).context("the log cannot be opened")?;
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
    let made = Certificate::issue(&mut log, &party, &[Statement::waiver(guest, waiver)])?;
    tell(&made, "waiver", folder, *json);
    note!("note: certify the run again, and its record counts the waiver");
    Ok(End::Good)
}
