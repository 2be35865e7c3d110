//! What a cell's evidence becomes: a pass, a failure, or nothing at all.

mod common;

use common::{CELL, Lab, Run, failing, now, passing, without_run};
use hospitium_evidence::Bundle;
use hospitium_ledger::statement::{
    Issue, Outcome, Record, Refused, Validation, Waiver, validation,
};
use hospitium_ledger::{Algorithm, Statement};
use hospitium_model::{Finding, GuestSource, HostSource, Verdict};

fn make(run: &Run, issue: &Issue) -> Result<Validation, Refused> {
    let top = tempfile::tempdir().expect("a folder");
    let folder = top.path().join("evidence");
    run.write(&folder);
    let bundle = Bundle::open(&folder).expect("opens");
    assert_eq!(bundle.problems, []);
    let statement = validation(&bundle, CELL, issue)?;
    let bytes = statement.to_bytes().expect("written");
    assert_eq!(Statement::parse(&bytes).expect("reads back"), statement);
    match statement.record {
        Record::Validation(validation) => Ok(*validation),
        other => panic!("{other:?}"),
    }
}

fn issue() -> Issue {
    Issue::new("vendor.example", now())
}

fn error(reason: &str) -> Verdict {
    Verdict::Error { reason: reason.into() }
}

#[test]
fn a_run_that_passed_is_recorded_with_what_both_witnesses_saw() {
    let made = make(&passing(), &issue()).expect("recorded");
    assert_eq!(made.result, Outcome::Passed);
    assert_eq!(made.passed_tests.len(), 4);
    assert!(made.failed_tests.is_empty() && made.warned_tests.is_empty());
    let ours = &made.hospitium;
    let line = ours.checks.iter().find(|l| l.id.as_str() == "cpu.count").expect("there");
    assert_eq!(
        line.findings,
        [Finding::same("online vCPUs", GuestSource::Kernel.saw(2), HostSource::Hypervisor.saw(2))]
    );
    assert!(line.required);
    let framebuffer = ours.checks.iter().find(|l| l.id.as_str() == "con.framebuffer-alive");
    assert!(!framebuffer.expect("there").required);
    assert_eq!(ours.excluded[0].reason, "the host sends no NMI");
    assert_eq!((ours.envelope.vcpus, ours.envelope.memory.as_mib()), (2, 256));
    assert_eq!(ours.validity.until, "2027-01-02T03:14:05Z".parse().expect("a time"));
    // Paths of the machine that ran it stay there.
    let text = serde_json::to_string(&made).expect("JSON");
    assert!(!text.contains("/home/somebody") && text.contains("\"probe\""));
    assert!(!text.contains("canary."), "canaries are no tests of the pair");
}

#[test]
fn a_failure_is_recorded_as_one() {
    let made = make(&passing().with(failing("stor.flush-durable")), &issue()).expect("recorded");
    assert_eq!(made.result, Outcome::Failed);
    assert_eq!(made.failed_tests, ["stor.flush-durable"]);
}

#[test]
fn a_failure_that_is_not_required_warns() {
    let made = make(&passing().with(failing("con.framebuffer-alive")), &issue()).expect("recorded");
    assert_eq!(made.result, Outcome::Warned);
    assert_eq!(made.failed_tests, ["con.framebuffer-alive"]);
}

#[test]
fn what_the_harness_broke_is_neither_a_pass_nor_a_failure() {
    let broken = without_run("stor.flush-durable", error("the VMM died"));
    let refused = make(&passing().with(broken), &issue()).expect_err("refused");
    assert!(matches!(refused, Refused::Inconclusive { count: 1, .. }), "{refused}");
    assert!(refused.to_string().contains("Run the cell again"), "{refused}");

    let mut missed = passing();
    missed.checks.retain(|check| check.id.as_str() != "cpu.count");
    missed.cell.required_not_run.push("cpu.count".parse().expect("an id"));
    assert!(matches!(make(&missed, &issue()), Err(Refused::Inconclusive { count: 1, .. })));

    let mut dead = passing();
    dead.cell.failure = Some("no memory on this host".into());
    assert!(matches!(make(&dead, &issue()), Err(Refused::Cell { .. })));

    // Together with a real failure, the failure stands, and the error is no failed test.
    let both = passing()
        .with(without_run("cpu.count", error("time-out")))
        .with(failing("stor.flush-durable"));
    let made = make(&both, &issue()).expect("recorded");
    assert_eq!(
        (made.result, made.failed_tests),
        (Outcome::Failed, vec!["stor.flush-durable".into()])
    );
    assert!(made.hospitium.excluded.iter().any(|line| line.id.as_str() == "cpu.count"));
}

#[test]
fn an_error_of_a_check_that_is_not_required_is_excluded_with_its_reason() {
    let run = passing().with(without_run("con.framebuffer-alive", error("no screen")));
    let made = make(&run, &issue()).expect("recorded");
    assert_eq!(made.result, Outcome::Passed);
    assert!(made.hospitium.excluded.iter().any(|line| line.reason == "no screen"));
}

#[test]
fn a_canary_that_passed_unsound_evidence_and_a_run_cut_off_give_nothing() {
    let mut canary = passing();
    canary.cell.canary_failed = false;
    assert!(matches!(make(&canary, &issue()), Err(Refused::Canary { .. })));

    let mut cut = passing();
    cut.record.ended = None;
    cut.record.cut_off = Some("killed".into());
    assert!(matches!(make(&cut, &issue()), Err(Refused::CutOff(_))));

    let top = tempfile::tempdir().expect("a folder");
    passing().write(top.path());
    std::fs::write(top.path().join("cells/one/extra"), "x").expect("written");
    let bundle = Bundle::open(top.path()).expect("opens");
    assert!(matches!(validation(&bundle, CELL, &issue()), Err(Refused::Unsound { .. })));
    let none = validation(&bundle, "two", &issue());
    assert!(matches!(none, Err(Refused::Unsound { .. } | Refused::NoCell(_))));
}

#[test]
fn nothing_is_certified_where_nothing_required_ran() {
    let mut run = passing();
    run.record.required = vec!["irq.nmi".parse().expect("an id")];
    assert!(matches!(make(&run, &issue()), Err(Refused::Nothing { .. })));
}

fn waiver(until: &str) -> Waiver {
    Waiver {
        check: "stor.flush-durable".parse().expect("an id"),
        reason: "known, fixed in the next release".into(),
        until: until.parse().expect("a time"),
        by: "the board".into(),
        record: None,
    }
}

#[test]
fn a_waived_failure_warns_and_the_certificate_ends_with_the_waiver() {
    let run = passing().with(failing("stor.flush-durable"));
    let mut with = issue();
    with.waivers = vec![waiver("2026-06-01T00:00:00Z")];
    let made = make(&run, &with).expect("recorded");
    assert_eq!(made.result, Outcome::Warned);
    assert_eq!(made.warned_tests, ["stor.flush-durable"]);
    assert_eq!(made.hospitium.validity.until, "2026-06-01T00:00:00Z".parse().expect("a time"));
    // A waiver excuses a failure, never a check that did not run.
    let broken = passing().with(without_run("stor.flush-durable", error("the VMM died")));
    assert!(matches!(make(&broken, &with), Err(Refused::Inconclusive { .. })));
    with.waivers = vec![waiver("2026-01-02T12:00:00Z")];
    assert!(matches!(make(&run, &with), Err(Refused::Waiver { .. })));
}

#[test]
fn a_record_is_not_made_before_its_run_ended() {
    let early = Issue::new("vendor.example", "2026-01-01T00:00:00Z".parse().expect("a time"));
    assert!(matches!(make(&passing(), &early), Err(Refused::Clock { .. })));
}

#[test]
fn a_run_with_very_much_to_say_still_fits_an_entry() {
    let mut run = passing();
    for n in 0..90 {
        let findings = (0..20).map(|at| {
            let text = format!("{at} {}", "x".repeat(200));
            Finding::same(
                format!("value {at}"),
                GuestSource::Kernel.saw(text.as_str()),
                HostSource::Hypervisor.saw(text.as_str()),
            )
        });
        let id = format!("net.check-{n}");
        run.record.required.push(id.parse().expect("an id"));
        run.checks.push(common::check(&id, findings));
    }
    run = run.with(failing("stor.flush-durable"));
    let made = make(&run, &issue()).expect("fits");
    assert_eq!(made.hospitium.checks.len(), 94);
    let failed = made.hospitium.checks.iter().find(|l| l.id.as_str() == "stor.flush-durable");
    assert_eq!(failed.expect("there").findings.len(), 1, "what failed is kept");
    assert!(made.hospitium.checks.iter().any(|line| line.left_out > 0));
}

#[test]
fn a_statement_that_contradicts_itself_is_refused() {
    let lab = Lab::new(Algorithm::Ed25519);
    let statement = lab.statement(&passing().with(failing("stor.flush-durable")));
    let good = String::from_utf8(statement.to_bytes().expect("written")).expect("text");
    for (from, to) in [
        ("\"result\":\"FAILED\"", "\"result\":\"PASSED\""),
        ("\"failedTests\":[\"stor.flush-durable\"]", "\"failedTests\":[]"),
        ("\"verdict\":\"fail\"", "\"verdict\":\"pass\""),
        ("\"until\":\"2027", "\"until\":\"2037"),
        ("\"issued\":\"2026-01-03", "\"issued\":\"2026-01-01"),
        ("\"ended\":\"2026-01-02", "\"ended\":\"2026-01-01"),
        ("\"accelerator\":\"tcg\"", "\"accelerator\":\"kvm\""),
        ("\"verdict\":\"pass\"", "\"verdict\":\"error\",\"reason\":\"\""),
        ("\"format\":1", "\"format\":2"),
        ("in-toto.io/Statement/v1", "in-toto.io/Statement/v2"),
        ("\"hospitium\":{", "\"other\":{"),
        ("\"sha256\":\"", "\"sha512\":\""),
        ("\"result\":", "\"result\":\"FAILED\",\"result\":"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        assert!(Statement::parse(bad.as_bytes()).is_err(), "{from} → {to}");
    }
    // Of another kind it says nothing that could be contradicted.
    let other = good.replacen("test-result/v0.1", "test-result/v9", 1);
    let read = Statement::parse(other.as_bytes()).expect("reads");
    assert!(matches!(read.record, Record::Unknown(_)), "{read:?}");
}

#[test]
fn a_statement_that_is_no_text_is_refused_wherever_that_is() {
    let lab = Lab::new(Algorithm::Ed25519);
    let good = lab.statement(&passing()).to_bytes().expect("written");
    let good = String::from_utf8(good).expect("text");
    for place in ["\"result\":", "\"predicateType\":", "\"required\":"] {
        let with = good.replacen(place, &format!("\"more\":\"?\",{place}"), 1);
        assert!(Statement::parse(with.as_bytes()).is_ok(), "what is not known is left alone");
        let mut bytes = with.into_bytes();
        let at = bytes.windows(10).position(|bytes| bytes == b"\"more\":\"?\"").expect("there");
        bytes[at + 8] = 0xff;
        let refused = Statement::parse(&bytes).expect_err("refused").to_string();
        assert!(refused.contains("UTF-8"), "{refused}");
    }
}

#[test]
fn a_boot_of_long_ago_certifies_nothing_and_a_younger_one_is_dated_in_the_record() {
    let booted = |at: Option<&str>| {
        let mut run = passing();
        run.cell.timings.boot_ms = None;
        run.cell.booted = at.map(|at| at.parse().expect("a time"));
        run
    };
    // The run began at 2026-01-02T03:04:05Z.
    let young = make(&booted(Some("2025-12-26T03:04:06Z")), &issue()).expect("seven days");
    assert_eq!(young.hospitium.run.booted, Some("2025-12-26T03:04:06Z".parse().expect("a time")));
    for (at, words) in
        [(Some("2025-12-26T03:04:04Z"), "a boot of 2025-12-26"), (None, "of an unknown day")]
    {
        let refused = make(&booted(at), &issue()).expect_err("too old").to_string();
        assert!(refused.contains(words), "{refused}");
        assert!(
            refused.contains("at most 7 days") && refused.contains("hospitium run --fresh-boot")
        );
    }
    let mut own = booted(None);
    own.cell.timings.boot_ms = Some(11_000.0);
    make(&own, &issue()).expect("a boot of the run itself needs no date");
}
