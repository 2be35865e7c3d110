//! Cases: opened, drafted, shown.

use super::*;

#[tokio::test]
async fn a_case_is_opened_by_a_form_with_the_catalogs_typed_ruling_frozen_into_it() {
    let desk = DeskWorld::new().await;
    let ann = desk.signed("ann").await;
    let fields = [
        ("to", "host.example"),
        ("summary", HOSTILE),
        ("description", "it hangs\r\nevery night"),
        ("severity", "high"),
        ("guest", "osa 5.2"),
        ("host", "vmmo 1"),
        ("features", "live migration, snapshots"),
        ("number", "G-7"),
        ("engineer", "ann Smith <ann@guest.example>"),
        ("customer", "Customer Inc."),
        ("entitled", "yes"),
        ("covers", "problem"),
        ("covers", "configuration"),
        ("by", "Pat Doe"),
    ];
    let got = ann.upload("/desk/open", &fields, ("vm", "", b"")).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.text);
    let page = got.header("location").to_owned();
    let id: CaseId = page.rsplit('/').next().expect("an id").parse().expect("an id");
    let draft = desk.office.store.draft(&id).await.expect("read").expect("a draft");
    let verdict = &draft.opening.verdict;
    assert_eq!(verdict.word, hospitium_desk::VerdictWord::Covered, "{}", verdict.rule.words);
    let typed = verdict.rule.typed.clone().expect("typed");
    serde_json::from_value::<hospitium_model::standing::Ruling>(typed).expect("a ruling");
    assert_eq!(draft.opening.configuration.guest.as_str(), "Osa 5.2 (osa 5.2)");
    assert_eq!(draft.opening.configuration.features.len(), 2);
    let shown = ann.get(&page).await;
    assert!(!shown.text.contains("<script>"), "{}", shown.text);
    assert!(shown.text.contains("&#60;script&#62;"), "{}", shown.text);
    let offered = ann
        .post(
            &format!("{page}/offer"),
            &[("number", "G-8"), ("engineer", "Max <max@guest.example>")],
        )
        .await;
    assert_eq!(offered.status, StatusCode::SEE_OTHER, "{}", offered.text);
    let case = desk.office.store.load(&id).await.expect("loads").case().clone();
    assert_eq!((case.state.name(), case.numbers.submitter), ("offered", Some(words("G-8"))));
    // Sent twice, it is one case.
    let again = ann
        .post(
            &format!("{page}/offer"),
            &[("number", "G-9"), ("engineer", "Max <max@guest.example>")],
        )
        .await;
    assert_eq!(again.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_customer_opens_a_draft_from_a_machines_definition_and_an_engineer_offers_it() {
    let desk = DeskWorld::new().await;
    let pat = desk.signed("pat").await;
    let given = [
        ("to", "host.example"),
        ("summary", "it hangs"),
        ("description", "every night"),
        ("severity", "normal"),
        ("host", "vmmo 1"),
        ("guest", "osa 5.2"),
        ("customer", "Another Inc."),
        ("covers", "problem"),
        ("covers", "configuration"),
    ];
    let xml =
        b"<domain type='kvm'><name>x</name><memory unit='MiB'>512</memory><vcpu>2</vcpu></domain>";
    let got = pat.upload("/desk/open", &given, ("vm", "x.xml", xml)).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.text);
    let page = got.header("location").to_owned();
    let id: CaseId = page.rsplit('/').next().expect("an id").parse().expect("an id");
    let draft = desk.office.store.draft(&id).await.expect("read").expect("a draft");
    // Its own organisation, whatever the form says; its own name stays here without consent to that.
    assert_eq!(draft.opening.customer.name.as_str(), "Customer Inc.");
    assert_eq!(
        draft.opening.consent.as_ref().map(|given| given.by.as_str()),
        Some("Customer Inc.")
    );
    assert_eq!(draft.opening.configuration.vcpus, Some(2));
    assert!(pat.get(&page).await.text.contains("Nothing of it went out"));
    let offer: &[(&str, &str)] = &[("number", "G-8"), ("engineer", "Ann <ann@guest.example>")];
    assert_eq!(pat.post(&format!("{page}/offer"), offer).await.status, StatusCode::FORBIDDEN);
    let ann = desk.signed("ann").await;
    assert_eq!(ann.post(&format!("{page}/offer"), offer).await.status, StatusCode::SEE_OTHER);
    let good: Vec<(&str, &str)> =
        given.iter().copied().filter(|(name, _)| *name != "guest").collect();
    for (fields, file, why) in [
        (vec![], ("vm", "", b"".as_slice()), "Fill in guest and host"),
        (good, ("vm", "x.bin", b"\0\x01\x02".as_slice()), "cannot be read"),
    ] {
        let got = pat.upload("/desk/open", &fields, file).await;
        assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(got.text.contains(why), "{why}: {}", got.text);
    }
    let unknown = [("to", "third.example"), ("guest", "osa 5.2"), ("host", "vmmo 1")];
    let got = pat.upload("/desk/open", &unknown, ("vm", "", b"")).await;
    assert!(got.text.contains("is not known here"), "{}", got.text);
}

#[tokio::test]
async fn the_page_of_a_case_shows_what_can_be_done_and_why_the_rest_cannot() {
    let desk = DeskWorld::new().await;
    let ann = desk.signed("ann").await;
    let page = ann.get(&desk.page()).await.text;
    assert!(
        page.contains("Next to act: <strong class=\"foreign\">host.example</strong>"),
        "{page}"
    );
    assert!(
        page.contains("accept the case: <span class=\"muted foreign\">only the receiver can"),
        "{page}"
    );
    assert!(!page.contains("value=\"accepted\"") && page.contains("value=\"noted\""), "{page}");
    let refused =
        ann.post(&format!("{}/do", desk.page()), &[("deed", "answered"), ("text", "x")]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.text.contains("does not follow from this state"), "{}", refused.text);
    let queue = ann.get("/desk").await.text;
    assert!(queue.contains("With others to act") && queue.contains("acknowledgement"), "{queue}");
    let stranger = ann
        .post(
            &format!("{}/do", desk.page()),
            &[("deed", "assigned"), ("engineer", "X <x@other.example>")],
        )
        .await;
    assert!(stranger.text.contains("is not on the domain of guest.example"), "{}", stranger.text);
}

#[tokio::test]
async fn a_site_without_a_desk_has_none() {
    let world = world().await;
    for path in ["/desk", "/desk/sign-in", "/desk/audit"] {
        assert_eq!(world.get(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}
