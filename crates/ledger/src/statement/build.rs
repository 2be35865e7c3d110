//! From a cell of a run's evidence to its record.

use std::collections::BTreeSet;

use hospitium_evidence::{Bundle, Cell};
use hospitium_model::{BOOT_WITHIN, BootOf, CheckId, CheckRecord, MachineRow, Subsystem, Verdict};
use jiff::{SignedDuration, Timestamp};

use super::compact::{STEPS, TEXT, apply, cut};
use super::inputs::{arch, configuration, drivers, envelope, profile, subject};
use super::machines::{Claim, MachineCoverage, widened};
use super::validation::{
    CheckCounts, CheckLine, EvidenceRef, Excluded, ExcludedWhy, Extension, GuestLine, HostLine,
    Outcome, RunLine, Validation, Waiver,
};
use super::{FORMAT, Record, Resource, STATEMENT_LIMIT, Statement, StatementError};
use crate::validity::{Agreed, DatedFact, Validity, ValidityError, ValidityRule};

/// Why a required check of which there is no record has no verdict.
pub const NOT_IN_RUN: &str = "it was not part of this run";

/// What the party adds to the evidence.
#[derive(Debug, Clone)]
pub struct Issue {
    /// The party's name.
    pub party: String,
    /// When the record is made.
    pub issued: Timestamp,
    /// The rule of validity, unless an agreement's decides.
    pub rule: ValidityRule,
    /// The agreement's rule, with the days that are known.
    pub agreed: Option<Agreed>,
    /// The next version of either side, if one is out.
    pub next_version: Option<DatedFact>,
    /// Ends of life of guest and host.
    pub ends: Vec<DatedFact>,
    /// Failures that are accepted.
    pub waivers: Vec<Waiver>,
    /// The guest's product, where the evidence does not say.
    pub guest_product: Option<String>,
    /// The host's product.
    pub host_product: Option<String>,
    /// The agreement's file.
    pub agreement: Option<Resource>,
    /// The machine configurations of which the run's cells are to cover so much.
    pub machines: Option<Claim>,
    /// How long before the run a boot may be that its checks judged.
    pub boot_within: SignedDuration,
    /// Where the run can be looked at.
    pub url: Option<String>,
}

impl Issue {
    /// A record of this party, made now, by the default rule, with nothing added.
    pub fn new(party: &str, issued: Timestamp) -> Self {
        Self {
            party: party.to_owned(),
            issued,
            rule: ValidityRule::default(),
            agreed: None,
            next_version: None,
            ends: Vec::new(),
            waivers: Vec::new(),
            guest_product: None,
            host_product: None,
            agreement: None,
            machines: None,
            boot_within: BOOT_WITHIN,
            url: None,
        }
    }
}

/// Why a cell gives no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Evidence with something wrong in it.
    #[error(
        "the evidence is not sound ({count} problems, the first: {first}); nothing is certified \
         from it. `hospitium verify RUN` lists them; run again"
    )]
    Unsound {
        /// How many problems.
        count: usize,
        /// The first.
        first: String,
    },
    /// Evidence of a format without sources.
    #[error(
        "the evidence is of format {format}, whose observations do not say where they were read; \
         nothing is certified from it. Run again"
    )]
    NoSources {
        /// Its format.
        format: u32,
    },
    /// No such cell.
    #[error("the run has no cell named {0:?}")]
    NoCell(String),
    /// The run has no end.
    #[error("the run was cut off before its end: {0}. Run again")]
    CutOff(String),
    /// The cell as a whole could not be run.
    #[error("{cell}: the machine could not be run, which says nothing about the pair: {reason}")]
    Cell {
        /// The cell.
        cell: String,
        /// Why.
        reason: String,
    },
    /// The canary passed, or did not run.
    #[error(
        "{cell}: the canary, which has to fail, did not; so no pass of this run can be believed. \
         Nothing is recorded; find out why before running again"
    )]
    Canary {
        /// The cell.
        cell: String,
    },
    /// The checks judged a boot of long ago, or of nobody knows when.
    #[error(
        "{cell}: its checks judged a boot {of}, and a certificate needs one of the run itself or of \
         at most {days} days before it. Run again with a boot of its own: \
         hospitium run --fresh-boot …"
    )]
    OldBoot {
        /// The cell.
        cell: String,
        /// Of when the boot is.
        of: String,
        /// How many days before the run it may be.
        days: i64,
    },
    /// Required checks came to no end.
    #[error(
        "{cell}: {count} required checks came to no end, which is neither a pass nor a failure of \
         the pair, so nothing is recorded. Run the cell again, whole. {checks}"
    )]
    Inconclusive {
        /// The cell.
        cell: String,
        /// How many.
        count: usize,
        /// The first few, with their reasons.
        checks: String,
    },
    /// Nothing required ran.
    #[error("{cell}: no required check applies to this pair, so there is nothing to certify")]
    Nothing {
        /// The cell.
        cell: String,
    },
    /// A waiver that does not hold.
    #[error("the waiver of {check} ended at {until}; renew it, or leave it out")]
    Waiver {
        /// The check.
        check: CheckId,
        /// When.
        until: Timestamp,
    },
    /// A record made before the run ended.
    #[error(
        "the run ended at {ended}, which is after now ({issued}): one of the two clocks is wrong"
    )]
    Clock {
        /// When the run ended.
        ended: Timestamp,
        /// When the record is made.
        issued: Timestamp,
    },
    /// The machine configurations.
    #[error("{cell}: what its run covers of the machine's configurations cannot be told: {why}")]
    Machines {
        /// The cell.
        cell: String,
        /// Why.
        why: String,
    },
    /// The validity.
    #[error(transparent)]
    Validity(#[from] ValidityError),
    /// The record itself.
    #[error("the record cannot be written")]
    Statement(#[from] StatementError),
}

/// The statement on a cell of a run. A failure of the pair is recorded as one; a failure of the
/// harness or the lab gives no record.
///
/// # Errors
/// If the evidence does not allow a conclusion, or something of it is not sound.
pub fn validation(bundle: &Bundle, cell: &str, issue: &Issue) -> Result<Statement, Refused> {
    if let Some(first) = bundle.problems.first() {
        let count = bundle.problems.len();
        return Err(Refused::Unsound { count, first: first.to_string() });
    }
    if !bundle.names_sources() {
        return Err(Refused::NoSources { format: bundle.format() });
    }
    let cell = bundle.cell(cell).ok_or_else(|| Refused::NoCell(cell.to_owned()))?;
    let name = cell.record.name.clone();
    if let Some(reason) = &cell.record.failure {
        return Err(Refused::Cell { cell: name, reason: cut(reason, TEXT) });
    }
    let Some(ended) = bundle.run.ended else {
        let reason = bundle.run.cut_off.clone().unwrap_or_else(|| "nobody knows why".into());
        return Err(Refused::CutOff(cut(&reason, TEXT)));
    };
    if ended > issue.issued {
        return Err(Refused::Clock { ended, issued: issue.issued });
    }
    if !cell.record.canary_failed {
        return Err(Refused::Canary { cell: name });
    }
    young_boot(bundle, cell, issue)?;
    let sorted = sort(bundle, cell, issue)?;
    let claim = |claim| MachineCoverage::of(claim, bundle, cell, &issue.waivers);
    let machines = issue.machines.as_ref().map(claim).transpose();
    let machines = machines.map_err(|why| Refused::Machines { cell: name.clone(), why })?;
    // A waiver counts for the cell, and for the rows on which its claim rests.
    let rows = machines.iter().flat_map(|m| &m.rows).filter_map(|row| row.cell.as_deref());
    let rows: Vec<&Cell> = rows.filter_map(|name| bundle.cell(name)).collect();
    rows.iter().try_for_each(|cell| young_boot(bundle, cell, issue))?;
    let excuses = |waiver: &Waiver| {
        let failed = |check: &CheckRecord| {
            check.id == waiver.check && matches!(check.verdict, Verdict::Fail { .. })
        };
        sorted.lines.iter().any(|line| is_waived(line, waiver))
            || rows.iter().any(|cell| cell.checks.iter().any(failed))
    };
    let used: Vec<Waiver> =
        issue.waivers.iter().filter(|waiver| excuses(waiver)).cloned().collect();
    // An agreement's rule has the ends of lives in it, as far as it counts them.
    let mut ends = if issue.agreed.is_some() { Vec::new() } else { issue.ends.clone() };
    ends.extend(used.iter().map(|waiver| DatedFact {
        what: format!("the waiver of {}", waiver.check),
        at: waiver.until,
        source: waiver.by.clone(),
    }));
    let next = issue.next_version.clone();
    let validity = match issue.agreed.clone() {
        Some(agreed) => Validity::by_agreement(ended, agreed, next, ends)?,
        None => Validity::compute(ended, issue.rule, next, ends)?,
    };
    let validation = put_together(bundle, cell, issue, sorted, used, (machines, validity), ended);
    fit(subject(cell, issue), validation)
}

/// Refuses a cell whose checks judged a boot of too long ago.
fn young_boot(bundle: &Bundle, cell: &Cell, issue: &Issue) -> Result<(), Refused> {
    let of = match cell.record.boot(bundle.run.started) {
        BootOf::ThisRun => return Ok(()),
        BootOf::Before(_, before) if before <= issue.boot_within => return Ok(()),
        BootOf::Before(at, _) => format!("of {}", at.strftime("%Y-%m-%d %H:%M UTC")),
        BootOf::Unknown => "of an unknown day, which older versions did not keep".to_owned(),
    };
    let days = issue.boot_within.as_hours() / 24;
    Err(Refused::OldBoot { cell: cell.record.name.clone(), of, days })
}

/// The cell's checks, put in their places.
struct Sorted {
    lines: Vec<CheckLine>,
    excluded: Vec<Excluded>,
    skipped: usize,
    inconclusive: usize,
}

fn sort(bundle: &Bundle, cell: &Cell, issue: &Issue) -> Result<Sorted, Refused> {
    let name = &cell.record.name;
    let required = |id: &CheckId| {
        let named = |other: &CheckId| other == id || other.as_str() == id.base();
        bundle.run.required.iter().any(named)
    };
    let real = || cell.checks.iter().filter(|check| check.id.subsystem() != Subsystem::Canary);
    let lines: Vec<CheckLine> =
        real().filter(|c| c.verdict.ran()).map(|c| line(c, required(&c.id))).collect();
    let mut excluded = Vec::new();
    let (mut skipped, mut inconclusive) = (0, 0);
    for check in real() {
        let (why, reason) = match &check.verdict {
            Verdict::Pass | Verdict::Fail { .. } => continue,
            Verdict::Skip { why, reason } => {
                skipped += 1;
                ((*why).into(), reason)
            }
            Verdict::Error { reason } => {
                inconclusive += 1;
                (ExcludedWhy::Error, reason)
            }
            Verdict::Miss { reason } => {
                inconclusive += 1;
                (ExcludedWhy::Miss, reason)
            }
        };
        let id = check.id.clone();
        let required = required(&id);
        excluded.push(Excluded { id, required, why, reason: cut(reason, TEXT) });
    }
    let known: BTreeSet<CheckId> = excluded.iter().map(|e: &Excluded| e.id.clone()).collect();
    for id in &cell.record.required_not_run {
        if !known.contains(id) && !lines.iter().any(|line| line.id == *id) {
            inconclusive += 1;
            let reason = NOT_IN_RUN.to_owned();
            let (id, why) = (id.clone(), ExcludedWhy::Miss);
            excluded.push(Excluded { id, required: true, why, reason });
        }
    }
    let failed = |line: &CheckLine| {
        let waived = issue.waivers.iter().any(|waiver| is_waived(line, waiver));
        line.required && matches!(line.verdict, Verdict::Fail { .. }) && !waived
    };
    let open: Vec<&Excluded> = excluded
        .iter()
        .filter(|e| e.required && matches!(e.why, ExcludedWhy::Error | ExcludedWhy::Miss))
        .collect();
    // A check that failed is a failure of the pair, whatever became of others.
    if !open.is_empty() && !lines.iter().any(failed) {
        let count = open.len();
        let mut checks: Vec<String> =
            open.iter().take(5).map(|e| format!("{}: {}", e.id, cut(&e.reason, 120))).collect();
        if count > checks.len() {
            checks.push(format!("and {} more", count - checks.len()));
        }
        let checks = checks.join("; ");
        return Err(Refused::Inconclusive { cell: name.clone(), count, checks });
    }
    if !lines.iter().any(|line| line.required) {
        return Err(Refused::Nothing { cell: name.clone() });
    }
    for waiver in &issue.waivers {
        if waiver.until <= issue.issued {
            let Waiver { check, until, .. } = waiver.clone();
            return Err(Refused::Waiver { check, until });
        }
    }
    Ok(Sorted { lines, excluded, skipped, inconclusive })
}

fn is_waived(line: &CheckLine, waiver: &Waiver) -> bool {
    matches!(line.verdict, Verdict::Fail { .. }) && waiver.check == line.id
}

/// What a record says of a check that ran to an end.
pub fn line(check: &CheckRecord, required: bool) -> CheckLine {
    let verdict = match &check.verdict {
        Verdict::Fail { reason } => Verdict::Fail { reason: cut(reason, TEXT) },
        other => other.clone(),
    };
    CheckLine {
        id: check.id.clone(),
        required,
        verdict,
        flaky: check.flaky().map(|(failed, of)| [failed, of]),
        one_witness: check.observations.one_witness.as_deref().map(|why| cut(why, 120)),
        findings: check.observations.findings.clone(),
        left_out: 0,
    }
}

fn put_together(
    bundle: &Bundle,
    cell: &Cell,
    issue: &Issue,
    sorted: Sorted,
    waivers: Vec<Waiver>,
    (machines, validity): (Option<MachineCoverage>, Validity),
    ended: Timestamp,
) -> Validation {
    let Sorted { lines, excluded, skipped, inconclusive } = sorted;
    let names = |keep: &dyn Fn(&CheckLine) -> bool| -> Vec<String> {
        lines.iter().filter(|line| keep(line)).map(|line| line.id.to_string()).collect()
    };
    let failed = |line: &CheckLine| matches!(line.verdict, Verdict::Fail { .. });
    let waived = |line: &CheckLine| waivers.iter().any(|waiver| is_waived(line, waiver));
    let passed_tests = names(&|line| !failed(line));
    let warned_tests = names(&|line| failed(line) && waived(line));
    let failed_tests = names(&|line| failed(line) && !waived(line));
    let result = if lines.iter().any(|line| line.required && failed(line) && !waived(line)) {
        Outcome::Failed
    } else if lines.iter().any(failed) {
        Outcome::Warned
    } else {
        Outcome::Passed
    };
    let coverage = CheckCounts {
        required: bundle.run.required.len(),
        passed: passed_tests.len(),
        failed: failed_tests.len(),
        waived: warned_tests.len(),
        skipped,
        inconclusive,
        one_witness: lines.iter().filter(|l| !failed(l) && l.one_witness.is_some()).count(),
    };
    let (guest, host) = (&cell.record.guest, &cell.record.host);
    let run = &bundle.run;
    let hospitium = Extension {
        format: FORMAT,
        party: issue.party.clone(),
        issued: issue.issued,
        agreement: issue.agreement.clone(),
        profile: profile(bundle),
        drivers: drivers(cell),
        run: RunLine {
            id: run.id.clone(),
            started: run.started,
            ended,
            booted: cell.record.booted,
            hospitium: run.hospitium.clone(),
            seed: run.seed,
        },
        guest: GuestLine {
            name: cut(&guest.name, 120),
            product: guest.product.clone().or_else(|| issue.guest_product.clone()),
            kind: guest.kind,
            os: guest.os,
            version: cut(&guest.version, 120),
            arch: arch(cell),
            digest: guest.digest,
        },
        host: HostLine {
            name: cut(&host.name, 120),
            product: issue.host_product.clone(),
            kind: cut(&host.kind, 60),
            version: cut(&host.version, 120),
            build: cut(&host.build, 200),
            accelerator: hospitium_model::AcceleratorProof {
                used: host.accelerator.used,
                how: cut(&host.accelerator.how, TEXT),
            },
            cpu_model: cut(&host.cpu_model, 120),
            kernel: cut(&host.kernel, 120),
        },
        envelope: widened(envelope(&cell.record.machine, host.accelerator.used), machines.as_ref()),
        checks: lines,
        excluded,
        waivers,
        coverage,
        machine: MachineRow::of(&cell.record.machine).map(|row| row.words().into()),
        machines,
        validity,
        evidence: EvidenceRef {
            manifest: bundle.digest,
            cell: cell.record.name.clone(),
            files: bundle.files().count(),
        },
    };
    Validation {
        result,
        configuration: configuration(bundle, cell),
        url: issue.url.clone(),
        passed_tests,
        warned_tests,
        failed_tests,
        hospitium,
    }
}

/// Shortens what the witnesses saw until the record fits an entry of the log.
fn fit(subject: Vec<Resource>, validation: Validation) -> Result<Statement, Refused> {
    let whole = validation.hospitium.checks.clone();
    let mut statement = Statement { subject, record: Record::Validation(Box::new(validation)) };
    let mut steps = STEPS.into_iter();
    loop {
        match statement.to_bytes() {
            Ok(_) => return Ok(statement),
            Err(StatementError::TooLarge { size }) => {
                let Some(step) = steps.next() else {
                    return Err(StatementError::TooLarge { size }.into());
                };
                if let Record::Validation(validation) = &mut statement.record {
                    validation.hospitium.checks =
                        whole.iter().map(|line| apply(line, step)).collect();
                }
            }
            Err(other) => return Err(other.into()),
        }
    }
}

const _: () = assert!(STATEMENT_LIMIT / 3 * 4 + 1200 < crate::log::ENTRY_LIMIT);
