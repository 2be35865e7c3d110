//! What feeds promise: the elements that RFC 4287 requires, ids that stay, names that stay text.

use axum::http::StatusCode;

use crate::sample::world;

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
