//! The whole suite on a kernel guest, on machines of a libvirt daemon of the test's own.

mod common;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use common::Lab;
use hospitium_host::{Reaper, Reapers};
use hospitium_host_libvirt::LibvirtReaper;
use hospitium_run::{Observer, PlannedGuest, PlannedHost, RunEvent, RunPlan, Stop};
use hospitium_suite::StandardOptions;

/// Prints all events, for whoever reads a failure.
struct Told;

impl Observer for Told {
    fn tell(&self, event: &RunEvent) {
        eprintln!("{}", serde_json::to_string(event).unwrap_or_default());
    }
}

/// A Debian kernel package, the newest that set-up has named.
fn kernel() -> PathBuf {
    let named = std::env::var_os("HOSPITIUM_TEST_KERNELS").unwrap_or_default();
    let last = std::env::split_paths(&named).last().filter(|path| path.exists());
    last.unwrap_or_else(|| panic!("HOSPITIUM_TEST_KERNELS names no kernel; run cargo xtask test"))
}

/// What libvirt cannot give, or this guest under emulation: each a skip with this word in its reason.
const SKIPPED: &[(&str, &str)] = &[("boot.accelerated", "TCG"), ("cpu.enlightenments", "TCG")];

#[tokio::test(flavor = "multi_thread")]
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
    let mut skipped = BTreeMap::new();
    for check in &cell.checks {
        match check.verdict.word() {
            "pass" => {}
            "skip" => {
                skipped.insert(check.id.as_str().to_owned(), check.verdict.reason().to_owned());
            }
            word => panic!("{} is {word}: {}", check.id, check.verdict.reason()),
        }
    }
    let expected: Vec<&str> = SKIPPED.iter().map(|(check, _)| *check).collect();
    assert_eq!(skipped.keys().map(String::as_str).collect::<Vec<_>>(), expected);
    for (check, word) in SKIPPED {
        assert!(skipped[*check].contains(word), "{check}: {}", skipped[*check]);
    }
    let isolation = cell.record.observed.get("isolation").expect("is told");
    assert!(isolation.starts_with("revert:"), "{isolation}");
}
