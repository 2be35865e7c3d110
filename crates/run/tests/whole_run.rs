//! A whole run of a kernel guest on the installed QEMU, and a second one from the cache.

mod common;

use std::sync::Arc;

use common::{Bench, Events, machines_in};
use hospitium_evidence::Bundle;
use hospitium_model::Verdict;
use hospitium_run::{Outcome, RunEvent, Stop, run};

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
    for role in ["kernel", "initrd", "vmm", "probe", "suite"] {
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
    assert_eq!(machines_in(bench.folder.path()), [0; 0], "machines are left running");
}
