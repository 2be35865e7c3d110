//! The record of a validation: in-toto's `test-result/v0.1`, with what it has no room for under one
//! key, `hospitium`.

use hospitium_model::{
    Accelerator, AcceleratorProof, ByteSize, CheckId, Digest, Finding, Firmware, GuestKind,
    MachineRow, OperatingSystem, SkipReason, Verdict, VerdictWord,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Resource;
use super::machines::MachineCoverage;
use crate::validity::Validity;

/// How a validation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Outcome {
    /// Every required check passed or does not apply, and nothing else failed.
    Passed,
    /// Every required check passed, does not apply, or is waived; something was waived, or a check
    /// that is not required failed.
    Warned,
    /// A required check failed.
    Failed,
}

impl Outcome {
    /// As the record has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Passed => "PASSED",
            Self::Warned => "WARNED",
            Self::Failed => "FAILED",
        }
    }
}

/// The predicate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    /// How it ended.
    pub result: Outcome,
    /// All that went in: VMM, firmware, suite, probe, machine.
    pub configuration: Vec<Resource>,
    /// Where the run can be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Checks that passed.
    #[serde(default)]
    pub passed_tests: Vec<String>,
    /// Checks that failed and are waived.
    #[serde(default)]
    pub warned_tests: Vec<String>,
    /// Checks that failed, required or not.
    #[serde(default)]
    pub failed_tests: Vec<String>,
    /// Our part.
    pub hospitium: Extension,
}

/// What `test-result/v0.1` has no room for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Extension {
    /// [`FORMAT`](super::FORMAT).
    pub format: u32,
    /// Who says so.
    pub party: String,
    /// When the record was made.
    pub issued: Timestamp,
    /// The agreement under which, if any: its file by digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<Resource>,
    /// The profile, all of whose checks were required. None in records from before it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Which paravirtual drivers the guest had, as it told them. None in records from before they
    /// were told, and where the guest did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drivers: Option<String>,
    /// The run.
    pub run: RunLine,
    /// The guest.
    pub guest: GuestLine,
    /// The host.
    pub host: HostLine,
    /// What was tested, and so what the certificate covers.
    pub envelope: Envelope,
    /// Every check that ran, with what both witnesses saw.
    pub checks: Vec<CheckLine>,
    /// Checks that did not apply or did not run, each with its reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<Excluded>,
    /// Failures that are accepted for a time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waivers: Vec<Waiver>,
    /// How many checks ended how.
    pub coverage: CheckCounts,
    /// The machine configuration of this cell, in the words of a row. None in records from before it
    /// was told, and of a machine that is no row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Vec<String>>,
    /// How much of the machine configurations is covered, of which this cell's is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machines: Option<MachineCoverage>,
    /// From when until when, and by which rule.
    pub validity: Validity,
    /// The evidence.
    pub evidence: EvidenceRef,
}

/// The run that it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunLine {
    /// Its id.
    pub id: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// When the machine booted that its checks began from. None in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booted: Option<Timestamp>,
    /// Version of hospitium that ran it.
    pub hospitium: String,
    /// Seed of its patterns.
    pub seed: u64,
}

/// The guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestLine {
    /// Name for people.
    pub name: String,
    /// Product id, where known: `http://debian.org/debian/12`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// A kernel or a whole system.
    pub kind: GuestKind,
    /// Family.
    pub os: OperatingSystem,
    /// Version.
    pub version: String,
    /// Architecture, as the guest itself told it: `x86_64`. None in records from before it was told,
    /// and where the guest did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// What boots.
    pub digest: Digest,
}

/// The host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostLine {
    /// Name for people.
    pub name: String,
    /// Product id, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Hypervisor kind: `qemu`.
    pub kind: String,
    /// Version as it states itself.
    pub version: String,
    /// Build or package.
    pub build: String,
    /// What ran the guest's instructions, measured, and how that is known.
    pub accelerator: AcceleratorProof,
    /// CPU model of the physical machine.
    pub cpu_model: String,
    /// Kernel of the physical machine.
    pub kernel: String,
}

/// What was tested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Envelope {
    /// vCPUs at the start.
    pub vcpus: u32,
    /// vCPUs with every socket populated by hot plug.
    pub vcpus_max: u32,
    /// Memory at the start.
    pub memory: ByteSize,
    /// Memory with hot plug.
    pub memory_max: ByteSize,
    /// NUMA nodes; 0 and 1 are none.
    pub nodes: u32,
    /// Chipset generation: `modern` or `legacy`.
    pub chipset: String,
    /// Machine type by the hypervisor's name, where one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_type: Option<String>,
    /// CPU model by the hypervisor's name, where one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_model: Option<String>,
    /// Firmware.
    pub firmware: Firmware,
    /// Buses of disks and controllers, by name, each once.
    pub disk_buses: Vec<String>,
    /// Models of network interfaces, each once.
    pub nics: Vec<String>,
    /// Other devices: `rng`, `balloon`, `watchdog`, …
    pub devices: Vec<String>,
    /// What really ran the guest's instructions.
    pub accelerator: Accelerator,
}

/// A check that ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "CheckFields")]
pub struct CheckLine {
    /// Its id.
    pub id: CheckId,
    /// Whether the profile requires it.
    pub required: bool,
    /// `pass` or `fail`, with the reason.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// For one that gave different verdicts from the same state: failed, of how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flaky: Option<[usize; 2]>,
    /// Set if only one side can see this at all, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_witness: Option<String>,
    /// What both witnesses saw, and the rule under which they agree.
    pub findings: Vec<Finding>,
    /// Findings that are in the evidence only, for want of room.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: usize,
}

/// A [`CheckLine`] as it is read, its verdict's fields among the others.
#[derive(Deserialize)]
struct CheckFields {
    id: CheckId,
    required: bool,
    verdict: VerdictWord,
    why: Option<SkipReason>,
    reason: Option<String>,
    flaky: Option<[usize; 2]>,
    one_witness: Option<String>,
    findings: Vec<Finding>,
    #[serde(default)]
    left_out: usize,
}

impl TryFrom<CheckFields> for CheckLine {
    type Error = &'static str;

    fn try_from(fields: CheckFields) -> Result<Self, &'static str> {
        let CheckFields { id, required, verdict, why, reason, .. } = fields;
        let CheckFields { flaky, one_witness, findings, left_out, .. } = fields;
        let verdict = Verdict::of_fields(verdict, why, reason)?;
        Ok(Self { id, required, verdict, flaky, one_witness, findings, left_out })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A check that did not run to an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excluded {
    /// Its id.
    pub id: CheckId,
    /// Whether the profile requires it.
    pub required: bool,
    /// Why, in one word.
    pub why: ExcludedWhy,
    /// Why, in words.
    pub reason: String,
}

/// Why a check did not run to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExcludedWhy {
    /// The guest has no such thing.
    UnsupportedByGuest,
    /// The host cannot do it.
    UnsupportedByHost,
    /// The profile does not ask for it.
    NotRequired,
    /// The harness or the lab failed; says nothing about the pair.
    Error,
    /// It did not get to run.
    Miss,
}

impl From<SkipReason> for ExcludedWhy {
    fn from(why: SkipReason) -> Self {
        match why {
            SkipReason::UnsupportedByGuest => Self::UnsupportedByGuest,
            SkipReason::UnsupportedByHost => Self::UnsupportedByHost,
            SkipReason::NotRequired => Self::NotRequired,
        }
    }
}

/// A failure that is accepted for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Waiver {
    /// The check.
    pub check: CheckId,
    /// Why.
    pub reason: String,
    /// Until when. The certificate ends then at the latest.
    pub until: Timestamp,
    /// Who decided.
    pub by: String,
    /// The waiver's own record in the log, by the digest of its entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Digest>,
}

/// How many checks ended how; canaries are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CheckCounts {
    /// Checks that the profile requires, by base id or variant as it names them.
    pub required: usize,
    /// Checks that passed.
    pub passed: usize,
    /// Checks that failed and are not waived.
    pub failed: usize,
    /// Checks that failed and are waived.
    pub waived: usize,
    /// Checks that do not apply.
    pub skipped: usize,
    /// Checks that came to no end.
    pub inconclusive: usize,
    /// Passes that rest on one witness.
    pub one_witness: usize,
}

/// The evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceRef {
    /// SHA-256 of the bundle's `manifest.json`, which has every other file by digest.
    pub manifest: Digest,
    /// The cell in it.
    pub cell: String,
    /// Files in it.
    pub files: usize,
}

impl Validation {
    /// The VMM that it names.
    pub fn vmm(&self) -> Option<Digest> {
        let is_vmm = |r: &&Resource| r.annotations.get("role").is_some_and(|role| role == "vmm");
        self.configuration.iter().find(is_vmm).and_then(Resource::sha256)
    }

    /// The machine configuration that it is about, where it tells that.
    pub fn row(&self) -> Option<MachineRow> {
        let ours = &self.hospitium;
        let told = ours.machine.as_ref().and_then(|words| MachineRow::from_words(words));
        told.or_else(|| ours.machines.as_ref()?.own_row(&ours.evidence.cell))
    }

    /// What in this record contradicts something else in it.
    pub(super) fn check(&self) -> Result<(), String> {
        let ours = &self.hospitium;
        let waived = |line: &&CheckLine| ours.waivers.iter().any(|w| w.check == line.id);
        let failed = |line: &&CheckLine| matches!(line.verdict, Verdict::Fail { .. });
        let checks = || ours.checks.iter();
        if checks().any(|line| !line.verdict.ran()) {
            return Err("a check that did not run stands among those that did".into());
        }
        let is = |listed: &[String], due: &dyn Fn(&&CheckLine) -> bool| {
            listed.iter().map(String::as_str).eq(checks().filter(due).map(|line| line.id.as_str()))
        };
        for (name, good) in [
            ("passedTests", is(&self.passed_tests, &|l| !failed(l))),
            ("warnedTests", is(&self.warned_tests, &|l| failed(l) && waived(l))),
            ("failedTests", is(&self.failed_tests, &|l| failed(l) && !waived(l))),
        ] {
            if !good {
                return Err(format!("{name} are not the checks with that verdict"));
            }
        }
        let unwaived = |line: &&CheckLine| failed(line) && !waived(line);
        let inconclusive =
            |e: &&Excluded| e.required && matches!(e.why, ExcludedWhy::Error | ExcludedWhy::Miss);
        let due = if checks().any(|line| line.required && unwaived(&line)) {
            Outcome::Failed
        } else if ours.excluded.iter().any(|e| inconclusive(&e)) {
            return Err("a required check came to no end, and yet there is a result".into());
        } else if checks().any(|line| failed(&line)) {
            Outcome::Warned
        } else {
            Outcome::Passed
        };
        if self.result != due {
            let (said, due) = (self.result.word(), due.word());
            return Err(format!("the result is {said}, and the checks give {due}"));
        }
        if !checks().any(|line| line.required) {
            return Err("no required check ran".into());
        }
        if ours.run.ended > ours.issued {
            return Err("it was made before its run ended".into());
        }
        if ours.validity.from != ours.run.ended {
            return Err("it is not valid from the end of its run".into());
        }
        if !ours.validity.follows() {
            return Err("its validity does not follow from the rule that it names".into());
        }
        if ours.waivers.iter().any(|waiver| waiver.until < ours.validity.until) {
            return Err("it is valid for longer than a waiver that it rests on".into());
        }
        let told = ours.machine.as_ref();
        if told.is_some_and(|words| MachineRow::from_words(words).is_none()) {
            return Err("the machine that it tells is none".into());
        }
        if let Some(machines) = &ours.machines {
            machines.check()?;
            let own = machines.own_row(&ours.evidence.cell);
            if !machines.parameters.is_empty() && self.result != Outcome::Failed && own.is_none() {
                return Err("its own machine is not among the rows that it claims".into());
            }
            if told.is_some() && own.is_some_and(|own| Some(own) != self.row()) {
                return Err("its own machine is not the one of its row".into());
            }
        }
        if ours.envelope.accelerator != ours.host.accelerator.used {
            return Err("it names two accelerators".into());
        }
        Ok(())
    }
}
