//! `hospitium certify`: from a run's evidence to records in the party's log.

pub mod known;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueHint};
use hospitium_evidence::Bundle;
use hospitium_ledger::dsse::Envelope;
use hospitium_ledger::statement::{
    Claim, Issue, Outcome, Record, Refused, Resource, Waiver, validation,
};
use hospitium_ledger::{
    Certificate, Log, NoticeKind, SUFFIX, Statement, find_notice, find_validation, find_waivers,
};
use hospitium_model::{CellRecord, Digest, Formula};
use hospitium_plan::cells::{CellPlan, PairPlan};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::failure::{End, Usage};
use crate::out::{note, out};
use crate::places;
use crate::planned;
use crate::product::SourceArguments;
use crate::view::safe;

#[derive(Debug, Args)]
pub struct CertifyArguments {
    /// The run's folder, its evidence folder, or a packed bundle (.tar.zst)
    #[arg(value_hint = ValueHint::AnyPath)]
    pub run: PathBuf,
    /// The party that signs
    #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub party: PathBuf,
    /// The party's log [default: the party's folder's log]
    #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub log: Option<PathBuf>,
    /// Only this cell; may be given several times [default: all cells of the run]
    #[arg(long, value_name = "NAME")]
    pub cell: Vec<String>,
    /// Where the certificates go [default: the run's folder's certificates]
    #[arg(long, short, value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The host's product: an id or a name [default: what its kind and version mean]
    #[arg(long = "host", alias = "host-product", value_name = "PRODUCT")]
    pub host_product: Option<String>,
    /// The guest's product: an id or a name [default: what its definition, name or version means]
    #[arg(long = "guest", alias = "guest-product", value_name = "PRODUCT")]
    pub guest_product: Option<String>,
    /// The agreement under which it is, and whose rule says until when: a file, or one that the configuration has
    #[arg(long, value_hint = ValueHint::FilePath, value_name = "AGREEMENT")]
    pub agreement: Option<String>,
    #[command(flatten)]
    pub sources: SourceArguments,
    /// Months that the certificate is valid from the validation, where no agreement says until when
    #[arg(long, value_name = "MONTHS", conflicts_with = "agreement", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=120))]
    pub months: u32,
    /// Failures that are accepted for a time: a TOML file with `[[waiver]]` check, reason, until, by
    #[arg(long, value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub waivers: Option<PathBuf>,
    /// The plan whose cells the run ran, for what it covers of the machine's configurations
    /// [default: the one that the run's folder keeps]
    #[arg(long, value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Write a Sigstore bundle (v0.3) beside each certificate, for cosign
    #[arg(long)]
    pub sigstore: bool,
    /// One JSON object (docs/command-line.md)
    #[arg(long)]
    pub json: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Waivers {
    #[serde(default)]
    waiver: Vec<Waiver>,
}

/// `hospitium certify`.
pub fn certify(arguments: &CertifyArguments) -> Result<End> {
    let evidence = places::evidence(&arguments.run)?;
    let bundle = Bundle::open(&evidence)
        .with_context(|| format!("the evidence {} cannot be read", evidence.display()))?;
    let party = crate::keys::open(&arguments.party)?;
    let folder = arguments.log.clone().unwrap_or_else(|| party.usual_log());
    let mut issue = Issue::new(&party.public.name, Timestamp::now());
    issue.rule.months_after_validation = arguments.months;
    issue.host_product.clone_from(&arguments.host_product);
    issue.guest_product.clone_from(&arguments.guest_product);
    let mut rule = None;
    if let Some(named) = &arguments.agreement {
        let (resource, formula) = agreement(named, &party.public.name)?;
        (issue.agreement, rule) = (Some(resource), Some(formula));
    }
    if let Some(path) = &arguments.waivers {
        issue.waivers = waivers(path)?;
    }
    let products = arguments.sources.clone().load()?;
    let kept = arguments.run.join(planned::PLAN);
    let path = arguments.plan.clone().or_else(|| kept.is_file().then_some(kept));
    let plan = path.as_deref().map(planned::read).transpose()?;
    let cells = if arguments.cell.is_empty() { &bundle.run.cells } else { &arguments.cell };
    if cells.is_empty() {
        return Err(Usage::error("the run has no cells", "run one: hospitium run GUEST"));
    }

    let mut log = Log::open(&folder, &party)
        .with_context(|| format!("the log {} cannot be written", folder.display()))?;
    if log.recovered() > 0 {
        note!("note: {} records of a run that was cut off are completed", log.recovered());
    }
    let (mut statements, mut indexes, mut refused) = (Vec::new(), Vec::new(), 0);
    let mut taken_back = false;
    for cell in cells {
        let head = log.checkpoint().head();
        let mut issue = issue.clone();
        if let Some(found) = bundle.cell(cell) {
            let (guest, host) = (found.record.guest.digest, &found.record.host.name);
            let keys = party.public.keys();
            let waived = find_waivers(log.folder(), head, &keys, guest, host, issue.issued);
            issue.waivers.extend(waived);
        }
        let known = find_validation(log.folder(), head, bundle.digest, cell);
        if let Some(index) = known.filter(|index| !recorded_otherwise(&log, *index, &issue)) {
            let entry = log.folder().tree(head).entry(index)?;
            let keys = party.public.keys();
            let record = Digest::of(&entry);
            if let Some(said) = find_notice(log.folder(), head, &keys, record, issue.issued) {
                let what = match said.kind {
                    NoticeKind::Withdrawal => "was withdrawn",
                    _ => "is suspended",
                };
                note!(
                    "not recorded: {} is in the log as entry {index}, which {what} by entry {}: {}",
                    safe(cell),
                    said.index,
                    safe(&said.notice.reason)
                );
                taken_back = true;
                continue;
            }
            note!("note: {} is in the log already, as entry {index}", safe(cell));
            indexes.push(index);
            continue;
        }
        if let Some(found) = bundle.cell(cell) {
            let ended = bundle.run.ended;
            known::refuse_contradicted(&issue, &found.record, &products)?;
            known::fill(&mut issue, &found.record, ended, rule.as_ref(), &products);
            issue.machines = plan.as_ref().and_then(|plan| claim(plan, &found.record));
        }
        match validation(&bundle, cell, &issue) {
            Ok(statement) => statements.push(statement),
            Err(error @ (Refused::NoCell(_) | Refused::Unsound { .. })) => {
                return Err(anyhow::Error::new(error).context("nothing is recorded"));
            }
            Err(error) => {
                refused += 1;
                note!("not recorded: {}", safe(&error.to_string()));
            }
        }
    }
    if !statements.is_empty() {
        let made = Certificate::issue(&mut log, &party, &statements)
            .context("the records cannot be put in the log")?;
        indexes.extend(made.iter().map(|certificate| certificate.proof().index));
    }
    let out = arguments.out.clone().unwrap_or_else(|| usual_place(&arguments.run));
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let mut failed = taken_back;
    let mut certificates = Vec::new();
    for index in indexes {
        let certificate = Certificate::of(log.folder(), log.checkpoint(), index)?;
        let Some(written) = write(&certificate, &out, arguments.sigstore)? else { continue };
        failed |= written.result == Outcome::Failed;
        if !arguments.json {
            out!("{}", safe(&written.line()));
        }
        certificates.push(written);
    }
    let head = log.checkpoint().head();
    if arguments.json {
        let object = serde_json::json!({
            "schema": "hospitium-certify/1",
            "log": { "origin": head.origin, "size": head.size, "folder": folder },
            "certificates": certificates,
        });
        out!("{object}");
    } else {
        out!("log       {} · {} entries · {}", safe(&head.origin), head.size, folder.display());
    }
    Ok(match (refused, failed) {
        (0, false) => End::Good,
        (0, true) => End::Bad,
        _ => End::Unfinished,
    })
}

/// Whether an entry, which may be anything, was made otherwise than is wanted now: under another
/// agreement, or with other waivers. One excuses something that it says failed, or one of the log that it
/// rests on does not hold any more.
fn recorded_otherwise(log: &Log, index: u64, issue: &Issue) -> bool {
    let waivers = &issue.waivers;
    let Ok(entry) = log.folder().tree(log.checkpoint().head()).entry(index) else { return false };
    let Ok(envelope) = Envelope::parse(&entry) else { return false };
    let Ok(statement) = Statement::parse(envelope.payload()) else { return false };
    let Record::Validation(validation) = statement.record else { return false };
    let failed = |waiver: &Waiver| {
        validation.failed_tests.iter().any(|check| check == waiver.check.as_str())
    };
    let gone = |rested: &Waiver| {
        rested.record.is_some() && !waivers.iter().any(|holds| holds.record == rested.record)
    };
    let agreement = issue.agreement.is_some() && issue.agreement != validation.hospitium.agreement;
    agreement || waivers.iter().any(failed) || validation.hospitium.waivers.iter().any(gone)
}

/// What a plan promises of the cell's guest on its host.
fn claim(plan: &CellPlan, cell: &CellRecord) -> Option<Claim> {
    let fits = |pair: &&PairPlan| {
        pair.guest.digest == cell.guest.digest && pair.host.digest == cell.host.vmm
    };
    let pair = plan.pairs.iter().find(fits)?;
    Some(Claim {
        strength: pair.strength,
        space: pair.space.clone(),
        earlier: pair.done.iter().map(|done| (done.machine, done.record)).collect(),
    })
}

/// The agreement by its digest, with its rule of validity; the party has to be one of it.
fn agreement(named: &str, party: &str) -> Result<(Resource, Formula)> {
    let (path, deal) = crate::deals::open(named)?;
    if deal.party(party).is_none() {
        let names: Vec<&str> = deal.parties.iter().map(|party| party.name.as_str()).collect();
        return Err(Usage::error(
            format!("{} is no party to {}", safe(party), deal.id),
            format!("its parties are {}", names.join(", ")),
        ));
    }
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok((Resource::of(&deal.id, Digest::of(&bytes)), deal.validity.until))
}

/// A certificate that was written.
#[derive(Serialize)]
struct Written {
    cell: String,
    result: Outcome,
    entry: u64,
    guest: String,
    host: String,
    passed: usize,
    failed: usize,
    skipped: usize,
    file: PathBuf,
}

impl Written {
    fn line(&self) -> String {
        let Self { result, entry, guest, host, passed, failed, skipped, file, .. } = self;
        format!(
            "{:<9} entry {entry} · {guest} on {host} · {passed} passed, {failed} failed, {skipped} do not apply · {}",
            result.word(),
            file.display()
        )
    }
}

/// Writes a certificate of a validation; nothing of another record.
fn write(certificate: &Certificate, folder: &Path, sigstore: bool) -> Result<Option<Written>> {
    let statement = Statement::parse(certificate.envelope().payload())?;
    let Record::Validation(validation) = statement.record else { return Ok(None) };
    let cell = validation.hospitium.evidence.cell;
    let file = folder.join(format!("{cell}.{SUFFIX}"));
    certificate.write(&file)?;
    if sigstore {
        let bundle = hospitium_ledger::dsse::sigstore_bundle(certificate.envelope())?;
        let path = file.with_extension("sigstore.json");
        std::fs::write(&path, bundle)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let coverage = validation.hospitium.coverage;
    Ok(Some(Written {
        cell,
        result: validation.result,
        entry: certificate.proof().index,
        guest: validation.hospitium.guest.name,
        host: validation.hospitium.host.name,
        passed: coverage.passed,
        failed: coverage.failed + coverage.waived,
        skipped: coverage.skipped,
        file,
    }))
}

fn waivers(path: &Path) -> Result<Vec<Waiver>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let read: Waivers =
        toml::from_str(&text).with_context(|| format!("{} names no waivers", path.display()))?;
    Ok(read.waiver)
}

/// Beside the evidence, where that is a run's folder; else here.
fn usual_place(run: &Path) -> PathBuf {
    let folder = if run.join("evidence").is_dir() { run.to_owned() } else { PathBuf::from(".") };
    folder.join("certificates")
}
