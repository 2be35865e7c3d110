//! The way of a browser: to the provider and back, into a session or to a page that says why not.

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use hospitium_desk::Login;
use hospitium_desk::sign_in::Identity;
use hospitium_desk::store::Token;
use jiff::Timestamp;

use super::fake::{Fake, Lie};
use super::hostile::{HASTY, provider};
use crate::desk::Oidc;
use crate::desk::tests::DeskWorld;
use crate::sample::text;

struct Got {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Got {
    fn location(&self) -> &str {
        self.headers.get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default()
    }

    /// The value of a cookie that is set.
    fn cookie(&self, name: &str) -> Option<String> {
        let all = self.headers.get_all(header::SET_COOKIE).iter();
        let all = all.filter_map(|one| one.to_str().ok()?.split_once('='));
        let mut found = all.filter(|(known, _)| *known == name);
        found.next().and_then(|(_, rest)| Some(rest.split_once(';')?.0.to_owned()))
    }
}

struct World {
    desk: DeskWorld,
    fake: Fake,
}

const ANN: &str = "ann@guest.example";

impl World {
    async fn new(further: &str) -> Self {
        let fake = Fake::start().await;
        let (provider, secret) = provider(&fake.issuer, further);
        let oidc = Oidc::with(provider, secret, "https://desk.example", HASTY).expect("made");
        let desk = DeskWorld::new().await.with_oidc(oidc);
        Self { desk, fake }
    }

    async fn get(&self, path: &str, cookies: &str) -> Got {
        let mut request = Request::get(path).body(Body::empty()).expect("a request");
        let value = cookies.parse().expect("a value");
        request.headers_mut().insert(header::COOKIE, value);
        let response = self.desk.world.ask(request).await;
        let (status, headers) = (response.status(), response.headers().clone());
        Got { status, headers, text: text(response).await }
    }

    async fn link(&self, login: &str, email: &str) {
        let (login, identity) = (login.parse().expect("a name"), self.identity(email));
        self.desk.office.store.link(&login, Some(&identity)).await.expect("linked");
    }

    fn identity(&self, email: &str) -> Identity {
        provider(&self.fake.issuer, "").0.identity(email).expect("an identity")
    }

    /// A browser goes to the provider, where somebody signs in: its cookie, and where it comes back to.
    async fn gone(&self, email: &str) -> (String, String) {
        let got = self.get("/desk/sign-in/oidc?next=/desk/open", "").await;
        assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.text);
        let cookie = format!("desk-sign-in={}", got.cookie("desk-sign-in").expect("set"));
        let query = self.fake.grants(got.location(), email);
        (cookie, format!("/desk/sign-in/return?{query}"))
    }

    /// The login of a session.
    async fn who(&self, token: &str) -> Option<Login> {
        let token = Token::read(token).expect("a token");
        let session = self.desk.office.store.session(&token, Timestamp::now()).await;
        session.expect("read").map(|account| account.login)
    }
}

#[tokio::test]
async fn a_person_whom_the_desk_knows_signs_in_into_a_new_session_and_goes_on() {
    let world = World::new("").await;
    world.link("ann", ANN).await;
    let page = world.get("/desk/sign-in?next=/desk/open", "").await;
    assert!(page.text.contains("href=\"/desk/sign-in/oidc?next=/desk/open\""), "{}", page.text);
    assert!(page.text.contains(&world.fake.issuer) && !page.text.contains("does not answer"));
    // Somebody else's session that the browser has meanwhile, or was given, ends.
    let planted = world.desk.signed("eve").await.token().as_str().to_owned();
    let (cookie, back) = world.gone("Ann@Guest.Example").await;
    let got = world.get(&back, &format!("{cookie}; desk={planted}")).await;
    assert_eq!((got.status, got.location()), (StatusCode::SEE_OTHER, "/desk/open"), "{}", got.text);
    let session = got.cookie("desk").expect("set");
    assert_eq!(world.who(&session).await.expect("goes on").as_str(), "ann");
    assert_ne!(session, planted);
    assert_eq!(world.who(&planted).await, None);
    assert_eq!(got.cookie("desk-sign-in").as_deref(), Some(""), "the attempt is over");
    assert_eq!(world.get("/desk", &format!("desk={session}")).await.status, StatusCode::OK);
    let audited = world.desk.office.store.audited(1).await.expect("read");
    assert_eq!((audited[0].login.as_str(), audited[0].what.as_str()), ("ann", "signed in"));
    assert_eq!(audited[0].about, format!("by {}", world.fake.issuer));
}

#[tokio::test]
async fn nobody_gets_in_whom_no_manager_made_a_person() {
    let world = World::new("").await;
    // The provider's word for who it is gives no account, also where an account has the same mail address.
    for email in [ANN, "stranger@evil.example"] {
        let (cookie, back) = world.gone(email).await;
        let got = world.get(&back, &cookie).await;
        assert_eq!(got.status, StatusCode::FORBIDDEN);
        assert_eq!(got.cookie("desk"), None);
        let words = "This desk has no person of that name";
        assert!(got.text.contains(words) && got.text.contains(email), "{}", got.text);
        let audited = world.desk.office.store.audited(1).await.expect("read");
        let row = (audited[0].login.as_str(), audited[0].what.as_str());
        assert_eq!(row, (email, "tried to sign in"));
    }
}

#[tokio::test]
async fn a_state_that_is_foreign_altered_or_came_back_before_signs_nobody_in() {
    let world = World::new("").await;
    world.link("ann", ANN).await;
    let (ours, back) = world.gone(ANN).await;
    let (others, _) = world.gone(ANN).await;
    let asked = world.fake.calls().1;
    let replace = |what: &str, with: &str| back.replacen(what, with, 1);
    for (cookie, back) in [
        ("", back.clone()),
        (others.as_str(), back.clone()),
        ("desk-sign-in=x", back.clone()),
        (&ours[..ours.len() - 1], back.clone()),
        (&ours, replace("state=", "state=0")),
        (&ours, replace("state=", "other=")),
        (&ours, "/desk/sign-in/return".to_owned()),
    ] {
        let got = world.get(&back, cookie).await;
        assert_eq!(got.status, StatusCode::FORBIDDEN, "{cookie} {back}");
        assert!(got.text.contains("did not begin this sign-in"), "{}", got.text);
        assert_eq!((got.cookie("desk"), world.fake.calls().1), (None, asked));
    }
    assert_eq!(world.get(&back, &ours).await.status, StatusCode::SEE_OTHER);
    let again = world.get(&back, &ours).await;
    assert_eq!(again.status, StatusCode::FORBIDDEN);
    assert!(again.text.contains("counts once"), "{}", again.text);
    assert_eq!((again.cookie("desk"), world.fake.calls().1), (None, asked + 1));
}

#[tokio::test]
async fn what_a_provider_refuses_or_is_not_believed_in_is_told_without_its_words() {
    let world = World::new("").await;
    world.link("ann", ANN).await;
    for (error, words) in [
        ("access_denied", "Its answer: access_denied"),
        ("%3Cscript%3E", "Its answer: nothing of use"),
    ] {
        let (cookie, back) = world.gone(ANN).await;
        let state = back.split("state=").nth(1).expect("a state");
        let described = "error_description=call+0900+1234";
        let back = format!("/desk/sign-in/return?error={error}&{described}&state={state}");
        let got = world.get(&back, &cookie).await;
        assert_eq!(got.status, StatusCode::FORBIDDEN);
        assert!(got.text.contains(words) && !got.text.contains("0900"), "{}", got.text);
    }
    for (lie, status, words) in [
        (Lie::Nonce, StatusCode::FORBIDDEN, "cannot be believed"),
        (Lie::Expired, StatusCode::FORBIDDEN, "holds no longer"),
        (Lie::NotVerified, StatusCode::FORBIDDEN, "mail address is verified"),
        (Lie::TokenRedirects, StatusCode::BAD_GATEWAY, "does not confirm"),
    ] {
        let (cookie, back) = world.gone(ANN).await;
        world.fake.lies(lie);
        let got = world.get(&back, &cookie).await;
        world.fake.lies(Lie::None);
        assert_eq!((got.status, got.cookie("desk")), (status, None), "{lie:?}");
        assert!(got.text.contains(words), "{lie:?}: {}", got.text);
    }
}

#[tokio::test]
async fn a_provider_that_is_down_is_told_and_passwords_go_on() {
    let world = World::new("").await;
    world.fake.lies(Lie::Down);
    let page = world.get("/desk/sign-in", "").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("does not answer as an OpenID provider"), "{}", page.text);
    assert!(page.text.contains("name=\"password\""));
    let got = world.get("/desk/sign-in/oidc", "").await;
    assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(got.text.contains("sign in with a password"), "{}", got.text);
    world.fake.lies(Lie::None);
    let page = world.get("/desk/sign-in", "").await;
    assert!(!page.text.contains("does not answer"), "{}", page.text);
}

#[tokio::test]
async fn a_session_ends_with_its_identity_and_signing_out_there_too_is_a_choice() {
    for (further, there) in [("", false), ("end-session = true\n", true)] {
        let world = World::new(further).await;
        world.link("ann", ANN).await;
        let (cookie, back) = world.gone(ANN).await;
        let session = world.get(&back, &cookie).await.cookie("desk").expect("set");
        world.desk.office.store.link(&"ann".parse().expect("a name"), None).await.expect("none");
        assert_eq!(world.who(&session).await, None);
        world.link("ann", ANN).await;
        let (cookie, back) = world.gone(ANN).await;
        let session = world.get(&back, &cookie).await.cookie("desk").expect("set");
        let csrf = Token::read(&session).expect("a token").for_forms();
        let out = Request::post("/desk/sign-out")
            .header(header::COOKIE, format!("desk={session}"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(format!("csrf={csrf}")))
            .expect("a request");
        let out = world.desk.world.ask(out).await;
        assert_eq!(world.who(&session).await, None);
        let refresh = out.headers().get(header::REFRESH).and_then(|to| to.to_str().ok());
        let to = format!(
            "0; url={}/end?client_id=the-desk%2B1&\
             post_logout_redirect_uri=https%3A%2F%2Fdesk.example%2Fdesk%2Fsign-in",
            world.fake.issuer
        );
        assert_eq!(refresh, there.then_some(to.as_str()));
        let status = if there { StatusCode::OK } else { StatusCode::SEE_OTHER };
        assert_eq!(out.status(), status);
    }
}

#[tokio::test]
async fn a_desk_without_a_provider_offers_none() {
    let desk = DeskWorld::new().await;
    for path in ["/desk/sign-in/oidc", "/desk/sign-in/return?code=x&state=y"] {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        assert_eq!(desk.world.ask(request).await.status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn an_account_without_a_password_is_signed_in_to_with_none() {
    let world = World::new("").await;
    let store = &world.desk.office.store;
    store.change_password(&"ann".parse().expect("a name"), "").await.expect("taken away");
    for password in ["", "%00", "a long enough password"] {
        let request = Request::post("/desk/sign-in")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(format!("login=ann&password={password}")))
            .expect("a request");
        let got = world.desk.world.ask(request).await;
        assert_eq!(got.status(), StatusCode::UNAUTHORIZED);
    }
}
