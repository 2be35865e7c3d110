//! `hospitium verify`: a certificate, without any network, explained.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueHint};
use hospitium_ledger::{
    Certificate, Explained, Given, LogFolder, NotChosen, Policies, Policy, Standing,
};
use jiff::Timestamp;

use crate::failure::End;
use crate::out::out;
use crate::places;
use crate::view::safe;

#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// The certificate
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Whom to trust: logs, witnesses, a quorum, and whose records (see docs/ledger.md); of several, the one
    /// that names the certificate's log
    #[arg(long, value_hint = ValueHint::FilePath, value_name = "FILE", required_unless_present = "peers_of")]
    pub policy: Vec<PathBuf>,
    /// Trust what the party of this folder trusts: its own log, and those of the peers of `party trust`
    #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub peers_of: Option<PathBuf>,
    /// The evidence to hold it against: a run's folder, its evidence folder, or a packed bundle
    #[arg(long, value_hint = ValueHint::AnyPath, value_name = "DIR")]
    pub evidence: Option<PathBuf>,
    /// A copy of the log, which knows of suspensions, withdrawals and changed keys
    #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub log: Option<PathBuf>,
    /// Every check that did not apply, too
    #[arg(long)]
    pub all: bool,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// `hospitium verify`. Good if the pair is validated now and nothing that was looked at is wrong.
pub fn verify(arguments: &VerifyArguments) -> Result<End> {
    let policy = policy(arguments)?;
    let log = arguments.log.as_deref().map(LogFolder::new);
    // What is not there is reported with the rest, not instead of it.
    let evidence =
        arguments.evidence.as_ref().map(|given| places::evidence(given).unwrap_or(given.clone()));
    let given = Given {
        policy: &policy,
        evidence: evidence.as_deref(),
        log: log.as_ref(),
        now: Timestamp::now(),
    };
    let explained = hospitium_ledger::verify(&arguments.file, given)
        .with_context(|| format!("{} is not accepted", arguments.file.display()))?;
    if let Some(key) = policy.log(&explained.log.origin) {
        // The very heads that were verified: a file may be another by now.
        crate::heads::meet_alone(key, &explained.checkpoint)?;
        if let (Some(folder), Some(history)) = (&log, &explained.history) {
            crate::heads::meet(folder, key, &history.checkpoint)?;
        }
    }
    if arguments.json {
        out!("{}", json(&explained)?);
    } else {
        show(&explained, arguments.all);
    }
    Ok(if explained.is_good() { End::Good } else { End::Bad })
}

/// The policy of those given that names the certificate's log; a single one, whatever it names.
fn policy(arguments: &VerifyArguments) -> Result<Policy> {
    if let ([path], None) = (arguments.policy.as_slice(), &arguments.peers_of) {
        return Policy::read(path).context("the policy cannot be used");
    }
    let policies = Policies::read(&arguments.policy, arguments.peers_of.as_deref())?;
    let certificate = Certificate::read(&arguments.file)
        .with_context(|| format!("{} is not accepted", arguments.file.display()))?;
    let origin = &certificate.proof().checkpoint.head().origin;
    match policies.of_origin(origin)? {
        Some(chosen) => Ok(chosen.policy),
        None => Err(crate::catalog::not_chosen(NotChosen::Unnamed {
            origin: safe(origin),
            log: arguments.file.clone(),
        })),
    }
}

fn show(explained: &Explained, all: bool) {
    out!("{}", safe(&explained.headline()));
    let mut left_out = 0;
    for (label, line) in explained.lines() {
        if label == "excluded" && !all {
            left_out += 1;
            continue;
        }
        out!("  {label:<12} {}", safe(&line));
    }
    if left_out > 0 {
        out!(
            "  {:<12} {left_out} checks did not apply or came to no end; --all lists them",
            "excluded"
        );
    }
}

fn json(explained: &Explained) -> Result<String> {
    let standing = match &explained.standing {
        Standing::Valid { .. } => "valid",
        Standing::Lapsed { .. } => "lapsed",
        Standing::NotYet { .. } => "not-yet",
        Standing::Failed => "failed",
        Standing::Suspended { .. } => "suspended",
        Standing::Withdrawn { .. } => "withdrawn",
        Standing::Fallen { .. } => "fallen",
        Standing::Notice(_) => "notice",
    };
    let lines: Vec<_> = explained
        .lines()
        .into_iter()
        .map(|(label, text)| serde_json::json!({ "label": label, "text": text }))
        .collect();
    let cosigned: Vec<_> =
        explained.cosigned.iter().map(|c| serde_json::json!({ "by": c.by, "at": c.at })).collect();
    let object = serde_json::json!({
        "format": 1,
        "good": explained.is_good(),
        "standing": standing,
        "rule": explained.rule(),
        "rule_words": explained.rule().words(),
        "headline": explained.headline(),
        "party": explained.party,
        "key": explained.signed.key,
        "record": explained.record,
        "log": { "origin": explained.log.origin, "index": explained.log.index, "size": explained.log.size },
        "cosigned": cosigned,
        "not_cosigned": explained.not_cosigned,
        "not_counted": explained.ahead,
        "unread": explained.unread().iter().map(|(index, _)| index).collect::<Vec<_>>(),
        "evidence": explained.evidence,
        "result": explained.validation().map(|v| v.result),
        "validity": explained.validation().map(|v| &v.hospitium.validity),
        "explained": lines,
    });
    serde_json::to_string(&object).context("cannot write JSON")
}
