//! Checks over and over, and in an order that is recorded and can be had again.

mod common;

use common::{Place, Running, says};
use hospitium_evidence::Bundle;

const CHECKS: [&str; 3] = ["cpu.count", "mem.size", "cpu.topology"];

fn run(place: &Place, out: &str, checks: &[&str], more: &[&str]) -> (Option<i32>, Bundle) {
    let mut command = place.hospitium();
    command.args(place.run_arguments(out, checks)).args(more);
    let (code, _, errors) = Running::of(command).end();
    let bundle = Bundle::open(&place.path(out).join("evidence"));
    let bundle = bundle.unwrap_or_else(|error| panic!("{error}: {errors}"));
    assert!(bundle.is_sound(), "{:?}", bundle.problems);
    (code, bundle)
}

fn order(bundle: &Bundle) -> Vec<&str> {
    bundle.run.order.iter().map(|id| id.as_str()).collect()
}

#[test]
fn passes_are_repeated_in_clones_of_their_own_and_counted() {
    let place = Place::new();
    let more = ["--repeat", "4", "--until-failure"];
    let (code, bundle) = run(&place, "four", &CHECKS[..2], &more);
    assert_eq!(code, Some(0));
    let cell = &bundle.cells[0];
    for id in &CHECKS[..2] {
        let check = cell.checks.iter().find(|check| check.id.as_str() == *id).expect("a record");
        let repeats = check.repeats.as_ref().expect("was repeated");
        assert_eq!((repeats.passed, repeats.failed, repeats.no_end), (4, 0, 0), "{id}");
        assert_eq!(check.attempts.len(), 4);
        let most = |growth: Option<hospitium_model::Growth>| growth.expect("measured").most;
        assert!(most(repeats.pss_kib) > 10_000.0 && most(repeats.descriptors) > 5.0, "{repeats:?}");
    }
    // The one that shows that the saved machine works, the canary's, its check's without the defect (none of the two
    // is that check), and one for each repetition.
    assert_eq!(cell.record.timings.clones_ms.len(), 11);
    let page = std::fs::read_to_string(place.path("four/report.html")).expect("written");
    assert!(page.contains("passed 4 of 4 (≥ 51.0 % at 95 %)"));
    // Shuffled by the seed; and another run in the same order, which its seed alone would not give.
    let (_, shuffled) = run(&place, "shuffled", &CHECKS, &["--shuffle", "--seed", "3"]);
    let path = place.path("shuffled");
    let (_, again) = run(&place, "again", &CHECKS, &["--order-of", &path.to_string_lossy()]);
    assert_eq!(order(&shuffled).len(), 3);
    assert_eq!(order(&shuffled), order(&again));
    assert_eq!(order(&bundle), [""; 0]);
    let begun = |bundle: &Bundle| {
        let mut checks: Vec<_> = bundle.cells[0].checks.iter().collect();
        checks.retain(|check| !check.id.as_str().starts_with("canary"));
        checks.sort_by(|a, b| a.started_ms.total_cmp(&b.started_ms));
        checks.into_iter().map(|check| check.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(begun(&shuffled), order(&shuffled), "they read together, one after the other");
    place.wait_no_machines();
}

#[test]
fn a_soak_goes_on_for_its_time_and_an_interrupted_one_keeps_what_it_has() {
    let place = Place::new();
    let (code, bundle) = run(&place, "soak", &["cpu.count"], &["--soak", "3s"]);
    assert_eq!(code, Some(0));
    let repeats = bundle.cells[0].checks[1].repeats.as_ref().expect("was repeated");
    assert!(repeats.passed > 1, "{repeats:?}");
    let mut command = place.hospitium();
    command.args(place.run_arguments("cut", &["cpu.count"])).arg("--until-failure");
    let mut running = Running::of(command);
    running.wait("two repetitions", |event| event["event"] == "repetition" && event["done"] == 2);
    common::signal("INT", running.pid());
    let (code, _, errors) = running.end();
    assert_eq!(code, Some(3), "{errors}");
    let bundle = Bundle::open(&place.path("cut/evidence")).expect("readable");
    let check = &bundle.cells[0].checks[1];
    assert_eq!(check.verdict.word(), "pass", "{:?}", check.verdict);
    assert!(check.repeats.as_ref().is_some_and(|repeats| repeats.passed >= 2));
    place.wait_no_machines();
}

#[test]
fn options_without_an_effect_are_refused() {
    let place = Place::new();
    let run = |more: &[&'static str], words: &[&str]| {
        let kernel = common::kernel().to_string_lossy().into_owned();
        says(&place, 2, &[&["run", &kernel][..], more].concat(), words);
        assert!(!place.path("runs").exists());
    };
    run(&["--repeat", "1"], &["--repeat", "2.."]);
    run(&["--repeat", "5", "--soak", "2h"], &["--repeat", "--soak"]);
    run(&["--soak", "long"], &["--soak"]);
    run(&["--soak", "10ms"], &["between 1s and 30 days"]);
    run(&["--shuffle", "--order-of", "x"], &["--shuffle", "--order-of"]);
    run(&["--shuffle", "--check", "cpu.count"], &["--shuffle has no effect", "next:"]);
    run(&["--order-of", "/no/such/run"], &["/no/such/run", "next:"]);
    let kernel = common::kernel().to_string_lossy().into_owned();
    for option in [&["--until-failure"][..], &["--soak", "1h"]] {
        let bisect = [&["run", "--bisect", &kernel][..], option].concat();
        says(&place, 128, &bisect, &["--bisect"]);
    }
}
