//! `hospitium verify`: a certificate or a run's evidence, offline, explained.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueHint};

use crate::failure::{End, Usage};
#[cfg(feature = "deal")]
use crate::{out::out, places, view::safe};
#[cfg(feature = "deal")]
use anyhow::Context as _;
#[cfg(feature = "deal")]
use hospitium_ledger::{Explained, Given, LogFolder, NotChosen, Policies, Policy, Standing};
#[cfg(feature = "deal")]
use jiff::Timestamp;

#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// A certificate; or a run: its folder, its evidence folder, or a packed bundle (.tar.zst)
    #[arg(value_name = "CERTIFICATE|RUN", value_hint = ValueHint::AnyPath)]
    pub file: PathBuf,
    #[cfg(feature = "deal")]
    #[command(flatten)]
    pub certificate: CertificateArguments,
    /// One JSON object; of a run, one for each problem
    #[arg(long)]
    pub json: bool,
}

/// What goes with a certificate.
#[cfg(feature = "deal")]
#[derive(Debug, Args)]
pub struct CertificateArguments {
    /// With a certificate: whom to trust: logs, witnesses, a quorum, and whose records (docs/ledger.md); of several, the
    /// one that names the certificate's log [default: the policy that the configuration has for that log]
    #[arg(long, value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub policy: Vec<PathBuf>,
    /// With a certificate: the evidence to hold it against: a run's folder, its evidence folder, or a packed bundle
    #[arg(long, value_hint = ValueHint::AnyPath, value_name = "BUNDLE")]
    pub evidence: Option<PathBuf>,
    /// With a certificate: a copy of the log, which knows of suspensions, withdrawals and changed keys
    #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub log: Option<PathBuf>,
    /// With a certificate: every check that did not apply, too; the JSON always has them
    #[arg(long, conflicts_with = "json")]
    pub all: bool,
}

/// `hospitium verify`.
pub fn verify(arguments: &VerifyArguments) -> Result<End> {
    if !is_run(&arguments.file) {
        #[cfg(feature = "deal")]
        return certificate(&arguments.file, &arguments.certificate, arguments.json);
        #[cfg(not(feature = "deal"))]
        return Err(Usage::error(
            format!("{} is no run, and this build knows no certificates", arguments.file.display()),
            "name a run's folder, such as runs/latest, or build with the feature deal",
        ));
    }
    #[cfg(feature = "deal")]
    if let Some(option) = arguments.certificate.given() {
        return Err(Usage::error(
            format!("{option} goes with a certificate, and {} is a run", arguments.file.display()),
            format!("leave out {option}, or name a certificate"),
        ));
    }
    crate::report::verify(&arguments.file, arguments.json)
}

/// Whether a path is a run: a folder, or a packed bundle, which begins as Zstandard files do (RFC 8878, 3.1.1).
fn is_run(path: &Path) -> bool {
    use std::io::Read as _;
    let begins = || {
        let mut first = [0; 4];
        std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut first)).ok()?;
        Some(first == [0x28, 0xb5, 0x2f, 0xfd])
    };
    path.is_dir() || begins().unwrap_or(false)
}

#[cfg(feature = "deal")]
impl CertificateArguments {
    /// One of the options that were given.
    fn given(&self) -> Option<&'static str> {
        let Self { policy, evidence, log, all } = self;
        let given = [
            ("--policy", !policy.is_empty()),
            ("--evidence", evidence.is_some()),
            ("--log", log.is_some()),
            ("--all", *all),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(option, _)| option)
    }
}

/// Good if the pair is validated now and nothing that was looked at is wrong.
#[cfg(feature = "deal")]
fn certificate(file: &Path, arguments: &CertificateArguments, as_json: bool) -> Result<End> {
    let policy = policy(file, arguments)?;
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
    let explained = hospitium_ledger::verify(file, given)
        .with_context(|| format!("{} is not accepted", file.display()))?;
    if let Some(key) = policy.log(&explained.log.origin) {
        // The very heads that were verified: a file may be another by now.
        crate::heads::meet_alone(key, &explained.checkpoint)?;
        if let (Some(folder), Some(history)) = (&log, &explained.history) {
            crate::heads::meet(folder, key, &history.checkpoint)?;
        }
    }
    if as_json {
        out!("{}", json(&explained)?);
    } else {
        show(&explained, arguments.all);
    }
    Ok(if explained.is_good() { End::Good } else { End::Bad })
}

/// The policy of those named that trusts the certificate's log; a single one, whatever it trusts; else the one that the
/// configuration has for that log.
#[cfg(feature = "deal")]
fn policy(file: &Path, arguments: &CertificateArguments) -> Result<Policy> {
    let policies = Policies::read(&arguments.policy)?;
    if let Some(only) = policies.only() {
        return Ok(only.clone());
    }
    let certificate = hospitium_ledger::Certificate::read(file)
        .with_context(|| format!("{} is not accepted", file.display()))?;
    let origin = &certificate.proof().checkpoint.head().origin;
    if !arguments.policy.is_empty() {
        return policies.of_origin(origin)?.cloned().ok_or_else(|| {
            let (origin, log) = (safe(origin), file.to_owned());
            crate::logs::not_chosen(NotChosen::Unnamed { origin, log })
        });
    }
    crate::config::held().policy_of(origin)?.ok_or_else(|| {
        Usage::error(
            format!("nothing says whom to trust for the log {}", safe(origin)),
            "name a policy: --policy FILE, or trust the party in hospitium.toml (docs/command-line.md)",
        )
    })
}

#[cfg(feature = "deal")]
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

#[cfg(feature = "deal")]
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
