//! Signing in, sessions, and what pages say of themselves.

use super::*;

#[tokio::test]
async fn a_session_ends_with_its_account_its_password_its_time_and_by_signing_out() {
    let desk = DeskWorld::new().await;
    let store = &desk.office.store;
    let ended =
        async |browser: &Browser<'_>| browser.get("/desk").await.status == StatusCode::SEE_OTHER;
    let eve = desk.signed("eve").await;
    assert!(!ended(&eve).await);
    store.remove_account(&"eve".parse().expect("a name")).await.expect("removed");
    assert!(ended(&eve).await);
    let max = desk.signed("max").await;
    let hash = hash_password("another horse battery").expect("hashed");
    store.change_password(&"max".parse().expect("a name"), &hash).await.expect("changed");
    assert!(ended(&max).await);
    let ann = desk.signed("ann").await;
    let csrf = ann.csrf();
    let out = ann.send(ann.form("/desk/sign-out", &[("csrf", "x")])).await;
    assert_eq!(out.status, StatusCode::FORBIDDEN);
    assert!(!ended(&ann).await);
    let out = ann.send(ann.form("/desk/sign-out", &[("csrf", &csrf)])).await;
    assert!(out.header("set-cookie").contains("Max-Age=0"), "{}", out.header("set-cookie"));
    assert!(ended(&ann).await);
    let login = "ann".parse().expect("a name");
    let hours = |count: i64| {
        Timestamp::now().checked_sub(SignedDuration::from_mins(count * 60)).expect("in range")
    };
    let token = store.begin_session(&login, hours(1)).await.expect("begun");
    assert!(ended(&Browser { desk: &desk, token: Some(token) }).await, "idle for an hour");
    assert!(ended(&Browser { desk: &desk, token: Some(Token::new().expect("random")) }).await);
}

#[tokio::test]
async fn signing_in_takes_the_right_password_and_not_many_tries() {
    let desk = DeskWorld::new().await;
    let nobody = desk.nobody();
    let sign_in = async |login: &str, password: &str| {
        let fields = [("login", login), ("password", password), ("next", "/desk/open")];
        nobody.send(nobody.form("/desk/sign-in", &fields)).await
    };
    let wrong = sign_in("ann", "not the password").await;
    let unknown = sign_in("nobody", "not the password").await;
    assert_eq!(
        (wrong.status, unknown.status),
        (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED)
    );
    assert_eq!(wrong.text, unknown.text, "nobody learns which names there are");
    let good = sign_in("ann", PASSWORD).await;
    assert_eq!((good.status, good.header("location")), (StatusCode::SEE_OTHER, "/desk/open"));
    let cookie = good.header("set-cookie");
    for part in ["desk=", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    for _ in 0..5 {
        assert_eq!(sign_in("ann", "not the password").await.status, StatusCode::UNAUTHORIZED);
    }
    let held = sign_in("ann", PASSWORD).await;
    assert_eq!(held.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(!held.header("retry-after").is_empty());
    assert_eq!(sign_in("max", PASSWORD).await.status, StatusCode::SEE_OTHER);
    let audited = desk.office.store.audited(100).await.expect("read");
    assert_eq!(audited.iter().filter(|row| row.what == "tried to sign in").count(), 7);
}

#[tokio::test]
async fn pages_are_confidential_and_cookies_bound_to_tls_where_there_is_some() {
    let desk = DeskWorld::with(true, opening()).await;
    let nobody = desk.nobody();
    let fields = [("login", "ann"), ("password", PASSWORD)];
    let got = nobody.send(nobody.form("/desk/sign-in", &fields)).await;
    let cookie = got.header("set-cookie");
    assert!(cookie.starts_with("__Host-desk=") && cookie.contains("; Secure"), "{cookie}");
    let token = cookie.split(['=', ';']).nth(1).expect("a value");
    let mut request = Request::get("/desk").body(Body::empty()).expect("a request");
    let value = format!("__Host-desk={token}").parse().expect("a value");
    request.headers_mut().insert(header::COOKIE, value);
    request.headers_mut().insert(header::ACCEPT_ENCODING, "gzip".parse().expect("a value"));
    let page = nobody.send(request).await;
    assert_eq!(page.status, StatusCode::OK);
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("strict-transport-security", "max-age=31536000"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("content-encoding", ""),
    ] {
        assert_eq!(page.header(name), value, "{name}");
    }
    let policy = page.header("content-security-policy");
    for part in ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("script-src"), "{policy}");
    // A cookie of the other name, which any host beside could set, is none.
    let mut request = Request::get("/desk").body(Body::empty()).expect("a request");
    request.headers_mut().insert(header::COOKIE, format!("desk={token}").parse().expect("a value"));
    assert_eq!(nobody.send(request).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_password_that_was_checked_before_it_changed_begins_no_session() {
    let desk = DeskWorld::new().await;
    let store = &desk.office.store;
    let (now, ann) = (Timestamp::now(), "ann".parse().expect("a name"));
    let (_, hash) = store.account(&ann).await.expect("read").expect("there");
    assert!(store.sign_in(&ann, &hash, now).await.expect("begun").is_some());
    store.change_password(&ann, "another hash").await.expect("changed");
    assert!(store.sign_in(&ann, &hash, now).await.expect("refused").is_none());
    store.remove_account(&ann).await.expect("removed");
    assert!(store.sign_in(&ann, "another hash", now).await.expect("refused").is_none());
}
