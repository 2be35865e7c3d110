//! What is not certain says so wherever it is told: one value of the record, by all ways out of the catalog.

use hospitium_ledger::dsse::Envelope;
use hospitium_model::Digest;

use super::assurance::{append, unknown};
use super::*;
use crate::{Desk, RecordFilter, RecordPage};

/// Everything that a catalog gives of the usual pair, each by its name.
async fn told(world: &World) -> Vec<(&'static str, String)> {
    let (catalog, products, deal) = (world.catalog().await, products(), [deal()]);
    let desk = Desk::new(&catalog, &products, &deal, DAY).await.expect("is ready");
    let (mut csv, mut json, mut md, mut osinfo, mut junit) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    catalog.export_csv(DAY, &mut csv).await.expect("written");
    catalog.export_json(DAY, &mut json).await.expect("written");
    catalog.export_markdown(DAY, &mut md).await.expect("written");
    catalog.export_osinfo(DAY, &mut osinfo).await.expect("written");
    desk.export_junit(&mut junit).await.expect("written");
    let text = |bytes| String::from_utf8(bytes).expect("is text");
    let (listed, _) = catalog.newest_records(DAY, None, 9).await.expect("reads");
    let named = catalog.records_named(&listed[0].record.digest, DAY, 9).await.expect("reads");
    let page = desk.records(&RecordFilter::default(), None, 9).await.expect("reads");
    let RecordPage::Records(page, _) = page else { panic!("{page:?}") };
    let guest = products.get(&OSA.1.parse().expect("is an id")).expect("is known");
    let (pairs, _) = desk.pairs_of(true, guest, 9).await.expect("reads");
    let plan = desk.plan(&deal[0]).await.expect("is made");
    let json_of = |value: serde_json::Value| value.to_string();
    vec![
        ("csv", text(csv)),
        ("json", text(json)),
        ("md", text(md)),
        ("deployments", text(osinfo)),
        ("junit", text(junit)),
        ("newest", json_of(serde_json::json!(listed))),
        ("named", json_of(serde_json::json!(named))),
        ("page", json_of(serde_json::json!(page))),
        ("pairs", json_of(serde_json::json!(pairs[0].record))),
        ("plan", json_of(serde_json::json!(plan.obligations))),
    ]
}

/// The logs in which something is not known of the usual record, each with a word of why.
fn doubtful() -> Vec<(World, &'static str)> {
    let made = || {
        let mut world = World::new(&["a.example", "b.example"]);
        let record = world.say("b.example", &[statement(&sample("2022-03-01"))])[0];
        (world, record)
    };
    let sign = |world: &mut World, payload: Vec<u8>| {
        let entry = Envelope::sign(payload, &[&world.party("b.example").record]).to_bytes();
        append(world, "b.example", entry);
    };
    let (mut of_unknown, record) = made();
    sign(&mut of_unknown, unknown(record));
    // A withdrawal of a later format than this program reads.
    let (mut of_later, record) = made();
    let back = Statement::withdrawal("b.example", at("2022-04-01"), record, "x");
    let back = String::from_utf8(back.to_bytes().expect("written")).expect("is text");
    assert!(back.contains("\"format\":1"), "{back}");
    sign(&mut of_later, back.replace("\"format\":1", "\"format\":9").into_bytes());
    vec![(of_unknown, "recall/v7"), (of_later, "cannot be read here")]
}

#[tokio::test]
async fn what_is_not_certain_says_so_by_every_way_out() {
    for (world, why) in doubtful() {
        for (form, text) in told(&world).await {
            match form {
                "deployments" => assert!(!text.contains("<deployment "), "{why}: {form}: {text}"),
                _ => assert!(text.contains(why), "{why}: {form}: {text}"),
            }
            if form == "junit" {
                let all = text.matches("<error ").count();
                assert!(all == 2 && text.contains("type=\"uncertain\""), "{why}: {text}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_certain_says_nothing_of_it() {
    let mut world = World::new(&["a.example", "b.example"]);
    world.say("b.example", &[statement(&sample("2022-03-01"))]);
    let key = &world.party("b.example").record;
    // It names another record.
    let entry = Envelope::sign(unknown(Digest::of(b"another")), &[key]).to_bytes();
    append(&mut world, "b.example", entry);
    for (form, text) in told(&world).await {
        let holds = !text.contains("recall/v7") && !text.contains("<error ");
        assert!(holds, "{form}: {text}");
        match form {
            "deployments" => assert!(text.contains("<deployment "), "{text}"),
            "json" | "newest" | "named" | "page" | "pairs" | "plan" => {
                assert!(!text.contains("uncertain"), "{form}: {text}");
            }
            _ => {}
        }
    }
}
