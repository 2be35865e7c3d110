//! Drafts that several people change at once.

use super::*;

async fn draft(desk: &DeskWorld) -> CaseId {
    let id = CaseId::from_bytes([9; 16]);
    let opening = Opening { id: id.clone(), ..opening() };
    let draft = Draft { opening, files: Vec::new(), opened: Timestamp::now(), person: None };
    desk.office.store.keep_draft(&draft).await.expect("kept");
    id
}

#[tokio::test]
async fn files_that_come_to_a_draft_at_the_same_time_are_all_kept() {
    let desk = DeskWorld::new().await;
    let id = draft(&desk).await;
    let path = format!("/desk/cases/{id}/files");
    let (ann, pat) = (desk.signed("ann").await, desk.signed("pat").await);
    let own: &[(&str, &str)] = &[("class", "customer")];
    let (one, two) = tokio::join!(
        ann.upload(&path, own, ("file", "one.log", b"one")),
        pat.upload(&path, own, ("file", "two.log", b"two")),
    );
    assert_eq!((one.status, two.status), (StatusCode::SEE_OTHER, StatusCode::SEE_OTHER));
    let draft = desk.office.store.draft(&id).await.expect("read").expect("there");
    let mut names: Vec<_> = draft.files.iter().map(|file| file.name.to_string()).collect();
    names.sort();
    assert_eq!(names, ["one.log", "two.log"]);
    // One that was read before a file came is offered with the file.
    let stale = Draft { files: Vec::new(), ..draft };
    let party = desk.office.party();
    let offered = desk
        .office
        .store
        .offer(&stale, Timestamp::now(), None, &party.record)
        .await
        .expect("offered");
    assert_eq!(offered.case().attachments.len(), 2);
}

#[tokio::test]
async fn a_draft_that_was_thrown_away_does_not_come_back() {
    let desk = DeskWorld::new().await;
    let id = draft(&desk).await;
    let store = &desk.office.store;
    let kept = store.draft(&id).await.expect("read").expect("there");
    store.drop_draft(&id).await.expect("dropped");
    let late = store.add_file(&id, &hospitium_desk::sample::attachment(0)).await;
    assert!(matches!(late, Err(hospitium_desk::store::StoreError::Gone(_))), "{late:?}");
    assert!(store.draft(&id).await.expect("read").is_none());
    // The form that made it, sent again.
    let once = Once::new("the form");
    assert!(store.new_draft(&kept, &once).await.expect("kept"));
    store.drop_draft(&id).await.expect("dropped");
    assert!(!store.new_draft(&kept, &once).await.expect("passed over"));
    assert!(store.draft(&id).await.expect("read").is_none());
}
