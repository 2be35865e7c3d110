//! Forms count once, and only here.

use super::*;

#[tokio::test]
async fn a_form_that_is_sent_twice_does_one_thing_and_the_next_form_another() {
    let desk = DeskWorld::new().await;
    let ann = desk.signed("ann").await;
    let (csrf, once) = (ann.csrf(), Token::new().expect("random"));
    let own = [("csrf", csrf.as_str()), ("once", once.as_str())];
    let path = format!("{}/do", desk.page());
    let fields = |text: &'static str| {
        [&own[..], &[("deed", "noted"), ("visibility", "both"), ("text", text)]].concat()
    };
    for text in ["once", "once", "once", "another from the same page"] {
        let got = ann.send(ann.form(&path, &fields(text))).await;
        assert_eq!(
            (got.status, got.header("location")),
            (StatusCode::SEE_OTHER, desk.page().as_str())
        );
    }
    let notes: Vec<String> =
        desk.thread().await.case().notes.iter().map(|note| note.text.to_string()).collect();
    assert_eq!(notes, ["once", "another from the same page"]);
    let inside = [&own[..], &[("text", "inside")]].concat();
    for _ in 0..2 {
        ann.send(ann.form(&format!("{}/note", desk.page()), &inside)).await;
    }
    assert_eq!(desk.office.store.asides(&desk.id).await.expect("read").len(), 1);
    for _ in 0..2 {
        let request = multipart(
            &format!("{}/files", desk.page()),
            &[&own[..], &[("class", "vendor")]].concat(),
            ("file", "trace.log", b"a trace"),
        );
        assert_eq!(ann.send(request).await.status, StatusCode::SEE_OTHER);
    }
    assert_eq!(desk.thread().await.case().attachments.len(), 1);
    // What is refused did not count, and may be tried again.
    let early = Once::new("x");
    let illegal = event(Timestamp::now(), Side::Submitter, Deed::Started {});
    let party = desk.office.party();
    let key = &party.record;
    let store = &desk.office.store;
    assert!(store.post_once(&desk.id, illegal, key, Some(&early)).await.is_err());
    let note = Deed::Noted { visibility: Visibility::Both, text: words("x") };
    let legal = event(Timestamp::now(), Side::Submitter, note);
    store.post_once(&desk.id, legal, key, Some(&early)).await.expect("posted");
    assert_eq!(desk.thread().await.case().notes.len(), 3);
}

#[tokio::test]
async fn forms_of_other_sites_and_sessions_are_refused() {
    let desk = DeskWorld::new().await;
    let (ann, max) = (desk.signed("ann").await, desk.signed("max").await);
    let path = format!("{}/do", desk.page());
    let once = Token::new().expect("random");
    let deed = [("deed", "noted"), ("visibility", "both"), ("text", "x"), ("once", once.as_str())];
    for csrf in ["", "x", &max.csrf(), ann.token.as_ref().expect("signed in").as_str()] {
        let fields = [&deed[..], &[("csrf", csrf)]].concat();
        let got = ann.send(ann.form(&path, &fields)).await;
        assert_eq!(got.status, StatusCode::FORBIDDEN, "{csrf}");
    }
    let own = ann.csrf();
    let good = [&deed[..], &[("csrf", own.as_str())]].concat();
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let mut request = ann.form(&path, &good);
        request.headers_mut().insert(name, value.parse().expect("a value"));
        request.headers_mut().insert("host", "desk.example".parse().expect("a value"));
        assert_eq!(ann.send(request).await.status, StatusCode::FORBIDDEN, "{name}: {value}");
        let mut sign_in = ann.form("/desk/sign-in", &[("login", "ann"), ("password", PASSWORD)]);
        sign_in.headers_mut().insert(name, value.parse().expect("a value"));
        assert_eq!(ann.send(sign_in).await.status, StatusCode::FORBIDDEN, "{name}: {value}");
    }
    assert_eq!(desk.thread().await.case().notes.len(), 0);
    let mut request = ann.form(&path, &good);
    request.headers_mut().insert("origin", "https://desk.example".parse().expect("a value"));
    request.headers_mut().insert("host", "desk.example".parse().expect("a value"));
    assert_eq!(ann.send(request).await.status, StatusCode::SEE_OTHER);
}
