//! What a certificate's page promises of its evidence: each word where it is due, with what is wrong, and
//! no file of it that is not as it was signed.

use std::path::{Path, PathBuf};

use axum::http::StatusCode;
use hospitium_evidence::{Bundle, BundleWriter};
use hospitium_ledger::Statement;
use hospitium_ledger::statement::{Issue, Record, Validation, validation};
use hospitium_model::{
    Accelerator, AcceleratorProof, Boot, ByteSize, CellRecord, CheckRecord, Digest, Finding,
    GuestFacts, GuestKind, GuestSource, HostFacts, HostSource, MachineSpec, Observations,
    OperatingSystem, PlannedCheck, RunRecord, Tier, Timings, Verdict,
};

use crate::sample::{HOSTILE, World, record, world_of};

const CELL: &str = "cell-a";
/// A file of the bundle, and its place in the folder of evidence.
const CONSOLE: &str = "cells/cell-a/console.raw";

fn cell() -> CellRecord {
    CellRecord {
        name: CELL.into(),
        guest: GuestFacts {
            name: "Osa 5.2".into(),
            kind: GuestKind::Kernel,
            os: OperatingSystem::Linux,
            product: Some("http://a.example/osa/5.2".into()),
            version: "5.2".into(),
            digest: Digest::of(b"guest"),
            manages_devices: false,
        },
        host: HostFacts {
            name: "Vmmo 1".into(),
            kind: "vmmo".into(),
            version: "1".into(),
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
        booted: Some("2022-02-02T10:00:00Z".parse().expect("is a time")),
        failure: None,
        canary_failed: true,
        required_not_run: Vec::new(),
        observed: Default::default(),
    }
}

fn check(id: &str, guest: i64, host: i64) -> CheckRecord {
    let planned = PlannedCheck {
        id: id.parse().expect("is an id"),
        requirement: "It works.".into(),
        tier: Tier::Reads,
    };
    let observations = Observations::of([Finding::same(
        "online vCPUs",
        GuestSource::Kernel.saw(guest),
        HostSource::Hypervisor.saw(host),
    )]);
    CheckRecord {
        verdict: observations.judge(),
        observations,
        ..planned.without_run(Verdict::Pass)
    }
}

/// Writes the evidence of a run of one required check, which passes or fails, and gives what can be
/// certified from it.
fn run(folder: &Path, passes: bool) -> Statement {
    let begun = RunRecord {
        required: vec!["cpu.count".parse().expect("is an id")],
        cells: vec![CELL.into()],
        started: "2022-02-01T12:00:00Z".parse().expect("is a time"),
        ..record()
    };
    let checks =
        [check("cpu.count", if passes { 2 } else { 1 }, 2), check("canary.must-fail", 2, 3)];
    let writer = BundleWriter::create(folder, &begun).expect("made");
    let written = writer.cell(CELL).expect("made");
    written.record(&cell()).expect("written");
    let plan = checks.clone().map(|CheckRecord { id, requirement, tier, .. }| PlannedCheck {
        id,
        requirement,
        tier,
    });
    written.plan(&plan).expect("written");
    for check in &checks {
        written.check(check).expect("written");
    }
    written.console(b"Linux version\r\n").expect("written");
    written.finish(&cell()).expect("written");
    let ended = Some("2022-02-01T12:10:00Z".parse().expect("is a time"));
    writer.finish(&RunRecord { ended, ..begun }).expect("written");
    let issue = Issue::new("b.example", "2022-02-02T12:00:00Z".parse().expect("is a time"));
    validation(&Bundle::open(folder).expect("opens"), CELL, &issue).expect("is one")
}

/// A site with a certificate whose evidence is at hand, and where.
async fn with_evidence(lie: impl FnOnce(&mut Validation), passes: bool) -> (World, PathBuf) {
    let folder = tempfile::tempdir().expect("made");
    let place = folder.path().join("evidence/run");
    std::fs::create_dir_all(folder.path().join("evidence")).expect("made");
    let mut statement = run(&place, passes);
    if let Record::Validation(validation) = &mut statement.record {
        lie(validation);
    }
    (world_of(folder, &[statement], |_| Vec::new()).await, place)
}

async fn page(world: &World) -> String {
    let (status, html) = world.get(&format!("/certificates/{}", world.records[0])).await;
    assert_eq!(status, StatusCode::OK, "{html}");
    let (_, evidence) = html.split_once("<h2 id=\"evidence\">").expect("tells of evidence");
    evidence.split_once("</section>").expect("ends").0.to_owned()
}

/// What is handed out of a bundle's console.
async fn console(world: &World, place: &Path) -> (StatusCode, String) {
    let manifest = std::fs::read(place.join("manifest.json")).expect("reads");
    world.get(&format!("/evidence/{}/{CONSOLE}", Digest::of(&manifest))).await
}

#[tokio::test]
async fn evidence_as_it_was_signed_is_present_and_handed_out() {
    let (world, place) = with_evidence(|_| (), true).await;
    let html = page(&world).await;
    assert!(html.contains("> present</span>"), "{html}");
    assert!(html.contains("every one as it was signed") && html.contains(CONSOLE), "{html}");
    let (status, bytes) = console(&world, &place).await;
    assert_eq!((status, bytes.as_str()), (StatusCode::OK, "Linux version\r\n"));
}

#[tokio::test]
async fn evidence_in_which_files_changed_is_altered_and_each_is_named() {
    let (world, place) = with_evidence(|_| (), true).await;
    std::fs::write(place.join(CONSOLE), "Windows version\r\n").expect("written");
    std::fs::write(place.join("cells/cell-a/extra"), "x").expect("written");
    let html = page(&world).await;
    assert!(html.contains("> altered</span>") && !html.contains("> present</span>"), "{html}");
    assert!(html.contains("console.raw was altered"), "{html}");
    assert!(html.contains("extra is there and is not"), "{html}");
    // What is not as it was signed is given to nobody.
    assert_eq!(console(&world, &place).await.0, StatusCode::NOT_FOUND);
    let (world, place) = with_evidence(|_| (), true).await;
    std::fs::remove_file(place.join(CONSOLE)).expect("removed");
    let html = page(&world).await;
    assert!(html.contains("> altered</span>") && html.contains("and is not there"), "{html}");
}

#[tokio::test]
async fn evidence_that_changes_after_the_page_was_seen_is_looked_at_again() {
    let (world, place) = with_evidence(|_| (), true).await;
    let before = page(&world).await;
    assert!(before.contains("> present</span>") && before.contains("Looked at 20"), "{before}");
    assert_eq!(page(&world).await, before, "looked at once, as long as nothing changes");
    // As many bytes, and the time of the file put back.
    let file = place.join(CONSOLE);
    let time = std::fs::metadata(&file).and_then(|meta| meta.modified()).expect("has one");
    let bytes = std::fs::read_to_string(&file).expect("reads");
    std::fs::write(&file, bytes.replace("Linux", "Minix")).expect("written");
    let opened = std::fs::File::options().write(true).open(&file).expect("opens");
    opened.set_modified(time).expect("set");
    let after = page(&world).await;
    assert!(
        after.contains("> altered</span>") && after.contains("console.raw was altered"),
        "{after}"
    );
    assert_eq!(console(&world, &place).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_certificate_that_says_what_its_evidence_does_not_contradicts_it() {
    // A party that signs a pass, and names the evidence of a failure.
    let lie = |validation: &mut Validation| {
        let line =
            validation.hospitium.checks.iter_mut().find(|line| line.id.as_str() == "cpu.count");
        line.expect("is listed").verdict = Verdict::Pass;
        validation.hospitium.host.build = HOSTILE.into();
        validation.passed_tests = std::mem::take(&mut validation.failed_tests);
        validation.result = hospitium_ledger::statement::Outcome::Passed;
        let counts = &mut validation.hospitium.coverage;
        (counts.passed, counts.failed) = (counts.passed + 1, 0);
    };
    let (world, _) = with_evidence(lie, false).await;
    let html = page(&world).await;
    assert!(html.contains("> contradicts</span>") && !html.contains("> present</span>"), "{html}");
    assert!(html.contains("cpu.count: the certificate says pass, the evidence fail"), "{html}");
    assert!(html.contains("build") && !html.contains("<script"), "{html}");
}

#[tokio::test]
async fn evidence_that_cannot_be_read_is_unreadable_and_the_page_says_why() {
    let (world, place) = with_evidence(|_| (), true).await;
    let elsewhere = world.folder.path().join("elsewhere");
    std::fs::rename(place.join(CONSOLE), &elsewhere).expect("moved");
    // To the very bytes that are due; but what is read is not decided by a link.
    std::os::unix::fs::symlink(&elsewhere, place.join(CONSOLE)).expect("linked");
    let html = page(&world).await;
    assert!(html.contains("> unreadable</span>") && html.contains("symbolic link"), "{html}");
    assert_eq!(console(&world, &place).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn evidence_that_is_not_at_hand_is_absent_and_nothing_else_is_said_of_it() {
    let (world, place) = with_evidence(|_| (), true).await;
    std::fs::remove_dir_all(&place).expect("removed");
    // Another run's, sound in itself.
    run(&place, false);
    let html = page(&world).await;
    assert!(
        html.contains("> absent</span>") && html.contains("No bundle with this digest"),
        "{html}"
    );
    let folder = tempfile::tempdir().expect("made");
    let statement = run(&folder.path().join("run"), true);
    let html = page(&world_of(folder, &[statement], |_| Vec::new()).await).await;
    assert!(html.contains("> absent</span>") && html.contains("--evidence"), "{html}");
}
