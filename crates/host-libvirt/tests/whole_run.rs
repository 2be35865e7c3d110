//! The whole suite on a kernel guest, on machines of a libvirt daemon of the test's own.

mod common;

use std::path::PathBuf;
use std::sync::Arc;

use common::Lab;
use hospitium_host::{Reaper, Reapers};
use hospitium_host_libvirt::LibvirtReaper;
use hospitium_model::Verdict;
use hospitium_run::{Observer, PlannedGuest, PlannedHost, RunEvent, RunPlan, Stop};
use hospitium_suite::StandardOptions;

/// Prints all events, for whoever reads a failure.
struct Told;

impl Observer for Told {
    fn tell(&self, event: &RunEvent) {
        eprintln!("{}", serde_json::to_string(event).unwrap_or_default());
    }
}

/// A Debian kernel package, the older of those that set-up has named: on QEMU 7.2 the newer (6.12) takes no vCPU that
/// comes while it runs, whoever drives QEMU.
fn kernel() -> PathBuf {
    let named = std::env::var_os("HOSPITIUM_TEST_KERNELS").unwrap_or_default();
    let first = std::env::split_paths(&named).next().filter(|path| path.exists());
    first.unwrap_or_else(|| panic!("HOSPITIUM_TEST_KERNELS names no kernel; run cargo xtask test"))
}

/// Why checks are skipped here: what libvirt cannot give, and what is not to be had under emulation or on a bus.
const REASONS: [&str; 8] = [
    "TCG is used",
    "libvirt moves machines from one daemon to another",
    "libvirt gives every machine that goes on from a file a new VM generation id",
    "libvirt gives input devices no serial number",
    "libvirt has no way to change the slice of a file",
    "libvirt plugs in no interface whose cable is a socket",
    "this libvirt emulates no NVMe controllers",
    "QEMU's AHCI controller has no hot plug",
];
/// As many checks pass at least; without it a host that can do nothing would pass here.
const PASSES: usize = 55;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes as long as all other tests: cargo xtask test --part libvirt-suite"]
async fn the_whole_suite_runs_through_libvirt_and_what_it_cannot_give_is_skipped_with_the_reason() {
    let Lab { host, daemon, .. } = Lab::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    std::fs::create_dir_all(&cache).expect("made");
    let opened = hospitium_guest::open(&kernel(), &cache.join("guests")).expect("a kernel guest");
    let guest = PlannedGuest {
        guest: Arc::from(opened),
        options: StandardOptions::default(),
        origin: kernel().to_string_lossy().into_owned(),
        boot_limit: None,
    };
    let host = PlannedHost { host: Arc::new(host), origin: format!("libvirt:{}", daemon.uri()) };
    let out = folder.path().join("out");
    let mut plan = RunPlan::new(vec![guest], vec![host], out, cache).expect("a plan");
    plan.reapers = Reapers::from([Box::new(LibvirtReaper) as Box<dyn Reaper>]);
    let summary = hospitium_run::run(plan, Arc::new(Told), Stop::default()).await.expect("runs");
    let cell = &summary.cells[0];
    let mut passed = 0;
    let mut wrong = Vec::new();
    for check in &cell.checks {
        let reason = check.verdict.reason();
        match check.verdict.word() {
            "pass" => passed += 1,
            "skip" if REASONS.iter().any(|known| reason.contains(known)) => {}
            word => wrong.push(format!("{} is {word}: {reason}", check.id)),
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(passed >= PASSES, "only {passed} of {} checks passed", cell.checks.len());
    assert!(matches!(cell.canary, Some(Verdict::Fail { .. })), "{:?}", cell.canary);
    let isolation = cell.record.observed.get("isolation").expect("is told");
    assert!(isolation.starts_with("revert:"), "{isolation}");
}
