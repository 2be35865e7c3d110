//! Lists of records and pairs: each record stands as its own log says, however many are on a page.

use hospitium_ledger::Statement;
use hospitium_model::Digest;

use super::*;
use crate::{Desk, RecordFilter, RecordPage, Stands, Word};

/// Two parties that say the same of 600 records each, more than one query takes; then some of it is taken
/// back.
async fn long() -> (Catalog, Vec<Digest>) {
    let mut world = World::new(&["a.example", "b.example"]);
    let records: Vec<Digest> = ["a.example", "b.example"]
        .iter()
        .flat_map(|party| {
            let run = |n| Sample {
                run: format!("run-{n}"),
                ..Sample::new(party, OSA, VMMO, at("2022-03-01"))
            };
            let statements: Vec<_> = (0..600).map(|n| statement(&run(n))).collect();
            world.say(party, &statements)
        })
        .collect();
    let day = at("2022-04-01");
    let take = |n: usize| Statement::withdrawal("b.example", day, records[600 + n], "a wrong disk");
    // What is said of a record in a log that it does not stand in is of no weight.
    let foreign = Statement::withdrawal("b.example", day, records[0], "we do not like it");
    let ended = Some(at("2022-05-01"));
    let over = Statement::suspension("b.example", day, records[600 + 7], "looked into", ended);
    let held = Statement::suspension("b.example", day, records[600 + 8], "looked into", None);
    world.say("b.example", &[take(0), take(599), foreign, over, held]);
    (world.catalog().await, records)
}

#[tokio::test]
async fn every_record_of_a_long_page_stands_as_its_own_log_says() {
    let (catalog, records) = long().await;
    let (listed, next) = catalog.newest_records(DAY, None, 2000).await.expect("reads");
    assert_eq!((listed.len(), next), (1200, None));
    let odd: Vec<(String, &str)> = listed
        .iter()
        .filter(|listed| listed.stands != Stands::Valid)
        .map(|listed| (listed.record.digest.clone(), listed.stands.word()))
        .collect();
    let record = |n: usize| records[600 + n].to_string();
    let (last, eighth, first) = (record(599), record(8), record(0));
    assert_eq!(odd, [(last, "withdrawn"), (eighth, "suspended"), (first.clone(), "withdrawn")]);
    let named = catalog.records_named(&first, DAY, 8).await.expect("reads");
    assert_eq!(named.len(), 1);
    assert!(
        matches!(&named[0].stands, Stands::Withdrawn { reason, .. } if reason == "a wrong disk")
    );
    let products = products();
    let desk = Desk::new(&catalog, &products, &[], DAY).await.expect("is ready");
    let filter = RecordFilter { word: Some("withdrawn".into()), ..RecordFilter::default() };
    let page = desk.records(&filter, None, 50).await.expect("reads");
    assert!(matches!(page, RecordPage::Records(found, None) if found.len() == 2));
    let told = desk.newest_notices(10).await.expect("reads");
    assert_eq!(told.len(), 4, "the foreign one is about no record of its log");
    assert!(told.iter().all(|n| n.guest_product == OSA.1 && n.host_product == VMMO.1));
}

#[tokio::test]
async fn of_a_pair_a_list_says_what_an_answer_would_say() {
    let mut world = World::new(&["a.example", "b.example"]);
    let of = |party, host, day: &str, passed| {
        statement(&Sample { passed, ..Sample::new(party, OSA, host, at(day)) })
    };
    let said = world.say(
        "b.example",
        &[
            of("b.example", VMMO, "2022-03-01", true),
            of("b.example", VMMO, "2022-04-01", false),
            of("b.example", VMMO_2, "2022-04-01", true),
        ],
    );
    let back =
        |record| Statement::withdrawal("b.example", at("2022-05-01"), record, "a wrong disk");
    world.say("b.example", &[back(said[1]), back(said[2])]);
    let listed = async |world: &World| {
        let (catalog, products) = (world.catalog().await, products());
        let desk = Desk::new(&catalog, &products, &[], DAY).await.expect("is ready");
        let osa = products.resolve("osa5.2").expect("is known");
        let (pairs, more) = desk.pairs_of(true, osa, 1).await.expect("reads");
        assert_eq!((pairs.len(), more), (1, true));
        let (pairs, more) = desk.pairs_of(true, osa, 10).await.expect("reads");
        assert!(!more);
        let stands = |pair: &crate::PairNow| (pair.host.clone(), pair.stands.word());
        pairs.iter().map(stands).collect::<Vec<_>>()
    };
    let vmmo_2 = ("Vmmo 2".to_owned(), "withdrawn");
    assert_eq!(listed(&world).await, [("Vmmo 1".to_owned(), "valid"), vmmo_2.clone()]);
    assert_eq!(world.ask(QUESTION, &[], DAY).await.verdict, Word::Validated);
    // Another party says that it failed: without an agreement, the more careful word is given.
    world.say("a.example", &[of("a.example", VMMO, "2022-02-01", false)]);
    assert_eq!(listed(&world).await, [("Vmmo 1".to_owned(), "failed"), vmmo_2]);
    assert_eq!(world.ask(QUESTION, &[], DAY).await.verdict, Word::Failed);
}
