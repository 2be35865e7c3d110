//! A run's evidence to certify, and two parties.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};

use hospitium_evidence::{Bundle, BundleWriter};
use hospitium_ledger::statement::{Issue, validation};
use hospitium_ledger::{
    Algorithm, Certificate, Explained, Given, Log, LogFolder, Party, Policy, Statement, VerifyError,
};
use hospitium_model::{
    Accelerator, AcceleratorProof, Boot, Bus, ByteSize, CellRecord, CheckRecord, Digest, Disk,
    DiskRole, EVIDENCE_FORMAT, Finding, GuestFacts, GuestKind, GuestSource, HostFacts, HostSource,
    InputPin, MachineSpec, Network, Nic, NicModel, Observations, OperatingSystem, PlannedCheck,
    RunRecord, SkipReason, Tier, Timings, Verdict,
};
use jiff::{Timestamp, ToSpan as _};

pub const CELL: &str = "one";

/// What a run is to give.
pub struct Run {
    pub record: RunRecord,
    pub cell: CellRecord,
    pub checks: Vec<CheckRecord>,
}

/// A run that ended an hour ago.
pub fn recent(mut run: Run) -> Run {
    let now = Timestamp::now();
    run.record.started = now - 2.hours();
    run.record.ended = Some(now - 1.hour());
    run
}

pub fn check(id: &str, findings: impl IntoIterator<Item = Finding>) -> CheckRecord {
    let observations = Observations::of(findings);
    CheckRecord {
        id: id.parse().expect("an id"),
        requirement: "What has to be so.".into(),
        tier: Tier::Reads,
        verdict: observations.judge(),
        observations,
        attempts: Vec::new(),
        repeats: None,
        started_ms: 1.0,
        took_ms: 2.0,
        console: Vec::new(),
        artifacts: Vec::new(),
        clone: "tier0".into(),
    }
}

pub fn without_run(id: &str, verdict: Verdict) -> CheckRecord {
    CheckRecord { verdict, ..check(id, []) }
}

pub fn failing(id: &str) -> CheckRecord {
    check(
        id,
        [Finding::same(
            "bytes on the medium",
            GuestSource::Kernel.saw("aa"),
            HostSource::Hypervisor.saw("bb"),
        )],
    )
}

/// A run in which three required checks pass, one does not apply, and the canary fails.
pub fn passing() -> Run {
    let id = |id: &str| id.parse().expect("an id");
    let record = RunRecord {
        format: EVIDENCE_FORMAT,
        id: "20260102-030405-a1b2".into(),
        hospitium: "0.1.0".into(),
        suite: Digest::of(b"suite"),
        started: "2026-01-02T03:04:05Z".parse().expect("a time"),
        ended: Some("2026-01-02T03:14:05Z".parse().expect("a time")),
        seed: 7,
        profile: Some("standard".into()),
        required: vec![
            id("cpu.count"),
            id("stor.flush-durable"),
            id("stor.hot-add-remove/virtio"),
            id("irq.nmi"),
        ],
        cells: vec![CELL.into()],
        cut_off: None,
        order: Vec::new(),
        not_started: Vec::new(),
        definition: None,
    };
    let cell = CellRecord {
        name: CELL.into(),
        guest: GuestFacts {
            name: "linux 6.1".into(),
            kind: GuestKind::Kernel,
            os: OperatingSystem::Linux,
            product: Some("http://debian.org/debian/12".into()),
            version: "6.1".into(),
            digest: Digest::of(b"guest"),
            manages_devices: false,
        },
        host: HostFacts {
            name: "qemu 7.2 (TCG)".into(),
            kind: "qemu".into(),
            version: "7.2".into(),
            build: "build".into(),
            vmm: Digest::of(b"vmm"),
            firmware: vec![("bios".into(), Digest::of(b"bios"))],
            accelerator: AcceleratorProof { used: Accelerator::Tcg, how: "no KVM".into() },
            cpu_model: "cpu".into(),
            cpus: 2,
            memory_mib: 1024,
            kernel: "6.1".into(),
        },
        machine: MachineSpec::new(ByteSize::mib(256), Boot::Nothing),
        inputs: vec![InputPin {
            role: "probe".into(),
            sha256: Digest::of(b"probe"),
            size: ByteSize::mib(1),
            name: "/home/somebody/probe".into(),
        }],
        timings: Timings { boot_ms: Some(2_000.0), ..Timings::default() },
        booted: None,
        failure: None,
        canary_failed: true,
        required_not_run: Vec::new(),
        observed: Default::default(),
    };
    let skip = Verdict::Skip {
        why: SkipReason::UnsupportedByHost,
        reason: "the host sends no NMI".into(),
    };
    let checks = vec![
        check(
            "cpu.count",
            [Finding::same(
                "online vCPUs",
                GuestSource::Kernel.saw(2),
                HostSource::Hypervisor.saw(2),
            )],
        ),
        check(
            "stor.flush-durable",
            [Finding::same(
                "bytes on the medium",
                GuestSource::Kernel.saw("aa"),
                HostSource::Hypervisor.saw("aa"),
            )],
        ),
        check(
            "stor.hot-add-remove/virtio",
            [Finding::same("disks", GuestSource::Kernel.saw(2), HostSource::Hypervisor.saw(2))],
        ),
        check(
            "con.framebuffer-alive",
            [Finding::same("pixels", GuestSource::Kernel.saw(7), HostSource::Hypervisor.saw(7))],
        ),
        without_run("irq.nmi", skip),
        check(
            "canary.must-fail",
            [Finding::same(
                "online vCPUs",
                GuestSource::Kernel.saw(2),
                HostSource::Hypervisor.saw(3),
            )],
        ),
    ];
    Run { record, cell, checks }
}

impl Run {
    /// With this check's record in the place of the one that is there.
    pub fn with(mut self, check: CheckRecord) -> Self {
        self.checks.retain(|other| other.id != check.id);
        let ended = check.verdict.ran() || matches!(check.verdict, Verdict::Skip { .. });
        if self.record.required.contains(&check.id) && !ended {
            self.cell.required_not_run.push(check.id.clone());
        }
        self.checks.push(check);
        self
    }

    /// On a machine with one disk on this bus and this network adapter.
    pub fn on(mut self, bus: Bus, model: NicModel) -> Self {
        let spec = &mut self.cell.machine;
        spec.disks = vec![Disk {
            id: "scratch".into(),
            role: DiskRole::Scratch,
            bus,
            image: None,
            format: None,
            size: ByteSize::mib(64),
            serial: String::new(),
            logical_sector: 0,
            physical_sector: 0,
            read_only: false,
            power_loss_log: false,
            room: None,
        }];
        let mac = "52:54:00:48:4f:53".into();
        let network = Network::Isolated;
        spec.nics = vec![Nic { id: "net0".into(), model, mac, network, queues: 0 }];
        self
    }

    /// Writes its evidence.
    pub fn write(&self, folder: &Path) {
        let mut begun = self.record.clone();
        begun.ended = None;
        let writer = BundleWriter::create(folder, &begun).expect("begins");
        let cell = writer.cell(CELL).expect("a cell");
        cell.record(&self.cell).expect("its record");
        let plan: Vec<PlannedCheck> = self
            .checks
            .iter()
            .cloned()
            .map(|CheckRecord { id, requirement, tier, .. }| PlannedCheck { id, requirement, tier })
            .collect();
        cell.plan(&plan).expect("its plan");
        for check in &self.checks {
            cell.check(check).expect("a check");
        }
        cell.console(b"Linux version\r\n").expect("console");
        cell.finish(&self.cell).expect("ends");
        writer.finish(&self.record).expect("finishes");
    }
}

pub fn now() -> Timestamp {
    "2026-01-03T00:00:00Z".parse().expect("a time")
}

/// A party with a log, and evidence of a run.
pub struct Lab {
    pub top: tempfile::TempDir,
    pub party: Party,
}

impl Lab {
    pub fn new(algorithm: Algorithm) -> Self {
        let top = tempfile::tempdir().expect("a folder");
        let party =
            Party::init(&top.path().join("vendor"), "vendor.example", algorithm).expect("made");
        Self { top, party }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    pub fn other(&self) -> Party {
        Party::init(&self.path("other"), "other.example", Algorithm::Ed25519).expect("made")
    }

    pub fn log(&self) -> Log<'_> {
        Log::open(&self.path("log"), &self.party).expect("opens")
    }

    pub fn folder(&self) -> LogFolder {
        LogFolder::new(&self.path("log"))
    }

    pub fn policy(&self) -> Policy {
        Policy::parse("policy", self.party.public.policy().as_bytes()).expect("reads")
    }

    /// The run's evidence in `evidence`, and its statement.
    pub fn statement(&self, run: &Run) -> Statement {
        let folder = self.path("evidence");
        run.write(&folder);
        let bundle = Bundle::open(&folder).expect("opens");
        validation(&bundle, CELL, &self.issue()).expect("a statement")
    }

    pub fn issue(&self) -> Issue {
        Issue::new("vendor.example", now())
    }

    /// The certificate of a run.
    pub fn certify(&self, run: &Run) -> Certificate {
        self.record(&self.statement(run))
    }

    /// Puts a statement into the log.
    pub fn record(&self, statement: &Statement) -> Certificate {
        let made =
            Certificate::issue(&mut self.log(), &self.party, std::slice::from_ref(statement));
        made.expect("issued").pop().expect("one")
    }

    pub fn verify(&self, bytes: &[u8]) -> Result<Explained, VerifyError> {
        self.verify_with(bytes, &self.policy(), None, None)
    }

    pub fn verify_with(
        &self,
        bytes: &[u8],
        policy: &Policy,
        evidence: Option<&Path>,
        log: Option<&LogFolder>,
    ) -> Result<Explained, VerifyError> {
        hospitium_ledger::verify_bytes(bytes, Given { policy, evidence, log, now: now() })
    }
}
