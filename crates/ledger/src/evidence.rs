//! Holds a certificate against the evidence that it names.

mod lines;

use std::path::Path;

use hospitium_evidence::{Bundle, Cell, Problem};
use hospitium_model::{CheckRecord, Digest, MachineRow};
use serde::Serialize;

use crate::statement::cut;
use crate::statement::inputs::{arch, configuration, drivers, envelope, profile};
use crate::statement::machines::{self, widened};
use crate::statement::{CheckCounts, ExcludedWhy, Validation};
use crate::text::shown;

/// What became of the evidence.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "evidence", rename_all = "kebab-case")]
pub enum EvidenceFound {
    /// Nobody gave any.
    NotGiven,
    /// Nothing is there, or nothing that can be read as a bundle.
    Unreadable {
        /// Why, with its causes.
        why: String,
    },
    /// A bundle whose manifest is not the one that was signed.
    Other {
        /// Its digest.
        found: Digest,
        /// The one that the certificate names.
        expected: Digest,
    },
    /// The bundle that was signed, with files absent, altered or added.
    Altered {
        /// What is wrong, file by file.
        problems: Vec<Problem>,
    },
    /// The bundle that was signed, and it does not say what the certificate says.
    Contradicts {
        /// Where they differ.
        differences: Vec<String>,
    },
    /// The bundle that was signed, whole, and it bears the certificate out.
    Sound {
        /// Its files.
        files: usize,
    },
}

impl EvidenceFound {
    /// True unless something is wrong with evidence that was given.
    pub const fn is_good(&self) -> bool {
        matches!(self, Self::NotGiven | Self::Sound { .. })
    }
}

/// Reads the evidence and compares it with what the certificate says, check by check.
pub fn compare(path: &Path, validation: &Validation) -> EvidenceFound {
    compare_all(path, validation, None)
}

/// The same, with the subject of the statement, which has to be the guest.
pub(crate) fn compare_all(
    path: &Path,
    validation: &Validation,
    subject: Option<&[crate::statement::Resource]>,
) -> EvidenceFound {
    let named = &validation.hospitium.evidence;
    let bundle = match Bundle::open(path) {
        Ok(bundle) => bundle,
        Err(error) => {
            let mut why = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(next) = cause {
                why.push_str(&format!(": {next}"));
                cause = next.source();
            }
            return EvidenceFound::Unreadable { why };
        }
    };
    if bundle.digest != named.manifest {
        return EvidenceFound::Other { found: bundle.digest, expected: named.manifest };
    }
    if !bundle.is_sound() {
        return EvidenceFound::Altered { problems: bundle.problems };
    }
    let differences = differences(&bundle, validation, subject);
    if differences.is_empty() {
        EvidenceFound::Sound { files: bundle.files().count() }
    } else {
        EvidenceFound::Contradicts { differences }
    }
}

/// Everything that follows from the evidence alone, derived again as a record is made, and compared.
fn derived(
    bundle: &Bundle,
    cell: &Cell,
    validation: &Validation,
    differ: &mut impl FnMut(&str, String, String),
) {
    let ours = &validation.hospitium;
    let (guest, host, run) = (&cell.record.guest, &cell.record.host, &bundle.run);
    let json = |value: serde_json::Result<serde_json::Value>| {
        value.map(|value| value.to_string()).unwrap_or_default()
    };
    let ended = run.ended.map(|at| at.to_string()).unwrap_or_default();
    let named = cell.record.booted.map(|at| at.to_string()).unwrap_or_default();
    for (what, certificate, evidence) in [
        ("the run's begin", ours.run.started.to_string(), run.started.to_string()),
        ("the run's end", ours.run.ended.to_string(), ended),
        ("the run's version", ours.run.hospitium.clone(), run.hospitium.clone()),
        ("the run's seed", ours.run.seed.to_string(), run.seed.to_string()),
        ("the guest's name", ours.guest.name.clone(), cut(&guest.name, 120)),
        ("the guest's kind", format!("{:?}", ours.guest.kind), format!("{:?}", guest.kind)),
        ("the guest's family", format!("{:?}", ours.guest.os), format!("{:?}", guest.os)),
        ("the guest's version", ours.guest.version.clone(), cut(&guest.version, 120)),
        ("the host's name", ours.host.name.clone(), cut(&host.name, 120)),
        ("the host's kind", ours.host.kind.clone(), cut(&host.kind, 60)),
        ("the host's processor", ours.host.cpu_model.clone(), cut(&host.cpu_model, 120)),
        ("the host's kernel", ours.host.kernel.clone(), cut(&host.kernel, 120)),
        (
            "the evidence's files",
            ours.evidence.files.to_string(),
            bundle.files().count().to_string(),
        ),
    ] {
        differ(what, certificate, evidence);
    }
    // What older records do not tell, they do not contradict.
    if let Some(booted) = &ours.run.booted {
        differ("the boot", booted.to_string(), named);
    }
    if let Some(told) = &ours.profile {
        differ("the profile", told.clone(), profile(bundle).unwrap_or_default());
    }
    if let Some(told) = &ours.drivers {
        differ("the guest's drivers", told.clone(), drivers(cell).unwrap_or_default());
    }
    if let (Some(told), Some(evidence)) = (&ours.guest.product, &guest.product) {
        differ("the guest's product", told.clone(), evidence.clone());
    }
    if let Some(contradiction) =
        ours.host.product.as_deref().and_then(|id| contradicts(id, &host.kind, &host.version))
    {
        differ("the host's product", contradiction, format!("{} {}", host.kind, host.version));
    }
    let all = configuration(bundle, cell);
    let inputs = |of: &[crate::statement::Resource]| json(serde_json::to_value(of));
    differ_in("what went in", &inputs(&validation.configuration), &inputs(&all), differ);
    let tried =
        widened(envelope(&cell.record.machine, host.accelerator.used), ours.machines.as_ref());
    let (said, tried) = (serde_json::to_value(&ours.envelope), serde_json::to_value(&tried));
    differ_in("what was tested", &json(said), &json(tried), differ);
    let required = |id: &hospitium_model::CheckId| {
        let named = |other: &hospitium_model::CheckId| other == id || other.as_str() == id.base();
        run.required.iter().any(named)
    };
    let word = |is: bool| if is { "required" } else { "not required" }.to_owned();
    for (id, told) in ours
        .checks
        .iter()
        .map(|line| (&line.id, line.required))
        .chain(ours.excluded.iter().map(|line| (&line.id, line.required)))
    {
        differ(id.as_str(), word(told), word(required(id)));
    }
    let counted = CheckCounts {
        required: run.required.len(),
        passed: validation.passed_tests.len(),
        failed: validation.failed_tests.len(),
        waived: validation.warned_tests.len(),
        skipped: ours.excluded.iter().filter(|line| !is_open(line.why)).count(),
        inconclusive: ours.excluded.iter().filter(|line| is_open(line.why)).count(),
        one_witness: (ours.checks.iter())
            .filter(|line| line.verdict.word() == "pass" && line.one_witness.is_some())
            .count(),
    };
    differ("the counts", format!("{:?}", ours.coverage), format!("{counted:?}"));
    for line in &ours.checks {
        let Some(check) = cell.checks.iter().find(|check| check.id == line.id) else { continue };
        let flaky = check.flaky().map(|(failed, of)| [failed, of]);
        let one_witness = check.observations.one_witness.as_deref().map(|why| cut(why, 120));
        differ(line.id.as_str(), format!("{:?}", line.flaky), format!("{flaky:?}"));
        differ(line.id.as_str(), format!("{:?}", line.one_witness), format!("{one_witness:?}"));
    }
}

/// Long texts that differ are told by their digests.
fn differ_in(
    what: &str,
    certificate: &str,
    evidence: &str,
    differ: &mut impl FnMut(&str, String, String),
) {
    if certificate != evidence {
        let named =
            |text: &str| format!("{} of {} bytes", Digest::of(text.as_bytes()).short(), text.len());
        differ(what, named(certificate), named(evidence));
    }
}

const fn is_open(why: ExcludedWhy) -> bool {
    matches!(why, ExcludedWhy::Error | ExcludedWhy::Miss)
}

/// A product's version where it is of the host's kind and another than the host states itself.
pub(crate) fn contradicts(product: &str, kind: &str, version: &str) -> Option<String> {
    let mut parts = product.trim_end_matches('/').rsplit('/');
    let (last, line) = (parts.next()?, parts.next()?);
    let numbers =
        |text: &str| -> Vec<u64> { text.split('.').map_while(|part| part.parse().ok()).collect() };
    let (named, stated) = (numbers(last), numbers(version));
    (line == kind && !named.is_empty() && !stated.starts_with(&named)).then(|| product.to_owned())
}

/// Where a sound bundle and the certificate say different things.
fn differences(
    bundle: &Bundle,
    validation: &Validation,
    validation_subject: Option<&[crate::statement::Resource]>,
) -> Vec<String> {
    let ours = &validation.hospitium;
    let Some(cell) = bundle.cell(&ours.evidence.cell) else {
        return vec![format!("the evidence has no cell {:?}", shown(&ours.evidence.cell))];
    };
    let mut found = Vec::new();
    let mut differ = |what: &str, certificate: String, evidence: String| {
        if certificate != evidence {
            let (certificate, evidence) = (shown(&certificate), shown(&evidence));
            found.push(format!(
                "{what}: the certificate says {certificate}, the evidence {evidence}"
            ));
        }
    };
    let (guest, host) = (&cell.record.guest, &cell.record.host);
    if let Some(subject) = validation_subject {
        let subject = subject.iter().find_map(crate::statement::Resource::sha256);
        let subject = subject.map(|digest| digest.to_string()).unwrap_or_default();
        differ("the subject", subject, guest.digest.to_string());
    }
    differ("the run", ours.run.id.clone(), bundle.run.id.clone());
    differ("the guest", ours.guest.digest.to_string(), guest.digest.to_string());
    if let Some(told) = &ours.guest.arch {
        let evidence = arch(cell).unwrap_or_default();
        differ("the guest's architecture", told.clone(), evidence);
    }
    derived(bundle, cell, validation, &mut differ);
    differ("the host's version", ours.host.version.clone(), host.version.clone());
    differ("the host's build", ours.host.build.clone(), host.build.clone());
    if let Some(told) = &ours.machine {
        let row = MachineRow::of(&cell.record.machine);
        let evidence = row.map(|row| row.words().join(" ")).unwrap_or_default();
        differ("the machine", told.join(" "), evidence);
    }
    let used = |a: hospitium_model::Accelerator| a.name().to_owned();
    differ("the accelerator", used(ours.host.accelerator.used), used(host.accelerator.used));
    let tried =
        widened(envelope(&cell.record.machine, host.accelerator.used), ours.machines.as_ref());
    differ("vCPUs", ours.envelope.vcpus.to_string(), tried.vcpus.to_string());
    differ("memory", ours.envelope.memory.to_string(), tried.memory.to_string());
    let list = |words: &[String]| words.join(", ");
    differ("disk buses", list(&ours.envelope.disk_buses), list(&tried.disk_buses));
    differ("network adapters", list(&ours.envelope.nics), list(&tried.nics));
    differ(
        "the canary",
        "failed".into(),
        if cell.record.canary_failed { "failed" } else { "passed" }.into(),
    );

    let by_evidence = |check: &CheckRecord| check.verdict.word();
    let in_evidence = |id| cell.checks.iter().find(|check| check.id == id);
    for line in &ours.checks {
        let evidence = in_evidence(line.id.clone()).map_or("nothing", by_evidence);
        differ(line.id.as_str(), line.verdict.word().to_owned(), evidence.to_owned());
    }
    for line in &ours.excluded {
        let word = match line.why {
            ExcludedWhy::Error => "error",
            ExcludedWhy::Miss => "miss",
            _ => "skip",
        };
        let absent =
            if cell.record.required_not_run.contains(&line.id) { "miss" } else { "nothing" };
        let evidence = in_evidence(line.id.clone()).map_or(absent, by_evidence);
        differ(line.id.as_str(), word.to_owned(), evidence.to_owned());
    }
    for check in &cell.checks {
        let listed = ours.checks.iter().any(|line| line.id == check.id)
            || ours.excluded.iter().any(|line| line.id == check.id);
        if !listed && check.id.subsystem() != hospitium_model::Subsystem::Canary {
            differ(check.id.as_str(), "nothing".into(), check.verdict.word().into());
        }
    }
    found.extend(lines::differences(cell, validation));
    if let Some(claim) = &ours.machines {
        found.extend(machines::differences(claim, bundle, cell, &ours.waivers));
    }
    found
}
