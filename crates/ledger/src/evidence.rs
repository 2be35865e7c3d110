//! Holds a certificate against the evidence that it names.

use std::path::Path;

use hospitium_evidence::{Bundle, Problem};
use hospitium_model::{CheckRecord, Digest, MachineRow};
use serde::Serialize;

use crate::statement::inputs::{arch, envelope};
use crate::statement::machines::{self, widened};
use crate::statement::{ExcludedWhy, Validation};
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
    let differences = differences(&bundle, validation);
    if differences.is_empty() {
        EvidenceFound::Sound { files: bundle.files().count() }
    } else {
        EvidenceFound::Contradicts { differences }
    }
}

/// Where a sound bundle and the certificate say different things.
fn differences(bundle: &Bundle, validation: &Validation) -> Vec<String> {
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
    differ("the run", ours.run.id.clone(), bundle.run.id.clone());
    differ("the guest", ours.guest.digest.to_string(), guest.digest.to_string());
    if let Some(told) = &ours.guest.arch {
        let evidence = arch(cell).unwrap_or_default();
        differ("the guest's architecture", told.clone(), evidence);
    }
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
    if let Some(claim) = &ours.machines {
        found.extend(machines::differences(claim, bundle, cell, &ours.waivers));
    }
    found
}
