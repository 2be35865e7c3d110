//! A whole run of a kernel guest on the installed QEMU, and a second one from the cache.

mod common;

use std::sync::Arc;

use common::{Bench, Events, machines_in};
use hospitium_evidence::Bundle;
use hospitium_model::{BOOT_WITHIN, BootOf, Verdict};
use hospitium_run::{Outcome, RunEvent, Stop, run};

/// Says of every machine in the cache that it booted then.
fn date_boots(bench: &Bench, then: jiff::Timestamp) {
    let mut changed = 0;
    for item in std::fs::read_dir(bench.cache().join("snapshots")).expect("a cache").flatten() {
        let path = item.path().join("entry.json");
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let mut entry: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        entry["booted"] = then.to_string().into();
        std::fs::write(&path, entry.to_string()).expect("written");
        changed += 1;
    }
    assert!(changed > 0, "no machine is in the cache");
}

const CHECKS: [&str; 4] = ["cpu.count", "cpu.topology", "stor.rw-integrity", "life.pause-resume"];

#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_guest_is_validated_and_the_second_time_without_a_boot() {
    let bench = Bench::new();
    let first = Arc::new(Events::default());
    let done = run(bench.plan("first", &CHECKS).await, first.clone(), Stop::default()).await;
    let done = done.expect("the run comes to its end");
    let cell = &done.cells[0];
    for check in &cell.checks {
        assert_eq!(check.verdict, Verdict::Pass, "{}", check.id);
    }
    assert_eq!(cell.checks.len(), CHECKS.len());
    assert!(cell.record.canary_failed, "the canary must fail");
    assert_eq!(done.outcome(), Outcome::Passed);
    assert!(!cell.record.required_not_run.is_empty(), "most required checks were left out");
    assert!(cell.record.timings.boot_ms.is_some() && !cell.record.timings.clones_ms.is_empty());
    for role in ["kernel", "initrd", "vmm", "firmware bios", "probe", "suite"] {
        assert!(cell.record.inputs.iter().any(|pin| pin.role == role), "{role} is not pinned");
    }

    let bundle = Bundle::open(&done.evidence).expect("readable");
    assert!(bundle.is_sound(), "{:?}", bundle.problems);
    assert!(!bundle.console(&cell.record.name).is_empty());
    let packed = Bundle::open(done.archive.as_ref().expect("packed")).expect("readable");
    assert_eq!(packed.digest, bundle.digest);

    let second = Arc::new(Events::default());
    let done = run(bench.plan("second", &CHECKS[..2]).await, second.clone(), Stop::default()).await;
    let done = done.expect("the run comes to its end");
    assert_eq!(done.outcome(), Outcome::Passed);
    assert!(second.any(|event| matches!(event, RunEvent::Ready { cached: true, .. })));
    assert!(!second.any(|event| matches!(event, RunEvent::Booting { .. })), "it was booted again");
    assert_eq!(done.cells[0].record.timings.boot_ms, None);
    let booted = done.cells[0].record.booted.expect("the boot is dated");
    assert_eq!(Some(booted), bundle.cells[0].record.booted);
    let firmware = &done.cells[0].record.host.firmware;
    let has = |kind: &str| firmware.iter().any(|(known, _)| known == kind);
    assert_eq!(has("uefi"), has("uefi-vars"), "the variables go in as the code does");

    // As if it had been booted ten days ago.
    let long_ago = booted - jiff::SignedDuration::from_hours(240);
    date_boots(&bench, long_ago);
    let old = Arc::new(Events::default());
    let done = run(bench.plan("old", &CHECKS[..1]).await, old.clone(), Stop::default()).await;
    let done = done.expect("the run comes to its end");
    let said = |event: &RunEvent| matches!(event, RunEvent::Note { words, .. } if words.contains("booted 10 days ago"));
    assert!(old.any(said), "nobody says that this gives no certificate");
    let record = &done.cells[0].record;
    assert_eq!(record.booted, Some(long_ago));
    let started = Bundle::open(&done.evidence).expect("readable").run.started;
    assert!(matches!(record.boot(started), BootOf::Before(_, age) if age > BOOT_WITHIN));

    let third = Arc::new(Events::default());
    let mut plan = bench.plan("third", &CHECKS[..1]).await;
    plan.fresh_boot = true;
    let done = run(plan, third.clone(), Stop::default()).await.expect("the run comes to its end");
    assert_eq!(done.outcome(), Outcome::Passed);
    assert!(third.any(|event| matches!(event, RunEvent::Booting { .. })), "it is in the cache");
    assert!(done.cells[0].record.booted > Some(booted));
    assert_eq!(machines_in(bench.folder.path()), [0; 0], "machines are left running");
}
