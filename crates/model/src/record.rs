//! The records of an evidence bundle, as they stand in its files. docs/evidence.md explains them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    ByteSize, CheckId, Digest, GuestFacts, HostFacts, MachineSpec, Observations, Repeats, Tier,
    Verdict,
};

/// Version of the bundle's format. A reader refuses a larger one.
pub const EVIDENCE_FORMAT: u32 = 2;

/// `manifest.json`: every other file of the bundle, by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`EVIDENCE_FORMAT`] at the time of writing.
    pub format: u32,
    /// Path within the bundle (forward slashes, relative, no `..`) to what it must be.
    pub files: BTreeMap<String, ManifestEntry>,
}

/// What a file of the bundle must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestEntry {
    /// Its digest.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// `run.json`: one run, of one or more cells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// [`EVIDENCE_FORMAT`].
    pub format: u32,
    /// Id: the start time and a few random digits.
    pub id: String,
    /// Version of Hospitium that ran it.
    pub hospitium: String,
    /// Digest that pins the suite: the program that holds the checks.
    pub suite: Digest,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; none if it was cut off.
    pub ended: Option<Timestamp>,
    /// Seed of all patterns in it.
    pub seed: u64,
    /// Ids of the checks that the profile requires.
    pub required: Vec<CheckId>,
    /// The profile, by name, where these are all that it requires. None in older runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Folder names of the cells under `cells/`, in the order of the matrix.
    pub cells: Vec<String>,
    /// Why it ended early, if it did.
    #[serde(default)]
    pub cut_off: Option<String>,
    /// The order in which the checks were begun, if one was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<CheckId>,
    /// Cells that were to be run and never began, because the run was cut off before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_started: Vec<String>,
    /// The definition of a virtual machine that the machines were built after, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<DefinitionPin>,
}

/// The definition of a virtual machine after which machines were built, pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionPin {
    /// The file's name on the machine that ran it, for people.
    pub name: String,
    /// Its format, for people.
    pub format: String,
    /// Its digest.
    pub sha256: Digest,
    /// What of it the machines have, each with its place in the file.
    pub has: Vec<String>,
    /// What of it they do not have, each with the reason.
    pub limits: Vec<String>,
}

/// `cells/<name>/cell.json`: one cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellRecord {
    /// Folder name.
    pub name: String,
    /// The guest.
    pub guest: GuestFacts,
    /// The host.
    pub host: HostFacts,
    /// The machine as asked for. Paths in it are of the machine that ran it.
    pub machine: MachineSpec,
    /// Everything that went in, by digest.
    pub inputs: Vec<InputPin>,
    /// How long things took.
    pub timings: Timings,
    /// When the machine booted that the checks began from: in this run, or long before it. None in
    /// older evidence, and if it did not boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booted: Option<Timestamp>,
    /// Set if the cell as a whole could not be run, with the last console lines.
    #[serde(default)]
    pub failure: Option<String>,
    /// Whether the canary failed, as it must. A cell whose canary passed proves nothing.
    pub canary_failed: bool,
    /// Required checks that did not run to an end: such a cell can't certify.
    #[serde(default)]
    pub required_not_run: Vec<CheckId>,
    /// Facts about the guest that were observed, by name (`kernel`, `os-release`, …).
    #[serde(default)]
    pub observed: BTreeMap<String, String>,
}

/// An input, pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputPin {
    /// What it is for: `kernel`, `initrd`, `image`, `firmware`, `vmm`, `probe`, `suite`.
    pub role: String,
    /// Its digest.
    pub sha256: Digest,
    /// Its size.
    pub size: ByteSize,
    /// Its name on the machine that ran it, for people.
    pub name: String,
}

/// How long things took, in milliseconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Timings {
    /// From start to the probe's first answer; none if the snapshot came from the cache.
    pub boot_ms: Option<f64>,
    /// Saving the snapshot.
    pub snapshot_ms: Option<f64>,
    /// Each clone: from asking for it to the probe's answer in it.
    pub clones_ms: Vec<f64>,
    /// The whole cell.
    pub total_ms: f64,
    /// CPU time of the VMMs in the cell.
    pub vmm_cpu_ms: f64,
    /// CPU time of the harness itself in the whole run up to the end of this cell.
    pub harness_cpu_ms: f64,
}

/// An element of `cells/<name>/plan.json`: a check that the cell is to run. Written before the
/// first one starts, so that a run that is cut off knows what it did not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedCheck {
    /// Its id.
    pub id: CheckId,
    /// The requirement, in one sentence.
    pub requirement: String,
    /// Its tier.
    pub tier: Tier,
}

impl PlannedCheck {
    /// The record of a check that did not run: nothing was observed and no time was spent.
    pub fn without_run(self, verdict: Verdict) -> CheckRecord {
        let Self { id, requirement, tier } = self;
        CheckRecord {
            id,
            requirement,
            tier,
            verdict,
            observations: Observations::new(),
            attempts: Vec::new(),
            repeats: None,
            started_ms: 0.0,
            took_ms: 0.0,
            console: Vec::new(),
            artifacts: Vec::new(),
            clone: String::new(),
        }
    }
}

/// `cells/<name>/checks/<id>.json`: one check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckRecord {
    /// Its id.
    pub id: CheckId,
    /// The requirement, in one sentence.
    pub requirement: String,
    /// Its tier.
    pub tier: Tier,
    /// How it ended.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What both witnesses saw in the run that gave the verdict.
    #[serde(default)]
    pub observations: Observations,
    /// For a check that was run more than once: what each attempt gave, the first included; of
    /// repetitions the first [`MOST_ATTEMPTS`](Self::MOST_ATTEMPTS).
    #[serde(default)]
    pub attempts: Vec<Verdict>,
    /// For a check that was repeated because somebody asked for it: how often it passed, and what it
    /// took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<Repeats>,
    /// Milliseconds from the start of the cell.
    pub started_ms: f64,
    /// How long it took, in milliseconds, its clone's start included.
    pub took_ms: f64,
    /// The last lines of its clone's console, escaped, where that is of use.
    #[serde(default)]
    pub console: Vec<String>,
    /// Paths of its artifacts (screenshots, …) within the cell's folder.
    #[serde(default)]
    pub artifacts: Vec<String>,
    /// Which clone it ran in; checks of tier 0 share one.
    #[serde(default)]
    pub clone: String,
}

impl CellRecord {
    /// Whether the boot that the checks judged is one of the run that began at `started`; if it is
    /// from before, how long before, unless nobody knows.
    pub fn boot(&self, started: Timestamp) -> BootOf {
        match (self.timings.boot_ms, self.booted) {
            (Some(_), _) => BootOf::ThisRun,
            (None, Some(at)) if at >= started => BootOf::ThisRun,
            (None, Some(at)) => BootOf::Before(at, started.duration_since(at)),
            (None, None) => BootOf::Unknown,
        }
    }
}

/// How long before a run of the standard profile the boot may be that its checks judge, if it is to
/// give a certificate.
pub const BOOT_WITHIN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Of when a boot is that checks judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootOf {
    /// Of the run itself.
    ThisRun,
    /// Of this moment, and so long before the run began.
    Before(Timestamp, SignedDuration),
    /// The evidence does not say.
    Unknown,
}

impl CheckRecord {
    /// Attempts that a record names one by one. Of more, [`repeats`](Self::repeats) has the numbers.
    pub const MOST_ATTEMPTS: usize = 1_000;

    /// For a check that gave different verdicts from the same state: how many of how many failed.
    pub fn flaky(&self) -> Option<(usize, usize)> {
        if let Some(repeats) = &self.repeats {
            let (failed, ended) = (repeats.failed as usize, repeats.ended() as usize);
            return (failed > 0 && failed < ended).then_some((failed, ended));
        }
        let failed = self.attempts.iter().filter(|v| !matches!(v, Verdict::Pass)).count();
        (failed > 0 && failed < self.attempts.len()).then_some((failed, self.attempts.len()))
    }
}

/// One line of `cells/<name>/timeline.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelineEvent {
    /// Milliseconds from the start of the cell.
    pub at_ms: f64,
    /// The machine it concerns: `boot`, `tier0`, or the clone's name.
    pub machine: String,
    /// Where it was seen.
    pub source: TimelineSource,
    /// One line, escaped.
    pub text: String,
}

/// Where an event of the timeline was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimelineSource {
    /// A line of the guest's console.
    Console,
    /// An event of the hypervisor.
    Machine,
    /// A frame to or from the probe.
    Probe,
    /// A check started or ended.
    Check,
    /// Something the harness did.
    Harness,
}
