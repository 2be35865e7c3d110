//! A small good bundle to start from, and a way to make bad ones.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::path::Path;

use hospitium_evidence::{BundleWriter, CellWriter};
use hospitium_model::{
    Accelerator, AcceleratorProof, Boot, ByteSize, CellRecord, CheckRecord, Digest,
    EVIDENCE_FORMAT, Finding, GuestFacts, GuestKind, GuestSource, HostFacts, HostSource,
    MachineSpec, Manifest, ManifestEntry, Observations, OperatingSystem, PlannedCheck, RunRecord,
    Tier, TimelineEvent, TimelineSource, Timings, Verdict,
};

pub const IDS: [&str; 3] = ["cpu.count", "stor.flush-durable", "canary.must-fail"];

pub fn run() -> RunRecord {
    RunRecord {
        format: EVIDENCE_FORMAT,
        id: "20260102-030405-a1b2".into(),
        hospitium: "0.1.0".into(),
        suite: Digest::of(b"suite"),
        started: "2026-01-02T03:04:05Z".parse().expect("a time"),
        ended: None,
        seed: 7,
        required: vec!["cpu.count".parse().expect("an id")],
        profile: None,
        cells: vec!["one".into()],
        cut_off: None,
        order: Vec::new(),
        not_started: Vec::new(),
        definition: None,
    }
}

pub fn cell(name: &str) -> CellRecord {
    CellRecord {
        name: name.into(),
        guest: GuestFacts {
            name: "linux 6.1".into(),
            kind: GuestKind::Kernel,
            os: OperatingSystem::Linux,
            product: None,
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
            firmware: Vec::new(),
            accelerator: AcceleratorProof { used: Accelerator::Tcg, how: "no KVM".into() },
            cpu_model: "cpu".into(),
            cpus: 2,
            memory_mib: 1024,
            kernel: "6.1".into(),
        },
        machine: MachineSpec::new(ByteSize::mib(256), Boot::Nothing),
        inputs: Vec::new(),
        timings: Timings::default(),
        booted: None,
        failure: None,
        canary_failed: true,
        required_not_run: Vec::new(),
        observed: Default::default(),
    }
}

pub fn check(id: &str) -> CheckRecord {
    let host = if id.starts_with("canary") { 3 } else { 2 };
    let observations = Observations::of([Finding::same(
        "online vCPUs",
        GuestSource::Kernel.saw(2),
        HostSource::Hypervisor.saw(host),
    )]);
    CheckRecord {
        id: id.parse().expect("an id"),
        requirement: "Every vCPU is online.".into(),
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

pub fn planned(id: &str) -> PlannedCheck {
    let CheckRecord { id, requirement, tier, .. } = check(id);
    PlannedCheck { id, requirement, tier }
}

pub fn event(text: &str) -> TimelineEvent {
    TimelineEvent {
        at_ms: 1.5,
        machine: "boot".into(),
        source: TimelineSource::Console,
        text: text.into(),
    }
}

pub fn begin(folder: &Path) -> (BundleWriter, CellWriter) {
    let writer = BundleWriter::create(folder, &run()).expect("begins");
    let cell_writer = writer.cell("one").expect("a cell");
    cell_writer.record(&cell("one")).expect("its record");
    cell_writer.plan(&IDS.map(planned)).expect("its plan");
    (writer, cell_writer)
}

/// A good bundle of one cell.
pub fn good(folder: &Path) {
    let (writer, one) = begin(folder);
    for id in IDS {
        one.check(&check(id)).expect("a check");
    }
    one.timeline(&event("hello \u{1b}[2J")).expect("an event");
    one.console(b"Linux version\r\n\x1b[31mred\n").expect("console");
    one.file("screens/boot.png", b"\x89PNG").expect("a file");
    one.finish(&cell("one")).expect("ends");
    let mut run = run();
    run.ended = Some(run.started);
    writer.finish(&run).expect("finishes");
}

/// Writes `bytes` to a file of the bundle and makes its manifest fit, as a forger would.
pub fn forge(folder: &Path, path: &str, bytes: &[u8]) {
    fs::create_dir_all(folder.join(path).parent().expect("a parent")).expect("folder");
    fs::write(folder.join(path), bytes).expect("writes");
    edit_manifest(folder, |manifest| {
        let entry = ManifestEntry { sha256: Digest::of(bytes), size: bytes.len() as u64 };
        manifest.files.insert(path.into(), entry);
    });
}

pub fn edit_manifest(folder: &Path, edit: impl FnOnce(&mut Manifest)) {
    let path = folder.join("manifest.json");
    let text = fs::read(&path).expect("a manifest");
    let mut manifest: Manifest = serde_json::from_slice(&text).expect("parses");
    edit(&mut manifest);
    fs::write(&path, serde_json::to_vec(&manifest).expect("serialises")).expect("writes");
}

pub fn to_json(record: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("serialises")
}

pub fn is_pass(verdict: &Verdict) -> bool {
    *verdict == Verdict::Pass
}
