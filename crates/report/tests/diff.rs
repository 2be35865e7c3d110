//! What a comparison of two runs promises, shown on the sample run and altered copies of it.

mod common;

use hospitium_evidence::Bundle;
use hospitium_model::{
    CheckRecord, Finding, GuestSource, HostSource, Observations, Rule, SkipReason, Verdict,
};
use hospitium_report::diff::{Match, NOISE_MS};
use hospitium_report::{Diff, Outcome, diff, html, json, markdown};

/// The sample twice, and a way to alter the second.
struct Two {
    before: Bundle,
    after: Bundle,
    _folder: tempfile::TempDir,
}

fn two() -> Two {
    let folder = tempfile::tempdir().expect("a folder");
    common::write(&folder.path().join("run"));
    let open = || Bundle::open(&folder.path().join("run")).expect("opens");
    Two { before: open(), after: open(), _folder: folder }
}

impl Two {
    fn compared(&self) -> Diff {
        diff(&self.before, &self.after).expect("the same cells")
    }

    /// A check of the first cell of the later run.
    fn check(&mut self, id: &str) -> &mut CheckRecord {
        let checks = &mut self.after.cells[0].checks;
        checks.iter_mut().find(|check| check.id.as_str() == id).expect("is there")
    }
}

fn fail() -> Verdict {
    Verdict::Fail { reason: "guest saw 1, host saw 2".into() }
}

#[test]
fn a_run_against_itself_has_nothing_to_tell() {
    let two = two();
    let found = two.compared();
    assert!(found.is_empty(), "{found:?}");
    assert_eq!((found.regressions(), found.mends()), (0, 0));
    assert!(found.cells.iter().all(|cell| cell.matched == Match::Same && cell.compared > 40));
    assert_eq!(found.headline(), "no regression; 150 checks in 3 cells compared");
}

#[test]
fn whatever_passed_and_does_not_is_a_regression() {
    let skip = Verdict::Skip { why: SkipReason::UnsupportedByHost, reason: "gone".into() };
    for (verdict, outcome) in [
        (fail(), Outcome::Fail),
        (Verdict::Error { reason: "x".into() }, Outcome::Error),
        (Verdict::Miss { reason: "x".into() }, Outcome::Miss),
        (skip, Outcome::Skip),
    ] {
        let mut two = two();
        two.check("cpu.count").verdict = verdict;
        let found = two.compared();
        assert_eq!(found.regressions(), 1);
        let change = &found.cells[0].regressions[0];
        assert_eq!((change.check.as_str(), change.before), ("cpu.count", Some(Outcome::Pass)));
        assert_eq!(change.after, Some(outcome));
        std::mem::swap(&mut two.before, &mut two.after);
        let back = two.compared();
        assert_eq!(back.regressions(), 0);
        assert_eq!(back.mends(), usize::from(outcome != Outcome::Skip), "{outcome:?}");
    }
    let mut two = two();
    let check = two.check("cpu.count");
    check.verdict = fail();
    check.attempts = vec![fail(), Verdict::Pass, Verdict::Pass];
    assert_eq!(two.compared().cells[0].regressions[0].words(), "pass → flaky");
}

#[test]
fn a_check_or_a_cell_that_vanished_is_a_regression() {
    let mut two = two();
    two.after.cells[0].checks.retain(|check| check.id.as_str() != "cpu.count");
    let found = two.compared();
    assert_eq!(found.cells[0].regressions[0].words(), "pass → not there");
    let passed = |cell: &hospitium_evidence::Cell| {
        let passes = |check: &&CheckRecord| Outcome::of(check) == Outcome::Pass;
        cell.checks.iter().filter(passes).count()
    };
    let lost = passed(&two.before.cells[2]);
    two.after.cells.truncate(2);
    let found = two.compared();
    assert_eq!(found.regressions(), 1 + lost);
    assert_eq!(found.only_before[0].name, "debian-12-qemu-7.2.22");
    std::mem::swap(&mut two.before, &mut two.after);
    let found = two.compared();
    assert_eq!(found.regressions(), 0);
    assert_eq!(found.only_after.len(), 1);
    assert_eq!(found.cells[0].others[0].words(), "not there → pass");
}

#[test]
fn the_passes_of_a_cell_that_proves_nothing_are_none() {
    let mut two = two();
    two.after.cells[0].record.canary_failed = false;
    let found = two.compared();
    assert!(found.cells[0].regressions.len() > 40);
    assert!(found.cells[0].regressions[0].why().contains("canary did not fail"));
}

#[test]
fn cells_are_found_again_by_what_they_are_and_never_by_a_guess() {
    let mut two = two();
    two.after.cells.reverse();
    assert_eq!(two.compared().regressions(), 0, "the order is no matter");
    for cell in &mut two.after.cells {
        cell.record.host.name = "qemu 9.0 (TCG)".into();
        cell.record.host.version = "9.0".into();
        cell.record.name += "-other";
    }
    let found = two.compared();
    assert!(found.cells.iter().all(|cell| cell.matched == Match::OtherHost), "{found:?}");
    assert!(found.cells[0].inputs.iter().any(|input| input.what == "host version"));
    // Two kernels before and two others now: which is to be which nobody can say.
    for cell in &mut two.after.cells[1..] {
        cell.record.guest.name = format!("linux 7 {}", cell.record.guest.name);
    }
    let found = two.compared();
    assert_eq!((found.cells.len(), found.only_before.len(), found.only_after.len()), (1, 2, 2));
    for cell in &mut two.after.cells {
        cell.record.guest.name = "haiku".into();
        cell.record.host.kind = "bhyve".into();
    }
    let error = diff(&two.before, &two.after).expect_err("nothing in common").to_string();
    assert!(error.contains("haiku on qemu 9.0") && error.contains("Debian 12"), "{error}");
}

#[test]
fn another_machine_is_the_same_cell_and_an_input_that_changed() {
    let mut two = two();
    two.after.cells[1].record.machine.cpus.cores = 4;
    two.after.cells[1].record.inputs[0].sha256 = hospitium_model::Digest::of(b"another");
    two.after.run.seed = 1;
    let found = two.compared();
    assert_eq!(found.cells[1].matched, Match::OtherMachine);
    let inputs = &found.cells[1].inputs;
    let of = |what: &str| inputs.iter().find(|input| input.what == what).expect("is told");
    let cores = of("machine cpus.cores");
    assert_eq!((cores.before.as_deref(), cores.after.as_deref()), (Some("2"), Some("4")));
    assert!(of("kernel").words().0.starts_with("sha256:"));
    assert_eq!(inputs.len(), 2, "{inputs:?}");
    assert_eq!(found.inputs.len(), 1, "the seed");
}

/// The first check with these findings, in both runs.
fn seeing(two: &mut Two, before: Finding, after: Finding) -> Diff {
    two.check("cpu.count").observations = Observations::of([after]);
    let check = two.before.cells[0].checks.iter_mut().find(|c| c.id.as_str() == "cpu.count");
    check.expect("is there").observations = Observations::of([before]);
    two.compared()
}

#[test]
fn a_pass_that_saw_something_else_is_told_and_noise_is_not() {
    let mut two = two();
    let mut words = |before, after| {
        let found = seeing(&mut two, before, after);
        let changes = &found.cells[0].findings;
        changes.first().map(|change| (change.rule_changed, change.words()))
    };
    let same =
        |n: i64| Finding::same("vCPUs", GuestSource::Kernel.saw(n), HostSource::Hypervisor.saw(n));
    assert_eq!(words(same(2), same(4)), Some((false, ("2".into(), "4".into()))));
    let clock = |ms: f64, tolerance| {
        Finding::within(
            "offset",
            "ms",
            GuestSource::Kernel.saw(ms),
            HostSource::Hypervisor.saw(0.0),
            tolerance,
        )
    };
    assert_eq!(words(clock(1.0, 60.0), clock(15.0, 60.0)), None, "a quarter of what is accepted");
    assert!(words(clock(1.0, 60.0), clock(17.0, 60.0)).is_some_and(|(rule, _)| !rule));
    assert_eq!(words(clock(1.0, 60.0), clock(1.0, 90.0)), None, "bounds are measured too");
    let (rule, (before, after)) = words(clock(1.0, 60.0), clock(1.0, 600.0)).expect("is told");
    assert!(rule && before.contains("at most 60 ms") && after.contains("at most 600 ms"));
    let both = |s: f64| {
        Finding::within(
            "clock",
            "s",
            GuestSource::Kernel.saw(s),
            HostSource::Hypervisor.saw(s),
            1.0,
        )
    };
    assert_eq!(words(both(10.0), both(15.0)), None, "both witnesses agree");
    assert!(words(both(10.0), both(25.0)).is_some());
    let drawn = |text: &str| {
        Finding::differ(
            "random numbers",
            GuestSource::Kernel.saw(text),
            HostSource::Hypervisor.saw("another"),
        )
    };
    assert_eq!(words(drawn("a"), drawn("b")), None, "drawn anew each time");
    let id = |text: &str| Finding::recorded("boot id").inside(GuestSource::Kernel.saw(text));
    assert_eq!(words(id("0123456789abcdef-1"), id("fedcba9876543210-2")), None);
    assert!(words(id("driver 1.0"), id("driver 1.1")).is_some());
    let told =
        |n: f64| Finding::recorded("room").outside(HostSource::Hypervisor.saw(n)).unit("MiB");
    assert_eq!(words(told(10.0), told(15.0)), None);
    assert!(words(told(10.0), told(35.0)).is_some());
    let downtime = |n: f64| told(n).unit("ms");
    assert_eq!(words(downtime(10.0), downtime(500.0)), None, "less than a second apart");
    let open =
        |n: f64| Finding { rule: Rule::GuestBetween { least: 1.0, most: f64::MAX }, ..told(n) };
    assert_eq!(words(open(10.0), open(15.0)), None, "without an upper bound: by proportion");
    let (_, (before, _)) = words(
        same(2),
        Finding::same("CPUs", GuestSource::Kernel.saw(2), HostSource::Hypervisor.saw(2)),
    )
    .expect("is told");
    assert_eq!(before, "not there");
}

#[test]
fn only_times_of_passes_count_and_only_beyond_noise() {
    let mut two = two();
    two.check("clk.drift-load").took_ms *= 2.5;
    two.check("cpu.count").took_ms += NOISE_MS / 2.0;
    two.after.cells[0].record.timings.boot_ms = Some(9_999.0);
    let found = two.compared();
    let told: Vec<&str> = found.cells[0].timings.iter().map(|it| it.what.as_str()).collect();
    assert_eq!(told, ["boot", "clk.drift-load"], "the largest factor first");
    two.check("clk.drift-load").verdict = fail();
    assert_eq!(two.compared().cells[0].timings.len(), 1, "a failure runs into its limit");
}

#[test]
fn the_reports_begin_with_what_changed_and_nothing_in_it_is_markup() {
    let mut two = two();
    let hostile = common::HOSTILE.join(" ");
    two.check("cpu.count").verdict = Verdict::Fail { reason: hostile.clone() };
    two.check("mem.size").observations.findings[0].what.clone_from(&hostile);
    two.after.cells[0].record.host.build = hostile.clone();
    let found = two.compared();
    let page = html(&two.after, Some(&found)).expect("a page");
    let (section, matrix) = (page.find("Changed since"), page.find("<table class=\"matrix\""));
    assert!(section.is_some() && section < matrix, "{section:?} {matrix:?}");
    assert!(page.contains("1 regression") && page.contains("href=\"#c0-cpu.count\""));
    for text in common::HOSTILE.iter().filter(|text| text.contains('<')) {
        assert!(!page.contains(text), "{text}");
    }
    let written = markdown(&two.after, Some(&found));
    assert!(written.contains("## Changed since") && !written.contains("<script"), "{written}");
    let value: serde_json::Value =
        serde_json::from_str(&json(&two.after, Some(&found)).expect("JSON")).expect("parses");
    let regression = &value["changed_since"]["cells"][0]["regressions"][0];
    assert_eq!((&regression["before"], &regression["after"]), (&"pass".into(), &"fail".into()));
    assert_eq!(value["changed_since"]["format"], 1);
    let quiet = html(&two.after, None).expect("a page");
    assert!(!quiet.contains("Changed since"));
}

#[test]
fn a_run_repeats_what_another_says_of_the_pair_and_an_error_says_nothing_of_it() {
    let skip = || Verdict::Skip { why: SkipReason::UnsupportedByHost, reason: "gone".into() };
    let error = || Verdict::Error { reason: "the lab's disk was full".into() };
    let miss = || Verdict::Miss { reason: "cut off".into() };
    // What the record's evidence says, what the run says, and whether that repeats it.
    let all = [
        (error(), Verdict::Pass, true),
        (miss(), Verdict::Pass, true),
        (skip(), Verdict::Pass, true),
        (error(), skip(), true),
        (skip(), error(), true),
        (error(), fail(), false),
        (skip(), fail(), false),
        (Verdict::Pass, fail(), false),
        (fail(), Verdict::Pass, false),
        (Verdict::Pass, error(), false),
        (Verdict::Pass, skip(), false),
        (fail(), miss(), false),
        (fail(), fail(), true),
    ];
    for (theirs, ours, repeated) in all {
        let mut two = two();
        let words = format!("{theirs:?} and {ours:?}");
        two.check("cpu.count").verdict = theirs;
        std::mem::swap(&mut two.before, &mut two.after);
        two.check("cpu.count").verdict = ours;
        let found = two.compared();
        let unrepeated: Vec<_> =
            found.unrepeated().map(|(_, change)| change.check.as_str()).collect();
        assert_eq!(unrepeated, if repeated { vec![] } else { vec!["cpu.count"] }, "{words}");
    }
    // Flaky is a failure: the same state gave one.
    for (theirs, repeated) in [(Verdict::Pass, false), (fail(), true)] {
        let mut two = two();
        two.check("cpu.count").verdict = theirs;
        std::mem::swap(&mut two.before, &mut two.after);
        let check = two.check("cpu.count");
        check.verdict = fail();
        check.attempts = vec![fail(), Verdict::Pass, Verdict::Pass];
        assert_eq!(two.compared().unrepeated().count() == 0, repeated);
    }
    // A check that the run left out is not repeated, and one that it has beside them and passed contradicts nothing.
    let mut two = two();
    two.after.cells[0].checks.retain(|check| check.id.as_str() != "cpu.count");
    assert_eq!(two.compared().unrepeated().count(), 1);
    std::mem::swap(&mut two.before, &mut two.after);
    assert_eq!(two.compared().unrepeated().count(), 0);
}
