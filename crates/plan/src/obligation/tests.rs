use hospitium_model::{MachineValues, SpaceParameter, read_agreement};
use hospitium_products::{Builder, Definitions};
use jiff::civil::date;

use super::*;

const PRODUCTS: &str = r#"
line = [
  { name = "os", title = "Os", ids = ["http://a.example/os/"] },
  { name = "vmm", title = "Vmm", kind = "host", ids = ["http://b.example/vmm/"] },
]
[[product]]
id = "http://a.example/os/5.2"
source = "A"
name = "Os 5.2"
short-ids = ["os5.2"]
line = "os"
release = "5.2"
facts = [{ what = "release-date", value = 2008-05-21 }]
[[product]]
id = "http://a.example/os/5.10"
source = "A"
name = "Os 5.10"
short-ids = ["os5.10"]
line = "os"
release = "5.10"
facts = [{ what = "release-date", value = 2009-09-02 }, { what = "end-of-life", value = 2017-03-31 }]
[[product]]
id = "http://a.example/os/6"
source = "A"
name = "Os 6"
short-ids = ["os6"]
line = "os"
release = "6"
facts = [{ what = "release-date", value = 2010-11-10 }]
[[product]]
id = "http://b.example/vmm/1"
source = "B"
name = "Vmm 1"
short-ids = ["vmm1"]
kind = "host"
line = "vmm"
release = "1"
facts = [{ what = "release-date", value = 2008-10-01 }, { what = "end-of-life", value = 2010-01-31 }]
[[product]]
id = "http://b.example/vmm/2"
source = "B"
name = "Vmm 2"
short-ids = ["vmm2"]
kind = "host"
line = "vmm"
release = "2"
facts = [{ what = "release-date", value = 2009-10-22 }]
"#;

const DEAL: &str = r#"
format = 1
id = "deal"
title = "Deal"
made = 2009-02-16
party = [{ name = "a.example", title = "A" }, { name = "b.example", title = "B" }]
[[clause]]
id = "os-on-vmm"
party = "b.example"
guests = ["os5.2"]
hosts = ["vmm1"]
within = "6 months"
later = { guests = "major", hosts = "all", within = "3 months" }
[validity]
again-on = ["guest-major"]
[validation]
strength = 0
cosigners = 0
"#;

fn products() -> Products {
    let mut builder = Builder::empty();
    builder.add_definitions(Definitions::read("products", PRODUCTS).expect("reads"));
    builder.finish().expect("finishes")
}

fn id(text: &str) -> ProductId {
    text.parse().expect("is an id")
}

fn outcome(guest: &str, host: &str, validated: Date) -> Outcome {
    Outcome {
        party: "b.example".into(),
        guest: id(&format!("http://a.example/os/{guest}")),
        host: id(&format!("http://b.example/vmm/{host}")),
        arch: "x86_64".into(),
        passed: true,
        validated,
        emulated: false,
        suite: "1".into(),
        certificate: format!("{guest}-{host}"),
        trial: Trial::default(),
        withdrawn: None,
        set_aside: SetAside::default(),
        until: None,
        told: Told { profile: Some("standard".into()), ..Told::default() },
    }
}

/// The plan of the deal, changed so, with these outcomes, on that day.
fn plan(change: (&str, &str), outcomes: &[Outcome], as_of: Date) -> Plan {
    assert!(DEAL.contains(change.0));
    let deal = read_agreement("deal", &DEAL.replace(change.0, change.1)).expect("reads");
    let products = products();
    let grounds =
        Grounds { products: &products, outcomes, suite: Some("1"), as_of, blocked: &|_, _| None };
    Plan::make(&deal, &grounds)
}

fn state<'a>(plan: &'a Plan, id: &str) -> &'a State {
    let ids: Vec<&str> = plan.obligations.iter().map(|o| o.id.as_str()).collect();
    match plan.obligations.iter().find(|o| o.id == format!("os-on-vmm/{id}")) {
        Some(owed) => &owed.state,
        None => panic!("{id} is not owed; there are {ids:?}"),
    }
}

const AS_IT_IS: (&str, &str) = ("", "");

#[test]
fn later_versions_come_in_as_far_as_the_rule_reaches() {
    let plan = plan(AS_IT_IS, &[], date(2009, 3, 1));
    let ids: Vec<&str> = plan.obligations.iter().map(|o| o.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "os-on-vmm/os5.2/vmm1",
            "os-on-vmm/os5.2/vmm2",
            "os-on-vmm/os5.10/vmm1",
            "os-on-vmm/os5.10/vmm2"
        ],
        "5.10 comes after 5.2, and 6 is another major version"
    );
    assert_eq!(plan.problems, Vec::<String>::new());
}

#[test]
fn what_comes_before_a_named_version_is_no_later_version() {
    let named = ("guests = [\"os5.2\"]", "guests = [\"os5.10\"]");
    let ids: Vec<String> =
        plan(named, &[], date(2009, 3, 1)).obligations.into_iter().map(|o| o.id).collect();
    assert!(!ids.iter().any(|id| id.contains("os5.2/")), "{ids:?}");
    let both = ("guests = [\"os5.2\"]", "guests = [\"os5.2\", \"os6\"]");
    let ids: Vec<String> =
        plan(both, &[], date(2009, 3, 1)).obligations.into_iter().map(|o| o.id).collect();
    assert!(
        ids.iter().any(|id| id.contains("os5.10/")),
        "a later 5 is meant beside a named 6: {ids:?}"
    );
}

#[test]
fn what_never_lived_together_is_not_owed() {
    let all = ("guests = \"major\"", "guests = \"all\"");
    let plan = plan(all, &[], date(2011, 1, 1));
    assert!(!plan.obligations.iter().any(|o| o.id.ends_with("os6/vmm1")), "vmm1 ended before os6");
    assert!(plan.obligations.iter().any(|o| o.id.ends_with("os6/vmm2")));
}

#[test]
fn an_obligation_is_planned_then_due_then_late_then_can_never_be_delivered() {
    let at = |day| plan(AS_IT_IS, &[], day);
    let later = "os5.10/vmm1";
    assert_eq!(
        *state(&at(date(2009, 9, 1)), later),
        State::Planned { from: Some(date(2009, 9, 2)) }
    );
    assert_eq!(*state(&at(date(2009, 9, 2)), later), State::Due { by: date(2009, 12, 2) });
    assert_eq!(*state(&at(date(2009, 12, 3)), later), State::Late { by: date(2009, 12, 2) });
    assert_eq!(*state(&at(date(2010, 2, 1)), later), State::Over { on: date(2010, 1, 31) });
    let named = state(&at(date(2009, 3, 1)), "os5.2/vmm1").clone();
    assert_eq!(named, State::Due { by: date(2009, 8, 16) }, "six months after the deal");
}

#[test]
fn an_outcome_fulfils_until_the_formula_says_otherwise() {
    let done = [outcome("5.10", "2", date(2009, 11, 1))];
    let at = |day| plan(AS_IT_IS, &done, day);
    let fulfilled = |until| State::Fulfilled { certificate: "5.10-2".into(), until: Some(until) };
    // Os 6 of 2010-11-10 is the next version: nine months after it are later than a year.
    assert_eq!(*state(&at(date(2009, 12, 1)), "os5.10/vmm2"), fulfilled(date(2011, 8, 10)));
    let soon = State::AboutToLapse { certificate: "5.10-2".into(), until: date(2011, 8, 10) };
    assert_eq!(*state(&at(date(2011, 7, 1)), "os5.10/vmm2"), soon);
    let lapsed = State::Lapsed { certificate: "5.10-2".into(), on: date(2011, 8, 10) };
    assert_eq!(*state(&at(date(2011, 8, 11)), "os5.10/vmm2"), lapsed);
    let plan = at(date(2009, 12, 1));
    let owed = plan.obligations.iter().find(|o| o.id.ends_with("os5.10/vmm2")).expect("is owed");
    assert_eq!(
        owed.reasons[0],
        "Validated on 2009-11-01; it holds until 2011-08-10, 9 months after the next version of either side (2010-11-10)."
    );
    assert_eq!(
        plan.standings[1],
        Standing {
            party: "b.example".into(),
            planned: 4,
            delivered: 1,
            holding: 1,
            late: 1,
            blocked: 0,
        }
    );
}

#[test]
fn what_does_not_count_is_told_with_its_reason() {
    let reasons = |change: &dyn Fn(&mut Outcome)| {
        let mut done = outcome("5.2", "1", date(2009, 5, 1));
        change(&mut done);
        let plan = plan(AS_IT_IS, &[done], date(2009, 6, 1));
        assert_eq!(*state(&plan, "os5.2/vmm1"), State::Due { by: date(2009, 8, 16) });
        plan.obligations[0].reasons.join(" ")
    };
    assert!(reasons(&|o| o.party = "a.example".into()).contains("who does not owe it"));
    assert!(reasons(&|o| o.emulated = true).contains("under emulation"));
    assert!(reasons(&|o| o.arch = "i686".into()).contains("x86_64 is owed"));
    assert!(reasons(&|o| o.withdrawn = Some(date(2009, 5, 2))).contains("was withdrawn"));
    reasons(&|o| o.validated = date(2009, 6, 2));
}

#[test]
fn a_failure_is_kept_and_asks_for_another_run() {
    let failed = Outcome { passed: false, ..outcome("5.2", "1", date(2009, 5, 1)) };
    let plan = plan(AS_IT_IS, &[failed], date(2009, 6, 1));
    assert!(plan.obligations.iter().all(|owed| State::WORDS.contains(&owed.state.word())));
    assert_eq!(state(&plan, "os5.2/vmm1").word(), "failed");
    assert!(plan.to_run().iter().any(|o| o.id == "os-on-vmm/os5.2/vmm1"));
    assert_eq!(plan.standings[1].delivered, 0);
}

/// An outcome of this machine in this run, on a day of May, at this place of the log.
fn machine(machine: &str, run: &str, passed: bool, (day, entry): (i8, u64)) -> Outcome {
    let trial = Trial {
        machine: machine.into(),
        run: run.into(),
        cell: machine.into(),
        log: "b.example/log".into(),
        entry,
    };
    let certificate = format!("entry {entry}");
    Outcome { passed, certificate, trial, ..outcome("5.2", "1", date(2009, 5, day)) }
}

/// The obligation with these outcomes, whatever their order.
fn owed(outcomes: &[Outcome]) -> Obligation {
    let of =
        |outcomes: &[Outcome]| plan(AS_IT_IS, outcomes, date(2009, 6, 1)).obligations.remove(0);
    let made = of(outcomes);
    let backwards: Vec<Outcome> = outcomes.iter().rev().cloned().collect();
    assert_eq!(made.state, of(&backwards).state, "the order decides");
    made
}

#[test]
fn a_machine_that_failed_is_not_hidden_by_one_that_passed_beside_it() {
    for (first, second) in [(false, true), (true, false)] {
        let owed = owed(&[machine("m1", "r", first, (1, 0)), machine("m2", "r", second, (1, 1))]);
        assert_eq!(owed.state.word(), "failed");
        assert_eq!(owed.on_other_machines.as_ref().map(State::word), Some("fulfilled"));
        let bad = if first { "m2 on 2009-05-01 (entry 1)" } else { "m1 on 2009-05-01 (entry 0)" };
        assert!(
            owed.reasons[1].starts_with(&format!("Of 2 machines 1 failed: {bad}.")),
            "{owed:#?}"
        );
    }
}

#[test]
fn only_a_later_pass_of_the_same_machine_heals_its_failure() {
    let run = [machine("m1", "r", false, (1, 0)), machine("m2", "r", true, (1, 1))];
    let with = |more: Outcome| owed(&[run[0].clone(), run[1].clone(), more]).state.word();
    assert_eq!(with(machine("m1", "s", true, (2, 2))), "fulfilled");
    assert_eq!(with(machine("m1", "s", true, (1, 2))), "fulfilled", "the same day, recorded later");
    assert_eq!(with(machine("m2", "s", true, (2, 2))), "failed");
    assert_eq!(with(machine("m3", "s", true, (2, 2))), "failed");
    let emulated = Outcome { emulated: true, ..machine("m1", "s", true, (2, 2)) };
    assert_eq!(with(emulated), "failed", "what this deal does not take heals nothing");
    let withdrawn = Some(date(2009, 5, 3));
    let back = Outcome { withdrawn, ..machine("m1", "s", true, (2, 2)) };
    assert_eq!(with(back), "failed", "what was taken back heals nothing");
}

#[test]
fn a_machine_that_fails_later_fails_the_pair_and_a_newest_run_of_failures_holds_nowhere() {
    let first = [machine("m1", "r", true, (1, 0)), machine("m2", "r", true, (1, 1))];
    let owed = owed(&[first[0].clone(), first[1].clone(), machine("m1", "s", false, (2, 2))]);
    assert_eq!(owed.state, State::Failed { certificate: "entry 2".into(), on: date(2009, 5, 2) });
    assert_eq!(owed.on_other_machines, None, "nothing of the newest run passed");
}

#[test]
fn a_record_of_a_failure_that_is_withdrawn_fails_nothing() {
    let withdrawn = Some(date(2009, 5, 3));
    let bad = Outcome { withdrawn, ..machine("m1", "r", false, (1, 0)) };
    assert_eq!(owed(&[bad, machine("m2", "r", true, (1, 1))]).state.word(), "fulfilled");
}

#[test]
fn what_failed_on_a_machine_or_since_is_not_carried_forward() {
    let rule = ("[validity]", "[validity]\ncarry-forward = { guests = \"major\" }");
    let carried = |outcomes: &[Outcome]| {
        let plan = plan(rule, outcomes, date(2009, 10, 1));
        state(&plan, "os5.10/vmm1").word()
    };
    let good = machine("m1", "r", true, (1, 0));
    assert_eq!(carried(std::slice::from_ref(&good)), "fulfilled");
    assert_eq!(carried(&[good.clone(), machine("m1", "s", false, (2, 1))]), "due");
    assert_eq!(carried(&[good.clone(), machine("m2", "r", false, (1, 1))]), "due");
    let healed = machine("m2", "s", true, (2, 2));
    assert_eq!(carried(&[good, machine("m2", "r", false, (1, 1)), healed]), "fulfilled");
}

#[test]
fn a_validation_is_carried_forward_only_as_agreed() {
    let done = [outcome("5.2", "1", date(2009, 5, 1))];
    let carried = |rule: &str| {
        let rule = format!("[validity]\ncarry-forward = {rule}");
        let plan = plan(("[validity]", &rule), &done, date(2009, 10, 1));
        state(&plan, "os5.10/vmm1").word()
    };
    assert_eq!(carried("{ guests = \"major\" }"), "fulfilled");
    assert_eq!(carried("{ guests = \"none\" }"), "due");
    assert_eq!(
        carried("{ hosts = \"all\" }"),
        "due",
        "another host carries nothing to another guest"
    );
    let down = [outcome("5.10", "1", date(2009, 9, 3))];
    let rule = |down: bool| {
        format!("[validity]\ncarry-forward = {{ guests = \"major\", down-level = {down} }}")
    };
    let back = |level| plan(("[validity]", &rule(level)), &down, date(2009, 9, 4));
    assert_eq!(state(&back(false), "os5.2/vmm1").word(), "late");
    assert_eq!(state(&back(true), "os5.2/vmm1").word(), "fulfilled");
}

#[test]
fn a_trigger_ends_the_carrying() {
    let done = [outcome("5.2", "1", date(2009, 5, 1))];
    let rule = (
        "again-on = [\"guest-major\"]",
        "carry-forward = { guests = \"major\" }\nagain-on = [\"guest-minor\"]",
    );
    assert_eq!(state(&plan(rule, &done, date(2009, 10, 1)), "os5.10/vmm1").word(), "due");
}

#[test]
fn another_suite_makes_it_due_again_where_that_was_agreed() {
    let old = [Outcome { suite: "0".into(), ..outcome("5.2", "1", date(2009, 5, 1)) }];
    let rule = ("again-on = [\"guest-major\"]", "again-on = [\"suite\"]");
    let plan = |change| plan(change, &old, date(2009, 6, 1));
    assert_eq!(state(&plan(rule), "os5.2/vmm1").word(), "about to lapse");
    assert_eq!(state(&plan(AS_IT_IS), "os5.2/vmm1").word(), "fulfilled");
}

#[test]
fn a_product_that_nobody_knows_is_a_problem_and_not_a_silence() {
    let plan = plan(("guests = [\"os5.2\"]", "guests = [\"Solaris 8\"]"), &[], date(2009, 6, 1));
    assert!(plan.problems[0].starts_with("clause os-on-vmm: "), "{:?}", plan.problems);
    assert!(plan.obligations.is_empty());
}

#[test]
fn what_cannot_be_run_here_says_what_keeps_it() {
    let deal = read_agreement("deal", DEAL).expect("reads");
    let products = products();
    let blocked = |_: &hospitium_products::Product, host: &hospitium_products::Product| {
        (host.line == "vmm").then(|| "there is no driver for it".to_owned())
    };
    let as_of = date(2009, 3, 1);
    let plan = Plan::make(
        &deal,
        &Grounds { products: &products, outcomes: &[], suite: None, as_of, blocked: &blocked },
    );
    assert_eq!(plan.obligations[0].blocked.as_deref(), Some("there is no driver for it"));
    assert!(plan.to_run().is_empty());
    assert_eq!(plan.standings[1].blocked, 1, "only what is due is blocked");
}

#[test]
fn a_plan_survives_its_json_form() {
    let made = plan(AS_IT_IS, &[outcome("5.2", "1", date(2009, 5, 1))], date(2009, 10, 1));
    let text = serde_json::to_string(&made).expect("serialises");
    assert_eq!(serde_json::from_str::<Plan>(&text).expect("reads back"), made);
}

/// How the pair stands by one pass of which this is told, where this is agreed; and all reasons.
fn by_terms(terms: &str, change: impl Fn(&mut Outcome)) -> (&'static str, String) {
    let mut done = outcome("5.2", "1", date(2009, 5, 1));
    change(&mut done);
    let from = "[validation]\nstrength = 0\ncosigners = 0\n";
    let owed = plan((from, terms), &[done], date(2009, 6, 1)).obligations.remove(0);
    (owed.state.word(), owed.reasons.join(" "))
}

fn covering(strength: u32, complete: bool) -> Covers {
    let parameter =
        |(name, values): (&str, Vec<String>)| SpaceParameter { name: name.to_owned(), values };
    let parameters = MachineValues::default().words().into_iter().map(parameter).collect();
    Covers {
        strength,
        covered: 7,
        feasible: 9,
        complete,
        parameters,
        rows: 1,
        machines: Vec::new(),
    }
}

#[test]
fn a_pass_fulfils_only_what_covers_the_machines_at_the_strength_agreed() {
    let terms = "[validation]\nstrength = 2\ncosigners = 0\n";
    let with = |covers: Option<Covers>| by_terms(terms, |o| o.told.covers.clone_from(&covers));
    assert_eq!(with(Some(covering(2, true))).0, "fulfilled");
    assert_eq!(with(Some(covering(3, true))).0, "fulfilled", "more than agreed");
    for (covers, why) in [
        (None, "does not say what its run covers"),
        (Some(covering(1, true)), "and 2 are agreed"),
        (Some(covering(2, false)), "7 of 9 2-way combinations"),
    ] {
        let (word, reasons) = with(covers);
        assert_eq!(word, "due");
        assert!(reasons.contains(why), "{reasons}");
    }
    let mut narrow = covering(2, true);
    narrow.parameters[1].values.retain(|value| value != "uefi");
    let (word, reasons) = with(Some(narrow));
    assert!(word == "due" && reasons.contains("did not try firmware uefi"), "{word}: {reasons}");
}

#[test]
fn a_pass_fulfils_only_by_the_profile_agreed() {
    let terms = "[validation]\nstrength = 0\ncosigners = 0\n";
    for (told, why) in [(None, "by which profile"), (Some("small"), "by the profile small")] {
        let (word, reasons) = by_terms(terms, |o| o.told.profile = told.map(str::to_owned));
        assert!(word == "due" && reasons.contains(why), "{word}: {reasons}");
    }
}

#[test]
fn a_pass_fulfils_only_with_the_cosigners_agreed() {
    let terms = "[validation]\nstrength = 0\ncosigners = 1\n";
    let with = |names: &[&str]| {
        by_terms(terms, |o| o.told.cosigners = names.iter().map(|n| (*n).to_owned()).collect())
    };
    assert_eq!(with(&["a.example"]).0, "fulfilled");
    assert_eq!(with(&["b.example"]).0, "due", "its own is none");
    assert!(with(&[]).1.contains("nobody has cosigned"), "{:?}", with(&[]));
}

#[test]
fn only_the_key_that_the_agreement_has_of_a_party_speaks_for_it() {
    let with = |keys: &[&str], passed| {
        let mut done = outcome("5.2", "1", date(2009, 5, 1));
        done.told.keys = keys.iter().map(|key| (*key).to_owned()).collect();
        done.passed = passed;
        let key = ("title = \"B\" }", "title = \"B\", key = \"b.example+1+A\" }");
        let owed = plan(key, &[done], date(2009, 6, 1)).obligations.remove(0);
        (owed.state.word(), owed.reasons.join(" "))
    };
    assert_eq!(with(&["b.example+1+A"], true).0, "fulfilled");
    assert_eq!(with(&["b.example+2+B", "b.example+1+A"], true).0, "fulfilled", "one that follows");
    for (keys, passed) in [(&["b.example+2+B"][..], true), (&[], true), (&["b.example+2+B"], false)]
    {
        let (word, reasons) = with(keys, passed);
        assert!(word == "due" && reasons.contains("another key"), "{word}: {reasons}");
    }
}

#[test]
fn another_driver_makes_it_due_again_where_that_was_agreed() {
    let rule = ("again-on = [\"guest-major\"]", "again-on = [\"driver\"]");
    let of = |drivers: Option<&str>, day| {
        let mut done = outcome("5.2", "1", date(2009, 5, day));
        done.told.drivers = drivers.map(str::to_owned);
        done.certificate = format!("of {day}");
        done
    };
    let word = |outcomes: &[Outcome]| {
        let owed = plan(rule, outcomes, date(2009, 6, 1)).obligations.remove(0);
        (owed.state.word(), owed.reasons.join(" "))
    };
    assert_eq!(word(&[of(Some("v1"), 1)]).0, "fulfilled");
    let (untold, why) = word(&[of(None, 1)]);
    assert!(untold == "due" && why.contains("which paravirtual drivers"), "{untold}: {why}");
    let elsewhere = Outcome { party: "a.example".into(), ..of(Some("v2"), 2) };
    let (again, why) = word(&[of(Some("v1"), 1), elsewhere.clone()]);
    assert!(again == "about to lapse" && why.contains("Another paravirtual driver"), "{why}");
    assert_eq!(
        state(&plan(AS_IT_IS, &[of(Some("v1"), 1), elsewhere], date(2009, 6, 1)), "os5.2/vmm1")
            .word(),
        "fulfilled"
    );
    // Nor is it carried to a version whose drivers nobody tells.
    let carried = |other: Option<&str>| {
        let terms = "carry-forward = { guests = \"major\" }\nagain-on = [\"driver\"]";
        let mut outcomes = vec![of(Some("v1"), 1)];
        let mut of_5_10 =
            Outcome { party: "a.example".into(), ..outcome("5.10", "2", date(2009, 9, 3)) };
        of_5_10.told.drivers = other.map(str::to_owned);
        outcomes.push(of_5_10);
        let made = plan((rule.0, terms), &outcomes, date(2009, 10, 1));
        state(&made, "os5.10/vmm1").word()
    };
    assert_eq!(
        (carried(None), carried(Some("v2")), carried(Some("v1"))),
        ("due", "due", "fulfilled")
    );
}

#[test]
fn a_validation_holds_no_longer_than_the_certificate_itself() {
    let done = Outcome { until: Some(date(2009, 6, 30)), ..outcome("5.2", "1", date(2009, 5, 1)) };
    let at = |day| state(&plan(AS_IT_IS, std::slice::from_ref(&done), day), "os5.2/vmm1").clone();
    assert!(at(date(2009, 6, 30)).holds());
    assert_eq!(
        at(date(2009, 7, 1)),
        State::Lapsed { certificate: "5.2-1".into(), on: date(2009, 6, 30) }
    );
}

const DELIVERED: &str = r#"
line = [
  { name = "win", title = "Win", ids = ["http://w.example/win/"] },
  { name = "os", title = "Os", ids = ["http://a.example/os/"] },
  { name = "hv", title = "Hv", kind = "host", ids = ["http://a.example/hv/"] },
]
[[product]]
id = "http://a.example/os/5"
source = "A"
name = "Os 5"
line = "os"
release = "5"
facts = [{ what = "release-date", value = 2007-03-14 }, { what = "end-of-life", value = 2014-03-31 }]
[[product]]
id = "http://a.example/hv/5"
source = "A"
name = "Hv of Os 5"
short-ids = ["hv5"]
kind = "host"
line = "hv"
release = "5"
part-of = "http://a.example/os/5"
facts = [{ what = "release-date", value = 2007-03-14 }]
[[product]]
id = "http://a.example/hv/6"
source = "A"
name = "Hv of Os 6"
short-ids = ["hv6"]
kind = "host"
line = "hv"
release = "6"
facts = [{ what = "release-date", value = 2013-05-05 }]
[[product]]
id = "http://w.example/win/2008"
source = "W"
name = "Win 2008"
short-ids = ["win2008"]
line = "win"
release = "2008"
facts = [{ what = "release-date", value = 2008-02-27 }, { what = "end-of-life", value = 2013-04-30 }]
[[product]]
id = "http://w.example/win/2012"
source = "W"
name = "Win 2012"
short-ids = ["win2012"]
line = "win"
release = "2012"
facts = [{ what = "release-date", value = 2012-10-30 }]
[[product]]
id = "http://w.example/win/2019"
source = "W"
name = "Win 2019"
short-ids = ["win2019"]
line = "win"
release = "2019"
facts = [{ what = "release-date", value = 2018-11-13 }]
"#;

#[test]
fn a_pair_is_owed_only_while_both_live_and_a_host_lives_as_long_as_what_it_is_part_of() {
    let mut builder = Builder::empty();
    builder.add_definitions(Definitions::read("products", DELIVERED).expect("reads"));
    let products = builder.finish().expect("finishes");
    let text = DEAL.replace("\"os5.2\"", "\"win2008\"").replace("\"vmm1\"", "\"hv5\"");
    let text =
        text.replace("guests = \"major\"", "guests = \"all\"").replace("2009-02-16", "2008-03-01");
    let deal = read_agreement("deal", &text).expect("reads");
    let as_of = date(2026, 11, 30);
    let grounds =
        Grounds { products: &products, outcomes: &[], suite: None, as_of, blocked: &|_, _| None };
    let plan = Plan::make(&deal, &grounds);
    let mut owed: Vec<(&str, &str)> =
        plan.obligations.iter().map(|o| (o.id.as_str(), o.state.word())).collect();
    owed.sort();
    assert_eq!(
        owed,
        [
            // Named, and both over by now.
            ("os-on-vmm/win2008/hv5", "never delivered"),
            ("os-on-vmm/win2012/hv5", "never delivered"),
            ("os-on-vmm/win2012/hv6", "late"),
            // The system that the first host came with had ended before this guest appeared; of the second
            // nobody says that it ended. The first guest had ended before the second host appeared.
            ("os-on-vmm/win2019/hv6", "late"),
        ]
    );
}

/// The deal of 2009 with what is built in: without osinfo-db, a younger RHEL stands for the two that it names.
#[test]
fn the_deal_of_2009_goes_on_to_the_hosts_of_today_and_owes_nothing_to_the_dead() {
    let text = include_str!("../../../../agreements/redhat-microsoft-2009.toml");
    let text = text.replace("\"RHEL 5.2\", \"RHEL 5.3\"", "\"RHEL 8.8\"");
    let deal = read_agreement("deal", &text).expect("reads");
    let products = Builder::with_built_in().expect("sound").finish().expect("sound");
    let as_of = date(2026, 11, 30);
    let grounds =
        Grounds { products: &products, outcomes: &[], suite: None, as_of, blocked: &|_, _| None };
    let plan = Plan::make(&deal, &grounds);
    let hosts: std::collections::BTreeSet<&str> = plan
        .obligations
        .iter()
        .filter_map(|owed| products.get(&owed.host).map(|host| host.short()))
        .collect();
    for host in ["kvm-rhel-6.0", "kvm-rhel-9.4", "kvm-rhel-10.2", "hyper-v-2012r2"] {
        assert!(hosts.contains(host), "{host} is not among {hosts:?}");
    }
    for host in ["hyper-v-2022", "hyper-v-server-2019"] {
        assert!(hosts.contains(host), "{host} is not among {hosts:?}");
    }
    let guests = |host: &str| -> Vec<&str> {
        let of_host = plan.obligations.iter().filter(|o| o.id.ends_with(&format!("/{host}")));
        of_host.filter_map(|o| products.get(&o.guest).map(|guest| guest.short())).collect()
    };
    assert!(guests("kvm-rhel-9.4").contains(&"win2k25"), "{:?}", guests("kvm-rhel-9.4"));
    for owed in plan.obligations.iter().filter(|owed| owed.because != Because::Named) {
        let ends = [owed.days.guest_end_of_life, owed.days.host_end_of_life];
        for end in ends.into_iter().flatten() {
            assert!(owed.from.is_none_or(|from| from <= end), "{} is owed to the dead", owed.id);
        }
    }
    let young = plan.obligations.iter().filter(|o| o.guest.as_str().ends_with("/2k25"));
    assert!(young.clone().count() > 5);
    let old: Vec<&str> =
        young.map(|o| o.host_name.as_str()).filter(|host| host.contains("5.")).collect();
    assert!(old.is_empty(), "{old:?}");
}

#[test]
fn a_record_of_several_machines_is_repeated_by_nobody_who_ran_one_of_them() {
    let with = |machines: Option<usize>| {
        let mut done = outcome("5.2", "1", date(2009, 5, 1));
        done.told.covers = machines.map(|rows| Covers { rows, ..covering(1, true) });
        done.told.endorsed = vec![Endorsed {
            party: "a.example".into(),
            repeated: true,
            keys: Vec::new(),
            at: "a.example/log entry 0".into(),
            known: date(2009, 5, 2),
        }];
        let asked = ("hosts = [\"vmm1\"]\n", "hosts = [\"vmm1\"]\nassurance = \"repeated\"\n");
        let owed = plan(asked, &[done], date(2009, 6, 1)).obligations.remove(0);
        (owed.state.word(), owed.reasons.join(" "))
    };
    assert_eq!(with(None).0, "fulfilled");
    assert_eq!(with(Some(1)).0, "fulfilled");
    let (word, reasons) = with(Some(2));
    assert!(word == "due" && reasons.contains("repeated 1 of the 2 machines"), "{word}: {reasons}");
}

#[test]
fn repetitions_of_all_machines_of_a_run_make_up_one_of_its_whole_coverage() {
    let machines = vec!["m1".to_owned(), "m2".to_owned()];
    let of = |machine: &str, entry: u64, run: &str| {
        let certificate = format!("b.example/log entry {entry}");
        let trial = Trial {
            machine: machine.into(),
            run: run.into(),
            cell: machine.into(),
            log: "b.example/log".into(),
            entry,
        };
        let mut done = Outcome { certificate, trial, ..outcome("5.2", "1", date(2009, 5, 1)) };
        done.told.covers =
            Some(Covers { rows: 2, machines: machines.clone(), ..covering(1, true) });
        done
    };
    let again = |mut done: Outcome, party: &str| {
        done.told.endorsed.push(Endorsed {
            party: party.into(),
            repeated: true,
            keys: Vec::new(),
            at: format!("{party}/log entry {}", done.trial.entry),
            known: date(2009, 5, 2),
        });
        done
    };
    let with = |said: &[Outcome]| {
        let asked = ("hosts = [\"vmm1\"]\n", "hosts = [\"vmm1\"]\nassurance = \"repeated\"\n");
        plan(asked, said, date(2009, 6, 1)).obligations.remove(0)
    };
    let both = [again(of("m1", 0, "r"), "a.example"), again(of("m2", 1, "r"), "a.example")];
    let owed = with(&both);
    assert_eq!(owed.state.word(), "fulfilled", "{:?}", owed.reasons);
    let one = with(&[again(of("m1", 0, "r"), "a.example"), of("m2", 1, "r")]);
    assert_eq!(one.state.word(), "due");
    assert!(
        one.reasons.join(" ").contains("1 of the 2 machines that it counts on: m1"),
        "{:?}",
        one.reasons
    );
    // Another run's, and another party's, make nothing up.
    let other_run = with(&[both[0].clone(), again(of("m2", 1, "s"), "a.example")]);
    assert_eq!(other_run.state.word(), "due", "{:?}", other_run.reasons);
    let other_party = with(&[both[0].clone(), again(of("m2", 1, "r"), "c.example")]);
    assert_eq!(other_party.state.word(), "due", "{:?}", other_party.reasons);
    // What was withdrawn is not there to be repeated.
    let back = Outcome { withdrawn: Some(date(2009, 5, 3)), ..both[1].clone() };
    assert_eq!(with(&[both[0].clone(), back]).state.word(), "due");
}

#[test]
fn an_endorsement_that_does_not_count_says_why() {
    let key = "a.example+1+AAAA";
    let asked = (
        "party = [{ name = \"a.example\"",
        &*format!("party = [{{ key = \"{key}\", name = \"a.example\""),
    );
    let mut done = outcome("5.2", "1", date(2009, 5, 1));
    let by = |party: &str, keys: &[&str]| Endorsed {
        party: party.into(),
        repeated: false,
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        at: format!("{party}/log entry 0"),
        known: date(2009, 5, 2),
    };
    done.told.endorsed = vec![by("a.example", &["another"]), by("c.example", &[])];
    let owed = plan(asked, &[done.clone()], date(2009, 6, 1)).obligations.remove(0);
    let reasons = owed.reasons.join("\n");
    assert!(
        reasons.contains(
            "a.example (a.example/log entry 0) does not count: it is signed with another key"
        ),
        "{reasons}"
    );
    assert!(reasons.contains("c.example is no party"), "{reasons}");
    done.told.endorsed = vec![by("a.example", &["another", key])];
    let owed = plan(asked, &[done], date(2009, 6, 1)).obligations.remove(0);
    assert!(!owed.reasons.join(" ").contains("does not count"), "{:?}", owed.reasons);
    assert_eq!(owed.assured_by.len(), 1);
}

#[test]
fn what_is_suspended_is_not_called_withdrawn_and_only_what_the_deal_takes_was_delivered() {
    let plain = ("id = \"deal\"", "id = \"deal\"");
    let day = date(2009, 5, 1);
    let as_of = date(2009, 6, 1);
    let set_aside = |set_aside, from| {
        let done = Outcome { withdrawn: Some(from), set_aside, ..outcome("5.2", "1", day) };
        let plan = plan(plain, &[done], as_of);
        (
            plan.obligations[0].reasons.join(" "),
            plan.standings.iter().map(|s| s.delivered).sum::<usize>(),
        )
    };
    let (words, delivered) = set_aside(SetAside::Suspended, date(2009, 5, 9));
    assert!(words.contains("it is suspended") && !words.contains("withdrawn"), "{words}");
    assert_eq!(delivered, 1, "it was, before");
    let (words, delivered) = set_aside(SetAside::Withdrawn, day);
    assert!(words.contains("it was withdrawn"), "{words}");
    assert_eq!(delivered, 0, "from its first day on");
    let delivered = |done: Outcome| {
        plan(plain, &[done], as_of).standings.iter().map(|s| s.delivered).sum::<usize>()
    };
    assert_eq!(delivered(outcome("5.2", "1", day)), 1);
    assert_eq!(delivered(Outcome { emulated: true, ..outcome("5.2", "1", day) }), 0);
    assert_eq!(delivered(Outcome { validated: date(2009, 7, 1), ..outcome("5.2", "1", day) }), 0);
}
