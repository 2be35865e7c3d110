//! The runner takes what a host can do to isolate checks: clones, going back, or booting anew.

mod common;

use std::sync::Arc;

use common::{Bench, Events, machines_in};
use hospitium_host::Isolation;
use hospitium_model::Verdict;
use hospitium_run::{CellSummary, Outcome, RunEvent, Stop};

/// Checks that read, that disturb, that need another machine and that need a machine from before.
const CHECKS: [&str; 4] = ["cpu.count", "net.mac-ip", "life.pause-resume", "life.snapshot-revert"];

/// Runs them on a QEMU that says it can do this.
async fn on_a_host_that_can(isolation: Isolation) -> (CellSummary, Outcome, Arc<Events>) {
    let bench = Bench::new();
    let plan = bench.plan_on("out", &CHECKS, isolation).await;
    let events = Arc::new(Events::default());
    let mut summary =
        hospitium_run::run(plan, events.clone(), Stop::default()).await.expect("runs");
    assert_eq!(machines_in(bench.folder.path()), Vec::<u32>::new(), "nothing is left running");
    let outcome = summary.outcome();
    (summary.cells.remove(0), outcome, events)
}

fn verdicts(cell: &CellSummary) -> Vec<(&str, &str)> {
    cell.checks.iter().map(|check| (check.id.as_str(), check.verdict.word())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_machines_go_back_one_check_runs_after_the_other() {
    let (cell, outcome, _) = on_a_host_that_can(Isolation::Revert).await;
    // This host ends the machine before when the next one goes on: two at once would have broken a check.
    assert!(
        cell.checks.iter().all(|check| check.verdict == Verdict::Pass),
        "{:?}",
        verdicts(&cell)
    );
    assert_eq!(outcome, Outcome::Passed);
    assert!(matches!(cell.canary, Some(Verdict::Fail { .. })), "{:?}", cell.canary);
    let isolation = cell.record.observed.get("isolation").expect("is told");
    assert!(isolation.starts_with("revert:"), "{isolation}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_machine_boots_what_needs_a_clone_is_skipped_with_the_hosts_reason() {
    let (cell, outcome, events) = on_a_host_that_can(Isolation::Reboot).await;
    let found = verdicts(&cell);
    for check in &cell.checks {
        match check.id.as_str() {
            "life.snapshot-revert" => {
                assert_eq!(check.verdict.word(), "skip", "{found:?}");
                let reason = check.verdict.reason();
                assert!(reason.contains("boot anew"), "{reason}");
            }
            _ => assert_eq!(check.verdict, Verdict::Pass, "{found:?}"),
        }
    }
    assert_eq!(outcome, Outcome::Passed);
    assert!(matches!(cell.canary, Some(Verdict::Fail { .. })), "{:?}", cell.canary);
    assert!(!events.any(|event| matches!(event, RunEvent::Ready { cached: true, .. })));
    assert_eq!(cell.record.timings.snapshot_ms, None, "nothing was saved");
    assert_eq!(cell.record.observed.get("snapshot"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_chosen_to_be_absent_is_missed_and_not_skipped() {
    let bench = Bench::new();
    let mut plan = bench.plan("out", &["cpu.count", "life.snapshot-revert"]).await;
    plan.isolation = Some(Isolation::Reboot);
    let events = Arc::new(Events::default());
    let summary = hospitium_run::run(plan, events, Stop::default()).await.expect("runs");
    let cell = &summary.cells[0];
    let found = verdicts(cell);
    assert_eq!(found, [("cpu.count", "pass"), ("life.snapshot-revert", "miss")]);
    let missed = &cell.record.required_not_run;
    assert!(missed.iter().any(|id| id.as_str() == "life.snapshot-revert"), "no certificate of it");
}
