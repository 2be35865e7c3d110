//! Synthetic records, for tests and benches: like those of real runs in form, with fewer checks and findings, of
//! nothing that ever ran.

pub mod database;

use hospitium_ledger::statement::{
    CheckCounts, CheckLine, Envelope, EvidenceRef, Extension, GuestLine, HostLine, MachineCoverage,
    Outcome, Record, Resource, RunLine, Validation, Waiver,
};
use hospitium_ledger::{Statement, Validity, ValidityRule};
use hospitium_model::{
    Accelerator, AcceleratorProof, ByteSize, CheckId, Digest, Finding, Firmware, GuestKind,
    GuestSource, HostSource, MachineRow, OperatingSystem, Verdict,
};
use jiff::Timestamp;

/// What of a synthetic record can be chosen.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Who says it.
    pub party: String,
    /// The guest: name, product id, version.
    pub guest: (String, Option<String>, String),
    /// The host, in the same way.
    pub host: (String, Option<String>, String),
    /// When the run ended.
    pub ended: Timestamp,
    /// Whether the required check passed.
    pub passed: bool,
    /// Whether a failure is waived; then until when.
    pub waived: Option<Timestamp>,
    /// Most vCPUs that were tested.
    pub vcpus: u32,
    /// Most memory that was tested.
    pub memory: ByteSize,
    /// Under emulation?
    pub emulated: bool,
    /// The run's id.
    pub run: String,
    /// The cell in it.
    pub cell: String,
    /// The machine configuration, where the record tells it.
    pub machine: Option<MachineRow>,
    /// Months of validity.
    pub months: u32,
    /// How many required checks it lists; at least one.
    pub checks: usize,
    /// When the record was made; when the run ended, if nothing is said.
    pub issued: Option<Timestamp>,
    /// The guest's paravirtual drivers.
    pub drivers: Option<String>,
    /// What its run covers of the machine's configurations.
    pub machines: Option<MachineCoverage>,
}

impl Sample {
    /// A validation that passed with KVM, on 4 vCPUs and 8 GiB, valid for twelve months.
    pub fn new(party: &str, guest: (&str, &str), host: (&str, &str), ended: Timestamp) -> Self {
        let side = |(name, product): (&str, &str)| {
            let version = name.rsplit(' ').next().unwrap_or_default().to_owned();
            (name.to_owned(), (!product.is_empty()).then(|| product.to_owned()), version)
        };
        Self {
            party: party.to_owned(),
            guest: side(guest),
            host: side(host),
            ended,
            passed: true,
            waived: None,
            vcpus: 4,
            memory: ByteSize::gib(8),
            emulated: false,
            run: format!("run-{}", ended.as_second()),
            cell: "cell".to_owned(),
            machine: None,
            months: 12,
            checks: 1,
            issued: None,
            drivers: None,
            machines: None,
        }
    }

    /// The statement; none if the choices contradict each other.
    pub fn statement(&self) -> Option<Statement> {
        let used = if self.emulated { Accelerator::Tcg } else { Accelerator::Kvm };
        let rule = ValidityRule { months_after_validation: self.months, ..ValidityRule::default() };
        let ends = self.waived.map(|at| hospitium_ledger::DatedFact {
            what: "a waiver".into(),
            at,
            source: String::new(),
        });
        let validity =
            Validity::compute(self.ended, rule, None, ends.into_iter().collect()).ok()?;
        let failing = !self.passed || self.waived.is_some();
        let mut checks = Vec::new();
        for number in 0..self.checks.max(1) {
            let id: CheckId = format!("cpu.count/v{number}").parse().ok()?;
            let bad = failing && number == 0;
            let verdict = match bad {
                true => Verdict::Fail { reason: "online vCPUs: the guest saw 1".into() },
                false => Verdict::Pass,
            };
            let seen = if bad { 1 } else { i64::from(self.vcpus) };
            checks.push(CheckLine {
                id,
                required: true,
                verdict,
                flaky: None,
                one_witness: None,
                findings: vec![Finding::same(
                    "online vCPUs",
                    GuestSource::Kernel.saw(seen),
                    HostSource::Hypervisor.saw(i64::from(self.vcpus)),
                )],
                left_out: 0,
            });
        }
        let names = |bad: bool| -> Vec<String> {
            let is_bad = |line: &&CheckLine| matches!(line.verdict, Verdict::Fail { .. }) == bad;
            checks.iter().filter(is_bad).map(|line| line.id.to_string()).collect()
        };
        let (passed_tests, failed) = (names(false), names(true));
        let waived = self.waived.is_some();
        let waivers = self.waived.and_then(|until| {
            let check = checks.first()?.id.clone();
            let (reason, by) = ("known and harmless".to_owned(), "the release team".to_owned());
            Some(Waiver { check, reason, until, by, record: None })
        });
        let coverage = CheckCounts {
            required: checks.len(),
            passed: passed_tests.len(),
            failed: if waived { 0 } else { failed.len() },
            waived: if waived { failed.len() } else { 0 },
            ..CheckCounts::default()
        };
        let guest_digest = Digest::of(self.guest.0.as_bytes());
        let validation = Validation {
            result: match (failing, waived) {
                (false, _) => Outcome::Passed,
                (true, true) => Outcome::Warned,
                (true, false) => Outcome::Failed,
            },
            configuration: vec![Resource::of("suite", Digest::of(b"suite"))],
            url: None,
            passed_tests,
            warned_tests: if waived { failed.clone() } else { Vec::new() },
            failed_tests: if waived { Vec::new() } else { failed },
            hospitium: Extension {
                format: 1,
                party: self.party.clone(),
                issued: self.issued.unwrap_or(self.ended),
                agreement: None,
                profile: Some(hospitium_model::STANDARD.into()),
                drivers: self.drivers.clone(),
                run: RunLine {
                    id: self.run.clone(),
                    started: self.ended,
                    ended: self.ended,
                    booted: None,
                    hospitium: "0.1.0".into(),
                    seed: 2009,
                },
                guest: GuestLine {
                    name: self.guest.0.clone(),
                    product: self.guest.1.clone(),
                    kind: GuestKind::Disk,
                    os: OperatingSystem::Linux,
                    version: self.guest.2.clone(),
                    arch: None,
                    digest: guest_digest,
                },
                host: HostLine {
                    name: self.host.0.clone(),
                    product: self.host.1.clone(),
                    kind: "sample".into(),
                    version: self.host.2.clone(),
                    build: String::new(),
                    accelerator: AcceleratorProof { used, how: "synthetic".into() },
                    cpu_model: "synthetic".into(),
                    kernel: "synthetic".into(),
                },
                envelope: Envelope {
                    vcpus: 1,
                    vcpus_max: self.vcpus,
                    memory: ByteSize::mib(512),
                    memory_max: self.memory,
                    nodes: 0,
                    chipset: "modern".into(),
                    machine_type: None,
                    cpu_model: None,
                    firmware: Firmware::Bios,
                    disk_buses: vec!["virtio".into()],
                    nics: vec!["virtio".into()],
                    devices: Vec::new(),
                    accelerator: used,
                },
                checks,
                excluded: Vec::new(),
                waivers: waivers.into_iter().collect(),
                coverage,
                machine: self.machine.map(|row| row.words().into()),
                machines: self.machines.clone(),
                validity,
                evidence: EvidenceRef {
                    manifest: Digest::of(self.run.as_bytes()),
                    cell: self.cell.clone(),
                    files: 1,
                },
            },
        };
        let subject = vec![Resource::of(&self.guest.0, guest_digest)];
        Some(Statement { subject, record: Record::Validation(Box::new(validation)) })
    }
}
