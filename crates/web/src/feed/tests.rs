//! What feeds promise: the elements that RFC 4287 requires, ids that stay, names that stay text, and that they
//! are valid by Atom's own schema, which is beside this file.

use std::process::Command;

use axum::http::StatusCode;
use hospitium_catalog::sample::Sample;
use hospitium_ledger::Statement;
use hospitium_model::Digest;

use crate::sample::{HOSTILE, OSA, VMMO, World, world, world_of};

#[tokio::test]
async fn every_feed_has_what_the_standard_requires_and_ids_that_stay() {
    let world = world().await;
    for address in ["/feed.atom", "/agreements/deal/feed.atom", "/products/osa5.2/feed.atom"] {
        let (status, text) = world.get(address).await;
        assert_eq!(status, StatusCode::OK, "{address}: {text}");
        let feed = atom_syndication::Feed::read_from(text.as_bytes()).expect("is a feed");
        assert!(feed.id().starts_with("urn:uuid:") && !feed.title().as_str().is_empty());
        assert_eq!(feed.links()[0].href(), format!("https://catalog.example{address}"));
        assert!(!feed.entries().is_empty(), "{address}: {text}");
        let mut ids: Vec<&str> = feed.entries().iter().map(atom_syndication::Entry::id).collect();
        assert!(ids.iter().all(|id| id.starts_with("tag:b.example,2022-")), "{ids:?}");
        assert!(feed.entries().iter().all(|entry| !entry.authors().is_empty()));
        assert!(feed.entries().iter().all(|entry| entry.content().is_some()));
        assert!(feed.entries().iter().all(|entry| entry.updated() <= feed.updated()));
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "two entries share an id");
        let (_, again) = world.get(address).await;
        assert_eq!(text, again);
    }
}

#[tokio::test]
async fn a_feed_tells_outcomes_and_what_became_due_of_its_subject_only() {
    let world = world().await;
    let (_, all) = world.get("/feed.atom").await;
    assert!(
        all.contains("Validated: Osa 5.2 on Vmmo 1") && all.contains("Failed: Osa 5.2 on Vmmo 2")
    );
    assert!(!all.contains("<script"), "{all}");
    let (_, deal) = world.get("/agreements/deal/feed.atom").await;
    assert!(deal.contains("Failed: Osa 5.2 on Vmmo 2") && !deal.contains("onload"), "{deal}");
    let (_, host) = world.get("/products/vmmo2/feed.atom").await;
    assert!(host.contains("Vmmo 2") && !host.contains("Vmmo 1"), "{host}");
    for address in ["/agreements/none/feed.atom", "/products/none/feed.atom"] {
        assert_eq!(world.get(address).await.0, StatusCode::NOT_FOUND);
    }
}

/// Whether a document is valid by the schema, and what xmllint says.
fn valid(document: &str) -> (bool, String) {
    let folder = tempfile::tempdir().expect("made");
    let (schema, feed) = (folder.path().join("atom.rng"), folder.path().join("feed.atom"));
    std::fs::write(&schema, include_str!("atom.rng")).expect("written");
    std::fs::write(&feed, document).expect("written");
    let mut lint = Command::new("xmllint");
    lint.args(["--noout", "--nonet", "--relaxng"]).arg(&schema).arg(&feed);
    let out = lint.output().expect("xmllint runs");
    (out.status.success(), String::from_utf8_lossy(&out.stderr).into_owned())
}

#[tokio::test]
#[ignore = "needs xmllint; cargo xtask test has it"]
async fn every_feed_is_valid_by_atoms_own_schema() {
    let world = world().await;
    // One with a withdrawal and a suspension, and one of whose subject there is nothing to tell.
    let taken_back = taken_back().await;
    let mut fed = Vec::new();
    for address in ["/feed.atom", "/agreements/deal/feed.atom", "/products/osa5.2/feed.atom"] {
        fed.push((address, world.get(address).await.1));
        fed.push((address, taken_back.get(address).await.1));
    }
    fed.push(("/products/vmmo2/feed.atom", taken_back.get("/products/vmmo2/feed.atom").await.1));
    assert!(
        fed.iter().any(|(_, feed)| feed.contains("Withdrawn: ") && feed.contains("Suspended: "))
    );
    for (address, feed) in &fed {
        let (good, said) = valid(feed);
        assert!(good, "{address}: {said}\n{feed}");
    }
    // The schema itself finds what is wrong.
    let (_, feed) = &fed[0];
    for (right, wrong) in
        [("<updated>", "<updated>on "), ("<title>", "<x/><title>"), ("<id>", "<id/><id>")]
    {
        let (good, said) = valid(&feed.replacen(right, wrong, 1));
        assert!(!good, "{wrong} is accepted: {said}");
    }
}

/// A site whose party took back two of its records.
async fn taken_back() -> World {
    let at = |day: &str| format!("{day}T12:00:00Z").parse().expect("is a time");
    let said = ["2022-02-01", "2022-03-01"].map(|day| {
        let sample = Sample::new("b.example", OSA, VMMO, at(day));
        sample.statement().expect("is one")
    });
    let (day, why) = (at("2022-04-01"), HOSTILE);
    let later = |records: &[Digest]| {
        vec![
            Statement::withdrawal("b.example", day, records[0], why),
            Statement::suspension("b.example", day, records[1], why, Some(at("2022-12-01"))),
        ]
    };
    world_of(tempfile::tempdir().expect("made"), &said, later).await
}
