//! One machine's pass never hides another's failure: the rule of plans, in answers and exports.

use hospitium_ledger::Statement;
use hospitium_model::{MachineRow, MachineValues};

use super::*;
use crate::Word;

/// The first machine there is, with so many vCPUs.
fn row(vcpus: u32) -> Option<MachineRow> {
    let first = MachineValues::default().words().map(|(_, values)| values[0].clone());
    let row = MachineRow::from_words(&first).expect("is one");
    Some(MachineRow { vcpus, ..row })
}

/// A machine in a run of a day of May.
fn machine(vcpus: u32, run: &str, day: u32, passed: bool) -> Sample {
    let cell = format!("cell-{vcpus}");
    let machine = row(vcpus);
    Sample { machine, cell, run: run.into(), passed, ..sample(&format!("2022-05-{day:02}")) }
}

/// What is answered without and with the deal, what the plan says, and how many deployments there are.
async fn said(samples: &[Sample]) -> (Word, Word, &'static str, usize) {
    let mut world = World::new(&["b.example"]);
    let statements: Vec<_> = samples.iter().map(statement).collect();
    world.say("b.example", &statements);
    told(&world).await
}

async fn told(world: &World) -> (Word, Word, &'static str, usize) {
    let catalog = world.catalog().await;
    let products = products();
    let deals = [deal()];
    let desk = crate::Desk::new(&catalog, &products, &deals, DAY).await.expect("ready");
    let by_desk = desk.plan(&deals[0]).await.expect("planned").obligations.remove(0).state;
    // The command line's plan takes all records in at once; both say the same.
    let outcomes = catalog.outcomes(DAY).await.expect("read");
    let grounds = hospitium_plan::obligation::Grounds {
        products: &products,
        outcomes: &outcomes,
        suite: None,
        as_of: DAY,
        blocked: &|_, _| None,
    };
    let plan = hospitium_plan::obligation::Plan::make(&deals[0], &grounds);
    assert_eq!(plan.obligations[0].state, by_desk);
    let bare = world.ask(QUESTION, &[], DAY).await.verdict;
    let owed = world.ask(QUESTION, &deals, DAY).await.verdict;
    let mut xml = Vec::new();
    catalog.export_osinfo(DAY, &mut xml).await.expect("written");
    let deployments = String::from_utf8(xml).expect("text").matches("<deployment ").count();
    (bare, owed, by_desk.word(), deployments)
}

#[tokio::test]
async fn what_is_left_unread_of_a_pair_keeps_it_from_being_called_validated() {
    // More machines than are read of a pair (a smaller number in tests), the oldest of which failed.
    let of = |vcpus, host, day| Sample {
        vcpus,
        passed: day != "2022-03-01",
        ..Sample::new("b.example", OSA, host, at(day))
    };
    let day = |n: u32| if n == 1 { "2022-03-01" } else { "2022-05-01" };
    let many: Vec<_> = (1..=1101).map(|n| statement(&of(n, VMMO, day(n)))).collect();
    let mut world = World::new(&["b.example"]);
    world.say("b.example", &many);
    for deals in [vec![], vec![deal()]] {
        let answer = world.ask(QUESTION, &deals, DAY).await;
        assert_eq!(answer.verdict, Word::Unknown, "{:#?}", answer.rule);
        assert!(
            matches!(answer.rule, crate::Rule::TooMany { looked_at: 1100 }),
            "{:?}",
            answer.rule
        );
    }
    let catalog = world.catalog().await;
    let products = products();
    let desk = crate::Desk::new(&catalog, &products, &[], DAY).await.expect("opens");
    let plan = desk.plan(&deal()).await.expect("planned");
    assert!(
        plan.problems.iter().any(|problem| problem.contains("more records")),
        "{:?}",
        plan.problems
    );
    // As many of two names of one product, each within the bound: nothing is cut, and the oldest is told.
    let other = ("Vmmo 1 (TCG)", VMMO.1);
    let named = |n: u32| statement(&of(n, if n <= 550 { VMMO } else { other }, day(n)));
    let mut world = World::new(&["b.example"]);
    world.say("b.example", &(1..=1110).map(named).collect::<Vec<_>>());
    let answer = world.ask(QUESTION, &[], DAY).await;
    assert_eq!(answer.verdict, Word::ValidatedWithLimits, "{:#?}", answer.rule);
    assert!(answer.limits.iter().any(|limit| limit.contains("entry 0")), "{:?}", answer.limits);
}

const LIMITED: (Word, Word, &str, usize) =
    (Word::ValidatedWithLimits, Word::ValidatedWithLimits, "failed", 0);
const GOOD: (Word, Word, &str, usize) = (Word::Validated, Word::Validated, "fulfilled", 1);
const FAILED: (Word, Word, &str, usize) = (Word::Failed, Word::Failed, "failed", 0);

#[tokio::test]
async fn a_machine_that_failed_is_not_hidden_whatever_its_place_in_the_log() {
    let (good, bad) = (machine(1, "r", 1, true), machine(2, "r", 1, false));
    assert_eq!(said(&[good.clone(), bad.clone()]).await, LIMITED);
    assert_eq!(said(&[bad, good]).await, LIMITED);
}

#[tokio::test]
async fn a_later_run_heals_the_machines_that_it_passes_and_no_other() {
    let first = [machine(1, "r", 1, true), machine(2, "r", 1, false)];
    let with = |more: Sample| [first[0].clone(), first[1].clone(), more];
    assert_eq!(said(&with(machine(2, "s", 2, true))).await, GOOD);
    assert_eq!(said(&with(machine(2, "s", 1, true))).await, GOOD, "on the same day");
    assert_eq!(said(&with(machine(1, "s", 2, true))).await, LIMITED);
    assert_eq!(said(&with(machine(4, "s", 2, true))).await, LIMITED);
}

#[tokio::test]
async fn a_newest_run_in_which_nothing_passed_is_failed() {
    let first = [machine(1, "r", 1, true), machine(2, "r", 1, true)];
    let with = |more: Sample| [first[0].clone(), first[1].clone(), more];
    assert_eq!(said(&with(machine(2, "s", 2, false))).await, FAILED);
    assert_eq!(said(&with(machine(4, "s", 2, false))).await, FAILED);
}

#[tokio::test]
async fn what_is_said_again_of_a_cell_counts_as_it_was_said_last() {
    let (good, bad) = (machine(1, "r", 1, true), machine(2, "r", 1, false));
    let waived = Sample { passed: true, waived: Some(at("2022-09-01")), ..bad.clone() };
    let all = [good.clone(), bad.clone(), waived.clone()];
    let (bare, owed, plan, deployments) = said(&all).await;
    let limited = Word::ValidatedWithLimits;
    assert_eq!((bare, owed, plan, deployments), (limited, limited, "fulfilled", 1));
    let mut world = World::new(&["b.example"]);
    let statements: Vec<_> = all.iter().map(statement).collect();
    let records = world.say("b.example", &statements);
    let answer = world.ask(QUESTION, &[], DAY).await;
    let told = |word: &str| answer.limits.iter().any(|limit| limit.contains(word));
    assert!(told("waived until 2022-09-01"), "of the other machine too: {:?}", answer.limits);
    // Taken back, the failure stands again.
    let back = Statement::withdrawal("b.example", at("2022-05-03"), records[2], "a wrong waiver");
    world.say("b.example", &[back]);
    assert_eq!(self::told(&world).await, LIMITED);
    // A cell that passed and is recorded again as failed is not hidden by its first record.
    let bad = Sample { passed: false, ..good.clone() };
    assert_eq!(said(&[good, bad]).await, FAILED);
}

#[tokio::test]
async fn a_pass_that_rests_on_a_waiver_falls_with_it() {
    use hospitium_ledger::statement::{Record, WaiverRecord};
    let bad = Sample { passed: false, ..machine(2, "r", 1, true) };
    let mut world = World::new(&["b.example"]);
    let failed = statement(&bad);
    let waiver = WaiverRecord {
        format: 1,
        party: "b.example".into(),
        issued: at("2022-05-02"),
        check: "cpu.count/v0".parse().expect("an id"),
        reason: "known and harmless".into(),
        until: at("2022-09-01"),
        by: "the release team".into(),
        host: None,
    };
    let waiver = Statement::waiver(failed.subject[0].clone(), waiver);
    let entry = world.say("b.example", &[failed, waiver])[1];
    let mut waived = statement(&Sample { passed: true, waived: Some(at("2022-09-01")), ..bad });
    if let Record::Validation(validation) = &mut waived.record {
        validation.hospitium.waivers[0].record = Some(entry);
    }
    world.say("b.example", &[waived]);
    assert_eq!(told(&world).await.2, "fulfilled");
    let back = Statement::withdrawal("b.example", at("2022-05-03"), entry, "not harmless");
    world.say("b.example", &[back]);
    assert_eq!(told(&world).await, FAILED);
    let answer = world.ask(QUESTION, &[], DAY).await;
    assert!(
        answer.set_aside.iter().any(|why| why.contains("not harmless")),
        "{:?}",
        answer.set_aside
    );
}

#[tokio::test]
async fn two_cells_of_one_run_and_machine_do_not_heal_each_other() {
    let good = machine(2, "r", 1, true);
    let bad = Sample { cell: "other-image".into(), passed: false, ..good.clone() };
    assert_eq!(said(&[bad, good]).await, LIMITED);
}

#[tokio::test]
async fn a_pass_under_emulation_does_not_heal_a_failure_on_hardware() {
    let bad = machine(2, "r", 1, false);
    let emulated = Sample { emulated: true, ..machine(2, "s", 2, true) };
    let mut world = World::new(&["b.example"]);
    world.say("b.example", &[statement(&bad), statement(&emulated)]);
    let answer = world.ask(QUESTION, &[], DAY).await;
    assert_eq!(answer.verdict, Word::ValidatedWithLimits, "{:#?}", answer.lines());
    assert!(answer.limits.iter().any(|limit| limit.contains("says that it failed")));
    let answer = world.ask(QUESTION, &[deal()], DAY).await;
    assert_eq!(answer.verdict, Word::Failed, "the deal takes nothing from an emulation");
}

#[tokio::test]
async fn a_certificate_that_the_same_machine_disproved_is_not_shown_as_covering_most() {
    let wide = Sample { vcpus: 16, ..machine(1, "r", 1, true) };
    let since = machine(1, "s", 2, false);
    let other = machine(2, "s", 2, true);
    let mut world = World::new(&["b.example"]);
    let statements: Vec<_> = [wide, since, other].iter().map(statement).collect();
    world.say("b.example", &statements);
    let answer = world.ask("osa 5.2 on vmmo 1, 12 vcpu", &[], DAY).await;
    assert_eq!(answer.certificate.expect("is there").record.entry, 2, "{:?}", answer.limits);
    assert_eq!(answer.limits.len(), 2, "{:?}", answer.limits);
}

#[tokio::test]
async fn every_failed_machine_is_named_or_counted() {
    let mut all = vec![machine(1, "r", 1, true)];
    all.extend((2..=25).map(|vcpus| machine(vcpus, "r", 1, false)));
    let mut world = World::new(&["b.example"]);
    let statements: Vec<_> = all.iter().map(statement).collect();
    world.say("b.example", &statements);
    let answer = world.ask(QUESTION, &[deal()], DAY).await;
    assert_eq!(answer.verdict, Word::ValidatedWithLimits);
    assert!(answer.limits.iter().any(|limit| limit == "4 more records say that it failed"));
    assert!(answer.limits.iter().any(|limit| limit.contains("modern bios")), "{:?}", answer.limits);
    let failed = |reason: &String| reason.starts_with("Of 25 machines 24 failed");
    assert!(answer.reasons.iter().any(failed), "{:?}", answer.reasons);
}

/// So many hours after the first of May.
fn hour(hours: i64) -> Timestamp {
    at("2022-05-01") + jiff::SignedDuration::from_hours(hours)
}

#[tokio::test]
async fn a_failed_machine_is_not_forgotten_however_often_another_was_tried_since() {
    let tried = |hours| Sample { ended: hour(hours), ..machine(1, &format!("s{hours}"), 1, true) };
    let mut all = vec![machine(2, "r", 1, false)];
    all.extend((1..=700).map(tried));
    assert_eq!(said(&all).await, LIMITED);
}

#[tokio::test]
async fn what_counts_is_found_behind_all_that_was_taken_back() {
    let bad = |hours| Sample { ended: hour(hours), ..machine(1, &format!("s{hours}"), 1, false) };
    // More than are read at first, on days of their own.
    for since in [3, 4, 5, 40] {
        let mut world = World::new(&["b.example"]);
        let good = statement(&machine(1, "r", 1, true));
        let others = (1..=since).map(|n| statement(&bad(n * 12)));
        let all: Vec<_> = std::iter::once(good).chain(others).collect();
        let records = world.say("b.example", &all);
        assert_eq!(told(&world).await, FAILED);
        let back = |record: &hospitium_model::Digest| {
            Statement::withdrawal("b.example", at("2022-05-31"), *record, "a wrong disk")
        };
        let back: Vec<_> = records.iter().skip(1).map(back).collect();
        world.say("b.example", &back);
        assert_eq!(told(&world).await, GOOD, "{since} were taken back");
        let (catalog, products) = (world.catalog().await, products());
        let desk = crate::Desk::new(&catalog, &products, &[], DAY).await.expect("is ready");
        let osa = products.resolve("osa5.2").expect("is known");
        let (pairs, _) = desk.pairs_of(true, osa, 10).await.expect("reads");
        assert_eq!(pairs[0].stands, crate::Stands::Valid, "in lists too");
    }
}

#[tokio::test]
async fn a_list_does_not_hide_a_machine_that_failed() {
    let (good, bad) = (machine(1, "r", 1, true), machine(2, "r", 1, false));
    for order in [[good.clone(), bad.clone()], [bad, good.clone()]] {
        let mut world = World::new(&["b.example"]);
        world.say("b.example", &order.each_ref().map(statement));
        let (catalog, products) = (world.catalog().await, products());
        let desk = crate::Desk::new(&catalog, &products, &[], DAY).await.expect("is ready");
        let osa = products.resolve("osa5.2").expect("is known");
        let (pairs, _) = desk.pairs_of(true, osa, 10).await.expect("reads");
        assert_eq!((pairs.len(), &pairs[0].stands), (1, &crate::Stands::Valid));
        assert_eq!(pairs[0].failed_beside, 1);
        assert_eq!(pairs[0].failed, ["cpu.count/v0"]);
    }
    // Where nothing passed in the newest run, the pair stands failed, as an answer says it.
    let mut world = World::new(&["b.example"]);
    let since = machine(4, "s", 2, false);
    world.say("b.example", &[statement(&good), statement(&since)]);
    assert_eq!(world.ask(QUESTION, &[], DAY).await.verdict, Word::Failed);
    let (catalog, products) = (world.catalog().await, products());
    let desk = crate::Desk::new(&catalog, &products, &[], DAY).await.expect("is ready");
    let osa = products.resolve("osa5.2").expect("is known");
    let (pairs, _) = desk.pairs_of(true, osa, 10).await.expect("reads");
    assert_eq!((&pairs[0].stands, pairs[0].failed_beside), (&crate::Stands::Failed, 0));
}
