//! What customers see and do.

use super::*;

#[tokio::test]
async fn a_customer_reads_its_own_cases_and_never_what_the_vendors_say_to_each_other() {
    let desk = DeskWorld::new().await;
    let secret = |deed: &str| format!("SECRET {deed}");
    let note = |visibility, text: &str| Deed::Noted { visibility, text: words(text) };
    desk.does(Side::Submitter, note(Visibility::Both, &secret("between vendors"))).await;
    desk.does(Side::Submitter, note(Visibility::Customer, "hello customer")).await;
    let (by, deed) = accepted();
    desk.does(by, deed).await;
    let (by, deed) = started();
    desk.does(by, deed).await;
    let wait = Deed::Waited {
        wait: WaitFor::Customer,
        reason: words(&secret("they never answer")),
        until: Timestamp::now().checked_add(SignedDuration::from_hours(24)).expect("in range"),
    };
    desk.does(Side::Receiver, wait).await;
    let escalated = Deed::Escalated { level: 1, reason: words(&secret("escalated")) };
    desk.does(Side::Submitter, escalated).await;
    let aside = Aside { at: Timestamp::now(), person: None, text: words(&secret("aside")) };
    desk.office.store.add_aside(&desk.id, &aside).await.expect("added");
    let pat = desk.signed("pat").await;
    let page = pat.get(&desk.page()).await;
    assert!(page.text.contains("hello customer"), "{}", page.text);
    for word in ["SECRET", "Ann Smith", "Bo Lind", "level 1"] {
        assert!(!page.text.contains(word), "{word}: {}", page.text);
    }
    assert!(pat.get("/desk").await.text.contains("the clock drifts"));
    let eve = desk.signed("eve").await;
    assert!(!eve.get("/desk").await.text.contains("the clock drifts"));
    for reader in ["ann", "ute"] {
        let page = desk.signed(reader).await.get(&desk.page()).await;
        assert_eq!(page.text.matches("SECRET").count(), 4, "{reader}: {}", page.text);
    }
    // It answers what it is asked, and its name goes nowhere without its consent to that.
    let answered = pat
        .post(&format!("{}/do", desk.page()), &[("deed", "answered"), ("text", "update 11")])
        .await;
    assert_eq!(answered.status, StatusCode::SEE_OTHER, "{}", answered.text);
    let thread = desk.thread().await;
    let last = &thread.timeline().last().expect("one").message.event;
    assert_eq!((thread.case().state.name(), &last.person), ("working", &None));
}

#[tokio::test]
async fn what_a_customer_writes_stays_here_until_it_allows_that_it_is_shared() {
    let desk = DeskWorld::new().await;
    desk.does(Side::Submitter, Deed::ConsentWithdrawn { by: words("Pat Doe") }).await;
    let pat = desk.signed("pat").await;
    let path = format!("{}/do", desk.page());
    let before = desk.thread().await.timeline().count();
    let got = pat.post(&path, &[("deed", "noted"), ("text", "our serial is 1234")]).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER);
    assert_eq!(desk.thread().await.timeline().count(), before);
    let asides = desk.office.store.asides(&desk.id).await.expect("read");
    assert_eq!(asides.len(), 1);
    assert!(asides[0].text.as_str().contains("our serial is 1234"));
    let covers = [Shareable::Problem, Shareable::Configuration];
    let consent = hospitium_desk::sample::consent(&covers);
    desk.does(Side::Submitter, Deed::ConsentGiven { consent }).await;
    pat.post(&path, &[("deed", "noted"), ("text", "now for both")]).await;
    assert_eq!(desk.thread().await.case().notes.len(), 1);
}
